/* SPDX-License-Identifier: MIT
 *
 * What a front sends to a vantage point. A job that is accepted, written again and read
 * again is the same job.
 */
#include "net/port_set.h"
#include "vantage/job.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_same(const struct vantage_job *a, const struct vantage_job *b)
{
    return strcmp(a->id, b->id) == 0 && a->exp_ms == b->exp_ms &&
           a->budget_ms == b->budget_ms && address_equals(&a->caller, &b->caller) &&
           address_equals(&a->target, &b->target) && a->has_token == b->has_token &&
           (!a->has_token || strcmp(a->token.hex, b->token.hex) == 0) &&
           a->port_count == b->port_count &&
           memcmp(a->ports, b->ports, a->port_count * sizeof *a->ports) == 0;
}

static void check_written_again(const struct vantage_job *job, size_t max)
{
    struct port_set ports;
    struct vantage_job again;
    size_t len;
    char *text = vantage_job_write(job, &len);
    bool is_made = text && port_set_init(&ports, max, NULL);
    assert(is_made);
    enum vantage_refusal refusal = vantage_job_parse(text, len, &ports, &again);
    assert(refusal == REFUSAL_NONE && is_same(job, &again));
    port_set_done(&ports);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t max = 1024;
    struct port_set ports;
    struct vantage_job job;

    if (!port_set_init(&ports, max, NULL))
        return 0;
    enum vantage_refusal refusal =
        vantage_job_parse((const char *)data, size, &ports, &job);
    assert(refusal < REFUSAL_COUNT);
    if (refusal == REFUSAL_NONE) {
        assert(job.port_count >= 1 && job.port_count <= max);
        assert(job.budget_ms >= 1 && job.budget_ms <= VANTAGE_BUDGET_MS);
        check_written_again(&job, max);
    }
    port_set_done(&ports);
    return 0;
}
