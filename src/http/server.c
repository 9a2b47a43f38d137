/* SPDX-License-Identifier: MIT */
#include "http/server.h"

#include "base/err.h"
#include "http/accept.h"

#include <errno.h>
#include <stdlib.h>

struct server {
    struct connections *connections; /* both owned */
    struct acceptor *acceptor;
};

static struct span or_default(struct span limit, int64_t seconds)
{
    return limit.ns > 0 ? limit : span_seconds(seconds);
}

static bool connections_make(struct server *server, struct loop *loop,
                             const struct server_config *config, struct err *err)
{
    const struct connections_config connections = {
        .site = config->site,
        .limits = {.idle = or_default(config->limits.idle, SERVER_IDLE_SECONDS),
                   .head = or_default(config->limits.head, SERVER_HEAD_SECONDS),
                   .body = or_default(config->limits.body, SERVER_BODY_SECONDS),
                   .send = or_default(config->limits.send, SERVER_SEND_SECONDS),
                   .linger = or_default(config->limits.linger, SERVER_LINGER_SECONDS)},
        .tls = config->tls,
        .admission = config->admission,
        .metrics = config->metrics,
    };
    return connections_new(loop, &connections, &server->connections, err);
}

static bool acceptor_make(struct server *server, struct loop *loop,
                          const struct server_config *config, const int *listeners,
                          size_t listener_count, struct err *err)
{
    const struct acceptor_config acceptor = {
        .connections = server->connections,
        .unlimited = config->unlimited,
        .admission = config->admission,
        .metrics = config->metrics,
        .is_tls = config->tls != NULL,
    };
    return acceptor_new(loop, &acceptor, listeners, listener_count, &server->acceptor, err);
}

bool server_new(struct loop *loop, const struct server_config *config, const int *listeners,
                size_t listener_count, struct server **ret, struct err *err)
{
    struct server *server = calloc(1, sizeof *server);
    if (!server)
        return err_sys(err, ENOMEM, "HTTP server");

    if (!connections_make(server, loop, config, err) ||
        !acceptor_make(server, loop, config, listeners, listener_count, err)) {
        server_free(server);
        return false;
    }
    *ret = server;
    return true;
}

struct server *server_free(struct server *server)
{
    if (!server)
        return NULL;

    acceptor_free(server->acceptor);
    connections_free(server->connections);
    free(server);
    return NULL;
}

void server_stop_accepting(struct server *server)
{
    acceptor_stop(server->acceptor);
}

void server_drain(struct server *server)
{
    connections_drain(server->connections);
}

size_t server_exchanges(const struct server *server)
{
    return connections_exchanges(server->connections);
}

size_t server_connections(const struct server *server)
{
    return connections_count(server->connections);
}
