/* SPDX-License-Identifier: MIT */
#include "verifier/watch.h"

#include "verifier/report.h"

#include <stddef.h>

static void firm_set(struct watch *watch, struct report *report)
{
    if (watch->firm)
        report_inherit(report, watch->firm);
    report_free(watch->firm);
    watch->firm = report;
    watch->candidate = report_free(watch->candidate);
    watch->looks = 0;
}

/* Equal in both directions: both know the same families. */
static bool is_confirmed(const struct watch *watch, const struct report *report)
{
    return watch->candidate && report_equals(watch->candidate, report) &&
           report_equals(report, watch->candidate);
}

enum watch_step watch_take(struct watch *watch, struct report *report)
{
    bool is_first = !watch->firm;
    if (is_first || report_equals(watch->firm, report)) {
        firm_set(watch, report);
        return is_first ? WATCH_FIRST : WATCH_SAME;
    }
    if (is_confirmed(watch, report)) {
        firm_set(watch, report);
        return WATCH_CHANGED;
    }
    report_free(watch->candidate);
    watch->candidate = report;
    if (++watch->looks < WATCH_LOOKS_MAX)
        return WATCH_SUSPECT;

    watch->candidate = report_free(watch->candidate);
    watch->looks = 0;
    return WATCH_RESTLESS;
}

void watch_done(struct watch *watch)
{
    watch->firm = report_free(watch->firm);
    watch->candidate = report_free(watch->candidate);
}

struct span watch_pause(struct span interval, uint32_t random)
{
    int64_t tenth = interval.ns / 10;
    return (struct span){interval.ns - tenth + (int64_t)(random % 2001) * tenth / 1000};
}
