/* SPDX-License-Identifier: MIT
 *
 * Runs a fuzzer's function once over every file of the folders named on the command line:
 * the stand-in for libFuzzer in a plain test run. A folder may be missing, but at least
 * one file must be found, otherwise the run fails, because it proves nothing.
 */
#include "base/err.h"
#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* libFuzzer's own default ceiling for one input. */
#define INPUT_MAX (1ul << 20)

/* Copies the input into memory of exactly its size, so that the address sanitizer sees a
 * read past its end. */
static bool replay_file(const char *path)
{
    static char data[INPUT_MAX];
    unsigned long len = 0;
    struct err err;

    if (!fd_read_file(path, data, sizeof(data), &len, &err)) {
        fprintf(stderr, "%s: %s\n", path, err.message);
        return false;
    }

    uint8_t *exact = malloc(len > 0 ? len : 1);
    if (exact == NULL)
        return false;
    memcpy(exact, data, len);

    /* Printed before the call: the last line names the file that crashed. */
    fprintf(stderr, "replay %s\n", path);
    LLVMFuzzerTestOneInput(exact, len);
    free(exact);
    return true;
}

static bool replay_folder(const char *folder, unsigned *count)
{
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return errno == ENOENT;

    bool ok = true;
    const struct dirent *entry;
    while (ok && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        char path[4096];
        int len = snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        ok = len > 0 && (size_t)len < sizeof(path) && replay_file(path);
        (*count)++;
    }
    closedir(dir);
    return ok;
}

int main(int argc, char **argv)
{
    unsigned count = 0;

    for (int i = 1; i < argc; i++) {
        if (!replay_folder(argv[i], &count)) {
            fprintf(stderr, "cannot replay %s\n", argv[i]);
            return EXIT_FAILURE;
        }
    }
    printf("replayed %u inputs\n", count);
    return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
