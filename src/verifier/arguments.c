/* SPDX-License-Identifier: MIT */
#include "verifier/arguments.h"

#include "base/err.h"
#include "base/text.h"
#include "net/port_set.h"
#include "verifier/fetch.h"
#include "verifier/ports.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_PORTS     "7466,50800-50900"
#define DEFAULT_REQUIRED  7466
#define SERVER_SEPARATORS ", \t\n"

const char arguments_help[] =
    "port-verifier tells which TCP ports of this machine the internet can reach.\n"
    "\n"
    "usage: port-verifier [OPTION]... [URL]...     ask the checkers at these URLs\n"
    "       port-verifier probe ADDRESS PORTS      look from this machine outward\n"
    "\n"
    "  --ports LIST        ports to verify: 7466,50800-50900 unless named\n"
    "  --required LIST     ports that must be good: 7466 if listed\n"
    "  --in-use LIST       ports to advertise though another program holds them\n"
    "  --quorum N          checkers that must reach a port (1)\n"
    "  --ip ADDRESS        own address, instead of asking for it; once a family\n"
    "  --ca FILE           trust these certificates instead of the system's\n"
    "  --timeout TIME      how long a checker may take (30s), or a port (5s)\n"
    "  --json              print the report as JSON\n"
    "  --output FILE       also write it as JSON to FILE, replaced atomically\n"
    "  --watch TIME        verify again and again, so far apart: 1h\n"
    "  --confirm TIME      a change counts if it is still there then (10s)\n"
    "  --on-change COMMAND run COMMAND at a change, the JSON on its input\n"
    "  --help, --version\n"
    "\n"
    "Without URL the checkers are those in PORT_VERIFIER_SERVERS.\n"
    "Exit status: 0 good, 1 not so, 2 wrong arguments, 3 no checker answered,\n"
    "4 the system refused something.\n";

/* --- values --------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int64_t ns;
} units[] = {
    {"d", 86400 * NS_PER_SECOND}, {"h", 3600 * NS_PER_SECOND}, {"m", 60 * NS_PER_SECOND},
    {"s", NS_PER_SECOND},         {"ms", NS_PER_MS},           {"", NS_PER_SECOND},
};

#define UNIT_COUNT (sizeof units / sizeof units[0])

/* As it would be written: in the largest unit that it is a whole number of. */
static void span_format(struct span span, char ret[32])
{
    size_t unit = 0;
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
    return err_set(err, ERR_INVALID, "\"%.40s\" is no time from %s to %s", text, from, to);
}

static bool list_parse(const char *text, uint16_t **ret_ports, size_t *ret_count,
                       struct err *err)
{
    struct port_set set;
    if (!port_set_init(&set, PORTS_MAX, err))
        return false;

    uint16_t *ports = NULL;
    bool is_fine = ports_parse(text, &set, err);
    if (is_fine) {
        ports = calloc(set.count + 1, sizeof *ports);
        is_fine = ports || err_sys(err, ENOMEM, "arguments");
    }
    if (is_fine) {
        if (set.count > 0)
            memcpy(ports, set.ports, set.count * sizeof *ports);
        ports_sort(ports, set.count);
        free(*ret_ports);
        *ret_ports = ports;
        *ret_count = set.count;
    }
    port_set_done(&set);
    return is_fine;
}

/* What people copy from a checker's page or from an example: all that it answers at. A
 * proxy may serve a checker under a path of its own, but hardly under one of these. */
static bool is_without_route(const char *url, struct err *err)
{
    static const char *const routes[] = {
        "/check-ports", "/docs", "/health", "/ip", "/limits", "/metrics", "/openapi.json",
    };
    const char *path = strchr(strstr(url, "://") + 3, '/');
    size_t path_len = path ? strlen(path) : 0;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        size_t len = strlen(routes[i]);
        if (path_len >= len && strcmp(path + path_len - len, routes[i]) == 0)
            return err_set(err, ERR_INVALID,
                           "\"%.200s\": the checker's URL is wanted, without %s", url,
                           routes[i]);
    }
    return true;
}

