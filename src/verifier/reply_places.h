/* SPDX-License-Identifier: MIT
 *
 * What the places of a checker say about one port, from its entry in a reply:
 *
 *     "vantages": {"eu-1": {"state": "open", "rtt_ms": 12.3, "proof": "match"},
 *                  "ap-1": {"state": "closed", "error": "Connection refused"},
 *                  "us-1": {"state": "missing", "reason": "no_answer"}}
 *
 * As strict as reply.h: a place whose name is not one, or that contradicts itself, spoils
 * the entry. A word that this version does not know is that of a newer checker. Pure.
 */
#pragma once

#include "verifier/place_table.h"

#include <stdbool.h>
#include <stddef.h>

struct json_t;

/* Fills in what is said about the port with index `port` of `port_count`, and makes the
 * table if there is something to say. An entry without `vantages` says nothing. False, with
 * nothing said about that port, if it makes no sense or without memory. */
bool reply_places_read(const struct json_t *entry, size_t port, size_t port_count,
                       struct place_table **table);

/* Whether places are missing for that port, and the address has limited none. */
bool reply_places_want(const struct place_table *table, size_t port);
