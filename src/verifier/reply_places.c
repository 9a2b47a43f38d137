/* SPDX-License-Identifier: MIT */
#include "verifier/reply_places.h"

#include "verifier/reply_words.h"

#include <jansson.h>
#include <string.h>

#define PORT_MAX 65535

static bool is_name(const char *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    size_t len = strspn(text, allowed);
    return len > 0 && len < PLACE_LABEL_SIZE && text[len] == '\0';
}

static bool is_text_or_null(const json_t *json)
{
    return !json || json_is_null(json) || json_is_string(json);
}

/* Text of the network, or "". */
static void words_read(const json_t *text, char ret_words[PLACE_WORDS_SIZE])
{
    reply_copy_printable(json_is_string(text) ? json_string_value(text) : "", ret_words,
                         PLACE_WORDS_SIZE);
}

static bool proof_read(const json_t *place, struct place_view *view)
{
    const json_t *proof = json_object_get(place, "proof");
    if (!is_text_or_null(proof))
        return false;
    if (!json_is_string(proof))
        return true;
    if (view->state != PORT_STATE_OPEN)
        return false;

    view->proof = reply_proof_of(json_string_value(proof));
    if (view->proof == PROOF_NONE)
        view->kind = PLACE_UNKNOWN;
    json_int_t port = json_integer_value(json_object_get(place, "proof_port"));
    if (view->proof == PROOF_OTHER_PORT && port >= 1 && port <= PORT_MAX)
        view->proof_port = (uint16_t)port;
    return true;
}

static bool judged_read(const json_t *place, struct place_view *view)
{
    const json_t *error = json_object_get(place, "error");
    const json_t *rtt = json_object_get(place, "rtt_ms");
    bool is_open = view->state == PORT_STATE_OPEN;
    if (!is_text_or_null(error) || (is_open && json_is_string(error)))
        return false;
    if (json_is_number(rtt)) {
        view->rtt_ms = json_number_value(rtt);
        view->has_rtt = view->rtt_ms >= 0;
    }
    return proof_read(place, view);
}

/* The words of the view are those of `words`. */
static bool place_read(const json_t *place, char words[PLACE_WORDS_SIZE],
                       struct place_view *ret)
{
    const char *state = json_string_value(json_object_get(place, "state"));
    const json_t *reason = json_object_get(place, "reason");
    struct place_view view = {.kind = PLACE_UNKNOWN, .words = words};
    bool is_fine = state != NULL;
    if (is_fine && strcmp(state, "missing") == 0) {
        view.kind = PLACE_MISSING;
        is_fine = is_text_or_null(reason);
    } else if (is_fine && reply_state_of(state, &view.state)) {
        view.kind = PLACE_JUDGED;
        is_fine = judged_read(place, &view);
    }
    if (!is_fine)
        return false;

    words_read(view.kind == PLACE_JUDGED    ? json_object_get(place, "error")
               : view.kind == PLACE_MISSING ? reason
                                            : json_object_get(place, "state"),
               words);
    if (view.kind == PLACE_UNKNOWN)
        view = (struct place_view){.kind = PLACE_UNKNOWN, .words = words};
    *ret = view;
    return true;
}

bool reply_places_read(const json_t *entry, size_t port, size_t port_count,
                       struct place_table **table)
{
    json_t *places = json_object_get(entry, "vantages");
    const char *name;
    json_t *place;
    bool is_fine = true, has_room = true;
    if (*table)
        place_table_clear(*table, port);
    if (!places || json_is_null(places))
        return true;
    if (!json_is_object(places) || (!*table && !place_table_new(port_count, table, NULL)))
        return false;

    json_object_foreach(places, name, place)
    {
        char words[PLACE_WORDS_SIZE];
        struct place_view view;
        is_fine = is_fine && is_name(name) && place_read(place, words, &view);
        has_room = has_room && is_fine && place_table_add(*table, port, name, &view);
    }
    if (!is_fine)
        place_table_clear(*table, port);
    return is_fine;
}

bool reply_places_want(const struct place_table *table, size_t port)
{
    size_t missing = 0;
    for (size_t i = 0; i < place_table_count(table); i++) {
        struct place_view view = place_table_get(table, port, i);
        if (view.kind == PLACE_JUDGED && view.state == PORT_STATE_LIMITED)
            return false;
        missing += view.kind == PLACE_MISSING;
    }
    return missing > 0;
}
