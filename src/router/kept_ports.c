/* SPDX-License-Identifier: MIT */
#include "router/kept_ports.h"

#include <stdlib.h>

bool kept_ports_init(struct kept_ports *kept, const struct mapping_port *ports,
                     size_t count, mapping_settled_fn *settled, void *ctx)
{
    *kept = (struct kept_ports){
        .each = calloc(count + 1, sizeof *kept->each),
        .count = count,
        .jitter = kept_jitter(0),
        .settled = settled,
        .ctx = ctx,
    };
    for (size_t i = 0; kept->each && i < count; i++)
        kept->each[i] = kept_port_new(&ports[i]);
    return kept->each != NULL;
}

void kept_ports_done(struct kept_ports *kept)
{
    free(kept->each);
}

void kept_ports_end_waiting(struct kept_ports *kept)
{
    for (size_t i = 0; i < kept->count; i++)
        if (kept->each[i].mapping.state == MAPPING_WAITING)
            kept->each[i].mapping.state = MAPPING_SILENT;
}

void kept_ports_tell(struct kept_ports *kept)
{
    struct mapping_news news = kept->news;
    news.is_first = news.is_changed = !kept->has_settled;
    for (size_t i = 0; i < kept->count; i++)
        news.is_changed = kept_port_tell(&kept->each[i]) || news.is_changed;
    kept->has_settled = true;
    kept->news = (struct mapping_news){0};
    kept->jitter = kept_jitter(kept->jitter);
    if (news.is_changed || news.is_restarted || news.is_moved || news.is_announced)
        kept->settled(kept->ctx, &news);
}
