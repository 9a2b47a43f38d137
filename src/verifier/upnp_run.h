/* SPDX-License-Identifier: MIT
 *
 * One run of the program port-verifier-upnp at a time and family: starts it, tells it what
 * to do, reads what it says, and ends it at a deadline by closing its standard input and
 * output, since this process can send no signals. A helper executes it (helper.h).
 */
#pragma once

#include "base/clock.h"
#include "loop/loop.h"
#include "net/address.h"
#include "verifier/local_port.h"
#include "verifier/upnp_reply.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define UPNP_RUN_PORTS_MAX 1024 /* of one run */

/* Starts the helpers, one for each family. The program is "port-verifier-upnp" in the
 * folder of this program; `path`, if not NULL, is another one, for tests. See
 * upnp_prepare(). */
bool upnp_run_prepare(const char *path, struct err *err);
void upnp_run_finish(void);

struct upnp_run_port {
    uint16_t outer, inner;
    bool has_pinhole;
    uint16_t pinhole;
};

struct upnp_run_order {
    bool is_removal;
    bool is_renewal; /* the first port should be mapped already */
    bool waits;      /* asks a router for nothing until upnp_run_go() */
    enum family family;
    struct address local;
    struct address client; /* to which the mappings lead; that of this machine, or was */
    bool has_gateway;
    struct address gateway;
    uint32_t lease;
    struct instant deadline;
};

/* The answer about the port with this index in the order. */
typedef void(upnp_run_answer_fn)(void *ctx, size_t index,
                                 const struct upnp_port_reply *answer);

/* The run is over, and another one can be started. `run->reply` is still there. */
typedef void(upnp_run_end_fn)(void *ctx, enum upnp_end end);

struct upnp_run {
    struct loop *loop; /* borrowed */
    upnp_run_answer_fn *answer;
    upnp_run_end_fn *end;
    void *ctx;
    struct upnp_run_order order;
    size_t port_count, told_count;
    struct upnp_run_port *ports; /* owned; these three have room for UPNP_RUN_PORTS_MAX */
    uint16_t *inner_ports;       /* owned */
    struct upnp_port_reply *answers; /* owned */
    struct upnp_reply reply;
    bool is_busy;
    bool is_started; /* the helper was asked */
    int fd;          /* owned, -1 = none: the program's standard input and output */
    struct loop_watch watch;
    struct timer timer;
};

/* ERR_SYSTEM without memory. */
bool upnp_run_init(struct upnp_run *run, struct loop *loop, upnp_run_answer_fn *answer,
                   upnp_run_end_fn *end, void *ctx, struct err *err);
void upnp_run_done(struct upnp_run *run);

/* Fill run->ports and run->port_count before. Waits for the end of a program that was given
 * up. Calls back from the loop only. */
void upnp_run_start(struct upnp_run *run, const struct upnp_run_order *order);

/* Lets a run that waits go on. */
void upnp_run_go(struct upnp_run *run);

/* Ends a run without calling back. */
void upnp_run_close(struct upnp_run *run);
