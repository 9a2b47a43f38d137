/* SPDX-License-Identifier: MIT
 *
 * What becomes of messages, whatever their subjects are.
 */
#include "base/clock.h"
#include "loop/loop.h"
#include "vantage/nats_connection.h"
#include "vantage/places.h"
#include "vantage/sorter.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#define ID      "0123456789abcdef0123456789abcdef"
#define NAME_33 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define INBOX   "_INBOX.gw.0123456789abcdef."
#define WORKERS 2

/* A process that is both the front gw and the place eu-1. */
static struct rig {
    struct loop *loop;
    struct mailbox *mailboxes[WORKERS];
    struct places *places;
    struct sorter sorter;
    char seen[512]; /* what became of a message: "1 answer ID eu-1;" */
} rig;

__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
    size_t len = strlen(rig.seen);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(rig.seen + len, sizeof rig.seen - len, format, arguments);
    va_end(arguments);
}

static void open_letter(void *ctx, struct letter *letter)
{
    static const char *const kinds[] = {
        [LETTER_JOB] = "job",         [LETTER_CANCEL] = "cancel",
        [LETTER_LATE] = "late",       [LETTER_ANSWER] = "answer",
        [LETTER_AT_WORK] = "at work", [LETTER_NO_RESPONDERS] = "nobody",
    };
    struct mailbox **mailbox = ctx;
    tell("%td %s %s%s%s%s %.*s;", mailbox - rig.mailboxes, kinds[letter->kind], letter->id,
         letter->front, letter->place, letter->reply, (int)letter->len, letter->data);
    free(letter);
}

static void is_greeted(void *ctx)
{
    (void)ctx;
    tell("greeted;");
}

static bool stop(void *ctx)
{
    (void)ctx;
    loop_stop(rig.loop);
    return false;
}

static void begin(void)
{
    static const struct place_list none = {0};
    memset(&rig, 0, sizeof rig);
    rig.sorter = (struct sorter){
        .inbox = INBOX,
        .place = "eu-1",
        .mailboxes = rig.mailboxes,
        .mailbox_count = WORKERS,
        .greeted = is_greeted,
    };
    assert_true(loop_new(&rig.loop, NULL));
    assert_true(places_new(&none, "gw", &rig.places, NULL));
    for (size_t i = 0; i < WORKERS; i++)
        assert_true(
            mailbox_new(rig.loop, open_letter, &rig.mailboxes[i], &rig.mailboxes[i], NULL));
    rig.sorter.places = rig.places;
    loop_each_turn(rig.loop, stop, NULL);
}

static void end(void)
{
    struct expected_places expected;
    places_expect(rig.places, clock_now(), &expected);
    for (size_t i = 0; i < expected.count; i++)
        tell("heard %s;", expected.items[i].name);
    for (size_t i = 0; i < WORKERS; i++)
        mailbox_free(rig.mailboxes[i]);
    places_free(rig.places);
    loop_free(rig.loop);
}

/* What becomes of it. */
static const char *read_message(const struct nats_message *message)
{
    begin();
    sorter_read(&rig.sorter, message);
    assert_true(loop_run(rig.loop, NULL));
    end();
    return rig.seen;
}

