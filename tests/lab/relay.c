/* SPDX-License-Identifier: MIT
 *
 * lab_relay: a link between two TUN devices with configurable faults.
 *
 *     lab_relay FD FD LOG SEED LINK LINK
 *
 * The descriptors of the devices are inherited. A LINK, first from the first device to the
 * second, then back, is eight numbers with commas between them, all of them needed:
 *
 *     delay and jitter (microseconds; a packet takes delay +- jitter, in order)
 *     reordered (millionths; such a packet takes half of the delay and passes others)
 *     lost, each by itself (millionths)
 *     mean good and mean bad time (milliseconds; 0 = no bursts), lost in bad times
 *     (millionths): Gilbert and Elliott's model in continuous time
 *     maximum number of packets in transit (0 = as many as fit)
 *
 * LOG gets one line for every packet that was dropped, "<ns> <direction> <reason>
 * <source> <port> <destination> <port> <TCP flags>": that file is the truth. On SIGTERM or
 * SIGINT the counts go to standard output as JSON.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

#define PACKET_MAX  2048
#define QUEUE_MAX   65536
#define BATCH       64
#define MILLION     UINT64_C(1000000)
#define LINK_FIELDS 8

struct link {
    uint64_t delay_us, jitter_us, reordered, lost, good_ms, bad_ms, bad_lost, under_way;
};

struct direction {
    int from, to; /* borrowed descriptors */
    char name;    /* 'a' from the first device, 'b' from the second */
    struct link link;
    uint64_t random;
    bool is_bad;
    struct instant tossed; /* up to here the good and bad times are decided */
    struct instant last;   /* release of the newest packet in order */
    uint64_t waiting, passed, dropped, passed_syns, dropped_syns;
};

struct packet {
    struct instant release;
    uint64_t number; /* keeps the order of packets of one instant */
    struct direction *direction;
    size_t len;
    unsigned char bytes[]; /* IPv4 or IPv6, without any frame */
};

struct relay {
    struct direction directions[2];
    struct packet **heap; /* owned, as are the packets: the next to be released first */
    size_t count;
    uint64_t number;
    FILE *log;
};

static volatile sig_atomic_t is_over;

static void end(int signal_number)
{
    (void)signal_number;
    is_over = 1;
}

/* ---- chance: splitmix64 -------------------------------------------------------------- */

