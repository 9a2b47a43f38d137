/* SPDX-License-Identifier: MIT
 *
 * The answer of one place to one job: a verdict for every port, in the order of the job, or
 * one reason for having none. One JSON object, version 1:
 *
 *   {"v": 1, "place": "eu-1", "ports": [
 *     {"port": 7466, "state": "open", "rtt_us": 12345, "proof": "match"},
 *     {"port": 50800, "state": "closed", "error": "Connection refused", "rtt_us": 12345},
 *     {"port": 50801, "state": "filtered", "error": "Connection timed out"}]}
 *   {"v": 1, "place": "eu-1", "refused": "budget"}
 *
 *   error       of a port that is not open: a text of VERDICT_ERROR_MAP
 *   rtt_us      microseconds; may be absent
 *   proof       of an open port, if the job had a token; `proof_port` with "other_port"
 *
 * Pure, bounded and as strict as job.h: a state without its error, a port that the job does
 * not have at that place, or a proof that was not requested spoils the answer.
 */
#pragma once

#include "base/place_name.h"
#include "base/text.h"
#include "probe/verdict.h"
#include "vantage/job.h"

#include <stdbool.h>
#include <stddef.h>

struct vantage_answer {
    char place[PLACE_NAME_SIZE];
    enum vantage_refusal refusal;
    struct port_verdict *verdicts; /* owned, as many as the job has ports; NULL if refused;
                                      without `icmp` and `duration` */
};

/* Bytes of JSON for this many ports. */
size_t vantage_answer_size_max(size_t port_count);

/* Writes an answer with verdicts. The text is to be freed with free(); NULL without
 * memory. */
void vantage_answer_begin(struct text *text, const char *place, size_t port_count);
void vantage_answer_add(struct text *text, const struct port_verdict *verdict);
char *vantage_answer_end(struct text *text, size_t *ret_len);

/* Writes one without. */
char *vantage_answer_refuse(const char *place, enum vantage_refusal refusal,
                            size_t *ret_len);

/* False, with *ret untouched, unless it is an answer to this job; also without memory. */
bool vantage_answer_parse(const char *text, size_t len, const struct vantage_job *job,
                          struct vantage_answer *ret);
void vantage_answer_done(struct vantage_answer *answer);
