/* SPDX-License-Identifier: MIT */
#include "router/ask.h"

#include "base/container.h"
#include "base/err.h"
#include "loop/loop.h"
#include "router/call.h"
#include "router/natpmp.h"
#include "router/pcp.h"

#include <errno.h>
#include <stdlib.h>

static const char *const speech_texts[] = {
#define X(NAME, text) [SPEECH_##NAME] = (text),
    SPEECH_STATE_MAP(X)
#undef X
};

const char *speech_state_text(enum speech_state state)
{
    return speech_texts[state];
}

struct ask {
    struct loop *loop; /* borrowed */
    ask_done_fn *done;
    void *ctx;
    struct call calls[ROUTER_DATAGRAM_COUNT];
    struct pcp_request pcp;
    struct router_answer answer;
    struct timer timer; /* to the end, so that `done` never runs within ask_new() */
};

static const struct natpmp_request natpmp = {.opcode = NATPMP_ADDRESS};

/* --- NAT-PMP -------------------------------------------------------------------------- */

static bool natpmp_take(void *ctx, const uint8_t *bytes, size_t len)
{
    struct ask *ask = ctx;
    struct natpmp_reply reply;
    if (!natpmp_read(bytes, len, &natpmp, &reply))
        return false;

    ask->answer.speech[ROUTER_NATPMP] = (struct router_speech){
        .state = SPEECH_SPOKEN,
        .result = reply.result,
    };
    ask->answer.has_outer = reply.result == 0;
    if (reply.result == 0)
        ask->answer.outer_address = reply.outer_address;
    return true;
}

/* --- PCP ------------------------------------------------------------------------------ */

static bool pcp_take(void *ctx, const uint8_t *bytes, size_t len)
{
    struct ask *ask = ctx;
    struct router_speech *speech = &ask->answer.speech[ROUTER_PCP];
    struct pcp_reply reply;
    switch (pcp_read(bytes, len, &ask->pcp, &reply)) {
    case PCP_FORM_INVALID:
        return false;
    case PCP_FORM_OTHER_VERSION:
        speech->state = SPEECH_OTHER;
        return true;
    case PCP_FORM_REPLY:
        *speech = (struct router_speech){SPEECH_SPOKEN, reply.result};
        return true;
    }
    return false;
}

/* --- both ----------------------------------------------------------------------------- */

static void call_ended(struct ask *ask, enum router_protocol which, enum call_end end)
{
    if (end == CALL_CLOSED)
        ask->answer.speech[which].state = SPEECH_CLOSED;
    for (enum router_protocol other = 0; other < ROUTER_DATAGRAM_COUNT; other++)
        if (call_is_open(&ask->calls[other]))
            return;
    /* Without memory, the timer stays at the time-out. */
    loop_timer_set(ask->loop, &ask->timer, loop_now(ask->loop));
}

static void natpmp_end(void *ctx, enum call_end end)
{
    call_ended(ctx, ROUTER_NATPMP, end);
}

static void pcp_end(void *ctx, enum call_end end)
{
    call_ended(ctx, ROUTER_PCP, end);
}

static void timer_fire(struct timer *timer)
{
    struct ask *ask = CONTAINER_OF(timer, struct ask, timer);
    for (enum router_protocol which = 0; which < ROUTER_DATAGRAM_COUNT; which++)
        call_close(&ask->calls[which]);
    const struct router_answer answer = ask->answer; /* `done` may free it */
    ask->done(ask->ctx, &answer);
}

static void ask_start(struct ask *ask, const struct address *router,
                      struct instant deadline)
{
    struct call *call = &ask->calls[ROUTER_NATPMP];
    if (address_family_number(router) == 4 && call_open(call, router, NULL, NULL)) {
        call->len = natpmp_write(&natpmp, call->bytes);
        call_start(call, span_ms(CALL_WAIT_MS), deadline);
    }
    call = &ask->calls[ROUTER_PCP];
    if (call_open(call, router, NULL, NULL)) {
        ask->pcp = (struct pcp_request){.opcode = PCP_ANNOUNCE, .client = call->local};
        call->len = pcp_write(&ask->pcp, call->bytes);
        call_start(call, span_ms(CALL_WAIT_MS), deadline);
    }
}

bool ask_new(struct loop *loop, const struct address *router, struct span timeout,
             ask_done_fn *done, void *ctx, struct ask **ret, struct err *err)
{
    struct instant deadline = instant_add(clock_now(), timeout);
    struct ask *ask = calloc(1, sizeof *ask);
    if (!ask)
        return err_sys(err, ENOMEM, "asking the router");

    ask->loop = loop;
    ask->done = done;
    ask->ctx = ctx;
    call_init(&ask->calls[ROUTER_NATPMP], loop, natpmp_take, natpmp_end, ask);
    call_init(&ask->calls[ROUTER_PCP], loop, pcp_take, pcp_end, ask);
    timer_init(&ask->timer, timer_fire);
    if (!loop_timer_set(loop, &ask->timer, deadline)) {
        free(ask);
        return err_sys(err, ENOMEM, "asking the router");
    }
    ask_start(ask, router, deadline);
    if (!call_is_open(&ask->calls[ROUTER_NATPMP]) && !call_is_open(&ask->calls[ROUTER_PCP]))
        loop_timer_set(loop, &ask->timer, clock_now());
    *ret = ask;
    return true;
}

const struct router_answer *ask_answer(const struct ask *ask)
{
    return &ask->answer;
}

struct ask *ask_free(struct ask *ask)
{
    if (!ask)
        return NULL;

    for (enum router_protocol which = 0; which < ROUTER_DATAGRAM_COUNT; which++)
        call_close(&ask->calls[which]);
    loop_timer_stop(ask->loop, &ask->timer);
    free(ask);
    return NULL;
}
