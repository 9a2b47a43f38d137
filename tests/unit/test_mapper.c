/* SPDX-License-Identifier: MIT
 *
 * What the mapper asks for, and what it makes of the answers.
 */
#include "mapper_lab.h"

static void all_ports_are_mapped_in_their_order(void **state)
{
    (void)state;
    start();
    assert_int_equal(lab.gateway->requests, 0);
    run_until(1);
    check_all_are_mapped();
    assert_true(lab.news.is_changed);
    assert_false(lab.news.is_restarted || lab.news.is_moved);
    assert_int_equal(lab.gateway->maps, PORTS);
    for (size_t i = 0; i < PORTS; i++)
        assert_int_equal(lab.gateway->asked[i], lab.ports[i].inner);
    if (age_ms() < CALL_WAIT_MS)
        assert_int_equal(lab.gateway->repetitions, 0);

    struct address outer;
    char text[ADDRESS_TEXT_SIZE];
    assert_true(mapper_outer_address(lab.mapper, &outer));
    assert_string_equal(address_format(&outer, text), OUTER_ADDRESS);
}

static void nat_pmp_does_it_as_well(void **state)
{
    (void)state;
    struct address outer;
    lab.config.protocol = ROUTER_NATPMP;
    start();
    run_until(1);
    check_all_are_mapped();
    assert_false(mapper_outer_address(lab.mapper, &outer));
}

static void an_outer_port_may_be_another_than_the_inner_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < PORTS; i++)
        lab.ports[i].outer = (uint16_t)(20000 + i);
    start();
    run_until(1);
    check_all_are_mapped();
}

static void requests_come_from_the_address_that_was_named(void **state)
{
    (void)state;
    char text[ADDRESS_TEXT_SIZE];
    lab.config.has_local = true;
    lab.config.local = address_of("127.0.0.3");
    start();
    run_until(1);
    check_all_are_mapped();
    assert_string_equal(address_format(&lab.gateway->asked_by, text), "127.0.0.3");
}

static void no_port_is_nothing_to_do(void **state)
{
    (void)state;
    lab.count = 0;
    start();
    run_until(1);
    assert_int_equal(lab.gateway->requests, 0);
}

static void eight_requests_are_under_way(void **state)
{
    (void)state;
    lab.gateway->delay_ms = 20;
    start();
    run_until(1);
    check_all_are_mapped();
    assert_int_equal(lab.gateway->pending_max, MAPPER_CALLS_MAX);
}

static void lost_requests_are_repeated(void **state)
{
    (void)state;
    lab.gateway->lose = 20;
    start();
    run_until(1);
    check_all_are_mapped();
    assert_int_equal(lab.gateway->maps, PORTS);
    assert_true(lab.gateway->repetitions >= 20);
    assert_true(age_ms() >= CALL_WAIT_MS);
}

static void a_router_may_take_two_seconds(void **state)
{
    (void)state;
    lab.gateway->delay_ms = 2000;
    lab.count = MAPPER_CALLS_MAX;
    start();
    run_until(1);
    check_all_are_mapped();
}

/* Repetitions would make it slower still. */
static void a_router_that_is_known_to_be_slow_is_not_asked_twice(void **state)
{
    (void)state;
    lab.gateway->delay_ms = 400;
    lab.count = (size_t)4 * MAPPER_CALLS_MAX;
    start();
    run_until(1);
    check_all_are_mapped();
    assert_int_equal(lab.gateway->maps, lab.count);

    /* The first eight are, after 250 ms and each 450 from then on; they take at most what
     * the other three rounds of 400 ms left. Those wait for 800. A mapper that did not
     * know would repeat all. */
    int64_t took = age_ms();
    int64_t first = (took - 3 * 400 + 200) / 450, others = (took - 400) / 800;
    assert_true(lab.gateway->repetitions <= MAPPER_CALLS_MAX * (first + others));
}

static void a_mapping_of_another_port_is_given_back(void **state)
{
    (void)state;
    for (enum router_protocol which = 0; which < ROUTER_DATAGRAM_COUNT; which++) {
        lab_begin(NULL);
        lab.config.protocol = which;
        lab.gateway->taken = FIRST + 50;
        start();
        run_until(1);
        assert_int_equal(count_of(MAPPING_MAPPED), PORTS - 1);
        assert_int_equal(mapping_of(50)->state, MAPPING_OTHER_PORT);
        assert_int_equal(mapping_of(50)->given, FIRST + 51);
        assert_int_equal(mapping_of(50)->result, 0);
        assert_false(mapping_of(50)->is_held);
        assert_int_equal(gateway_outer(lab.gateway, FIRST + 50), 0);
        assert_true(lab.gateway->removals >= 2); /* its own, and of those it displaced */
        lab_end(NULL);
    }
}

