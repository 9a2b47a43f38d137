/* SPDX-License-Identifier: MIT
 *
 * POST /check-ports: the question, in several requests if necessary, and further looks at
 * ports whose first verdict was negative.
 */
#include "verifier/checker_state.h"

#include "base/container.h"
#include "base/err.h"
#include "loop/loop.h"
#include "verifier/diagnosis.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool piece_send(struct checker *checker, struct err *err);

static void piece_send_or_fail(struct checker *checker)
{
    if (!piece_send(checker, NULL))
        checker_fail(checker, FAILURE_NO_MEMORY, NULL);
}

/* --- pauses --------------------------------------------------------------------------- */

static void timer_fire(struct timer *timer)
{
    struct checker *checker = CONTAINER_OF(timer, struct checker, timer);
    bool was_pausing = checker->is_pausing;
    checker->is_pausing = false;
    if (was_pausing) {
        piece_send_or_fail(checker);
        return;
    }
    fetch_cancel(checker->fetch); /* the patience is over */
    checker_finish(checker);
}

/* False if that would be longer than the patience. */
static bool pause_begin(struct checker *checker, struct span pause)
{
    struct instant end = instant_add(clock_now(), pause);
    if (!instant_before(end, checker->deadline) ||
        !loop_timer_set(checker->config.loop, &checker->timer, end))
        return false;
    checker->is_pausing = true;
    checker->pause_end = end;
    return true;
}

/* --- further looks -------------------------------------------------------------------- */

static bool is_reached(const struct checker *checker, size_t index)
{
    return diagnosis_is_reached(&checker->local[index], &checker->result.verdicts[index]);
}

static void look_begin(struct checker *checker)
{
    if (checker->waiting_count > 0) {
        checker->look = look_plan(&checker->past, checker->look, checker->waiting_count);
        if (pause_begin(checker, checker->look.pause))
            return;
    }
    checker_finish(checker);
}

/* Ports that have been looked at leave `waiting`, unless a further look may differ. */
static void look_done(struct checker *checker)
{
    struct look_past before = checker->past;
    checker->past = (struct look_past){.limit = checker->limit};
    for (size_t i = 0; i < checker->asked; i++) {
        size_t index = checker->waiting[i];
        look_count(&checker->past, &checker->result.verdicts[index],
                   is_reached(checker, index));
    }

    size_t kept = 0;
    bool is_final = look_confirms(&checker->past);
    bool is_rest_final = look_confirms_rest(&before, &checker->past);
    for (size_t i = 0; i < checker->waiting_count; i++) {
        size_t index = checker->waiting[i];
        bool is_limited = checker->result.verdicts[index].state == PORT_STATE_LIMITED;
        bool stays = i >= checker->asked
                         ? !is_rest_final
                         : !is_reached(checker, index) && (!is_final || is_limited);
        if (stays)
            checker->waiting[kept++] = index;
    }
    checker->waiting_count = kept;
    look_begin(checker);
}

void checker_look(struct checker *checker, const size_t *indices, size_t count,
                  const struct local_port *local, struct instant deadline)
{
    assert(checker->phase == CHECKER_DONE && checker->result.verdicts);
    memcpy(checker->waiting, indices, count * sizeof *indices);
    checker->waiting_count = count;
    checker->phase = CHECKER_ASKING;
    checker->is_looking = true;
    checker->local = local;
    checker->deadline = deadline;
    checker->past = (struct look_past){.limit = checker->result.limit};
    for (size_t i = 0; i < checker->config.port_count; i++)
        look_count(&checker->past, &checker->result.verdicts[i], is_reached(checker, i));
    look_begin(checker);
}

size_t checker_waiting(const struct checker *checker, struct instant now,
                       struct span *ret_pause)
{
    *ret_pause = checker->is_pausing ? instant_since(checker->pause_end, now) : span_ms(0);
    return checker->is_looking ? checker->waiting_count : 0;
}

/* --- verdicts ------------------------------------------------------------------------- */

