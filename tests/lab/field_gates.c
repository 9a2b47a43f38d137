/* SPDX-License-Identifier: MIT */
#include "field_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MILLION UINT64_C(1000000)
#define TICK_NS (4 * NS_PER_MS) /* the kernel counts freed connections once in it */

static const struct span half_open_max = {60 * NS_PER_SECOND};

/* ---- chance: splitmix64 -------------------------------------------------------------- */

uint64_t chance_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t host_draw(struct host *host)
{
    return chance_mix(host->random += UINT64_C(0x9e3779b97f4a7c15));
}

static struct span draw_span(struct host *host, struct span from, struct span to)
{
    uint64_t width = (uint64_t)(to.ns - from.ns) + 1;
    return (struct span){from.ns + (int64_t)(host_draw(host) % width)};
}

/* ---- the link ------------------------------------------------------------------------ */

static bool is_outage(const struct field_options *options, struct host *host,
                      struct instant now)
{
    if (options->outages_good.ns > 0)
        while (!instant_before(now, host->outage_to)) {
            struct span good = draw_span(host, (struct span){0},
                                         (struct span){2 * options->outages_good.ns});
            host->outage_from = instant_add(host->outage_to, good);
            host->outage_to =
                instant_add(host->outage_from,
                            draw_span(host, options->outages_min, options->outages_max));
        }
    return !instant_before(now, host->outage_from) && instant_before(now, host->outage_to);
}

bool link_loses(const struct field_options *options, struct host *host, struct instant now)
{
    bool is_unlucky = host_draw(host) % MILLION < options->loss;

    if (is_outage(options, host, now))
        host->refused[REASON_OUTAGE]++;
    else if (is_unlucky)
        host->refused[REASON_LOSS]++;
    else
        return false;
    return true;
}

static uint32_t fold(const unsigned char *address)
{
    uint32_t folded = 0;

    for (size_t i = 0; i < ADDRESS_MAX; i++)
        folded ^= (uint32_t)address[i] << (8 * (3 - i % 4));
    return folded;
}

bool link_is_dead(const struct field_options *options, const struct segment *segment)
{
    uint32_t addresses = fold(segment->source) ^ fold(segment->destination);
    uint32_t ports = (uint32_t)segment->source_port ^ segment->destination_port;
    uint64_t path = 0;

    switch (options->path) {
    case PATH_ANY:
        return false;
    case PATH_LOW:
        path = segment->source_port;
        break;
    case PATH_XOR:
        path = ports ^ addresses;
        path ^= path >> 16;
        path ^= path >> 8;
        break;
    case PATH_HASH:
        path = chance_mix(
            chance_mix((uint64_t)segment->source_port << 16 | segment->destination_port) ^
            addresses ^ options->seed);
        break;
    }
    return path % options->path_count == options->path_dead;
}

/* ---- connections --------------------------------------------------------------------- */

struct connection *connection_find(struct host *host, const struct segment *segment)
{
    for (size_t i = 0; i < host->connection_count; i++) {
        struct connection *connection = &host->connections[i];
        if (connection->state != OVER && connection->source_port == segment->source_port &&
            connection->port == segment->destination_port &&
            memcmp(connection->source, segment->source, ADDRESS_MAX) == 0)
            return connection;
    }
    return NULL;
}

static void connections_sweep(struct host *host, struct instant now)
{
    for (size_t i = host->connection_count; i-- > 0;) {
        struct connection *connection = &host->connections[i];
        bool is_counted = connection->since.ns / TICK_NS == now.ns / TICK_NS;
        bool is_old = instant_since(now, connection->since).ns > half_open_max.ns;
        if (connection->state == OVER ? !is_counted : is_old)
            *connection = host->connections[--host->connection_count];
    }
}

struct connection *connection_add(struct host *host, const struct segment *syn,
                                  struct instant now)
{
    if (host->connection_count == CONNECTIONS_MAX) {
        fprintf(stderr, "lab_field_host: too many connections\n");
        exit(1);
    }
    struct connection *connection = &host->connections[host->connection_count++];
    *connection = (struct connection){
        .source_port = syn->source_port,
        .port = syn->destination_port,
        .theirs = syn->seq,
        .ours = (uint32_t)host_draw(host),
        .since = now,
    };
    memcpy(connection->source, syn->source, ADDRESS_MAX);
    return connection;
}

void connection_end(struct connection *connection, struct instant now)
{
    connection->state = OVER;
    connection->since = now;
}

