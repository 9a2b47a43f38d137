/* SPDX-License-Identifier: MIT
 *
 * Addresses as the unit tests write them.
 */
#pragma once

#include "net/address.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static inline struct address address_of(const char *text)
{
    struct address address;
    if (!address_parse(text, strlen(text), &address, NULL))
        fail_msg("\"%s\" must be an address", text);
    return address;
}
