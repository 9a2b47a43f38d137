/* SPDX-License-Identifier: MIT */
#include "service/notify.h"

#include "base/fd.h"
#include "base/libc.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_NAME        "NOTIFY_SOCKET"
#define WATCHDOG_NAME      "WATCHDOG_USEC"
#define WATCHDOG_PID_NAME  "WATCHDOG_PID"

#define WATCHDOG_USEC_MIN  10000 /* more often would only cost */
#define WATCHDOG_USEC_MAX  (INT64_MAX / NS_PER_US)
#define STATUS_MESSAGE_MAX 1536
#define NS_PER_US          INT64_C(1000)

_Static_assert(NOTIFY_PATH_SIZE == sizeof((struct sockaddr_un){0}.sun_path), "sun_path");

/* --- the environment ------------------------------------------------------------------ */

static void path_read(struct notify *notify)
{
    const char *path = getenv(SOCKET_NAME);
    if (!path || !path[0])
        return;
    if ((path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof notify->path) {
        log_message(LOG_LEVEL_WARNING, "notify",
                    SOCKET_NAME " is neither a path nor an abstract socket; nothing is "
                                "sent there");
        return;
    }
    snprintf(notify->path, sizeof notify->path, "%s", path);
}

static bool is_number(const char *text, uint64_t max, uint64_t *ret)
{
    return text && text_parse_u64(text, strlen(text), max, ret);
}

static void watchdog_read(struct notify *notify)
{
    const char *pid = getenv(WATCHDOG_PID_NAME);
    const char *usec = getenv(WATCHDOG_NAME);
    uint64_t number, span;
    bool is_ours =
        !pid || (is_number(pid, INT32_MAX, &number) && number == (uint64_t)getpid());
    if (!is_ours || !is_number(usec, WATCHDOG_USEC_MAX, &span) || span == 0)
        return;

    snprintf(notify->watchdog_usec, sizeof notify->watchdog_usec, "%s", usec);
    notify->watchdog = (struct span){
        (int64_t)(span > WATCHDOG_USEC_MIN ? span : WATCHDOG_USEC_MIN) * NS_PER_US};
}

void notify_init(struct notify *notify)
{
    *notify = (struct notify){0};
    path_read(notify);
    if (notify->path[0])
        watchdog_read(notify);
    notify_take_back();
}

void notify_pass_on(const struct notify *notify)
{
    char pid[24];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    if (notify->path[0])
        setenv(SOCKET_NAME, notify->path, true);
    if (!notify->watchdog_usec[0])
        return;
    setenv(WATCHDOG_NAME, notify->watchdog_usec, true);
    setenv(WATCHDOG_PID_NAME, pid, true);
}

void notify_take_back(void)
{
    unsetenv(SOCKET_NAME);
    unsetenv(WATCHDOG_NAME);
    unsetenv(WATCHDOG_PID_NAME);
}

/* --- messages ------------------------------------------------------------------------- */

/* A first byte `@` stands for the byte 0 of an abstract address. */
static bool send_to(const char *path, const char *message)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    size_t path_len = strlen(path);
    memcpy(name.sun_path, path, path_len);
    if (path[0] == '@')
        name.sun_path[0] = '\0';
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_len +
                                (path[0] == '@' ? 0 : 1));

    AUTO_FD fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd >= 0 && sendto(fd, message, strlen(message), MSG_NOSIGNAL,
                             (const struct sockaddr *)&name, len) >= 0;
}

static void say(struct notify *notify, const char *message)
{
    if (!notify->path[0])
        return;

    bool is_sent = send_to(notify->path, message);
    if (!is_sent && !notify->is_failing)
        log_message(LOG_LEVEL_WARNING, "notify", "cannot send to " SOCKET_NAME " (%s): %s",
                    notify->path, libc_error_text(errno));
    notify->is_failing = !is_sent;
}

static void say_status(struct notify *notify, const char *state, const char *status)
{
    char message[STATUS_MESSAGE_MAX];
    snprintf(message, sizeof message, "%s\nSTATUS=%s", state, status);
    say(notify, message);
}

void notify_ready(struct notify *notify, const char *status)
{
    say_status(notify, "READY=1", status);
}

void notify_reloading(struct notify *notify)
{
    char state[64];
    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long)(clock_now().ns / NS_PER_US));
    say_status(notify, state, "reloading");
}

void notify_stopping(struct notify *notify, const char *status)
{
    say_status(notify, "STOPPING=1", status);
}

void notify_watchdog(struct notify *notify)
{
    say(notify, "WATCHDOG=1");
}
