/* SPDX-License-Identifier: MIT */
#include "verifier/progress.h"

#include "base/clock.h"
#include "base/container.h"
#include "loop/loop.h"
#include "verifier/terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STEP_MS   100
#define LINE_SIZE 512

struct progress {
    struct loop *loop; /* borrowed */
    progress_fn *write;
    void *ctx;
    struct timer timer;
};

/* Narrower than the terminal: a line that wraps cannot be erased. */
static void show(const struct progress *progress)
{
    char line[LINE_SIZE] = "";
    progress->write(progress->ctx, line, sizeof line);
    fprintf(stderr, "\r\033[K%.*s", (int)terminal_columns(STDERR_FILENO) - 1, line);
    fflush(stderr);
}

static void timer_fire(struct timer *timer)
{
    struct progress *progress = CONTAINER_OF(timer, struct progress, timer);
    show(progress);
    loop_timer_in(progress->loop, timer, span_ms(STEP_MS));
}

struct progress *progress_new(struct loop *loop, progress_fn *write, void *ctx)
{
    struct progress *progress =
        terminal_is_capable(STDERR_FILENO) ? calloc(1, sizeof *progress) : NULL;
    if (!progress)
        return NULL;

    progress->loop = loop;
    progress->write = write;
    progress->ctx = ctx;
    timer_init(&progress->timer, timer_fire);
    show(progress);
    loop_timer_set(loop, &progress->timer, instant_add(clock_now(), span_ms(STEP_MS)));
    return progress;
}

struct progress *progress_free(struct progress *progress)
{
    if (!progress)
        return NULL;

    loop_timer_stop(progress->loop, &progress->timer);
    fputs("\r\033[K", stderr);
    fflush(stderr);
    free(progress);
    return NULL;
}
