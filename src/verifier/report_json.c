/* SPDX-License-Identifier: MIT
 *
 * The report as JSON. docs/verifier-report.schema.json describes every member; a change
 * that takes one away or gives it another meaning raises REPORT_VERSION.
 */
#include "verifier/report.h"

#include "verifier/advice.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define SENTENCE_MAX (1u << 16)
/* 4,096 ports, 32 verdicts each, 200 bytes each and 120 for each of 16 places: 277 MB. */
#define REPORT_MAX   (512u << 20)

/* --- pieces: each returns a new reference, or NULL without memory -------------------- */

static json_t *null_or_string(const char *text)
{
    return text ? json_string(text) : json_null();
}

static json_t *address_json(bool is_known, const struct address *address)
{
    char ip[ADDRESS_TEXT_SIZE];
    return is_known ? json_string(address_format(address, ip)) : json_null();
}

static json_t *time_json(const struct timespec *time)
{
    struct tm parts;
    char text[32];
    gmtime_r(&time->tv_sec, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return json_string(text);
}

static json_t *milliseconds_json(double ms)
{
    return json_real((double)(long long)(ms * 1000 + 0.5) / 1000);
}

static json_t *ports_json(const uint16_t *ports, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_integer(ports[i]));
    return list;
}

static json_t *text_json(const struct text *text)
{
    return text->failed ? NULL : json_stringn(text->data, text->len);
}

/* --- ports ---------------------------------------------------------------------------- */

static json_t *icmp_json(const struct remote_verdict *verdict)
{
    if (!verdict->icmp[0])
        return json_null();
    return json_pack("{s:s, s:s}", "meaning", verdict->icmp, "from",
                     verdict->is_icmp_from_target ? "target" : "path");
}

static json_t *proof_port_json(enum proof proof, uint16_t port)
{
    return proof == PROOF_OTHER_PORT && port > 0 ? json_integer(port) : json_null();
}

static json_t *place_json(const struct place_view *view)
{
    bool is_judged = view->kind == PLACE_JUDGED;
    const char *words = view->words[0] ? view->words : NULL;
    if (view->kind == PLACE_MISSING)
        return json_pack("{s:s, s:o}", "state", "missing", "reason", null_or_string(words));
    return json_pack("{s:s, s:o, s:o, s:o, s:o}", "state",
                     is_judged ? port_state_text(view->state) : view->words, "error",
                     null_or_string(is_judged ? words : NULL), "rtt_ms",
                     view->has_rtt ? milliseconds_json(view->rtt_ms) : json_null(), "proof",
                     null_or_string(proof_text(view->proof)), "proof_port",
                     proof_port_json(view->proof, view->proof_port));
}

static json_t *places_json(const struct place_table *places, size_t index)
{
    json_t *object = json_object();
    for (size_t i = 0; i < place_table_count(places); i++) {
        struct place_view view = place_table_get(places, index, i);
        if (view.kind != PLACE_ABSENT)
            json_object_set_new(object, place_table_name(places, i), place_json(&view));
    }
    if (json_object_size(object) > 0)
        return object;
    json_decref(object);
    return json_null();
}

static json_t *verdict_json(const struct remote_verdict *verdict,
                            const struct place_table *places, size_t checker, size_t index)
{
    return json_pack("{s:i, s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "checker",
                     (int)checker, "looks", (int)verdict->looks, "state",
                     port_state_text(verdict->state), "error",
                     null_or_string(verdict->words[0] ? verdict->words : NULL), "icmp",
                     icmp_json(verdict), "rtt_ms",
                     verdict->has_rtt ? milliseconds_json(verdict->rtt_ms) : json_null(),
                     "proof", null_or_string(proof_text(verdict->proof)), "proof_port",
                     proof_port_json(verdict->proof, verdict->proof_port), "vantages",
                     places_json(places, index));
}

