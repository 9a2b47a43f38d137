/* SPDX-License-Identifier: MIT
 *
 * How a courier connects, over connections that this test plays: no libnats.
 */
#include "base/clock.h"
#include "vantage/courier.h"
#include "vantage/nats_connection.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <setjmp.h>

#include <cmocka.h>

#define PATIENCE span_seconds(20)

struct nats_connection {
    const struct nats_client *client;
    bool is_closed;
};

/* How many connections are lost at once: after the server has seen their subscriptions, and
 * before the courier has them. */
static atomic_uint lost_at_once;
static atomic_uint made, freed;

bool nats_is_built(void)
{
    return true;
}

void nats_library_hold(void)
{
}

void nats_library_open(void)
{
}

bool nats_library_close(void)
{
    return true;
}

bool nats_connection_new(const struct nats_client *client, const struct nats_target *target,
                         struct nats_connection **ret, struct err *err)
{
    (void)target;
    (void)err;
    struct nats_connection *connection = calloc(1, sizeof *connection);
    assert_non_null(connection);
    connection->client = client;
    *ret = connection;
    return true;
}

struct nats_connection *nats_connection_free(struct nats_connection *connection)
{
    if (connection)
        atomic_fetch_add(&freed, 1);
    free(connection);
    return NULL;
}

bool nats_connection_is(const struct nats_connection *connection, const void *which)
{
    return connection && connection == which;
}

bool nats_connection_is_closed(const struct nats_connection *connection)
{
    return connection->is_closed;
}

bool nats_subscribe(struct nats_connection *connection, const char *subject,
                    const char *group, struct err *err)
{
    (void)connection;
    (void)subject;
    (void)group;
    (void)err;
    return true;
}

void nats_leave_groups(struct nats_connection *connection)
{
    (void)connection;
}

bool nats_flush(struct nats_connection *connection, struct err *err)
{
    (void)err;
    if (atomic_fetch_add(&made, 1) < atomic_load(&lost_at_once)) {
        connection->is_closed = true;
        connection->client->lost(connection->client->ctx, connection);
    }
    return true;
}

bool nats_publish(struct nats_connection *connection, const char *subject,
                  const char *reply, const char *data, size_t len, struct err *err)
{
    (void)connection;
    (void)subject;
    (void)reply;
    (void)data;
    (void)len;
    (void)err;
    return true;
}

static struct courier *courier_make(unsigned lost)
{
    static const struct nats_access access = {.target_count = 1};
    static struct mailbox *const mailboxes[1];
    const struct courier_config config = {
        .access = &access, .front = "gw", .place = "", .mailboxes = mailboxes};
    struct courier *courier;
    atomic_store(&lost_at_once, lost);
    atomic_store(&made, 0);
    atomic_store(&freed, 0);
    assert_true(courier_new(&config, &courier, NULL));
    assert_true(courier_start(courier, NULL));
    return courier;
}

static void courier_end(struct courier *courier)
{
    courier_stop(courier);
    courier_free(courier);
    assert_int_equal(atomic_load(&freed), atomic_load(&made));
}

static void a_connection_that_is_lost_at_once_is_followed_by_another(void **state)
{
    (void)state;
    struct courier *courier = courier_make(3);
    struct instant end = instant_add(clock_now(), PATIENCE);
    while (!(atomic_load(&made) == 4 && courier_is_up(courier)) &&
           instant_before(clock_now(), end))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_int_equal(atomic_load(&made), 4);
    assert_true(courier_is_up(courier));
    courier_end(courier);
}

static void connections_that_are_lost_are_not_made_faster_than_others(void **state)
{
    (void)state;
    struct instant begun = clock_now();
    struct courier *courier = courier_make(4);
    while (atomic_load(&made) < 5)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_true(instant_since(clock_now(), begun).ns >=
                span_ms((int64_t)4 * COURIER_RETRY_MS).ns);
    courier_end(courier);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_that_is_lost_at_once_is_followed_by_another),
        cmocka_unit_test(connections_that_are_lost_are_not_made_faster_than_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
