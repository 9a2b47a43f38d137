/* SPDX-License-Identifier: MIT
 *
 * One verification from beginning to end: bind, with --map have the ports mapped, ask all
 * checkers at once, judge.
 * Everything belongs to the loop's thread.
 */
#pragma once

#include "verifier/arguments.h"
#include "verifier/fetch.h"

#include <stdbool.h>
#include <stddef.h>

struct err;
struct fetcher;
struct loop;
struct mappings;
struct report;
struct round;
struct text;

/* Called once, never from within round_new(): the report is the callee's, NULL when it
 * failed for lack of memory. The callee may free the round. */
typedef void(round_done_fn)(void *ctx, struct report *report);

/* Which URL of each bare host answered in earlier rounds: the next round asks it first. The
 * first URL may lead nowhere and cost seconds. All zero before the first round. */
struct round_memory {
    bool is_other_first[CHECKERS_MAX][FAMILY_COUNT];
};

struct round_config {
    struct loop *loop;
    struct fetcher *fetcher;
    const struct arguments *arguments; /* all borrowed until the round is freed */
    struct round_memory *memory;       /* updated before `done` */
    struct mappings *mappings;         /* NULL without --map */
    size_t connections_max;            /* held at a time by the listeners */
    round_done_fn *done;
    void *ctx;
};

/* ERR_SYSTEM. */
bool round_new(const struct round_config *config, struct round **ret, struct err *err);

/* Before its end, it ends without `done`. */
struct round *round_free(struct round *round);

/* From where this family's checkers are asked: --source, or --ip if this machine has it. */
struct fetch_source round_source(const struct arguments *arguments, enum family family);

struct round_progress {
    bool is_mapping; /* no checker is asked yet */
    size_t checkers; /* asked; one that is asked over both families counts twice */
    size_t answered; /* of these, or failed */
    size_t ports;
    size_t judged; /* by the checker that has judged the most */
};

struct round_progress round_progress(const struct round *round);

/* While ports are checked again, appends ", checking 53 ports again in 30 s". Before that,
 * appends ", waiting for one.example, two.example:7466 over IPv6", of the checkers that
 * have not answered; nothing before the first has answered, or after the last. */
void round_format_waiting(const struct round *round, struct text *text);
