/* SPDX-License-Identifier: MIT
 *
 * Load for a TLS server. Always TLS 1.3, TLS_AES_128_GCM_SHA256 and X25519, whatever the
 * server would choose by itself; certificates are not judged.
 *
 *   tls_load full PORT SECONDS     connect, full handshake, GET /health, close; and again
 *   tls_load resumed PORT SECONDS  the same, each handshake with the ticket of the last one
 *   tls_load idle PORT COUNT       COUNT connections of one GET /health each, which stay
 *                                  until standard input ends
 *
 * The first two run CLIENTS such clients side by side. They print "ready", begin when they
 * are sent a line, and print one JSON line: handshakes, seconds. (The first tickets cost
 * full handshakes, before "ready".) The third prints "ready" when every connection has had
 * its reply. Fails (1) at the first handshake that is not of the kind asked for, at the
 * first reply that is not a 200, and where the first two get no ticket: there is nothing to
 * measure then.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS      8
#define REPLY_MAX    4096
#define HANG_SECONDS 60 /* over the time asked for: then SIGALRM ends it */
#define PRIORITIES                                                                         \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:-GROUP-ALL:+GROUP-X25519"

struct client {
    in_port_t port;
    unsigned seconds;
    bool wants_resumed;
    gnutls_certificate_credentials_t credentials;
    gnutls_datum_t ticket; /* owned; of the last connection, empty at first */
    unsigned handshakes;
};

struct connection {
    int fd; /* owned */
    gnutls_session_t session;
};

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

__attribute__((noreturn)) static void fail(const char *what, const char *why)
{
    fprintf(stderr, "tls_load: %s: %s\n", what, why);
    exit(1);
}

/* Checks a result of GnuTLS. */
static int must(int result, const char *what)
{
    if (result < 0)
        fail(what, gnutls_strerror(result));
    return result;
}

static int socket_connect(in_port_t port)
{
    const int on = 1;
    const struct sockaddr_in server = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        connect(fd, (const struct sockaddr *)&server, sizeof server) != 0)
        fail("connect", strerror(errno));
    return fd;
}

/* Completes the handshake and checks its result. */
static struct connection connection_open(const struct client *client)
{
    struct connection connection = {.fd = socket_connect(client->port)};
    gnutls_session_t *session = &connection.session;

    must(gnutls_init(session, GNUTLS_CLIENT), "session");
    must(gnutls_priority_set_direct(*session, PRIORITIES, NULL), "priorities");
    must(gnutls_credentials_set(*session, GNUTLS_CRD_CERTIFICATE, client->credentials),
         "credentials");
    bool has_ticket = client->ticket.size > 0;
    if (has_ticket)
        must(gnutls_session_set_data(*session, client->ticket.data, client->ticket.size),
             "ticket");
    gnutls_transport_set_int(*session, connection.fd);

    int result;
    do
        result = gnutls_handshake(*session);
    while (result < 0 && !gnutls_error_is_fatal(result));
    must(result, "handshake");
    if (gnutls_protocol_get_version(*session) != GNUTLS_TLS1_3 ||
        gnutls_cipher_get(*session) != GNUTLS_CIPHER_AES_128_GCM ||
        gnutls_group_get(*session) != GNUTLS_GROUP_X25519)
        fail("handshake", gnutls_session_get_desc(*session));
    if ((gnutls_session_is_resumed(*session) != 0) != has_ticket)
        fail("handshake", has_ticket ? "it was not resumed" : "it was resumed");
    return connection;
}

/* Receives a part of a reply; 0 at the end, with or without close_notify. */
static size_t connection_receive(struct connection *connection, char *ret, size_t size)
{
    ssize_t len;
    do
        len = gnutls_record_recv(connection->session, ret, size);
    while (len < 0 && !gnutls_error_is_fatal((int)len)); /* such as after a ticket */
    if (len == GNUTLS_E_PREMATURE_TERMINATION)
        return 0;
    must((int)len, "reply");
    return (size_t)len;
}

