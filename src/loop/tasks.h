/* SPDX-License-Identifier: MIT
 *
 * Work that is deferred to the end of a turn, first in, first out. Tasks are embedded in
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

/* Queues a task, unless it is queued already. */
void tasks_add(struct tasks *tasks, struct task *task);

/* Does nothing if the task is not queued. */
void task_cancel(struct task *task);

/* Runs the task that has waited longest; false if the queue is empty. The task leaves the
 * queue before its function runs, which may add and cancel any task. */
bool tasks_run_next(struct tasks *tasks);