static bool server_add(struct arguments *arguments, const char *text, struct err *err)
{
    struct server server;
    if (!fetch_url_check(text, &server.url, &server.literal_family, err))
        return false;
    if (!is_without_route(server.url, err)) {
        free(server.url);
        return false;
    }

    for (size_t i = 0; i < arguments->server_count; i++)
        if (strcmp(arguments->servers[i].url, server.url) == 0) {
            free(server.url);
            return true;
        }
    if (arguments->server_count == CHECKERS_MAX) {
        free(server.url);
        return err_set(err, ERR_INVALID, "more than %d checkers", CHECKERS_MAX);
    }
    arguments->servers[arguments->server_count++] = server;
    return true;
}

static bool servers_parse(struct arguments *arguments, const char *text, struct err *err)
{
    for (text += strspn(text, SERVER_SEPARATORS); *text;
         text += strspn(text, SERVER_SEPARATORS)) {
        size_t len = strcspn(text, SERVER_SEPARATORS);
        char *url = strndup(text, len);
        bool is_fine =
            url ? server_add(arguments, url, err) : err_sys(err, ENOMEM, "arguments");
        free(url);
        if (!is_fine)
            return err_prefix(err, "PORT_VERIFIER_SERVERS");
        text += len;
    }
    return true;
}

static bool address_read(const char *text, struct address *ret, struct err *err)
{
    struct address address;
    if (!address_parse(text, strlen(text), &address, NULL))
        return err_set(err, ERR_INVALID,
                       "\"%.60s\" is no IPv4 or IPv6 address (names are not looked up)",
                       text);
    *ret = address_unmap(&address);
    return true;
}

/* --- options -------------------------------------------------------------------------- */

static bool take_ports(struct arguments *arguments, const char *value, struct err *err)
{
    return list_parse(value, &arguments->ports, &arguments->port_count, err);
}

static bool take_required(struct arguments *arguments, const char *value, struct err *err)
{
    return list_parse(value, &arguments->required, &arguments->required_count, err);
}

static bool take_in_use(struct arguments *arguments, const char *value, struct err *err)
{
    return list_parse(value, &arguments->in_use, &arguments->in_use_count, err);
}

static bool take_quorum(struct arguments *arguments, const char *value, struct err *err)
{
    uint64_t number;
    if (!text_parse_u64(value, strlen(value), CHECKERS_MAX, &number) || number == 0)
        return err_set(err, ERR_INVALID, "a number from 1 to %d is wanted", CHECKERS_MAX);
    arguments->quorum = (unsigned)number;
    return true;
}

static bool take_ip(struct arguments *arguments, const char *value, struct err *err)
{
    struct address address;
    if (!address_read(value, &address, err))
        return false;

    enum family family = address_family_number(&address) == 6 ? FAMILY_6 : FAMILY_4;
    if (arguments->has_ip[family])
        return err_set(err, ERR_INVALID, "two IPv%d addresses", family_number(family));
    arguments->has_ip[family] = true;
    arguments->ip[family] = address;
    return true;
}

static bool take_ca(struct arguments *arguments, const char *value, struct err *err)
{
    if (!fetch_ca_check(value, err))
        return false;
    arguments->ca_file = value;
    return true;
}

static bool take_timeout(struct arguments *arguments, const char *value, struct err *err)
{
    return arguments_parse_span(value, span_ms(100), span_seconds(600), &arguments->timeout,
                                err);
}

static bool take_json(struct arguments *arguments, const char *value, struct err *err)
{
    (void)value;
    (void)err;
    arguments->is_json = true;
    return true;
}

