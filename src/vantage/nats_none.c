/* SPDX-License-Identifier: MIT
 *
 * In place of nats_connection.c in a build without libnats: no connection is ever made.
 */
#include "vantage/nats_connection.h"

#include "base/err.h"

#include <stdlib.h>

bool nats_is_built(void)
{
    return false;
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

static bool lacking(struct err *err)
{
    return err_set(err, ERR_INVALID, "this build has no NATS");
}

bool nats_connection_new(const struct nats_client *client, const struct nats_target *target,
                         struct nats_connection **ret, struct err *err)
{
    (void)client;
    (void)target;
    (void)ret;
    return lacking(err);
}

struct nats_connection *nats_connection_free(struct nats_connection *connection)
{
    (void)connection;
    return NULL;
}

bool nats_connection_is(const struct nats_connection *connection, const void *which)
{
    (void)connection;
    (void)which;
    return false;
}

bool nats_connection_is_closed(const struct nats_connection *connection)
{
    (void)connection;
    return true;
}

bool nats_subscribe(struct nats_connection *connection, const char *subject,
                    const char *group, struct err *err)
{
    (void)connection;
    (void)subject;
    (void)group;
    return lacking(err);
}

void nats_leave_groups(struct nats_connection *connection)
{
    (void)connection;
}

bool nats_flush(struct nats_connection *connection, struct err *err)
{
    (void)connection;
    return lacking(err);
}

bool nats_publish(struct nats_connection *connection, const char *subject,
                  const char *reply, const char *data, size_t len, struct err *err)
{
    (void)connection;
    (void)subject;
    (void)reply;
    (void)data;
    (void)len;
    return lacking(err);
}
