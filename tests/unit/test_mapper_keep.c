/* SPDX-License-Identifier: MIT
 *
 * How the mapper keeps mappings and removes them at the end.
 */
#include "mapper_lab.h"

/* --- keeping -------------------------------------------------------------------------- */

static void check_renewals(void)
{
    /* At half a lease at the earliest, so that four rounds take 1.5 leases. */
    if (lab.gateway->maps < 4 * PORTS) {
        after(10, check_renewals);
        return;
    }
    assert_true(age_ms() >= 4500);
    stop();
}

static void short_leases_are_renewed_at_half(void **state)
{
    (void)state;
    lab.gateway->lease_max = 3;
    start();
    lab.at_first = check_renewals;
    assert_true(loop_run(lab.loop, NULL));
    assert_int_equal(lab.settled, 1); /* no news */
    assert_int_equal(count_of(MAPPING_MAPPED), PORTS);
}

static void a_mapping_lasts_until_its_lease_ends(void **state)
{
    (void)state;
    lab.gateway->lease_max = 2;
    lab.count = MAPPER_CALLS_MAX;
    start();
    struct instant begun = clock_now();
    lab.at_first = become_silent;
    run_until(2);
    struct span took = instant_since(lab.settled_at, begun);
    assert_true(took.ns >= 2 * NS_PER_SECOND);
    assert_true(took.ns < NS_PER_SECOND + MAPPER_REQUEST_MS * NS_PER_MS);
    assert_int_equal(count_of(MAPPING_SILENT), lab.count);
    assert_true(lab.news.is_changed);
    assert_false(lab.news.is_restarted);
}

static void restart(void)
{
    gateway_restart(lab.gateway);
}

static void what_a_restart_took_away_is_mapped_anew(void **state)
{
    (void)state;
    for (enum router_protocol which = 0; which < ROUTER_DATAGRAM_COUNT; which++) {
        lab_begin(NULL);
        lab.config.protocol = which;
        lab.gateway->lease_max = 3;
        start();
        lab.at_first = restart;
        run_until(2);
        assert_true(lab.news.is_restarted);
        assert_false(lab.news.is_changed);
        check_all_are_mapped();
        lab_end(NULL);
    }
}

static void restart_and_announce(void)
{
    gateway_restart(lab.gateway);
    mapper_hear(lab.mapper, lab.config.protocol, 0, NULL);
}

static void an_announced_restart_is_not_waited_for(void **state)
{
    (void)state;
    start();
    lab.at_first = restart_and_announce;
    run_until(2); /* renewals come after half an hour */
    assert_true(lab.news.is_restarted);
    assert_false(lab.news.is_changed);
    check_all_are_mapped();
}

static void restart_with_a_small_table(void)
{
    lab.gateway->table_max = 10;
    restart_and_announce();
}

static void after_a_restart_fewer_ports_may_fit(void **state)
{
    (void)state;
    start();
    lab.at_first = restart_with_a_small_table;
    run_until(2);
    assert_true(lab.news.is_restarted);
    assert_true(lab.news.is_changed);
    assert_int_equal(count_of(MAPPING_MAPPED), 10);
    assert_int_equal(count_of(MAPPING_FULL), PORTS - 10);
}

static void announce_again(void)
{
    if (lab.gateway->maps < 2 * PORTS) {
        after(10, announce_again);
        return;
    }
    mapper_hear(lab.mapper, lab.config.protocol, gateway_epoch(lab.gateway), NULL);
    after(100, stop);
}

static void lose_the_table_and_announce(void)
{
    lab.gateway->table_count = 0;
    mapper_hear(lab.mapper, lab.config.protocol, gateway_epoch(lab.gateway), NULL);
    announce_again();
}

/* As miniupnpd does it with system_uptime=yes. */
static void an_announcement_with_an_epoch_that_fits_renews_once(void **state)
{
    (void)state;
    start();
    lab.at_first = lose_the_table_and_announce;
    assert_true(loop_run(lab.loop, NULL));
    assert_int_equal(lab.settled, 2);
    assert_true(lab.news.is_announced);
    assert_false(lab.news.is_restarted || lab.news.is_moved || lab.news.is_changed);
    assert_int_equal(lab.gateway->maps, 2 * PORTS);
    check_all_are_mapped();
}

