/* SPDX-License-Identifier: MIT
 *
 * Whether this machine causes the silence, by signs that the sockets do not show (see
 * attempt.h): connection tracking is almost full, or addresses in many networks that
 * answered a minute ago fall silent together while no address answers.
 *
 * The machine's counters (TCPRetransFail, OutNoRoutes and the like) are not used: they
 * count what other programs, and probes of other addresses, fail to send.
 */
#include "probe/conntrack.h"
#include "probe/engine_state.h"

#include <string.h>

#define NETWORKS_NEEDED 5    /* of IPv4 /24 or IPv6 /48 */
#define TABLE_SHARE     100  /* of its entries, free at least */
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
    LIST_FOREACH(job, &engine->jobs, engine_link) {
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

/* Connection tracking is about to drop what we send. */
static bool is_table_full(void)
{
    size_t free_entries, size;
    return conntrack_read(&free_entries, &size) && free_entries < size / TABLE_SHARE;
}

void doubt_look(struct engine *engine, struct span age_max)
{
    struct instant now = engine_now(engine);
    if (engine->doubted_at.ns != 0 &&
        instant_since(now, engine->doubted_at).ns < age_max.ns)
        return;

    engine->doubted_at = now;
    if (is_table_full() || all_fell_silent(engine))
        engine->trusted_since = now;
}
