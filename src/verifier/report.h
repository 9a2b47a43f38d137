/* SPDX-License-Identifier: MIT
 *
 * What one verification found: the data, the answer to "is it good?", and its two forms.
 * A report owns all that it holds and depends on nothing else.
 */
#pragma once

#include "base/text.h"
#include "verifier/checker.h"
#include "verifier/diagnosis.h"
#include "verifier/signs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct err;

#define REPORT_VERSION 1

/* What became of one checker in one family. */
struct report_checker {
    char *url; /* owned; of the engine in this program: NULL */
    struct checker_result result;
};

/* Ports of which one line tells everything: the same cause, seen in the same way. */
struct port_group {
    size_t first; /* index of the first port: what was found for it was found for all */
    size_t count;
    bool has_one_place; /* OTHER_PORT: all lead to one port, and not to as many others */
};

/* The report of one family. Arrays are owned; `port_count` long unless said. */
struct family_report {
    enum family which;
    struct timespec time; /* when it was judged; wall clock */
    bool is_known;        /* at least one checker answered */
    bool is_ok;           /* every required port, and one of the others, is good */

    bool has_public;
    struct address public_address;
    bool has_local;
    struct address local_address;
    struct signs signs;

    size_t checker_count;
    struct report_checker *checkers; /* checker_count long */

    size_t port_count;
    uint16_t *ports; /* ascending */
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
    bool is_probe; /* seen from this machine outward: no port bound, no checker asked */
    struct timespec time;
    struct span duration;
    unsigned quorum;
    size_t required_count;
    uint16_t *required;                           /* owned, ascending */
    struct family_report *families[FAMILY_COUNT]; /* owned; NULL: not on this machine, or
                                                     with none of the checkers */
};

bool report_new(const uint16_t *required, size_t required_count, struct report **ret,
                struct err *err);
struct report *report_free(struct report *report);

/* A report of these ports in which nothing is filled in yet. */
bool family_report_new(enum family which, const uint16_t *ports, size_t port_count,
                       size_t checker_max, struct family_report **ret, struct err *err);
struct family_report *family_report_free(struct family_report *family);

/* `in_use` are ports that may be advertised although another program holds them; 7466
 * always may. */
struct report_policy {
    unsigned quorum;
    const uint16_t *required; /* ascending */
    size_t required_count;
    const uint16_t *in_use; /* ascending */
    size_t in_use_count;
};

/* Judges a family whose addresses, checkers and local ports are filled in, and groups its
 * ports. ERR_SYSTEM without memory.
 *
 * Ports are in one group when they have the same cause and the same evidence speaks for it,
 * here and at the checkers. Ports that lead to others (OTHER_PORT) are so when they lead to
 * one port, or when all lead equally far, whichever brings more of them together. What no
 * checker answered for is one group. */
bool family_report_judge(struct family_report *family, const struct report_policy *policy,
                         struct err *err);

enum report_status report_status(const struct report *report);

/* Whether both mean the same to a program that advertises ports: families, own addresses,
 * and which ports are good, proved and advertised. A family that is not known in `later`
 * changes nothing, nor does one that is missing where no checker answered at all. */
bool report_equals(const struct report *earlier, const struct report *later);

/* Moves from `earlier` to `later` the families that `later` does not know. */
void report_inherit(struct report *later, struct report *earlier);

/* What this checker says of a port; NULL if it did not answer, or said nothing of this port
 * that this version knows. */
const struct remote_verdict *report_verdict(const struct family_report *family,
                                            size_t checker, size_t index);

/* The verdict that is the evidence for a port's cause; NULL without any verdict. */
const struct remote_verdict *report_witness(const struct family_report *family,
                                            size_t index);

/* Whether this checker answered, and reached the port as far as it could tell. */
bool report_reached(const struct family_report *family, size_t checker, size_t index);

/* What a list has in the place of the port at `index`; 0: nothing. */
typedef uint16_t(report_pick_fn)(const struct family_report *family, size_t index,
                                 const void *ctx);

/* Appends a list of ports: "7466,50800-50847". What is picked must be ascending. */
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
