/* SPDX-License-Identifier: MIT
 *
 * The mapper with a program in the place of port-verifier-upnp that does what its test
 * wants: a script of the shell, which the test writes, and which notes its requests in a
 * file. Real time, as in mapper_lab.h.
 */
#include "verifier/upnp_mapper.h"

#include "addresses.h"
#include "base/clock.h"
#include "base/fd.h"
#include "loop/loop.h"
#include "verifier/upnp_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PORTS_MAX 102
#define FIRST     50800

/* Words of the scripts. `ports` is all that are asked for. */
#define ROUTER                                                                             \
    "echo '{\"router\": \"http://192.168.50.1/\", \"connected\": true, "                   \
    "\"outer\": \"45.12.7.7\", \"ignored\": 0}'\n"
#define ROUTER_6                                                                           \
    "echo '{\"router\": \"http://[fe80::1]/\", \"connected\": true, \"ignored\": 0}'\n"
#define OF(ports, members)                                                                 \
    "for port in " ports "; do echo \"{\\\"port\\\": $port, " members "}\"; done\n"
#define EACH(members)   OF("$ports", members)
#define LEASE(seconds)  "\\\"result\\\": 0, \\\"lease\\\": " #seconds
#define RESULT(code)    "\\\"result\\\": " #code
#define HOLDER(address) ", \\\"holder\\\": \\\"" address "\\\""
#define FLAG(name)      ", \\\"" name "\\\": true"
#define DONE            "echo '{\"end\": \"done\"}'\n"
#define HANG            "read -r more\n" /* until the other end is closed */
#define MAPPED          ROUTER EACH(LEASE(3600)) DONE

static struct {
    char folder[64];
    struct loop *loop;
    struct upnp_mapper *mapper;
    struct upnp_mapper_config config;
    struct mapping_port ports[PORTS_MAX];
    size_t count;
    int settled, removed;
    int stop_at;
    struct mapping_news news;
    struct instant removed_at;
    struct timer timer, guard;
    bool (*is_time)(void);
    void (*then)(void);
} lab;

static char *path_of(const char *name, char ret[static 128])
{
    snprintf(ret, 128, "%s/%s", lab.folder, name);
    return ret;
}

static void write_file(const char *name, const char *text, size_t len, mode_t mode)
{
    char path[128], new_path[128];
    FILE *file = fopen(path_of("new", new_path), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(new_path, mode), 0);
    assert_int_equal(rename(new_path, path_of(name, path)), 0);
}

/* What the program does from its next run on, after it has read its request. */
static void scene(const char *script)
{
    char text[4096];
    int len = snprintf(text, sizeof text,
                       "#!/bin/sh\n"
                       "read -r request || exit 1\n"
                       "echo \"$request\" >>'%s/requests'\n"
                       "ports=$(echo \"${request#*ports}\" | tr -s '[]' '\\n' |\n"
                       "    sed -n 's/^[0-9][0-9]*,\\([0-9]*\\).*/\\1/p')\n"
                       "%s",
                       lab.folder, script);
    assert_true(len > 0 && (size_t)len < sizeof text);
    write_file("program", text, (size_t)len, 0700);
}

/* The request of run number `number`, from 1 on; "" if there was none. */
static const char *request_of(int number)
{
    static char line[8192];
    char path[128];
    FILE *file = fopen(path_of("requests", path), "r");
    line[0] = '\0';
    for (int i = 0; file && i < number; i++)
        if (!fgets(line, sizeof line, file))
            line[0] = '\0';
    if (file)
        fclose(file);
    return line;
}

static void assert_asked(int number, const char *part)
{
    if (!strstr(request_of(number), part))
        fail_msg("request %d must have %s: %s", number, part, request_of(number));
}

/* Calls `then` from the loop as soon as `is_time` says so. */
static void when(bool (*is_time)(void), void (*then)(void))
{
    lab.is_time = is_time;
    lab.then = then;
    assert_true(
        loop_timer_set(lab.loop, &lab.timer, instant_add(clock_now(), span_ms(20))));
}

