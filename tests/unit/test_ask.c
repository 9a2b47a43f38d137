/* SPDX-License-Identifier: MIT */
#include "router/ask.h"

#include "gateway_lab.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static struct {
    struct loop *loop;
    struct gateway *gateway;
    struct ask *ask;
    struct router_answer answer;
    int answers;
    struct timer timer;
} lab;

static int lab_begin(void **state)
{
    (void)state;
    memset(&lab, 0, sizeof lab);
    return loop_new(&lab.loop, NULL) ? 0 : -1;
}

static int lab_end(void **state)
{
    (void)state;
    loop_free(lab.loop);
    return 0;
}

static void asked(void *ctx, const struct router_answer *answer)
{
    (void)ctx;
    lab.answer = *answer;
    lab.answers++;
    lab.ask = ask_free(lab.ask);
    loop_stop(lab.loop);
}

/* Returns how long it took. */
static struct span ask_gateway(const struct address *router, struct span timeout)
{
    struct instant begun = clock_now();
    assert_true(ask_new(lab.loop, router, timeout, asked, NULL, &lab.ask, NULL));
    assert_int_equal(lab.answers, 0);
    assert_true(loop_run(lab.loop, NULL));
    assert_int_equal(lab.answers, 1);
    return instant_since(clock_now(), begun);
}

static void what_a_router_speaks_is_found_out(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct gateway gateway;
        enum speech_state natpmp, pcp;
        uint16_t result;
        bool is_early;
    } rows[] = {
        {"both", {.outer = OUTER_ADDRESS}, SPEECH_SPOKEN, SPEECH_SPOKEN, 0, true},
        {"NAT-PMP alone", {.lacks_pcp = true}, SPEECH_SPOKEN, SPEECH_OTHER, 0, true},
        {"PCP alone", {.lacks_natpmp = true}, SPEECH_SILENT, SPEECH_SPOKEN, 0, false},
        {"no outer address", {.result = 3}, SPEECH_SPOKEN, SPEECH_SPOKEN, 3, true},
        {"a slow one", {.delay_ms = 100}, SPEECH_SPOKEN, SPEECH_SPOKEN, 0, true},
        {"one that is too slow",
         {.delay_ms = 60000},
         SPEECH_SILENT,
         SPEECH_SILENT,
         0,
         false},
        {"silence", {.manner = GATEWAY_SILENT}, SPEECH_SILENT, SPEECH_SILENT, 0, false},
        {"noise", {.manner = GATEWAY_ONLY_GARBAGE}, SPEECH_SILENT, SPEECH_SILENT, 0, false},
        {"noise first", {.manner = GATEWAY_GARBAGE}, SPEECH_SPOKEN, SPEECH_SPOKEN, 0, true},
        {"another port",
         {.manner = GATEWAY_OTHER_PORT},
         SPEECH_SILENT,
         SPEECH_SILENT,
         0,
         false},
        {"another sender",
         {.manner = GATEWAY_OTHER_ADDRESS},
         SPEECH_SILENT,
         SPEECH_SILENT,
         0,
         false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        lab_begin(NULL);
        const struct gateway *wish = &rows[i].gateway;
        struct gateway *gateway = gateway_new(lab.loop, "127.0.0.1");
        gateway->manner = wish->manner;
        gateway->lacks_pcp = wish->lacks_pcp;
        gateway->lacks_natpmp = wish->lacks_natpmp;
        gateway->result = wish->result;
        gateway->delay_ms = wish->delay_ms;

        /* A busy machine must not turn an answer into silence: the time-out is long where
         * an answer is expected, and what comes early needs less than it. */
        const struct span timeout = span_ms(rows[i].is_early ? 20000 : ASK_MS);
        struct span took = ask_gateway(&gateway->address, timeout);
        if ((took.ns < timeout.ns) != rows[i].is_early)
            fail_msg("%s: %.0f ms", rows[i].what, span_to_ms(took));
        if (lab.answer.speech[ROUTER_NATPMP].state != rows[i].natpmp ||
            lab.answer.speech[ROUTER_PCP].state != rows[i].pcp)
            fail_msg("%s", rows[i].what);
        assert_int_equal(lab.answer.speech[ROUTER_NATPMP].result, rows[i].result);
        bool has_outer = rows[i].natpmp == SPEECH_SPOKEN && rows[i].result == 0;
        assert_int_equal(lab.answer.has_outer, has_outer);
        char text[ADDRESS_TEXT_SIZE];
        if (has_outer)
            assert_string_equal(address_format(&lab.answer.outer_address, text),
                                OUTER_ADDRESS);
        assert_int_equal(gateway->maps, 0);
        gateway_free(gateway);
        lab_end(NULL);
    }
}