static bool has_known(const struct checker *checker)
{
    for (size_t i = 0; i < checker->config.port_count; i++)
        if (!checker->result.verdicts[i].is_unknown)
            return true;
    return false;
}

static bool has_match(const struct checker *checker)
{
    for (size_t i = 0; i < checker->config.port_count; i++)
        if (checker->result.verdicts[i].proof == PROOF_MATCH)
            return true;
    return false;
}

/* It asked about that address, and it may be that of a proxy. */
static bool is_doubtful(const struct checker *checker)
{
    return checker->result.has_told && !has_match(checker) &&
           origin_is_doubtful(&checker->result.local_address,
                              &checker->result.public_address);
}

/* The first look is over. */
static void all_judged(struct checker *checker)
{
    char text[ADDRESS_TEXT_SIZE];
    if (!has_known(checker)) {
        checker_result_done(&checker->result);
        checker_fail(checker, FAILURE_UNKNOWN_WORDS, NULL);
    } else if (is_doubtful(checker)) {
        checker_result_done(&checker->result);
        checker_fail(checker, FAILURE_CALLER_HIDDEN,
                     address_format(&checker->result.public_address, text));
    } else {
        checker_finish(checker);
    }
}

static void piece_judged(struct checker *checker)
{
    if (checker->is_looking) {
        look_done(checker);
        return;
    }
    checker->judged = checker->config.port_count - checker->waiting_count + checker->asked;
    checker->waiting_count -= checker->asked;
    memmove(checker->waiting, checker->waiting + checker->asked,
            checker->waiting_count * sizeof *checker->waiting);
    if (checker->waiting_count > 0)
        piece_send_or_fail(checker);
    else
        all_judged(checker);
}

/* --- the question --------------------------------------------------------------------- */

/* Its words are not those of this contract, or there are too many ports: the plain contract
 * decides. */
static void ask_plainly(struct checker *checker)
{
    checker->result.is_plain = true;
    piece_send_or_fail(checker);
}

static void limits_done(void *ctx, const struct fetch_result *result)
{
    struct checker *checker = ctx;
    size_t most = 0;
    if (result->end == FETCH_ANSWERED && result->status == 200)
        most = reply_parse_max_ports(result->body, result->body_len);
    if (most == 0 || most >= checker->asked) {
        ask_plainly(checker);
        return;
    }
    checker->piece_max = most;
    piece_send_or_fail(checker);
}

/* It refuses the question: what of it? */
static void refused(struct checker *checker, const struct fetch_result *result)
{
    bool may_be_extension = !checker->result.is_plain && !checker->is_looking;
    if (!checker->has_asked_limits && checker->asked > 1) {
        checker->has_asked_limits = true;
        if (!checker_request(checker, LIMITS_PATH, NULL, NULL, limits_done, NULL))
            checker_fail(checker, FAILURE_NO_MEMORY, NULL);
    } else if (may_be_extension) {
        ask_plainly(checker);
    } else {
        checker_fail_status(checker, result);
    }
}

/* The address that the checker sees has changed, or it would not refuse its own words. */
static void address_changed(struct checker *checker)
{
    checker->has_changed = true;
    checker->told_before = checker->result.public_address;
    if (!checker->ask_address(checker, NULL))
        checker_fail(checker, FAILURE_NO_MEMORY, NULL);
}

/* It told another address the second time; or it refuses an address that it has just told,
 * and names the one that it sees now: "203.0.113.9 may not have ...". */
static bool is_alternating(struct checker *checker, const struct fetch_result *result)
{
    char detail[REPLY_SENTENCE_SIZE];
    struct address seen;
    if (!address_equals(&checker->told_before, &checker->result.public_address))
        return true;
    reply_read_detail(result->body, result->body_len, detail);
    if (!address_parse(detail, strcspn(detail, " "), &seen, NULL) ||
        address_equals(&seen, &checker->result.public_address))
        return false;
    checker->told_before = seen;
    return true;
}

