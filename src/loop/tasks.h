/* SPDX-License-Identifier: MIT
 *
 * Work that is put off to the end of a turn, first in, first out. Tasks are embedded in
 * their owners; each waits in one queue at most. Belongs to one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

struct task;
struct tasks;
typedef void(task_fn)(struct task *task);

struct task {
    TAILQ_ENTRY(task) next;
    struct tasks *queue; /* borrowed: where it waits, NULL = nowhere */
    task_fn *run;
};

struct tasks {
    TAILQ_HEAD(, task) waiting;
    size_t count;
};

void tasks_init(struct tasks *tasks);
void task_init(struct task *task, task_fn *run);

/* Lets a task wait, unless it waits already. */
void tasks_add(struct tasks *tasks, struct task *task);

/* Nothing happens when it does not wait. */
void task_cancel(struct task *task);

/* Runs the one that has waited longest, unless none waits: then false. It has left the
 * queue when its function is called, which may add and cancel any. */
bool tasks_run_next(struct tasks *tasks);
