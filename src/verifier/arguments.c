/* SPDX-License-Identifier: MIT */
#include "verifier/arguments.h"

#include "base/err.h"
#include "base/options.h"
#include "base/text.h"
#include "net/port_set.h"
#include "receipt/receipts.h"
#include "verifier/arguments_fit.h"
#include "verifier/fetch.h"
#include "verifier/ports.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVER_SEPARATORS ", \t\n"

/* --- values --------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int64_t ns;
} units[] = {
    {"d", 86400 * NS_PER_SECOND}, {"h", 3600 * NS_PER_SECOND}, {"m", 60 * NS_PER_SECOND},
    {"s", NS_PER_SECOND},         {"ms", NS_PER_MS},           {"", NS_PER_SECOND},
};

#define UNIT_COUNT (sizeof units / sizeof units[0])

/* In the largest unit of which the span is a whole number: "90s", "2m". */
static void span_format(struct span span, char ret[32])
{
    size_t unit = span.ns == 0 ? UNIT_COUNT - 1 : 0;
    while (units[unit].ns > NS_PER_MS && span.ns % units[unit].ns != 0)
        unit++;
    snprintf(ret, 32, "%lld%s", (long long)(span.ns / units[unit].ns), units[unit].name);
}

bool arguments_parse_span(const char *text, struct span least, struct span most,
                          struct span *ret, struct err *err)
{
    char from[32];
    char to[32];
    size_t len = strspn(text, "0123456789");
    uint64_t number;
    bool is_number = text_parse_u64(text, len, 1000000, &number);
    for (size_t i = 0; is_number && i < UNIT_COUNT; i++) {
        if (strcmp(text + len, units[i].name) != 0)
            continue;
        if ((int64_t)number > most.ns / units[i].ns)
            break;
        struct span span = {(int64_t)number * units[i].ns};
        if (span.ns < least.ns)
            break;
        *ret = span;
        return true;
    }
    span_format(least, from);
    span_format(most, to);
    return err_set(err, ERR_INVALID, "between %s and %s", from, to);
}

/* Adds to the list. `inner` is that of ports_parse(). */
static bool list_add(const char *text, uint16_t **list, size_t *count, uint16_t *inner,
                     struct err *err)
{
    struct port_set set;
    if (!port_set_init(&set, PORTS_MAX, err))
        return false;

    for (size_t i = 0; *list && i < *count; i++)
        port_set_add(&set, (*list)[i], (*list)[i]);
    uint16_t *ports = NULL;
    bool is_fine = ports_parse(text, &set, inner, err);
    if (is_fine) {
        ports = calloc(set.count + 1, sizeof *ports);
        is_fine = ports || err_sys(err, ENOMEM, "arguments");
    }
    if (is_fine) {
        if (set.count > 0)
            memcpy(ports, set.ports, set.count * sizeof *ports);
        ports_sort(ports, set.count);
        free(*list);
        *list = ports;
        *count = set.count;
    }
    port_set_done(&set);
    return is_fine;
}

/* --- checkers ------------------------------------------------------------------------- */

/* Paths that people copy from a checker's page or from an example. A proxy may serve a
 * checker under a path, but hardly under one of these. */
/* `text` is what was given for `url`. */
static bool is_without_route(const char *url, const char *text, struct err *err)
{
    static const char *const routes[] = {
        "/check-ports", "/docs",    "/health",       "/ip",
        "/limits",      "/metrics", "/openapi.json", RECEIPT_KEYS_PATH,
    };
    const char *path = strchr(strstr(url, "://") + 3, '/');
    size_t path_len = path ? strlen(path) : 0;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        size_t len = strlen(routes[i]);
        if (path_len >= len && strcmp(path + path_len - len, routes[i]) == 0)
            return err_set(err, ERR_INVALID,
                           "\"%.120s\": give the checker's URL without %s", text,
                           routes[i]);
    }
    return true;
}

static bool endpoint_is_listed(const struct arguments *arguments, const char *url)
{
    for (size_t i = 0; i < arguments->endpoint_count; i++)
        if (strcmp(arguments->endpoints[i].url, url) == 0)
            return true;
    return false;
}

static void endpoint_done(struct endpoint *endpoint)
{
    free(endpoint->url);
    free(endpoint->other_url);
}