static void fail_alternating(struct checker *checker)
{
    char one[ADDRESS_TEXT_SIZE];
    char other[ADDRESS_TEXT_SIZE];
    char both[2 * ADDRESS_TEXT_SIZE + 8];
    snprintf(both, sizeof both, "%s and %s", address_format(&checker->told_before, one),
             address_format(&checker->result.public_address, other));
    checker_fail(checker, FAILURE_ADDRESS_ALTERNATES, both);
}

static void reply_take(struct checker *checker, const struct fetch_result *result)
{
    if (checker_take(checker, result))
        piece_judged(checker);
}

static void ask_done(void *ctx, const struct fetch_result *result)
{
    struct checker *checker = ctx;
    checker_note(checker, result);
    bool is_https = checker_wants_https(checker, result);
    bool is_first = !checker->result.verdicts;
    if (result->end != FETCH_ANSWERED)
        checker_fail_unanswered(checker, result);
    else if (result->status == 200)
        reply_take(checker, result);
    else if (checker_receipt_is_refused(checker, result))
        piece_send_or_fail(checker);
    else if (result->status == 403 && checker->result.has_told && is_first &&
             !checker->has_changed)
        address_changed(checker);
    else if (result->status == 403 && checker->has_changed &&
             is_alternating(checker, result))
        fail_alternating(checker);
    else if (result->status == 429 && !is_first && result->retry_after > 0 &&
             pause_begin(checker, span_seconds(result->retry_after)))
        return;
    else if ((result->status == 422 || result->status == 400) && !is_https)
        refused(checker, result);
    else
        checker_fail_status(checker, result);
}

static void lines_came(void *ctx, size_t lines)
{
    struct checker *checker = ctx;
    size_t before = checker->config.port_count - checker->waiting_count;
    if (!checker->is_looking)
        checker->judged = before + (lines < checker->asked ? lines : checker->asked);
}

static void receipt_ask(struct checker *checker)
{
    const char *for_text = checker->config.for_text;
    text_append_str(&checker->body, ", \"receipt\": true");
    if (!for_text)
        return;
    text_append_str(&checker->body, ", \"for\": ");
    text_append_json(&checker->body, for_text, strlen(for_text));
}

static void body_write(struct checker *checker)
{
    char ip[ADDRESS_TEXT_SIZE];
    text_reset(&checker->body);
    text_printf(&checker->body, "{\"provider_ip\": \"%s\", \"ports\": [",
                address_format(&checker->result.public_address, ip));
    for (size_t i = 0; i < checker->asked; i++)
        text_printf(&checker->body, "%s%u", i > 0 ? ", " : "",
                    checker->config.ports[checker->waiting[i]]);
    text_append_str(&checker->body, "]");
    if (!checker->result.is_plain)
        text_printf(&checker->body, ", \"details\": true, \"token\": \"%s\"",
                    checker->config.token->hex);
    if (checker_asks_for_receipt(checker))
        receipt_ask(checker);
    text_append_str(&checker->body, "}");
}

/* In a further look, the time that is left also limits the request. */
static bool piece_send(struct checker *checker, struct err *err)
{
    size_t size = checker->is_looking ? checker->look.size : checker->waiting_count;
    if (checker->piece_max > 0 && size > checker->piece_max)
        size = checker->piece_max;
    checker->asked = size < checker->waiting_count ? size : checker->waiting_count;
    body_write(checker);
    if (checker->body.failed)
        return err_sys(err, ENOMEM, "request");
    return (!checker->is_looking ||
            loop_timer_set(checker->config.loop, &checker->timer, checker->deadline)) &&
           checker_request(checker, CHECK_PATH, checker->body.data, lines_came, ask_done,
                           err);
}

void checker_timer_init(struct checker *checker)
{
    timer_init(&checker->timer, timer_fire);
}

bool checker_ask(struct checker *checker, struct err *err)
{
    size_t count = checker->config.port_count;
    checker->phase = CHECKER_ASKING;
    memcpy(checker->waiting, checker->config.order, count * sizeof *checker->waiting);
    checker->waiting_count = count;
    return piece_send(checker, err);
}
