/* SPDX-License-Identifier: MIT
 *
 * Accept and Accept-Encoding, as far as this API needs them: the weight of one element.
 * Wildcards are ignored: both extensions are opt-in. Pure.
 */
#pragma once

#include <stdbool.h>

/* 0 to 1000 (RFC 9110 section 12.4.2): the weight of the element `name`, in any case; 0 if
 * it is missing, if its weight cannot be parsed, or if the header is NULL. Of several such
 * elements the first counts. */
unsigned negotiate_quality(const char *header, const char *name);
