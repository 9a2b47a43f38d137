/* SPDX-License-Identifier: MIT */
#include "verifier/upnp_reply.h"

#include "base/err.h"

#include <jansson.h>
#include <string.h>

/* --- members -------------------------------------------------------------------------- */

/* An object of which all members have to be asked for. */
struct object {
    const json_t *json;
    size_t known;
};

static const json_t *member(struct object *object, const char *name)
{
    const json_t *value = json_object_get(object->json, name);
    object->known += value != NULL;
    return value;
}

static bool number_read(const json_t *value, json_int_t max, json_int_t *ret)
{
    *ret = json_integer_value(value);
    return json_is_integer(value) && *ret >= 0 && *ret <= max;
}

/* These three: absent is false, and not an error. */

static bool flag_member(struct object *object, const char *name, bool *ret)
{
    const json_t *value = member(object, name);
    *ret = json_is_true(value);
    return !value || json_is_boolean(value);
}

static bool number_member(struct object *object, const char *name, json_int_t max,
                          bool *ret_is_there, json_int_t *ret)
{
    const json_t *value = member(object, name);
    *ret_is_there = value != NULL;
    *ret = 0;
    return !value || number_read(value, max, ret);
}

/* Only IPv4 has outer addresses and holders. */
static bool address_member(struct object *object, const char *name, bool *ret_is_there,
                           struct address *ret)
{
    const json_t *value = member(object, name);
    *ret_is_there = value != NULL;
    return !value ||
           (json_is_string(value) &&
            address_parse(json_string_value(value), json_string_length(value), ret, NULL) &&
            address_family_number(ret) == 4);
}

static bool has_no_others(const struct object *object)
{
    return object->known == json_object_size(object->json);
}

/* --- lines ---------------------------------------------------------------------------- */

static bool router_read(struct upnp_reply *reply, struct object *object)
{
    const json_t *router = member(object, "router");
    const json_t *connected = member(object, "connected");
    json_int_t ignored;
    if (!number_read(member(object, "ignored"), UINT16_MAX, &ignored) ||
        !address_member(object, "outer", &reply->has_outer, &reply->outer) ||
        !has_no_others(object))
        return false;

    reply->has_begun = true;
    reply->ignored = (size_t)ignored;
    reply->has_router = json_is_string(router);
    reply->is_connected = json_is_true(connected);
    if (!reply->has_router)
        return json_is_null(router) && !connected && !reply->has_outer;
    return json_is_boolean(connected) && (reply->is_connected || !reply->has_outer) &&
           (!reply->is_ipv6 || !reply->has_outer);
}

/* What a result may come with. */
static bool is_consistent(const struct upnp_reply *reply,
                          const struct upnp_port_reply *answer, bool has_lease)
{
    bool is_mapped = !reply->is_removal && answer->is_answered && answer->result == 0;
    if (answer->has_holder && (reply->is_ipv6 || !answer->is_answered ||
                               answer->result == 0 || reply->is_removal))
        return false;
    if (answer->was_gone && reply->is_removal)
        return false;
    return has_lease == is_mapped && answer->has_pinhole == (is_mapped && reply->is_ipv6) &&
           (!answer->is_foreign || (is_mapped && !reply->is_ipv6));
}

static bool port_read(struct upnp_reply *reply, struct object *object)
{
    struct upnp_port_reply answer = {.is_answered = false};
    const json_t *result = member(object, "result");
    json_int_t port, code = 0, lease, pinhole;
    bool has_lease;
    answer.is_answered = !json_is_null(result);
    if (reply->answer_count == reply->port_count ||
        !number_read(member(object, "port"), UINT16_MAX, &port) ||
        port != reply->ports[reply->answer_count] ||
        (answer.is_answered && !number_read(result, UINT16_MAX, &code)) ||
        !number_member(object, "lease", UINT32_MAX, &has_lease, &lease) ||
        !number_member(object, "pinhole", UINT16_MAX, &answer.has_pinhole, &pinhole) ||
        !flag_member(object, "was_gone", &answer.was_gone) ||
        !flag_member(object, "is_foreign", &answer.is_foreign) ||
        !address_member(object, "holder", &answer.has_holder, &answer.holder) ||
        !has_no_others(object))
        return false;

    answer.result = (uint16_t)code;
    answer.lease = (uint32_t)lease;
    answer.pinhole = (uint16_t)pinhole;
    if (!is_consistent(reply, &answer, has_lease))
        return false;
    reply->answers[reply->answer_count++] = answer;
    return true;
}

/* Whether the router is asked about ports: without a connection, only to remove them. */
static bool is_asked(const struct upnp_reply *reply)
{
    return reply->has_router && (reply->is_connected || reply->is_removal);
}

static bool end_read(struct upnp_reply *reply, struct object *object)
{
    const struct {
        const char *word;
        enum upnp_end end;
        bool is_possible;
    } rows[] = {
        {"done", UPNP_END_DONE,
         is_asked(reply) && reply->answer_count == reply->port_count},
        {"no_router", UPNP_END_NO_ROUTER, !reply->has_router},
        {"not_connected", UPNP_END_NOT_CONNECTED, reply->has_router && !is_asked(reply)},
    };
    const char *word = json_string_value(member(object, "end"));
    for (size_t i = 0; word && i < sizeof rows / sizeof *rows; i++)
        if (strcmp(word, rows[i].word) == 0 && rows[i].is_possible)
            reply->end = rows[i].end;
    return reply->end != UPNP_END_NONE && has_no_others(object);
}

static bool object_read(struct upnp_reply *reply, const json_t *json)
{
    struct object object = {.json = json};
    if (!json_is_object(json) || reply->end != UPNP_END_NONE)
        return false;
    if (!reply->has_begun)
        return router_read(reply, &object);
    if (json_object_get(json, "end"))
        return end_read(reply, &object);
    return is_asked(reply) && port_read(reply, &object);
}

static bool line_read(struct upnp_reply *reply, struct err *err)
{
    json_t *json = json_loadb(reply->line, reply->line_len, JSON_REJECT_DUPLICATES, NULL);
    bool is_valid = json && object_read(reply, json);
    json_decref(json);
    reply->line_len = 0;
    return is_valid || err_set(err, ERR_INVALID, "port-verifier-upnp: an invalid line");
}

/* --- all of it ------------------------------------------------------------------------ */

void upnp_reply_init(struct upnp_reply *reply, const uint16_t *ports, size_t port_count,
                     struct upnp_port_reply *answers)
{
    *reply = (struct upnp_reply){
        .ports = ports,
        .port_count = port_count,
        .answers = answers,
    };
}

bool upnp_reply_add(struct upnp_reply *reply, const char *bytes, size_t len,
                    struct err *err)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == '\n') {
            if (!line_read(reply, err))
                return false;
        } else if (reply->line_len == UPNP_LINE_MAX) {
            return err_set(err, ERR_INVALID, "port-verifier-upnp: a line is too long");
        } else {
            reply->line[reply->line_len++] = bytes[i];
        }
    }
    return reply->end == UPNP_END_NONE || reply->line_len == 0 ||
           err_set(err, ERR_INVALID, "port-verifier-upnp: text after the end");
}
