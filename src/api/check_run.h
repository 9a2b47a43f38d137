/* SPDX-License-Identifier: MIT
 *
 * A check that was admitted: a job for the engine and, at a front, for other places, until
 * the verdicts are in, the time is over, or the client has left.
 */
#pragma once

struct check;

/* Takes a copy. Call it after the budget was charged. */
void check_start(struct check *request);

/* Without ports there is nothing to wait for. */
void check_reply_no_ports(struct check *check);