/* Sends the request and reads the reply up to the end of its body, or of the connection. */
static void connection_ask(struct connection *connection, const char *header)
{
    static const char begin[] = "HTTP/1.1 200 ", end[] = "{\"status\": \"ok\"}";
    char request[256], reply[REPLY_MAX] = "";
    size_t len = 0, received = 1;

    int request_len = snprintf(request, sizeof request,
                               "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n", header);
    must((int)gnutls_record_send(connection->session, request, (size_t)request_len),
         "request");
    bool is_last = *header != '\0';
    while (received > 0 && (is_last || !strstr(reply, end))) {
        received = connection_receive(connection, reply + len, sizeof reply - 1 - len);
        len += received;
        reply[len] = '\0';
    }
    if (strncmp(reply, begin, sizeof begin - 1) != 0 || !strstr(reply, end))
        fail("reply", reply);
}

static void connection_close(struct connection *connection)
{
    gnutls_deinit(connection->session);
    close(connection->fd);
}

static void client_go_once(struct client *client)
{
    struct connection connection = connection_open(client);
    gnutls_session_t session = connection.session;

    connection_ask(&connection, "Connection: close\r\n");
    if ((gnutls_session_get_flags(session) & GNUTLS_SFLAGS_SESSION_TICKET) == 0)
        fail("ticket", "the server sent none");
    if (client->wants_resumed) {
        gnutls_free(client->ticket.data);
        must(gnutls_session_get_data2(session, &client->ticket), "ticket");
    }
    connection_close(&connection);
}

static void *client_run(void *ctx)
{
    struct client *client = ctx;
    double end = seconds_now() + client->seconds;
    while (seconds_now() < end) {
        client_go_once(client);
        client->handshakes++;
    }
    return NULL;
}

static bool line_read(void)
{
    int c;
    while ((c = getchar()) != EOF && c != '\n')
        ;
    return c == '\n';
}

static void report_ready(void)
{
    puts("ready");
    fflush(stdout);
}

static void clients_run(const struct client *pattern)
{
    struct client clients[CLIENTS];
    pthread_t threads[CLIENTS];
    unsigned handshakes = 0;

    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = *pattern;
        if (pattern->wants_resumed)
            client_go_once(&clients[i]);
    }
    report_ready();
    if (!line_read())
        fail("standard input", "it ended before the start");

    double begun = seconds_now();
    for (size_t i = 0; i < CLIENTS; i++)
        if (pthread_create(&threads[i], NULL, client_run, &clients[i]) != 0)
            fail("thread", strerror(errno));
    for (size_t i = 0; i < CLIENTS; i++) {
        pthread_join(threads[i], NULL);
        gnutls_free(clients[i].ticket.data);
        handshakes += clients[i].handshakes;
    }
    printf("{\"handshakes\": %u, \"seconds\": %.6f}\n", handshakes, seconds_now() - begun);
}

static void idle_run(const struct client *client, size_t count)
{
    struct connection *connections = calloc(count, sizeof *connections);
    if (!connections)
        fail("memory", strerror(errno));

    for (size_t i = 0; i < count; i++) {
        connections[i] = connection_open(client);
        connection_ask(&connections[i], "");
    }
    alarm(0);
    report_ready();
    line_read();
    for (size_t i = 0; i < count; i++)
        connection_close(&connections[i]);
    free(connections);
}

static bool number_parse(const char *text, unsigned long most, unsigned *ret)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '1' || *text > '9' || *end != '\0' || value > most)
        return false;
    *ret = (unsigned)value;
    return true;
}

int main(int argc, char *argv[])
{
    struct client client = {0};
    const char *mode = argc == 4 ? argv[1] : "";
    unsigned port, number;
    bool is_idle = strcmp(mode, "idle") == 0;
    client.wants_resumed = strcmp(mode, "resumed") == 0;
    if ((!is_idle && !client.wants_resumed && strcmp(mode, "full") != 0) ||
        !number_parse(argv[2], UINT16_MAX, &port) ||
        !number_parse(argv[3], is_idle ? 100000 : 600, &number)) {
        fputs("usage: tls_load full|resumed PORT SECONDS | idle PORT COUNT\n", stderr);
        return 2;
    }

    client.port = (in_port_t)port;
    client.seconds = number;
    must(gnutls_certificate_allocate_credentials(&client.credentials), "credentials");
    alarm(HANG_SECONDS + (is_idle ? 0 : number));
    if (is_idle)
        idle_run(&client, number);
    else
        clients_run(&client);
    gnutls_certificate_free_credentials(client.credentials);
    return 0;
}