static bool endpoint_add(struct arguments *arguments, const char *text, struct err *err)
{
    struct endpoint endpoint;
    if (!fetch_url_check(text, &endpoint.url, &endpoint.other_url, &endpoint.literal_family,
                         err))
        return false;

    bool is_fine = is_without_route(endpoint.url, text, err);
    bool is_listed = endpoint_is_listed(arguments, endpoint.url);
    if (is_fine && !is_listed && arguments->endpoint_count == CHECKERS_MAX)
        is_fine = err_set(err, ERR_INVALID, "more than %d checkers given", CHECKERS_MAX);
    if (is_fine && !is_listed)
        arguments->endpoints[arguments->endpoint_count++] = endpoint;
    else
        endpoint_done(&endpoint);
    return is_fine;
}

static bool endpoints_parse(struct arguments *arguments, const char *text, struct err *err)
{
    for (text += strspn(text, SERVER_SEPARATORS); *text;
         text += strspn(text, SERVER_SEPARATORS)) {
        size_t len = strcspn(text, SERVER_SEPARATORS);
        char *url = strndup(text, len);
        bool is_fine =
            url ? endpoint_add(arguments, url, err) : err_sys(err, ENOMEM, "arguments");
        free(url);
        if (!is_fine)
            return err_prefix(err, "PORT_VERIFIER_SERVERS");
        text += len;
    }
    return true;
}

/* --- options: what is refused completes "must be ..." -------------------------------- */

static bool take_ports(struct arguments *arguments, const char *value, struct err *err)
{
    if (!arguments->inner_of)
        arguments->inner_of = calloc(PORT_COUNT, sizeof *arguments->inner_of);
    if (!arguments->inner_of)
        return err_sys(err, ENOMEM, "arguments");
    return list_add(value, &arguments->ports, &arguments->port_count, arguments->inner_of,
                    err);
}

static bool take_required(struct arguments *arguments, const char *value, struct err *err)
{
    return list_add(value, &arguments->required, &arguments->required_count, NULL, err);
}

static bool take_in_use(struct arguments *arguments, const char *value, struct err *err)
{
    return list_add(value, &arguments->in_use, &arguments->in_use_count, NULL, err);
}

static bool take_quorum(struct arguments *arguments, const char *value, struct err *err)
{
    uint64_t number;
    if (!text_parse_u64(value, strlen(value), CHECKERS_MAX, &number) || number == 0)
        return err_set(err, ERR_INVALID, "between 1 and %d", CHECKERS_MAX);
    arguments->quorum = (unsigned)number;
    return true;
}

static enum family family_of(const struct address *address)
{
    return address_family_number(address) == 6 ? FAMILY_6 : FAMILY_4;
}

static bool take_ip(struct arguments *arguments, const char *value, struct err *err)
{
    struct address address;
    if (!address_parse(value, strlen(value), &address, NULL))
        return err_set(err, ERR_INVALID, "an IPv4 or IPv6 address");

    address = address_unmap(&address);
    enum family family = family_of(&address);
    if (arguments->has_ip[family])
        return err_set(err, ERR_INVALID, "at most one IPv4 and one IPv6 address");
    arguments->has_ip[family] = true;
    arguments->ip[family] = address;
    return true;
}

/* Names of interfaces are what the kernel allows (dev_valid_name), and no list. */
static bool is_interface(const char *text)
{
    size_t len = strlen(text);
    return len > 0 && len < IF_NAMESIZE && strcspn(text, "/: \t\n,!") == len;
}

static bool take_source(struct arguments *arguments, const char *value, struct err *err)
{
    struct address address;
    bool is_address = address_parse(value, strlen(value), &address, NULL);
    if (!is_address && !is_interface(value))
        return err_set(err, ERR_INVALID, "an address or an interface of this machine");

    enum family family = is_address ? family_of(&address) : FAMILY_4;
    bool is_taken =
        is_address ? arguments->has_source[family]
                   : arguments->has_source[FAMILY_4] || arguments->has_source[FAMILY_6];
    if (is_taken || arguments->source_interface)
        return err_set(err, ERR_INVALID, "one address for each family, or one interface");
    if (is_address) {
        arguments->source[family] = address;
        arguments->has_source[family] = true;
    } else {
        arguments->source_interface = value;
    }
    return true;
}

static bool take_ca(struct arguments *arguments, const char *value, struct err *err)
{
    struct err why;
    arguments->ca_file = value;
    return fetch_ca_check(value, &why) ||
           err_set(err, ERR_INVALID, "a file of CA certificates in PEM format (%s)",
                   why.message);
}

