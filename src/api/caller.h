/* SPDX-License-Identifier: MIT
 *
 * Who sent a request: passes what the HTTP side knows to the policy.
 */
#pragma once

#include "policy/access.h"

struct exchange;

/* Call before the handler returns: headers are borrowed. */
struct access_caller caller_of(struct exchange *exchange,
                               const struct cidr_list *trusted_proxies);

/* Whether the request names forwarders, from any sender: any X-Forwarded-*, Forwarded,
 * X-Real-IP, Via or CF-Connecting-IP. */
bool caller_is_forwarded(struct exchange *exchange);

/* Whether a page of another site sent this, according to the browser: by Sec-Fetch-Site, or
 * without it (browsers omit it over plain HTTP) by an Origin that is not Host. */
bool caller_is_other_site(struct exchange *exchange);
