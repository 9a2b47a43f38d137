/* SPDX-License-Identifier: MIT
 *
 * When the attempts at one port leave. Pure: facts and now in, the next step out.
 *
 * The first attempt leaves as soon as the port has its turn. Another follows
 * - a refusal, after `refusal_delay`, while more refusals are needed and no attempt that
 *   may bring one is under way;
 * - an ICMP error, after the time in which an answer could be expected, to see whether it
 *   was a passing one;
 * - an attempt that the kernel gave up, at once.
 * Each attempt uses a new socket, hence a new source port: another path where paths are
 * chosen by hash.
 */
#pragma once

#include "base/clock.h"
#include "probe/evidence.h"
#include "probe/rtt.h"

#include <stdbool.h>

#define SCHEDULE_ATTEMPTS_MAX 4 /* sockets that one port may cost */

/* What is waited for an answer while the round-trip time is unknown. */
#define SCHEDULE_ANSWER_MS    300

struct schedule_rules {
    struct span timeout; /* from the first SYN */
    unsigned refusals_needed;
    struct span refusal_delay;
};

struct schedule_facts {
    struct evidence evidence;
    struct instant first_syn;
    struct instant last_answer; /* latest refusal or ICMP error; only with such evidence */
    unsigned live;              /* attempts that may still be answered with a handshake */
    unsigned silent;            /* those of them that have not told anything yet */
};

enum schedule_step {
    SCHEDULE_ATTEMPT, /* send another SYN now */
    SCHEDULE_WAIT,    /* look again at `until` */
    SCHEDULE_TIME_UP, /* the port's time has passed: judge */
};

enum schedule_step schedule_next(const struct schedule_facts *facts,
                                 const struct schedule_rules *rules, const struct rtt *rtt,
                                 struct instant now, struct instant *ret_until);

/* How long an attempt counts as under way to the target: max(RTO, 300 ms). */
struct span schedule_answer_time(const struct rtt *rtt);
