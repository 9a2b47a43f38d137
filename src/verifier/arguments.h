/* SPDX-License-Identifier: MIT
 *
 * What port-verifier is asked to do: its command line and environment, checked.
 */
#pragma once

#include "base/clock.h"
#include "net/address.h"
#include "verifier/local_port.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define CHECKERS_MAX 16
#define PORTS_MAX    4096 /* listed one by one, they fit into a request of 64 KiB */

enum action {
    ACTION_VERIFY,
    ACTION_PROBE,
    ACTION_RECEIPT,
    ACTION_HELP,
    ACTION_VERSION,
};

/* Where a checker is asked. */
struct endpoint {
    char *url;       /* owned; without a slash at its end */
    char *other_url; /* owned; the second URL of a bare host, asked where `url` is not that
                        of a checker; NULL if a URL was given */
    int literal_family; /* 4 or 6 if its host is an address, else 0 */
};

/* Strings are borrowed from argv or the environment, unless noted. Ports are ascending. */
struct arguments {
    enum action action;
    size_t endpoint_count;
    struct endpoint endpoints[CHECKERS_MAX];
    bool is_family[FAMILY_COUNT]; /* it may be used: -4 and -6 exclude the other one */
    bool has_ip[FAMILY_COUNT];
    struct address ip[FAMILY_COUNT];
    bool has_source[FAMILY_COUNT];
    struct address source[FAMILY_COUNT];
    const char *source_interface; /* or NULL */
    const char *target;           /* ACTION_PROBE: an address or a name */

    uint16_t *ports; /* as the internet sees them; owned, as are the other lists */
    size_t port_count;
    uint16_t *inner; /* port_count long: to which port of this machine each leads */
    uint16_t *held;  /* the ports of this machine, each once, ascending */
    size_t held_count;
    uint16_t *inner_of; /* by port: where it leads, 0 = to the same port; while parsing */
    size_t *held_index; /* port_count long: which of these `inner` is */
    size_t *order;      /* port_count long: indices, those of required ports first */
    uint16_t *required;
    size_t required_count;
    uint16_t *in_use;
    size_t in_use_count;
    unsigned quorum;

    const char *ca_file;
    struct span timeout;  /* of a request; of a port when probing */
    struct span patience; /* how long negative verdicts are looked at again; 0 = never */
    bool is_lan;          /* what is reachable from this network is good */
    bool has_no_router;   /* the router is asked nothing */
    bool is_json;
    bool is_quiet; /* only the list of ports to advertise is printed */
    const char *output;
    bool is_mapping;   /* the router is asked to forward the ports */
    bool is_map_kept;  /* and goes on with that at the end */
    const char *state; /* the file that keeps the nonce of the mappings, or NULL */
    bool is_watching;
    struct span watch;   /* from one round to the next */
    struct span confirm; /* until a change is checked again */
    const char *on_change;
    const char *receipt;  /* ACTION_VERIFY: where receipts are written, or NULL; else the
                             file to read */
    const char *for_text; /* of receipts; or NULL */
    const char *jwks;     /* a file or a URL; or NULL */
    const char *issuer;   /* or NULL */
};

/* `servers` is PORT_VERIFIER_SERVERS or NULL. libcurl must have been set up. ERR_INVALID.
 */
bool arguments_parse(int argc, char *argv[], const char *servers, struct arguments *ret,
                     struct err *err);
void arguments_done(struct arguments *arguments);

/* Whether this checker is asked over this family. */
bool arguments_want(const struct arguments *arguments, const struct endpoint *endpoint,
                    enum family family);

/* "30s", "500ms", "10m", "1h", "2d", or plain seconds. ERR_INVALID: "between 1s and 1h". */
bool arguments_parse_span(const char *text, struct span least, struct span most,
                          struct span *ret, struct err *err);