static void lose_it_once_more(void)
{
    if (lab.gateway->maps < 2 * MAPPER_CALLS_MAX) {
        after(10, lose_it_once_more);
        return;
    }
    lab.gateway->table_count = 0;
    mapper_hear(lab.mapper, lab.config.protocol, gateway_epoch(lab.gateway), NULL);
    mapper_hear(lab.mapper, lab.config.protocol, gateway_epoch(lab.gateway), NULL);
}

static void lose_it_twice(void)
{
    lab.gateway->table_count = 0;
    mapper_hear(lab.mapper, lab.config.protocol, gateway_epoch(lab.gateway), NULL);
    lose_it_once_more();
}

static void a_second_announcement_is_heeded_later(void **state)
{
    (void)state;
    lab.count = MAPPER_CALLS_MAX;
    start();
    lab.at_first = lose_it_twice;
    run_until(3);
    assert_true(age_ms() >= 10000);
    assert_true(lab.news.is_announced);
    assert_int_equal(lab.gateway->maps, 3 * lab.count);
    assert_int_equal(lab.gateway->table_count, lab.count);
    check_all_are_mapped();
}

static void stop_when_all_are_mapped(void)
{
    if (lab.gateway->table_count == lab.count)
        stop();
    else
        after(10, stop_when_all_are_mapped);
}

static void restart_before_the_replies(void)
{
    assert_int_equal(lab.gateway->maps, lab.count);
    assert_int_equal(lab.settled, 0);
    restart_and_announce();
    stop_when_all_are_mapped();
}

/* The replies that are on the way then were true when they were sent. */
static void a_restart_while_requests_are_under_way(void **state)
{
    (void)state;
    for (enum router_protocol which = 0; which < ROUTER_DATAGRAM_COUNT; which++) {
        lab_begin(NULL);
        lab.config.protocol = which;
        lab.count = MAPPER_CALLS_MAX;
        lab.gateway->delay_ms = 200;
        start();
        after(50, restart_before_the_replies);
        assert_true(loop_run(lab.loop, NULL));
        assert_int_equal(lab.gateway->table_count, lab.count);
        lab_end(NULL);
    }
}

static bool is_asked_for(uint16_t inner)
{
    for (int i = 0; i < lab.gateway->maps; i++)
        if (lab.gateway->asked[i] == inner)
            return true;
    return false;
}

static void doubt_until_each_is_asked_for(void)
{
    bool are_all = true;
    for (size_t i = 0; i < lab.count; i++)
        are_all = are_all && is_asked_for(lab.ports[i].inner);
    if (are_all) {
        stop();
        return;
    }
    mapper_map_anew(lab.mapper);
    after(20, doubt_until_each_is_asked_for);
}

static void each_port_has_its_turn_at_a_slow_router(void **state)
{
    (void)state;
    lab.count = 3 * MAPPER_CALLS_MAX;
    lab.gateway->delay_ms = 100;
    start();
    after(20, doubt_until_each_is_asked_for);
    assert_true(loop_run(lab.loop, NULL));
    assert_int_equal(lab.settled, 0);
}

static void announce_in_the_other_protocol(void)
{
    lab.gateway->table_count = 0;
    mapper_hear(lab.mapper, ROUTER_NATPMP, 0, NULL);
}

/* Its epoch says nothing. */
static void an_announcement_in_another_protocol_renews(void **state)
{
    (void)state;
    start();
    lab.at_first = announce_in_the_other_protocol;
    run_until(2);
    assert_true(lab.news.is_announced);
    assert_false(lab.news.is_restarted || lab.news.is_changed);
    assert_int_equal(lab.gateway->maps, 2 * PORTS);
    check_all_are_mapped();
}

static void move(void)
{
    lab.gateway->outer = "45.12.7.9";
    mapper_map_anew(lab.mapper);
}

static void another_outer_address_is_news(void **state)
{
    (void)state;
    struct address outer;
    char text[ADDRESS_TEXT_SIZE];
    start();
    lab.at_first = move;
    run_until(2);
    assert_true(lab.news.is_moved);
    assert_false(lab.news.is_restarted || lab.news.is_changed);
    assert_true(mapper_outer_address(lab.mapper, &outer));
    assert_string_equal(address_format(&outer, text), "45.12.7.9");
    check_all_are_mapped();
}

