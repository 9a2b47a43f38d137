/* SPDX-License-Identifier: MIT */
#include "verifier/outage.h"

#include "base/text.h"
#include "verifier/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX (1u << 16)

static bool is_unanswered(const struct report *report, enum family which)
{
    return report->families[which] && !report->families[which]->is_known;
}

static uint16_t kept_pick(const struct family_report *family, size_t index, const void *ctx)
{
    (void)ctx;
    return report_is_kept(family, index) ? family->ports[index] : 0;
}

/* An outage is reported again if this differs. It has no messages: they may contain times.
 */
static char *key_make(const struct report *report)
{
    AUTO_TEXT key = text_up_to(KEY_MAX);
    size_t len;
    for (enum family which = 0; which < FAMILY_COUNT; which++) {
        const struct family_report *family = report->families[which];
        for (size_t i = 0; is_unanswered(report, which) && i < family->checker_count; i++) {
            const struct checker_result *result = &family->checkers[i].result;
            text_printf(&key, "%d %s %d %u\n", (int)which, family->checkers[i].url,
                        (int)result->failure, result->status);
        }
        if (family && family->is_known)
            report_format_ports(family, kept_pick, NULL, &key);
    }
    return text_take(&key, &len);
}

/* `where` is " over IPv6", or "" for both families. */
static void tell_kept(const char *where, bool was_known)
{
    fprintf(stderr, "port-verifier: no checker answered%s%s\n", where,
            was_known ? "; keeping the last confirmed report" : "");
}

static void tell_kept_ports(const char *where, const struct family_report *family)
{
    AUTO_TEXT ports = text_up_to(KEY_MAX);
    report_format_ports(family, kept_pick, NULL, &ports);
    if (ports.len > 0)
        fprintf(stderr,
                "port-verifier: no verdict on %s%s, because too few places of the checkers "
                "answered; keeping the last confirmed one\n",
                ports.data, where);
}

static void tell(const struct report *firm, const struct report *report)
{
    static const char *const where[] = {" over IPv4", " over IPv6"};
    bool is_whole = report_status(report) == REPORT_UNKNOWN;
    for (enum family which = 0; which < FAMILY_COUNT; which++) {
        const struct family_report *family = report->families[which];
        const struct family_report *known = firm->families[which];
        if (family && family->is_known)
            tell_kept_ports(where[which], family);
        if (!is_unanswered(report, which))
            continue;
        for (size_t i = 0; i < family->checker_count; i++)
            fprintf(stderr, "port-verifier: checker %s: %s\n", family->checkers[i].url,
                    family->checkers[i].result.verdicts
                        ? "no verdict, because too few of its places answered"
                        : family->checkers[i].result.message);
        if (!is_whole)
            tell_kept(where[which], known && known->is_known);
    }
    if (is_whole)
        tell_kept("", report_status(firm) != REPORT_UNKNOWN);
}

void outage_tell(struct outage *outage, const struct report *firm,
                 const struct report *report)
{
    char *key = key_make(report);
    const char *told = outage->told ? outage->told : "";
    if (!key) /* out of memory: it may be reported twice */
        return;

    if (firm && key[0] && strcmp(key, told) != 0)
        tell(firm, report);
    if (firm && !key[0] && told[0])
        fputs("port-verifier: the checkers answer again\n", stderr);
    free(outage->told);
    outage->told = key;
}

void outage_done(struct outage *outage)
{
    free(outage->told);
    outage->told = NULL;
}
