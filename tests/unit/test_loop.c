/* SPDX-License-Identifier: MIT */
#include "loop/loop.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct {
    struct loop *loop;
    char log[64];   /* what happened, in order, one letter per event */
    unsigned turns; /* that have ended */
    unsigned last_turn;
    struct timer guard, timer;
} lab;

/* A descriptor that is ready at once, and its watch. */
struct source {
    int fd;
    struct loop_watch watch;
    char name;
    void (*then)(struct source *self);
};

static void note(char name)
{
    size_t len = strlen(lab.log);
    assert_true(len + 1 < sizeof lab.log);
    lab.log[len] = name;
    lab.log[len + 1] = '\0';
}

static bool count_turn(void *ctx)
{
    (void)ctx;
    if (++lab.turns >= lab.last_turn)
        loop_stop(lab.loop);
    return false;
}

static void guard_fired(struct timer *timer)
{
    (void)timer;
    fail_msg("the loop did not get there within ten seconds");
}

static int lab_begin(void **state)
{
    (void)state;
    memset(&lab, 0, sizeof lab);
    if (!loop_new(&lab.loop, NULL))
        return -1;
    timer_init(&lab.guard, guard_fired);
    return 0;
}

static int lab_end(void **state)
{
    (void)state;
    lab.loop = loop_free(lab.loop);
    return 0;
}

/* Runs until this many turns have ended. */
static void run(unsigned turns)
{
    struct err err;
    lab.last_turn = turns;
    loop_each_turn(lab.loop, count_turn, NULL);
    assert_true(
        loop_timer_set(lab.loop, &lab.guard, instant_add(clock_now(), span_seconds(10))));
    if (!loop_run(lab.loop, &err))
        fail_msg("%s", err.message);
}

static void source_event(void *ctx, uint32_t events)
{
    struct source *source = ctx;
    assert_true(events & EPOLLIN);
    note(source->name);
    if (source->then)
        source->then(source);
}

static void source_open(struct source *source, char name, void (*then)(struct source *self))
{
    *source = (struct source){.name = name, .then = then};
    source->fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_true(source->fd >= 0);
    assert_true(loop_watch_add(lab.loop, source->fd, EPOLLIN | EPOLLET, source_event,
                               source, &source->watch, NULL));
}

static void source_close(struct source *source)
{
    loop_watch_drop(lab.loop, -1, &source->watch);
    if (source->fd >= 0)
        close(source->fd);
    source->fd = -1;
}

static void note_timer(struct timer *timer)
{
    (void)timer;
    note('t');
}

static void set_due_timer(void)
{
    timer_init(&lab.timer, note_timer);
    assert_true(loop_timer_set(lab.loop, &lab.timer, (struct instant){1}));
}

/* --- the order of a turn ------------------------------------------------------------ */

static bool note_end(void *ctx)
{
    note(*(const char *)ctx);
    return false;
}

static void events_come_before_timers_and_both_before_the_end_of_the_turn(void **state)
{
    (void)state;
    struct source source;
    loop_each_turn(lab.loop, note_end, &(char){'1'});
    loop_each_turn(lab.loop, note_end, &(char){'2'});
    set_due_timer();
    source_open(&source, 'e', NULL);
    run(1);
    assert_string_equal(lab.log, "et12");
    source_close(&source);
}

static void work_at_the_end_of_a_turn_can_be_ended(void **state)
{
    (void)state;
    char one = '1', two = '2', three = '3';
    loop_each_turn(lab.loop, note_end, &one);
    loop_each_turn(lab.loop, note_end, &two);
    loop_each_turn(lab.loop, note_end, &three);
    loop_each_turn_end(lab.loop, note_end, &two);
    run(1);
    assert_string_equal(lab.log, "13");
}

static void a_timer_does_not_fire_before_its_time(void **state)
{
    (void)state;
    struct instant deadline = instant_add(clock_now(), span_ms(30));
    timer_init(&lab.timer, note_timer);
    assert_true(loop_timer_set(lab.loop, &lab.timer, deadline));
    run(2); /* the first turn does not wait */
    assert_string_equal(lab.log, "t");
    assert_false(instant_before(loop_now(lab.loop), deadline));
}

static void a_timer_can_be_stopped(void **state)
{
    (void)state;
    set_due_timer();
    loop_timer_stop(lab.loop, &lab.timer);
    run(1);
    assert_string_equal(lab.log, "");
}

/* --- watches ------------------------------------------------------------------------ */

