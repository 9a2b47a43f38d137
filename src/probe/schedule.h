/* SPDX-License-Identifier: MIT
 *
 * When the attempts at one port leave, and when its silence is judged. Pure: facts and now
 * in, the next step out.
 *
 * The first attempt leaves as soon as the port has its turn. The kernel repeats its SYN
 * only after a second, which no option lowers; an earlier second SYN needs a second socket.
 * So, while a port is silent, a second attempt follows after about a round trip (100 to
 * 500 ms, 300 while unknown), and a third and a fourth spread over the time that the rule
 * of silence requires. All stay open until the verdict: a late answer to any of them
 * counts, and so do the SYNs with which the kernel repeats them. More than one source port
 * is also more than one path where paths are chosen by hash.
 *
 * Where SYNs are lost, each that counts is the first of a socket, because the loss may be a
 * dead path that its repetitions take again: then more than four attempts follow.
 *
 * A port that refused gets its next attempt after `refusal_delay`, while more refusals are
 * needed and no attempt that may bring one is under way.
 */
#pragma once

#include "base/clock.h"
#include "probe/evidence.h"
#include "probe/rtt.h"

#include <stdbool.h>

#define SCHEDULE_ATTEMPTS_MAX                                                              \
    4                         /* sockets that a silent port costs where nothing is lost    \
                               */
#define SCHEDULE_OPEN_MAX  15 /* with the extra one that a limit on resets may call for */

/* The time to wait for an answer while the round-trip time is unknown. */
#define SCHEDULE_ANSWER_MS 300

struct schedule_rules {
    struct span timeout; /* from the first SYN */
    unsigned refusals_needed;
    struct span refusal_delay;
    unsigned linear_timeouts; /* net.ipv4.tcp_syn_linear_timeouts, 0 before Linux 6.5 */
};

/* An attempt that is open and has not been answered with a handshake or a reset. */
struct schedule_attempt {
    struct instant sent_at;
    unsigned repeats; /* SYNs that the kernel has sent again: tcpi_total_retrans */
    bool has_error;   /* an ICMP error has come */
    bool is_over;     /* and ended it: the kernel repeats its SYN no more */
};

struct schedule_facts {
    struct evidence evidence;
    struct instant first_syn;
    struct instant last_refusal; /* only with a refusal */
    struct instant fresh_since;  /* one attempt since then must have had its time */
    struct silence_rule silence;
    struct rtt rtt;
    bool is_lean; /* no further attempt while one is open: sockets are short */
    unsigned open_count;
    struct schedule_attempt open[SCHEDULE_OPEN_MAX]; /* oldest first */
};

enum schedule_step {
    SCHEDULE_ATTEMPT, /* send another SYN now */
    SCHEDULE_WAIT,    /* judge again at `until` */
    SCHEDULE_SILENCE, /* silence suffices: judge */
    SCHEDULE_TIME_UP, /* the port's time has passed: judge */
};

enum schedule_step schedule_next(const struct schedule_facts *facts,
                                 const struct schedule_rules *rules, struct instant now,
                                 struct instant *ret_until);

/* How long an attempt counts as in flight to the target: max(RTO, 300 ms). */
struct span schedule_answer_time(const struct rtt *rtt);

/* How long after the first SYN of an attempt the kernel repeats it for the n-th time: after
 * 1, 2, 3 ... seconds for the first `linear_timeouts`, then in doubling steps. */
struct span schedule_repeat_after(unsigned n, unsigned linear_timeouts);