static void announce_addresses(void)
{
    struct address first = address_of("45.12.7.1"), second = address_of("45.12.7.2");
    mapper_hear(lab.mapper, lab.config.protocol, gateway_epoch(lab.gateway), &first);
    mapper_hear(lab.mapper, lab.config.protocol, gateway_epoch(lab.gateway), &first);
    assert_int_equal(lab.gateway->maps, PORTS);
    mapper_hear(lab.mapper, lab.config.protocol, gateway_epoch(lab.gateway), &second);
}

static void an_announced_address_renews_all(void **state)
{
    (void)state;
    lab.config.protocol = ROUTER_NATPMP;
    start();
    lab.at_first = announce_addresses;
    run_until(2);
    assert_true(lab.news.is_moved);
    assert_false(lab.news.is_restarted || lab.news.is_changed);
    assert_int_equal(lab.gateway->maps, 2 * PORTS);
    check_all_are_mapped();
}

/* A router with several outer addresses, a broken one, or a neighbour that forges replies.
 */
static void a_fickle_router_is_not_asked_without_end(void **state)
{
    (void)state;
    for (enum router_protocol which = 0; which < ROUTER_DATAGRAM_COUNT; which++) {
        lab_begin(NULL);
        lab.config.protocol = which;
        lab.gateway->is_fickle = true;
        start();
        after(3000, stop);
        assert_true(loop_run(lab.loop, NULL));
        assert_int_equal(count_of(MAPPING_MAPPED), PORTS);
        assert_true(lab.gateway->maps <= 2 * PORTS);
        assert_true(lab.settled <= 2);
        lab_end(NULL);
    }
}

static int forged;

static void forge(void)
{
    if (++forged == 300) {
        loop_stop(lab.loop);
        return;
    }
    struct address outer = address_of(forged % 2 ? "45.12.7.2" : OUTER_ADDRESS);
    mapper_hear(lab.mapper, lab.config.protocol, forged % 2 ? 0 : 500000, &outer);
    after(10, forge);
}

static void forged_announcements_renew_once(void **state)
{
    (void)state;
    forged = 0;
    start();
    lab.at_first = forge;
    assert_true(loop_run(lab.loop, NULL));
    assert_int_equal(count_of(MAPPING_MAPPED), PORTS);
    assert_true(lab.gateway->maps <= 3 * PORTS);
    assert_true(lab.settled <= 3);
}

/* --- removing ------------------------------------------------------------------------- */

static void check_all_are_removed(void)
{
    assert_int_equal(lab.removed, 1);
    assert_int_equal(lab.gateway->table_count, 0);
    for (size_t i = 0; i < lab.count; i++)
        assert_false(mapping_of(i)->is_held);
}

static void at_the_end_all_are_removed(void **state)
{
    (void)state;
    for (enum router_protocol which = 0; which < ROUTER_DATAGRAM_COUNT; which++) {
        lab_begin(NULL);
        lab.config.protocol = which;
        start();
        lab.at_first = remove_all;
        assert_true(loop_run(lab.loop, NULL));
        check_all_are_removed();
        assert_int_equal(count_of(MAPPING_REMOVED), PORTS);
        assert_int_equal(lab.gateway->removals, PORTS);
        lab_end(NULL);
    }
}

static void also_in_the_middle_of_mapping(void **state)
{
    (void)state;
    lab.gateway->delay_ms = 30;
    start();
    after(100, remove_all);
    assert_true(loop_run(lab.loop, NULL));
    check_all_are_removed();
    assert_int_equal(lab.settled, 0);
    assert_true(lab.gateway->maps < PORTS);
}

static void become_honest_and_remove(void)
{
    assert_int_equal(lab.gateway->table_count, MAPPER_CALLS_MAX);
    become_honest();
    remove_all();
}

static void requests_without_an_answer_are_removed_and_not_repeated(void **state)
{
    (void)state;
    lab.gateway->manner = GATEWAY_SILENT; /* but it maps */
    start();
    after(100, become_honest_and_remove);
    assert_true(loop_run(lab.loop, NULL));
    check_all_are_removed();
    assert_int_equal(lab.gateway->maps, MAPPER_CALLS_MAX);
    assert_int_equal(lab.gateway->removals, MAPPER_CALLS_MAX);
}

