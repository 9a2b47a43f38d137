/* SPDX-License-Identifier: MIT
 *
 * A job: what a front asks the vantage points. One JSON object, version 1:
 *
 *   {"v": 1, "id": "0123456789abcdef0123456789abcdef", "exp": 1764170000000,
 *    "budget_ms": 24000, "caller": "203.0.113.7", "target": "203.0.113.7",
 *    "ports": "7466,50800-50900", "token": "00112233445566778899aabbccddeeff"}
 *
 *   id         128 random bits; the same id is the same job
 *   exp        Unix time in milliseconds; the job is worthless then
 *   budget_ms  how long the vantage point may collect evidence
 *   ports      distinct ports and ranges of them, in the order of the answer
 *   token      proof of the listener (probe/proof.h); may be absent
 *
 * Pure, bounded and strict: a member that is missing, unknown, there twice or of another
 * type is refused. A new member is a new version.
 */
#pragma once

#include "net/address.h"
#include "probe/proof.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct port_set;

#define VANTAGE_VERSION      1
#define VANTAGE_ID_LEN       32
#define VANTAGE_PORTS_MAX    4096
#define VANTAGE_BUDGET_MS    25000       /* no check takes longer: clients wait for 30 s */
#define VANTAGE_JOB_SIZE_MAX (32 * 1024) /* bytes of JSON; a port takes at most six */

/* Why a vantage point does not judge a job; NONE means that it does. */
#define VANTAGE_REFUSAL_MAP(X)                                                             \
    X(NONE, NULL)                                                                          \
    X(VERSION, "version")   /* of the job: it is not ours */                               \
    X(FORM, "form")         /* it is not a job */                                          \
    X(PORTS, "ports")       /* more than it allows */                                      \
    X(EXPIRED, "expired")   /* `exp` has passed; or a clock is wrong */                    \
    X(TOO_EARLY, "exp")     /* `exp` is too far ahead; or a clock is wrong */              \
    X(TARGET, "target")     /* an address that it does not probe */                        \
    X(BUDGET, "budget")     /* of this target or this front */                             \
    X(OVERLOADED, "busy")   /* no time or no room */                                       \
    X(NO_ROUTE, "no_route") /* it cannot reach that family or network */                   \
    X(FAULT, "fault")       /* it could not probe */

enum vantage_refusal {
#define X(NAME, text) REFUSAL_##NAME,
    VANTAGE_REFUSAL_MAP(X)
#undef X
        REFUSAL_COUNT
};

/* NULL for REFUSAL_NONE. */
const char *vantage_refusal_text(enum vantage_refusal refusal);

struct vantage_job {
    char id[VANTAGE_ID_LEN + 1]; /* lower-case hex digits */
    int64_t exp_ms;
    unsigned budget_ms; /* 1 to VANTAGE_BUDGET_MS */
    struct address caller, target;
    bool has_token;
    struct proof_token token;
    const uint16_t *ports; /* borrowed, 1 to VANTAGE_PORTS_MAX */
    size_t port_count;
};

/* The text is the caller's, to be freed with free(); NULL without memory. */
char *vantage_job_write(const struct vantage_job *job, size_t *ret_len);

/* REFUSAL_NONE: *ret is written, and ret->ports are those of `ports`, which has the
 * limit on their number. Otherwise why it is no job for us: VERSION, FORM, PORTS, or
 * OVERLOADED without memory. */
enum vantage_refusal vantage_job_parse(const char *text, size_t len, struct port_set *ports,
                                       struct vantage_job *ret);

/* Whether it is the id of a job, and nothing else. */
bool vantage_id_is_valid(const char *text, size_t len);