static void begin_with_doubles(enum router_protocol which)
{
    lab_begin(NULL);
    lab.config.protocol = which;
    lab.count = 1;
    lab.gateway->taken = FIRST;
    lab.gateway->has_doubles = true;
    lab.gateway->delay_ms = 2 * CALL_WAIT_MS;
}

/* The request is repeated, and the router has made a mapping for each. */
static void all_mappings_of_a_repeated_request_are_given_back(void **state)
{
    (void)state;
    for (enum router_protocol which = 0; which < ROUTER_DATAGRAM_COUNT; which++) {
        begin_with_doubles(which);
        start();
        run_until(1);
        assert_true(lab.gateway->repetitions > 0);
        assert_int_equal(mapping_of(0)->state, MAPPING_OTHER_PORT);
        assert_false(mapping_of(0)->is_held);
        assert_int_equal(lab.gateway->table_count, 0);
        lab_end(NULL);
    }
}

static void remove_if_repeated(void)
{
    if (lab.gateway->repetitions == 0) {
        after(10, remove_if_repeated);
        return;
    }
    lab.gateway->delay_ms = 0; /* a removal is not repeated */
    remove_all();
}

static void all_mappings_of_a_repeated_request_are_removed(void **state)
{
    (void)state;
    for (enum router_protocol which = 0; which < ROUTER_DATAGRAM_COUNT; which++) {
        begin_with_doubles(which);
        start();
        after(10, remove_if_repeated);
        assert_true(loop_run(lab.loop, NULL));
        assert_int_equal(lab.removed, 1);
        assert_false(mapping_of(0)->is_held);
        assert_int_equal(lab.gateway->table_count, 0);
        lab_end(NULL);
    }
}

static void a_full_table_has_the_first_ports(void **state)
{
    (void)state;
    for (enum router_protocol which = 0; which < ROUTER_DATAGRAM_COUNT; which++) {
        lab_begin(NULL);
        lab.config.protocol = which;
        lab.gateway->table_max = 32;
        start();
        run_until(1);
        assert_int_equal(lab.gateway->table_count, 32);
        for (size_t i = 0; i < PORTS; i++) {
            const struct mapping *mapping = mapping_of(i);
            assert_int_equal(mapping->state, i < 32 ? MAPPING_MAPPED : MAPPING_FULL);
            assert_int_equal(mapping->is_held, i < 32);
            assert_int_equal(mapping->result, i < 32 ? 0 : which == ROUTER_PCP ? 8 : 4);
        }
        assert_true(lab.gateway->maps <= 32 + MAPPER_CALLS_MAX);
        lab_end(NULL);
    }
}

