/* SPDX-License-Identifier: MIT
 *
 * One connection over libnats, which only this module knows. It ends when it is lost:
 * courier.h makes the next one. Key and certificates stay in memory, and no file is opened,
 * so a connection can be made in a confined process.
 */
#pragma once

#include "vantage/nats_access.h"

#include <stdbool.h>
#include <stddef.h>

struct err;
struct nats_connection;

/* One message, valid during the call. `reply` is NULL if there is none. */
struct nats_message {
    const char *subject;
    const char *reply;
    bool is_no_responders;
    const char *data;
    size_t len;
};

/* Who connects, and what is called: borrowed until nats_library_close(), because a thread
 * of libnats may be late. The functions are called on those threads. */
struct nats_client {
    const struct nats_access *access;
    void (*arrived)(void *ctx, const struct nats_message *message);
    void (*lost)(void *ctx, const void *which);    /* nats_connection_is() */
    void (*denied)(void *ctx, const char *reason); /* by the server's permissions */
    void *ctx;
};

bool nats_is_built(void);

/* Reads from files what the libraries read only once. */
void nats_library_hold(void);

/* Around all connections, by the thread that makes them. The end waits for the library's
 * threads; false if some do not end. */
void nats_library_open(void);
bool nats_library_close(void);

/* Waits for at most some seconds. */
bool nats_connection_new(const struct nats_client *client, const struct nats_target *target,
                         struct nats_connection **ret, struct err *err);
struct nats_connection *nats_connection_free(struct nats_connection *connection);

/* Whether this is the connection that was lost. */
bool nats_connection_is(const struct nats_connection *connection, const void *which);

/* It is lost. The client hears of that soon, or has heard of it. */
bool nats_connection_is_closed(const struct nats_connection *connection);

/* `group` NULL = every message. A further call with the same group is a further
 * subscription. */
bool nats_subscribe(struct nats_connection *connection, const char *subject,
                    const char *group, struct err *err);

/* Ends all subscriptions that have a group, after what has arrived for them. */
void nats_leave_groups(struct nats_connection *connection);

/* Waits until the server has seen all of that. */
bool nats_flush(struct nats_connection *connection, struct err *err);

/* `reply` NULL = none. */
bool nats_publish(struct nats_connection *connection, const char *subject,
                  const char *reply, const char *data, size_t len, struct err *err);
