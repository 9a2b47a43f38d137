/* SPDX-License-Identifier: MIT
 *
 * The mapper against a scripted router (gateway_lab.h), in real time: leases are a second
 * or two. A limit from above is the time after which a faulty mapper would do it, so that
 * a busy machine does not matter.
 */
#include "router/mapper.h"

#include "gateway_lab.h"

#define PORTS 102
#define FIRST 50800

static struct {
    struct loop *loop;
    struct gateway *gateway;
    struct mapper *mapper;
    struct mapper_config config;
    struct mapping_port ports[PORTS];
    size_t count;
    int settled, removed;
    int stop_at; /* the loop stops at this `settled` */
    struct mapping_news news;
    struct instant started_at, settled_at;
    struct timer timer, guard;
    void (*then)(void);
    void (*at_first)(void); /* after the first `settled`, from the loop */
} lab;

/* A loop that was stopped cannot run again: what a test does later, it does in a function
 * that is called from the loop. */
static void after(int64_t ms, void (*then)(void))
{
    lab.then = then;
    assert_true(
        loop_timer_set(lab.loop, &lab.timer, instant_add(clock_now(), span_ms(ms))));
}

static void settled(void *ctx, const struct mapping_news *news)
{
    (void)ctx;
    lab.settled++;
    lab.news = *news;
    lab.settled_at = clock_now();
    assert_int_equal(news->is_first, lab.settled == 1);
    assert_int_equal(lab.removed, 0);
    if (news->is_first && lab.at_first)
        after(0, lab.at_first);
    if (lab.settled == lab.stop_at)
        loop_stop(lab.loop);
}

static void removed(void *ctx)
{
    (void)ctx;
    lab.removed++;
    loop_stop(lab.loop);
}

static void guard(struct timer *timer)
{
    (void)timer;
    fail_msg("not within 60 seconds");
}

static void later(struct timer *timer)
{
    (void)timer;
    lab.then();
}

static int lab_begin(void **state)
{
    (void)state;
    memset(&lab, 0, sizeof lab);
    if (!loop_new(&lab.loop, NULL))
        return -1;
    lab.gateway = gateway_new(lab.loop, "127.0.0.1");
    lab.config = (struct mapper_config){
        .protocol = ROUTER_PCP,
        .router = lab.gateway->address,
        .nonce = {"abcdefghijkl"},
        .lease = MAPPER_LEASE_SECONDS,
        .deadline = instant_add(clock_now(), span_seconds(60)),
        .settled = settled,
        .removed = removed,
    };
    lab.count = PORTS;
    for (size_t i = 0; i < PORTS; i++)
        lab.ports[i] = (struct mapping_port){.inner = (uint16_t)(FIRST + i),
                                             .outer = (uint16_t)(FIRST + i)};
    timer_init(&lab.timer, later);
    timer_init(&lab.guard, guard);
    return loop_timer_set(lab.loop, &lab.guard, instant_add(clock_now(), span_seconds(60)))
               ? 0
               : -1;
}

static int lab_end(void **state)
{
    (void)state;
    lab.mapper = mapper_free(lab.mapper);
    gateway_free(lab.gateway);
    loop_free(lab.loop);
    return 0;
}

/* --- steps ---------------------------------------------------------------------------- */

static void start(void)
{
    lab.started_at = clock_now();
    assert_true(mapper_new(lab.loop, &lab.config, lab.ports, lab.count, &lab.mapper, NULL));
}

static void run_until(int settled_count)
{
    lab.stop_at = settled_count;
    assert_true(loop_run(lab.loop, NULL));
}

static void stop(void)
{
    loop_stop(lab.loop);
}

static void remove_all(void)
{
    mapper_remove(lab.mapper, span_ms(MAPPER_REMOVE_MS));
}

static const struct mapping *mapping_of(size_t index)
{
    return mapper_mapping(lab.mapper, index);
}

