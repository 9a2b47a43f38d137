/* SPDX-License-Identifier: MIT */
#include "http/server.h"

#include "base/err.h"
#include "http/accept.h"

#include <errno.h>
#include <stdlib.h>

struct server {
    struct http_config config;
    struct connections *connections; /* both owned */
    struct acceptor *acceptor;
};

static void set_defaults(struct connection_limits *limits)
{
    const struct {
        struct span *limit;
        int64_t seconds;
    } rows[] = {
        {&limits->idle, SERVER_IDLE_SECONDS},     {&limits->head, SERVER_HEAD_SECONDS},
        {&limits->body, SERVER_BODY_SECONDS},     {&limits->send, SERVER_SEND_SECONDS},
        {&limits->linger, SERVER_LINGER_SECONDS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].limit->ns == 0)
            *rows[i].limit = span_seconds(rows[i].seconds);
}

bool server_new(struct loop *loop, const struct http_config *config, const int *listeners,
                size_t listener_count, struct server **ret, struct err *err)
{
    struct server *server = calloc(1, sizeof *server);
    if (!server)
        return err_sys(err, ENOMEM, "HTTP server");

    server->config = *config;
    set_defaults(&server->config.limits);
    if (!connections_new(loop, &server->config, &server->connections, err) ||
        !acceptor_new(loop, &server->config, server->connections, listeners, listener_count,
                      &server->acceptor, err)) {
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
