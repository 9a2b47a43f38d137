/* SPDX-License-Identifier: MIT
 *
 * A failure on its way to a caller who can act on it: a kind, an errno and one sentence. It
 * never allocates and may live on any stack.
 *
 * Only failures travel this way. A bug is an assert; an outcome (refused, silent) is a
 * value. A function that can fail returns bool and writes its results only on success;
 * it either reports a failure to its caller or logs it, never both.
 */
#pragma once

#include <stdbool.h>

enum err_kind {
    ERR_SYSTEM,  /* a system call failed, errnum says why; exit status 1 */
    ERR_INVALID, /* an invalid text or setting; exit status 2 */
    ERR_LIMIT,   /* one of our limits was reached */
};

struct err {
    enum err_kind kind;
    int errnum;        /* positive errno, 0 without a failed system call */
    char message[320]; /* one sentence without a full stop, no newline */
};

/* All of these fill `err` and return false, so that a caller can `return err_...`.
 * `err` may be NULL when the caller needs no reason. */

/* "<what>: <libc_error_text(errnum)>" */
bool err_sys(struct err *err, int errnum, const char *what, ...)
    __attribute__((format(printf, 3, 4)));
bool err_set(struct err *err, enum err_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "<prefix>: " before the existing message. */
bool err_prefix(struct err *err, const char *prefix, ...)
    __attribute__((format(printf, 2, 3)));
