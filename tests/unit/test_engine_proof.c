/* SPDX-License-Identifier: MIT
 *
 * What listeners say when they are asked for their proof.
 */
#include "engine_lab.h"

#include "probe/proof.h"

#define CLIENTS_MAX 16

static bool has_lab;
static const struct proof_token token = {"00112233445566778899aabbccddeeff"};
static const struct proof_token other_token = {"ffeeddccbbaa99887766554433221100"};

static void need_lab(void)
{
    if (!has_lab)
        skip();
}

/* --- a listener that talks, on the rig's own loop ----------------------------------- */

enum ending { STAYS, CLOSES, RESETS };

struct speaker {
    struct rig *rig;
    int fd;
    struct loop_watch watch;
    const char *text;
    size_t len;
    size_t piece; /* bytes at a time, a tenth of a second apart; 0 = all at once */
    enum ending ending;
    void (*come)(void); /* or NULL: called when the first client is accepted */

    struct timer timer;
    size_t said;
    int clients[CLIENTS_MAX];
    size_t client_count;
};

static void client_end(struct speaker *speaker, size_t index)
{
    int fd = speaker->clients[index];
    const struct linger reset = {.l_onoff = 1};
    if (speaker->ending == STAYS)
        return;
    if (speaker->ending == RESETS)
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    close(fd);
    speaker->clients[index] = -1;
}

static void say_next(struct timer *timer)
{
    struct speaker *speaker = (void *)((char *)timer - offsetof(struct speaker, timer));
    size_t len = speaker->len - speaker->said;
    if (speaker->piece > 0 && len > speaker->piece)
        len = speaker->piece;
    if (len > 0 && send(speaker->clients[0], speaker->text + speaker->said, len,
                        MSG_NOSIGNAL) != (ssize_t)len)
        return; /* it has gone */
    speaker->said += len;
    if (speaker->said < speaker->len)
        loop_timer_set(speaker->rig->loop, timer, instant_add(clock_now(), span_ms(100)));
    else
        client_end(speaker, 0);
}

