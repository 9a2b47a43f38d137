/* SPDX-License-Identifier: MIT
 *
 * What a vantage point answers to a front: to a job with three ports, with a token if the
 * first byte is odd. An answer that is accepted, written again and read again is the same.
 */
#include "vantage/answer.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint16_t ports[] = {1, 50800, 65535};
#define PORT_COUNT (sizeof ports / sizeof *ports)

static void check_verdict(const struct port_verdict *verdict, size_t i, bool has_token)
{
    assert(verdict->port == ports[i] && verdict->state < PORT_STATE_COUNT);
    assert((port_verdict_error(verdict) == NULL) == (verdict->state == PORT_STATE_OPEN));
    assert(verdict->proof == PROOF_NONE ||
           (has_token && verdict->state == PORT_STATE_OPEN));
    assert((verdict->proof == PROOF_OTHER_PORT) == (verdict->proof_port != 0));
}

static bool is_same(const struct port_verdict *a, const struct port_verdict *b)
{
    return a->state == b->state && a->errnum == b->errnum && a->has_rtt == b->has_rtt &&
           a->rtt.ns == b->rtt.ns && a->proof == b->proof && a->proof_port == b->proof_port;
}

static char *write_again(const struct vantage_answer *answer, size_t *ret_len)
{
    struct text text;
    if (answer->refusal != REFUSAL_NONE)
        return vantage_answer_refuse(answer->place, answer->refusal, ret_len);
    vantage_answer_begin(&text, answer->place, PORT_COUNT);
    for (size_t i = 0; i < PORT_COUNT; i++)
        vantage_answer_add(&text, &answer->verdicts[i]);
    return vantage_answer_end(&text, ret_len);
}

static void check_answer(const struct vantage_answer *answer, const struct vantage_job *job)
{
    struct vantage_answer again;
    size_t len;
    assert((answer->verdicts == NULL) == (answer->refusal != REFUSAL_NONE));
    char *text = write_again(answer, &len);
    assert(text);
    bool is_read = vantage_answer_parse(text, len, job, &again);
    assert(is_read && again.refusal == answer->refusal);
    assert(strcmp(again.place, answer->place) == 0);
    for (size_t i = 0; answer->verdicts && i < PORT_COUNT; i++) {
        check_verdict(&answer->verdicts[i], i, job->has_token);
        assert(is_same(&answer->verdicts[i], &again.verdicts[i]));
    }
    vantage_answer_done(&again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vantage_answer answer;

    if (size < 1)
        return 0;
    const struct vantage_job job = {
        .ports = ports,
        .port_count = PORT_COUNT,
        .has_token = (data[0] & 1) != 0,
    };
    if (vantage_answer_parse((const char *)data + 1, size - 1, &job, &answer)) {
        check_answer(&answer, &job);
        vantage_answer_done(&answer);
    }
    return 0;
}
