/* SPDX-License-Identifier: MIT
 *
 * What port-verifier-upnp says: lines of JSON on its standard output, each written at once.
 * First one about the router, then one for each port, then one about the end. If nothing
 * reads them, SIGPIPE ends the program.
 */
#pragma once

#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANSWER_SILENT                                                                      \
    (-1) /* a result: the router did not answer in a form that is valid                    \
          */

/* `url` is that of its description, printable and without quotes; NULL: no router answered.
 * `outer` may be NULL. `ignored`: devices that are not the gateway, but say that they are
 * routers. */
void answer_router(const char *url, bool is_connected, const struct address *outer,
                   size_t ignored);

struct answer_port {
    uint16_t inner;
    int result;      /* of UPnP, 0: success; or ANSWER_SILENT */
    bool has_lease;  /* a port was mapped */
    uint32_t lease;  /* seconds, 0: it is permanent */
    bool was_gone;   /* the router had forgotten it */
    bool is_foreign; /* the router has a mapping to us, but another program made it */
    bool has_holder;
    struct address holder; /* who has the outer port */
    bool has_pinhole;
    uint16_t pinhole;
};
void answer_port(const struct answer_port *port);

/* "done", "no_router", "not_connected". */
void answer_end(const char *end);
