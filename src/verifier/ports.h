/* SPDX-License-Identifier: MIT
 *
 * Lists of ports as people write and read them: "7466,50800-50900". Pure.
 */
#pragma once

#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct port_set;

#define PORT_COUNT 65536

/* Ports and ranges, separated by commas or spaces, added to `set`. An empty text adds none.
 * If `inner` is not NULL, a port or range may be followed by a colon and the port or
 * equally long range to which it leads: `inner`, PORT_COUNT long, gets that port for each
 * of them; others keep what they have. ERR_INVALID: its message completes "must be ...",
 * and the content of the set is undefined. */
bool ports_parse(const char *text, struct port_set *set, uint16_t *inner, struct err *err);

/* Puts the ports in ascending order. */
void ports_sort(uint16_t *ports, size_t count);

/* Whether `port` is among ascending ports, and where. */
bool ports_find(const uint16_t *ports, size_t count, uint16_t port, size_t *ret_index);

/* Appends ascending ports with ranges for neighbours: "7466,50800-50847". */
void ports_format(const uint16_t *ports, size_t count, struct text *text);
