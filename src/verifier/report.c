/* SPDX-License-Identifier: MIT */
#include "verifier/report.h"

#include "base/err.h"
#include "verifier/ports.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

    for (enum family which = 0; which < FAMILY_COUNT; which++)
        family_report_free(report->families[which]);
    free(report->required);
    free(report->receipts);
    free(report->no_receipts);
    free(report);
    return NULL;
}

bool family_report_new(enum family which, const uint16_t *ports, size_t port_count,
                       size_t checker_max, struct family_report **ret, struct err *err)
{
    struct family_report *family = calloc(1, sizeof *family);
    if (!family)
        return err_sys(err, ENOMEM, "report");

    family->which = which;
    family->port_count = port_count;
    family->ports = ports_copy(ports, port_count);
    family->inner = ports_copy(ports, port_count);
    family->checkers = calloc(checker_max + 1, sizeof *family->checkers);
    family->local = calloc(port_count + 1, sizeof *family->local);
    family->findings = calloc(port_count + 1, sizeof *family->findings);
    family->is_advertised = calloc(port_count + 1, sizeof *family->is_advertised);
    family->groups = calloc(port_count + 1, sizeof *family->groups);
    family->group_of = calloc(port_count + 1, sizeof *family->group_of);
    if (!family->ports || !family->inner || !family->checkers || !family->local ||
        !family->findings || !family->is_advertised || !family->groups ||
        !family->group_of) {
        family_report_free(family);
        return err_sys(err, ENOMEM, "report");
    }
    *ret = family;
    return true;
}

struct family_report *family_report_free(struct family_report *family)
{
    if (!family)
        return NULL;

    for (size_t i = 0; i < family->checker_count; i++) {
        free(family->checkers[i].url);
        checker_result_done(&family->checkers[i].result);
    }
    free(family->checkers);
    free(family->ports);
    free(family->inner);
    free(family->former);
    free(family->former_ports);
    free(family->local);
    free(family->findings);
    free(family->is_advertised);
    free(family->groups);
    free(family->group_of);
    free(family);
    return NULL;
}

/* --- judged ----------------------------------------------------------------------------
 */

enum report_status report_status(const struct report *report)
{
    enum report_status status = REPORT_UNKNOWN;
    for (enum family which = 0; which < FAMILY_COUNT; which++) {
        const struct family_report *family = report->families[which];
        if (family && family->is_ok)
            return REPORT_OK;
        if (family && family->is_known)
            status = REPORT_NOT_OK;
    }
    return status;
}

/* --- two of them ---------------------------------------------------------------------- */

static bool families_equal(const struct family_report *a, const struct family_report *b)
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
    for (enum family which = 0; which < FAMILY_COUNT; which++) {
        const struct family_report *a = earlier->families[which];
        const struct family_report *b = later->families[which];
        bool was_known = a && a->is_known;
        bool is_known = b && b->is_known;
        if (b && !is_known)
            continue;
        if (was_known != is_known || (is_known && !families_equal(a, b)))
            return false;
    }
    return true;
}

void report_inherit(struct report *later, struct report *earlier)
{
    bool is_outage = report_status(later) == REPORT_UNKNOWN;
    for (enum family which = 0; which < FAMILY_COUNT; which++) {
        struct family_report *a = earlier->families[which];
        struct family_report *b = later->families[which];
        bool says_something = b ? b->is_known : !is_outage;
        if (says_something || !a || !a->is_known)
            continue;
        family_report_free(b);
        later->families[which] = a;
        earlier->families[which] = NULL;
    }
}

/* --- what was found for ports --------------------------------------------------------- */

bool report_counts(const struct family_report *family, size_t checker)
{
    const struct checker_result *result = &family->checkers[checker].result;
    return result->verdicts &&
           (family->counts_inside || result->vantage == VANTAGE_INTERNET);
}

const struct remote_verdict *report_verdict(const struct family_report *family,
                                            size_t checker, size_t index)
{
    const struct remote_verdict *verdicts = family->checkers[checker].result.verdicts;
    return verdicts && !verdicts[index].is_unknown ? &verdicts[index] : NULL;
}

const struct remote_verdict *report_witness(const struct family_report *family,
                                            size_t index)
{
    size_t answered = 0;
    for (size_t i = 0; i < family->checker_count; i++)
        if (report_counts(family, i) && answered++ == family->findings[index].witness)
            return report_verdict(family, i, index);
    return NULL;
}

bool report_reached(const struct family_report *family, size_t checker, size_t index)
{
    const struct remote_verdict *verdict = report_verdict(family, checker, index);
    return verdict && report_counts(family, checker) &&
           diagnosis_is_reached(&family->local[index], verdict);
}

void report_format_ports(const struct family_report *family, report_pick_fn *pick,
                         const void *ctx, struct text *text)
{
    uint16_t *ports = calloc(family->port_count + 1, sizeof *ports);
    size_t count = 0;
    for (size_t i = 0; ports && i < family->port_count; i++) {
        ports[count] = pick(family, i, ctx);
        count += ports[count] != 0;
    }
    ports_format(ports, count, text);
    text->failed = text->failed || !ports;
    free(ports);
}

static uint16_t group_pick(const struct family_report *family, size_t index,
                           const void *ctx)
{
    return &family->groups[family->group_of[index]] == ctx ? family->ports[index] : 0;
}

static uint16_t advertised_pick(const struct family_report *family, size_t index,
                                const void *ctx)
{
    (void)ctx;
    return family->is_advertised[index] ? family->ports[index] : 0;
}

void report_format_group(const struct family_report *family, const struct port_group *group,
                         struct text *text)
{
    report_format_ports(family, group_pick, group, text);
}

void report_format_advertised(const struct family_report *family, struct text *text)
{
    report_format_ports(family, advertised_pick, NULL, text);
}
