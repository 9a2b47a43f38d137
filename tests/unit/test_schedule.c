/* SPDX-License-Identifier: MIT
 *
 * Timelines of one silent port, on a fake clock: when its attempts leave, and when its
 * silence suffices. The test plays the part of the kernel, which repeats SYNs.
 */
#include "probe/schedule.h"

#include <errno.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define START_MS  100000
#define LOOKS_MAX 2000

/* All times are in milliseconds. */
static struct instant at(int64_t ms)
{
    return (struct instant){(START_MS + ms) * NS_PER_MS};
}

static struct rtt rtt_of(int64_t ms)
{
    struct rtt rtt = {0};
    if (ms > 0)
        rtt_add(&rtt, span_ms(ms));
    return rtt;
}

/* The rules of evidence.h: for an address that answers and lost nothing, for one that has
 * lost a few SYNs, for one that is silent, and for one whose route may come back. */
static struct silence_rule rule_of(unsigned syns, int64_t age, int64_t apart)
{
    return (struct silence_rule){
        .attempts = 4, .syns = syns, .age = span_ms(age), .apart = span_ms(apart)};
}

static struct silence_rule fresh_rule_of(unsigned syns)
{
    return (struct silence_rule){.attempts = syns,
                                 .is_fresh = true,
                                 .syns = syns,
                                 .age = span_ms(250),
                                 .apart = span_ms(1500)};
}
#define CLEAN   rule_of(4, 250, 900)
#define FEW     rule_of(6, 250, 1500)
#define SILENT  rule_of(10, 1000, 3000)
#define NO_PATH rule_of(4, 500, 4000)

/* --- one port in time ----------------------------------------------------------------- */

struct line {
    struct schedule_facts facts;
    struct schedule_rules rules;
    bool is_denied;      /* an ICMP error ends each attempt */
    int64_t kernel_late; /* by how much the kernel's repetitions come late */
    int64_t sent[SCHEDULE_OPEN_MAX];
    unsigned sent_count;
    enum schedule_step end;
    int64_t end_at;
    unsigned looks;
};

static struct line line_of(struct silence_rule silence, int64_t rtt, unsigned linear)
{
    return (struct line){
        .facts = {.silence = silence, .rtt = rtt_of(rtt)},
        .rules = {.timeout = span_ms(5000),
                  .refusals_needed = 1,
                  .refusal_delay = span_ms(1000),
                  .linear_timeouts = linear},
    };
}

static unsigned repeats_until(const struct line *line, struct instant sent_at, int64_t now)
{
    unsigned count = 0;
    for (;;) {
        struct instant next = instant_add(
            sent_at, schedule_repeat_after(count + 1, line->rules.linear_timeouts));
        if (instant_before(at(now), instant_add(next, span_ms(line->kernel_late))))
            return count;
        count++;
    }
}

static void line_send(struct line *line, int64_t now)
{
    struct schedule_facts *facts = &line->facts;
    assert_true(line->sent_count < SCHEDULE_OPEN_MAX);
    if (facts->evidence.attempts++ == 0)
        facts->first_syn = at(now);
    facts->open[facts->open_count++] = (struct schedule_attempt){
        .sent_at = at(now), .has_error = line->is_denied, .is_over = line->is_denied};
    line->sent[line->sent_count++] = now;
}

/* From `now` on, looking only when it asks to be looked at. */
static void line_run(struct line *line, int64_t now)
{
    for (; line->looks < LOOKS_MAX; line->looks++) {
        for (unsigned i = 0; i < line->facts.open_count; i++)
            line->facts.open[i].repeats =
                line->is_denied ? 0 : repeats_until(line, line->facts.open[i].sent_at, now);

        struct instant until = {-1};
        line->end_at = now;
        line->end = schedule_next(&line->facts, &line->rules, at(now), &until);
        if (line->end == SCHEDULE_ATTEMPT) {
            line_send(line, now);
            continue;
        }
        if (line->end != SCHEDULE_WAIT)
            return;
        if (!instant_before(at(now), until))
            fail_msg("waits at %lld for what has passed", (long long)now);
        /* Whole milliseconds, and never too early. */
        now = (until.ns + NS_PER_MS - 1) / NS_PER_MS - START_MS;
    }
    fail_msg("still waiting after %d looks, at %lld ms", LOOKS_MAX, (long long)now);
}

