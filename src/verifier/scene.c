/* SPDX-License-Identifier: MIT */
#include "verifier/scene.h"

#include "base/libc.h"
#include "verifier/checker_advice.h"
#include "verifier/ports.h"

#include <stdlib.h>

struct scene scene_of(const struct report *report, const struct family_report *family,
                      const struct port_group *group)
{
    return (struct scene){
        .report = report,
        .family = family,
        .group = group,
        .count = group->count,
        .finding = &family->findings[group->first],
        .local = &family->local[group->first],
        .witness = report_witness(family, group->first),
    };
}

/* --- conditions -------------------------------------------------------------------------
 */

static bool has_answered(const struct family_report *family, size_t index)
{
    const struct remote_verdict *verdict = report_witness(family, index);
    return verdict &&
           (verdict->state == PORT_STATE_OPEN || verdict->state == PORT_STATE_CLOSED);
}

static bool has_answering(const struct family_report *family)
{
    for (size_t i = 0; i < family->port_count; i++)
        if (has_answered(family, i))
            return true;
    return false;
}

unsigned scene_conditions(const struct scene *scene)
{
    const struct family_report *family = scene->family;
    const enum binding binding = scene->local->binding;
    const struct {
        enum condition condition;
        bool is_true;
    } rows[] = {
        {WHEN_IN_USE, binding == BINDING_IN_USE},
        {WHEN_NO_PERMISSION, binding == BINDING_NO_PERMISSION},
        {WHEN_UNBOUND, binding == BINDING_NO_PERMISSION || binding == BINDING_FAILED},
        {WHEN_LOOPBACK_ONLY, scene->local->owner.is_loopback_only},
        {WHEN_ADVERTISED, family->is_advertised[scene->group->first]},
        {WHEN_REACHED_BY_ALL, scene->finding->reached == scene->finding->asked},
        {WHEN_TRANSLATED, signs_have(family->signs, SIGN_ADDRESS_DIFFERS)},
        {WHEN_PRIVATE, signs_have(family->signs, SIGN_PRIVATE_ADDRESS)},
        {WHEN_CARRIER, signs_have(family->signs, SIGN_CARRIER_ADDRESS)},
        {WHEN_OTHERS_ANSWER, has_answering(family)},
    };
    unsigned conditions = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        conditions |= rows[i].is_true ? rows[i].condition : 0;
    return conditions;
}

/* --- the group ------------------------------------------------------------------------ */

/* "port 7466", "ports 50800-50809" */
static void put_ports(const void *ctx, struct text *text)
{
    const struct scene *scene = ctx;
    text_append_str(text, scene->count == 1 ? "port " : "ports ");
    report_format_group(scene->family, scene->group, text);
}

static void put_are(const void *ctx, struct text *text)
{
    const struct scene *scene = ctx;
    text_append_str(text, scene->count == 1 ? "is" : "are");
}

static void put_it(const void *ctx, struct text *text)
{
    const struct scene *scene = ctx;
    text_append_str(text, scene->count == 1 ? "it" : "them");
}

static void put_s(const void *ctx, struct text *text)
{
    const struct scene *scene = ctx;
    text_append_str(text, scene->count == 1 ? "" : "s");
}

/* --- this machine --------------------------------------------------------------------- */

static void address_put(bool is_known, const struct address *address, const char *otherwise,
                        struct text *text)
{
    char ip[ADDRESS_TEXT_SIZE];
    text_append_str(text, is_known ? address_format(address, ip) : otherwise);
}

static void put_here(const void *ctx, struct text *text)
{
    const struct family_report *family = ((const struct scene *)ctx)->family;
    address_put(family->has_local, &family->local_address, "this machine", text);
}

static void put_public(const void *ctx, struct text *text)
{
    const struct family_report *family = ((const struct scene *)ctx)->family;
    address_put(family->has_public, &family->public_address, "your public address", text);
}

static void put_owner(const void *ctx, struct text *text)
{
    const char *name = ((const struct scene *)ctx)->local->owner.name;
    text_append_str(text, name[0] ? name : "another program");
}

static void put_error(const void *ctx, struct text *text)
{
    text_append_str(text, libc_error_text(((const struct scene *)ctx)->local->errnum));
}

/* --- what checkers say ---------------------------------------------------------------- */

static void put_words(const void *ctx, struct text *text)
{
    const struct remote_verdict *witness = ((const struct scene *)ctx)->witness;
    bool has_words = witness && witness->words[0];
    text_append_str(text, has_words ? witness->words : "no reason given");
}

static void put_reached(const void *ctx, struct text *text)
{
    text_printf(text, "%u", ((const struct scene *)ctx)->finding->reached);
}

static void put_asked(const void *ctx, struct text *text)
{
    text_printf(text, "%u", ((const struct scene *)ctx)->finding->asked);
}

static void put_quorum(const void *ctx, struct text *text)
{
    text_printf(text, "%u", ((const struct scene *)ctx)->report->quorum);
}

/* The URLs of the checkers that answered and did not reach the group. */
static void put_missing(const void *ctx, struct text *text)
{
    const struct scene *scene = ctx;
    const char *between = "";
    for (size_t i = 0; i < scene->family->checker_count; i++) {
        const struct report_checker *checker = &scene->family->checkers[i];
        if (!checker->result.verdicts ||
            report_reached(scene->family, i, scene->group->first))
            continue;
        text_printf(text, "%s%s", between, checker->url);
        between = ", ";
    }
}

static void put_checkers(const void *ctx, struct text *text)
{
    checker_advice_put(((const struct scene *)ctx)->family, text);
}

/* --- other ports ---------------------------------------------------------------------- */

/* Where our listeners are reached instead: "port 7466", "ports 50900-50909". */
static void put_led_to(const void *ctx, struct text *text)
{
    const struct scene *scene = ctx;
    const struct family_report *family = scene->family;
    uint16_t *ports = calloc(scene->count + 1, sizeof *ports);
    size_t count = 0;
    for (size_t i = 0; ports && i < family->port_count; i++)
        if (&family->groups[family->group_of[i]] == scene->group)
            ports[count++] = family->findings[i].leads_to;
    if (scene->group->has_one_place && count > 1)
        count = 1;
    text_append_str(text, count == 1 ? "port " : "ports ");
    ports_format(ports, count, text);
    text->failed = text->failed || !ports;
    free(ports);
}

/* "7466,50800-50847": the ports that took or refused a connection. */
static void put_answering(const void *ctx, struct text *text)
{
    const struct family_report *family = ((const struct scene *)ctx)->family;
    uint16_t *ports = calloc(family->port_count + 1, sizeof *ports);
    size_t count = 0;
    for (size_t i = 0; ports && i < family->port_count; i++)
        if (has_answered(family, i))
            ports[count++] = family->ports[i];
    ports_format(ports, count, text);
    text->failed = text->failed || !ports;
    free(ports);
}

/* --- all of them ---------------------------------------------------------------------- */

const struct template_word scene_words[] = {
    {"answering", put_answering},
    {"are", put_are},
    {"asked", put_asked},
    {"checkers", put_checkers},
    {"error", put_error},
    {"here", put_here},
    {"it", put_it},
    {"led_to", put_led_to},
    {"missing", put_missing},
    {"owner", put_owner},
    {"ports", put_ports},
    {"public", put_public},
    {"quorum", put_quorum},
    {"reached", put_reached},
    {"s", put_s},
    {"words", put_words},
    {NULL, NULL},
};
