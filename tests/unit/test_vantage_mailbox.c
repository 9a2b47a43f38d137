/* SPDX-License-Identifier: MIT
 *
 * What a mailbox takes from other machines is bounded; what it gets from this process is
 * never lost.
 */
#include "loop/loop.h"
#include "vantage/mailbox.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <setjmp.h>

#include <cmocka.h>

struct rig {
    struct loop *loop;
    struct mailbox *mailbox;
    size_t opened;
    size_t wanted;
};

static void open_letter(void *ctx, struct letter *letter)
{
    struct rig *rig = ctx;
    if (++rig->opened == rig->wanted)
        loop_stop(rig->loop);
    free(letter);
}

static struct rig rig_make(struct rig *rig)
{
    struct rig made = {0};
    assert_true(loop_new(&made.loop, NULL));
    assert_true(mailbox_new(made.loop, open_letter, rig, &made.mailbox, NULL));
    return made;
}

static void rig_done(struct rig *rig)
{
    mailbox_free(rig->mailbox);
    loop_free(rig->loop);
}

/* How many of so many are taken. */
static size_t post(struct rig *rig, enum letter_kind kind, size_t len, size_t count)
{
    static const char data[1024];
    size_t taken = 0;
    for (size_t i = 0; i < count; i++)
        taken += mailbox_post(rig->mailbox, letter_new(kind, data, len));
    return taken;
}

static void letters_of_others_are_bounded(void **state)
{
    static const enum letter_kind kinds[] = {LETTER_JOB, LETTER_CANCEL, LETTER_ANSWER,
                                             LETTER_NO_RESPONDERS};
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct rig rig;
        rig = rig_make(&rig);
        assert_int_equal(post(&rig, kinds[i], 0, MAILBOX_LETTERS_MAX + 10),
                         MAILBOX_LETTERS_MAX);
        rig_done(&rig);
    }
}

static void bytes_are_bounded(void **state)
{
    (void)state;
    struct rig rig;
    rig = rig_make(&rig);
    assert_true(mailbox_post(rig.mailbox, letter_new(LETTER_ANSWER, (char[16]){0}, 16)));
    char *much = calloc(1, MAILBOX_BYTES_MAX);
    assert_non_null(much);
    assert_false(
        mailbox_post(rig.mailbox, letter_new(LETTER_ANSWER, much, MAILBOX_BYTES_MAX)));
    free(much);
    rig_done(&rig);
}

static void own_letters_always_arrive_in_order(void **state)
{
    (void)state;
    struct rig rig;
    rig = rig_make(&rig);
    post(&rig, LETTER_JOB, 1, MAILBOX_LETTERS_MAX);
    assert_int_equal(post(&rig, LETTER_NOT_SENT, 0, 5), 5);
    assert_int_equal(post(&rig, LETTER_DISCONNECTED, 0, 5), 5);
    rig.wanted = MAILBOX_LETTERS_MAX + 10;
    assert_true(loop_run(rig.loop, NULL));
    assert_int_equal(rig.opened, rig.wanted);
    assert_int_equal(post(&rig, LETTER_JOB, 1, 1), 1);
    rig_done(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_of_others_are_bounded),
        cmocka_unit_test(bytes_are_bounded),
        cmocka_unit_test(own_letters_always_arrive_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
