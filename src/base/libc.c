/* SPDX-License-Identifier: MIT */
#include "base/libc.h"

#include <stddef.h>
#include <string.h>

#ifdef __GLIBC__

#include <malloc.h>

const char *libc_error_text(int errnum)
{
    const char *text = strerrordesc_np(errnum);
    return text ? text : "Unknown error";
}

void libc_heap_unite(void)
{
    mallopt(M_ARENA_MAX, 1);
}

void libc_heap_trim(void)
{
    malloc_trim(0);
}

#else

/* The texts are constant unless setlocale(3) is called, which these programs never do. */
const char *libc_error_text(int errnum)
{
    return strerror(errnum);
}

void libc_heap_unite(void)
{
}

void libc_heap_trim(void)
{
}

#endif