/* As netfilter's limit: what exceeds it costs nothing. */
bool bucket_take(struct bucket *bucket, const struct rate *rate, struct instant now)
{
    double seconds = span_to_seconds(instant_since(now, bucket->filled));
    double tokens = bucket->tokens + seconds * (double)rate->per_minute / 60;

    if (bucket->filled.ns == 0 || tokens > (double)rate->burst)
        tokens = (double)rate->burst;
    bucket->filled = now;
    bucket->tokens = tokens >= 1 ? tokens - 1 : tokens;
    return tokens >= 1;
}

/* ---- gates: what a SYN must pass. Each returns NULL for "pass". ------------------------
 */

static const struct action *flap_gate(const struct field_options *options,
                                      struct host *host, const struct segment *syn,
                                      struct instant now)
{
    (void)syn;
    return instant_since(now, host->first).ns < options->flap.ns ? &options->flap_action
                                                                 : NULL;
}

static size_t forget_ports(struct host *host, struct span window, struct instant now)
{
    size_t kept = 0;

    for (size_t i = 0; i < host->known_count; i++) {
        struct port *port = &host->ports[host->known[i]];
        if (instant_since(now, port->last).ns <= window.ns)
            host->known[kept++] = host->known[i];
        else
            port->is_known = false;
    }
    return kept;
}

static const struct action *ban_gate(const struct field_options *options, struct host *host,
                                     const struct segment *syn, struct instant now)
{
    const struct scan_rule *scan = &options->scan;
    struct port *port = &host->ports[syn->destination_port];

    if (scan->action.kind == ACTION_NONE)
        return NULL;
    if (instant_before(now, host->banned_to)) {
        if (scan->renews)
            host->banned_to = instant_add(now, scan->ban);
        return &scan->action;
    }
    if (scan->counts_closed_only &&
        options->ports[syn->destination_port].kind != PORT_CLOSED)
        return NULL;
    host->known_count = forget_ports(host, scan->window, now);
    port->last = now;
    if (!port->is_known)
        host->known[host->known_count++] = syn->destination_port;
    port->is_known = true;
    if (host->known_count <= scan->ports)
        return NULL;
    host->bans++;
    host->banned_to = instant_add(now, scan->ban);
    host->known_count = forget_ports(host, (struct span){-1}, now);
    return &scan->action;
}

static void stamp(struct host *host, struct instant now)
{
    host->stamps[host->stamp_next++ % STAMPS] = now;
    if (host->stamp_count < STAMPS)
        host->stamp_count++;
}

static const struct action *recent_gate(const struct field_options *options,
                                        struct host *host, const struct segment *syn,
                                        struct instant now)
{
    size_t hits = 0;

    if (options->recent_action.kind == ACTION_NONE || connection_find(host, syn))
        return NULL;
    stamp(host, now);
    for (size_t i = 0; i < host->stamp_count; i++)
        hits += instant_since(now, host->stamps[i]).ns <= options->recent.ns;
    if (hits < options->recent_hits)
        return NULL;
    stamp(host, now);
    return &options->recent_action;
}

static const struct action *limit_gate(const struct field_options *options,
                                       struct host *host, const struct segment *syn,
                                       struct instant now)
{
    (void)syn;
    bool passes = options->limit_action.kind == ACTION_NONE ||
                  bucket_take(&host->limit, &options->limit, now);
    return passes ? NULL : &options->limit_action;
}

static const struct action *connections_gate(const struct field_options *options,
                                             struct host *host, const struct segment *syn,
                                             struct instant now)
{
    connections_sweep(host, now);
    bool passes = options->connections_action.kind == ACTION_NONE ||
                  connection_find(host, syn) ||
                  host->connection_count < options->connections;
    return passes ? NULL : &options->connections_action;
}

static const struct {
    enum reason reason;
    const struct action *(*check)(const struct field_options *options, struct host *host,
                                  const struct segment *syn, struct instant now);
} gates[] = {
    {REASON_FLAP, flap_gate},
    {REASON_BAN, ban_gate},
    {REASON_RECENT, recent_gate},
    {REASON_LIMIT, limit_gate},
    {REASON_CONNECTIONS, connections_gate},
};

const struct action *gates_check(const struct field_options *options, struct host *host,
                                 const struct segment *syn, struct instant now)
{
    for (size_t i = 0; i < sizeof gates / sizeof *gates; i++) {
        const struct action *action = gates[i].check(options, host, syn, now);
        if (action) {
            host->refused[gates[i].reason]++;
            return action;
        }
    }
    return NULL;
}