static json_t *verdicts_json(const struct family_report *family, size_t index)
{
    json_t *list = json_array();
    for (size_t i = 0; i < family->checker_count; i++) {
        const struct remote_verdict *verdict = report_verdict(family, i, index);
        if (verdict)
            json_array_append_new(
                list, verdict_json(verdict, family->checkers[i].result.places, i, index));
    }
    return list;
}

static json_t *mapped_json(const struct mapping_view *mapped)
{
    const struct timespec expires = {.tv_sec = mapped->expires};
    if (!mapped->is_asked)
        return json_null();
    return json_pack("{s:s, s:o, s:o, s:o, s:o}", "state",
                     mapping_state_text(mapped->state), "result",
                     null_or_string(mapped->result), "given",
                     mapped->given != 0 ? json_integer(mapped->given) : json_null(),
                     "held_by", address_json(mapped->has_holder, &mapped->holder),
                     "expires", mapped->has_expiry ? time_json(&expires) : json_null());
}

static json_t *port_json(const struct report *report, const struct family_report *family,
                         size_t index)
{
    const struct finding *finding = &family->findings[index];
    const struct local_port *local = &family->local[index];
    const struct remote_verdict *witness = report_witness(family, index);
    bool has_owner = local->binding == BINDING_IN_USE && local->owner.name[0];

    return json_pack(
        "{s:i, s:i, s:b, s:b, s:b, s:o, s:o, s:o, s:s, s:o, s:o, s:i, s:b, s:o, s:o}",
        "port", (int)family->ports[index], "inner", (int)family->inner[index], "good",
        (int)finding->is_good, "advertise", (int)family->is_advertised[index], "proved",
        (int)finding->is_proved, "state",
        null_or_string(witness ? port_state_text(witness->state) : NULL), "cause",
        null_or_string(report->is_probe ? NULL : cause_text(finding->cause)), "leads_to",
        finding->cause == CAUSE_OTHER_PORT ? json_integer(finding->leads_to) : json_null(),
        "listener", binding_text(local->binding), "held_by",
        null_or_string(has_owner ? local->owner.name : NULL), "led_away_to",
        null_or_string(local->filter.is_led ? local->filter.to : NULL), "accepted",
        (int)local->accepted, "syn_seen", (int)local->has_syn, "mapped",
        mapped_json(&local->mapped), "verdicts", verdicts_json(family, index));
}

static json_t *advertised_json(const struct family_report *family)
{
    json_t *list = json_array();
    for (size_t i = 0; i < family->port_count; i++)
        if (family->is_advertised[i])
            json_array_append_new(list, json_integer(family->ports[i]));
    return list;
}

/* --- causes --------------------------------------------------------------------------- */

static json_t *sentence_json(const struct report *report,
                             const struct family_report *family,
                             const struct port_group *group, enum advice_part part)
{
    AUTO_TEXT text = text_up_to(SENTENCE_MAX);
    advice_put(report, family, group, part, &text);
    return text_json(&text);
}

static json_t *cause_json(const struct report *report, const struct family_report *family,
                          const struct port_group *group)
{
    AUTO_TEXT ports = text_up_to(SENTENCE_MAX);
    report_format_group(family, group, &ports);
    return json_pack("{s:s, s:o, s:o, s:o, s:o}", "cause",
                     cause_text(family->findings[group->first].cause), "ports",
                     text_json(&ports), "label",
                     sentence_json(report, family, group, ADVICE_LABEL), "text",
                     sentence_json(report, family, group, ADVICE_WHY), "remedy",
                     sentence_json(report, family, group, ADVICE_REMEDY));
}

static json_t *causes_json(const struct report *report, const struct family_report *family)
{
    json_t *list = json_array();
    for (size_t i = 0; i < family->group_count; i++) {
        const struct port_group *group = &family->groups[i];
        if (!report->is_probe && family->findings[group->first].cause != CAUSE_GOOD)
            json_array_append_new(list, cause_json(report, family, group));
    }
    return list;
}

static json_t *signs_json(struct signs signs)
{
    json_t *list = json_array();
    for (enum sign sign = 0; sign < SIGN_COUNT; sign++)
        if (signs_have(signs, sign))
            json_array_append_new(list, json_string(sign_text(sign)));
    return list;
}

