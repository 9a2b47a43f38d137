/* SPDX-License-Identifier: MIT
 *
 * Reads a query: "name=value&name=value", after the "?" of a target. Pure. Names are
 * compared as they were sent. Values are percent-encoded (RFC 3986 section 2.1), and a "+"
 * is a "+".
 */
#pragma once

#include "http/request.h"

#include <stdbool.h>
#include <stddef.h>

#define QUERY_VALUE_MAX REQUEST_HEAD_MAX /* no query is longer */

/* The value of the next field named `name` at or after *at, still encoded, borrowed and not
 * terminated; moves *at past it. NULL at the end. A field without "=" has an empty value.
 */
const char *query_next(const char **at, const char *name, size_t *ret_len);

/* Percent-decodes a value; the result may contain any byte. False if a "%" is not followed
 * by two hexadecimal digits, or if `len` exceeds QUERY_VALUE_MAX. */
bool query_decode(const char *value, size_t len, char ret[QUERY_VALUE_MAX],
                  size_t *ret_len);
