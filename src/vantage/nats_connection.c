/* SPDX-License-Identifier: MIT */
#include "vantage/nats_connection.h"

#include "base/clock.h"
#include "base/err.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <nats/nats.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS          2000 /* for a connection, for a reply of the server, for a write */
#define PING_MS          5000
#define PINGS_UNANSWERED 2
#define BUFFER_OFF       1 /* bytes kept while disconnected; 0 would be the default */
#define GROUPS_MAX       1
#define OTHERS_MAX       5

struct nats_connection {
    natsConnection *nc;                   /* owned */
    natsSubscription *groups[GROUPS_MAX]; /* owned */
    size_t group_count;
    bool has_left;                        /* the groups */
    natsSubscription *others[OTHERS_MAX]; /* owned */
    size_t other_count;
    const struct nats_client *client; /* borrowed */
};

static bool failed(struct err *err, natsStatus status)
{
    const char *more = nats_GetLastError(NULL);
    return err_set(err, ERR_SYSTEM, "%s%s%.200s", natsStatus_GetText(status),
                   more ? ": " : "", more ? more : "");
}

/* ---- the libraries ------------------------------------------------------------------ */

/* In place of OpenSSL's function. libnats calls it for every context, and would trust the
 * system's certificates as well as those that it is given, and open files to read them. */
int SSL_CTX_set_default_verify_paths(SSL_CTX *context)
{
    (void)context;
    return 1;
}

/* OpenSSL's own. */
static union {
    void *symbol;
    int (*call)(SSL *ssl);
} handshake;

/* Whether the socket is ready for the handshake to go on. */
static bool wait_for(const SSL *ssl, int error, struct instant end)
{
    struct pollfd fd = {
        .fd = SSL_get_fd(ssl),
        .events = error == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN,
    };
    int64_t ms = instant_since(end, clock_now()).ns / NS_PER_MS;
    return (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) && ms > 0 &&
           poll(&fd, 1, (int)ms) > 0;
}

/* In place of OpenSSL's function, which libnats calls with a socket that blocks: a server
 * that never answers would block our thread forever. libnats sets O_NONBLOCK next. */
int SSL_do_handshake(SSL *ssl)
{
    struct instant end = instant_add(clock_now(), span_ms(WAIT_MS));
    int result, error, flags = fcntl(SSL_get_fd(ssl), F_GETFL);
    if (flags < 0 || fcntl(SSL_get_fd(ssl), F_SETFL, flags | O_NONBLOCK) != 0)
        return -1;

    do {
        result = handshake.call(ssl);
        error = SSL_get_error(ssl, result);
    } while (result != 1 && wait_for(ssl, error, end));
    return result;
}

bool nats_is_built(void)
{
    return true;
}

void nats_library_hold(void)
{
    handshake.symbol = dlsym(RTLD_NEXT, "SSL_do_handshake");
    assert(handshake.symbol);
    /* libnats frees a part of OpenSSL that would free it again at the exit. */
    OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL);
    /* OpenSSL reads its configuration when the first context is made. */
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_free(context);
}

#if IS_SANITIZED
/* OpenSSL, which only libnats uses, keeps what is its own at the end. The leak sanitizer
 * finds 24 bytes of it from version 3.5 on. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libcrypto.so";
}
#endif

void nats_library_open(void)
{
    nats_Open(-1);
}

bool nats_library_close(void)
{
    return nats_CloseAndWait(WAIT_MS) == NATS_OK;
}

/* ---- what libnats calls ------------------------------------------------------------- */

static natsStatus sign(char **error, unsigned char **signature, int *len, const char *nonce,
                       void *ctx)
{
    const struct nats_client *client = ctx;
    (void)error;
    return nats_Sign(client->access->key.seed, nonce, signature, len);
}

static natsStatus give_jwt(char **jwt, char **error, void *ctx)
{
    const struct nats_client *client = ctx;
    (void)error;
    *jwt = strdup(client->access->jwt);
    return *jwt ? NATS_OK : NATS_NO_MEMORY;
}

static void is_closed(natsConnection *nc, void *ctx)
{
    const struct nats_client *client = ctx;
    client->lost(client->ctx, nc);
}

/* The text is the connection's own: if errors follow each other quickly, its thread may
 * write that of a later one meanwhile, always within the same bytes, of which the last
 * stays NUL. */
static void has_error(natsConnection *nc, natsSubscription *subscription, natsStatus status,
                      void *ctx)
{
    const struct nats_client *client = ctx;
    const char *text = NULL;
    (void)subscription;
    if (natsConnection_GetLastError(nc, &text) != status || !text)
        text = natsStatus_GetText(status);
    client->denied(client->ctx, text);
}

static void has_arrived(natsConnection *nc, natsSubscription *subscription, natsMsg *msg,
                        void *ctx)
{
    const struct nats_client *client = ctx;
    const struct nats_message message = {
        .subject = natsMsg_GetSubject(msg),
        .reply = natsMsg_GetReply(msg),
        .is_no_responders = natsMsg_IsNoResponders(msg),
        .data = natsMsg_GetData(msg),
        .len = (size_t)natsMsg_GetDataLength(msg),
    };
    (void)nc;
    (void)subscription;
    client->arrived(client->ctx, &message);
    natsMsg_Destroy(msg);
}

