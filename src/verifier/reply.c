/* SPDX-License-Identifier: MIT */
#include "verifier/reply.h"

#include "base/err.h"
#include "base/text.h"
#include "receipt/receipt_read.h"
#include "verifier/ports.h"
#include "verifier/reply_places.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define PORT_DIGITS_MAX 5
#define PORT_MAX        65535

static json_t *json_release(json_t *json)
{
    json_decref(json);
    return NULL;
}

static json_t *object_load(const char *body, size_t len, struct err *err)
{
    json_error_t error;
    json_t *json = json_loadb(body, len, 0, &error);
    if (!json) {
        char said[REPLY_SENTENCE_SIZE];
        reply_copy_printable(error.text, said, sizeof said);
        err_set(err, ERR_INVALID, "not JSON: %s", said);
        return NULL;
    }
    if (!json_is_object(json)) {
        err_set(err, ERR_INVALID, "the JSON is not an object");
        return json_release(json);
    }
    return json;
}

/* --- one port ------------------------------------------------------------------------- */

/* Texts of strerror(3), and what Python's sockets call a time-out. */
static enum port_state state_of_words(const char *words)
{
    static const struct {
        const char *part;
        enum port_state state;
    } rows[] = {
        {"refused", PORT_STATE_CLOSED},
        {"timed out", PORT_STATE_FILTERED},
        {"timeout", PORT_STATE_FILTERED},
        {"temporarily unavailable", PORT_STATE_FILTERED},
        {"in progress", PORT_STATE_FILTERED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcasestr(words, rows[i].part))
            return rows[i].state;
    return PORT_STATE_UNREACHABLE;
}

/* Both of these set `is_unknown` for a word that they do not know, and return false if what
 * is said makes no sense. */

static bool state_read(const json_t *entry, bool is_accessible,
                       struct remote_verdict *verdict)
{
    const json_t *said = json_object_get(entry, "state");
    verdict->state = is_accessible ? PORT_STATE_OPEN : state_of_words(verdict->words);
    if (!said)
        return true;
    if (!json_is_string(said))
        return false;
    if (reply_state_of(json_string_value(said), &verdict->state))
        return (verdict->state == PORT_STATE_OPEN) == is_accessible;
    verdict->is_unknown = true;
    return true;
}

static bool proof_read(const json_t *entry, struct remote_verdict *verdict)
{
    const json_t *said = json_object_get(entry, "proof");
    if (!said || json_is_null(said))
        return true;
    if (!json_is_string(said) ||
        (verdict->state != PORT_STATE_OPEN && !verdict->is_unknown))
        return false;

    verdict->proof = reply_proof_of(json_string_value(said));
    if (verdict->proof == PROOF_NONE)
        verdict->is_unknown = true;
    if (verdict->proof != PROOF_OTHER_PORT)
        return true;

    json_int_t port = json_integer_value(json_object_get(entry, "proof_port"));
    verdict->proof_port = (uint16_t)port;
    return port >= 1 && port <= PORT_MAX;
}

static void icmp_read(const json_t *entry, struct remote_verdict *verdict)
{
    const json_t *icmp = json_object_get(entry, "icmp");
    const char *meaning = json_string_value(json_object_get(icmp, "meaning"));
    const char *from = json_string_value(json_object_get(icmp, "from"));
    reply_copy_printable(meaning ? meaning : "", verdict->icmp, sizeof verdict->icmp);
    verdict->is_icmp_from_target = meaning && from && strcmp(from, "target") == 0;
}

static bool entry_read(const json_t *entry, struct remote_verdict *ret)
{
    const json_t *accessible = json_object_get(entry, "accessible");
    const json_t *error = json_object_get(entry, "error");
    const json_t *rtt = json_object_get(entry, "rtt_ms");
    bool is_accessible = json_is_true(accessible);
    if (!json_is_boolean(accessible) ||
        (error && !json_is_string(error) && !json_is_null(error)))
        return false;

    struct remote_verdict verdict = {.proof = PROOF_NONE};
    if (!is_accessible)
        reply_copy_printable(json_is_string(error) ? json_string_value(error) : "",
                             verdict.words, sizeof verdict.words);
    if (json_is_number(rtt)) {
        verdict.rtt_ms = json_number_value(rtt);
        verdict.has_rtt = verdict.rtt_ms >= 0;
    }
    icmp_read(entry, &verdict);
    if (!state_read(entry, is_accessible, &verdict) || !proof_read(entry, &verdict))
        return false;

    if (verdict.is_unknown)
        verdict = (struct remote_verdict){.is_unknown = true};
    *ret = verdict;
    return true;
}

/* --- all of them ---------------------------------------------------------------------- */

/* The verdicts that have been read, and which ports have one. */
struct collection {
    const uint16_t *ports;
    size_t port_count;
    struct remote_verdict *verdicts; /* owned */
    bool *is_there;                  /* owned */
    size_t count;
    struct reply_extras extras; /* its table is owned */
};

static bool collection_init(struct collection *collection, const uint16_t *ports,
                            size_t port_count, struct err *err)
{
    *collection = (struct collection){.ports = ports, .port_count = port_count};
    collection->verdicts = calloc(port_count + 1, sizeof *collection->verdicts);
    collection->is_there = calloc(port_count + 1, sizeof *collection->is_there);
    return (collection->verdicts && collection->is_there) || err_sys(err, ENOMEM, "reply");
}

static void collection_done(struct collection *collection)
{
    free(collection->verdicts);
    free(collection->is_there);
    place_table_free(collection->extras.places);
}

/* Skips ports that were not requested. */
static bool collection_add(struct collection *collection, uint16_t port,
                           const json_t *entry, struct err *err)
{
    size_t index;
    if (!ports_find(collection->ports, collection->port_count, port, &index))
        return true;
    struct place_table **places = &collection->extras.places;
    struct remote_verdict *verdict = &collection->verdicts[index];
    if (!json_is_object(entry) || !entry_read(entry, verdict) ||
        !reply_places_read(entry, index, collection->port_count, places))
        return err_set(err, ERR_INVALID, "the verdict for port %u cannot be read", port);

    verdict->is_undecided = !verdict->is_unknown && verdict->state == PORT_STATE_LIMITED &&
                            reply_places_want(*places, index);
    collection->count += !collection->is_there[index];
    collection->is_there[index] = true;
    return true;
}

static bool collection_take(struct collection *collection, struct remote_verdict *ret,
                            struct err *err)
{
    if (collection->count < collection->port_count) {
        size_t missing = 0;
        while (collection->is_there[missing])
            missing++;
        size_t count = collection->port_count - collection->count;
        if (count == 1)
            return err_set(err, ERR_INVALID, "no verdict for port %u",
                           collection->ports[missing]);
        return err_set(err, ERR_INVALID, "no verdict for %zu ports, including %u", count,
                       collection->ports[missing]);
    }
    memcpy(ret, collection->verdicts, collection->port_count * sizeof *ret);
    return true;
}

static void limit_read(const json_t *reply, struct remote_limit *ret)
{
    const json_t *limit = json_object_get(reply, "limit");
    json_int_t answered = json_integer_value(json_object_get(limit, "answered"));
    double rate = json_number_value(json_object_get(limit, "rate"));
    *ret = (struct remote_limit){
        .is_there = json_is_object(limit),
        .answered = answered > 0 && answered <= PORT_MAX ? (size_t)answered : 0,
        .rate = rate > 0 ? rate : 0,
    };
}

static void quorum_read(const json_t *reply, struct remote_quorum *ret)
{
    const json_t *quorum = json_object_get(reply, "quorum");
    json_int_t needed = json_integer_value(json_object_get(quorum, "needed"));
    json_int_t places = json_integer_value(json_object_get(quorum, "places"));
    bool is_there = needed >= 1 && needed <= places && places <= PLACES_OF_A_PORT_MAX;
    *ret = (struct remote_quorum){
        .needed = is_there ? (size_t)needed : 0,
        .places = is_there ? (size_t)places : 0,
    };
}

/* Of the whole reply, or of the last line of a stream. */
static void extras_read(const json_t *reply, struct reply_extras *extras)
{
    limit_read(reply, &extras->limit);
    quorum_read(reply, &extras->quorum);
}

static bool whole_read(struct collection *collection, const char *body, size_t len,
                       struct err *err)
{
    json_t *reply = object_load(body, len, err);
    if (!reply)
        return false;

