/* SPDX-License-Identifier: MIT
 *
 * Writes the body of a 200 to POST /check-ports. Pure. It does not use jansson:
 * for 101 ports, building and dumping a tree took a tenth of the whole check; this takes a
 * hundredth. Separators are ", " and ": " as everywhere in this API.
 *
 * For one body, call check_summary_add() for every verdict, check_reply_begin(),
 * check_reply_add() for the same verdicts again, check_reply_end(). In a stream of lines
 * (NDJSON) each port is one line, and the last line has the other members. `receipt` is a
 * receipt as text, or NULL.
 */
#pragma once

#include "base/text.h"
#include "probe/engine.h"
#include "probe/verdict.h"
#include "vantage/gather.h"

#include <stdbool.h>
#include <stddef.h>

struct check_summary {
    size_t ports;
    size_t states[PORT_STATE_COUNT];
    struct job_limit limit;       /* of the whole check */
    struct gather_summary places; /* of a check that several places made; otherwise zero */
};

/* Beside a verdict: what each place says. `count` 0 = this check has no other places. */
struct check_places {
    size_t count;
    struct gather_view views[PLACES_MAX];
};

void check_summary_add(struct check_summary *summary, const struct port_verdict *verdict);

/* Whether `limit` says anything: at least one of the ports is LIMITED. */
bool check_summary_is_limited(const struct check_summary *summary);

struct check_reply {
    struct text text;
    const struct check_summary *summary; /* borrowed until check_reply_end() */
    bool has_details;                    /* `state`, `rtt_ms` and `icmp` beside each port,
                                            and `limit` beside all */
    bool has_proof;                      /* and `proof`, with OTHER_PORT `proof_port` */
    size_t count;                        /* of ports written */
};

void check_reply_begin(struct check_reply *reply, const struct check_summary *summary,
                       bool has_details, bool has_proof);

/* `places` are among the details; NULL = none. */
void check_reply_add(struct check_reply *reply, const struct port_verdict *verdict,
                     const struct check_places *places);

/* The body, to be freed with free(); NULL without memory. Ends the reply in any
 * case. */
char *check_reply_end(struct check_reply *reply, const char *receipt, size_t *ret_len);

#define CHECK_LINE_SIZE   384
#define CHECK_PLACES_SIZE (PLACES_MAX * 192ul)

/* One line of a stream with its newline, not terminated. Returns its length. */
size_t check_line_port(const struct port_verdict *verdict, bool has_details, bool has_proof,
                       char ret_line[CHECK_LINE_SIZE]);

/* What follows in that line, in place of its last two bytes ("}\n"), if there are places.
 */
size_t check_line_places(const struct check_places *places, bool has_proof,
                         char ret_line[CHECK_PLACES_SIZE]);

/* The same as plain text: "50801 closed: Connection refused", "7466 open". */
size_t check_line_plain(const struct port_verdict *verdict, char ret_line[CHECK_LINE_SIZE]);

/* The last line of a stream, to be freed with free(); NULL without memory. */
char *check_line_last(const struct check_summary *summary, bool has_details,
                      const char *receipt, size_t *ret_len);
