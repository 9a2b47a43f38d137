/* SPDX-License-Identifier: MIT
 *
 * How many connections are open, in all workers and per caller (address_key_caller), and
 * whether one more is allowed. Thread-safe; bounded, as each caller in its table has at
 * least one connection.
 */
#pragma once

#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>

struct admission;
struct err;

enum admission_answer {
    ADMISSION_GRANTED,
    ADMISSION_FULL,        /* the total limit, or no memory */
    ADMISSION_CALLER_FULL, /* this caller's limit */
};

bool admission_new(size_t connections_max, size_t per_caller_max, struct admission **ret,
                   struct err *err);
struct admission *admission_free(struct admission *admission);

/* Counts one connection in. `is_unlimited` exempts from the caller's limit, not from the
 * total limit. */
enum admission_answer admission_enter(struct admission *admission,
                                      const struct address *peer, bool is_unlimited);

/* Counts one granted connection out; same arguments as for admission_enter(). */
void admission_leave(struct admission *admission, const struct address *peer,
                     bool is_unlimited);

/* Connections that have not left. For tests, to see that each is counted out once. */
size_t admission_connections(struct admission *admission);