static bool take_output(struct arguments *arguments, const char *value, struct err *err)
{
    if (value[0] == '\0')
        return err_set(err, ERR_INVALID, "the name of a file is wanted");
    arguments->output = value;
    return true;
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

static bool take_on_change(struct arguments *arguments, const char *value, struct err *err)
{
    (void)err;
    arguments->on_change = value;
    return true;
}

static bool take_help(struct arguments *arguments, const char *value, struct err *err)
{
    (void)value;
    (void)err;
    arguments->action = ACTION_HELP;
    return true;
}

static bool take_version(struct arguments *arguments, const char *value, struct err *err)
{
    (void)value;
    (void)err;
    arguments->action = ACTION_VERSION;
    return true;
}

static const struct row {
    const char *name;
    bool (*take)(struct arguments *arguments, const char *value, struct err *err);
    bool has_value;
    bool is_for_probe; /* makes sense there, too */
} rows[] = {
    {"ports", take_ports, true, false},     {"required", take_required, true, true},
    {"in-use", take_in_use, true, false},   {"quorum", take_quorum, true, false},
    {"ip", take_ip, true, false},           {"ca", take_ca, true, false},
    {"timeout", take_timeout, true, true},  {"json", take_json, false, true},
    {"output", take_output, true, true},    {"watch", take_watch, true, false},
    {"confirm", take_confirm, true, false}, {"on-change", take_on_change, true, false},
    {"help", take_help, false, true},       {"version", take_version, false, true},
};

#define ROW_COUNT (sizeof rows / sizeof rows[0])

static void options_make(struct option ret[ROW_COUNT + 1])
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        ret[i] = (struct option){
            .name = rows[i].name,
            .has_arg = rows[i].has_value ? required_argument : no_argument,
            .val = (int)i,
        };
    ret[ROW_COUNT] = (struct option){0};
}

