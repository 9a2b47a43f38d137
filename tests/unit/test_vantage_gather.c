/* SPDX-License-Identifier: MIT
 *
 * One check that several places make: when it is complete, and what it says then.
 */
#include "addresses.h"
#include "loop/loop.h"
#include "scripted_asker.h"
#include "vantage/gather.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>

#define PORTS 2

static const uint16_t ports[PORTS] = {1, 2};
static const struct place_list others = {2, {"eu-1", "us-1"}};

/* A front gw, the places eu-1 and us-1, and one gathering. */
struct rig {
    struct loop *loop;
    struct places *places;
    struct scripted_asker asker;
    struct gather_config config;
    struct gather *gather;
    size_t asked;
    unsigned completions;
};

static void is_complete(void *ctx)
{
    struct rig *rig = ctx;
    rig->completions++;
    assert_true(gather_is_complete(rig->gather));
}

static void begin(struct rig *rig)
{
    const struct vantage_job job = {
        .caller = address_of("203.0.113.7"),
        .target = address_of("203.0.113.7"),
        .ports = ports,
        .port_count = PORTS,
    };
    gather_free(rig->gather);
    rig->completions = 0;
    rig->gather =
        gather_new(&rig->config, &job, instant_add(loop_now(rig->loop), span_seconds(20)),
                   is_complete, rig);
}

static struct rig *rig_new(const struct place_list *listed, bool is_connected)
{
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    assert_true(loop_new(&rig->loop, NULL));
    assert_true(places_new(listed, "gw", &rig->places, NULL));
    rig->asker = scripted_asker_of(is_connected);
    rig->config = (struct gather_config){
        .loop = rig->loop,
        .asker = &rig->asker.head,
        .places = rig->places,
        .own = "gw",
        .asked = &rig->asked,
    };
    begin(rig);
    return rig;
}

static void rig_free(struct rig *rig)
{
    gather_free(rig->gather);
    assert_false(rig->asker.is_running);
    assert_int_equal(rig->asked, 0);
    places_free(rig->places);
    loop_free(rig->loop);
    free(rig);
}

static void own(struct rig *rig, enum port_state state, int errnum)
{
    for (size_t i = 0; i < PORTS; i++)
        gather_own(
            rig->gather, i,
            &(struct port_verdict){.port = ports[i], .state = state, .errnum = errnum});
}

/* "gw=open eu-1=missing:no_answer": what the places say about the first port. */
static void assert_views(const struct rig *rig, const char *wanted)
{
    char text[512] = "";
    size_t len = 0;
    for (size_t i = 0; i < gather_places(rig->gather); i++) {
        struct gather_view view = gather_view(rig->gather, i, 0);
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s=%s%s",
                                i > 0 ? " " : "", view.place,
                                !view.reason      ? port_state_text(view.verdict.state)
                                : view.is_refusal ? "refused:"
                                                  : "missing:",
                                view.reason ? view.reason : "");
    }
    assert_string_equal(text, wanted);
}

static enum port_state merged(const struct rig *rig)
{
    return gather_verdict(rig->gather, 1).state;
}

static bool stop_when_complete(void *ctx)
{
    struct rig *rig = ctx;
    if (rig->completions > 0)
        loop_stop(rig->loop);
    return false;
}

static void a_job_has_what_places_need(void **state)
{
    (void)state;
    struct rig *rig = rig_new(&others, true);
    const struct vantage_job *job = &rig->asker.job;
    int64_t ahead = job->exp_ms - clock_unix_ms();
    assert_int_equal(rig->asker.asked, 1);
    assert_int_equal(rig->asker.places.count, 2);
    assert_string_equal(rig->asker.places.names[0], "eu-1");
    assert_string_equal(rig->asker.places.names[1], "us-1");
    assert_true(vantage_id_is_valid(job->id, strlen(job->id)));
    assert_true(ahead > 0 && ahead <= 20000);
    assert_int_equal(job->budget_ms, 20000 - GATHER_MARGIN_MS);

    char first[VANTAGE_ID_LEN + 1];
    memcpy(first, job->id, sizeof first);
    begin(rig);
    assert_string_not_equal(rig->asker.job.id, first);
    rig_free(rig);
}

