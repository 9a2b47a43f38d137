/* SPDX-License-Identifier: MIT
 *
 * The state of a host of lab_field_host, the link that loses its packets, and the gates
 * that refuse SYNs. Nothing here sends packets.
 */
#pragma once

#include "field_options.h"
#include "packet.h"

#define CONNECTIONS_MAX 16384
#define STAMPS          20 /* of one source, as xt_recent keeps them */
#define BINS            10 /* of 100 ms: the window of the highest rate */

/* Why packets were lost or refused. */
#define REASONS(X)                                                                         \
    X(LOSS)                                                                                \
    X(OUTAGE)                                                                              \
    X(PATH) X(FLAP) X(BAN) X(RECENT) X(LIMIT) X(CONNECTIONS) X(QUEUE) X(RESETS) X(ICMPS)
enum reason {
#define X(name) REASON_##name,
    REASONS(X)
#undef X
        REASON_COUNT,
};

struct bucket {
    double tokens;
    struct instant filled; /* 0: never used, and so full */
};

struct connection {
    unsigned char source[ADDRESS_MAX];
    uint16_t source_port, port;
    uint32_t theirs, ours; /* sequence numbers of the SYN and of the SYN-ACK */
    enum { HALF_OPEN, ESTABLISHED, OVER } state;
    struct instant since;
};

struct port {
    uint64_t syns, answers; /* answers: SYN-ACKs, repeated ones too */
    struct instant first, last;
    bool is_known;
};

struct host {
    int version;
    unsigned char address[ADDRESS_MAX];
    uint64_t random;
    struct instant first, outage_from, outage_to, banned_to, reset_second;
    struct bucket limit, icmps;
    struct instant stamps[STAMPS];
    size_t stamp_count, stamp_next, known_count;
    uint16_t known[PORT_COUNT];     /* ports that the protection against scans has seen */
    struct connection *connections; /* owned, CONNECTIONS_MAX */
    size_t connection_count;
    uint64_t syns, syn_acks, resets, icmp_errors, handshakes, resets_in_second, bans;
    uint64_t refused[REASON_COUNT], in_bin[BINS], highest;
    int64_t bin_number;
    struct port ports[PORT_COUNT];
};

/* The next number of the host's own generator; chance_mix() is its finishing function. */
uint64_t host_draw(struct host *host);
uint64_t chance_mix(uint64_t number);

/* Whether the link loses a packet, of either direction; it counts those that it loses. */
bool link_loses(const struct field_options *options, struct host *host, struct instant now);
/* Whether the path of this segment to its host is dead. */
bool link_is_dead(const struct field_options *options, const struct segment *segment);

/* The connection that a segment from the checker belongs to, or NULL. */
struct connection *connection_find(struct host *host, const struct segment *segment);
struct connection *connection_add(struct host *host, const struct segment *syn,
                                  struct instant now);
void connection_end(struct connection *connection, struct instant now);

bool bucket_take(struct bucket *bucket, const struct rate *rate, struct instant now);

/* Returns how to refuse a SYN, and counts the refusal; NULL when the SYN passes. */
const struct action *gates_check(const struct field_options *options, struct host *host,
                                 const struct segment *syn, struct instant now);
