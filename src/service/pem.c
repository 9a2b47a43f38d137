/* SPDX-License-Identifier: MIT */
#include "service/pem.h"

#include "base/err.h"
#include "base/fd.h"

#include <stdlib.h>
#include <string.h>

#define PEM_MAX (256 * 1024)

bool pem_read(const char *setting, const char *path, char **ret, struct err *err)
{
    char *text = malloc(PEM_MAX);
    if (!text)
        return err_set(err, ERR_SYSTEM, "out of memory");

    unsigned long len;
    if (!fd_read_file(path, text, PEM_MAX - 1, &len, err)) {
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

void pem_forget(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}
