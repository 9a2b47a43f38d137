/* SPDX-License-Identifier: MIT
 *
 * What differs between C libraries. Only its .c may use extensions of one C library or test
 * which one this is. Without glibc, the functions for glibc's heap do nothing.
 * tools/check_source and ./dev lint check this.
 */
#pragma once

/* What errno `errnum` means, in the C library's words; always in English. For texts that
 * clients parse see probe/verdict.h. The string is static; callable from any thread. */
const char *libc_error_text(int errnum);

/* Makes all threads use one heap. With one heap per thread, each would keep the most that
 * it ever needed. Call it before the first thread starts. */
void libc_heap_unite(void);

/* Returns freed memory to the system. Takes milliseconds if there is a lot of it. */
void libc_heap_trim(void);
