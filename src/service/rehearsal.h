/* SPDX-License-Identifier: MIT
 *
 * Executing a new program in the main process cannot be undone: one that then hangs or
 * crashes leaves nothing that could go back. So a reload runs it beside the main process
 * first, with the same arguments and environment, and REHEARSAL in addition. It starts as
 * it would in earnest, up to a confined child that reports that it can serve. Its sockets
 * do not listen, except copies of those that do already; the child accepts no connection
 * and does not connect to NATS; then both exit.
 */
#pragma once

#include <stdbool.h>

struct err;
struct generation;

/* The exit status of a program that has passed: one that does not know about rehearsals
 * does not exit with it. */
#define REHEARSAL_PASSED 99

/* Sets the variable in this process's environment. */
void rehearsal_ask(void);

/* Whether it was set; unsets it. */
bool rehearsal_is_asked(void);

/* Waits for the first report of the child and for its end: whether it could serve. */
bool rehearsal_await(struct generation *child, struct err *err);
