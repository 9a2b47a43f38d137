/* SPDX-License-Identifier: MIT
 *
 * lab_field_host: simulated hosts behind a TUN device, and the networks of the field
 * between them and the checker.
 *
 *     lab_field_host FD NAME=FIELD,FIELD...      (field_options.h lists them)
 *
 * FD is the inherited descriptor of the device. Every address that is routed to the device
 * is a host of its own, with limits, bans and outages of its own, which begin with the
 * first SYN to it; they differ in their random numbers only. It finishes handshakes,
 * acknowledges data and closes when the other side does. On SIGTERM or SIGINT the truth
 * goes to standard output as JSON: what each host received, and what became of it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "field_state.h"

#define HOSTS_MAX   4096
#define EVENTS_MAX  65536
#define RESENDS_MAX 5 /* SYN-ACKs, as net.ipv4.tcp_synack_retries */
#define WINDOW      UINT32_C(65535)

static const struct span bin = {NS_PER_SECOND / BINS};

static const char *const reason_names[] = {
#define X(name) #name,
    REASONS(X)
#undef X
};

enum event_kind { ARRIVES, LEAVES, RESENDS };

struct event {
    struct instant due;
    uint64_t number; /* keeps the order of events of one instant */
    enum event_kind kind;
    unsigned tries;
    struct host *host; /* borrowed */
    size_t len;
    unsigned char bytes[];
};

struct field {
    int device; /* borrowed */
    struct field_options options;
    struct host *hosts[HOSTS_MAX]; /* owned */
    size_t host_count;
    struct event *heap[EVENTS_MAX]; /* owned: the next that is due first */
    size_t event_count;
    uint64_t number;
};

static volatile sig_atomic_t is_over;

static void end(int signal_number)
{
    (void)signal_number;
    is_over = 1;
}

/* ---- events -------------------------------------------------------------------------- */

static bool is_before(const struct event *a, const struct event *b)
{
    if (a->due.ns != b->due.ns)
        return instant_before(a->due, b->due);
    return a->number < b->number;
}

static void event_push(struct field *field, const struct event *event,
                       const unsigned char *bytes)
{
    struct event *added;
    size_t i = field->event_count;

    if (i == EVENTS_MAX || !(added = malloc(sizeof *added + event->len))) {
        fprintf(stderr, "lab_field_host: too many packets at once\n");
        exit(1);
    }
    *added = *event;
    added->number = field->number++;
    memcpy(added->bytes, bytes, event->len);
    for (field->event_count++; i > 0 && is_before(added, field->heap[(i - 1) / 2]);
         i = (i - 1) / 2)
        field->heap[i] = field->heap[(i - 1) / 2];
    field->heap[i] = added;
}

static struct event *event_pop(struct field *field)
{
    struct event **heap = field->heap, *first = heap[0];
    struct event *moved = heap[--field->event_count];
    size_t i = 0;

