/* SPDX-License-Identifier: MIT */
#include "upnp/request.h"

#include "base/err.h"

#include <jansson.h>
#include <string.h>

#define LEASE_MAX 604800

static bool number_read(const json_t *json, json_int_t min, json_int_t max, json_int_t *ret)
{
    *ret = json_integer_value(json);
    return json_is_integer(json) && *ret >= min && *ret <= max;
}

static bool port_read(const json_t *json, struct request_port *ret)
{
    json_int_t numbers[3] = {0};
    size_t count = json_array_size(json);
    if (!json_is_array(json) || count < 2 || count > 3)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!number_read(json_array_get(json, i), i < 2, UINT16_MAX, &numbers[i]))
            return false;
    *ret = (struct request_port){
        .outer = (uint16_t)numbers[0],
        .inner = (uint16_t)numbers[1],
        .has_pinhole = count == 3,
        .pinhole = (uint16_t)numbers[2],
    };
    return true;
}

static bool ports_read(const json_t *json, struct request *ret)
{
    size_t count = json_array_size(json);
    if (!json_is_array(json) || count == 0 || count > REQUEST_PORTS_MAX)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!port_read(json_array_get(json, i), &ret->ports[i]))
            return false;
    ret->port_count = count;
    return true;
}

static bool address_read(const json_t *json, int family, struct address *ret)
{
    return json_is_string(json) &&
           address_parse(json_string_value(json), json_string_length(json), ret, NULL) &&
           address_family_number(ret) == family;
}

static bool object_read(const json_t *json, struct request *ret)
{
    const json_t *gateway = json_object_get(json, "gateway");
    const json_t *waits = json_object_get(json, "waits");
    const char *what = json_string_value(json_object_get(json, "do"));
    json_int_t family, lease, deadline;
    if (!what || (strcmp(what, "map") != 0 && strcmp(what, "remove") != 0) ||
        !number_read(json_object_get(json, "family"), 4, 6, &family) || family == 5 ||
        !number_read(json_object_get(json, "lease"), 1, LEASE_MAX, &lease) ||
        !number_read(json_object_get(json, "deadline_ms"), 1, REQUEST_DEADLINE_MS,
                     &deadline) ||
        !json_is_boolean(json_object_get(json, "is_renewal")) ||
        (waits && !json_is_boolean(waits)))
        return false;

    ret->is_removal = strcmp(what, "remove") == 0;
    ret->waits = json_is_true(waits);
    ret->is_renewal = json_is_true(json_object_get(json, "is_renewal"));
    ret->family = (int)family;
    ret->lease = (uint32_t)lease;
    ret->deadline_ms = (int)deadline;
    ret->has_gateway = !json_is_null(gateway);
    const json_t *client = json_object_get(json, ret->is_removal ? "client" : "local");
    if (!client)
        client = json_object_get(json, "local");
    return address_read(json_object_get(json, "local"), ret->family, &ret->local) &&
           address_read(client, ret->family, &ret->client) &&
           (!ret->has_gateway || address_read(gateway, ret->family, &ret->gateway)) &&
           ports_read(json_object_get(json, "ports"), ret);
}

bool request_parse(const char *line, size_t len, struct request *ret, struct err *err)
{
    json_error_t error;
    json_t *json = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
    if (!json)
        return err_set(err, ERR_INVALID, "the request is not JSON: %.100s", error.text);
    bool is_valid = object_read(json, ret);
    json_decref(json);
    return is_valid ||
           err_set(err, ERR_INVALID,
                   "the request is invalid: see EXAMPLES in port-verifier-upnp(1)");
}
