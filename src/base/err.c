/* SPDX-License-Identifier: MIT */
#include "base/err.h"

#include "base/libc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool err_sys(struct err *err, int errnum, const char *what, ...)
{
    if (!err)
        return false;

    char subject[sizeof err->message / 2];
    va_list args;
    va_start(args, what);
    vsnprintf(subject, sizeof subject, what, args);
    va_end(args);

    err->kind = ERR_SYSTEM;
    err->errnum = errnum;
    snprintf(err->message, sizeof err->message, "%s: %s", subject, libc_error_text(errnum));
    return false;
}

bool err_set(struct err *err, enum err_kind kind, const char *format, ...)
{
    if (!err)
        return false;

    err->kind = kind;
    err->errnum = 0;
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    return false;
}

bool err_prefix(struct err *err, const char *prefix, ...)
{
    if (!err)
        return false;

    char subject[sizeof err->message / 2];
    va_list args;
    va_start(args, prefix);
    vsnprintf(subject, sizeof subject, prefix, args);
    va_end(args);

    char message[sizeof err->message];
    memcpy(message, err->message, sizeof message);
    snprintf(err->message, sizeof err->message, "%s: %.*s", subject,
             (int)(sizeof message - strlen(subject) - 3), message);
    return false;
}
