/* SPDX-License-Identifier: MIT */
#include "verifier/report.h"

#include "base/err.h"
#include "verifier/ports.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PROVIDER_PORT 7466 /* the provider itself, which may be running already */

/* --- life ----------------------------------------------------------------------------- */

static uint16_t *ports_copy(const uint16_t *ports, size_t count)
{
    uint16_t *copy = calloc(count + 1, sizeof *copy);
    if (copy && count > 0)
        memcpy(copy, ports, count * sizeof *copy);
    return copy;
}

bool report_new(const uint16_t *required, size_t required_count, struct report **ret,
                struct err *err)
{
    struct report *report = calloc(1, sizeof *report);
    if (!report)
        return err_sys(err, ENOMEM, "report");

    clock_gettime(CLOCK_REALTIME, &report->time);
    report->quorum = 1;
    report->required = ports_copy(required, required_count);
    report->required_count = required_count;
    if (!report->required) {
        free(report);
        return err_sys(err, ENOMEM, "report");
    }
    *ret = report;
    return true;
}

struct report *report_free(struct report *report)
{
    if (!report)
        return NULL;

    for (enum family family = 0; family < FAMILY_COUNT; family++)
        family_report_free(report->families[family]);
    free(report->required);
    free(report);
    return NULL;
}

bool family_report_new(enum family family, const uint16_t *ports, size_t port_count,
                       size_t checker_max, struct family_report **ret, struct err *err)
{
    struct family_report *half = calloc(1, sizeof *half);
    if (!half)
        return err_sys(err, ENOMEM, "report");

    half->family = family;
    half->port_count = port_count;
    half->ports = ports_copy(ports, port_count);
    half->checkers = calloc(checker_max + 1, sizeof *half->checkers);
    half->local = calloc(port_count + 1, sizeof *half->local);
    half->findings = calloc(port_count + 1, sizeof *half->findings);
    half->is_advertised = calloc(port_count + 1, sizeof *half->is_advertised);
    if (!half->ports || !half->checkers || !half->local || !half->findings ||
        !half->is_advertised) {
        family_report_free(half);
        return err_sys(err, ENOMEM, "report");
    }
    *ret = half;
    return true;
}

struct family_report *family_report_free(struct family_report *half)
{
    if (!half)
        return NULL;

    for (size_t i = 0; i < half->checker_count; i++) {
        free(half->checkers[i].url);
        free(half->checkers[i].result.verdicts);
    }
    free(half->checkers);
    free(half->ports);
    free(half->local);
    free(half->findings);
    free(half->is_advertised);
    free(half);
    return NULL;
}

/* --- judging -------------------------------------------------------------------------- */

static bool may_be_advertised(const struct family_report *half, size_t index,
                              const struct report_policy *policy)
{
    size_t ignored;
    enum binding binding = half->local[index].binding;
    return binding == BINDING_BOUND || binding == BINDING_NONE ||
           half->ports[index] == PROVIDER_PORT ||
           ports_find(policy->in_use, policy->in_use_count, half->ports[index], &ignored);
}

/* Every required port is good, and where others are listed, at least one of them. */
static bool half_is_ok(const struct family_report *half, const struct report_policy *policy)
{
    size_t others = 0;
    size_t good_others = 0;
    for (size_t i = 0; i < half->port_count; i++) {
        size_t ignored;
        bool is_good = half->findings[i].is_good;
        bool is_required =
            ports_find(policy->required, policy->required_count, half->ports[i], &ignored);
        if (is_required && !is_good)
            return false;
        others += !is_required;
        good_others += !is_required && is_good;
    }
    return others == 0 || good_others > 0;
}

bool family_report_judge(struct family_report *half, const struct report_policy *policy,
                         struct err *err)
{
    const struct remote_verdict **remotes =
        calloc(half->checker_count + 1, sizeof *remotes);
    if (!remotes)
        return err_sys(err, ENOMEM, "report");

    struct diagnosis diagnosis = {
        .port_count = half->port_count,
        .local = half->local,
        .remotes = remotes,
        .quorum = policy->quorum,
    };
    for (size_t i = 0; i < half->checker_count; i++)
        if (half->checkers[i].result.verdicts)
            remotes[diagnosis.remote_count++] = half->checkers[i].result.verdicts;
    diagnose(&diagnosis, half->findings);
    half->is_known = diagnosis.remote_count > 0;
    free(remotes);

    for (size_t i = 0; i < half->port_count; i++)
        half->is_advertised[i] =
            half->findings[i].is_good && may_be_advertised(half, i, policy);
    half->is_ok = half->is_known && half_is_ok(half, policy);
    clock_gettime(CLOCK_REALTIME, &half->time);
    return true;
}

enum report_status report_status(const struct report *report)
{
    enum report_status status = REPORT_UNKNOWN;
    for (enum family family = 0; family < FAMILY_COUNT; family++) {
        const struct family_report *half = report->families[family];
        if (half && half->is_ok)
            return REPORT_OK;
        if (half && half->is_known)
            status = REPORT_NOT_OK;
    }
    return status;
}

