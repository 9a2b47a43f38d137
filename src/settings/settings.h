/* SPDX-License-Identifier: MIT
 *
 * What the operator can set. settings.def is the only list: parsing, --help, the manual
 * page and .env.example are made from it.
 *
 * Order: the environment, then the `.env` file, then the default. Empty means not set.
 * Spaces, tabs and line ends around a value are ignored. An invalid value is an ERR_INVALID
 * that names the variable, the value, its source and what is accepted:
 *
 *     PORT_CHECK_TIMEOUT="soon" (from .env) is not valid; accepted: 0.5 to 20 seconds
 */
#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "base/place_name.h"
#include "net/address.h"
#include "net/cidr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct err;

#define SETTINGS_ORIGINS_MAX          32
#define SETTINGS_WORKERS_MAX          256
#define SETTINGS_USER_SIZE            33          /* useradd(8) allows 32 characters */
#define SETTINGS_FILE_MAX             (1ul << 20) /* bytes of a .env file */

#define SETTINGS_TLS_PRIORITY_SIZE    512
#define SETTINGS_ISSUER_SIZE          256
#define SETTINGS_TLS_PRIORITY_EXAMPLE "NORMAL:-VERS-ALL:+VERS-TLS1.3"

/* The addresses that a caller may name: docs/policy.md. */
#define TARGETS_MAP(X)                                                                     \
    X(AUTO, "auto", "its own address; for the operator on loopback, any unicast address")  \
    X(CALLER, "caller", "only its own address")                                            \
    X(PUBLIC, "public", "any globally reachable address except those of this machine")     \
    X(ANY, "any", "any unicast address, for a LAN or a laboratory")

enum targets {
#define X(NAME, text, description) TARGETS_##NAME,
    TARGETS_MAP(X)
#undef X
};

/* How the serving process is confined: docs/deploy.md. */
#define SANDBOX_MAP(X)                                                                     \
    X(AUTO, "auto", "with every layer that the kernel has")                                \
    X(REQUIRE, "require", "with all layers; the service does not start without one")       \
    X(OFF, "off", "not at all, to track down an error")

enum sandbox {
#define X(NAME, text, description) SANDBOX_##NAME,
    SANDBOX_MAP(X)
#undef X
};

struct origin_list {
    bool is_any; /* "*" */
    size_t count;
    char items[SETTINGS_ORIGINS_MAX][256]; /* scheme://host[:port], as browsers send it */
};

struct rate {
    double per_second; /* ports; 0 = unlimited */
};

#define SETTINGS_NATS_SERVERS_MAX 8

struct nats_server {
    bool is_tls;
    char host[256]; /* a name, or an address; without brackets */
    uint16_t port;
};

struct nats_server_list {
    size_t count; /* 0 = no NATS */
    struct nats_server items[SETTINGS_NATS_SERVERS_MAX];
};

struct settings {
    struct address host; /* includes `port` */
    uint16_t port;
    bool debug;
    struct span check_timeout;
    unsigned check_retries;
    struct span check_retry_delay;
    unsigned workers; /* 0 was replaced by the number of processors we may use */
    enum targets targets;
    struct cidr_list trusted_proxies;
    size_t max_ports;
    size_t max_probes; /* 0 = from the descriptor limit */
    size_t max_connections;
    size_t max_connections_per_caller;
    struct rate rate;
    struct cidr_list metrics_from;
    struct origin_list cors_origins;
    char tls_cert[4096]; /* path; "" = plain HTTP */
    char tls_key[4096];
    char tls_priority[SETTINGS_TLS_PRIORITY_SIZE]; /* "" = the built-in one */
    char front[PLACE_NAME_SIZE];                   /* "" = no front */
    char vantage[PLACE_NAME_SIZE];                 /* "" = no vantage point */
    struct nats_server_list nats_servers;
    char nats_credentials[4096]; /* path; "" = none */
    char nats_ca[4096];
    struct place_list vantages;   /* empty = those that are heard */
    size_t quorum;                /* 0 = by the number of places */
    enum targets vantage_targets; /* PUBLIC or ANY */
    char receipt_key[4096];       /* path; "" = no receipts */
    char receipt_other_key[4096];
    char receipt_issuer[SETTINGS_ISSUER_SIZE];
    char user[SETTINGS_USER_SIZE]; /* "" = port-checker or nobody */
    enum sandbox sandbox;
    enum log_format log_format;
};

/* A warning of settings_load(); the caller logs it. */
typedef void(settings_warn_fn)(void *ctx, const char *message);

/* Reads the environment (`environ` form) and then `env_file`. NULL: `.env` in the working
 * directory, which may be absent; a named file must exist. Of two entries with the same
 * name, the first counts in the environment and the last in the file. A byte order mark
 * before the file's text is skipped. Unknown names that begin with PORT_CHECK, in any case,
 * go to `warn` with the nearest name, at most 16 of them, then one warning that there are
 * more.
 *
 * Errors that the operator must correct are ERR_INVALID, including a file that cannot be
 * read; ERR_SYSTEM means a lack of memory. `ret` is about 30 KB: keep it off small stacks.
 */
bool settings_load(char *const environment[], const char *env_file, settings_warn_fn *warn,
                   void *warn_ctx, struct settings *ret, struct err *err);

/* The table as `--help` prints it: 80 columns. */
void settings_print_help(FILE *out);

/* The effective values as `--check-config` prints them: NAME=value, one per line, in
 * the order of the table, control characters escaped. */
void settings_print_values(const struct settings *settings, FILE *out);