static bool options_parse(int argc, char *argv[], struct arguments *arguments,
                          struct err *err)
{
    struct option options[ROW_COUNT + 1];
    int found;
    options_make(options);
    opterr = 0;
    while ((found = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        if (found == 'h')
            found = (int)(ROW_COUNT - 2);
        if (found == ':')
            return err_set(err, ERR_INVALID, "%s wants a value", argv[optind - 1]);
        if (found == '?')
            return err_set(err, ERR_INVALID, "unknown option \"%.60s\"", argv[optind - 1]);

        const struct row *row = &rows[found];
        if (arguments->action == ACTION_PROBE && !row->is_for_probe)
            return err_set(err, ERR_INVALID, "--%s makes no sense when probing", row->name);
        if (!row->take(arguments, optarg, err))
            return err_prefix(err, "--%s", row->name);
        if (arguments->action == ACTION_HELP || arguments->action == ACTION_VERSION)
            return true;
    }
    return true;
}

/* --- what must fit together ----------------------------------------------------------- */

static bool listed_check(const struct arguments *arguments, const char *option,
                         const uint16_t *ports, size_t count, struct err *err)
{
    size_t ignored;
    for (size_t i = 0; i < count; i++)
        if (!ports_find(arguments->ports, arguments->port_count, ports[i], &ignored))
            return err_set(err, ERR_INVALID, "--%s names %u, which is not among the ports",
                           option, ports[i]);
    return true;
}

static bool required_default(struct arguments *arguments, struct err *err)
{
    size_t ignored;
    if (arguments->required)
        return true;
    if (!list_parse("", &arguments->required, &arguments->required_count, err))
        return false;
    if (ports_find(arguments->ports, arguments->port_count, DEFAULT_REQUIRED, &ignored)) {
        arguments->required[0] = DEFAULT_REQUIRED; /* lists have room for one more */
        arguments->required_count = 1;
    }
    return true;
}

static bool ports_check(struct arguments *arguments, struct err *err)
{
    if (arguments->port_count == 0)
        return err_set(err, ERR_INVALID, "no ports are listed");
    return required_default(arguments, err) &&
           listed_check(arguments, "required", arguments->required,
                        arguments->required_count, err) &&
           listed_check(arguments, "in-use", arguments->in_use, arguments->in_use_count,
                        err);
}

bool arguments_want(const struct arguments *arguments, const struct server *server,
                    enum family family)
{
    bool has_any_ip = arguments->has_ip[FAMILY_4] || arguments->has_ip[FAMILY_6];
    if (has_any_ip && !arguments->has_ip[family])
        return false;
    return server->literal_family == 0 || server->literal_family == family_number(family);
}

static bool servers_check(const struct arguments *arguments, struct err *err)
{
    if (arguments->server_count == 0)
        return err_set(err, ERR_INVALID,
                       "no checker is named: give its URL, or set PORT_VERIFIER_SERVERS");
    if (arguments->quorum > arguments->server_count)
        return err_set(err, ERR_INVALID,
                       "--quorum %u wants as many checkers, and %zu %s named",
                       arguments->quorum, arguments->server_count,
                       arguments->server_count == 1 ? "is" : "are");
    for (size_t i = 0; i < arguments->server_count; i++)
        for (enum family family = 0; family < FAMILY_COUNT; family++)
            if (arguments_want(arguments, &arguments->servers[i], family))
                return true;
    return err_set(err, ERR_INVALID,
                   "--ip names no address of a family that these checkers are reached by");
}

static bool verify_check(int argc, char *argv[], const char *servers,
                         struct arguments *arguments, struct err *err)
{
    if (!arguments->ports && !take_ports(arguments, DEFAULT_PORTS, err))
        return false;
    for (int i = optind; i < argc; i++)
        if (!server_add(arguments, argv[i], err))
            return false;
    if (arguments->server_count == 0 && servers && !servers_parse(arguments, servers, err))
        return false;
    if (arguments->on_change && !arguments->is_watching)
        return err_set(err, ERR_INVALID, "--on-change makes sense with --watch only");
    return ports_check(arguments, err) && servers_check(arguments, err);
}

static bool probe_check(int argc, char *argv[], struct arguments *arguments,
                        struct err *err)
{
    if (argc - optind != 2)
        return err_set(err, ERR_INVALID, "probe wants an address and ports");
    if (!address_read(argv[optind], &arguments->target, err) ||
        !take_ports(arguments, argv[optind + 1], err))
        return false;
    if (arguments->timeout.ns < span_ms(500).ns ||
        arguments->timeout.ns > span_seconds(20).ns)
        return err_set(err, ERR_INVALID, "--timeout of a port is 0.5 to 20 seconds");
    return ports_check(arguments, err);
}

bool arguments_parse(int argc, char *argv[], const char *servers, struct arguments *ret,
                     struct err *err)
{
    bool is_probe = argc > 1 && strcmp(argv[1], "probe") == 0;
    struct arguments arguments = {
        .action = is_probe ? ACTION_PROBE : ACTION_VERIFY,
        .quorum = 1,
        .timeout = span_seconds(is_probe ? 5 : 30),
        .confirm = span_seconds(10),
    };
    int shift = is_probe;
    bool is_fine = options_parse(argc - shift, argv + shift, &arguments, err);
    if (is_fine && arguments.action == ACTION_VERIFY)
        is_fine = verify_check(argc, argv, servers, &arguments, err);
    else if (is_fine && arguments.action == ACTION_PROBE)
        is_fine = probe_check(argc - shift, argv + shift, &arguments, err);
    if (!is_fine) {
        arguments_done(&arguments);
        return false;
    }
    *ret = arguments;
    return true;
}

void arguments_done(struct arguments *arguments)
{
    for (size_t i = 0; i < arguments->server_count; i++)
        free(arguments->servers[i].url);
    arguments->server_count = 0;
    free(arguments->ports);
    free(arguments->required);
    free(arguments->in_use);
    arguments->ports = arguments->required = arguments->in_use = NULL;
}
