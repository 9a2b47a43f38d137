/* SPDX-License-Identifier: MIT
 *
 * What one verification found: the data, the answer to "is it good?", and its two forms.
 * A report owns all that it holds and depends on nothing else.
 */
#pragma once

#include "base/text.h"
#include "verifier/checker.h"
#include "verifier/diagnosis.h"
#include "verifier/router_view.h"
#include "verifier/signs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct err;

#define REPORT_VERSION 2

/* One checker, over one family. */
struct report_checker {
    char *url; /* owned; NULL for the engine of this program (probe) */
    struct checker_result result;
};

/* Ports that one sentence describes: they have the same cause and the same evidence. */
struct port_group {
    size_t first; /* index of the first port: what was found for it was found for all */
    size_t count;
    bool has_one_place; /* OTHER_PORT: all lead to the same port */
};

/* The report of one family. Arrays are owned, and `port_count` long unless noted. */
struct family_report {
    enum family which;
    struct timespec time; /* when it was judged; wall clock */
    bool is_known;        /* at least one checker answered with a verdict */
    bool is_inside;       /* known only from this machine or network, and that counts not */
    bool counts_inside;   /* verdicts from inside count: there are no others, or --lan */
    bool was_reached;     /* on some port, at this address, in an earlier round */
    bool is_ok;           /* every required port, and one of the others, is good */

    bool has_public;
    struct address public_address;
    bool has_local;
    struct address local_address;
    struct link link; /* the interface that has it */
    bool has_gateway; /* of this machine, on the way to the checkers */
    struct address gateway;
    struct router_view router; /* the gateway on the way to the internet */
    struct signs signs;
    struct mapping_summary mapping;
    size_t former_count;
    struct former *former;  /* former_count long */
    uint16_t *former_ports; /* the ports of all of them, one after the other, ascending */

    size_t checker_count;
    struct report_checker *checkers; /* checker_count long */

    size_t port_count;
    uint16_t *ports; /* ascending */
    uint16_t *inner; /* to which ports of this machine they lead */
    struct local_port *local;
    struct finding *findings;
    bool *is_advertised;

    size_t group_count;
    struct port_group *groups; /* group_count long, in the order of their first ports */
    size_t *group_of;          /* index into `groups` */
};

enum report_status {
    REPORT_OK, /* at least one family is ok */
    REPORT_NOT_OK,
    REPORT_UNKNOWN, /* no checker answered */
};

struct report {
    bool is_probe; /* this machine checked another one: no port bound, no checker asked */
    struct timespec time;
    struct span duration;
    unsigned quorum;
    size_t required_count;
    uint16_t *required; /* owned, ascending */
    char *receipts;     /* owned; one per line; "" = none; NULL = not asked for */
    char
        *no_receipts; /* owned; lines such as "https://checker.example: why it gave none" */
    struct family_report *families[FAMILY_COUNT]; /* owned; NULL: not on this machine, or
                                                     with none of the checkers */
};

bool report_new(const uint16_t *required, size_t required_count, struct report **ret,
                struct err *err);
struct report *report_free(struct report *report);

/* An empty report of these ports. */
bool family_report_new(enum family which, const uint16_t *ports, size_t port_count,
                       size_t checker_max, struct family_report **ret, struct err *err);
struct family_report *family_report_free(struct family_report *family);

/* `in_use` are ports that may be advertised although another program uses them; 7466 always
 * may. */
struct report_policy {
    unsigned quorum;
    const uint16_t *required; /* ascending */
    size_t required_count;
    const uint16_t *in_use; /* ascending */
    size_t in_use_count;
    bool is_lan; /* what is seen from inside counts */
};

/* Judges a family whose addresses, checkers and local ports are filled in, and groups its
 * ports. ERR_SYSTEM without memory.
 *
 * Ports are in one group if they have the same cause and the same evidence for it, here and
 * at the checkers. Ports that lead to others (OTHER_PORT) are in one group if all lead to
 * the same port, or if all lead to a port equally far away, whichever group is larger. All
 * ports without a verdict are one group. */
bool family_report_judge(struct family_report *family, const struct report_policy *policy,
                         struct err *err);

/* Whether a verdict is other than that our own listener was reached: then the packet filter
 * of this machine may be the reason. */
bool family_report_has_doubt(const struct family_report *family);

/* What is kept of an earlier report of the same address:
 *
 *   a port that was good, and about which no checker could decide because places of the
 *   checkers are missing, is as it was: its cause is LIMITED, although it is good
 *   a port that was ours once, and advertised, is still to be advertised when another
 *   program of this machine has it and it is reached: it has been rented out
 *   whether any port was reached
 */
void report_keep(struct report *later, const struct report *earlier);

/* Whether it is good only because that was kept. */
bool report_is_kept(const struct family_report *family, size_t index);

enum report_status report_status(const struct report *report);

/* Whether both mean the same to a program that advertises ports: families, our addresses,
 * and which ports are good, proved and advertised. A family that is not known in `later`
 * changes nothing; nor does a missing family if no checker answered at all. */
bool report_equals(const struct report *earlier, const struct report *later);

/* Moves from `earlier` to `later` the families that `later` does not know. */
void report_inherit(struct report *later, struct report *earlier);

/* Whether the verdicts of this checker count: it answered, and looks at this machine from
 * the internet, unless no other does. */
bool report_counts(const struct family_report *family, size_t checker);

/* The verdict of this checker on a port; NULL if it did not answer, or if this version does
 * not know what it reports. */
const struct remote_verdict *report_verdict(const struct family_report *family,
                                            size_t checker, size_t index);

/* The verdict that is the evidence for a port's cause; NULL without any verdict. */
const struct remote_verdict *report_witness(const struct family_report *family,
                                            size_t index);

/* Whether this checker answered, and reached the port as far as it could tell. */
bool report_reached(const struct family_report *family, size_t checker, size_t index);

/* The number that a list has for the port at `index`; 0: none. */
typedef uint16_t(report_pick_fn)(const struct family_report *family, size_t index,
                                 const void *ctx);

/* Appends a list of ports: "7466,50800-50847". The numbers must be ascending. */
void report_format_ports(const struct family_report *family, report_pick_fn *pick,
                         const void *ctx, struct text *text);

/* The same, of the ports of a group, or of those that are advertised. */
void report_format_group(const struct family_report *family, const struct port_group *group,
                         struct text *text);
void report_format_advertised(const struct family_report *family, struct text *text);

/* --- forms -------------------------------------------------------------------------- */

/* The JSON object of docs/verifier-report.schema.json, one line with a newline. NULL
 * without memory; free() it. */
char *report_json(const struct report *report, size_t *ret_len);

struct report_style {
    bool is_terminal; /* laid out for people, at most `columns` wide */
    bool has_colours;
    bool has_time; /* begins with the local time: for reports that follow one another */
    unsigned columns;
};
void report_text(const struct report *report, const struct report_style *style,
                 struct text *text);