    json_t *results = json_object_get(reply, "results");
    bool is_fine = json_is_object(results);
    extras_read(reply, &collection->extras);
    if (!is_fine)
        err_set(err, ERR_INVALID, "the JSON has no \"results\"");

    const char *name;
    json_t *entry;
    json_object_foreach(results, name, entry)
    {
        uint64_t port;
        size_t name_len = strlen(name);
        if (is_fine && name_len <= PORT_DIGITS_MAX &&
            text_parse_u64(name, name_len, PORT_MAX, &port))
            is_fine = collection_add(collection, (uint16_t)port, entry, err);
    }
    json_decref(reply);
    return is_fine;
}

/* A line is a verdict, or the last line, which has `success`, or an error, which has
 * `detail`. */
static bool line_read(struct collection *collection, const json_t *line, bool *ret_is_last,
                      struct err *err)
{
    json_int_t port = json_integer_value(json_object_get(line, "port"));
    if (port >= 1 && port <= PORT_MAX)
        return collection_add(collection, (uint16_t)port, line, err);
    if (json_is_boolean(json_object_get(line, "success"))) {
        *ret_is_last = true;
        extras_read(line, &collection->extras);
        return true;
    }
    const char *detail = json_string_value(json_object_get(line, "detail"));
    char said[REPLY_SENTENCE_SIZE] = "";
    if (detail)
        reply_copy_printable(detail, said, sizeof said);
    return said[0] ? err_set(err, ERR_LIMIT, "%s", said)
                   : err_set(err, ERR_INVALID, "a line is not a verdict");
}

static bool stream_read(struct collection *collection, const char *body, size_t len,
                        struct err *err)
{
    bool is_last = false;
    for (size_t at = 0; at < len && !is_last;) {
        const char *end = memchr(body + at, '\n', len - at);
        size_t line_len = end ? (size_t)(end - (body + at)) : len - at;
        if (line_len > 0) {
            json_t *line = object_load(body + at, line_len, err);
            bool is_fine = line && line_read(collection, line, &is_last, err);
            json_decref(line);
            if (!is_fine)
                return false;
        }
        at += line_len + 1;
    }
    return is_last || err_set(err, ERR_INVALID, "the stream ended early");
}

bool reply_parse(const char *body, size_t len, bool is_stream, const uint16_t *ports,
                 size_t port_count, struct remote_verdict *ret,
                 struct reply_extras *ret_extras, struct err *err)
{
    struct collection collection;
    bool is_fine = collection_init(&collection, ports, port_count, err) &&
                   (is_stream ? stream_read(&collection, body, len, err)
                              : whole_read(&collection, body, len, err)) &&
                   collection_take(&collection, ret, err);
    if (is_fine) {
        *ret_extras = collection.extras;
        collection.extras.places = NULL;
    }
    collection_done(&collection);
    return is_fine;
}

/* --- the others ----------------------------------------------------------------------- */

bool reply_parse_ip(const char *body, size_t len, struct address *ret, struct err *err)
{
    json_t *reply = object_load(body, len, err);
    if (!reply)
        return false;

    const char *ip = json_string_value(json_object_get(reply, "ip"));
    struct address address;
    bool is_fine = ip && address_parse(ip, strlen(ip), &address, NULL);
    if (is_fine)
        *ret = address_unmap(&address);
    else
        err_set(err, ERR_INVALID, "it contains no address");
    json_decref(reply);
    return is_fine;
}

size_t reply_parse_max_ports(const char *body, size_t len)
{
    json_t *reply = object_load(body, len, NULL);
    json_int_t most = json_integer_value(json_object_get(reply, "max_ports"));
    json_decref(reply);
    return most > 0 && most <= PORT_MAX ? (size_t)most : 0;
}

/* Where the last line with anything in it begins, and its length. */
static const char *last_line(const char *body, size_t *len)
{
    size_t end = *len;
    while (end > 0 && body[end - 1] == '\n')
        end--;
    size_t start = end;
    while (start > 0 && body[start - 1] != '\n')
        start--;
    *len = end - start;
    return body + start;
}

char *reply_read_receipt(const char *body, size_t len, bool is_stream)
{
    if (is_stream)
        body = last_line(body, &len);
    json_t *reply = object_load(body, len, NULL);
    const json_t *said = json_object_get(reply, "receipt");
    const char *text = json_string_value(said);
    size_t said_len = json_string_length(said);
    char *receipt = NULL;
    if (text && said_len > 0 && said_len <= RECEIPT_TEXT_MAX &&
        strspn(text, RECEIPT_CHARACTERS) == said_len)
        receipt = strdup(text);
    json_decref(reply);
    return receipt;
}

bool reply_refuses_receipt(const char *body, size_t len,
                           char ret_sentence[REPLY_SENTENCE_SIZE])
{
    json_t *reply = object_load(body, len, NULL);
    const json_t *detail = json_object_get(reply, "detail");
    const char *code = json_string_value(json_object_get(reply, "code"));
    const char *why = NULL;
    if (code && strcmp(code, "receipt_not_allowed") == 0)
        why = json_string_value(detail);
    for (size_t i = 0; i < json_array_size(detail) && !why; i++) {
        const json_t *fault = json_array_get(detail, i);
        const char *field =
            json_string_value(json_array_get(json_object_get(fault, "loc"), 1));
        if (field && (strcmp(field, "receipt") == 0 || strcmp(field, "for") == 0))
            why = json_string_value(json_object_get(fault, "msg"));
    }
    if (why)
        reply_copy_printable(why, ret_sentence, REPLY_SENTENCE_SIZE);
    json_decref(reply);
    return why != NULL;
}

const char *reply_read_detail(const char *body, size_t len,
                              char ret_sentence[REPLY_SENTENCE_SIZE])
{
    ret_sentence[0] = '\0';
    json_t *reply = object_load(body, len, NULL);
    const json_t *detail = json_object_get(reply, "detail");
    if (json_is_array(detail))
        detail = json_object_get(json_array_get(detail, 0), "msg");
    if (json_is_string(detail))
        reply_copy_printable(json_string_value(detail), ret_sentence, REPLY_SENTENCE_SIZE);
    json_decref(reply);
    return ret_sentence;
}
