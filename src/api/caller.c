/* SPDX-License-Identifier: MIT */
#include "api/caller.h"

#include "http/exchange.h"

#include <string.h>
#include <strings.h>

bool caller_is_forwarded(struct exchange *exchange)
{
    static const struct {
        const char *name;
        bool is_prefix;
    } headers[] = {
        {"X-Forwarded-", true}, {"Forwarded", false},        {"X-Real-IP", false},
        {"Via", false},         {"CF-Connecting-IP", false},
    };

    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        if (exchange_has_header(exchange, headers[i].name, headers[i].is_prefix))
            return true;
    }
    return false;
}

struct access_caller caller_of(struct exchange *exchange,
                               const struct cidr_list *trusted_proxies)
{
    const struct access_facts facts = {
        .peer = exchange_peer(exchange),
        .local = exchange_local(exchange),
        .is_http_1_1 = exchange_is_http_1_1(exchange),
        .is_tls = exchange_is_tls(exchange),
        .host = exchange_header(exchange, "Host"),
        .origin = exchange_header(exchange, "Origin"),
        .sec_fetch_site = exchange_header(exchange, "Sec-Fetch-Site"),
        .forwarded_for = exchange_header(exchange, "X-Forwarded-For"),
        .has_forwarding_header = caller_is_forwarded(exchange),
    };
    return access_identify(&facts, trusted_proxies);
}

bool caller_is_other_site(struct exchange *exchange)
{
    const char *site = exchange_header(exchange, "Sec-Fetch-Site");
    const char *origin = exchange_header(exchange, "Origin");
    const char *host = exchange_header(exchange, "Host");

    if (site)
        return strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0;
    if (!origin)
        return false;

    const char *authority = strstr(origin, "://");
    return !authority || !host || strcasecmp(authority + 3, host) != 0;
}
