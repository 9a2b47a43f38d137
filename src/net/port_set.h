/* SPDX-License-Identifier: MIT
 *
 * A set of TCP ports that keeps the order in which they were added, with a limit on their
 * number. Adding costs time for each new port, and for 1/64 of the width of the added
 * range: a thousand overlapping ranges cost almost nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

struct port_set {
    uint16_t *ports; /* owned; in the order in which they were first added */
    size_t count;
    size_t max;
    uint64_t member[65536 / 64]; /* bit p: port p is in */
};

/* `max` distinct ports, 1-65535. ERR_SYSTEM without memory. */
bool port_set_init(struct port_set *set, size_t max, struct err *err);
void port_set_done(struct port_set *set);
void port_set_clear(struct port_set *set);

/* Adds first..last, both included and 1-65535, first <= last. False, with the set
 * unchanged, if there would be more than `max` distinct ports. */
bool port_set_add(struct port_set *set, uint16_t first, uint16_t last);

/* Range text: "50800-50900", digits-digits of 1-5 digits each, first <= last, both
 * 1-65535, nothing around it. ERR_INVALID. */
bool port_range_parse(const char *text, size_t len, uint16_t *ret_first, uint16_t *ret_last,
                      struct err *err);