static void settled(void *ctx, const struct mapping_news *news)
{
    (void)ctx;
    lab.settled++;
    lab.news = *news;
    assert_int_equal(news->is_first, lab.settled == 1);
    assert_int_equal(lab.removed, 0);
    if (lab.settled == lab.stop_at)
        loop_stop(lab.loop);
}

static void removed(void *ctx)
{
    (void)ctx;
    lab.removed++;
    lab.removed_at = clock_now();
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
    if (lab.is_time())
        lab.then();
    else
        when(lab.is_time, lab.then);
}

static int lab_begin(void **state)
{
    char path[128];
    (void)state;
    memset(&lab, 0, sizeof lab);
    snprintf(lab.folder, sizeof lab.folder, "/tmp/test_upnp_mapper.XXXXXX");
    if (!mkdtemp(lab.folder) || !upnp_run_prepare(path_of("program", path), NULL) ||
        !loop_new(&lab.loop, NULL))
        return -1;
    lab.config = (struct upnp_mapper_config){
        .family = FAMILY_4,
        .local = address_of("192.168.50.2"),
        .gateway = address_of("192.168.50.1"),
        .has_gateway = true,
        .lease = 3600,
        .settled = settled,
        .removed = removed,
    };
    lab.count = 3;
    for (size_t i = 0; i < PORTS_MAX; i++)
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
    static const char *const names[] = {"program", "requests", "mark"};
    char path[128];
    (void)state;
    lab.mapper = upnp_mapper_free(lab.mapper);
    upnp_finish();
    loop_free(lab.loop);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(path_of(names[i], path));
    return rmdir(lab.folder);
}

/* --- steps ---------------------------------------------------------------------------- */

static void start(void)
{
    assert_true(
        upnp_mapper_new(lab.loop, &lab.config, lab.ports, lab.count, &lab.mapper, NULL));
}

/* A loop that was stopped cannot run again: once per test. */
static void run_until(int settled_count)
{
    lab.stop_at = settled_count;
    assert_true(loop_run(lab.loop, NULL));
}

static void remove_all(void)
{
    upnp_mapper_remove(lab.mapper, span_ms(UPNP_REMOVE_MS));
}

static const struct mapping *mapping_of(size_t index)
{
    return upnp_mapper_mapping(lab.mapper, index);
}

static size_t count_of(enum mapping_state state)
{
    size_t count = 0;
    for (size_t i = 0; i < lab.count; i++)
        count += mapping_of(i)->state == state;
    return count;
}

static size_t held_count(void)
{
    size_t count = 0;
    for (size_t i = 0; i < lab.count; i++)
        count += mapping_of(i)->is_held;
    return count;
}

/* Times for when(). */

static bool is_settled(void)
{
    return lab.settled > 0;
}

static bool is_first_run(void)
{
    return request_of(1)[0];
}

static bool is_third_run(void)
{
    return request_of(3)[0];
}

static bool is_first_port_mapped(void)
{
    return mapping_of(0)->state == MAPPING_MAPPED;
}

/* --- mapping -------------------------------------------------------------------------- */

static void all_ports_are_mapped(void **state)
{
    (void)state;
    lab.count = PORTS_MAX;
    scene(MAPPED);
    start();
    assert_int_equal(upnp_mapper_end(lab.mapper), UPNP_END_NONE);
    run_until(1);

    struct address outer;
    const struct address expected = address_of("45.12.7.7");
    assert_int_equal(upnp_mapper_end(lab.mapper), UPNP_END_DONE);
    assert_int_equal(count_of(MAPPING_MAPPED), PORTS_MAX);
    assert_int_equal(held_count(), PORTS_MAX);
    assert_true(upnp_mapper_outer_address(lab.mapper, &outer));
    assert_true(address_equals(&outer, &expected));
    assert_true(lab.news.is_changed && !lab.news.is_restarted && !lab.news.is_moved);
    for (size_t i = 0; i < PORTS_MAX; i++) {
        int64_t lease = instant_since(mapping_of(i)->expires, clock_now()).ns;
        assert_false(mapping_of(i)->is_permanent);
        assert_in_range(lease / NS_PER_SECOND, 3500, 3600);
    }
    assert_asked(1, "{\"do\": \"map\", \"family\": 4, \"local\": \"192.168.50.2\", "
                    "\"gateway\": \"192.168.50.1\", \"lease\": 3600, "
                    "\"is_renewal\": false, \"waits\": false, \"deadline_ms\": ");
    assert_asked(1, "\"ports\": [[50800,50800],[50801,50801],");
}

