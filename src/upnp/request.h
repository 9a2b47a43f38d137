/* SPDX-License-Identifier: MIT
 *
 * What port-verifier-upnp is told to do: one line of JSON on its standard input.
 *
 *   {"do": "map", "family": 4, "local": "192.168.1.2", "gateway": "192.168.1.1",
 *    "lease": 3600, "is_renewal": false, "deadline_ms": 10000, "ports": [[7466, 7466]]}
 *
 * With "waits": true, it looks for the router and says what it found, but asks it to map
 * only when a second, empty line comes. If the input ends before that, it has changed
 * nothing.
 *
 * With "client", another address, mappings to that one are removed: this machine had it
 * before.
 *
 * A port is [outer, inner] or, for a pinhole that is known, [outer, inner, its number]. The
 * line comes from port-verifier, or from a user who runs the program by hand.
 */
#pragma once

#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define REQUEST_PORTS_MAX   1024
#define REQUEST_LINE_MAX    32768
#define REQUEST_DEADLINE_MS 60000 /* the longest */

struct request_port {
    uint16_t outer, inner;
    bool has_pinhole;
    uint16_t pinhole;
};

struct request {
    bool is_removal;
    bool waits;
    bool is_renewal; /* the first port is mapped already, as far as we know */
    int family;      /* 4 or 6; 6: pinholes */
    struct address local;
    struct address client; /* where the ports lead: `local`, or in a removal another one */
    bool has_gateway;
    struct address gateway;
    uint32_t lease; /* seconds, requested */
    int deadline_ms;
    size_t port_count;
    struct request_port ports[REQUEST_PORTS_MAX];
};

/* ERR_INVALID, ERR_SYSTEM. */
bool request_parse(const char *line, size_t len, struct request *ret, struct err *err);
