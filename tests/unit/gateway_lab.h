/* SPDX-License-Identifier: MIT
 *
 * A router that speaks NAT-PMP and PCP as its test wants, on a port of loopback and on the
 * test's own loop: no thread, no namespace. Its fields are set before the loop runs, or by
 * what runs on the loop. What it holds to be right follows the two RFCs and shares no code
 * with what is tested, apart from the numbers of the fields.
 */
#pragma once

#include "addresses.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/err.h"
#include "loop/loop.h"
#include "net/address.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define GATEWAY_TABLE_MAX 256
#define OUTER_ADDRESS     "45.12.7.1"

/* What it does with the replies that it has made. */
enum gateway_manner {
    GATEWAY_HONEST,
    GATEWAY_SILENT,
    GATEWAY_GARBAGE, /* sends noise, then the reply */
    GATEWAY_ONLY_GARBAGE,
    GATEWAY_OTHER_PORT,    /* sends them from another port */
    GATEWAY_OTHER_ADDRESS, /* sends them from another address, and its own port */
    GATEWAY_WRONG_NONCE,   /* of PCP */
};

struct gateway_mapping {
    uint16_t inner, outer;
    uint8_t nonce[12];
};

struct gateway {
    struct loop *loop;
    int fd, other_fd, stranger_fd;
    struct address address; /* with its port */
    struct loop_watch watch;

    enum gateway_manner manner;
    bool lacks_natpmp;    /* ignores it */
    bool lacks_pcp;       /* answers it in NAT-PMP's version */
    int lose;             /* so many requests from now on are lost */
    int delay_ms;         /* of each reply */
    uint32_t epoch_begin; /* seconds on top of those since the gateway began */
    bool is_fickle;       /* another epoch and another outer address in each reply */
    bool has_turned;
    uint32_t lease_max;
    size_t table_max;
    uint16_t taken;    /* another machine has this outer port: the next one is given */
    bool has_doubles;  /* and to a repetition of the request a further one */
    uint16_t result;   /* of requests for a mapping, 0: as it is */
    const char *outer; /* its address on the other side */

    struct instant began;
    struct gateway_mapping table[GATEWAY_TABLE_MAX];
    size_t table_count;
    int requests;                    /* that have come, lost ones included */
    int maps, removals, repetitions; /* of them; a busy machine makes a client repeat */
    LIST_HEAD(, gateway_reply) late; /* owned: replies that are delayed */
    int pending, pending_max;
    uint16_t asked[1024];               /* the inner ports of the first `maps` */
    uint16_t last_from[UINT16_MAX + 1]; /* by source port: the inner port, 0 = none */
    struct address asked_by;            /* the source of the last request */
};

struct gateway_reply {
    struct gateway *gateway;
    LIST_ENTRY(gateway_reply) link;
    struct timer timer;
    struct sockaddr_storage to;
    socklen_t to_len;
    bool is_repetition;
    size_t len;
    uint8_t bytes[64];
};

static inline void gateway_put(uint8_t *at, size_t size, uint64_t number)
{
    while (size-- > 0) {
        at[size] = (uint8_t)number;
        number >>= 8;
    }
}