static bool is_second_run(void)
{
    return request_of(2)[0];
}

static void hear(void)
{
    upnp_mapper_hear(lab.mapper);
}

static void hear_at_once_and_in_the_run(void)
{
    hear();
    when(is_second_run, hear);
}

static void announcements_renew_at_once_and_after_a_pause(void **state)
{
    (void)state;
    const struct instant begun = clock_now();
    scene(MAPPED);
    start();
    when(is_settled, hear_at_once_and_in_the_run);
    run_until(3);
    assert_true(lab.news.is_announced);
    assert_true(instant_since(clock_now(), begun).ns >= 10 * NS_PER_SECOND);
    assert_asked(3, "\"is_renewal\": true");
    assert_string_equal(request_of(4), "");
}

static void an_outer_port_may_be_another_one(void **state)
{
    (void)state;
    lab.count = 1;
    lab.ports[0].outer = 20000;
    lab.config.has_gateway = false;
    scene(MAPPED);
    start();
    run_until(1);
    assert_int_equal(count_of(MAPPING_MAPPED), 1);
    assert_asked(1, "\"gateway\": null");
    assert_asked(1, "\"ports\": [[20000,50800]]");
}

static void a_run_without_answers_says_why(void **state)
{
    (void)state;
    const char *scenes[] = {
        [UPNP_END_NO_ROUTER] = "echo '{\"router\": null, \"ignored\": 1}'\n"
                               "echo '{\"end\": \"no_router\"}'\n",
        [UPNP_END_NOT_CONNECTED] =
            "echo '{\"router\": \"http://192.168.50.1/\", \"connected\": false, "
            "\"ignored\": 1}'\n"
            "echo '{\"end\": \"not_connected\"}'\n",
        [UPNP_END_FAILED] = "echo garbage\n",
    };
    enum upnp_end end = (enum upnp_end)(intptr_t)*state;
    if (scenes[end])
        scene(scenes[end]);
    start();
    run_until(1);
    assert_int_equal(upnp_mapper_end(lab.mapper), end);
    assert_int_equal(
        count_of(end == UPNP_END_NOT_CONNECTED ? MAPPING_OFFLINE : MAPPING_SILENT), 3);
    assert_int_equal(held_count(), 0);
}

/* What was answered before the end counts; what was not may have been mapped. */
static void a_run_may_be_killed(void **state)
{
    (void)state;
    scene(ROUTER OF("50800", LEASE(3600)) "kill -9 $$\n");
    start();
    run_until(1);
    assert_int_equal(upnp_mapper_end(lab.mapper), UPNP_END_FAILED);
    assert_int_equal(mapping_of(0)->state, MAPPING_MAPPED);
    assert_int_equal(count_of(MAPPING_SILENT), 2);
    assert_int_equal(held_count(), 3);
}

static void answers_about_other_ports_are_not_believed(void **state)
{
    (void)state;
    scene(ROUTER OF("50801", LEASE(3600)) HANG);
    start();
    run_until(1);
    assert_int_equal(upnp_mapper_end(lab.mapper), UPNP_END_FAILED);
    assert_int_equal(count_of(MAPPING_SILENT), 3);
}