static struct source first, second, third;

/* Both are ready in the same batch; the first to run closes the other. */
static void close_the_other(struct source *self)
{
    source_close(self == &first ? &second : &first);
}

static void an_event_of_a_watch_that_was_dropped_meanwhile_is_thrown_away(void **state)
{
    (void)state;
    source_open(&first, 'a', close_the_other);
    source_open(&second, 'b', close_the_other);
    run(1);
    assert_int_equal(strlen(lab.log), 1);
    source_close(&first);
    source_close(&second);
}

/* The third reuses the closed one's descriptor and slot, and is not ready. */
static void replace_the_other(struct source *self)
{
    struct source *other = self == &first ? &second : &first;
    int old_fd = other->fd;
    uint32_t old_slot = other->watch.slot;
    uint64_t value;

    source_close(other);
    source_open(&third, 'c', NULL);
    assert_int_equal(read(third.fd, &value, sizeof value), sizeof value);
    assert_int_equal(third.fd, old_fd);
    assert_int_equal(third.watch.slot, old_slot);
}

static void not_even_its_successor_on_descriptor_and_slot_sees_the_old_event(void **state)
{
    (void)state;
    source_open(&first, 'a', replace_the_other);
    source_open(&second, 'b', replace_the_other);
    run(1);
    assert_int_equal(strlen(lab.log), 1);
    assert_null(strchr(lab.log, 'c'));
    source_close(&first);
    source_close(&second);
    source_close(&third);
}

static void drop_self(struct source *self)
{
    loop_watch_drop(lab.loop, self->fd, &self->watch);
    loop_watch_drop(lab.loop, self->fd, &self->watch); /* names no watch: nothing happens */
    assert_int_equal(self->watch.generation, 0);
    assert_int_equal(eventfd_write(self->fd, 1), 0);
    loop_again(lab.loop);
}

static void a_dropped_descriptor_that_stays_open_is_silent(void **state)
{
    (void)state;
    source_open(&first, 'a', drop_self);
    run(2);
    assert_string_equal(lab.log, "a");
    source_close(&first);
}

static void what_is_watched_for_can_be_changed(void **state)
{
    (void)state;
    source_open(&first, 'a', NULL);
    assert_true(loop_watch_change(lab.loop, first.fd, first.watch, 0, NULL));
    run(1);
    assert_string_equal(lab.log, "");
    source_close(&first);
}

static void hundreds_of_watches_find_their_owners(void **state)
{
    (void)state;
    static struct source many[300];
    for (size_t i = 0; i < 300; i++)
        source_open(&many[i], i % 100 == 99 ? 'y' : 'n', NULL);
    for (size_t i = 0; i < 300; i++)
        if (many[i].name == 'n')
            source_close(&many[i]);
    run(1);
    assert_string_equal(lab.log, "yyy");
    for (size_t i = 0; i < 300; i++)
        source_close(&many[i]);
}

static void a_descriptor_that_cannot_be_watched_is_an_error(void **state)
{
    (void)state;
    struct err err;
    struct loop_watch watch = {0};
    int fd = open("/proc/self/stat",
                  O_RDONLY | O_CLOEXEC); /* epoll does not accept regular files */
    assert_false(loop_watch_add(lab.loop, fd, EPOLLIN, source_event, NULL, &watch, &err));
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_int_equal(watch.generation, 0);
    close(fd);
}

/* --- waiting ------------------------------------------------------------------------ */

static void *wake_from_afar(void *ctx)
{
    (void)ctx;
    loop_wake(lab.loop);
    return NULL;
}

/* The events of the first turn have already been fetched: the wake-up is for the second. */
static bool start_thread(void *ctx)
{
    if (lab.turns == 0)
        assert_int_equal(pthread_create(ctx, NULL, wake_from_afar, NULL), 0);
    return false;
}

static void another_thread_wakes_a_loop_that_waits_for_ever(void **state)
{
    (void)state;
    pthread_t thread;
    loop_each_turn(lab.loop, start_thread, &thread);
    run(2);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(lab.turns, 2);
}

static bool again_twice(void *ctx)
{
    unsigned *left = ctx;
    if (*left == 0)
        return false;
    if (--*left == 1)
        loop_again(lab.loop);
    return *left == 0;
}

static void neither_more_to_do_nor_again_lets_the_loop_wait(void **state)
{
    (void)state;
    unsigned left = 2;
    loop_each_turn(lab.loop, again_twice, &left);
    run(3); /* if the loop waited, it would be for the guard */
    assert_int_equal(left, 0);
}

