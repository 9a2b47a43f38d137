/* SPDX-License-Identifier: MIT
 *
 * Host and port of a Host header or of a target in absolute form.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Whether the text is `uri-host [":" port]` of RFC 9110 section 7.2, or empty: a name, an
 * IPv4 address, or "[" IPv6 address or IPvFuture "]" (RFC 3986 section 3.2.2). Stricter in
 * two points: a port has a host before it (RFC 9110 section 4.2.1) and is 65535 at most. */
bool host_is_valid(const char *text, size_t len);
