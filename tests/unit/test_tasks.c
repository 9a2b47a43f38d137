/* SPDX-License-Identifier: MIT */
#include "loop/tasks.h"

#include "base/container.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A task that records its name when it runs, and then does what the test wants. */
struct named {
    struct task task;
    char name;
    void (*then)(struct named *named);
    struct tasks *tasks;
    struct named *other;
};

static char trace[64];

static void run(struct task *task)
{
    struct named *named = CONTAINER_OF(task, struct named, task);
    size_t len = strlen(trace);
    assert_true(len + 1 < sizeof trace);
    trace[len] = named->name;
    trace[len + 1] = '\0';
    if (named->then)
        named->then(named);
}

static void init(struct named *named, char name, struct tasks *tasks)
{
    *named = (struct named){.name = name, .tasks = tasks};
    task_init(&named->task, run);
}

static size_t run_all(struct tasks *tasks)
{
    size_t count = 0;
    while (tasks_run_next(tasks))
        assert_true(++count < 100);
    return count;
}

static int setup(void **state)
{
    (void)state;
    trace[0] = '\0';
    return 0;
}

static void none_waits_at_first(void **state)
{
    (void)state;
    struct tasks tasks;
    tasks_init(&tasks);
    assert_int_equal(tasks.count, 0);
    assert_false(tasks_run_next(&tasks));
}

static void the_first_in_is_the_first_out(void **state)
{
    (void)state;
    struct tasks tasks;
    struct named a, b, c;
    tasks_init(&tasks);
    init(&a, 'a', &tasks);
    init(&b, 'b', &tasks);
    init(&c, 'c', &tasks);
    tasks_add(&tasks, &b.task);
    tasks_add(&tasks, &a.task);
    tasks_add(&tasks, &c.task);
    assert_int_equal(tasks.count, 3);
    assert_true(tasks_run_next(&tasks));
    assert_string_equal(trace, "b");
    assert_int_equal(tasks.count, 2);
    assert_int_equal(run_all(&tasks), 2);
    assert_string_equal(trace, "bac");
    assert_int_equal(tasks.count, 0);
}

static void one_that_waits_keeps_its_place(void **state)
{
    (void)state;
    struct tasks tasks;
    struct named a, b;
    tasks_init(&tasks);
    init(&a, 'a', &tasks);
    init(&b, 'b', &tasks);
    tasks_add(&tasks, &a.task);
    tasks_add(&tasks, &b.task);
    tasks_add(&tasks, &a.task);
    assert_int_equal(tasks.count, 2);
    run_all(&tasks);
    assert_string_equal(trace, "ab");
}

static void one_waits_in_one_queue_at_most(void **state)
{
    (void)state;
    struct tasks first, second;
    struct named a;
    tasks_init(&first);
    tasks_init(&second);
    init(&a, 'a', &first);
    tasks_add(&first, &a.task);
    tasks_add(&second, &a.task);
    assert_int_equal(first.count, 1);
    assert_int_equal(second.count, 0);
    assert_int_equal(run_all(&second), 0);
    assert_int_equal(run_all(&first), 1);

    tasks_add(&second, &a.task);
    assert_int_equal(run_all(&second), 1);
    assert_string_equal(trace, "aa");
}

static void one_that_was_cancelled_does_not_run(void **state)
{
    (void)state;
    struct tasks tasks;
    struct named named[3];
    for (int left_out = 0; left_out < 3; left_out++) {
        tasks_init(&tasks);
        trace[0] = '\0';
        for (int i = 0; i < 3; i++) {
            init(&named[i], (char)('a' + i), &tasks);
            tasks_add(&tasks, &named[i].task);
        }
        task_cancel(&named[left_out].task);
        task_cancel(&named[left_out].task);
        assert_int_equal(tasks.count, 2);
        assert_int_equal(run_all(&tasks), 2);
        assert_null(strchr(trace, 'a' + left_out));
    }
}

static void one_that_was_cancelled_may_come_again(void **state)
{
    (void)state;
    struct tasks tasks;
    struct named a, b;
    tasks_init(&tasks);
    init(&a, 'a', &tasks);
    init(&b, 'b', &tasks);
    task_cancel(&a.task);
    tasks_add(&tasks, &a.task);
    tasks_add(&tasks, &b.task);
    task_cancel(&a.task);
    tasks_add(&tasks, &a.task);
    run_all(&tasks);
    assert_string_equal(trace, "ba");
}

static void add_itself(struct named *named)
{
    named->then = NULL;
    tasks_add(named->tasks, &named->task);
}

static void one_that_runs_may_add_itself(void **state)
{
    (void)state;
    struct tasks tasks;
    struct named a, b;
    tasks_init(&tasks);
    init(&a, 'a', &tasks);
    init(&b, 'b', &tasks);
    a.then = add_itself;
    tasks_add(&tasks, &a.task);
    tasks_add(&tasks, &b.task);
    assert_true(tasks_run_next(&tasks));
    assert_int_equal(tasks.count, 2);
    run_all(&tasks);
    assert_string_equal(trace, "aba");
}

static void add_other(struct named *named)
{
    tasks_add(named->tasks, &named->other->task);
}

static void cancel_other(struct named *named)
{
    task_cancel(&named->other->task);
}

static void one_that_runs_may_add_and_cancel_others(void **state)
{
    (void)state;
    struct tasks tasks;
    struct named a, b, c;
    tasks_init(&tasks);
    init(&a, 'a', &tasks);
    init(&b, 'b', &tasks);
    init(&c, 'c', &tasks);
    a.then = add_other;
    a.other = &c;
    b.then = cancel_other;
    b.other = &c;
    tasks_add(&tasks, &a.task);
    tasks_add(&tasks, &b.task);
    assert_int_equal(run_all(&tasks), 2);
    assert_string_equal(trace, "ab");

    tasks_add(&tasks, &a.task);
    assert_int_equal(run_all(&tasks), 2);
    assert_string_equal(trace, "abac");
}

static void free_itself(struct named *named)
{
    free(named);
}

static void one_that_runs_may_be_freed(void **state)
{
    (void)state;
    struct tasks tasks;
    struct named b, *a = malloc(sizeof *a);
    assert_non_null(a);
    tasks_init(&tasks);
    init(a, 'a', &tasks);
    init(&b, 'b', &tasks);
    a->then = free_itself;
    tasks_add(&tasks, &a->task);
    tasks_add(&tasks, &b.task);
    assert_int_equal(run_all(&tasks), 2);
    assert_string_equal(trace, "ab");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(none_waits_at_first, setup),
        cmocka_unit_test_setup(the_first_in_is_the_first_out, setup),
        cmocka_unit_test_setup(one_that_waits_keeps_its_place, setup),
        cmocka_unit_test_setup(one_waits_in_one_queue_at_most, setup),
        cmocka_unit_test_setup(one_that_was_cancelled_does_not_run, setup),
        cmocka_unit_test_setup(one_that_was_cancelled_may_come_again, setup),
        cmocka_unit_test_setup(one_that_runs_may_add_itself, setup),
        cmocka_unit_test_setup(one_that_runs_may_add_and_cancel_others, setup),
        cmocka_unit_test_setup(one_that_runs_may_be_freed, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
