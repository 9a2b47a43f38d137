/* SPDX-License-Identifier: MIT
 *
 * The messages of the main process to systemd, as by sd_notify(3): one datagram each to
 * $NOTIFY_SOCKET. Without that variable, nothing is sent. A message never blocks; one that
 * cannot be delivered is lost, with a warning in the log.
 *
 * Programs that the service starts do not get the variables; notify_pass_on() sets them
 * again for a re-execution, in which the process id stays.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>

#define NOTIFY_PATH_SIZE 108 /* sun_path */

struct notify {
    char path[NOTIFY_PATH_SIZE]; /* empty = send nothing */
    char watchdog_usec[24];      /* empty = no watchdog, or not for this process */
    struct span watchdog;        /* systemd expects a message within it; 0 = no watchdog */
    bool is_failing;
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and unsets them. */
void notify_init(struct notify *notify);

/* The first before execve(2), the second if that has failed. */
void notify_pass_on(const struct notify *notify);
void notify_take_back(void);

/* The service is ready; `status` is one line. This also ends a reload, successful or
 * not. */
void notify_ready(struct notify *notify, const char *status);
void notify_reloading(struct notify *notify);
void notify_stopping(struct notify *notify, const char *status);

/* Tells the watchdog that the service works. */
void notify_watchdog(struct notify *notify);
