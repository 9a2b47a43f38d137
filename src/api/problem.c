/* SPDX-License-Identifier: MIT */
#include "api/problem.h"

#include <assert.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *type, *message;
} violation_types[VIOLATION_TYPE_COUNT] = {
#define X(NAME, type, message) {type, message},
    VIOLATION_MAP(X)
#undef X
};

static const struct {
    unsigned status;
    const char *code;
    const char *detail;
    const char *body;
} problems[PROBLEM_COUNT] = {
#define CODED(NAME, status, code, detail)                                                  \
    {status, code, detail, "{\"detail\": \"" detail "\", \"code\": \"" code "\"}"},
#define PLAIN(NAME, status, detail) {status, NULL, detail, "{\"detail\": \"" detail "\"}"},
    PROBLEM_MAP(CODED, PLAIN)
#undef CODED
#undef PLAIN
};

unsigned problem_status(enum problem problem)
{
    assert(problem < PROBLEM_COUNT);
    return problems[problem].status;
}

const char *problem_code(enum problem problem)
{
    assert(problem < PROBLEM_COUNT);
    return problems[problem].code;
}

const char *problem_sentence(enum problem problem)
{
    assert(problem < PROBLEM_COUNT);
    return problems[problem].detail;
}

const char *problem_text(enum problem problem)
{
    assert(problem < PROBLEM_COUNT);
    return problems[problem].body;
}

/* Takes the reference to `root`, which may be NULL. */
static char *dump(json_t *root, size_t *ret_len)
{
    if (!root)
        return NULL;

    char *body = json_dumps(root, 0);
    json_decref(root);
    if (body)
        *ret_len = strlen(body);
    return body;
}

char *problem_body(enum problem problem, const char *detail, size_t *ret_len)
{
    const char *code = problem_code(problem);

    return dump(json_pack("{s:s, s:s*}", "detail", detail, "code", code), ret_len);
}

const char *problem_of_http_error(enum http_error error)
{
    /* They have the same names, so that an error without a problem does not compile. */
    static const enum problem of_error[] = {
#define X(NAME, ...) [HTTP_ERROR_##NAME] = PROBLEM_##NAME,
        HTTP_ERROR_MAP(X)
#undef X
    };

    assert(error != HTTP_ERROR_NONE && error < sizeof of_error / sizeof of_error[0]);
    return problem_text(of_error[error]);
}

bool violation_list_is_full(const struct violation_list *list)
{
    return list->count == VIOLATIONS_MAX;
}

void violation_add(struct violation_list *list, enum violation_type type,
                   struct violation_place place)
{
    violation_add_message(list, type, place, "%s", violation_types[type].message);
}

void violation_add_message(struct violation_list *list, enum violation_type type,
                           struct violation_place place, const char *format, ...)
{
    if (violation_list_is_full(list))
        return;

    struct violation *violation = &list->items[list->count++];
    violation->type = type;
    violation->place = place;

    va_list args;
    va_start(args, format);
    vsnprintf(violation->message, sizeof violation->message, format, args);
    va_end(args);
}

static const char *type_text(enum violation_type type)
{
    assert(type < VIOLATION_TYPE_COUNT);
    return violation_types[type].type;
}

static json_t *place_json(const struct violation_place *place)
{
    const char *part = place->is_query ? "query" : "body";
    if (place->field && place->has_index)
        return json_pack("[ssI]", part, place->field, (json_int_t)place->index);
    if (place->field)
        return json_pack("[ss]", part, place->field);
    if (place->has_index)
        return json_pack("[sI]", part, (json_int_t)place->index);
    return json_pack("[s]", part);
}

/* jansson's own messages quote what was read so far, and may end inside a character. */
static json_t *message_json(const char *message)
{
    json_t *json = json_string(message);
    if (json)
        return json;

    char plain[VIOLATION_MESSAGE_SIZE];
    size_t len = strlen(message);
    for (size_t i = 0; i <= len; i++)
        plain[i] = (unsigned char)message[i] < 0x80 ? message[i] : '?';
    return json_string(plain);
}

static json_t *violation_json(const struct violation *violation)
{
    return json_pack("{s:o, s:o, s:s}", "loc", place_json(&violation->place), "msg",
                     message_json(violation->message), "type", type_text(violation->type));
}

char *violation_list_body(const struct violation_list *list, size_t *ret_len)
{
    json_t *items = json_array();
    bool ok = items != NULL;
    for (size_t i = 0; ok && i < list->count; i++)
        ok = json_array_append_new(items, violation_json(&list->items[i])) == 0;
    if (!ok) {
        json_decref(items);
        return NULL;
    }
    return dump(json_pack("{s:o}", "detail", items), ret_len);
}