static void a_refusal_is_kept_with_its_code(void **state)
{
    (void)state;
    static const struct {
        enum router_protocol protocol;
        uint16_t result;
        enum mapping_state state;
    } rows[] = {
        {ROUTER_PCP, 2, MAPPING_REFUSED},      {ROUTER_PCP, 7, MAPPING_REFUSED},
        {ROUTER_PCP, 10, MAPPING_FULL},        {ROUTER_PCP, 11, MAPPING_OTHER_PORT},
        {ROUTER_PCP, 12, MAPPING_REFUSED},     {ROUTER_PCP, 200, MAPPING_REFUSED},
        {ROUTER_NATPMP, 2, MAPPING_REFUSED},   {ROUTER_NATPMP, 3, MAPPING_REFUSED},
        {ROUTER_NATPMP, 300, MAPPING_REFUSED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lab_begin(NULL);
        lab.config.protocol = rows[i].protocol;
        lab.gateway->result = rows[i].result;
        start();
        run_until(1);
        assert_int_equal(count_of(rows[i].state), PORTS);
        for (size_t port = 0; port < PORTS; port++) {
            assert_int_equal(mapping_of(port)->result, rows[i].result);
            assert_int_equal(mapping_of(port)->given, 0);
            assert_false(mapping_of(port)->is_held);
        }
        assert_int_equal(lab.gateway->removals, 0);
        lab_end(NULL);
    }
}

static void a_router_that_speaks_only_nat_pmp_refuses_pcp(void **state)
{
    (void)state;
    lab.gateway->lacks_pcp = true;
    start();
    run_until(1);
    assert_int_equal(count_of(MAPPING_REFUSED), PORTS);
    assert_int_equal(mapping_of(0)->result, 1);
}

static void a_mapping_with_the_nonce_of_another_is_refused(void **state)
{
    (void)state;
    gateway_map(lab.gateway, FIRST, FIRST, (const uint8_t *)"another one!");
    start();
    run_until(1);
    assert_int_equal(count_of(MAPPING_MAPPED), PORTS - 1);
    assert_int_equal(mapping_of(0)->state, MAPPING_REFUSED);
    assert_int_equal(mapping_of(0)->result, 2);
}

static void what_is_not_a_reply_of_the_router_is_silence(void **state)
{
    (void)state;
    static const enum gateway_manner manners[] = {
        GATEWAY_SILENT,        GATEWAY_ONLY_GARBAGE, GATEWAY_OTHER_PORT,
        GATEWAY_OTHER_ADDRESS, GATEWAY_WRONG_NONCE,
    };
    for (size_t i = 0; i < sizeof manners / sizeof *manners; i++) {
        lab_begin(NULL);
        lab.gateway->manner = manners[i];
        lab.config.deadline = instant_add(clock_now(), span_ms(300));
        start();
        run_until(1);
        assert_false(is_in_future(lab.config.deadline));
        assert_int_equal(count_of(MAPPING_SILENT), PORTS);
        for (size_t port = 0; port < PORTS; port++)
            assert_int_equal(mapping_of(port)->is_held, port < MAPPER_CALLS_MAX);
        lab_end(NULL);
    }
}

static bool turn_count(void *ctx)
{
    int *turns = ctx;
    (*turns)++;
    return false;
}

static void the_loop_sleeps_while_the_router_is_silent(void **state)
{
    (void)state;
    int turns = 0;
    lab.gateway->manner = GATEWAY_SILENT;
    lab.config.deadline = instant_add(clock_now(), span_ms(300));
    loop_each_turn(lab.loop, turn_count, &turns);
    start();
    run_until(1);
    /* A turn for each datagram and each timer, and some for the beginning and the end. */
    assert_true(turns <= 2 * lab.gateway->requests + 20);
}

static void noise_before_a_reply_does_not_matter(void **state)
{
    (void)state;
    lab.gateway->manner = GATEWAY_GARBAGE;
    start();
    run_until(1);
    check_all_are_mapped();
}

static void answers_after_the_deadline_are_a_change(void **state)
{
    (void)state;
    lab.gateway->manner = GATEWAY_SILENT;
    lab.config.deadline = instant_add(clock_now(), span_ms(300));
    start();
    lab.at_first = become_honest;
    run_until(2);
    check_all_are_mapped();
    assert_true(lab.news.is_changed);
    assert_false(lab.news.is_restarted);
}

static void a_router_that_answers_no_request_is_known_soon(void **state)
{
    (void)state;
    lab.gateway->manner = GATEWAY_SILENT;
    lab.config.silent_by = instant_add(clock_now(), span_ms(300));
    start();
    run_until(1);
    assert_false(is_in_future(lab.config.silent_by));
    assert_int_equal(count_of(MAPPING_SILENT), PORTS);
}

static void one_that_answers_slowly_has_the_time_for_all(void **state)
{
    (void)state;
    lab.gateway->delay_ms = 300;
    lab.config.silent_by = instant_add(clock_now(), span_seconds(3));
    start();
    run_until(1);
    assert_false(is_in_future(lab.config.silent_by));
    check_all_are_mapped();
}

static void a_closed_port_holds_nothing(void **state)
{
    (void)state;
    int fd = gateway_socket("127.0.0.1", 0);
    lab.config.router = gateway_name(fd);
    close(fd);
    start();
    run_until(1);
    assert_int_equal(count_of(MAPPING_SILENT), PORTS);
    assert_false(mapping_of(0)->is_held);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, lab_begin, lab_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_ports_are_mapped_in_their_order),
        TEST(nat_pmp_does_it_as_well),
        TEST(an_outer_port_may_be_another_than_the_inner_one),
        TEST(requests_come_from_the_address_that_was_named),
        TEST(no_port_is_nothing_to_do),
        TEST(eight_requests_are_under_way),
        TEST(lost_requests_are_repeated),
        TEST(a_router_may_take_two_seconds),
        TEST(a_router_that_is_known_to_be_slow_is_not_asked_twice),
        cmocka_unit_test(a_mapping_of_another_port_is_given_back),
        cmocka_unit_test(all_mappings_of_a_repeated_request_are_given_back),
        cmocka_unit_test(all_mappings_of_a_repeated_request_are_removed),
        cmocka_unit_test(a_full_table_has_the_first_ports),
        cmocka_unit_test(a_refusal_is_kept_with_its_code),
        TEST(a_router_that_speaks_only_nat_pmp_refuses_pcp),
        TEST(a_mapping_with_the_nonce_of_another_is_refused),
        cmocka_unit_test(what_is_not_a_reply_of_the_router_is_silence),
        TEST(the_loop_sleeps_while_the_router_is_silent),
        TEST(noise_before_a_reply_does_not_matter),
        TEST(answers_after_the_deadline_are_a_change),
        TEST(a_router_that_answers_no_request_is_known_soon),
        TEST(one_that_answers_slowly_has_the_time_for_all),
        TEST(a_closed_port_holds_nothing),
    };
    return cmocka_run_group_tests_name("mapper", tests, NULL, NULL);
}