/* After the deadline of a run the ports that were not answered are asked for again. */
static void a_slow_router_is_asked_for_the_rest(void **state)
{
    struct instant begin = clock_now();
    (void)state;
    scene(ROUTER "if [ -e \"${0%/*}/mark\" ]; then\n" EACH(LEASE(3600)) DONE
          "else\n" OF("50800", LEASE(3600)) ">\"${0%/*}/mark\"; read -r more; fi\n");
    start();
    run_until(2);
    int64_t seconds = instant_since(clock_now(), begin).ns / NS_PER_SECOND;
    assert_in_range(seconds, UPNP_MAP_MS / 1000, 40);
    assert_int_equal(count_of(MAPPING_MAPPED), 3);
    assert_asked(2, "\"ports\": [[50801,50801],[50802,50802]]");
}

static void a_lease_of_zero_is_permanent(void **state)
{
    (void)state;
    scene(ROUTER EACH(LEASE(0)) DONE);
    start();
    run_until(1);
    assert_int_equal(count_of(MAPPING_MAPPED), 3);
    assert_int_equal(held_count(), 3);
    assert_true(mapping_of(0)->is_permanent);
    assert_true(mapping_of(0)->held_until.ns == INT64_MAX);
}

static void another_machine_may_have_the_port(void **state)
{
    const struct address holder = address_of("192.168.50.3");
    (void)state;
    scene(ROUTER OF("50800", RESULT(718) HOLDER("192.168.50.3"))
              OF("50801 50802", LEASE(3600)) DONE);
    start();
    run_until(1);
    assert_int_equal(mapping_of(0)->state, MAPPING_OTHER_PORT);
    assert_int_equal(mapping_of(0)->result, 718);
    assert_true(mapping_of(0)->has_holder);
    assert_true(address_equals(&mapping_of(0)->holder, &holder));
    assert_int_equal(held_count(), 2);
}

static void results_are_states(void **state)
{
    (void)state;
    scene(ROUTER OF("50800", RESULT(606)) OF("50801", RESULT(null)) OF("50802", RESULT(725))
              DONE);
    start();
    run_until(1);
    assert_int_equal(mapping_of(0)->state, MAPPING_REFUSED);
    assert_int_equal(mapping_of(0)->result, 606);
    assert_false(mapping_of(0)->is_held);
    assert_int_equal(mapping_of(1)->state, MAPPING_SILENT);
    assert_true(mapping_of(1)->is_held);
    assert_int_equal(mapping_of(2)->state, MAPPING_REFUSED);
}

static void a_table_may_be_full(void **state)
{
    (void)state;
    lab.count = PORTS_MAX;
    scene(ROUTER OF("$(echo \"$ports\" | head -n 32)", LEASE(3600))
              OF("$(echo \"$ports\" | tail -n +33)", RESULT(728)) DONE);
    start();
    run_until(1);
    assert_int_equal(upnp_mapper_end(lab.mapper), UPNP_END_DONE);
    assert_int_equal(count_of(MAPPING_MAPPED), 32);
    assert_int_equal(count_of(MAPPING_FULL), 70);
    assert_int_equal(mapping_of(31)->state, MAPPING_MAPPED);
    assert_int_equal(mapping_of(32)->state, MAPPING_FULL);
    assert_int_equal(held_count(), 32);
}

/* --- keeping -------------------------------------------------------------------------- */

static void stop(void)
{
    loop_stop(lab.loop);
}

/* A lease of 3 seconds is renewed after 1.5 to 1.875 seconds. */
static void leases_are_renewed_together(void **state)
{
    struct instant begin = clock_now();
    (void)state;
    scene(ROUTER EACH(LEASE(3)) DONE);
    start();
    when(is_third_run, stop);
    run_until(-1);
    assert_true(instant_since(clock_now(), begin).ns >= 3 * NS_PER_SECOND);
    assert_int_equal(lab.settled, 1); /* no news */
    assert_int_equal(count_of(MAPPING_MAPPED), 3);
    assert_asked(2, "\"is_renewal\": true");
    assert_asked(3, "\"ports\": [[50800,50800],[50801,50801],[50802,50802]]");
}

static void begin_missing(void)
{
    char path[128];
    unlink(path_of("program", path));
}