static size_t count_of(enum mapping_state state)
{
    size_t count = 0;
    for (size_t i = 0; i < lab.count; i++)
        count += mapping_of(i)->state == state;
    return count;
}

static bool is_in_future(struct instant at)
{
    return instant_before(clock_now(), at);
}

/* --- mapping -------------------------------------------------------------------------- */

static void check_all_are_mapped(void)
{
    assert_int_equal(count_of(MAPPING_MAPPED), lab.count);
    assert_int_equal(lab.gateway->table_count, lab.count);
    for (size_t i = 0; i < lab.count; i++) {
        assert_int_equal(gateway_outer(lab.gateway, lab.ports[i].inner),
                         lab.ports[i].outer);
        assert_true(mapping_of(i)->is_held);
        assert_true(is_in_future(mapping_of(i)->expires));
    }
}

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
    assert_int_equal(lab.gateway->maps, PORTS + 20);
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
    assert_true(lab.gateway->maps <= 5 * MAPPER_CALLS_MAX);
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

static void become_honest(void)
{
    lab.gateway->manner = GATEWAY_HONEST;
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

/* --- keeping -------------------------------------------------------------------------- */

static void check_renewals(void)
{
    /* At half a lease at the earliest, so that four rounds take 1.5 leases. */
    if (lab.gateway->maps < 4 * PORTS) {
        after(10, check_renewals);
        return;
    }
    assert_true(instant_since(clock_now(), lab.started_at).ns >= 3 * NS_PER_SECOND);
    stop();
}

static void short_leases_are_renewed_at_half(void **state)
{
    (void)state;
    lab.gateway->lease_max = 2;
    start();
    lab.at_first = check_renewals;
    assert_true(loop_run(lab.loop, NULL));
    assert_int_equal(lab.settled, 1); /* no news */
    assert_int_equal(count_of(MAPPING_MAPPED), PORTS);
}

static void become_silent(void)
{
    lab.gateway->manner = GATEWAY_SILENT;
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
        lab.gateway->lease_max = 2;
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
    mapper_hear(lab.mapper, 0, NULL);
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
    mapper_hear(lab.mapper, gateway_epoch(lab.gateway), NULL);
    after(100, stop);
}

static void lose_the_table_and_announce(void)
{
    lab.gateway->table_count = 0;
    mapper_hear(lab.mapper, gateway_epoch(lab.gateway), NULL);
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
    mapper_hear(lab.mapper, gateway_epoch(lab.gateway), &first);
    mapper_hear(lab.mapper, gateway_epoch(lab.gateway), &first);
    assert_int_equal(lab.gateway->maps, PORTS);
    mapper_hear(lab.mapper, gateway_epoch(lab.gateway), &second);
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
    mapper_hear(lab.mapper, forged % 2 ? 0 : 500000, &outer);
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
    assert_int_equal(lab.gateway->removals, PORTS + 10);
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
        cmocka_unit_test(a_full_table_has_the_first_ports),
        cmocka_unit_test(a_refusal_is_kept_with_its_code),
        TEST(a_router_that_speaks_only_nat_pmp_refuses_pcp),
        TEST(a_mapping_with_the_nonce_of_another_is_refused),
        cmocka_unit_test(what_is_not_a_reply_of_the_router_is_silence),
        TEST(the_loop_sleeps_while_the_router_is_silent),
        TEST(noise_before_a_reply_does_not_matter),
        TEST(answers_after_the_deadline_are_a_change),
        TEST(a_closed_port_holds_nothing),
        TEST(short_leases_are_renewed_at_half),
        TEST(a_mapping_lasts_until_its_lease_ends),
        cmocka_unit_test(what_a_restart_took_away_is_mapped_anew),
        TEST(an_announced_restart_is_not_waited_for),
        TEST(after_a_restart_fewer_ports_may_fit),
        TEST(an_announcement_with_an_epoch_that_fits_renews_once),
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
    return cmocka_run_group_tests_name("mapper", tests, NULL, NULL);
}
