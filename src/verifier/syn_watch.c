/* SPDX-License-Identifier: MIT */
#include "verifier/syn_watch.h"

#include "base/container.h"
#include "base/err.h"
#include "loop/loop.h"
#include "verifier/ports.h"
#include "verifier/tcp_table.h"

#include <errno.h>
#include <stdlib.h>

/* An unfinished handshake is visible for many seconds: the kernel repeats its SYN-ACK
 * (tcp_synack_retries). */
#define LOOK_MS     250

/* Handshakes that hang already: of an earlier check, whose rules may have been others. More
 * than fit count as those of this one. */
#define EARLIER_MAX 1024

struct handshake {
    struct address local, remote;
};

struct syn_watch {
    struct handshake earlier[EARLIER_MAX];
    size_t earlier_count;
    struct loop *loop;     /* borrowed */
    const uint16_t *ports; /* borrowed */
    size_t port_count;
    struct local_port *local[FAMILY_COUNT]; /* borrowed */
    struct timer timer;
};

static void origin_note(struct local_port *local, const struct address *from)
{
    for (size_t i = 0; i < local->syn_count; i++)
        if (address_equals(&local->syn_from[i], from))
            return;
    if (local->syn_count < SYN_ORIGINS_MAX)
        local->syn_from[local->syn_count++] = *from;
}

/* The queue of another program may fill while the checker looks. */
static void waiting_note(struct syn_watch *watch, size_t index, const struct tcp_row *row)
{
    for (enum family family = 0; family < FAMILY_COUNT; family++) {
        struct local_port *local = &watch->local[family][index];
        if (local->binding == BINDING_IN_USE)
            owner_take_row(&local->owner, row);
    }
}

static bool is_same_end(const struct address *a, const struct address *b)
{
    return address_equals(a, b) && address_port(a) == address_port(b);
}

static bool is_earlier(const struct syn_watch *watch, const struct tcp_row *row)
{
    for (size_t i = 0; i < watch->earlier_count; i++)
        if (is_same_end(&watch->earlier[i].remote, &row->remote) &&
            is_same_end(&watch->earlier[i].local, &row->local))
            return true;
    return false;
}

static void earlier_note(void *ctx, const struct tcp_row *row)
{
    struct syn_watch *watch = ctx;
    if (row->state == TCP_STATE_SYN_RECV && watch->earlier_count < EARLIER_MAX)
        watch->earlier[watch->earlier_count++] =
            (struct handshake){row->local, row->remote};
}

static void row_look(void *ctx, const struct tcp_row *row)
{
    struct syn_watch *watch = ctx;
    struct address local = address_unmap(&row->local);
    size_t index;
    if (!ports_find(watch->ports, watch->port_count, address_port(&local), &index))
        return;

    if (row->state == TCP_STATE_SYN_RECV && !is_earlier(watch, row)) {
        enum family family = local.sa.sa_family == AF_INET6 ? FAMILY_6 : FAMILY_4;
        struct address from = address_unmap(&row->remote);
        address_set_port(&from, 0);
        origin_note(&watch->local[family][index], &from);
    }
    if (row->state == TCP_STATE_LISTEN && row->waiting > 0)
        waiting_note(watch, index, row);
}

void syn_watch_look(struct syn_watch *watch)
{
    tcp_table_read(TCP_TABLE_4, row_look, watch);
    tcp_table_read(TCP_TABLE_6, row_look, watch);
}

static void timer_fire(struct timer *timer)
{
    struct syn_watch *watch = CONTAINER_OF(timer, struct syn_watch, timer);
    syn_watch_look(watch);
    loop_timer_in(watch->loop, timer, span_ms(LOOK_MS));
}

bool syn_watch_new(struct loop *loop, const uint16_t *ports, size_t port_count,
                   struct local_port *const local[FAMILY_COUNT], struct syn_watch **ret,
                   struct err *err)
{
    struct syn_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return err_sys(err, ENOMEM, "watching handshakes");

    watch->loop = loop;
    watch->ports = ports;
    watch->port_count = port_count;
    for (enum family family = 0; family < FAMILY_COUNT; family++)
        watch->local[family] = local[family];
    tcp_table_read(TCP_TABLE_4, earlier_note, watch);
    tcp_table_read(TCP_TABLE_6, earlier_note, watch);
    timer_init(&watch->timer, timer_fire);
    if (!loop_timer_set(loop, &watch->timer, instant_add(clock_now(), span_ms(LOOK_MS)))) {
        free(watch);
        return err_sys(err, ENOMEM, "watching handshakes");
    }
    *ret = watch;
    return true;
}

struct syn_watch *syn_watch_free(struct syn_watch *watch)
{
    if (!watch)
        return NULL;

    loop_timer_stop(watch->loop, &watch->timer);
    free(watch);
    return NULL;
}