static void it_is_complete_when_all_have_answered(void **state)
{
    (void)state;
    struct rig *rig = rig_new(&others, true);
    own(rig, PORT_STATE_OPEN, 0);
    gather_own_ended(rig->gather);
    script_answer(&rig->asker, "eu-1", PORT_STATE_OPEN, 0);
    assert_false(gather_is_complete(rig->gather));
    script_answer(&rig->asker, "us-1", PORT_STATE_FILTERED, ETIMEDOUT);
    assert_int_equal(rig->completions, 1);
    assert_views(rig, "gw=open eu-1=open us-1=filtered");
    assert_int_equal(merged(rig), PORT_STATE_OPEN);
    assert_true(rig->asker.cancelled == 1 && rig->asker.told == 0);

    struct gather_summary summary = gather_summary(rig->gather);
    assert_true(summary.places == 3 && summary.answered == 3 && summary.needed == 2);
    rig_free(rig);
}

static void others_may_be_complete_before_the_own_place(void **state)
{
    (void)state;
    struct rig *rig = rig_new(&others, true);
    script_answer(&rig->asker, "eu-1", PORT_STATE_OPEN, 0);
    script_answer(&rig->asker, "us-1", PORT_STATE_OPEN, 0);
    assert_int_equal(rig->completions, 1);
    assert_false(gather_has_own(rig->gather, 0));
    own(rig, PORT_STATE_CLOSED, ECONNREFUSED);
    assert_true(gather_has_own(rig->gather, 0));
    gather_own_ended(rig->gather);
    assert_int_equal(rig->completions, 1);
    assert_int_equal(merged(rig), PORT_STATE_OPEN);
    rig_free(rig);
}

static void a_second_answer_and_a_stranger_do_not_count(void **state)
{
    (void)state;
    struct rig *rig = rig_new(&others, true);
    own(rig, PORT_STATE_CLOSED, ECONNREFUSED);
    gather_own_ended(rig->gather);
    script_answer(&rig->asker, "ap-1", PORT_STATE_OPEN, 0);
    script_answer(&rig->asker, "gw", PORT_STATE_OPEN, 0);
    script_answer(&rig->asker, "eu-1", PORT_STATE_CLOSED, ECONNREFUSED);
    script_answer(&rig->asker, "eu-1", PORT_STATE_OPEN, 0);
    assert_false(gather_is_complete(rig->gather));
    script_answer(&rig->asker, "us-1", PORT_STATE_OPEN, 0);
    assert_views(rig, "gw=closed eu-1=closed us-1=open");
    assert_int_equal(merged(rig), PORT_STATE_CLOSED);
    rig_free(rig);
}

static void a_refusal_is_an_answer_without_a_verdict(void **state)
{
    (void)state;
    struct rig *rig = rig_new(&others, true);
    own(rig, PORT_STATE_OPEN, 0);
    gather_own_ended(rig->gather);
    script_refusal(&rig->asker, "eu-1", REFUSAL_BUDGET);
    script_answer(&rig->asker, "us-1", PORT_STATE_CLOSED, ECONNREFUSED);
    assert_views(rig, "gw=open eu-1=refused:budget us-1=closed");
    assert_int_equal(merged(rig), PORT_STATE_LIMITED);
    assert_int_equal(gather_summary(rig->gather).answered, 2);
    rig_free(rig);
}

