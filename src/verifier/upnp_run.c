/* SPDX-License-Identifier: MIT */
#include "verifier/upnp_run.h"

#include "base/container.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/spawn.h"
#include "base/text.h"
#include "verifier/helper.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PROGRAM      "port-verifier-upnp"
#define PROGRAM_LIFE 20 /* seconds: longer than any deadline */
#define HELPER_EVERY 20 /* ms, to ask whether the helper is free */
#define DEADLINE_MAX 60000
#define REQUEST_MAX  32768

static const struct instant never = {INT64_MAX};

/* Of each family. Only the main thread uses them. */
static struct {
    int fd;        /* owned, -1 = there is none */
    bool is_asked; /* its answer has not come yet */
} helpers[FAMILY_COUNT] = {{.fd = -1}, {.fd = -1}};

/* --- the helper ----------------------------------------------------------------------- */

/* For the program, which inherits it. A terminal, and systemd when it stops a unit, signal
 * all processes, but the program has to remove the mappings then. It ends with its input
 * and at its deadline. */
static void signals_ignore(void)
{
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
}

static struct helper_answer program_execute(const void *ctx, unsigned char which, int fd)
{
    const char *path = ctx;
    char name[] = PROGRAM;
    char *argv[] = {name, NULL};
    AUTO_FD owned = fd;
    const int fds[3] = {owned, owned, -1};
    struct err err;
    pid_t child;
    (void)which;
    signals_ignore();
    if (!spawn_program(path, argv, fds, &child, &err))
        return (struct helper_answer){.failure = err.errnum};
    fd_close(&owned); /* our reader waits for the program alone */
    return (struct helper_answer){.status = helper_wait(child, PROGRAM_LIFE)};
}

static bool program_path(char ret[static PATH_MAX], struct err *err)
{
    ssize_t len = readlink("/proc/self/exe", ret, PATH_MAX - sizeof PROGRAM);
    if (len < 0)
        return err_sys(err, errno, "/proc/self/exe");
    ret[len] = '\0';
    char *slash = strrchr(ret, '/');
    memcpy(slash ? slash + 1 : ret, PROGRAM, sizeof PROGRAM);
    return true;
}

bool upnp_run_prepare(const char *path, struct err *err)
{
    static char found[PATH_MAX]; /* the helpers have a copy */
    if (path)
        snprintf(found, sizeof found, "%s", path);
    else if (!program_path(found, err))
        return false;
    for (size_t i = 0; i < FAMILY_COUNT; i++)
        if (!helper_start(program_execute, found, &helpers[i].fd, err))
            return false;
    return true;
}

void upnp_run_finish(void)
{
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        fd_close(&helpers[i].fd);
        helpers[i].is_asked = false;
    }
}

/* Whether the program has ended; `ret_answer` is written if it had not before. A helper
 * that was lost is free, and cannot be asked. */
static bool helper_is_free(enum family family, struct helper_answer *ret_answer)
{
    if (!helpers[family].is_asked)
        return true;
    enum helper_state state = helper_read(helpers[family].fd, ret_answer);
    helpers[family].is_asked = state == HELPER_BUSY;
    if (state == HELPER_LOST)
        fd_close(&helpers[family].fd);
    return state != HELPER_BUSY;
}

/* --- the end -------------------------------------------------------------------------- */

void upnp_run_close(struct upnp_run *run)
{
    loop_watch_drop(run->loop, -1, &run->watch);
    fd_close(&run->fd);
    loop_timer_set(run->loop, &run->timer, never);
    run->is_busy = false;
}

static void end(struct upnp_run *run, enum upnp_end how)
{
    upnp_run_close(run);
    run->end(run->ctx, how);
}

/* --- what it says --------------------------------------------------------------------- */

static void answers_tell(struct upnp_run *run)
{
    while (run->is_busy && run->told_count < run->reply.answer_count) {
        size_t index = run->told_count++;
        run->answer(run->ctx, index, &run->answers[index]);
    }
}

/* The helper knows why it said nothing. */
static void output_ended(struct upnp_run *run)
{
    loop_watch_drop(run->loop, -1, &run->watch);
    fd_close(&run->fd);
    loop_timer_set(run->loop, &run->timer, loop_now(run->loop));
}