static bool take_timeout(struct arguments *arguments, const char *value, struct err *err)
{
    return arguments_parse_span(value, span_ms(100), span_seconds(600), &arguments->timeout,
                                err);
}

static bool take_output(struct arguments *arguments, const char *value, struct err *err)
{
    arguments->output = value;
    return value[0] || err_set(err, ERR_INVALID, "the name of a file");
}

static bool take_state(struct arguments *arguments, const char *value, struct err *err)
{
    arguments->state = value;
    return value[0] || err_set(err, ERR_INVALID, "the name of a file");
}

static bool take_watch(struct arguments *arguments, const char *value, struct err *err)
{
    arguments->is_watching = true;
    return arguments_parse_span(value, span_seconds(1), span_seconds(30 * 86400),
                                &arguments->watch, err);
}

static bool take_confirm(struct arguments *arguments, const char *value, struct err *err)
{
    return arguments_parse_span(value, span_ms(100), span_seconds(3600),
                                &arguments->confirm, err);
}

static bool take_patience(struct arguments *arguments, const char *value, struct err *err)
{
    return arguments_parse_span(value, span_ms(0), span_seconds(3600), &arguments->patience,
                                err);
}

static bool take_on_change(struct arguments *arguments, const char *value, struct err *err)
{
    arguments->on_change = value;
    return value[0] || err_set(err, ERR_INVALID, "a shell command");
}

static bool take_receipt(struct arguments *arguments, const char *value, struct err *err)
{
    arguments->receipt = value;
    return value[0] || err_set(err, ERR_INVALID, "the name of a file");
}

static bool take_for(struct arguments *arguments, const char *value, struct err *err)
{
    size_t len = strlen(value);
    bool is_fine = len >= 1 && len <= RECEIPT_FOR_MAX;
    for (size_t i = 0; is_fine && i < len; i++)
        is_fine = value[i] >= ' ' && value[i] <= '~';
    arguments->for_text = value;
    return is_fine ||
           err_set(err, ERR_INVALID, "1 to %d printable ASCII characters", RECEIPT_FOR_MAX);
}

static bool take_jwks(struct arguments *arguments, const char *value, struct err *err)
{
    arguments->jwks = value;
    return value[0] || err_set(err, ERR_INVALID, "the name of a file, or a URL");
}

static bool take_issuer(struct arguments *arguments, const char *value, struct err *err)
{
    arguments->issuer = value;
    return strstr(value, "://") ||
           err_set(err, ERR_INVALID, "a URL, as in the iss of the receipts");
}

/* Options without a value. */
#define FLAG(function, effect)                                                             \
    static bool function(struct arguments *arguments, const char *value, struct err *err)  \
    {                                                                                      \
        (void)value;                                                                       \
        (void)err;                                                                         \
        arguments->effect;                                                                 \
        return true;                                                                       \
    }
FLAG(take_ipv4, is_family[FAMILY_6] = false)
FLAG(take_ipv6, is_family[FAMILY_4] = false)
FLAG(take_lan, is_lan = true)
FLAG(take_no_router, has_no_router = true)
FLAG(take_map, is_mapping = true)
FLAG(take_map_keep, is_map_kept = true)
FLAG(take_json, is_json = true)
FLAG(take_quiet, is_quiet = true)
FLAG(take_help, action = ACTION_HELP)
FLAG(take_version, action = ACTION_VERSION)

static bool take(void *ctx, size_t row, const char *value, struct err *err)
{
    static bool (*const takes[])(struct arguments *, const char *, struct err *) = {
#define OPTION(take, ...) take,
#include "verifier/options.def"
#undef OPTION
    };
    return takes[row](ctx, value, err);
}

/* --- what must fit together ----------------------------------------------------------- */

static bool verify_check(const struct option_rest *rest, const char *servers,
                         struct arguments *arguments, struct err *err)
{
    if (!arguments->ports && !take_ports(arguments, ARGUMENTS_PORTS, err))
        return false;
    for (int i = 0; i < rest->operand_count; i++)
        if (!endpoint_add(arguments, rest->operands[i], err))
            return false;
    if (arguments->endpoint_count == 0 && servers &&
        !endpoints_parse(arguments, servers, err))
        return false;
    return arguments_fit_ports(arguments, err) && arguments_fit_endpoints(arguments, err);
}