/* --- two of them ---------------------------------------------------------------------- */

static bool halves_equal(const struct family_report *a, const struct family_report *b)
{
    if (a->port_count != b->port_count || a->has_public != b->has_public ||
        (a->has_public && !address_equals(&a->public_address, &b->public_address)))
        return false;
    for (size_t i = 0; i < a->port_count; i++)
        if (a->findings[i].is_good != b->findings[i].is_good ||
            a->findings[i].is_proved != b->findings[i].is_proved ||
            a->is_advertised[i] != b->is_advertised[i])
            return false;
    return true;
}

bool report_equals(const struct report *earlier, const struct report *later)
{
    if (report_status(later) == REPORT_UNKNOWN)
        return true;
    for (enum family family = 0; family < FAMILY_COUNT; family++) {
        const struct family_report *a = earlier->families[family];
        const struct family_report *b = later->families[family];
        bool was_known = a && a->is_known;
        bool is_known = b && b->is_known;
        if (b && !is_known)
            continue;
        if (was_known != is_known || (is_known && !halves_equal(a, b)))
            return false;
    }
    return true;
}

void report_inherit(struct report *later, struct report *earlier)
{
    bool is_outage = report_status(later) == REPORT_UNKNOWN;
    for (enum family family = 0; family < FAMILY_COUNT; family++) {
        struct family_report *a = earlier->families[family];
        struct family_report *b = later->families[family];
        bool says_something = b ? b->is_known : !is_outage;
        if (says_something || !a || !a->is_known)
            continue;
        family_report_free(b);
        later->families[family] = a;
        earlier->families[family] = NULL;
    }
}

/* --- runs ----------------------------------------------------------------------------- */

const struct remote_verdict *report_witness(const struct family_report *half, size_t index)
{
    size_t answered = 0;
    for (size_t i = 0; i < half->checker_count; i++)
        if (half->checkers[i].result.verdicts &&
            answered++ == half->findings[index].witness)
            return &half->checkers[i].result.verdicts[index];
    return NULL;
}

static bool witnesses_alike(const struct family_report *half, size_t a, size_t b)
{
    const struct remote_verdict *one = report_witness(half, a);
    const struct remote_verdict *other = report_witness(half, b);
    if (!one || !other)
        return one == other;
    return one->state == other->state && strcmp(one->words, other->words) == 0;
}

bool report_reached(const struct family_report *half, size_t checker, size_t index)
{
    const struct remote_verdict *verdicts = half->checkers[checker].result.verdicts;
    return verdicts && diagnosis_is_reached(&half->local[index], &verdicts[index]);
}

/* Whom the same checkers reached, and the same did not. */
static bool reached_alike(const struct family_report *half, size_t a, size_t b)
{
    for (size_t i = 0; i < half->checker_count; i++)
        if (report_reached(half, i, a) != report_reached(half, i, b))
            return false;
    return true;
}

bool report_ports_alike(const struct family_report *half, size_t a, size_t b)
{
    const struct finding *one = &half->findings[a];
    const struct finding *other = &half->findings[b];
    const struct local_port *here = &half->local[a];
    const struct local_port *there = &half->local[b];

    if (one->cause != other->cause || one->is_good != other->is_good ||
        one->is_proved != other->is_proved ||
        half->is_advertised[a] != half->is_advertised[b] ||
        here->binding != there->binding || here->errnum != there->errnum ||
        here->owner.is_listening != there->owner.is_listening ||
        here->owner.is_loopback_only != there->owner.is_loopback_only ||
        strcmp(here->owner.name, there->owner.name) != 0)
        return false;
    if (one->cause == CAUSE_OTHER_PORT)
        return one->leads_to - half->ports[a] == other->leads_to - half->ports[b];
    if (one->cause == CAUSE_NO_QUORUM)
        return reached_alike(half, a, b);
    return witnesses_alike(half, a, b);
}

size_t report_run_end(const struct family_report *half, size_t first)
{
    size_t last = first;
    while (last + 1 < half->port_count && half->ports[last + 1] == half->ports[last] + 1 &&
           report_ports_alike(half, first, last + 1))
        last++;
    return last;
}

/* Room for what may be a list of all ports. */
static uint16_t *some_ports(const struct family_report *half)
{
    return calloc(half->port_count + 1, sizeof(uint16_t));
}

void report_format_alike(const struct family_report *half, size_t index, struct text *text)
{
    uint16_t *ports = some_ports(half);
    size_t count = 0;
    for (size_t i = 0; ports && i < half->port_count; i++)
        if (report_ports_alike(half, index, i))
            ports[count++] = half->ports[i];
    ports_format(ports, count, text);
    text->failed = text->failed || !ports;
    free(ports);
}

void report_format_advertised(const struct family_report *half, struct text *text)
{
    uint16_t *ports = some_ports(half);
    size_t count = 0;
    for (size_t i = 0; ports && i < half->port_count; i++)
        if (half->is_advertised[i])
            ports[count++] = half->ports[i];
    ports_format(ports, count, text);
    text->failed = text->failed || !ports;
    free(ports);
}