static void output_ready(void *ctx, uint32_t events)
{
    struct upnp_run *run = ctx;
    char bytes[4096];
    (void)events;
    ssize_t got = recv(run->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    bool is_valid = got <= 0 || upnp_reply_add(&run->reply, bytes, (size_t)got, NULL);
    answers_tell(run);
    if (!is_valid)
        end(run, UPNP_END_FAILED);
    else if (run->reply.end != UPNP_END_NONE)
        end(run, run->reply.end);
    else if (got <= 0)
        output_ended(run);
}

/* --- what it is told ------------------------------------------------------------------ */

static void request_write(const struct upnp_run *run, int64_t rest_ms, struct text *text)
{
    const struct upnp_run_order *order = &run->order;
    char literal[ADDRESS_TEXT_SIZE];
    text_printf(text, "{\"do\": \"%s\", \"family\": %d, \"local\": \"%s\"",
                order->is_removal ? "remove" : "map", family_number(order->family),
                address_format(&order->local, literal));
    if (!address_equals(&order->client, &order->local))
        text_printf(text, ", \"client\": \"%s\"", address_format(&order->client, literal));
    if (order->has_gateway)
        text_printf(text, ", \"gateway\": \"%s\"",
                    address_format(&order->gateway, literal));
    else
        text_append_str(text, ", \"gateway\": null");
    text_printf(text,
                ", \"lease\": %u, \"is_renewal\": %s, \"waits\": %s, \"deadline_ms\": %d, "
                "\"ports\": [",
                order->lease, order->is_renewal ? "true" : "false",
                order->waits ? "true" : "false",
                (int)(rest_ms < DEADLINE_MAX ? rest_ms : DEADLINE_MAX));
    for (size_t i = 0; i < run->port_count; i++) {
        const struct upnp_run_port *port = &run->ports[i];
        text_printf(text, "%s[%u,%u", i > 0 ? "," : "", port->outer, port->inner);
        if (port->has_pinhole)
            text_printf(text, ",%u", port->pinhole);
        text_append_str(text, "]");
    }
    text_append_str(text, "]}\n");
}

/* The request is smaller than the buffer of any socket, so it is sent at once. */
static bool program_start(struct upnp_run *run, int64_t rest_ms)
{
    int ends[2];
    AUTO_TEXT request = text_up_to(REQUEST_MAX);
    request_write(run, rest_ms, &request);
    if (request.failed || helpers[run->order.family].fd < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return false;
    AUTO_FD ours = ends[0];
    AUTO_FD theirs = ends[1];
    if (send(ours, request.data, request.len, MSG_DONTWAIT | MSG_NOSIGNAL) !=
            (ssize_t)request.len ||
        !loop_watch_add(run->loop, ours, EPOLLIN, output_ready, run, &run->watch, NULL))
        return false;
    run->fd = fd_take(&ours);
    if (!helper_ask(helpers[run->order.family].fd, 0, theirs, NULL))
        return false;
    helpers[run->order.family].is_asked = run->is_started = true;
    return true;
}

/* Why it has said nothing, or that it cannot be started. */
static void program_failed(struct upnp_run *run, const struct helper_answer *answer)
{
    end(run,
        run->is_started && answer->failure == ENOENT ? UPNP_END_MISSING : UPNP_END_FAILED);
}

static void timer_fire(struct timer *timer)
{
    struct upnp_run *run = CONTAINER_OF(timer, struct upnp_run, timer);
    struct helper_answer answer = {0};
    struct instant now = loop_now(run->loop);
    struct instant deadline = run->order.deadline;
    int64_t rest_ms = instant_since(deadline, now).ns / NS_PER_MS;
    bool is_late = rest_ms <= 0;
    bool is_waiting = run->fd < 0 && !helper_is_free(run->order.family, &answer);
    if (!is_late && is_waiting)
        loop_timer_set(run->loop, timer, instant_add(now, span_ms(HELPER_EVERY)));
    else if (!is_late &&
             (run->fd >= 0 || (!run->is_started && program_start(run, rest_ms))))
        loop_timer_set(run->loop, timer, deadline);
    else
        program_failed(run, &answer);
}

/* --- life ----------------------------------------------------------------------------- */

bool upnp_run_init(struct upnp_run *run, struct loop *loop, upnp_run_answer_fn *answer,
                   upnp_run_end_fn *end_fn, void *ctx, struct err *err)
{
    *run = (struct upnp_run){
        .loop = loop,
        .answer = answer,
        .end = end_fn,
        .ctx = ctx,
        .fd = -1,
        .ports = calloc(UPNP_RUN_PORTS_MAX, sizeof *run->ports),
        .inner_ports = calloc(UPNP_RUN_PORTS_MAX, sizeof *run->inner_ports),
        .answers = calloc(UPNP_RUN_PORTS_MAX, sizeof *run->answers),
    };
    timer_init(&run->timer, timer_fire);
    /* It is always set, so that setting it again cannot fail. */
    if (run->ports && run->inner_ports && run->answers &&
        loop_timer_set(loop, &run->timer, never))
        return true;
    upnp_run_done(run);
    return err_sys(err, ENOMEM, "mapping ports");
}

void upnp_run_done(struct upnp_run *run)
{
    loop_watch_drop(run->loop, -1, &run->watch);
    fd_close(&run->fd);
    loop_timer_stop(run->loop, &run->timer);
    free(run->ports);
    free(run->inner_ports);
    free(run->answers);
}

void upnp_run_start(struct upnp_run *run, const struct upnp_run_order *order)
{
    run->order = *order;
    run->is_busy = true;
    run->is_started = false;
    run->told_count = 0;
    for (size_t i = 0; i < run->port_count; i++)
        run->inner_ports[i] = run->ports[i].inner;
    upnp_reply_init(&run->reply, run->inner_ports, run->port_count, run->answers);
    run->reply.is_ipv6 = order->family == FAMILY_6;
    run->reply.is_removal = order->is_removal;
    loop_timer_set(run->loop, &run->timer, loop_now(run->loop));
}

void upnp_run_go(struct upnp_run *run)
{
    if (run->order.waits && run->fd >= 0)
        send(run->fd, "\n", 1,
             MSG_DONTWAIT | MSG_NOSIGNAL); /* else it ends at its deadline */
    run->order.waits = false;
}