static bool probe_check(const struct option_rest *rest, struct arguments *arguments,
                        struct err *err)
{
    if (rest->operand_count != 2)
        return err_set(err, ERR_INVALID,
                       "probe needs one host and one list of ports, for example "
                       "port-verifier probe 203.0.113.7 " ARGUMENTS_PORTS);
    struct address address;
    arguments->target = rest->operands[0];
    if (address_parse(arguments->target, strlen(arguments->target), &address, NULL) &&
        !arguments->is_family[family_of(&address)])
        return err_set(err, ERR_INVALID, "%s excludes the address %s",
                       arguments->is_family[FAMILY_4] ? "-4" : "-6", arguments->target);
    struct err why;
    if (!take_ports(arguments, "", err))
        return false;
    if (!list_add(rest->operands[1], &arguments->ports, &arguments->port_count, NULL, &why))
        return err_set(err, why.kind, "\"%.60s\": PORTS must be %s, for example %s",
                       rest->operands[1], why.message, ARGUMENTS_PORTS);
    if (arguments->timeout.ns < span_ms(500).ns ||
        arguments->timeout.ns > span_seconds(20).ns)
        return err_set(err, ERR_INVALID,
                       "probe: --timeout must be between 500ms and 20s, for example 5s");
    return arguments_fit_ports(arguments, err);
}

static bool receipt_check(const struct option_rest *rest, struct arguments *arguments,
                          struct err *err)
{
    if (rest->operand_count != 1)
        return err_set(err, ERR_INVALID,
                       "receipt needs one file, for example port-verifier receipt "
                       "receipts.txt --jwks https://checker.example" RECEIPT_KEYS_PATH);
    arguments->receipt = rest->operands[0];
    return true;
}

static bool fit_check(const struct option_rest *rest, const char *servers,
                      struct arguments *arguments, struct err *err)
{
    bool is_probe = arguments->action == ACTION_PROBE;
    if (!arguments->is_family[FAMILY_4] && !arguments->is_family[FAMILY_6])
        return err_set(err, ERR_INVALID,
                       "-4 and -6 cannot be combined; leave out both to use IPv4 "
                       "and IPv6");
    if (arguments->is_json && arguments->is_quiet)
        return err_set(err, ERR_INVALID, "--json and --quiet cannot be combined");
    if (arguments->is_mapping && arguments->has_no_router)
        return err_set(err, ERR_INVALID, "--map and --no-router cannot be combined");
    if (arguments->timeout.ns == 0)
        arguments->timeout = span_seconds(is_probe ? 5 : 30);
    if (arguments->action == ACTION_RECEIPT)
        return receipt_check(rest, arguments, err);
    if (arguments->for_text && !arguments->receipt)
        return err_set(err, ERR_INVALID,
                       "--for needs --receipt, for example --receipt receipts.txt");
    return is_probe ? probe_check(rest, arguments, err)
                    : verify_check(rest, servers, arguments, err);
}

bool arguments_parse(int argc, char *argv[], const char *servers, struct arguments *ret,
                     struct err *err)
{
    struct arguments arguments = {
        .is_family = {true, true},
        .quorum = 1,
        .confirm = span_seconds(10),
        .patience = span_seconds(45),
    };
    struct option_rest rest;
    bool is_fine = options_parse(&options_table, argc, argv, take, &arguments, &rest, err);
    if (is_fine && !rest.is_ended) {
        static const enum action actions[] = {ACTION_VERIFY, ACTION_PROBE, ACTION_RECEIPT};
        arguments.action = actions[rest.command];
        is_fine = fit_check(&rest, servers, &arguments, err);
    }
    if (!is_fine) {
        arguments_done(&arguments);
        return false;
    }
    *ret = arguments;
    return true;
}

void arguments_done(struct arguments *arguments)
{
    for (size_t i = 0; i < arguments->endpoint_count; i++)
        endpoint_done(&arguments->endpoints[i]);
    arguments->endpoint_count = 0;
    free(arguments->ports);
    free(arguments->required);
    free(arguments->in_use);
    free(arguments->inner_of);
    free(arguments->inner);
    free(arguments->held);
    free(arguments->held_index);
    free(arguments->order);
    arguments->ports = arguments->required = arguments->in_use = NULL;
    arguments->inner_of = arguments->inner = arguments->held = NULL;
    arguments->held_index = arguments->order = NULL;
}