    for (size_t child = 1; child < field->event_count; child = 2 * i + 1) {
        if (child + 1 < field->event_count && is_before(heap[child + 1], heap[child]))
            child++;
        if (!is_before(heap[child], moved))
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = moved;
    return first;
}

/* ---- the link ------------------------------------------------------------------------ */

/* ---- what is sent ----------------------------------------------------------------------
 */

static void leave(struct field *field, struct host *host, struct instant now,
                  struct span delay, const unsigned char *bytes, size_t len)
{
    if (!link_loses(&field->options, host, now))
        event_push(field,
                   &(struct event){
                       .due = instant_add(instant_add(now, delay), field->options.one_way),
                       .kind = LEAVES,
                       .host = host,
                       .len = len,
                   },
                   bytes);
}

static size_t leave_segment(struct field *field, struct host *host, struct instant now,
                            struct span delay, const struct segment *segment,
                            unsigned char ret_bytes[PACKET_MAX])
{
    size_t len = segment_write(segment, ret_bytes);

    leave(field, host, now, delay, ret_bytes, len);
    return len;
}

static void send_icmp(struct field *field, struct host *host, struct instant now,
                      const struct action *icmp, const unsigned char *bytes, size_t len)
{
    static const unsigned char router4[] = {10, 66, 255, 254};
    static const unsigned char router6[ADDRESS_MAX] = {0xfd,
                                                       0x66, [14] = 0xff, [15] = 0xfe};
    unsigned char packet[PACKET_MAX];
    const unsigned char *sender = host->version == 4 ? router4 : router6;

    if (field->options.icmps.per_minute > 0 &&
        !bucket_take(&host->icmps, &field->options.icmps, now)) {
        host->refused[REASON_ICMPS]++;
        return;
    }
    if (field->options.is_icmp_from_target)
        sender = host->address;
    host->icmp_errors++;
    size_t packet_len = icmp_write(bytes, len, sender, icmp->type, icmp->code, packet);
    leave(field, host, now, (struct span){0}, packet, packet_len);
}

static void send_reset(struct field *field, struct host *host, struct instant now,
                       const struct segment *segment)
{
    unsigned char packet[PACKET_MAX];
    struct segment reset = segment_answer(segment, TCP_RST, 0);

    host->resets++;
    leave_segment(field, host, now, (struct span){0}, &reset, packet);
}

static void refuse(struct field *field, struct host *host, struct instant now,
                   const struct action *action, const struct segment *syn,
                   const unsigned char *bytes, size_t len)
{
    if (action->kind == ACTION_RESET)
        send_reset(field, host, now, syn);
    else if (action->kind == ACTION_ICMP)
        send_icmp(field, host, now, action, bytes, len);
}

/* ---- the host ------------------------------------------------------------------------ */

static void send_syn_ack(struct field *field, struct host *host, struct instant now,
                         struct span delay, const struct segment *syn, uint32_t ours)
{
    unsigned char bytes[PACKET_MAX];
    struct segment answer = segment_answer(syn, TCP_SYN | TCP_ACK, ours);
    size_t len = leave_segment(field, host, now, delay, &answer, bytes);
    struct instant again = instant_add(instant_add(now, delay), span_seconds(1));

    host->ports[syn->destination_port].answers++;
    event_push(field,
               &(struct event){.due = again, .kind = RESENDS, .host = host, .len = len},
               bytes);
    if (++host->syn_acks == field->options.outage_after) {
        host->outage_from = now;
        host->outage_to = instant_add(now, field->options.outage);
    }
}

/* A SYN of a connection that is there already: the same again, or one that reuses its
 * source port too soon, which Linux resets or challenges (RFC 5961). */
static void repeated_syn(struct field *field, struct host *host, struct instant now,
                         struct span delay, const struct segment *syn,
                         struct connection *connection)
{
    unsigned char bytes[PACKET_MAX];
    struct segment challenge = segment_answer(syn, TCP_ACK, connection->ours + 1);

