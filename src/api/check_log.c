/* SPDX-License-Identifier: MIT */
#include "api/check_log.h"

#include "api/check_reply.h"
#include "base/log.h"
#include "probe/verdict.h"

static bool begin(struct log_line *line, const struct check_subject *subject)
{
    char text[ADDRESS_TEXT_SIZE];
    bool may_log = subject->has_cost ? log_begin(line, LOG_LEVEL_INFO, "check")
                                     : log_begin_limited(line, LOG_LEVEL_INFO, "check");

    if (!may_log)
        return false;
    log_str(line, "caller", address_format(&subject->caller, text));
    if (subject->has_target) {
        log_str(line, "target", address_format(&subject->target, text));
        log_int(line, "ports", (int64_t)subject->port_count);
    }
    return true;
}

static void end(struct log_line *line, const struct check_subject *subject)
{
    /* Not the loop's now: a check that was answered within one turn took time too. */
    log_ms(line, "ms", instant_since(clock_now(), subject->begun));
    log_end(line);
}

void check_log_verdicts(const struct check_subject *subject,
                        const struct check_summary *summary)
{
    struct log_line line;

    if (!begin(&line, subject))
        return;
    for (size_t i = 0; i < PORT_STATE_COUNT; i++)
        log_int(&line, port_state_text((enum port_state)i), (int64_t)summary->states[i]);
    if (summary->places.places > 0) {
        log_int(&line, "places", (int64_t)summary->places.places);
        log_int(&line, "places_answered", (int64_t)summary->places.answered);
    }
    if (check_summary_is_limited(summary)) {
        log_int(&line, "limit_answered", (int64_t)summary->limit.answered);
        log_rate(&line, "limit_rate", summary->limit.rate);
    }
    end(&line, subject);
}

void check_log_failure(const struct check_subject *subject, unsigned status,
                       const char *reason)
{
    struct log_line line;

    if (!begin(&line, subject))
        return;
    if (status > 0)
        log_int(&line, "status", status);
    log_str(&line, "reason", reason);
    end(&line, subject);
}

void check_log_port(const struct check_subject *subject, const struct port_verdict *verdict)
{
    struct log_line line;
    char text[ADDRESS_TEXT_SIZE];

    if (!log_begin(&line, LOG_LEVEL_DEBUG, "verdict"))
        return;
    const char *error = port_verdict_error(verdict);
    log_str(&line, "target", address_format(&subject->target, text));
    log_int(&line, "port", verdict->port);
    log_str(&line, "state", port_state_text(verdict->state));
    if (error)
        log_str(&line, "error", error);
    if (verdict->icmp.is_there) {
        log_str(&line, "icmp", icmp_meaning(&verdict->icmp));
        log_str(&line, "icmp_from", verdict->icmp.is_from_target ? "target" : "path");
    }
    if (verdict->has_rtt)
        log_ms(&line, "rtt_ms", verdict->rtt);
    log_ms(&line, "ms", verdict->duration);
    log_end(&line);
}
