/* SPDX-License-Identifier: MIT
 *
 * What port-verifier-upnp says in one run: lines of JSON, which may come in any pieces.
 * Pure. The program talks to whatever answers on the local network, so it is believed
 * within its form only: a line about the router, one for each port in the order in which
 * they were asked for, and one about the end, with the members that belong there and no
 * others.
 *
 *   {"router": "http://192.168.1.1:5000/desc.xml", "connected": true,
 *    "outer": "45.12.7.7", "ignored": 0}
 *   {"port": 7466, "result": 0, "lease": 3600}
 *   {"port": 50800, "result": 718, "holder": "192.168.1.3"}
 *   {"port": 50801, "result": null}
 *   {"end": "done"}
 */
#pragma once

#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define UPNP_LINE_MAX 512

/* How a run of the program ended. */
enum upnp_end {
    UPNP_END_NONE,          /* it has not ended yet */
    UPNP_END_DONE,          /* it asked a router for all ports */
    UPNP_END_MISSING,       /* the program is not installed */
    UPNP_END_NO_ROUTER,     /* no router on this network answered */
    UPNP_END_NOT_CONNECTED, /* the router says that it has no connection */
    UPNP_END_FAILED,        /* it was killed at its deadline, or its answer is invalid */
};

struct upnp_port_reply {
    bool is_answered; /* by the router; nothing else is set if not */
    uint16_t result;  /* see router_result_of() */
    /* mapped, if the result is 0 */
    uint32_t lease;  /* seconds; 0: it is permanent */
    bool is_foreign; /* another program made the mapping */
    bool has_pinhole;
    uint16_t pinhole; /* its number, always with IPv6 */
    bool was_gone;    /* the router had forgotten the mapping */
    /* the result is not 0 */
    bool has_holder;
    struct address holder; /* the machine that has the port */
};

struct upnp_reply {
    bool is_ipv6, is_removal;
    const uint16_t *ports; /* borrowed: the inner ports that were asked for */
    size_t port_count;
    struct upnp_port_reply *answers; /* borrowed: room for as many */
    size_t answer_count;             /* so far */
    bool has_begun;                  /* the router's line has come */
    bool has_router, is_connected;
    bool has_outer;
    struct address outer;
    size_t ignored;    /* devices that are not the gateway, but say that they are routers */
    enum upnp_end end; /* NONE, DONE, NO_ROUTER or NOT_CONNECTED */
    size_t line_len;
    char line[UPNP_LINE_MAX];
};

/* Sets is_ipv6 and is_removal to false. */
void upnp_reply_init(struct upnp_reply *reply, const uint16_t *ports, size_t port_count,
                     struct upnp_port_reply *answers);

/* Reads on. ERR_INVALID for what has no such form, and for anything after the end; then the
 * answers before it are still there. */
bool upnp_reply_add(struct upnp_reply *reply, const char *bytes, size_t len,
                    struct err *err);
