/* SPDX-License-Identifier: MIT */
#include "http/turns.h"

#include "loop/loop.h"

#define HANDSHAKE_MS 2 /* of each turn */
#define NEW_MAX      8 /* handshakes that wait for our processor */

/* Connections that become due meanwhile wait for the next turn. */
static bool turn(void *ctx)
{
    struct turns *turns = ctx;
    struct tasks *serve = &turns->ranks[TURNS_SERVE];
    struct tasks *shake = &turns->ranks[TURNS_SHAKE];
    struct tasks *greet = &turns->ranks[TURNS_GREET];
    for (size_t left = serve->count; left > 0; left--)
        tasks_run_next(serve);
    if (shake->count + greet->count > 0) {
        struct instant until = instant_add(clock_now(), span_ms(HANDSHAKE_MS));
        while ((tasks_run_next(shake) || tasks_run_next(greet)) &&
               instant_before(clock_now(), until))
            continue;
    }
    turns->turned = loop_now(turns->loop);
    return serve->count + shake->count + greet->count > 0;
}

void turns_init(struct turns *turns, struct loop *loop)
{
    *turns = (struct turns){.loop = loop};
    for (size_t i = 0; i < TURNS_RANKS; i++)
        tasks_init(&turns->ranks[i]);
    loop_each_turn(loop, turn, turns);
}

void turns_done(struct turns *turns)
{
    loop_each_turn_end(turns->loop, turn, turns);
}

void turns_add(struct turns *turns, enum turns_rank rank, struct task *task)
{
    tasks_add(&turns->ranks[rank], task);
    if (loop_now(turns->loop).ns == turns->turned.ns)
        loop_again(turns->loop);
}

bool turns_may_begin(const struct turns *turns)
{
    return turns->ranks[TURNS_GREET].count < NEW_MAX;
}