static void each_message_has_its_letters(void **state)
{
    (void)state;
    static const struct {
        const char *subject, *reply, *data;
        bool is_no_responders;
        const char *letters;
    } rows[] = {
        /* jobs of any front for this place */
        {"vp.check.gw.eu-1", "R", "j", false, "0 job gwR j;"},
        {"vp.check.gw.eu-1", NULL, "j", false, ""},
        {"vp.check.gw.us-1", "R", "j", false, ""},
        {"vp.check.gw.eu-1.x", "R", "j", false, ""},
        {"vp.check.gw.", "R", "j", false, ""},
        {"vp.check.gw", "R", "j", false, ""},
        {"vp.check..eu-1", "R", "j", false, ""},
        {"vp.check.GW.eu-1", "R", "j", false, ""},
        {"vp.check." NAME_33 ".eu-1", "R", "j", false, ""},
        /* cancellations, to every worker */
        {"vp.cancel.gw", NULL, ID, false, "0 cancel " ID "gw ;1 cancel " ID "gw ;"},
        {"vp.cancel.gw", NULL, ID "0", false, ""},
        {"vp.cancel.gw", NULL, "", false, ""},
        {"vp.cancel.gw.x", NULL, ID, false, ""},
        {"vp.cancel.", NULL, ID, false, ""},
        /* questions after a job, to every worker */
        {"vp.late.gw.eu-1", "R", ID, false, "0 late " ID "gwR ;1 late " ID "gwR ;"},
        {"vp.late.gw.eu-1", NULL, ID, false, ""},
        {"vp.late.gw.us-1", "R", ID, false, ""},
        {"vp.late.gw", "R", ID, false, ""},
        {"vp.late.gw.eu-1", "R", "", false, ""},
        {"vp.late.gw.eu-1", "R", ID "0", false, ""},
        /* what is said to them */
        {INBOX "1.late." ID ".eu-1", NULL, "", false, "1 at work " ID "eu-1 ;"},
        {INBOX "1.late." ID ".eu-1", NULL, "a", false, "1 at work " ID "eu-1 ;"},
        {INBOX "1.late." ID ".eu-1", NULL, "", true, ""},
        {INBOX "2.late." ID ".eu-1", NULL, "", false, ""},
        {INBOX "1.late." ID, NULL, "", false, ""},
        {INBOX "1.late.", NULL, "", false, ""},
        {INBOX "1.late", NULL, "", false, ""},
        /* answers, to the worker that asked */
        {INBOX "1." ID ".eu-1", NULL, "a", false, "1 answer " ID "eu-1 a;"},
        {INBOX "1.again." ID ".eu-1", NULL, "a", false, "1 answer " ID "eu-1 a;"},
        {INBOX "1.again." ID ".eu-1", NULL, "", true, "1 nobody " ID "eu-1 ;"},
        {INBOX "1.again.late." ID ".eu-1", NULL, "", false, ""},
        {INBOX "1.late.again." ID ".eu-1", NULL, "", false, ""},
        {INBOX "1.again.", NULL, "", false, ""},
        {INBOX "0." ID ".eu-1", NULL, "", true, "0 nobody " ID "eu-1 ;"},
        {INBOX "2." ID ".eu-1", NULL, "a", false, ""},
        {INBOX "18446744073709551616." ID ".eu-1", NULL, "a", false, ""},
        {INBOX "-1." ID ".eu-1", NULL, "a", false, ""},
        {INBOX "0." ID, NULL, "a", false, ""},
        {INBOX "0." ID, NULL, "", true, ""},
        {INBOX "0." ID ".", NULL, "a", false, ""},
        {INBOX "0." ID ".eu-1.x", NULL, "a", false, ""},
        {INBOX "0." ID "0.eu-1", NULL, "a", false, ""},
        {INBOX "0.0123.eu-1", NULL, "a", false, ""},
        {INBOX "0", NULL, "a", false, ""},
        {INBOX, NULL, "a", false, ""},
        /* heartbeats and greetings */
        {"vp.beat.us-1", NULL, "", false, "heard us-1;"},
        {"vp.beat.US", NULL, "", false, ""},
        {"vp.beat.us-1.x", NULL, "", false, ""},
        {"vp.beat.", NULL, "", false, ""},
        {"vp.hello.gw", NULL, "", false, "greeted;"},
        /* neither */
        {"_INBOX.gw.1.0." ID ".eu-1", NULL, "a", false, ""},
        {"", NULL, "a", false, ""},
        {"vp.check", NULL, "a", false, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *seen = read_message(&(struct nats_message){
            .subject = rows[i].subject,
            .reply = rows[i].reply,
            .data = rows[i].data,
            .len = strlen(rows[i].data),
            .is_no_responders = rows[i].is_no_responders,
        });
        size_t skip = strncmp(rows[i].letters, "0 job", 5) == 0 ? 1 : 0; /* any worker */
        if (strlen(seen) < skip || strcmp(seen + skip, rows[i].letters + skip) != 0)
            fail_msg("%s: %s", rows[i].subject, seen);
    }
}

static void what_is_too_long_is_dropped(void **state)
{
    (void)state;
    char reply[SUBJECT_SIZE + 1] = "", *data = calloc(1, VANTAGE_JOB_SIZE_MAX + 1);
    struct nats_message message = {
        .subject = "vp.check.gw.eu-1", .reply = reply, .data = data};
    assert_non_null(data);
    memset(reply, 'r', SUBJECT_SIZE - 1);
    assert_string_not_equal(read_message(&message), "");
    message.len = VANTAGE_JOB_SIZE_MAX + 1;
    assert_string_equal(read_message(&message), "");
    message.len = 0;
    memset(reply, 'r', SUBJECT_SIZE);
    assert_string_equal(read_message(&message), "");
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_message_has_its_letters),
        cmocka_unit_test(what_is_too_long_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