    if (syn->seq == connection->theirs && connection->state == HALF_OPEN) {
        struct segment answer = segment_answer(syn, TCP_SYN | TCP_ACK, connection->ours);
        leave_segment(field, host, now, delay, &answer, bytes);
        host->ports[syn->destination_port].answers++;
    } else if (syn->seq - connection->theirs < WINDOW && connection->state == HALF_OPEN) {
        send_reset(field, host, now, syn);
        connection_end(connection, now);
    } else {
        challenge.ack = connection->theirs + 1;
        leave_segment(field, host, now, (struct span){0}, &challenge, bytes);
    }
}

static void closed_port(struct field *field, struct host *host, struct instant now,
                        const struct segment *syn)
{
    uint64_t max = field->options.resets;

    if (instant_since(now, host->reset_second).ns > NS_PER_SECOND) {
        host->reset_second = now;
        host->resets_in_second = 0;
    }
    if (max > 0 && host->resets_in_second++ >= max)
        host->refused[REASON_RESETS]++;
    else
        send_reset(field, host, now, syn);
}

static void open_port(struct field *field, struct host *host, struct instant now,
                      const struct segment *syn, struct span delay)
{
    struct connection *connection = connection_find(host, syn);

    if (connection)
        repeated_syn(field, host, now, delay, syn, connection);
    else
        send_syn_ack(field, host, now, delay, syn, connection_add(host, syn, now)->ours);
}

static void take_syn(struct field *field, struct host *host, struct instant now,
                     const struct segment *syn, const unsigned char *bytes, size_t len)
{
    const struct port_rule *rule = &field->options.ports[syn->destination_port];
    struct port *port = &host->ports[syn->destination_port];
    struct span since_first = instant_since(now, port->first);
    struct span delay = {0};

    const struct action *refusal = gates_check(&field->options, host, syn, now);
    if (refusal) {
        refuse(field, host, now, refusal, syn, bytes, len);
        return;
    }
    switch (rule->kind) {
    case PORT_SILENT:
        return;
    case PORT_CLOSED:
        closed_port(field, host, now, syn);
        return;
    case PORT_ICMP:
        send_icmp(field, host, now, &rule->icmp, bytes, len);
        return;
    case PORT_QUEUE:
    case PORT_SKIP:
        if (rule->kind == PORT_QUEUE ? since_first.ns < span_ms(rule->number).ns
                                     : port->syns <= rule->number) {
            host->refused[REASON_QUEUE]++;
            return;
        }
        break;
    case PORT_SLOW:
        delay = span_ms(rule->number);
        break;
    case PORT_OPEN:
        break;
    }
    open_port(field, host, now, syn, delay);
}

static void take_other(struct field *field, struct host *host, struct instant now,
                       const struct segment *segment)
{
    unsigned char bytes[PACKET_MAX];
    struct connection *connection = connection_find(host, segment);

    if (segment->flags & TCP_RST) {
        if (connection)
            connection_end(connection, now);
        return;
    }
    if (!connection) {
        if (segment->data_len > 0 || !(segment->flags & TCP_ACK))
            send_reset(field, host, now, segment);
        return;
    }
    if (connection->state == HALF_OPEN && segment->ack == connection->ours + 1) {
        connection->state = ESTABLISHED;
        host->handshakes++;
    }
    bool is_last = segment->flags & TCP_FIN;
    if (is_last || segment->data_len > 0) {
        uint8_t flags = is_last ? TCP_ACK | TCP_FIN : TCP_ACK;
        struct segment answer = segment_answer(segment, flags, connection->ours + 1);
        leave_segment(field, host, now, (struct span){0}, &answer, bytes);
    }
    if (is_last)
        connection_end(connection, now);
}

static void resend(struct field *field, struct event *event)
{
    struct segment syn_ack;

    segment_parse(event->bytes, event->len, &syn_ack);
    struct segment theirs = segment_answer(&syn_ack, TCP_ACK, 0);
    struct connection *connection = connection_find(event->host, &theirs);
    if (!connection || connection->state != HALF_OPEN || connection->ours != syn_ack.seq)
        return;
    leave(field, event->host, event->due, (struct span){0}, event->bytes, event->len);
    event->host->ports[theirs.destination_port].answers++;
    if (event->tries + 1 == RESENDS_MAX)
        return;
    struct event again = *event;
    again.tries++;
    again.due = instant_add(event->due, span_seconds(INT64_C(1) << again.tries));
    event_push(field, &again, event->bytes);
}

/* ---- work ---------------------------------------------------------------------------- */

static struct host *host_of(struct field *field, const struct segment *segment)
{
    for (size_t i = 0; i < field->host_count; i++)
        if (memcmp(field->hosts[i]->address, segment->destination, ADDRESS_MAX) == 0)
            return field->hosts[i];