static void a_loop_that_was_stopped_before_it_ran_does_not_run(void **state)
{
    (void)state;
    loop_stop(lab.loop);
    run(1);
    assert_int_equal(lab.turns, 0);
}

/* --- stalls ------------------------------------------------------------------------- */

/* A real busy loop, because this is what is tested. */
static void spin(int64_t ms)
{
    struct instant end = instant_add(clock_now(), span_ms(ms));
    while (instant_before(clock_now(), end))
        continue;
}

static void spin_120(struct source *self)
{
    (void)self;
    spin(120);
    loop_again(lab.loop);
}

static void a_long_turn_counts_as_time_that_was_missed(void **state)
{
    (void)state;
    source_open(&first, 'a', spin_120);
    struct instant begun = clock_now();
    run(2);
    assert_true(loop_stalled(lab.loop).ns >= 120 * NS_PER_MS);
    assert_true(loop_stalled(lab.loop).ns <= instant_since(clock_now(), begun).ns);
    source_close(&first);
}

static void waiting_for_a_timer_is_no_stall(void **state)
{
    (void)state;
    timer_init(&lab.timer, note_timer);
    assert_true(
        loop_timer_set(lab.loop, &lab.timer, instant_add(clock_now(), span_ms(150))));
    struct instant begun = clock_now();
    run(2);
    assert_string_equal(lab.log, "t");
    /* On a busy machine the thread may really have been kept from running. */
    int64_t late = instant_since(clock_now(), begun).ns - 150 * NS_PER_MS;
    assert_true(loop_stalled(lab.loop).ns <= late);
}

/* As after SIGSTOP and SIGCONT: the wait is interrupted when the time of the timer is over,
 * and the event came before that. */
static void write_and_be_kept(int number)
{
    (void)number;
    eventfd_write(first.fd, 1);
    struct timespec rest = {.tv_nsec = 200 * NS_PER_MS};
    while (nanosleep(&rest, &rest) != 0)
        continue;
}

static void note_timer_and_stop(struct timer *timer)
{
    note_timer(timer);
    loop_stop(lab.loop);
}

static void an_event_that_came_during_a_stop_is_before_the_timers(void **state)
{
    (void)state;
    uint64_t value;
    struct sigaction action = {.sa_handler = write_and_be_kept};
    struct itimerval soon = {.it_value.tv_usec = 50000};
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    source_open(&first, 'e', NULL);
    assert_int_equal(read(first.fd, &value, sizeof value), sizeof value);
    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
    timer_init(&lab.timer, note_timer_and_stop);
    assert_true(
        loop_timer_set(lab.loop, &lab.timer, instant_add(clock_now(), span_ms(150))));
    run(1000);
    assert_string_equal(lab.log, "et");
    source_close(&first);
}

static void watching_for_stalls_wakes_the_loop_ten_times_a_second(void **state)
{
    (void)state;
    loop_watch_stalls(lab.loop, true);
    struct instant begun = clock_now();
    run(4); /* one at once, three after 100 ms each */
    assert_true(instant_since(clock_now(), begun).ns >= 300 * NS_PER_MS);
    loop_watch_stalls(lab.loop, false);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, lab_begin, lab_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(events_come_before_timers_and_both_before_the_end_of_the_turn),
        TEST(work_at_the_end_of_a_turn_can_be_ended),
        TEST(a_timer_does_not_fire_before_its_time),
        TEST(a_timer_can_be_stopped),
        TEST(an_event_of_a_watch_that_was_dropped_meanwhile_is_thrown_away),
        TEST(not_even_its_successor_on_descriptor_and_slot_sees_the_old_event),
        TEST(a_dropped_descriptor_that_stays_open_is_silent),
        TEST(what_is_watched_for_can_be_changed),
        TEST(hundreds_of_watches_find_their_owners),
        TEST(a_descriptor_that_cannot_be_watched_is_an_error),
        TEST(another_thread_wakes_a_loop_that_waits_for_ever),
        TEST(neither_more_to_do_nor_again_lets_the_loop_wait),
        TEST(a_loop_that_was_stopped_before_it_ran_does_not_run),
        TEST(a_long_turn_counts_as_time_that_was_missed),
        TEST(waiting_for_a_timer_is_no_stall),
        TEST(an_event_that_came_during_a_stop_is_before_the_timers),
        TEST(watching_for_stalls_wakes_the_loop_ten_times_a_second),
    };
    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
