/* SPDX-License-Identifier: MIT
 *
 * Owns the listening sockets and the accepted connections. A ring holds the connections in
 * the order in which they came, so the one whose time is up first is the oldest.
 */
#include "verifier/listeners.h"

#include "base/container.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/text.h"
#include "loop/loop.h"
#include "net/address.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_MAX  64 /* of one listener in one turn; the event comes again */
#define BACKLOG      128
#define HELD_SECONDS 5

struct listener {
    struct listeners *listeners; /* borrowed */
    struct local_port *local;    /* borrowed */
    int fd;                      /* owned, -1 = not bound */
    uint16_t port;
    struct loop_watch watch;
};

struct client {
    struct listeners *listeners; /* borrowed */
    bool is_held;                /* false: this place is free, and `fd` means nothing */
    int fd;                      /* owned */
    struct loop_watch watch;
    struct instant deadline;
};

struct listeners {
    struct loop *loop; /* borrowed */
    struct proof_token token;
    size_t port_count;
    size_t connections_max;
    struct listener *listener[FAMILY_COUNT]; /* owned arrays */
    struct local_port *local[FAMILY_COUNT];  /* owned arrays */

    struct client ring[LISTENERS_CONNECTIONS_MAX];
    size_t
        oldest; /* places from here on, `client_count` of them, were taken in this order */
    size_t client_count;
    struct timer timer; /* set for the oldest */
};

/* --- connections ---------------------------------------------------------------------- */

/* The side that closes first keeps the port in TIME_WAIT, and a provider that starts next
 * may not be able to bind it: so this side resets, unless the other one has closed. */
static void client_end(struct client *client, bool is_theirs)
{
    if (!client->is_held)
        return;

    client->is_held = false;
    const struct linger reset = {.l_onoff = 1};
    if (!is_theirs)
        setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    loop_watch_drop(client->listeners->loop, -1, &client->watch);
    fd_close(&client->fd);
}

static void ring_advance(struct listeners *listeners)
{
    client_end(&listeners->ring[listeners->oldest], false);
    listeners->oldest = (listeners->oldest + 1) % LISTENERS_CONNECTIONS_MAX;
    listeners->client_count--;
}

/* Skips places that are free, and sets the timer for the oldest connection. */
static void ring_tidy(struct listeners *listeners)
{
    while (listeners->client_count > 0 && !listeners->ring[listeners->oldest].is_held)
        ring_advance(listeners);
    if (listeners->client_count == 0) {
        loop_timer_stop(listeners->loop, &listeners->timer);
        return;
    }
    /* Without memory for the timer, connections end with the listeners. */
    loop_timer_set(listeners->loop, &listeners->timer,
                   listeners->ring[listeners->oldest].deadline);
}

static void timer_fire(struct timer *timer)
{
    struct listeners *listeners = CONTAINER_OF(timer, struct listeners, timer);
    struct instant now = loop_now(listeners->loop);
    while (listeners->client_count > 0 &&
           !instant_before(now, listeners->ring[listeners->oldest].deadline))
        ring_advance(listeners);
    ring_tidy(listeners);
}

/* The other side has closed. What it sent was not read, so closing resets. */
static void client_event(void *ctx, uint32_t events)
{
    struct client *client = ctx;
    struct listeners *listeners = client->listeners;
    (void)events;
    client_end(client, true);
    ring_tidy(listeners);
}

static void client_hold(struct listeners *listeners, int fd)
{
    if (listeners->client_count == listeners->connections_max)
        ring_advance(listeners);

    size_t place =
        (listeners->oldest + listeners->client_count) % LISTENERS_CONNECTIONS_MAX;
    struct client *client = &listeners->ring[place];
    client->listeners = listeners;
    if (!loop_watch_add(listeners->loop, fd, EPOLLRDHUP | EPOLLET, client_event, client,
                        &client->watch, NULL)) {
        close(fd);
        return;
    }
    client->is_held = true;
    client->fd = fd;
    client->deadline = instant_add(loop_now(listeners->loop), span_seconds(HELD_SECONDS));
    listeners->client_count++;
    ring_tidy(listeners);
}

