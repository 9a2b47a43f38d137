/* SPDX-License-Identifier: MIT
 *
 * The inside of a checker, for checker.c, checker_ask.c and checker_end.c only.
 */
#pragma once

#include "base/text.h"
#include "loop/timers.h"
#include "verifier/checker.h"
#include "verifier/look.h"

#define ADDRESS_PATH "/ip"
#define LIMITS_PATH  "/limits"
#define CHECK_PATH   "/check-ports"

struct checker {
    struct checker_config config;                            /* all borrowed */
    bool (*begin)(struct checker *checker, struct err *err); /* at `url`, from the start */
    bool (*ask_address)(struct checker *checker, struct err *err); /* GET /ip */
    const char *url;                                               /* one of the two */
    struct fetch *fetch;                                           /* owned */
    enum checker_phase phase;
    bool has_changed;           /* and another one after that */
    struct address told_before; /* has_changed */
    struct text body;           /* of the POST that is under way */
    size_t judged;
    struct instant start;
    struct checker_result result;
    struct checker_result first; /* why `url` is the other one; has no verdicts */

    size_t *waiting; /* owned: ports that are still to be asked about, in this order */
    size_t waiting_count;
    size_t asked;     /* of these, from the first one on, by the POST under way */
    size_t piece_max; /* what it takes at a time; 0 = not known */
    bool has_asked_limits;
    bool refuses_receipts;                 /* it is asked without them */
    struct text receipts;                  /* owned; one per line */
    char no_receipt[FAILURE_MESSAGE_SIZE]; /* why there are none; "" = it does not know them
                                            */

    bool is_looking;                /* again */
    const struct local_port *local; /* borrowed while looking again */
    struct remote_limit limit;      /* of the last reply */
    struct look_past past;          /* the last look */
    struct look look;               /* the one under way, or the next one */
    struct instant deadline;        /* of all pauses */
    struct timer timer;             /* ends a pause, or a look whose time is up */
    bool is_pausing;
    struct instant pause_end;
};

/* --- checker_ask.c -------------------------------------------------------------------- */

void checker_timer_init(struct checker *checker);

/* POST /check-ports: all ports, from the beginning. */
bool checker_ask(struct checker *checker, struct err *err);

/* --- checker_end.c -------------------------------------------------------------------- */

bool checker_request(struct checker *checker, const char *path, const char *body,
                     fetch_lines_fn *lines, fetch_done_fn *done, struct err *err);

/* What a reply tells of the connection. */
void checker_note(struct checker *checker, const struct fetch_result *result);

void checker_finish(struct checker *checker);

/* `words` is what the message of this failure speaks of, or NULL. A checker that has judged
 * some ports has answered. */
void checker_fail(struct checker *checker, enum failure failure, const char *words);

/* The request got no answer, or one with another status than 200. */
void checker_fail_unanswered(struct checker *checker, const struct fetch_result *result);
void checker_fail_status(struct checker *checker, const struct fetch_result *result);

/* Whether a redirect leads to the same path elsewhere: what precedes the path there is the
 * URL of the checker. */
bool checker_has_moved(const struct fetch_result *result, const char *path,
                       size_t *ret_url_len);

/* Whether plain HTTP was sent to a port that serves HTTPS. */
bool checker_wants_https(const struct checker *checker, const struct fetch_result *result);
