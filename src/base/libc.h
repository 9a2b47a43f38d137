/* SPDX-License-Identifier: MIT
 *
 * What differs between C libraries. Only its .c may use extensions of one C library or test
 * which one this is. Without glibc, the functions for glibc's heap do nothing.
 * tools/check_source and ./dev lint check this.
 */
#pragma once

/* What errno `errnum` means, in the C library's words, for people; always in English. Texts
 * that clients parse are in probe/verdict.h. Static; callable from any thread. */
const char *libc_error_text(int errnum);

/* Uses one heap for all threads: with one heap per thread, each would keep what it once
 * needed. Call it before the first thread starts. */
void libc_heap_unite(void);

/* Returns freed memory to the system. Takes milliseconds if it is a lot. */
void libc_heap_trim(void);