static void speak(void *ctx, uint32_t events)
{
    struct speaker *speaker = ctx;
    (void)events;
    int fd = accept4(speaker->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    assert_true(speaker->client_count < CLIENTS_MAX);
    speaker->clients[speaker->client_count++] = fd;
    if (speaker->client_count > 1)
        return;
    if (speaker->come)
        speaker->come();
    say_next(&speaker->timer);
}

static void speaker_begin(struct speaker *speaker, struct rig *rig, uint16_t port)
{
    speaker->rig = rig;
    speaker->fd = listener_there(THERE, port, 8);
    timer_init(&speaker->timer, say_next);
    assert_true(loop_watch_add(rig->loop, speaker->fd, EPOLLIN, speak, speaker,
                               &speaker->watch, NULL));
}

static void speaker_end(struct speaker *speaker)
{
    loop_timer_stop(speaker->rig->loop, &speaker->timer);
    loop_watch_drop(speaker->rig->loop, -1, &speaker->watch);
    close(speaker->fd);
    for (size_t i = 0; i < speaker->client_count; i++)
        if (speaker->clients[i] >= 0)
            close(speaker->clients[i]);
}

/* --- what they say ------------------------------------------------------------------ */

#define PORT 7466

static char own_line[PROOF_LINE_SIZE], others_line[PROOF_LINE_SIZE];
static char foreign_line[PROOF_LINE_SIZE], long_text[5000];

static void texts_make(void)
{
    size_t len;
    assert_true(proof_line_make(&token, PORT, own_line, &len));
    assert_true(proof_line_make(&token, 50899, others_line, &len));
    assert_true(proof_line_make(&other_token, PORT, foreign_line, &len));
    memset(long_text, 'x', sizeof long_text - 1);
}

static void the_proof_is_what_the_listener_says(void **state)
{
    (void)state;
    need_lab();
    enum { WHOLE = 9999 };
    static const struct {
        const char *what, *text;
        size_t len, piece;
        enum ending ending;
        enum proof proof;
        int64_t from_ms, to_ms; /* less than the time for a line, or all of it */
    } rows[] = {
        /* clang-format off */
        {"its line",            own_line,     WHOLE, 0,  STAYS,  PROOF_MATCH,      0, 1499},
        {"line and end",        own_line,     WHOLE, 0,  CLOSES, PROOF_MATCH,      0, 1499},
        {"line and reset",      own_line,     WHOLE, 0,  RESETS, PROOF_MATCH,      0, 1499},
        {"line in pieces",      own_line,     WHOLE, 20, STAYS,  PROOF_MATCH,      300, 1499},
        {"another port's line", others_line,  WHOLE, 0,  STAYS,  PROOF_OTHER_PORT, 0, 1499},
        {"another token's",     foreign_line, WHOLE, 0,  STAYS,  PROOF_MISMATCH,   0, 1499},
        {"another protocol",    "SSH-2.0-OpenSSH_9.2\r\n", WHOLE, 0, STAYS, PROOF_MISMATCH, 0, 1499},
        {"an empty line",       "\n",         WHOLE, 0,  STAYS,  PROOF_MISMATCH,   0, 1499},
        {"nothing",             "",           0,     0,  STAYS,  PROOF_SILENT,     1500, 19999},
        {"end",                 "",           0,     0,  CLOSES, PROOF_RESET,      0, 1499},
        {"reset",               "",           0,     0,  RESETS, PROOF_RESET,      0, 1499},
        {"half a line, end",    own_line,     50,    0,  CLOSES, PROOF_RESET,      0, 1499},
        {"half a line, reset",  own_line,     50,    0,  RESETS, PROOF_RESET,      0, 1499},
        {"half a line, stays",  own_line,     50,    0,  STAYS,  PROOF_SILENT,     1500, 19999},
        {"all but the newline", own_line,     91,    0,  STAYS,  PROOF_SILENT,     1500, 19999},
        {"a byte at a time",    own_line,     WHOLE, 1,  STAYS,  PROOF_SILENT,     1500, 19999},
        {"120 bytes",           long_text,    120,   0,  STAYS,  PROOF_SILENT,     1500, 19999},
        {"128 bytes",           long_text,    128,   0,  STAYS,  PROOF_MISMATCH,   0, 1499},
        {"thousands of bytes",  long_text,    4999,  0,  STAYS,  PROOF_MISMATCH,   0, 1499},
        /* clang-format on */
    };
    texts_make();
    assert_true(firewall(""));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rig *rig = rig_new();
        struct speaker speaker = {
            .text = rows[i].text,
            .len = rows[i].len == WHOLE ? strlen(rows[i].text) : rows[i].len,
            .piece = rows[i].piece,
            .ending = rows[i].ending,
        };
        speaker_begin(&speaker, rig, PORT);
        rig->token = &token;
        struct check *check = rig_check_one(rig, THERE, PORT);
        rig_run(rig);
        const struct port_verdict *verdict = &check->verdicts[0];
        assert_state(check, 0, PORT_STATE_OPEN);
        int64_t took = rig_age_ms(rig, check->done_at);
        if (verdict->proof != rows[i].proof || took < rows[i].from_ms ||
            took > rows[i].to_ms)
            fail_msg("%s: %s after %lld ms", rows[i].what, proof_text(verdict->proof),
                     (long long)took);
        assert_int_equal(verdict->proof_port,
                         rows[i].proof == PROOF_OTHER_PORT ? 50899 : 0);
        /* The reading of a proof is not part of the verdict's time. */
        assert_true(verdict->duration.ns < PROOF_MILLISECONDS * NS_PER_MS);
        assert_int_equal(rig->attempted, 1);
        speaker_end(&speaker);
        rig_free(rig); /* no socket is left */
    }
}

