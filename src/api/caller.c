/* SPDX-License-Identifier: MIT */
#include "api/caller.h"

#include "base/log.h"
#include "http/exchange.h"

#include <string.h>

#define WARNING_SECONDS 60

bool caller_is_forwarded(struct exchange *exchange)
{
    static const struct {
        const char *name;
        bool is_prefix;
    } headers[] = {
        {"X-Forwarded-", true},
        {"Forwarded", false},
        {"Via", false},
        {"X-Real-IP", false},
        {"X-Client-IP", false},
        {"X-Cluster-Client-IP", false},
        {"X-Original-Forwarded-For", false},
        {"X-Original-Host", false},
        {"X-ProxyUser-IP", false},
        {"True-Client-IP", false},
        {"Client-IP", false},
        {"DO-Connecting-IP", false}, /* DigitalOcean */
        {"Cdn-Loop", false},
        {"CF-", true}, /* Cloudflare: CF-Connecting-IP, CF-Connecting-IPv6, CF-Ray ... */
        {"Fly-", true},
        {"Fastly-", true},
        {"CloudFront-", true},
        {"X-Amzn-Trace-Id", false},
        {"X-Amz-Cf-Id", false},
        {"X-Azure-", true},
        {"X-Envoy-", true},
        {"X-Akamai-", true},
        {"X-Vercel-", true},
        {"X-AppEngine-", true},
        {"X-Nf-", true}, /* Netlify */
        {"Tailscale-", true},
    };

    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        if (exchange_has_header(exchange, headers[i].name, headers[i].is_prefix))
            return true;
    }
    return false;
}

bool caller_origin_is_listed(const struct origin_list *list, const char *origin)
{
    for (size_t i = 0; origin && i < list->count; i++) {
        if (strcmp(list->items[i], origin) == 0)
            return true;
    }
    return false;
}

static struct access_facts facts_of(struct exchange *exchange,
                                    const struct settings *settings)
{
    const char *origin = exchange_header(exchange, "Origin");
    return (struct access_facts){
        .peer = exchange_peer(exchange),
        .local = exchange_local(exchange),
        .is_http_1_1 = exchange_is_http_1_1(exchange),
        .is_tls = exchange_is_tls(exchange),
        .host = exchange_header(exchange, "Host"),
        .origin = origin,
        .sec_fetch_site = exchange_header(exchange, "Sec-Fetch-Site"),
        .forwarded_for = exchange_header(exchange, "X-Forwarded-For"),
        .forwarded = exchange_header(exchange, "Forwarded"),
        .forwarded_host = exchange_header(exchange, "X-Forwarded-Host"),
        .has_forwarding_header = caller_is_forwarded(exchange),
        .is_origin_listed = caller_origin_is_listed(&settings->cors_origins, origin),
        .is_any_origin_listed = settings->cors_origins.is_any,
    };
}

struct access_caller caller_of(struct exchange *exchange, const struct settings *settings)
{
    const struct access_facts facts = facts_of(exchange, settings);
    return access_identify(&facts, &settings->trusted_proxies);
}

struct access_caller caller_of_reader(struct exchange *exchange,
                                      const struct settings *settings)
{
    struct access_facts facts = facts_of(exchange, settings);
    facts.origin = facts.sec_fetch_site = NULL;
    return access_identify(&facts, &settings->trusted_proxies);
}

static bool is_warning_due(struct caller_warnings *warnings, struct instant now)
{
    int64_t last = atomic_load_explicit(&warnings->last_ns, memory_order_relaxed);
    return (last == 0 || now.ns - last >= WARNING_SECONDS * NS_PER_SECOND) &&
           atomic_compare_exchange_strong(&warnings->last_ns, &last, now.ns);
}

void caller_warn_unknown(struct exchange *exchange, const struct access_caller *caller,
                         struct caller_warnings *warnings, struct instant now)
{
    struct log_line line;
    char peer[ADDRESS_TEXT_SIZE];
    const char *host = exchange_header(exchange, "Host");

    if (!is_warning_due(warnings, now) ||
        !log_begin(&line, LOG_LEVEL_WARNING, "caller_unknown"))
        return;

    log_str(&line, "peer", address_format(&caller->address, peer));
    log_str(&line, "reason", access_ground_code(caller->ground));
    log_str(&line, "message", access_ground_sentence(caller->ground));
    if (host)
        log_str(&line, "host", host); /* last: a long one is cut off */
    log_end(&line);
}

enum metric caller_unknown_metric(const struct access_caller *caller)
{
    return caller->ground == ACCESS_UNREADABLE ? METRIC_REFUSED_BAD_FORWARDED
                                               : METRIC_REFUSED_CALLER_UNKNOWN;
}
