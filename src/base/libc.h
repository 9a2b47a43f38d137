/* SPDX-License-Identifier: MIT
 *
 * What C libraries do each in its own way. Its .c is the one file that may call what only
 * some of them have, or ask which one this is; with another than glibc, what is about
 * glibc's heap does nothing. tools/check_source and ./dev lint watch that.
 */
#pragma once

/* What errno `errnum` means, in English whatever the locale, for people: the words are the
 * C library's own. What clients parse has words of its own, see probe/verdict.h. Static;
 * from any thread. */
const char *libc_error_text(int errnum);

/* One heap for all threads: with one a thread, each would keep what it once needed. To be
 * called before the first thread starts. */
void libc_heap_unite(void);

/* Gives memory that was freed back to the system. Takes milliseconds when there is much. */
void libc_heap_trim(void);
