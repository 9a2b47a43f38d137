/* SPDX-License-Identifier: MIT
 *
 * Names of places and of fronts: 1 to 32 lower-case letters, digits and hyphens. So a name
 * is one token of a NATS subject, a queue group, a label of a metric, and needs no escapes
 * in JSON and HTML.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define PLACE_NAME_MAX  32
#define PLACE_NAME_SIZE (PLACE_NAME_MAX + 1)

/* Places that one front knows at the same time, its own included. */
#define PLACES_MAX      16

bool place_name_is_valid(const char *text, size_t len);

/* Copies a valid name. False for any other text. */
bool place_name_parse(const char *text, size_t len, char ret[PLACE_NAME_SIZE]);

struct place_list {
    size_t count;
    char names[PLACES_MAX][PLACE_NAME_SIZE];
};
