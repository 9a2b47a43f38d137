/* SPDX-License-Identifier: MIT
 *
 * The main thread of the child: waits for the parent's commands and moves the service
 * through its phases. A command is a signal that no terminal and no supervisor sends: those
 * signals reach all processes of the service, and the parent alone acts on them.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>

struct control;
struct err;
struct service;

#define DRAIN_SECONDS       25
#define DEBUG_YIELD_SECONDS 2

#define CONTROL_YIELD       SIGUSR1 /* a successor serves: finish what has begun, then exit */
#define CONTROL_DRAIN       SIGUSR2 /* the service ends: finish running checks, then exit */

/* Opens all that it needs; call it before the process is confined. */
bool control_new(struct service *service, struct control **ret, struct err *err);

/* Runs until all workers may be joined. */
bool control_run(struct control *control, struct err *err);
struct control *control_free(struct control *control);
