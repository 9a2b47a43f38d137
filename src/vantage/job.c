/* SPDX-License-Identifier: MIT */
#include "vantage/job.h"

#include "base/text.h"
#include "net/port_set.h"
#include "vantage/form.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#define EXP_MAX (INT64_C(1) << 53) /* what every reader of JSON can tell apart */

static const char *const refusals[] = {
#define X(NAME, text) [REFUSAL_##NAME] = (text),
    VANTAGE_REFUSAL_MAP(X)
#undef X
};

const char *vantage_refusal_text(enum vantage_refusal refusal)
{
    return refusals[refusal];
}

bool vantage_id_is_valid(const char *text, size_t len)
{
    return len == VANTAGE_ID_LEN && strspn(text, "0123456789abcdef") >= len;
}

/* ---- writing ---------------------------------------------------------------------- */

/* How many ports from here on are consecutive. */
static size_t run_of(const uint16_t *ports, size_t count)
{
    size_t run = 1;
    while (run < count && ports[run] == ports[run - 1] + 1)
        run++;
    return run;
}

static void write_ports(struct text *text, const struct vantage_job *job)
{
    for (size_t i = 0, run; i < job->port_count; i += run) {
        run = run_of(job->ports + i, job->port_count - i);
        text_printf(text, i > 0 ? ",%u" : "%u", job->ports[i]);
        if (run > 1)
            text_printf(text, "-%u", job->ports[i + run - 1]);
    }
}

char *vantage_job_write(const struct vantage_job *job, size_t *ret_len)
{
    char caller[ADDRESS_TEXT_SIZE], target[ADDRESS_TEXT_SIZE];
    struct text text;

    assert(job->port_count > 0 && job->port_count <= VANTAGE_PORTS_MAX);
    text_init(&text, VANTAGE_JOB_SIZE_MAX);
    text_printf(&text,
                "{\"v\":%d,\"id\":\"%s\",\"exp\":%" PRId64
                ",\"budget_ms\":%u,\"caller\":\"%s\",\"target\":\"%s\",\"ports\":\"",
                VANTAGE_VERSION, job->id, job->exp_ms, job->budget_ms,
                address_format(&job->caller, caller), address_format(&job->target, target));
    write_ports(&text, job);
    if (job->has_token)
        text_printf(&text, "\",\"token\":\"%s", job->token.hex);
    text_append_str(&text, "\"}");
    return text_take(&text, ret_len);
}

/* ---- reading ---------------------------------------------------------------------- */

static bool read_id(struct form *form, struct vantage_job *job)
{
    size_t len;
    const char *id = form_text(form, "id", &len);
    if (!id || !vantage_id_is_valid(id, len))
        return false;

    memcpy(job->id, id, len);
    job->id[len] = '\0';
    return true;
}

static bool read_address(struct form *form, const char *name, struct address *ret)
{
    size_t len;
    const char *text = form_text(form, name, &len);
    return text && address_parse(text, len, ret, NULL);
}

static bool read_token(struct form *form, struct vantage_job *job)
{
    size_t len;
    if (!form_has(form, "token"))
        return true;
    const char *text = form_text(form, "token", &len);
    job->has_token = text && proof_token_parse(text, len, &job->token);
    return job->has_token;
}

/* "7466" or "50800-50900". */
static bool read_range(const char *text, size_t len, uint16_t *ret_first,
                       uint16_t *ret_last)
{
    uint64_t port;
    if (memchr(text, '-', len))
        return port_range_parse(text, len, ret_first, ret_last, NULL);
    if (!text_parse_u64(text, len, UINT16_MAX, &port) || port == 0)
        return false;

    *ret_first = *ret_last = (uint16_t)port;
    return true;
}

static enum vantage_refusal read_ports(const char *text, size_t len, struct port_set *ports)
{
    for (const char *end = text + len; text <= end;) {
        const char *comma = memchr(text, ',', (size_t)(end - text));
        const char *stop = comma ? comma : end;
        size_t before = ports->count;
        uint16_t first, last;

        if (!read_range(text, (size_t)(stop - text), &first, &last))
            return REFUSAL_FORM;
        if (!port_set_add(ports, first, last))
            return REFUSAL_PORTS;
        if (ports->count - before != (size_t)(last - first) + 1)
            return REFUSAL_FORM; /* one of them was there already */
        text = stop + 1;
    }
    return REFUSAL_NONE;
}

static enum vantage_refusal read_members(const json_t *root, struct port_set *ports,
                                         struct vantage_job *job)
{
    struct form form;
    const json_t *version = json_object_get(root, "v");
    if (json_is_integer(version) && json_integer_value(version) != VANTAGE_VERSION)
        return REFUSAL_VERSION;

    form_begin(&form, root);
    form_number(&form, "v", VANTAGE_VERSION, VANTAGE_VERSION);
    job->exp_ms = form_number(&form, "exp", 0, EXP_MAX);
    job->budget_ms = (unsigned)form_number(&form, "budget_ms", 1, VANTAGE_BUDGET_MS);
    size_t len;
    const char *text = form_text(&form, "ports", &len);
    if (!read_id(&form, job) || !read_address(&form, "caller", &job->caller) ||
        !read_address(&form, "target", &job->target) || !read_token(&form, job) ||
        !form_end(&form))
        return REFUSAL_FORM;

    return read_ports(text, len, ports);
}

enum vantage_refusal vantage_job_parse(const char *text, size_t len, struct port_set *ports,
                                       struct vantage_job *ret)
{
    struct vantage_job job = {0};
    bool has_memory = true;

    port_set_clear(ports);
    json_t *root = len <= VANTAGE_JOB_SIZE_MAX ? form_load(text, len, &has_memory) : NULL;
    enum vantage_refusal refusal = root         ? read_members(root, ports, &job)
                                   : has_memory ? REFUSAL_FORM
                                                : REFUSAL_OVERLOADED;
    json_decref(root);
    if (refusal != REFUSAL_NONE)
        return refusal;

    job.ports = ports->ports;
    job.port_count = ports->count;
    *ret = job;
    return REFUSAL_NONE;
}