    struct host *host = field->host_count < HOSTS_MAX ? calloc(1, sizeof *host) : NULL;
    if (!host ||
        !(host->connections = calloc(CONNECTIONS_MAX, sizeof *host->connections))) {
        fprintf(stderr, "lab_field_host: too many hosts\n");
        exit(1);
    }
    host->version = segment->version;
    memcpy(host->address, segment->destination, ADDRESS_MAX);
    host->random = chance_mix(field->options.seed + field->host_count + 1);
    field->hosts[field->host_count++] = host;
    return host;
}

static void note_syn(struct host *host, const struct segment *syn, struct instant now)
{
    struct port *port = &host->ports[syn->destination_port];
    int64_t number = now.ns / bin.ns;
    uint64_t in_window = 0;

    if (host->syns++ == 0)
        host->first = host->outage_to = now;
    if (port->syns++ == 0)
        port->first = now;
    for (; host->bin_number < number && number - host->bin_number <= BINS;)
        host->in_bin[++host->bin_number % BINS] = 0;
    if (host->bin_number < number) {
        memset(host->in_bin, 0, sizeof host->in_bin);
        host->bin_number = number;
    }
    host->in_bin[number % BINS]++;
    for (size_t i = 0; i < BINS; i++)
        in_window += host->in_bin[i];
    if (in_window > host->highest)
        host->highest = in_window;
}

static bool is_syn(const struct segment *segment)
{
    return (segment->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN;
}

static void read_device(struct field *field)
{
    unsigned char bytes[PACKET_MAX];
    struct segment segment;

    for (int i = 0; i < 64; i++) {
        ssize_t len = read(field->device, bytes, sizeof bytes);
        if (len <= 0)
            return;
        if (!segment_parse(bytes, (size_t)len, &segment))
            continue;
        struct host *host = host_of(field, &segment);
        struct instant now = clock_now();
        if (is_syn(&segment))
            note_syn(host, &segment, now);
        if (link_is_dead(&field->options, &segment)) {
            host->refused[REASON_PATH]++;
        } else if (!link_loses(&field->options, host, now)) {
            event_push(field,
                       &(struct event){.due = instant_add(now, field->options.one_way),
                                       .kind = ARRIVES,
                                       .host = host,
                                       .len = (size_t)len},
                       bytes);
        }
    }
}

static void handle(struct field *field, struct event *event)
{
    struct segment segment;

    switch (event->kind) {
    case ARRIVES:
        segment_parse(event->bytes, event->len, &segment);
        if (is_syn(&segment))
            take_syn(field, event->host, event->due, &segment, event->bytes, event->len);
        else
            take_other(field, event->host, event->due, &segment);
        break;
    case LEAVES:
        if (write(field->device, event->bytes, event->len) < 0)
            perror("lab_field_host: write");
        break;
    case RESENDS:
        resend(field, event);
        break;
    }
}

static void run(struct field *field, const sigset_t *mask)
{
    struct pollfd polled = {.fd = field->device, .events = POLLIN};

    while (!is_over) {
        struct timespec patience = {0};
        if (field->event_count > 0) {
            int64_t ns = instant_since(field->heap[0]->due, clock_now()).ns;
            if (ns > 0)
                patience = (struct timespec){ns / NS_PER_SECOND, ns % NS_PER_SECOND};
        }
        if (ppoll(&polled, 1, field->event_count > 0 ? &patience : NULL, mask) < 0 &&
            errno != EINTR)
            return;
        read_device(field);
        struct instant now = clock_now();
        while (field->event_count > 0 && !instant_before(now, field->heap[0]->due)) {
            struct event *event = event_pop(field);
            handle(field, event);
            free(event);
        }
    }
}

static void print_host(const struct host *host)
{
    char address[INET6_ADDRSTRLEN];
    const char *comma = "";

    inet_ntop(host->version == 4 ? AF_INET : AF_INET6, host->address, address,
              sizeof address);
    printf("\"%s\": {\"syns\": %llu, \"highest_rate\": %llu, \"syn_acks\": %llu, "
           "\"handshakes\": %llu, \"resets\": %llu, \"icmp_errors\": %llu, \"bans\": %llu",
           address, (unsigned long long)host->syns, (unsigned long long)host->highest,
           (unsigned long long)host->syn_acks, (unsigned long long)host->handshakes,
           (unsigned long long)host->resets, (unsigned long long)host->icmp_errors,
           (unsigned long long)host->bans);
    printf(", \"refused\": {");
    for (size_t i = 0; i < REASON_COUNT; i++)
        printf("%s\"%s\": %llu", i ? ", " : "", reason_names[i],
               (unsigned long long)host->refused[i]);
    printf("}, \"ports\": {");
    for (size_t i = 0; i < PORT_COUNT; i++)
        if (host->ports[i].syns > 0) {
            printf("%s\"%zu\": [%llu, %llu]", comma, i,
                   (unsigned long long)host->ports[i].syns,
                   (unsigned long long)host->ports[i].answers);
            comma = ", ";
        }
    printf("}}");
}

static bool parse(struct field *field, int count, char **arguments)
{
    uint64_t device;

    if (count < 2 || !text_parse_u64(arguments[1], strlen(arguments[1]), 65535, &device))
        return false;
    field->device = (int)device;
    for (int i = 2; i < count; i++)
        if (!field_options_read(&field->options, arguments[i]))
            return false;
    return true;
}

int main(int count, char **arguments)
{
    static struct field field;
    struct sigaction action = {.sa_handler = end};
    sigset_t blocked, before;

    if (!parse(&field, count, arguments)) {
        fprintf(stderr, "usage: lab_field_host FD NAME=FIELD,FIELD...\n");
        return 2;
    }

    /* Blocked except inside ppoll(): a signal between two of them is not missed. */
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);

    printf("ready\n");
    fflush(stdout);
    run(&field, &before);
    printf("{");
    for (size_t i = 0; i < field.host_count; i++) {
        printf("%s", i ? ", " : "");
        print_host(field.hosts[i]);
        free(field.hosts[i]->connections);
        free(field.hosts[i]);
    }
    printf("}\n");
    while (field.event_count > 0)
        free(event_pop(&field));
    return 0;
}