static uint64_t draw(struct direction *direction)
{
    uint64_t z = direction->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static bool happens(struct direction *direction, uint64_t millionths)
{
    return draw(direction) % MILLION < millionths;
}

/* Tosses once for every millisecond that has passed, so that the length of a bad time does
 * not depend on the number of packets in it. */
static bool is_bad_time(struct direction *direction, struct instant now)
{
    const struct link *link = &direction->link;

    if (link->good_ms == 0 || link->bad_ms == 0)
        return false;
    if (span_to_seconds(instant_since(now, direction->tossed)) > 60)
        direction->tossed = now;
    while (instant_before(direction->tossed, now)) {
        uint64_t mean_ms = direction->is_bad ? link->bad_ms : link->good_ms;
        if (draw(direction) % mean_ms == 0)
            direction->is_bad = !direction->is_bad;
        direction->tossed = instant_add(direction->tossed, span_ms(1));
    }
    return direction->is_bad;
}

/* Why this packet is lost; NULL when it is not. */
static const char *loss_of(struct direction *direction, struct instant now)
{
    const struct link *link = &direction->link;

    bool is_lost = happens(direction, link->lost);
    if (is_bad_time(direction, now) && happens(direction, link->bad_lost))
        return "burst";
    if (is_lost)
        return "loss";
    return link->under_way > 0 && direction->waiting >= link->under_way ? "full" : NULL;
}

static struct instant release_of(struct direction *direction, struct instant now)
{
    const struct link *link = &direction->link;
    int64_t us = (int64_t)link->delay_us;

    if (happens(direction, link->reordered))
        return instant_add(now, (struct span){us * 1000 / 2});
    if (link->jitter_us > 0)
        us += (int64_t)(draw(direction) % (2 * link->jitter_us)) - (int64_t)link->jitter_us;
    struct instant release = instant_add(now, (struct span){us * 1000});
    if (instant_before(release, direction->last))
        release = direction->last;
    direction->last = release;
    return release;
}

/* ---- packets ------------------------------------------------------------------------- */

/* Where its TCP header begins; 0 when there is none (fragments and options do not occur).
 */
static size_t tcp_offset(const unsigned char *bytes, size_t len)
{
    if (len >= 40 && bytes[0] >> 4 == 4 && bytes[9] == IPPROTO_TCP)
        return (size_t)(bytes[0] & 15) * 4;
    if (len >= 60 && bytes[0] >> 4 == 6 && bytes[6] == IPPROTO_TCP)
        return 40;
    return 0;
}

static bool is_syn(const unsigned char *bytes, size_t len)
{
    size_t offset = tcp_offset(bytes, len);
    return offset > 0 && offset + 20 <= len && (bytes[offset + 13] & 0x17) == 0x02;
}

static unsigned word(const unsigned char *bytes)
{
    return (unsigned)bytes[0] << 8 | bytes[1];
}

static void log_drop(struct relay *relay, const struct direction *direction,
                     struct instant now, const char *reason, const unsigned char *bytes,
                     size_t len)
{
    char source[INET6_ADDRSTRLEN] = "-", destination[INET6_ADDRSTRLEN] = "-";
    size_t offset = tcp_offset(bytes, len);
    const unsigned char *tcp = bytes + offset;

    if (len >= 20 && bytes[0] >> 4 == 4) {
        inet_ntop(AF_INET, bytes + 12, source, sizeof source);
        inet_ntop(AF_INET, bytes + 16, destination, sizeof destination);
    } else if (len >= 40 && bytes[0] >> 4 == 6) {
        inet_ntop(AF_INET6, bytes + 8, source, sizeof source);
        inet_ntop(AF_INET6, bytes + 24, destination, sizeof destination);
    }
    if (offset > 0 && offset + 20 <= len)
        fprintf(relay->log, "%lld %c %s %s %u %s %u 0x%02x\n", (long long)now.ns,
                direction->name, reason, source, word(tcp), destination, word(tcp + 2),
                tcp[13]);
    else
        fprintf(relay->log, "%lld %c %s %s 0 %s 0 0x00\n", (long long)now.ns,
                direction->name, reason, source, destination);
}

/* ---- the heap ------------------------------------------------------------------------ */

static bool is_before(const struct packet *a, const struct packet *b)
{
    if (a->release.ns != b->release.ns)
        return instant_before(a->release, b->release);
    return a->number < b->number;
}

static void heap_push(struct relay *relay, struct packet *packet)
{
    struct packet **heap = relay->heap;
    size_t i = relay->count++;

    for (; i > 0 && is_before(packet, heap[(i - 1) / 2]); i = (i - 1) / 2)
        heap[i] = heap[(i - 1) / 2];
    heap[i] = packet;
}

static struct packet *heap_pop(struct relay *relay)
{
    struct packet **heap = relay->heap;
    struct packet *first = heap[0];
    struct packet *moved = heap[--relay->count];
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= relay->count)
            break;
        if (child + 1 < relay->count && is_before(heap[child + 1], heap[child]))
            child++;
        if (!is_before(heap[child], moved))
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = moved;
    return first;
}

/* ---- work ---------------------------------------------------------------------------- */

static void take(struct relay *relay, struct direction *direction, struct instant now,
                 const unsigned char *bytes, size_t len)
{
    bool syn = is_syn(bytes, len);
    const char *reason = loss_of(direction, now);
    struct packet *packet = NULL;

    if (!reason && relay->count < QUEUE_MAX)
        packet = malloc(sizeof *packet + len);
    if (!packet) {
        log_drop(relay, direction, now, reason ? reason : "room", bytes, len);
        direction->dropped++;
        direction->dropped_syns += syn;
        return;
    }

    packet->release = release_of(direction, now);
    packet->number = relay->number++;
    packet->direction = direction;
    packet->len = len;
    memcpy(packet->bytes, bytes, len);
    heap_push(relay, packet);
    direction->waiting++;
    direction->passed_syns += syn;
}

/* What a device sends to its neighbours on its own (router and listener discovery): it
 * would make runs differ from one another. */
static bool is_chatter(const unsigned char *bytes, size_t len)
{
    return len >= 40 && bytes[0] >> 4 == 6 && bytes[24] == 0xff;
}

static void read_device(struct relay *relay, struct direction *direction)
{
    unsigned char bytes[PACKET_MAX];

    for (int i = 0; i < BATCH; i++) {
        ssize_t len = read(direction->from, bytes, sizeof bytes);
        if (len <= 0)
            return;
        if (!is_chatter(bytes, (size_t)len))
            take(relay, direction, clock_now(), bytes, (size_t)len);
    }
}