static void a_mapping_that_is_not_renewed_ends(void **state)
{
    (void)state;
    scene(ROUTER EACH(LEASE(2)) DONE);
    start();
    when(is_settled, begin_missing);
    run_until(2);
    assert_int_equal(count_of(MAPPING_SILENT), 3);
    assert_int_equal(upnp_mapper_end(lab.mapper), UPNP_END_MISSING);
    assert_true(instant_before(mapping_of(0)->expires, clock_now()));
}

static void begin_forgotten(void)
{
    scene(ROUTER EACH(LEASE(3600) FLAG("was_gone")) DONE);
}

static void a_restart_is_news(void **state)
{
    (void)state;
    scene(ROUTER EACH(LEASE(3)) DONE);
    start();
    when(is_settled, begin_forgotten);
    run_until(2);
    assert_true(lab.news.is_restarted);
    assert_false(lab.news.is_changed);
    assert_int_equal(count_of(MAPPING_MAPPED), 3);
}

static void begin_moved(void)
{
    scene("echo '{\"router\": \"http://192.168.50.1/\", \"connected\": true, "
          "\"outer\": \"45.12.7.8\", \"ignored\": 0}'\n" EACH(LEASE(3600)) DONE);
    upnp_mapper_map_anew(lab.mapper);
}

static void another_outer_address_is_news(void **state)
{
    (void)state;
    scene(MAPPED);
    start();
    when(is_settled, begin_moved);
    run_until(2);
    assert_true(lab.news.is_moved);
    assert_asked(2, "\"is_renewal\": true");
}

static void begin_anew(void)
{
    begin_forgotten();
    upnp_mapper_map_anew(lab.mapper);
}

/* Also if that is asked for during a run. */
static void ports_are_mapped_anew_on_demand(void **state)
{
    (void)state;
    scene(ROUTER "sleep 1\n" EACH(LEASE(3600)) DONE);
    start();
    when(is_first_run, begin_anew);
    run_until(1);
    assert_asked(2, "\"is_renewal\": true");
    assert_true(lab.news.is_restarted);
}

static void the_number_of_a_pinhole_is_told_again(void **state)
{
    (void)state;
    lab.config.family = FAMILY_6;
    lab.config.local = address_of("2001:db8:50::2");
    lab.config.gateway = address_of("fe80::1");
    lab.count = 1;
    scene(ROUTER_6 EACH(LEASE(3) ", \\\"pinhole\\\": 17") DONE);
    start();
    when(is_third_run, remove_all);
    assert_true(loop_run(lab.loop, NULL));
    assert_asked(1, "\"family\": 6, \"local\": \"2001:db8:50::2\", \"gateway\": "
                    "\"fe80::1\"");
    assert_asked(1, "\"ports\": [[50800,50800]]");
    assert_asked(2, "\"ports\": [[50800,50800,17]]");
    assert_asked(4, "\"do\": \"remove\"");
    assert_asked(4, "\"ports\": [[50800,50800,17]]");
}

/* --- removing ------------------------------------------------------------------------- */

static void begin_removal(void)
{
    scene(ROUTER EACH(RESULT(0)) DONE);
    remove_all();
}

static void all_mappings_are_removed(void **state)
{
    (void)state;
    lab.count = PORTS_MAX;
    scene(MAPPED);
    start();
    when(is_settled, begin_removal);
    run_until(-1);
    assert_int_equal(lab.removed, 1);
    assert_int_equal(count_of(MAPPING_REMOVED), PORTS_MAX);
    assert_int_equal(held_count(), 0);
    assert_int_equal(upnp_mapper_removed(lab.mapper), PORTS_MAX);
    assert_asked(2, "{\"do\": \"remove\", \"family\": 4");
}

