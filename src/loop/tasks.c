/* SPDX-License-Identifier: MIT */
#include "loop/tasks.h"

void tasks_init(struct tasks *tasks)
{
    TAILQ_INIT(&tasks->waiting);
    tasks->count = 0;
}

void task_init(struct task *task, task_fn *run)
{
    *task = (struct task){.run = run};
}

void tasks_add(struct tasks *tasks, struct task *task)
{
    if (task->queue)
        return;

    task->queue = tasks;
    TAILQ_INSERT_TAIL(&tasks->waiting, task, next);
    tasks->count++;
}

void task_cancel(struct task *task)
{
    struct tasks *tasks = task->queue;
    if (!tasks)
        return;

    task->queue = NULL;
    TAILQ_REMOVE(&tasks->waiting, task, next);
    tasks->count--;
}

bool tasks_run_next(struct tasks *tasks)
{
    struct task *task = TAILQ_FIRST(&tasks->waiting);
    if (!task)
        return false;

    task_cancel(task);
    task->run(task);
    return true;
}