static void assert_line(struct line line, const char *what, const int64_t *sent,
                        unsigned sent_count, enum schedule_step end, int64_t end_at)
{
    line_run(&line, 0);
    bool is_same = line.sent_count == sent_count && line.end == end &&
                   line.end_at == end_at &&
                   memcmp(line.sent, sent, sent_count * sizeof *sent) == 0;
    if (!is_same)
        fail_msg("%s: %u attempts at %lld %lld %lld %lld, step %d at %lld", what,
                 line.sent_count, (long long)line.sent[0], (long long)line.sent[1],
                 (long long)line.sent[2], (long long)line.sent[3], (int)line.end,
                 (long long)line.end_at);
}

static void a_silent_port_has_its_time_line(void **state)
{
    (void)state;
    const struct {
        const char *what;
        struct silence_rule silence;
        int64_t rtt; /* 0 = unknown */
        unsigned linear;
        int64_t sent[4];
        enum schedule_step end;
        int64_t end_at;
    } rows[] = {
        /* The fourth SYN is the last attempt's own; it has to be 250 ms old. */
        {"clean", CLEAN, 1, 4, {0, 100, 500, 900}, SCHEDULE_SILENCE, 1150},
        {"clean, old kernel", CLEAN, 1, 0, {0, 100, 500, 900}, SCHEDULE_SILENCE, 1150},
        {"clean, 50 ms away", CLEAN, 50, 4, {0, 150, 525, 900}, SCHEDULE_SILENCE, 1150},
        {"clean, far away",
         rule_of(4, 1000, 900),
         300,
         4,
         {0, 500, 700, 900},
         SCHEDULE_SILENCE,
         1900},
        /* 0 100 800 1000 1100 1500 */
        {"unproved", FEW, 1, 4, {0, 100, 800, 1500}, SCHEDULE_SILENCE, 1750},
        {"unproved, old kernel", FEW, 1, 0, {0, 100, 800, 1500}, SCHEDULE_SILENCE, 1750},
        /* ... 1800 2000 2100 2500 */
        {"a third is lost",
         rule_of(10, 250, 1500),
         1,
         4,
         {0, 100, 800, 1500},
         SCHEDULE_SILENCE,
         2750},
        /* 0 300 1000 1300 1650 2000 2300 2650 3000 3000 */
        {"silent host", SILENT, 0, 4, {0, 300, 1650, 3000}, SCHEDULE_SILENCE, 4000},
        /* 0 300 1000 1300 1650 2650 3000 3000 3300 4000: time is up first */
        {"silent host, old kernel",
         SILENT,
         0,
         0,
         {0, 300, 1650, 3000},
         SCHEDULE_TIME_UP,
         5000},
        {"more than time allows",
         rule_of(14, 1000, 4500),
         0,
         0,
         {0, 300, 2400, 4500},
         SCHEDULE_TIME_UP,
         5000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_line(line_of(rows[i].silence, rows[i].rtt, rows[i].linear), rows[i].what,
                    rows[i].sent, 4, rows[i].end, rows[i].end_at);
}

/* Where SYNs are lost, the kernel's repetitions may take the dead path of the first: only
 * first SYNs count, 150 ms apart after the fourth. */
static void where_syns_are_lost_each_that_counts_is_of_a_fresh_socket(void **state)
{
    (void)state;
    assert_line(line_of(fresh_rule_of(6), 1, 4), "six",
                (const int64_t[]){0, 100, 800, 1500, 1650, 1800}, 6, SCHEDULE_SILENCE,
                2050);
    assert_line(line_of(fresh_rule_of(14), 1, 0), "fourteen",
                (const int64_t[]){0, 100, 800, 1500, 1650, 1800, 1950, 2100, 2250, 2400,
                                  2550, 2700, 2850, 3000},
                14, SCHEDULE_SILENCE, 3250);

    struct line line = line_of(fresh_rule_of(6), 1, 4); /* no fifth socket: no verdict */
    line.facts.silence.attempts = 4;
    assert_line(line, "four sockets", (const int64_t[]){0, 100, 800, 1500}, 4,
                SCHEDULE_TIME_UP, 5000);
}

/* The kernel repeats none of these SYNs. */
static void sockets_that_an_icmp_error_ended_count_with_one_syn_each(void **state)
{
    (void)state;
    static const int64_t sent[] = {0, 300, 2150, 4000};
    struct line line = line_of(NO_PATH, 0, 4);
    line.is_denied = true;
    assert_line(line, "no path", sent, 4, SCHEDULE_SILENCE, 4500);

    line.facts.silence = rule_of(5, 500, 4000);
    assert_line(line, "a fifth is missing", sent, 4, SCHEDULE_TIME_UP, 5000);
}

static void a_short_time_leaves_out_what_does_not_fit(void **state)
{
    (void)state;
    struct line line = line_of(SILENT, 0, 4);
    line.rules.timeout = span_ms(500);
    assert_line(line, "half a second", (const int64_t[]){0, 300}, 2, SCHEDULE_TIME_UP, 500);
}

/* Only a repetition by the kernel can show that this machine drops what it sends. */
static void silence_waits_for_a_repetition_by_the_kernel(void **state)
{
    (void)state;
    struct line line = line_of(rule_of(2, 250, 100), 1, 4);
    line_run(&line, 0);
    assert_int_equal(line.end, SCHEDULE_SILENCE);
    assert_int_equal(line.end_at, 1000);

    line = line_of(rule_of(2, 250, 100), 1, 4);
    line.kernel_late = 35;
    line_run(&line, 0);
    assert_int_equal(line.end, SCHEDULE_SILENCE);
    assert_in_range(line.end_at, 1035, 1055);
    assert_true(line.looks < 15);
}

static void late_repetitions_are_waited_for(void **state)
{
    (void)state;
    struct line line = line_of(SILENT, 0, 4);
    line.kernel_late = 3000; /* they come, but too late to count */
    line_run(&line, 0);
    assert_int_equal(line.end, SCHEDULE_TIME_UP);
}

static void one_source_port_is_not_enough(void **state)
{
    (void)state;
    struct line line = line_of(rule_of(2, 250, 100), 1, 4);
    line.facts.is_lean = true;
    assert_line(line, "lean", (const int64_t[]){0}, 1, SCHEDULE_TIME_UP, 5000);
    line_run(&line, 0);
    assert_true(line.looks < 5); /* nothing can change: it does not look all the time */
}

static void a_lean_port_with_two_attempts_waits_longer(void **state)
{
    (void)state;
    struct line line = line_of(FEW, 1, 4);
    line_send(&line, 0);
    line_send(&line, 100);
    line.facts.is_lean = true;
    line_run(&line, 100); /* 0 100 1000 1100 2000 2100 */
    assert_int_equal(line.sent_count, 2);
    assert_int_equal(line.end, SCHEDULE_SILENCE);
    assert_int_equal(line.end_at, 2350);
}

static void a_lean_port_without_any_attempt_gets_one(void **state)
{
    (void)state;
    struct line line = line_of(CLEAN, 1, 4);
    line_send(&line, 0);
    line.facts.is_lean = true;
    line.facts.open_count = 0; /* the kernel gave it up */
    struct instant until;
    assert_int_equal(schedule_next(&line.facts, &line.rules, at(3000), &until),
                     SCHEDULE_ATTEMPT);
}

static void what_was_sent_before_a_refresh_is_not_enough(void **state)
{
    (void)state;
    /* All four are out before 900; the address began to limit its resets at 950. */
    struct line line = line_of(CLEAN, 1, 4);
    line.facts.fresh_since = at(950);
    for (int i = 0; i < 4; i++)
        line_send(&line, (const int64_t[]){0, 100, 500, 900}[i]);
    struct line stale = line;
    line_run(&stale, 950);
    assert_int_equal(stale.end, SCHEDULE_TIME_UP);
    assert_true(stale.looks < 5);

    line_send(&line, 1200);
    line_run(&line, 1200);
    assert_int_equal(line.end, SCHEDULE_SILENCE);
    assert_int_equal(line.end_at, 1450);
}

/* --- single steps --------------------------------------------------------------------- */

/* What the attempts at a port told: how many, refusals, prohibitions, errors, errno. */
#define TOLD(of_attempts, of_refusals, of_prohibitions, of_errors, errnum)                 \
    {.attempts = (of_attempts),                                                            \
     .refusals = (of_refusals),                                                            \
     .prohibitions = (of_prohibitions),                                                    \
     .errors = (of_errors),                                                                \
     .error_errnum = (errnum)}

static void the_next_step_follows_from_what_happened(void **state)
{
    (void)state;
    const struct {
        const char *what;
        struct evidence evidence;
        int64_t refused;
        unsigned open_count;
        struct {
            int64_t sent;
            bool has_error;
        } open[4];
        int64_t now;
        enum schedule_step step;
        int64_t until; /* of SCHEDULE_WAIT */
    } rows[] = {
        {"nothing yet", TOLD(0, 0, 0, 0, 0), 0, 0, {{0, 0}}, 0, SCHEDULE_ATTEMPT, 0},
        {"silence", TOLD(1, 0, 0, 0, 0), 0, 1, {{0, 0}}, 10, SCHEDULE_WAIT, 300},
        {"silence, a while", TOLD(1, 0, 0, 0, 0), 0, 1, {{0, 0}}, 300, SCHEDULE_ATTEMPT, 0},
        {"time is up", TOLD(4, 0, 0, 0, 0), 0, 1, {{0, 0}}, 5000, SCHEDULE_TIME_UP, 0},
        {"refused", TOLD(1, 1, 0, 0, 0), 20, 0, {{0, 0}}, 20, SCHEDULE_WAIT, 1020},
        {"refused, a second ago",
         TOLD(1, 1, 0, 0, 0),
         20,
         0,
         {{0, 0}},
         1020,
         SCHEDULE_ATTEMPT,
         0},
        {"refused, asked again",
         TOLD(2, 1, 0, 0, 0),
         20,
         1,
         {{1020, 0}},
         1021,
         SCHEDULE_WAIT,
         5000},
        {"refused twice",
         TOLD(2, 2, 0, 0, 0),
         1040,
         0,
         {{0, 0}},
         1040,
         SCHEDULE_WAIT,
         2040},
        {"refused late", TOLD(2, 2, 0, 0, 0), 4500, 0, {{0, 0}}, 4500, SCHEDULE_WAIT, 5000},
        {"refused, one is under way",
         TOLD(2, 1, 0, 0, 0),
         320,
         1,
         {{0, 0}},
         1400,
         SCHEDULE_WAIT,
         5000},
        {"refused, an error is open",
         TOLD(2, 1, 0, 1, EHOSTUNREACH),
         900,
         1,
         {{0, true}},
         900,
         SCHEDULE_WAIT,
         1900},
        {"an error",
         TOLD(1, 0, 0, 1, EHOSTUNREACH),
         0,
         1,
         {{0, true}},
         50,
         SCHEDULE_WAIT,
         300},
        {"an error, a while ago",
         TOLD(1, 0, 0, 1, EHOSTUNREACH),
         0,
         1,
         {{0, true}},
         300,
         SCHEDULE_ATTEMPT,
         0},
        {"an error, socket gone",
         TOLD(1, 0, 0, 1, EHOSTUNREACH),
         0,
         0,
         {{0, 0}},
         51,
         SCHEDULE_WAIT,
         300},
        {"given up by the kernel",
         TOLD(2, 0, 0, 0, 0),
         0,
         0,
         {{0, 0}},
         3000,
         SCHEDULE_ATTEMPT,
         0},
        {"four sockets were enough",
         TOLD(4, 0, 0, 0, 0),
         0,
         0,
         {{0, 0}},
         3000,
         SCHEDULE_WAIT,
         5000},
        {"four, two of them refused",
         TOLD(4, 2, 0, 0, 0),
         100,
         0,
         {{0, 0}},
         4000,
         SCHEDULE_WAIT,
         5000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct line line = line_of(SILENT, 0, 4);
        line.rules.refusals_needed = 3;
        line.facts.evidence = rows[i].evidence;
        line.facts.first_syn = at(0);
        line.facts.last_refusal = at(rows[i].refused);
        line.facts.open_count = rows[i].open_count;
        for (unsigned n = 0; n < rows[i].open_count; n++)
            line.facts.open[n] =
                (struct schedule_attempt){.sent_at = at(rows[i].open[n].sent),
                                          .has_error = rows[i].open[n].has_error};

        struct instant until = {-1};
        enum schedule_step step =
            schedule_next(&line.facts, &line.rules, at(rows[i].now), &until);
        if (step != rows[i].step)
            fail_msg("%s: step %d, not %d", rows[i].what, (int)step, (int)rows[i].step);
        if (step == SCHEDULE_WAIT && until.ns != at(rows[i].until).ns)
            fail_msg("%s: until %lld ms", rows[i].what,
                     (long long)(until.ns / NS_PER_MS - START_MS));
    }
}

static void an_answer_is_waited_for_at_least_300_ms(void **state)
{
    (void)state;
    struct rtt rtt = {0};
    assert_int_equal(schedule_answer_time(&rtt).ns, 300 * NS_PER_MS);
    rtt = rtt_of(1);
    assert_int_equal(schedule_answer_time(&rtt).ns, 300 * NS_PER_MS);
    rtt = rtt_of(200);
    assert_int_equal(schedule_answer_time(&rtt).ns, 600 * NS_PER_MS);
}

static void the_kernel_repeats_as_it_is_known_to(void **state)
{
    (void)state;
    static const int64_t linear[] = {0, 1, 2, 3, 4, 5, 7, 11, 19, 35};
    static const int64_t doubling[] = {0, 1, 3, 7, 15, 31};
    for (unsigned n = 0; n < 10; n++)
        assert_int_equal(schedule_repeat_after(n, 4).ns, linear[n] * NS_PER_SECOND);
    for (unsigned n = 0; n < 6; n++)
        assert_int_equal(schedule_repeat_after(n, 0).ns, doubling[n] * NS_PER_SECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_silent_port_has_its_time_line),
        cmocka_unit_test(where_syns_are_lost_each_that_counts_is_of_a_fresh_socket),
        cmocka_unit_test(sockets_that_an_icmp_error_ended_count_with_one_syn_each),
        cmocka_unit_test(a_short_time_leaves_out_what_does_not_fit),
        cmocka_unit_test(silence_waits_for_a_repetition_by_the_kernel),
        cmocka_unit_test(late_repetitions_are_waited_for),
        cmocka_unit_test(one_source_port_is_not_enough),
        cmocka_unit_test(a_lean_port_with_two_attempts_waits_longer),
        cmocka_unit_test(a_lean_port_without_any_attempt_gets_one),
        cmocka_unit_test(what_was_sent_before_a_refresh_is_not_enough),
        cmocka_unit_test(the_next_step_follows_from_what_happened),
        cmocka_unit_test(an_answer_is_waited_for_at_least_300_ms),
        cmocka_unit_test(the_kernel_repeats_as_it_is_known_to),
    };
    return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
