/* SPDX-License-Identifier: MIT
 *
 * A build without UPnP: as if the program port-verifier-upnp were missing. Until
 * upnp_mapper.c takes its place.
 */
#include "verifier/upnp_mapper.h"

#include "base/container.h"
#include "base/err.h"
#include "loop/loop.h"

#include <errno.h>
#include <stdlib.h>

struct upnp_mapper {
    struct loop *loop; /* borrowed */
    struct upnp_mapper_config config;
    size_t port_count;
    struct mapping *mappings; /* owned */
    bool is_removing;
    struct timer timer;
};

bool upnp_prepare(struct err *err)
{
    (void)err;
    return true;
}

void upnp_finish(void)
{
}

static void timer_fire(struct timer *timer)
{
    struct upnp_mapper *mapper = CONTAINER_OF(timer, struct upnp_mapper, timer);
    const struct mapping_news news = {.is_first = true, .is_changed = true};
    if (mapper->is_removing) {
        mapper->config.removed(mapper->config.ctx);
        return;
    }
    for (size_t i = 0; i < mapper->port_count; i++)
        mapper->mappings[i].state = MAPPING_SILENT;
    mapper->config.settled(mapper->config.ctx, &news);
}

bool upnp_mapper_new(struct loop *loop, const struct upnp_mapper_config *config,
                     const struct mapping_port *ports, size_t port_count,
                     struct upnp_mapper **ret, struct err *err)
{
    struct upnp_mapper *mapper = calloc(1, sizeof *mapper);
    if (mapper)
        mapper->mappings = calloc(port_count ? port_count : 1, sizeof *mapper->mappings);
    if (!mapper || !mapper->mappings) {
        free(mapper);
        return err_sys(err, ENOMEM, "mapping ports");
    }
    mapper->loop = loop;
    mapper->config = *config;
    mapper->port_count = port_count;
    for (size_t i = 0; i < port_count; i++)
        mapper->mappings[i] = (struct mapping){.inner = ports[i].inner, .outer = ports[i].outer};
    timer_init(&mapper->timer, timer_fire);
    if (!loop_timer_set(loop, &mapper->timer, clock_now())) {
        upnp_mapper_free(mapper);
        return err_sys(err, ENOMEM, "mapping ports");
    }
    *ret = mapper;
    return true;
}

struct upnp_mapper *upnp_mapper_free(struct upnp_mapper *mapper)
{
    if (!mapper)
        return NULL;

    loop_timer_stop(mapper->loop, &mapper->timer);
    free(mapper->mappings);
    free(mapper);
    return NULL;
}

const struct mapping *upnp_mapper_mapping(const struct upnp_mapper *mapper, size_t index)
{
    return &mapper->mappings[index];
}

enum upnp_end upnp_mapper_end(const struct upnp_mapper *mapper)
{
    (void)mapper;
    return UPNP_END_MISSING;
}

bool upnp_mapper_outer_address(const struct upnp_mapper *mapper, struct address *ret)
{
    (void)mapper, (void)ret;
    return false;
}

void upnp_mapper_map_anew(struct upnp_mapper *mapper)
{
    (void)mapper;
}

size_t upnp_mapper_removed(const struct upnp_mapper *mapper)
{
    (void)mapper;
    return 0;
}

void upnp_mapper_remove(struct upnp_mapper *mapper, struct span timeout)
{
    (void)timeout;
    mapper->is_removing = true;
    loop_timer_set(mapper->loop, &mapper->timer, clock_now());
}
