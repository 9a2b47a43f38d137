/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

/* The structure whose member `member` `ptr` points to. */
#define CONTAINER_OF(ptr, type, member)                                                    \
    ((type *)(void *)((char *)(ptr) - offsetof(type, member)))