/* --- listeners ------------------------------------------------------------------------ */

static void line_write(const struct listener *listener, int fd)
{
    char line[PROOF_LINE_SIZE];
    size_t len;
    if (!proof_line_make(&listener->listeners->token, listener->port, line, &len))
        return;

    /* An empty send buffer takes a line whole. A client that has gone does not need it. */
    ssize_t sent = send(fd, line, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)sent;
}

static void listener_accept(struct listener *listener)
{
    for (unsigned i = 0; i < ACCEPTS_MAX; i++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == ECONNABORTED || errno == EINTR))
            continue;
        if (fd < 0 && (errno == EMFILE || errno == ENFILE) &&
            listener->listeners->client_count > 0) {
            ring_advance(listener->listeners);
            continue;
        }
        if (fd < 0)
            return;

        listener->local->accepted++;
        line_write(listener, fd);
        client_hold(listener->listeners, fd);
    }
}

static void listener_event(void *ctx, uint32_t events)
{
    (void)events;
    listener_accept(ctx);
}

static bool socket_open(enum family family, uint16_t port, int *ret_fd, int *ret_errnum)
{
    int on = 1;
    struct address address = {.len = sizeof address.in, .in.sin_family = AF_INET};
    if (family == FAMILY_6) {
        memset(&address, 0, sizeof address);
        address.len = sizeof address.in6;
        address.in6.sin6_family = AF_INET6;
    }
    address_set_port(&address, port);

    AUTO_FD fd =
        socket(family_domain(family), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (family == FAMILY_6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0) ||
        bind(fd, &address.sa, address.len) != 0 || listen(fd, BACKLOG) != 0) {
        *ret_errnum = errno;
        return false;
    }
    *ret_fd = fd_take(&fd);
    return true;
}

static enum binding binding_of_errno(int errnum)
{
    switch (errnum) {
    case EADDRINUSE:
        return BINDING_IN_USE;
    case EACCES:
    case EPERM:
        return BINDING_NO_PERMISSION;
    case EAFNOSUPPORT:
    case EADDRNOTAVAIL:
        return BINDING_NO_FAMILY;
    default:
        return BINDING_FAILED;
    }
}

/* The default is that of the kernel, for a unit that hides the file. */
static unsigned privileged_below(void)
{
    char text[16];
    size_t len;
    uint64_t port;
    if (!fd_read_file("/proc/sys/net/ipv4/ip_unprivileged_port_start", text, sizeof text,
                      &len, NULL) ||
        len == 0 || !text_parse_u64(text, len - 1, UINT16_MAX + 1, &port))
        return IPPORT_RESERVED;
    return (unsigned)port;
}

static bool listener_open(struct listener *listener, enum family family, struct err *err)
{
    int errnum;
    if (socket_open(family, listener->port, &listener->fd, &errnum)) {
        listener->local->binding = BINDING_BOUND;
        return loop_watch_add(listener->listeners->loop, listener->fd, EPOLLIN,
                              listener_event, listener, &listener->watch, err);
    }
    if (errnum == EMFILE || errnum == ENFILE || errnum == ENOMEM || errnum == ENOBUFS)
        return err_sys(err, errnum, "binding port %u", listener->port);

    listener->local->binding = binding_of_errno(errnum);
    listener->local->errnum = errnum;
    if (errnum == EACCES) /* EPERM comes from elsewhere: SocketBindDeny= of systemd */
        listener->local->privileged_below = privileged_below();
    return true;
}

