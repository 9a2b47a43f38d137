/* SPDX-License-Identifier: MIT
 *
 * The proof of a listener: reads its one line, PROOF_READ_MAX bytes and PROOF_MILLISECONDS
 * at most. What the target sent stays in here: it is judged and forgotten.
 */
#include "probe/engine_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct proving {
    struct attempt *attempt; /* borrowed: the port's only one */
    size_t len;
    char bytes[PROOF_READ_MAX];
};

struct proving *proving_free(struct proving *proving)
{
    if (proving)
        explicit_bzero(proving, sizeof *proving);
    free(proving);
    return NULL;
}

/* Judges what is there. False: that decides nothing yet, read on. */
static bool proving_judge(struct port *port, enum proof_rest rest)
{
    const struct proving *proving = port->proving;
    uint16_t proof_port = 0;
    enum proof proof = proof_judge(proving->bytes, proving->len, rest, &port->job->token,
                                   port->verdict.port, &proof_port);
    if (proof == PROOF_NONE && rest == PROOF_REST_MAY_COME)
        return false;
    port->verdict.proof = proof;
    port->verdict.proof_port = proof_port;
    return true;
}

bool proving_read(struct port *port)
{
    struct proving *proving = port->proving;
    for (;;) {
        ssize_t got = recv(proving->attempt->fd, proving->bytes + proving->len,
                           sizeof proving->bytes - proving->len, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return false;
        if (got > 0)
            proving->len += (size_t)got;
        if (proving_judge(port, got > 0 ? PROOF_REST_MAY_COME : PROOF_REST_CUT_OFF))
            return true;
    }
}

void proving_time_up(struct port *port)
{
    proving_judge(port, PROOF_REST_TOO_LATE);
}

bool proving_begin(struct port *port, struct attempt *attempt)
{
    struct engine *engine = port->job->engine;
    port->proving = calloc(1, sizeof *port->proving);
    if (!port->proving)
        return true; /* open, without a proof */

    port->phase = PORT_PROVING;
    port->proving->attempt = attempt;
    timers_set(&engine->timers, &port->timer,
               instant_add(engine_now(engine), span_ms(PROOF_MILLISECONDS)));

    /* The line may have come together with the handshake. */
    return proving_read(port);
}