static void release_due(struct relay *relay)
{
    struct instant now = clock_now();

    while (relay->count > 0 && !instant_before(now, relay->heap[0]->release)) {
        struct packet *packet = heap_pop(relay);
        struct direction *direction = packet->direction;
        direction->waiting--;
        if (write(direction->to, packet->bytes, packet->len) < 0) {
            log_drop(relay, direction, now, "write", packet->bytes, packet->len);
            direction->dropped++;
        } else {
            direction->passed++;
        }
        free(packet);
    }
}

static void run(struct relay *relay, const sigset_t *mask)
{
    struct pollfd polled[2] = {
        {.fd = relay->directions[0].from, .events = POLLIN},
        {.fd = relay->directions[1].from, .events = POLLIN},
    };

    while (!is_over) {
        struct timespec patience = {0};
        if (relay->count > 0) {
            int64_t ns = instant_since(relay->heap[0]->release, clock_now()).ns;
            if (ns > 0)
                patience = (struct timespec){ns / NS_PER_SECOND, ns % NS_PER_SECOND};
        }
        if (ppoll(polled, 2, relay->count > 0 ? &patience : NULL, mask) < 0 &&
            errno != EINTR)
            return;
        for (int i = 0; i < 2; i++)
            read_device(relay, &relay->directions[i]);
        release_due(relay);
    }
}

/* ---- setting up ---------------------------------------------------------------------- */

static bool parse_link(const char *text, struct link *ret)
{
    uint64_t numbers[LINK_FIELDS];

    for (size_t i = 0; i < LINK_FIELDS; i++) {
        size_t len = strcspn(text, ",");
        if (!text_parse_u64(text, len, UINT64_C(1) << 40, &numbers[i]))
            return false;
        if ((text[len] == '\0') != (i == LINK_FIELDS - 1))
            return false;
        text += len + 1;
    }
    *ret = (struct link){numbers[0], numbers[1], numbers[2], numbers[3],
                         numbers[4], numbers[5], numbers[6], numbers[7]};
    return ret->jitter_us <= ret->delay_us;
}

static bool parse(struct relay *relay, char **arguments)
{
    uint64_t a, b, seed;

    if (!text_parse_u64(arguments[1], strlen(arguments[1]), 65535, &a) ||
        !text_parse_u64(arguments[2], strlen(arguments[2]), 65535, &b) ||
        !text_parse_u64(arguments[4], strlen(arguments[4]), UINT64_MAX, &seed))
        return false;

    struct instant now = clock_now();
    relay->directions[0] = (struct direction){
        .from = (int)a, .to = (int)b, .name = 'a', .random = seed, .tossed = now};
    relay->directions[1] = (struct direction){
        .from = (int)b, .to = (int)a, .name = 'b', .random = ~seed, .tossed = now};
    return parse_link(arguments[5], &relay->directions[0].link) &&
           parse_link(arguments[6], &relay->directions[1].link);
}

/* What was sent while this program did not run belongs to a link that no longer exists. */
static void forget_old_packets(struct relay *relay)
{
    unsigned char bytes[PACKET_MAX];

    for (int i = 0; i < 2; i++)
        while (read(relay->directions[i].from, bytes, sizeof bytes) > 0)
            ;
}

static void print_counts(const struct relay *relay)
{
    printf("{");
    for (int i = 0; i < 2; i++) {
        const struct direction *d = &relay->directions[i];
        printf("%s\"%c\": {\"passed\": %llu, \"dropped\": %llu, \"passed_syns\": %llu, "
               "\"dropped_syns\": %llu}",
               i ? ", " : "", d->name, (unsigned long long)d->passed,
               (unsigned long long)d->dropped, (unsigned long long)d->passed_syns,
               (unsigned long long)d->dropped_syns);
    }
    printf("}\n");
}

int main(int count, char **arguments)
{
    static struct relay relay;
    struct sigaction action = {.sa_handler = end};
    sigset_t blocked, before;

    if (count != 7 || !parse(&relay, arguments)) {
        fprintf(stderr, "usage: lab_relay FD FD LOG SEED LINK LINK\n");
        return 2;
    }
    relay.log = fopen(arguments[3], "we");
    relay.heap = calloc(QUEUE_MAX, sizeof(struct packet *));
    if (!relay.log || !relay.heap) {
        perror("lab_relay");
        return 1;
    }

    /* Blocked except inside ppoll(): a signal between two of them is not missed. */
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);

    forget_old_packets(&relay);
    printf("ready\n");
    fflush(stdout);
    run(&relay, &before);
    print_counts(&relay);
    while (relay.count > 0)
        free(heap_pop(&relay));
    free(relay.heap);
    return fclose(relay.log) == 0 ? 0 : 1;
}