/* ---- life --------------------------------------------------------------------------- */

/* The first status that is not NATS_OK. */
static natsStatus set_options(natsOptions *opts, const struct nats_client *client,
                              const struct nats_target *target)
{
    const struct nats_access *access = client->access;
    union {
        const struct nats_client *from;
        void *to;
    } ctx = {.from = client}; /* the callbacks only read it */
    natsStatus s = natsOptions_SetURL(opts, target->url);
#define SET(call) s = s == NATS_OK ? (call) : s
    SET(natsOptions_SetName(opts, "port-checker"));
    SET(natsOptions_SetTimeout(opts, WAIT_MS));
    SET(natsOptions_SetWriteDeadline(opts, WAIT_MS));
    SET(natsOptions_SetPingInterval(opts, PING_MS));
    SET(natsOptions_SetMaxPingsOut(opts, PINGS_UNANSWERED));
    SET(natsOptions_SetAllowReconnect(opts, false));
    SET(natsOptions_SetReconnectBufSize(opts, BUFFER_OFF));
    SET(natsOptions_SetIgnoreDiscoveredServers(opts, true));
    SET(natsOptions_SetSendAsap(opts, true));
    SET(natsOptions_SetClosedCB(opts, is_closed, ctx.to));
    SET(natsOptions_SetErrorHandler(opts, has_error, ctx.to));
    if (target->is_tls) {
        SET(natsOptions_SetSecure(opts, true));
        SET(natsOptions_SetCATrustedCertificates(opts, access->ca));
        SET(natsOptions_SetExpectedHostname(opts, target->host));
    }
    if (access->jwt)
        SET(natsOptions_SetUserCredentialsCallbacks(opts, give_jwt, ctx.to, sign, ctx.to));
    else if (access->has_key)
        SET(natsOptions_SetNKey(opts, access->key.public_text, sign, ctx.to));
#undef SET
    return s;
}

bool nats_connection_new(const struct nats_client *client, const struct nats_target *target,
                         struct nats_connection **ret, struct err *err)
{
    struct nats_connection *connection = calloc(1, sizeof *connection);
    natsOptions *opts = NULL;
    if (!connection)
        return err_sys(err, ENOMEM, "NATS");

    connection->client = client;
    natsStatus status = natsOptions_Create(&opts);
    if (status == NATS_OK)
        status = set_options(opts, client, target);
    if (status == NATS_OK)
        status = natsConnection_Connect(&connection->nc, opts);
    natsOptions_Destroy(opts);
    if (status != NATS_OK) {
        failed(err, status);
        nats_connection_free(connection);
        return false;
    }
    *ret = connection;
    return true;
}

struct nats_connection *nats_connection_free(struct nats_connection *connection)
{
    if (!connection)
        return NULL;

    for (size_t i = 0; i < connection->group_count; i++) {
        /* libnats loses memory if it is destroyed before. */
        if (connection->has_left)
            natsSubscription_WaitForDrainCompletion(connection->groups[i], WAIT_MS);
        natsSubscription_Destroy(connection->groups[i]);
    }
    for (size_t i = 0; i < connection->other_count; i++)
        natsSubscription_Destroy(connection->others[i]);
    natsConnection_Destroy(connection->nc);
    free(connection);
    return NULL;
}

bool nats_connection_is(const struct nats_connection *connection, const void *which)
{
    return connection && connection->nc == which;
}

bool nats_connection_is_closed(const struct nats_connection *connection)
{
    return natsConnection_IsClosed(connection->nc);
}

/* ---- messages ----------------------------------------------------------------------- */

bool nats_subscribe(struct nats_connection *connection, const char *subject,
                    const char *group, struct err *err)
{
    union {
        const struct nats_client *from;
        void *to;
    } ctx = {.from = connection->client}; /* the callbacks only read it */
    assert(group ? connection->group_count < GROUPS_MAX
                 : connection->other_count < OTHERS_MAX);
    natsSubscription **at = group ? &connection->groups[connection->group_count]
                                  : &connection->others[connection->other_count];
    natsStatus status =
        group ? natsConnection_QueueSubscribe(at, connection->nc, subject, group,
                                              has_arrived, ctx.to)
              : natsConnection_Subscribe(at, connection->nc, subject, has_arrived, ctx.to);
    if (status != NATS_OK)
        return failed(err, status);

    *(group ? &connection->group_count : &connection->other_count) += 1;
    return true;
}

void nats_leave_groups(struct nats_connection *connection)
{
    connection->has_left = true;
    for (size_t i = 0; i < connection->group_count; i++)
        natsSubscription_Drain(connection->groups[i]);
}

bool nats_flush(struct nats_connection *connection, struct err *err)
{
    natsStatus status = natsConnection_FlushTimeout(connection->nc, WAIT_MS);
    return status == NATS_OK ? true : failed(err, status);
}

bool nats_publish(struct nats_connection *connection, const char *subject,
                  const char *reply, const char *data, size_t len, struct err *err)
{
    natsStatus status =
        reply
            ? natsConnection_PublishRequest(connection->nc, subject, reply, data, (int)len)
            : natsConnection_Publish(connection->nc, subject, data, (int)len);
    return status == NATS_OK ? true : failed(err, status);
}