static void only_open_ports_have_a_proof(void **state)
{
    (void)state;
    need_lab();
    texts_make();
    assert_true(firewall("tcp dport 1000 drop\n"
                         "tcp dport 1003 reject with icmp type host-unreachable"));
    struct rig *rig = rig_new();
    struct speaker speaker = {.text = own_line, .len = strlen(own_line)};
    speaker_begin(&speaker, rig, PORT);
    rig->token = &token;
    struct check *check =
        rig_check(rig, THERE, (uint16_t[]){PORT, 998, 1000, 1003}, 4, 20000);
    rig_run(rig);
    assert_state(check, 0, PORT_STATE_OPEN);
    assert_state(check, 1, PORT_STATE_CLOSED);
    assert_state(check, 2, PORT_STATE_FILTERED);
    assert_state(check, 3, PORT_STATE_UNREACHABLE);
    assert_int_equal(check->verdicts[0].proof, PROOF_MATCH);
    for (int i = 1; i < 4; i++)
        assert_int_equal(check->verdicts[i].proof, PROOF_NONE);
    speaker_end(&speaker);
    rig_free(rig);
}

/* The handshake is finished at once, not by the delayed acknowledgement of a half-open
 * probe, some 200 ms later. The fastest of some counts: this machine may be busy. */
static void a_listener_is_not_kept_waiting(void **state)
{
    (void)state;
    need_lab();
    texts_make();
    assert_true(firewall(""));
    int64_t fastest = INT64_MAX;
    for (int i = 0; i < 50 && fastest >= 30; i++) {
        struct rig *rig = rig_new();
        struct speaker speaker = {.text = own_line, .len = strlen(own_line)};
        speaker_begin(&speaker, rig, PORT);
        rig->token = &token;
        struct check *check = rig_check_one(rig, THERE, PORT);
        rig_run(rig);
        assert_int_equal(check->verdicts[0].proof, PROOF_MATCH);
        int64_t took = rig_age_ms(rig, check->done_at);
        fastest = took < fastest ? took : fastest;
        speaker_end(&speaker);
        rig_free(rig);
    }
    assert_true(fastest < 30);
}

static void without_a_token_no_listener_is_asked(void **state)
{
    (void)state;
    need_lab();
    texts_make();
    assert_true(firewall(""));
    struct rig *rig = rig_new();
    struct speaker speaker = {.text = own_line, .len = strlen(own_line)};
    speaker_begin(&speaker, rig, PORT);
    struct check *check = rig_check_one(rig, THERE, PORT);
    rig_run(rig);
    assert_state(check, 0, PORT_STATE_OPEN);
    assert_int_equal(check->verdicts[0].proof, PROOF_NONE);
    assert_int_equal(speaker.client_count, 0);
    speaker_end(&speaker);
    rig_free(rig);
}

static struct check *to_cancel;

static void cancel_job(struct timer *timer)
{
    (void)timer;
    check_cancel(to_cancel);
}

static void a_job_cancelled_while_it_reads_leaves_nothing_behind(void **state)
{
    (void)state;
    need_lab();
    texts_make();
    assert_true(firewall(""));
    struct rig *rig = rig_new();
    struct speaker speaker = {.text = own_line, .len = strlen(own_line), .piece = 1};
    speaker_begin(&speaker, rig, PORT);
    rig->token = &token;
    to_cancel = rig_check_one(rig, THERE, PORT);
    struct timer timer;
    timer_init(&timer, cancel_job);
    assert_true(loop_timer_set(rig->loop, &timer, instant_add(clock_now(), span_ms(900))));
    rig_run(rig);
    assert_int_equal(to_cancel->settled, 0);
    assert_int_equal(speaker.client_count, 1);
    speaker_end(&speaker);
    rig_free(rig);
}

/* --- an answer to an early attempt while another one is wanted ---------------------- */

static uint16_t silent_ports[300];

static struct {
    struct timer timer;
    struct rig *rig;
    struct check *check, *fill;
    long syns;       /* until the listener had its client */
    bool has_played; /* the situation arose */
} scene;

static void fill_window(struct timer *timer)
{
    (void)timer;
    scene.rig->token = NULL;
    scene.fill = rig_check(scene.rig, THERE, silent_ports, 300, 20000);
}