static inline uint16_t gateway_number(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t gateway_epoch(const struct gateway *gateway)
{
    return gateway->epoch_begin + (gateway->has_turned ? 5000 : 0) +
           (uint32_t)(instant_since(clock_now(), gateway->began).ns / NS_PER_SECOND);
}

/* It has forgotten all, as after a restart. */
static inline void gateway_restart(struct gateway *gateway)
{
    gateway->table_count = 0;
    gateway->epoch_begin = 0;
    gateway->began = clock_now();
}

/* --- its table ------------------------------------------------------------------------ */

static inline struct gateway_mapping *gateway_find(struct gateway *gateway, uint16_t inner)
{
    for (size_t i = 0; i < gateway->table_count; i++)
        if (gateway->table[i].inner == inner)
            return &gateway->table[i];
    return NULL;
}

/* 0: not mapped. */
static inline uint16_t gateway_outer(struct gateway *gateway, uint16_t inner)
{
    const struct gateway_mapping *mapping = gateway_find(gateway, inner);
    return mapping ? mapping->outer : 0;
}

static inline void gateway_remove(struct gateway *gateway, uint16_t inner)
{
    struct gateway_mapping *mapping = gateway_find(gateway, inner);
    if (mapping)
        *mapping = gateway->table[--gateway->table_count];
}

static inline bool gateway_is_used(const struct gateway *gateway, uint16_t inner,
                                   uint16_t outer)
{
    for (size_t i = 0; i < gateway->table_count; i++)
        if (gateway->table[i].outer == outer &&
            (gateway->has_doubles || gateway->table[i].inner != inner))
            return true;
    return outer == gateway->taken;
}

/* Returns the outer port, or 0 if the table is full. */
static inline uint16_t gateway_map(struct gateway *gateway, uint16_t inner, uint16_t outer,
                                   const uint8_t *nonce)
{
    struct gateway_mapping *mapping =
        gateway->has_doubles ? NULL : gateway_find(gateway, inner);
    if (!mapping) {
        if (gateway->table_count >= gateway->table_max)
            return 0;
        mapping = &gateway->table[gateway->table_count++];
        *mapping = (struct gateway_mapping){.inner = inner};
        if (nonce)
            memcpy(mapping->nonce, nonce, sizeof mapping->nonce);
    }
    mapping->outer = 0;
    while (gateway_is_used(gateway, inner, outer))
        outer++;
    mapping->outer = outer;
    return mapping->outer;
}

/* --- replies -------------------------------------------------------------------------- */

static inline void gateway_send(struct gateway_reply *reply)
{
    struct gateway *gateway = reply->gateway;
    const struct sockaddr *to = (const struct sockaddr *)&reply->to;
    int fd = gateway->manner == GATEWAY_OTHER_PORT      ? gateway->other_fd
             : gateway->manner == GATEWAY_OTHER_ADDRESS ? gateway->stranger_fd
                                                        : gateway->fd;
    static const uint8_t noise[][8] = {{0}, {2, 129}, {0, 130, 0, 0}, {255}};
    if (gateway->manner == GATEWAY_GARBAGE || gateway->manner == GATEWAY_ONLY_GARBAGE)
        for (size_t i = 0; i < 4; i++)
            for (size_t len = 0; len <= sizeof noise[i]; len++)
                sendto(fd, noise[i], len, 0, to, reply->to_len);
    if (gateway->manner == GATEWAY_WRONG_NONCE && reply->len == 60)
        reply->bytes[24] ^= 1;
    if (gateway->manner != GATEWAY_SILENT && gateway->manner != GATEWAY_ONLY_GARBAGE)
        sendto(fd, reply->bytes, reply->len, 0, to, reply->to_len);
    free(reply);
}

static inline void gateway_send_late(struct timer *timer)
{
    struct gateway_reply *reply = CONTAINER_OF(timer, struct gateway_reply, timer);
    LIST_REMOVE(reply, link);
    reply->gateway->pending -= !reply->is_repetition;
    gateway_send(reply);
}

static inline void gateway_natpmp(struct gateway *gateway, const uint8_t *bytes, size_t len,
                                  struct gateway_reply *reply)
{
    uint8_t *to = reply->bytes;
    reply->len = bytes[1] == 0 ? 12 : 16;
    to[1] = 128 | bytes[1];
    gateway_put(to + 4, 4, gateway_epoch(gateway));
    if (bytes[1] == 0) {
        struct address outer = address_of(gateway->outer);
        memcpy(to + 8, &outer.in.sin_addr, 4);
        gateway_put(to + 2, 2, gateway->result);
        return;
    }
    assert_int_equal(len, 12);
    uint16_t inner = gateway_number(bytes + 4), outer = gateway_number(bytes + 6);
    uint32_t wish = (uint32_t)gateway_number(bytes + 8) << 16 | gateway_number(bytes + 10);
    memcpy(to + 8, bytes + 4, 2);
    if (wish == 0) {
        assert_int_equal(outer, 0);
        gateway_remove(gateway, inner);
        return;
    }
    uint16_t result = gateway->result;
    uint16_t given = result ? 0 : gateway_map(gateway, inner, outer, NULL);
    gateway_put(to + 2, 2, result ? result : given == 0 ? 4 : 0);
    gateway_put(to + 10, 2, given);
    gateway_put(to + 12, 4, wish < gateway->lease_max ? wish : gateway->lease_max);
}

static inline void gateway_pcp(struct gateway *gateway, const uint8_t *bytes, size_t len,
                               struct gateway_reply *reply)
{
    uint8_t *to = reply->bytes;
    memcpy(to, bytes, len);
    reply->len = len;
    to[1] |= 128;
    gateway_put(to + 8, 4, gateway_epoch(gateway));
    memset(to + 12, 0, 12);
    if (bytes[1] == 0)
        return;

    assert_int_equal(len, 60);
    if (gateway->address.sa.sa_family == AF_INET)
        assert_memory_equal(bytes + 20, &gateway->asked_by.in.sin_addr, 4);
    uint16_t inner = gateway_number(bytes + 40), outer = gateway_number(bytes + 42);
    uint32_t wish = (uint32_t)gateway_number(bytes + 4) << 16 | gateway_number(bytes + 6);
    const struct gateway_mapping *mapping = gateway_find(gateway, inner);
    if (gateway->result || (mapping && memcmp(mapping->nonce, bytes + 24, 12) != 0)) {
        to[3] = (uint8_t)(gateway->result ? gateway->result : 2);
        gateway_put(to + 4, 4, 30);
        return;
    }
    if (wish == 0) {
        gateway_remove(gateway, inner);
        return;
    }
    uint16_t given = gateway_map(gateway, inner, outer, bytes + 24);
    if (given == 0) {
        to[3] = 8;
        gateway_put(to + 4, 4, 30);
        return;
    }
    struct address address = address_of(gateway->outer);
    gateway_put(to + 4, 4, wish < gateway->lease_max ? wish : gateway->lease_max);
    gateway_put(to + 42, 2, given);
    gateway_put(to + 54, 2, 0xffff);
    memcpy(to + 56, &address.in.sin_addr, 4);
}

/* From here on, what a client asks again is no repetition: its requests have ended. */
static inline void gateway_next_round(struct gateway *gateway)
{
    memset(gateway->last_from, 0, sizeof gateway->last_from);
}

/* A client has a socket of its own for each request. Returns whether the request is a
 * repetition. */
static inline bool gateway_note(struct gateway *gateway, const uint8_t *bytes, size_t len)
{
    bool is_pcp = bytes[0] == 2;
    gateway->requests++;
    if (bytes[1] == 0)
        return false;
    assert_int_equal(len, is_pcp ? 60 : 12);
    const uint8_t *lifetime = bytes + (is_pcp ? 4 : 8);
    static const uint8_t zeros[4];
    uint16_t inner = gateway_number(bytes + (is_pcp ? 40 : 4));
    uint16_t *last = &gateway->last_from[address_port(&gateway->asked_by)];
    if (*last == inner) {
        gateway->repetitions++;
        return true;
    }
    *last = inner;
    if (memcmp(lifetime, zeros, 4) == 0) {
        gateway->removals++;
        return false;
    }
    if (gateway->maps < 1024)
        gateway->asked[gateway->maps] = inner;
    gateway->maps++;
    return false;
}

static inline void gateway_answer(struct gateway *gateway, const uint8_t *bytes, size_t len,
                                  struct gateway_reply *reply)
{
    if (bytes[0] == 0) {
        gateway_natpmp(gateway, bytes, len, reply);
    } else if (gateway->lacks_pcp) {
        reply->len = 8;
        reply->bytes[1] = 128 | bytes[1];
        reply->bytes[3] = 1;
    } else {
        gateway_pcp(gateway, bytes, len, reply);
    }
}

static inline void gateway_come(void *ctx, uint32_t events)
{
    struct gateway *gateway = ctx;
    uint8_t bytes[64];
    (void)events;
    for (;;) {
        struct sockaddr_storage from;
        socklen_t from_len = sizeof from;
        ssize_t len = recvfrom(gateway->fd, bytes, sizeof bytes, MSG_DONTWAIT,
                               (struct sockaddr *)&from, &from_len);
        if (len < 0)
            return;
        assert_true(len >= 2 && (bytes[0] == 0 || bytes[0] == 2));
        assert_true(
            address_from_sockaddr((struct sockaddr *)&from, from_len, &gateway->asked_by));
        bool is_repetition = gateway_note(gateway, bytes, (size_t)len);
        if (gateway->is_fickle) {
            gateway->has_turned = !gateway->has_turned;
            gateway->outer = gateway->has_turned ? "45.12.7.2" : OUTER_ADDRESS;
        }
        if (gateway->lose > 0) {
            gateway->lose--;
            continue;
        }
        if (bytes[0] == 0 && gateway->lacks_natpmp)
            continue;
        struct gateway_reply *reply = calloc(1, sizeof *reply);
        assert_non_null(reply);
        reply->gateway = gateway;
        reply->is_repetition = is_repetition;
        reply->to = from;
        reply->to_len = from_len;
        gateway_answer(gateway, bytes, (size_t)len, reply);
        if (gateway->delay_ms == 0) {
            gateway_send(reply);
            continue;
        }
        gateway->pending += !is_repetition;
        if (gateway->pending > gateway->pending_max)
            gateway->pending_max = gateway->pending;
        LIST_INSERT_HEAD(&gateway->late, reply, link);
        timer_init(&reply->timer, gateway_send_late);
        assert_true(loop_timer_set(gateway->loop, &reply->timer,
                                   instant_add(clock_now(), span_ms(gateway->delay_ms))));
    }
}

/* --- life ----------------------------------------------------------------------------- */

static inline int gateway_socket(const char *text, uint16_t port)
{
    struct address address = address_of(text);
    address_set_port(&address, port);
    int fd = socket(address.sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, &address.sa, address.len), 0);
    return fd;
}

