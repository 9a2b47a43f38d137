/* SPDX-License-Identifier: MIT */
#include "base/file_text.h"

#include "base/err.h"
#include "base/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool file_text_read(const char *setting, const char *path, char **ret, struct err *err)
{
    char *text = malloc(FILE_TEXT_MAX);
    if (!text)
        return err_sys(err, ENOMEM, "%s", setting);

    size_t len;
    if (!fd_read_file(path, text, FILE_TEXT_MAX - 1, &len, err)) {
        free(text);
        err_prefix(err, "%s", setting);
        if (err)
            err->kind = ERR_INVALID;
        return false;
    }
    text[len] = '\0';
    *ret = text;
    return true;
}

void file_text_forget(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}
