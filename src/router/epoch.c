/* SPDX-License-Identifier: MIT */
#include "router/epoch.h"

/* In milliseconds, so that a half second of ours is not lost. */
static bool natpmp_fits(int64_t router, int64_t ours)
{
    return router + 2000 >= ours * 7 / 8;
}

static bool pcp_fits(int64_t router, int64_t ours)
{
    return router >= -1000 && ours + 2000 >= router - router / 16 &&
           router + 2000 >= ours - ours / 16;
}

bool epoch_note(struct epoch *epoch, enum router_protocol protocol, uint32_t seconds,
                struct instant now)
{
    int64_t router = ((int64_t)seconds - epoch->seconds) * 1000;
    int64_t ours = instant_since(now, epoch->at).ns / NS_PER_MS;
    bool fits = !epoch->is_known || (protocol == ROUTER_PCP ? pcp_fits(router, ours)
                                                            : natpmp_fits(router, ours));
    *epoch = (struct epoch){.is_known = true, .seconds = seconds, .at = now};
    return fits;
}