static void a_lost_question_is_asked_again(void **state)
{
    (void)state;
    struct gateway *gateway = gateway_new(lab.loop, "127.0.0.1");
    gateway->lose = 4; /* two of each */
    struct span took = ask_gateway(&gateway->address, span_seconds(30));
    /* The next ones would leave twice 450 ms later, less a tenth. */
    assert_true(gateway->requests >= 6);
    assert_true(gateway->requests == 6 || took.ns >= (250 + 450 + 810) * NS_PER_MS);
    assert_int_equal(lab.answer.speech[ROUTER_NATPMP].state, SPEECH_SPOKEN);
    assert_int_equal(lab.answer.speech[ROUTER_PCP].state, SPEECH_SPOKEN);
    assert_true(took.ns >= (250 + 450) * NS_PER_MS); /* and twice as long, less a tenth */
    gateway_free(gateway);
}

static void over_ipv6_there_is_pcp_only(void **state)
{
    (void)state;
    if (!gateway_has_ipv6())
        skip();
    struct gateway *gateway = gateway_new(lab.loop, "::1");
    struct span took = ask_gateway(&gateway->address, span_seconds(20));
    assert_true(gateway->requests == 1 || took.ns >= 250 * NS_PER_MS);
    assert_int_equal(lab.answer.speech[ROUTER_NATPMP].state, SPEECH_SILENT);
    assert_int_equal(lab.answer.speech[ROUTER_PCP].state, SPEECH_SPOKEN);
    assert_false(lab.answer.has_outer);
    gateway_free(gateway);
}

static void a_closed_port_is_known_at_once(void **state)
{
    (void)state;
    int fd = gateway_socket("127.0.0.1", 0);
    struct address closed = gateway_name(fd);
    close(fd);
    struct span took = ask_gateway(&closed, span_seconds(20));
    assert_true(took.ns < 20 * NS_PER_SECOND);
    assert_int_equal(lab.answer.speech[ROUTER_NATPMP].state, SPEECH_CLOSED);
    assert_int_equal(lab.answer.speech[ROUTER_PCP].state, SPEECH_CLOSED);
}

static void a_router_that_cannot_be_sent_to_is_silent(void **state)
{
    (void)state;
    struct address nowhere = address_of("255.255.255.255"); /* needs SO_BROADCAST */
    address_set_port(&nowhere, ROUTER_PORT);
    ask_gateway(&nowhere, span_seconds(20));
    assert_int_equal(lab.answer.speech[ROUTER_NATPMP].state, SPEECH_SILENT);
    assert_int_equal(lab.answer.speech[ROUTER_PCP].state, SPEECH_SILENT);
}

static void peek(struct timer *timer)
{
    (void)timer;
    const struct router_answer *answer = ask_answer(lab.ask);
    if (answer->speech[ROUTER_PCP].state == SPEECH_SILENT) {
        loop_timer_set(lab.loop, &lab.timer, instant_add(clock_now(), span_ms(1)));
        return;
    }
    lab.answer = *answer;
    loop_stop(lab.loop);
}

static void half_of_the_answers_can_be_seen_before_the_end(void **state)
{
    (void)state;
    struct gateway *gateway = gateway_new(lab.loop, "127.0.0.1");
    gateway->lacks_natpmp = true;
    assert_true(ask_new(lab.loop, &gateway->address, span_seconds(60), asked, NULL,
                        &lab.ask, NULL));
    assert_int_equal(ask_answer(lab.ask)->speech[ROUTER_PCP].state, SPEECH_SILENT);
    timer_init(&lab.timer, peek);
    assert_true(loop_timer_set(lab.loop, &lab.timer, clock_now()));
    assert_true(loop_run(lab.loop, NULL));
    assert_int_equal(lab.answers, 0);
    assert_int_equal(lab.answer.speech[ROUTER_NATPMP].state, SPEECH_SILENT);
    assert_int_equal(lab.answer.speech[ROUTER_PCP].state, SPEECH_SPOKEN);
    lab.ask = ask_free(lab.ask);
    gateway_free(gateway);
}

static void stop(struct timer *timer)
{
    (void)timer;
    loop_stop(lab.loop);
}

static void a_question_that_is_dropped_tells_nothing(void **state)
{
    (void)state;
    struct gateway *gateway = gateway_new(lab.loop, "127.0.0.1");
    assert_true(
        ask_new(lab.loop, &gateway->address, span_ms(1), asked, NULL, &lab.ask, NULL));
    lab.ask = ask_free(lab.ask);
    timer_init(&lab.timer, stop);
    assert_true(
        loop_timer_set(lab.loop, &lab.timer, instant_add(clock_now(), span_ms(50))));
    assert_true(loop_run(lab.loop, NULL));
    assert_int_equal(lab.answers, 0);
    gateway_free(gateway);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, lab_begin, lab_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_router_speaks_is_found_out),
        TEST(a_lost_question_is_asked_again),
        TEST(over_ipv6_there_is_pcp_only),
        TEST(a_closed_port_is_known_at_once),
        TEST(a_router_that_cannot_be_sent_to_is_silent),
        TEST(half_of_the_answers_can_be_seen_before_the_end),
        TEST(a_question_that_is_dropped_tells_nothing),
    };
    return cmocka_run_group_tests_name("ask", tests, NULL, NULL);
}
