/* SPDX-License-Identifier: MIT */
#include "vantage/answer.h"

#include "vantage/form.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_MAX  128
#define ENTRY_MAX  192       /* the longest error has 29 characters */
#define RTT_US_MAX 120000000 /* longer than any check */

/* ---- writing ---------------------------------------------------------------------- */

size_t vantage_answer_size_max(size_t port_count)
{
    return FRAME_MAX + port_count * ENTRY_MAX;
}

static void begin(struct text *text, const char *place)
{
    text_printf(text, "{\"v\":%d,\"place\":\"%s\"", VANTAGE_VERSION, place);
}

void vantage_answer_begin(struct text *text, const char *place, size_t port_count)
{
    text_init(text, vantage_answer_size_max(port_count));
    begin(text, place);
    text_append_str(text, ",\"ports\":[");
}

void vantage_answer_add(struct text *text, const struct port_verdict *verdict)
{
    const char *error = port_verdict_error(verdict);
    const char *proof = proof_text(verdict->proof);
    bool is_first = text->len > 0 && text->data[text->len - 1] == '[';

    text_printf(text, "%s{\"port\":%u,\"state\":\"%s\"", is_first ? "" : ",", verdict->port,
                port_state_text(verdict->state));
    if (error)
        text_printf(text, ",\"error\":\"%s\"", error);
    if (verdict->has_rtt) {
        int64_t us = verdict->rtt.ns / 1000;
        text_printf(text, ",\"rtt_us\":%" PRId64,
                    us < 0            ? 0
                    : us > RTT_US_MAX ? RTT_US_MAX
                                      : us);
    }
    if (proof)
        text_printf(text, ",\"proof\":\"%s\"", proof);
    if (verdict->proof == PROOF_OTHER_PORT)
        text_printf(text, ",\"proof_port\":%u", verdict->proof_port);
    text_append_str(text, "}");
}

char *vantage_answer_end(struct text *text, size_t *ret_len)
{
    text_append_str(text, "]}");
    return text_take(text, ret_len);
}

char *vantage_answer_refuse(const char *place, enum vantage_refusal refusal,
                            size_t *ret_len)
{
    struct text text;

    assert(refusal != REFUSAL_NONE);
    text_init(&text, FRAME_MAX);
    begin(&text, place);
    text_printf(&text, ",\"refused\":\"%s\"}", vantage_refusal_text(refusal));
    return text_take(&text, ret_len);
}

/* ---- reading ---------------------------------------------------------------------- */

/* Words are compared as C strings: jansson refuses a NUL inside a text. */
static bool read_state(struct form *form, enum port_state *ret)
{
    size_t len;
    const char *text = form_text(form, "state", &len);
    for (size_t i = 0; text && i < PORT_STATE_COUNT; i++)
        if (strcmp(text, port_state_text((enum port_state)i)) == 0) {
            *ret = (enum port_state)i;
            return true;
        }
    return false;
}

static bool read_error(struct form *form, int *ret_errnum)
{
    static const struct {
        const char *text;
        int errnum;
    } errors[] = {
#define X(number, text) {(text), (number)},
        VERDICT_ERROR_MAP(X)
#undef X
    };
    size_t len;
    const char *text = form_text(form, "error", &len);
    for (size_t i = 0; text && i < sizeof errors / sizeof *errors; i++)
        if (strcmp(text, errors[i].text) == 0) {
            *ret_errnum = errors[i].errnum;
            return true;
        }
    return false;
}

static bool read_proof(struct form *form, struct port_verdict *verdict)
{
    static const char *const words[] = {
#define X(NAME, text) [PROOF_##NAME] = (text),
        PROOF_MAP(X)
#undef X
    };
    size_t len;
    if (!form_has(form, "proof"))
        return true;
    const char *text = form_text(form, "proof", &len);
    for (size_t i = 0; text && i < sizeof words / sizeof *words; i++)
        if (words[i] && strcmp(text, words[i]) == 0)
            verdict->proof = (enum proof)i;
    if (verdict->proof == PROOF_OTHER_PORT)
        verdict->proof_port = (uint16_t)form_number(form, "proof_port", 1, UINT16_MAX);
    return verdict->proof != PROOF_NONE;
}

static bool read_verdict(const json_t *item, uint16_t port, bool has_token,
                         struct port_verdict *ret)
{
    struct form form;
    form_begin(&form, item);
    *ret = (struct port_verdict){
        .port = (uint16_t)form_number(&form, "port", port, port),
    };
    if (!read_state(&form, &ret->state))
        return false;

    bool is_open = ret->state == PORT_STATE_OPEN;
    ret->has_rtt = form_has(&form, "rtt_us");
    if (ret->has_rtt)
        ret->rtt.ns = form_number(&form, "rtt_us", 0, RTT_US_MAX) * 1000;
    return (is_open || read_error(&form, &ret->errnum)) &&
           (!is_open || !has_token || read_proof(&form, ret)) && form_end(&form);
}

static bool read_verdicts(struct form *form, const struct vantage_job *job,
                          struct vantage_answer *answer)
{
    const json_t *list = form_list(form, "ports");
    if (!form_end(form) || json_array_size(list) != job->port_count)
        return false;

    answer->verdicts = malloc(job->port_count * sizeof *answer->verdicts);
    bool is_sound = answer->verdicts != NULL;
    for (size_t i = 0; is_sound && i < job->port_count; i++)
        is_sound = read_verdict(json_array_get(list, i), job->ports[i], job->has_token,
                                &answer->verdicts[i]);
    if (!is_sound)
        vantage_answer_done(answer);
    return is_sound;
}

static bool read_refusal(struct form *form, struct vantage_answer *answer)
{
    size_t len;
    const char *text = form_text(form, "refused", &len);
    for (size_t i = REFUSAL_NONE + 1; text && i < REFUSAL_COUNT; i++)
        if (strcmp(text, vantage_refusal_text((enum vantage_refusal)i)) == 0)
            answer->refusal = (enum vantage_refusal)i;
    return answer->refusal != REFUSAL_NONE && form_end(form);
}

static bool read_members(const json_t *root, const struct vantage_job *job,
                         struct vantage_answer *answer)
{
    struct form form;
    size_t len;
    form_begin(&form, root);
    form_number(&form, "v", VANTAGE_VERSION, VANTAGE_VERSION);
    const char *place = form_text(&form, "place", &len);
    if (!place || !place_name_parse(place, len, answer->place))
        return false;
    return form_has(&form, "refused") ? read_refusal(&form, answer)
                                      : read_verdicts(&form, job, answer);
}

bool vantage_answer_parse(const char *text, size_t len, const struct vantage_job *job,
                          struct vantage_answer *ret)
{
    struct vantage_answer answer = {.refusal = REFUSAL_NONE};
    bool has_memory = true;
    json_t *root = len <= vantage_answer_size_max(job->port_count)
                       ? form_load(text, len, &has_memory)
                       : NULL;
    bool is_sound = root && read_members(root, job, &answer);
    json_decref(root);
    if (is_sound)
        *ret = answer;
    return is_sound;
}

void vantage_answer_done(struct vantage_answer *answer)
{
    free(answer->verdicts);
    answer->verdicts = NULL;
}
