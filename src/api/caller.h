/* SPDX-License-Identifier: MIT
 *
 * Who sent a request: passes what the HTTP side knows to the policy, and tells the
 * operator about unknown callers.
 */
#pragma once

#include "base/clock.h"
#include "metrics/metrics.h"
#include "policy/access.h"

#include <stdatomic.h>
#include <stdint.h>

struct exchange;

/* Call these before the handler returns: headers are borrowed. */
struct access_caller caller_of(struct exchange *exchange, const struct settings *settings);

/* For a page that only shows something. Ignores Origin and Sec-Fetch-Site, because a link
 * on another site may lead to it. */
struct access_caller caller_of_reader(struct exchange *exchange,
                                      const struct settings *settings);

/* Whether the request has a header that proxies add, from any sender. */
bool caller_is_forwarded(struct exchange *exchange);

/* Whether the list names the Origin, which may be NULL. Origins are compared as browsers
 * send them: byte by byte. "*" does not count. */
bool caller_origin_is_listed(const struct origin_list *list, const char *origin);

/* When the last warning was logged; 0: never. Shared by all workers. */
struct caller_warnings {
    _Atomic int64_t last_ns;
};

/* Logs a warning about an unknown caller, at most once a minute. */
void caller_warn_unknown(struct exchange *exchange, const struct access_caller *caller,
                         struct caller_warnings *warnings, struct instant now);

/* The metric that counts the refusal of an unknown caller. */
enum metric caller_unknown_metric(const struct access_caller *caller);
