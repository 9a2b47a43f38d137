/* SPDX-License-Identifier: MIT
 *
 * Who sent a request: what the HTTP side saw of it, handed to the policy.
 */
#pragma once

#include "policy/access.h"

struct exchange;

/* Call before the handler returns: headers are borrowed. */
struct access_caller caller_of(struct exchange *exchange,
                               const struct cidr_list *trusted_proxies);

/* Whether the request names forwarders, whoever wrote that: any X-Forwarded-*, Forwarded,
 * X-Real-IP, Via or CF-Connecting-IP. */
bool caller_is_forwarded(struct exchange *exchange);

/* Whether a browser says that a page of another site sent this: by Sec-Fetch-Site, or by an
 * Origin that is not Host where there is none (browsers leave it out over plain HTTP). */
bool caller_is_other_site(struct exchange *exchange);
