/* SPDX-License-Identifier: MIT */
#include "verifier/router_asks.h"

#include "base/err.h"
#include "net/route.h"
#include "net/scope.h"
#include "router/protocol.h"

#include <errno.h>
#include <stdlib.h>

struct one {
    struct ask *ask; /* owned; NULL: not asked, or answered */
    struct router_view view;
};

struct router_asks {
    struct one each[FAMILY_COUNT];
};

static void asked(void *ctx, const struct router_answer *answer)
{
    struct one *one = ctx;
    one->view.answer = *answer;
    one->ask = ask_free(one->ask);
}

/* As in origin.h, addresses for documentation count as public. */
static bool is_public(const struct address *address)
{
    enum address_scope scope = address_scope(address);
    return (scope == SCOPE_GLOBAL || scope == SCOPE_SPECIAL) && !signs_is_clat(address);
}

static bool begin(struct one *one, struct loop *loop, enum family family,
                  const struct fetch_source *source, struct err *err)
{
    struct address router, local;
    if (!route_default_gateway(family_number(family), source->address, source->interface,
                               &router, &local) ||
        (family == FAMILY_4 && is_public(&local)))
        return true;

    one->view = (struct router_view){.is_asked = true, .address = router};
    address_set_port(&router, ROUTER_PORT);
    return ask_new(loop, &router, span_ms(ASK_MS), asked, one, &one->ask, err);
}

bool router_asks_new(struct loop *loop,
                     const struct fetch_source *const sources[FAMILY_COUNT],
                     struct router_asks **ret, struct err *err)
{
    struct router_asks *asks = calloc(1, sizeof *asks);
    if (!asks)
        return err_sys(err, ENOMEM, "asking the router");

    for (enum family family = 0; family < FAMILY_COUNT; family++)
        if (sources[family] &&
            !begin(&asks->each[family], loop, family, sources[family], err)) {
            router_asks_free(asks);
            return false;
        }
    *ret = asks;
    return true;
}

struct router_asks *router_asks_free(struct router_asks *asks)
{
    if (!asks)
        return NULL;

    for (enum family family = 0; family < FAMILY_COUNT; family++)
        ask_free(asks->each[family].ask);
    free(asks);
    return NULL;
}

struct router_view router_asks_view(const struct router_asks *asks, enum family family)
{
    const struct one *one = &asks->each[family];
    struct router_view view = one->view;
    if (one->ask)
        view.answer = *ask_answer(one->ask);
    return view;
}