/* --- the router ----------------------------------------------------------------------- */

static json_t *speech_json(enum router_protocol protocol,
                           const struct router_speech *speech)
{
    bool has_result = speech->state == SPEECH_SPOKEN;
    return json_pack("{s:s, s:s, s:o}", "protocol", router_protocol_text(protocol), "state",
                     speech_state_text(speech->state), "result",
                     null_or_string(has_result
                                        ? router_result_of(protocol, speech->result).name
                                        : NULL));
}

/* NAT-PMP has no IPv6. */
static json_t *speeches_json(const struct family_report *family)
{
    json_t *list = json_array();
    for (enum router_protocol i = 0; i < ROUTER_DATAGRAM_COUNT; i++)
        if (family->which == FAMILY_4 || i != ROUTER_NATPMP)
            json_array_append_new(list, speech_json(i, &family->router.answer.speech[i]));
    if (family->mapping.has_protocol && family->mapping.protocol == ROUTER_UPNP) {
        const struct router_speech spoken = {.state = SPEECH_SPOKEN};
        json_array_append_new(list, speech_json(ROUTER_UPNP, &spoken));
    }
    return list;
}

static json_t *mapping_json(const struct mapping_summary *mapping)
{
    const char *protocol =
        mapping->has_protocol ? router_protocol_text(mapping->protocol) : NULL;
    if (!mapping->is_there)
        return json_null();
    return json_pack("{s:o, s:i, s:i, s:o, s:b, s:o}", "protocol", null_or_string(protocol),
                     "mapped", (int)mapping->mapped, "asked", (int)mapping->asked, "lease",
                     mapping->lease > 0 ? json_integer(mapping->lease) : json_null(),
                     "kept", (int)mapping->is_kept, "error",
                     null_or_string(mapping_fault_text(mapping->fault)));
}

static json_t *router_json(const struct family_report *family)
{
    const struct router_view *router = &family->router;
    if (!router->is_asked)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "address",
                     address_json(true, &router->address), "outer_ip",
                     address_json(router->answer.has_outer, &router->answer.outer_address),
                     "protocols", speeches_json(family), "outer",
                     null_or_string(router_outer_text(router->outer)), "mapping",
                     mapping_json(&family->mapping));
}

/* What an earlier router, or this one for an earlier address, may still forward. */
static json_t *formers_json(const struct family_report *family)
{
    json_t *list = json_array();
    const uint16_t *ports = family->former_ports;
    for (size_t i = 0; i < family->former_count; i++) {
        const struct former *former = &family->former[i];
        const struct timespec until = {.tv_sec = former->until};
        json_array_append_new(
            list,
            json_pack("{s:o, s:o, s:o, s:o}", "router", address_json(true, &former->router),
                      "local_ip", address_json(true, &former->local), "ports",
                      ports_json(ports, former->count), "expires",
                      former->is_permanent ? json_null() : time_json(&until)));
        ports += former->count;
    }
    return list;
}

/* --- checkers ------------------------------------------------------------------------- */

static json_t *limit_json(const struct remote_limit *limit)
{
    if (!limit->is_there)
        return json_null();
    return json_pack("{s:i, s:f}", "answered", (int)limit->answered, "rate", limit->rate);
}

static json_t *quorum_json(const struct remote_quorum *quorum)
{
    if (quorum->needed == 0)
        return json_null();
    return json_pack("{s:i, s:i}", "needed", (int)quorum->needed, "places",
                     (int)quorum->places);
}