/* The port's attempts are due at 0, 300, 500 and 900 ms. With the third, others fill the
 * window of the address, 128 of them for 300 ms, then 128 more until 1100 ms: after one
 * second, when the port is answered, it is queued for its fourth attempt, whose turn comes
 * while the listener is still sending. */
static void fill_with_third(struct rig *rig)
{
    if (rig->attempted < 1 + 3)
        return;
    rig->on_attempt = NULL;
    timer_init(&scene.timer, fill_window);
    assert_true(loop_timer_set(rig->loop, &scene.timer, clock_now()));
}

static void end_scene(struct timer *timer)
{
    (void)timer;
    if (scene.fill && !scene.fill->is_done)
        check_cancel(scene.fill);
}

/* From here on each SYN is answered, so that the others are soon judged. */
static void count_syns(void)
{
    scene.syns = syns_there();
    assert_true(firewall(""));
}

/* The answer came to the first repetition when the fourth attempt was due and had not left:
 * three SYNs and that repetition. */
static void look_at_scene(struct check *check)
{
    scene.has_played = check->verdicts[0].duration.ns > 910 * NS_PER_MS && scene.syns == 4;
    if (scene.has_played)
        return;
    timer_init(&scene.timer, end_scene);
    assert_true(loop_timer_set(check->rig->loop, &scene.timer, clock_now()));
}

static void ask_for_proof(struct rig *rig)
{
    rig->token = &token;
    scene.check = rig_check_one(rig, THERE, PORT);
    scene.check->on_settled = look_at_scene;
    rig->on_attempt = fill_with_third;
}

/* Returns whether the situation arose. */
static bool play_scene(void)
{
    /* Each source port is let in with its second SYN: a second after its first. */
    assert_true(firewall("tcp dport 7466 " COUNT_SYNS
                         "tcp dport 7466 tcp flags & (syn | ack) == syn meter seen { tcp "
                         "sport limit rate over 1/hour burst 1 packets } accept\n"
                         "tcp dport 7466 tcp flags & (syn | ack) == syn drop\n"
                         "tcp dport 20000-20299 drop"));
    struct rig *rig = rig_with_ms(5000);
    struct speaker speaker = {
        .text = own_line, .len = strlen(own_line), .piece = 20, .come = count_syns};
    speaker_begin(&speaker, rig, PORT);
    memset(&scene, 0, sizeof scene);
    scene.rig = rig;
    rig_check_one(rig, THERE, 998); /* the address answers, soon */
    ask_for_proof(rig);
    rig_run(rig);
    assert_state(scene.check, 0, PORT_STATE_OPEN);
    assert_int_equal(scene.check->verdicts[0].proof, PROOF_MATCH);
    if (scene.has_played) {
        assert_true(instant_before(scene.check->done_at, scene.fill->done_at));
        assert_int_equal(scene.fill->settled, 300);
    }
    speaker_end(&speaker);
    rig_free(rig);
    return scene.has_played;
}

static void a_proof_is_read_though_another_attempt_was_queued(void **state)
{
    (void)state;
    need_lab();
    texts_make();
    count_ports(silent_ports, 300, 20000);

    /* This needs the program to be on time within a tenth of a second. */
    bool has_played = false;
    for (int i = 0; i < 20 && !has_played; i++)
        has_played = play_scene();
    assert_true(has_played);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    has_lab = lab_enter() && firewall("");
    const struct CMUnitTest tests[] = {
        TEST(the_proof_is_what_the_listener_says),
        TEST(only_open_ports_have_a_proof),
        TEST(a_listener_is_not_kept_waiting),
        TEST(without_a_token_no_listener_is_asked),
        TEST(a_job_cancelled_while_it_reads_leaves_nothing_behind),
        TEST(a_proof_is_read_though_another_attempt_was_queued),
    };
    return cmocka_run_group_tests_name("engine_proof", tests, NULL, NULL);
}