static void if_none_can_answer_the_own_verdict_counts(void **state)
{
    (void)state;
    static const struct {
        enum vantage_end end;
        const char *views;
    } rows[] = {
        {VANTAGE_END_NOT_CONNECTED,
         "gw=open eu-1=missing:not_connected us-1=missing:not_connected"},
        {VANTAGE_END_DEADLINE, "gw=open eu-1=missing:no_answer us-1=missing:no_answer"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rig *rig = rig_new(&others, true);
        script_end(&rig->asker, rows[i].end);
        assert_int_equal(rig->completions, 1);
        own(rig, PORT_STATE_OPEN, 0);
        gather_own_ended(rig->gather);
        assert_views(rig, rows[i].views);
        assert_int_equal(merged(rig), PORT_STATE_OPEN);
        assert_int_equal(gather_summary(rig->gather).needed, 1);
        rig_free(rig);
    }
}

static void a_place_without_processes_is_missing_at_once(void **state)
{
    (void)state;
    struct rig *rig = rig_new(&others, true);
    own(rig, PORT_STATE_OPEN, 0);
    gather_own_ended(rig->gather);
    script_unmanned(&rig->asker, "us-1");
    script_unmanned(&rig->asker, "ap-1");
    script_unmanned(&rig->asker, "us-1");
    assert_false(gather_is_complete(rig->gather));
    script_answer(&rig->asker, "us-1", PORT_STATE_OPEN, 0); /* too late */
    assert_false(gather_is_complete(rig->gather));
    script_answer(&rig->asker, "eu-1", PORT_STATE_OPEN, 0);
    assert_int_equal(rig->completions, 1);
    assert_views(rig, "gw=open eu-1=open us-1=missing:no_responders");
    assert_int_equal(rig->asker.told, 0);

    begin(rig);
    script_unmanned(&rig->asker, "us-1");
    begin(rig);
    script_unmanned(&rig->asker, "us-1");
    script_unmanned(&rig->asker, "eu-1");
    own(rig, PORT_STATE_OPEN, 0);
    assert_views(rig, "gw=open eu-1=missing:no_responders us-1=missing:absent");
    rig_free(rig);
}

static int errnum_of(enum port_state state)
{
    return state == PORT_STATE_OPEN     ? 0
           : state == PORT_STATE_CLOSED ? ECONNREFUSED
                                        : ETIMEDOUT;
}

/* A place that does not reach the port is evidence, and so is a limit there. */
static void only_missing_places_leave_a_port_undecided(void **state)
{
    (void)state;
    static const struct {
        size_t quorum;
        enum port_state own, other;
        enum port_state merged;
        bool is_undecided;
    } rows[] = {
        {3, PORT_STATE_OPEN, PORT_STATE_OPEN, PORT_STATE_LIMITED, true},
        {2, PORT_STATE_OPEN, PORT_STATE_OPEN, PORT_STATE_OPEN, false},
        {2, PORT_STATE_OPEN, PORT_STATE_CLOSED, PORT_STATE_LIMITED, false},
        {2, PORT_STATE_FILTERED, PORT_STATE_OPEN, PORT_STATE_LIMITED, false},
        {2, PORT_STATE_OPEN, PORT_STATE_LIMITED, PORT_STATE_LIMITED, false},
        {3, PORT_STATE_CLOSED, PORT_STATE_CLOSED, PORT_STATE_CLOSED, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rig *rig = rig_new(&others, true);
        rig->config.quorum = rows[i].quorum;
        begin(rig);
        own(rig, rows[i].own, errnum_of(rows[i].own));
        gather_own_ended(rig->gather);
        script_answer(&rig->asker, "eu-1", rows[i].other, errnum_of(rows[i].other));
        script_unmanned(&rig->asker, "us-1");
        assert_true(gather_is_complete(rig->gather));
        assert_int_equal(merged(rig), rows[i].merged);
        assert_int_equal(gather_is_undecided(rig->gather, 1), rows[i].is_undecided);
        rig_free(rig);
    }
}

static void without_a_connection_it_is_complete_at_once(void **state)
{
    (void)state;
    struct rig *rig = rig_new(&others, false);
    assert_true(gather_is_complete(rig->gather));
    assert_int_equal(rig->completions, 0);
    own(rig, PORT_STATE_FILTERED, ETIMEDOUT);
    assert_views(rig, "gw=filtered eu-1=missing:not_connected us-1=missing:not_connected");
    rig_free(rig);
}

static void ignore(void *ctx)
{
    (void)ctx;
}

/* As many checks of many ports, with as many places, as a worker waits for at a time. */
static void what_many_large_checks_take_is_bounded(void **state)
{
    (void)state;
    enum { LARGE = 1024, CHECKS = GATHER_PORTS_MAX / LARGE, OTHERS = PLACES_MAX - 1 };
    static struct gather *gathers[CHECKS + 1];
    static uint16_t many[LARGE];
    struct place_list listed = {.count = OTHERS};
    for (size_t i = 0; i < LARGE; i++)
        many[i] = (uint16_t)(i + 1);
    for (size_t i = 0; i < OTHERS; i++)
        snprintf(listed.names[i], PLACE_NAME_SIZE, "p-%zu", i);
    struct rig *rig = rig_new(&listed, true);
    rig->gather = gather_free(rig->gather);
    const struct vantage_job job = {
        .caller = address_of("203.0.113.7"),
        .target = address_of("203.0.113.7"),
        .ports = many,
        .port_count = LARGE,
    };
    const struct instant deadline = instant_add(loop_now(rig->loop), span_seconds(20));

    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    for (size_t i = 0; i < CHECKS; i++) {
        gathers[i] = gather_new(&rig->config, &job, deadline, ignore, NULL);
        for (size_t j = 0; j < OTHERS; j++)
            script_answer(&rig->asker, listed.names[j], PORT_STATE_OPEN, 0);
        assert_int_equal(gather_summary(gathers[i]).answered, PLACES_MAX);
    }
    size_t used = mallinfo2().uordblks + mallinfo2().hblkhd - before;
    print_message("%d checks of %d ports at %d places: %zu MB\n", CHECKS, LARGE, PLACES_MAX,
                  used / 1000000);
    assert_true(used <= 65000000);

    unsigned asked = rig->asker.asked;
    gathers[CHECKS] = gather_new(&rig->config, &job, deadline, ignore, NULL);
    assert_true(gather_is_complete(gathers[CHECKS]) && rig->asker.asked == asked);
    assert_string_equal(gather_view(gathers[CHECKS], 1, 0).reason, "too_many_checks");
    gather_free(gathers[0]);
    gathers[0] = gather_new(&rig->config, &job, deadline, ignore, NULL);
    assert_int_equal(rig->asker.asked, asked + 1);
    for (size_t i = 0; i <= CHECKS; i++)
        gather_free(gathers[i]);
    rig_free(rig);
}

static void without_other_places_there_is_no_gathering(void **state)
{
    (void)state;
    static const struct place_list none = {0};
    struct rig *rig = rig_new(&none, true);
    assert_null(rig->gather);
    assert_int_equal(rig->asker.asked, 0);
    rig_free(rig);
}

/* In real time: the loop has no other clock. */
static void the_wait_begins_with_the_last_own_verdict(void **state)
{
    (void)state;
    struct rig *rig = rig_new(&others, true);
    struct instant begun = loop_now(rig->loop); /* the gathering knows no later time */
    own(rig, PORT_STATE_OPEN, 0);
    script_answer(&rig->asker, "eu-1", PORT_STATE_OPEN, 0);
    gather_own_ended(rig->gather);
    loop_each_turn(rig->loop, stop_when_complete, rig);
    assert_true(loop_run(rig->loop, NULL));
    assert_true(instant_since(clock_now(), begun).ns >= span_ms(GATHER_WAIT_MS).ns);
    assert_views(rig, "gw=open eu-1=open us-1=missing:no_answer");
    assert_int_equal(merged(rig), PORT_STATE_OPEN);
    assert_int_equal(rig->asker.told, 1);
    assert_true(rig->asker.inquired == 1 && rig->asker.repeated == 1);
    rig_free(rig);
}

static bool answer_when_repeated(void *ctx)
{
    struct rig *rig = ctx;
    if (rig->completions == 0 && rig->asker.repeated > 0)
        script_answer(&rig->asker, "us-1", PORT_STATE_OPEN, 0);
    return stop_when_complete(ctx);
}

static void only_a_place_that_has_not_answered_is_asked_again(void **state)
{
    (void)state;
    struct rig *rig = rig_new(&others, true);
    struct instant begun = loop_now(rig->loop); /* the gathering knows no later time */
    own(rig, PORT_STATE_OPEN, 0);
    script_answer(&rig->asker, "eu-1", PORT_STATE_OPEN, 0);
    gather_own_ended(rig->gather);
    loop_each_turn(rig->loop, answer_when_repeated, rig);
    assert_true(loop_run(rig->loop, NULL));
    assert_true(instant_since(clock_now(), begun).ns >= span_ms(GATHER_REPEAT_MS).ns);
    assert_int_equal(rig->asker.repeated, 1);
    assert_int_equal(rig->asker.places.count, 1);
    assert_string_equal(rig->asker.places.names[0], "us-1");
    assert_views(rig, "gw=open eu-1=open us-1=open");
    assert_int_equal(rig->asker.told, 1); /* the process that had it may still probe */
    rig_free(rig);
}

static bool work_when_asked(void *ctx)
{
    struct rig *rig = ctx;
    if (rig->asker.inquired > 0 && rig->completions == 0)
        script_at_work(&rig->asker, "us-1");
    return stop_when_complete(ctx);
}

/* It does not get the job again, and is waited for until silence would be a verdict there.
 */
static void a_place_that_is_at_work_is_waited_for(void **state)
{
    (void)state;
    struct rig *rig = rig_new(&others, true);
    struct instant begun = loop_now(rig->loop);
    rig->config.silence = span_ms(500);
    begin(rig);
    own(rig, PORT_STATE_OPEN, 0);
    gather_own_ended(rig->gather);
    loop_each_turn(rig->loop, work_when_asked, rig);
    assert_true(loop_run(rig->loop, NULL));
    assert_true(instant_since(clock_now(), begun).ns >= span_ms(500 + GATHER_WAIT_MS).ns);
    assert_views(rig, "gw=open eu-1=missing:no_answer us-1=missing:no_answer");
    assert_true(rig->asker.inquired == 1 && rig->asker.repeated == 1);
    assert_int_equal(rig->asker.places.count, 1);
    assert_string_equal(rig->asker.places.names[0], "eu-1");
    rig_free(rig);
}

static void a_place_missed_twice_is_not_waited_for(void **state)
{
    (void)state;
    struct rig *rig = rig_new(&others, true);
    for (int i = 0; i < 2; i++) {
        script_answer(&rig->asker, "eu-1", PORT_STATE_OPEN, 0);
        assert_false(gather_is_complete(rig->gather));
        script_end(&rig->asker, VANTAGE_END_DEADLINE);
        begin(rig);
    }
    own(rig, PORT_STATE_OPEN, 0);
    gather_own_ended(rig->gather);
    script_answer(&rig->asker, "eu-1", PORT_STATE_OPEN, 0);
    assert_int_equal(rig->completions, 1);
    assert_views(rig, "gw=open eu-1=open us-1=missing:absent");

    places_heard(rig->places, "us-1", clock_now());
    begin(rig);
    script_answer(&rig->asker, "eu-1", PORT_STATE_OPEN, 0);
    assert_false(gather_is_complete(rig->gather));
    rig_free(rig);
}

static void an_end_before_completion_cancels_the_job(void **state)
{
    (void)state;
    struct rig *rig = rig_new(&others, true);
    rig->gather = gather_free(rig->gather);
    assert_true(rig->asker.cancelled == 1 && rig->asker.told == 1);
    assert_int_equal(rig->completions, 0);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_has_what_places_need),
        cmocka_unit_test(it_is_complete_when_all_have_answered),
        cmocka_unit_test(others_may_be_complete_before_the_own_place),
        cmocka_unit_test(a_second_answer_and_a_stranger_do_not_count),
        cmocka_unit_test(a_refusal_is_an_answer_without_a_verdict),
        cmocka_unit_test(if_none_can_answer_the_own_verdict_counts),
        cmocka_unit_test(a_place_without_processes_is_missing_at_once),
        cmocka_unit_test(only_missing_places_leave_a_port_undecided),
        cmocka_unit_test(without_a_connection_it_is_complete_at_once),
        cmocka_unit_test(what_many_large_checks_take_is_bounded),
        cmocka_unit_test(without_other_places_there_is_no_gathering),
        cmocka_unit_test(the_wait_begins_with_the_last_own_verdict),
        cmocka_unit_test(only_a_place_that_has_not_answered_is_asked_again),
        cmocka_unit_test(a_place_that_is_at_work_is_waited_for),
        cmocka_unit_test(a_place_missed_twice_is_not_waited_for),
        cmocka_unit_test(an_end_before_completion_cancels_the_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