static inline struct address gateway_name(int fd)
{
    struct address address;
    struct sockaddr_storage name;
    socklen_t len = sizeof name;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
    assert_true(address_from_sockaddr((struct sockaddr *)&name, len, &address));
    return address;
}

static inline bool gateway_has_ipv6(void)
{
    struct address loopback = address_of("::1");
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool has_ipv6 = fd >= 0 && bind(fd, &loopback.sa, loopback.len) == 0;
    if (fd >= 0)
        close(fd);
    return has_ipv6;
}

/* On "127.0.0.1" or "::1". Ends with gateway_free(). */
static inline struct gateway *gateway_new(struct loop *loop, const char *text)
{
    struct gateway *gateway = test_calloc(1, sizeof *gateway);
    *gateway = (struct gateway){
        .loop = loop,
        .fd = gateway_socket(text, 0),
        .other_fd = gateway_socket(text, 0),
        .stranger_fd = -1,
        .epoch_begin = 1000,
        .lease_max = 7200,
        .table_max = GATEWAY_TABLE_MAX,
        .outer = OUTER_ADDRESS,
        .began = clock_now(),
    };
    gateway->address = gateway_name(gateway->fd);
    if (gateway->address.sa.sa_family == AF_INET)
        gateway->stranger_fd = gateway_socket("127.0.0.2", address_port(&gateway->address));
    assert_true(loop_watch_add(loop, gateway->fd, EPOLLIN, gateway_come, gateway,
                               &gateway->watch, NULL));
    return gateway;
}

static inline void gateway_free(struct gateway *gateway)
{
    struct gateway_reply *reply;
    while ((reply = LIST_FIRST(&gateway->late))) {
        LIST_REMOVE(reply, link);
        loop_timer_stop(gateway->loop, &reply->timer);
        free(reply);
    }
    loop_watch_drop(gateway->loop, -1, &gateway->watch);
    close(gateway->fd);
    close(gateway->other_fd);
    if (gateway->stranger_fd >= 0)
        close(gateway->stranger_fd);
    test_free(gateway);
}
