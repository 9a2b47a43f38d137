/* SPDX-License-Identifier: MIT */
#include "base/page_fill.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_mark(const char *line, const char *mark)
{
    size_t len = strlen(mark);
    return strncmp(line, mark, len) == 0 && strcmp(line + len, "\n") == 0;
}

int page_fill(const char *path, const char *mark, void (*print)(void))
{
    FILE *page = fopen(path, "re");
    if (!page) {
        perror(path);
        return EXIT_FAILURE;
    }

    char line[1024];
    bool is_filled = false;
    while (fgets(line, sizeof line, page)) {
        if (is_mark(line, mark)) {
            print();
            is_filled = true;
        } else {
            fputs(line, stdout);
        }
    }
    bool is_read = !ferror(page);
    fclose(page);
    if (is_read && is_filled)
        return EXIT_SUCCESS;

    fprintf(stderr, "%s: %s%s\n", path, is_read ? "no line " : "cannot be read",
            is_read ? mark : "");
    return EXIT_FAILURE;
}
