/* SPDX-License-Identifier: MIT
 *
 * Whether silence is our own fault: the counters of `suspicion`, and addresses in many
 * networks that were alive a minute ago and fall silent together while nobody answers.
 */
#include "probe/engine_state.h"

#include <string.h>

#define NETWORKS_NEEDED 5    /* of IPv4 /24 or IPv6 /48 */
#define QUIET_MS        1000 /* an answer from anywhere within this time: we are heard */

struct network {
    uint8_t bytes[7]; /* family, then 24 or 48 bits */
};

static struct network network_of(const struct address *address)
{
    struct network network = {.bytes = {(uint8_t)address_family_number(address)}};
    size_t len;
    const uint8_t *bytes = address_bytes(address, &len);
    memcpy(network.bytes + 1, bytes, len == 4 ? 3 : 6);
    return network;
}

static bool all_fell_silent(const struct engine *engine)
{
    struct instant now = engine_now(engine);
    struct span quiet = instant_since(now, engine->answered_at);
    struct network networks[NETWORKS_NEEDED];
    size_t count = 0;
    const struct job *job;

    if (quiet.ns < QUIET_MS * NS_PER_MS)
        return false;
    LIST_FOREACH(job, &engine->jobs, engine_link)
    {
        if (!host_fell_silent(job->host, now))
            continue;
        struct network network = network_of(&job->target);
        size_t i = 0;
        while (i < count && memcmp(&networks[i], &network, sizeof network) != 0)
            i++;
        if (i < count)
            continue;
        networks[count++] = network;
        if (count == NETWORKS_NEEDED)
            return true;
    }
    return false;
}

void doubt_look(struct engine *engine, struct span age_max)
{
    struct instant now = engine_now(engine);
    if (engine->is_counting && instant_since(now, engine->counted_at).ns < age_max.ns)
        return;

    struct suspicion_counts counts = suspicion_read();
    bool is_first = !engine->is_counting;
    engine->is_counting = true;
    bool is_raised =
        !is_first && (suspicion_is_raised(&engine->counts, &counts, engine->in_flight) ||
                      suspicion_of_tracking() || all_fell_silent(engine));
    engine->counts = counts;
    engine->counted_at = now;
    if (!is_raised)
        return;
    engine->trusted_since = now;
    engine->config.observer.suspected(engine->config.observer.ctx);
}