static void lose_and_remove(void)
{
    lab.gateway->lose = 10;
    remove_all();
}

static void lost_removals_are_repeated(void **state)
{
    (void)state;
    start();
    lab.at_first = lose_and_remove;
    assert_true(loop_run(lab.loop, NULL));
    check_all_are_removed();
    assert_int_equal(lab.gateway->removals, PORTS);
    assert_true(lab.gateway->repetitions >= 10);
}

static void fall_silent_and_remove(void)
{
    become_silent();
    mapper_remove(lab.mapper, span_ms(300));
}

static void what_cannot_be_removed_is_known_with_its_end(void **state)
{
    (void)state;
    start();
    lab.at_first = fall_silent_and_remove;
    assert_true(loop_run(lab.loop, NULL));
    assert_int_equal(lab.removed, 1);
    assert_int_equal(count_of(MAPPING_MAPPED), PORTS);
    for (size_t i = 0; i < PORTS; i++) {
        assert_true(mapping_of(i)->is_held);
        assert_true(is_in_future(mapping_of(i)->held_until));
    }
}

static void change_the_epoch_and_remove(void)
{
    lab.gateway->epoch_begin = 0;
    remove_all();
}

/* An epoch is easily forged, and not every router forgets when it says so. */
static void an_epoch_that_went_back_does_not_end_the_removal(void **state)
{
    (void)state;
    for (enum router_protocol which = 0; which < ROUTER_DATAGRAM_COUNT; which++) {
        lab_begin(NULL);
        lab.config.protocol = which;
        start();
        lab.at_first = change_the_epoch_and_remove;
        assert_true(loop_run(lab.loop, NULL));
        check_all_are_removed();
        lab_end(NULL);
    }
}

static void refuse_and_remove(void)
{
    lab.gateway->result = 2;
    remove_all();
}

static void a_refused_removal_ends_the_wait(void **state)
{
    (void)state;
    start();
    lab.at_first = refuse_and_remove;
    assert_true(loop_run(lab.loop, NULL));
    assert_int_equal(lab.removed, 1);
    assert_int_equal(lab.gateway->removals, PORTS);
    assert_int_equal(count_of(MAPPING_REMOVED), 0);
    assert_true(mapping_of(0)->is_held);
}

static void another_process_with_the_nonce_can_remove(void **state)
{
    (void)state;
    lab.count = 10;
    for (size_t i = 0; i < lab.count; i++)
        gateway_map(lab.gateway, lab.ports[i].inner, lab.ports[i].outer,
                    lab.config.nonce.bytes);
    start();
    lab.at_first = remove_all;
    assert_true(loop_run(lab.loop, NULL));
    check_all_are_removed();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, lab_begin, lab_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(short_leases_are_renewed_at_half),
        TEST(a_mapping_lasts_until_its_lease_ends),
        cmocka_unit_test(what_a_restart_took_away_is_mapped_anew),
        TEST(an_announced_restart_is_not_waited_for),
        TEST(after_a_restart_fewer_ports_may_fit),
        TEST(an_announcement_with_an_epoch_that_fits_renews_once),
        TEST(a_second_announcement_is_heeded_later),
        cmocka_unit_test(a_restart_while_requests_are_under_way),
        TEST(each_port_has_its_turn_at_a_slow_router),
        TEST(an_announcement_in_another_protocol_renews),
        TEST(another_outer_address_is_news),
        TEST(an_announced_address_renews_all),
        cmocka_unit_test(a_fickle_router_is_not_asked_without_end),
        TEST(forged_announcements_renew_once),
        cmocka_unit_test(at_the_end_all_are_removed),
        TEST(also_in_the_middle_of_mapping),
        TEST(requests_without_an_answer_are_removed_and_not_repeated),
        TEST(lost_removals_are_repeated),
        TEST(what_cannot_be_removed_is_known_with_its_end),
        cmocka_unit_test(an_epoch_that_went_back_does_not_end_the_removal),
        TEST(a_refused_removal_ends_the_wait),
        TEST(another_process_with_the_nonce_can_remove),
    };
    return cmocka_run_group_tests_name("mapper_keep", tests, NULL, NULL);
}
