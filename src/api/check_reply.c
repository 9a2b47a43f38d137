/* SPDX-License-Identifier: MIT */
#include "api/check_reply.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* One port: about 180 bytes of members, an error of at most 29 (VERDICT_ERROR_MAP), and
 * the meaning of an ICMP error, at most 43. */
#define ENTRY_MAX CHECK_LINE_SIZE
#define FRAME_MAX 256 /* everything around the ports */

struct entry {
    size_t len;
    char data[ENTRY_MAX];
};

static void put(struct entry *entry, const char *bytes, size_t len)
{
    assert(len <= sizeof entry->data - entry->len);
    memcpy(entry->data + entry->len, bytes, len);
    entry->len += len;
}

static void put_str(struct entry *entry, const char *str)
{
    put(entry, str, strlen(str));
}

/* At least `width` digits. */
static void put_number(struct entry *entry, uint64_t number, size_t width)
{
    char digits[TEXT_DIGITS_MAX];

    put(entry, digits, text_digits(number, width, digits));
}

/* Our own texts need no escapes. */
static void put_string(struct entry *entry, const char *str)
{
    if (!str) {
        put_str(entry, "null");
        return;
    }
    assert(!strpbrk(str, "\"\\\n"));
    put_str(entry, "\"");
    put_str(entry, str);
    put_str(entry, "\"");
}

/* Milliseconds with three decimals, rounded. */
static void put_rtt(struct entry *entry, const struct port_verdict *verdict)
{
    if (!verdict->has_rtt) {
        put_str(entry, "null");
        return;
    }
    int64_t ns = verdict->rtt.ns > 0 ? verdict->rtt.ns : 0;
    uint64_t us = ((uint64_t)ns + 500) / 1000;
    put_number(entry, us / 1000, 1);
    put_str(entry, ".");
    put_number(entry, us % 1000, 3);
}

static void put_icmp(struct entry *entry, const struct icmp_error *icmp)
{
    if (!icmp->is_there) {
        put_str(entry, "null");
        return;
    }
    put_str(entry, "{\"type\": ");
    put_number(entry, icmp->type, 1);
    put_str(entry, ", \"code\": ");
    put_number(entry, icmp->code, 1);
    put_str(entry, ", \"meaning\": ");
    put_string(entry, icmp_meaning(icmp));
    put_str(entry,
            icmp->is_from_target ? ", \"from\": \"target\"}" : ", \"from\": \"path\"}");
}

static void put_proof(struct entry *entry, const struct port_verdict *verdict)
{
    put_str(entry, ", \"proof\": ");
    put_string(entry, proof_text(verdict->proof));
    if (verdict->proof != PROOF_OTHER_PORT)
        return;
    put_str(entry, ", \"proof_port\": ");
    put_number(entry, verdict->proof_port, 1);
}

/* The members of one port. */
static void put_verdict(struct entry *entry, const struct port_verdict *verdict,
                        bool has_details, bool has_proof)
{
    const char *error = port_verdict_error(verdict);

    assert((error == NULL) == (verdict->state == PORT_STATE_OPEN));
    put_str(entry, error ? "\"accessible\": false, \"error\": "
                         : "\"accessible\": true, \"error\": ");
    put_string(entry, error);
    if (has_details) {
        put_str(entry, ", \"state\": \"");
        put_str(entry, port_state_text(verdict->state));
        put_str(entry, "\", \"rtt_ms\": ");
        put_rtt(entry, verdict);
        put_str(entry, ", \"icmp\": ");
        put_icmp(entry, &verdict->icmp);
    }
    if (has_proof)
        put_proof(entry, verdict);
}

/* ---- several places --------------------------------------------------------------- */

/* Their names need no escapes (place_name.h). */
static void put_view(struct text *text, const struct gather_view *view, bool has_proof)
{
    const struct port_verdict *verdict = &view->verdict;
    struct entry entry;
    entry.len = 0;

    text_printf(text, "\"%s\": {\"state\": ", view->place);
    if (view->reason) {
        text_printf(text, "\"missing\", \"reason\": \"%s%s\"}",
                    view->is_refusal ? "refused: " : "", view->reason);
        return;
    }
    put_string(&entry, port_state_text(verdict->state));
    put_str(&entry, ", \"rtt_ms\": ");
    put_rtt(&entry, verdict);
    if (has_proof)
        put_proof(&entry, verdict);
    if (verdict->state != PORT_STATE_OPEN) {
        put_str(&entry, ", \"error\": ");
        put_string(&entry, port_verdict_error(verdict));
    }
    put_str(&entry, "}");
    text_append(text, entry.data, entry.len);
}

static void put_places(struct text *text, const struct check_places *places, bool has_proof)
{
    text_append_str(text, ", \"vantages\": {");
    for (size_t i = 0; i < places->count; i++) {
        text_append_str(text, i > 0 ? ", " : "");
        put_view(text, &places->views[i], has_proof);
    }
    text_append_str(text, "}");
}