static bool family_open(struct listeners *listeners, enum family family,
                        const uint16_t *ports, struct err *err)
{
    struct listener *all = calloc(listeners->port_count, sizeof *all);
    listeners->listener[family] = all;
    listeners->local[family] = calloc(listeners->port_count, sizeof(struct local_port));
    if (!all || !listeners->local[family])
        return err_sys(err, ENOMEM, "listeners");

    for (size_t i = 0; i < listeners->port_count; i++)
        all[i] = (struct listener){
            .listeners = listeners,
            .local = &listeners->local[family][i],
            .fd = -1,
            .port = ports[i],
        };
    for (size_t i = 0; i < listeners->port_count; i++)
        if (!listener_open(&all[i], family, err))
            return false;
    return true;
}

/* --- which programs use the other ports ----------------------------------------------- */

static size_t count_in_use(const struct listeners *listeners)
{
    size_t count = 0;
    for (enum family family = 0; family < FAMILY_COUNT; family++)
        for (size_t i = 0; i < listeners->port_count; i++)
            count += listeners->local[family][i].binding == BINDING_IN_USE;
    return count;
}

static void owners_ask(struct listeners *listeners)
{
    size_t count = count_in_use(listeners);
    struct owner *owners = count > 0 ? calloc(count, sizeof *owners) : NULL;
    if (!owners)
        return;

    size_t at = 0;
    for (enum family family = 0; family < FAMILY_COUNT; family++)
        for (size_t i = 0; i < listeners->port_count; i++)
            if (listeners->local[family][i].binding == BINDING_IN_USE)
                owners[at++] = (struct owner){.port = listeners->listener[family][i].port,
                                              .family = family_domain(family)};
    assert(at == count);
    owners_find(owners, count);

    at = 0;
    for (enum family family = 0; family < FAMILY_COUNT; family++)
        for (size_t i = 0; i < listeners->port_count; i++)
            if (listeners->local[family][i].binding == BINDING_IN_USE)
                listeners->local[family][i].owner = owners[at++];
    free(owners);
}

/* --- life ----------------------------------------------------------------------------- */

bool listeners_open(struct loop *loop, const uint16_t *ports, size_t port_count,
                    const struct proof_token *token, size_t connections_max,
                    struct listeners **ret, struct err *err)
{
    assert(connections_max > 0 && connections_max <= LISTENERS_CONNECTIONS_MAX);
    struct listeners *listeners = calloc(1, sizeof *listeners);
    if (!listeners)
        return err_sys(err, ENOMEM, "listeners");

    listeners->loop = loop;
    listeners->token = *token;
    listeners->port_count = port_count;
    listeners->connections_max = connections_max;
    timer_init(&listeners->timer, timer_fire);

    for (enum family family = 0; family < FAMILY_COUNT; family++)
        if (!family_open(listeners, family, ports, err)) {
            listeners_free(listeners);
            return false;
        }
    owners_ask(listeners);
    *ret = listeners;
    return true;
}

struct listeners *listeners_free(struct listeners *listeners)
{
    if (!listeners)
        return NULL;

    loop_timer_stop(listeners->loop, &listeners->timer);
    for (size_t i = 0; i < LISTENERS_CONNECTIONS_MAX; i++)
        client_end(&listeners->ring[i], false);
    for (enum family family = 0; family < FAMILY_COUNT; family++) {
        struct listener *all = listeners->listener[family];
        for (size_t i = 0; all && i < listeners->port_count; i++) {
            loop_watch_drop(listeners->loop, -1, &all[i].watch);
            fd_close(&all[i].fd);
        }
        free(all);
        free(listeners->local[family]);
    }
    free(listeners);
    return NULL;
}

void listeners_sweep(struct listeners *listeners)
{
    for (enum family family = 0; family < FAMILY_COUNT; family++)
        for (size_t i = 0; i < listeners->port_count; i++)
            if (listeners->listener[family][i].fd >= 0)
                listener_accept(&listeners->listener[family][i]);
}

struct local_port *listeners_local(struct listeners *listeners, enum family family)
{
    return listeners->local[family];
}