/* What others have made stays, and what was refused is not there. */
static void only_what_is_held_is_removed(void **state)
{
    (void)state;
    scene(ROUTER OF("50800", LEASE(0) FLAG("is_foreign")) OF("50801", RESULT(606))
              OF("50802", LEASE(0)) DONE);
    start();
    when(is_settled, begin_removal);
    run_until(-1);
    assert_asked(2, "\"ports\": [[50802,50802]]");
    assert_int_equal(mapping_of(0)->state, MAPPING_MAPPED);
    assert_int_equal(mapping_of(1)->state, MAPPING_REFUSED);
    assert_int_equal(mapping_of(2)->state, MAPPING_REMOVED);
}

static struct instant removal_began;

static void begin_slow_removal(void)
{
    scene(ROUTER OF("50800", RESULT(0)) OF("50801", RESULT(501)) HANG);
    removal_began = clock_now();
    upnp_mapper_remove(lab.mapper, span_ms(1500));
}

static void what_is_not_removed_in_time_stays_held(void **state)
{
    (void)state;
    scene(MAPPED);
    start();
    when(is_settled, begin_slow_removal);
    run_until(-1);
    assert_in_range(instant_since(lab.removed_at, removal_began).ns / NS_PER_MS, 1500,
                    10000);
    assert_int_equal(upnp_mapper_removed(lab.mapper), 1);
    assert_int_equal(held_count(), 2);
    assert_true(instant_before(clock_now(), mapping_of(2)->held_until));
}

/* The run that is cut off may have mapped something. */
static void a_removal_does_not_wait_for_a_run(void **state)
{
    (void)state;
    scene(ROUTER OF("50800", LEASE(3600)) HANG);
    start();
    when(is_first_port_mapped, begin_removal);
    run_until(-1);
    assert_int_equal(lab.settled, 0);
    assert_asked(2, "\"ports\": [[50800,50800],[50801,50801],[50802,50802]]");
    assert_int_equal(count_of(MAPPING_REMOVED), 3);
}

static void nothing_is_removed_if_nothing_is_held(void **state)
{
    (void)state;
    scene(ROUTER EACH(RESULT(606)) DONE);
    start();
    when(is_settled, remove_all);
    run_until(-1);
    assert_int_equal(lab.removed, 1);
    assert_string_equal(request_of(2), "");
}

static void begin_next(void)
{
    upnp_mapper_free(lab.mapper);
    scene(MAPPED);
    start();
}

static void a_mapper_can_be_freed_during_a_run(void **state)
{
    (void)state;
    scene(ROUTER HANG);
    start();
    when(is_first_run, begin_next);
    run_until(1);
    assert_int_equal(count_of(MAPPING_MAPPED), 3);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, lab_begin, lab_end)
#define ENDS(name)                                                                         \
    {"a_run_ends_" #name, a_run_without_answers_says_why, lab_begin, lab_end,              \
     (void *)(intptr_t)UPNP_END_##name}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_ports_are_mapped),
        TEST(announcements_renew_at_once_and_after_a_pause),
        TEST(an_outer_port_may_be_another_one),
        ENDS(MISSING),
        ENDS(NO_ROUTER),
        ENDS(NOT_CONNECTED),
        ENDS(FAILED),
        TEST(a_run_may_be_killed),
        TEST(answers_about_other_ports_are_not_believed),
        TEST(a_slow_router_is_asked_for_the_rest),
        TEST(a_lease_of_zero_is_permanent),
        TEST(another_machine_may_have_the_port),
        TEST(results_are_states),
        TEST(a_table_may_be_full),
        TEST(leases_are_renewed_together),
        TEST(a_mapping_that_is_not_renewed_ends),
        TEST(a_restart_is_news),
        TEST(another_outer_address_is_news),
        TEST(ports_are_mapped_anew_on_demand),
        TEST(the_number_of_a_pinhole_is_told_again),
        TEST(all_mappings_are_removed),
        TEST(only_what_is_held_is_removed),
        TEST(what_is_not_removed_in_time_stays_held),
        TEST(a_removal_does_not_wait_for_a_run),
        TEST(nothing_is_removed_if_nothing_is_held),
        TEST(a_mapper_can_be_freed_during_a_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
