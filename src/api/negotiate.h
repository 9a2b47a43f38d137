/* SPDX-License-Identifier: MIT
 *
 * Accept and Accept-Encoding, as far as this API needs them: how much a client wants one
 * thing that it names. Wildcards are not looked at: both extensions are opt-in. Pure.
 */
#pragma once

#include <stdbool.h>

/* 0 to 1000 (RFC 9110 section 12.4.2): the weight of the element `name`, whatever its case;
 * 0 when it is not there, when its weight cannot be read, and for a header that is NULL.
 * Of several such elements the first counts. */
unsigned negotiate_quality(const char *header, const char *name);