void check_summary_add(struct check_summary *summary, const struct port_verdict *verdict)
{
    assert(verdict->state < PORT_STATE_COUNT);
    summary->ports++;
    summary->states[verdict->state]++;
}

bool check_summary_is_limited(const struct check_summary *summary)
{
    return summary->limit.is_there && summary->states[PORT_STATE_LIMITED] > 0;
}

/* The members after the ports, with their closing brace. */
static void put_last_members(struct text *text, const struct check_summary *summary,
                             bool has_details, const char *receipt)
{
    const struct gather_summary *places = &summary->places;

    text_printf(text, "\"message\": \"Successfully verified %zu out of %zu ports\"",
                summary->states[PORT_STATE_OPEN], summary->ports);
    if (has_details && check_summary_is_limited(summary))
        text_printf(text, ", \"limit\": {\"answered\": %zu, \"rate\": %.1f}",
                    summary->limit.answered, summary->limit.rate);
    if (has_details && places->places > 0)
        text_printf(text, ", \"quorum\": {\"needed\": %zu, \"places\": %zu}",
                    places->needed, places->places);
    if (receipt)
        text_printf(text, ", \"receipt\": \"%s\"", receipt);
    text_append_str(text, "}");
}

void check_reply_begin(struct check_reply *reply, const struct check_summary *summary,
                       bool has_details, bool has_proof)
{
    *reply = (struct check_reply){
        .summary = summary, .has_details = has_details, .has_proof = has_proof};
    size_t places = summary->places.places > 0 ? CHECK_PLACES_SIZE : 0;
    text_init(&reply->text, FRAME_MAX + summary->ports * (ENTRY_MAX + places));
    text_append_str(&reply->text, summary->states[PORT_STATE_OPEN] > 0
                                      ? "{\"success\": true, \"results\": {"
                                      : "{\"success\": false, \"results\": {");
}

void check_reply_add(struct check_reply *reply, const struct port_verdict *verdict,
                     const struct check_places *places)
{
    struct entry entry;
    entry.len = 0; /* bytes are written before they are read */

    put_str(&entry, reply->count > 0 ? ", \"" : "\"");
    put_number(&entry, verdict->port, 1);
    put_str(&entry, "\": {");
    put_verdict(&entry, verdict, reply->has_details, reply->has_proof);
    text_append(&reply->text, entry.data, entry.len);
    if (places && places->count > 0 && reply->has_details)
        put_places(&reply->text, places, reply->has_proof);
    text_append(&reply->text, "}", 1);
    reply->count++;
}

char *check_reply_end(struct check_reply *reply, const char *receipt, size_t *ret_len)
{
    assert(reply->count == reply->summary->ports);
    text_append_str(&reply->text, "}, ");
    reply->text.max += receipt ? strlen(receipt) : 0;
    put_last_members(&reply->text, reply->summary, reply->has_details, receipt);
    return text_take(&reply->text, ret_len);
}

/* ---- lines of a stream ------------------------------------------------------------ */

size_t check_line_port(const struct port_verdict *verdict, bool has_details, bool has_proof,
                       char ret_line[CHECK_LINE_SIZE])
{
    struct entry entry;
    entry.len = 0;

    put_str(&entry, "{\"port\": ");
    put_number(&entry, verdict->port, 1);
    put_str(&entry, ", ");
    put_verdict(&entry, verdict, has_details, has_proof);
    put_str(&entry, "}\n");
    memcpy(ret_line, entry.data, entry.len);
    return entry.len;
}

size_t check_line_places(const struct check_places *places, bool has_proof,
                         char ret_line[CHECK_PLACES_SIZE])
{
    AUTO_TEXT text = text_up_to(CHECK_PLACES_SIZE - 1);
    put_places(&text, places, has_proof);
    text_append_str(&text, "}\n");
    memcpy(ret_line, text.data, text.len);
    return text.len;
}

size_t check_line_plain(const struct port_verdict *verdict, char ret_line[CHECK_LINE_SIZE])
{
    const char *error = port_verdict_error(verdict);
    int len =
        snprintf(ret_line, CHECK_LINE_SIZE, "%u %s%s%s\n", verdict->port,
                 port_state_text(verdict->state), error ? ": " : "", error ? error : "");
    return (size_t)len;
}

char *check_line_last(const struct check_summary *summary, bool has_details,
                      const char *receipt, size_t *ret_len)
{
    AUTO_TEXT text = text_up_to(FRAME_MAX + (receipt ? strlen(receipt) : 0));

    text_printf(&text, "{\"success\": %s, ",
                summary->states[PORT_STATE_OPEN] > 0 ? "true" : "false");
    put_last_members(&text, summary, has_details, receipt);
    text_append_str(&text, "\n");
    return text_take(&text, ret_len);
}
