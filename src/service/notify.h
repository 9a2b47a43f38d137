/* SPDX-License-Identifier: MIT
 *
 * What systemd is told: sd_notify(3), one datagram per message to $NOTIFY_SOCKET, from the
 * main process. Without that variable nothing is sent. A message never blocks; one that
 * cannot be delivered is lost, with a warning in the log.
 *
 * The variables are kept from programs that the service starts; notify_pass_on() sets them
 * again for a re-execution, in which the process id stays.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>

#define NOTIFY_PATH_SIZE 108 /* sun_path */

struct notify {
    char path[NOTIFY_PATH_SIZE]; /* empty = nobody listens */
    char watchdog_usec[24];      /* empty = no watchdog, or not for this process */
    struct span watchdog;        /* systemd expects a sign within it; 0 = no watchdog */
    bool is_failing;
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and unsets them. */
void notify_init(struct notify *notify);

/* Before execve(2), and when it has failed. */
void notify_pass_on(const struct notify *notify);
void notify_take_back(void);

/* The service is ready; `status` is one line. Also the end of a reload, successful or
 * not. */
void notify_ready(struct notify *notify, const char *status);
void notify_reloading(struct notify *notify);
void notify_stopping(struct notify *notify, const char *status);

/* A sign of life. */
void notify_watchdog(struct notify *notify);