static json_t *checker_json(const struct report_checker *checker)
{
    const struct checker_result *result = &checker->result;
    bool has_failed = result->failure != FAILURE_NONE;
    return json_pack(
        "{s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:o}", "url",
        null_or_string(checker->url), "answered", (int)!has_failed, "error",
        null_or_string(failure_text(result->failure)), "message",
        null_or_string(result->message[0] ? result->message : NULL), "status",
        result->status > 0 ? json_integer(result->status) : json_null(), "retry_after",
        result->retry_after > 0 ? json_integer(result->retry_after) : json_null(), "ip",
        address_json(result->has_public, &result->public_address), "address",
        address_json(result->has_local, &result->peer_address), "vantage",
        null_or_string(result->has_local ? vantage_text(result->vantage) : NULL), "limit",
        limit_json(&result->limit), "quorum", quorum_json(&result->quorum), "plain",
        (int)result->is_plain, "proof", (int)result->knows_proof, "duration_ms",
        milliseconds_json(span_to_ms(result->duration)));
}

static json_t *checkers_json(const struct family_report *family)
{
    json_t *list = json_array();
    for (size_t i = 0; i < family->checker_count; i++)
        json_array_append_new(list, checker_json(&family->checkers[i]));
    return list;
}

/* --- all of it ------------------------------------------------------------------------ */

/* The JSON tree of a whole report would take hundreds of bytes for each member of each
 * port. So the entries of large lists are built, written and freed one at a time. */

static int text_dump(const char *data, size_t len, void *ctx)
{
    struct text *text = ctx;
    text_append(text, data, len);
    return text->failed ? -1 : 0;
}

/* Takes the reference. */
static void value_put(struct text *text, json_t *value)
{
    if (!value || json_dump_callback(value, text_dump, text, JSON_REAL_PRECISION(12)) != 0)
        text->failed = true;
    json_decref(value);
}

/* Writes the object without its closing brace, for more members to follow. */
static void members_put(struct text *text, json_t *object)
{
    value_put(text, object);
    if (!text->failed)
        text->data[--text->len] = '\0';
}

static json_t *family_head(const struct report *report, const struct family_report *family)
{
    return json_pack("{s:i, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                     "family", family_number(family->which), "known", (int)family->is_known,
                     "ok", (int)family->is_ok, "time", time_json(&family->time), "ip",
                     address_json(family->has_public, &family->public_address), "local_ip",
                     address_json(family->has_local, &family->local_address), "signs",
                     signs_json(family->signs), "router", router_json(family),
                     "former_mappings", formers_json(family), "advertise",
                     advertised_json(family), "checkers", checkers_json(family), "causes",
                     causes_json(report, family));
}

static void family_put(struct text *text, const struct report *report,
                       const struct family_report *family)
{
    members_put(text, family_head(report, family));
    text_append_str(text, ", \"ports\": [");
    for (size_t i = 0; i < family->port_count; i++) {
        text_append_str(text, i > 0 ? ", " : "");
        value_put(text, port_json(report, family, i));
    }
    text_append_str(text, "]}");
}

static const char *status_text(enum report_status status)
{
    switch (status) {
    case REPORT_OK:
        return "ok";
    case REPORT_NOT_OK:
        return "not_ok";
    case REPORT_UNKNOWN:
        return "unknown";
    }
    return "";
}

static json_t *report_head(const struct report *report)
{
    return json_pack("{s:i, s:s, s:s, s:s, s:o, s:o, s:i, s:o}", "version", REPORT_VERSION,
                     "program", "port-verifier " PORT_CHECKER_VERSION, "kind",
                     report->is_probe ? "probe" : "verify", "status",
                     status_text(report_status(report)), "time", time_json(&report->time),
                     "duration_ms", milliseconds_json(span_to_ms(report->duration)),
                     "quorum", (int)report->quorum, "required",
                     ports_json(report->required, report->required_count));
}

char *report_json(const struct report *report, size_t *ret_len)
{
    AUTO_TEXT text = text_up_to(REPORT_MAX);
    bool is_first = true;
    members_put(&text, report_head(report));
    text_append_str(&text, ", \"families\": [");
    for (enum family which = 0; which < FAMILY_COUNT; which++) {
        if (!report->families[which])
            continue;
        text_append_str(&text, is_first ? "" : ", ");
        family_put(&text, report, report->families[which]);
        is_first = false;
    }
    text_append_str(&text, "]}\n");
    return text_take(&text, ret_len);
}
