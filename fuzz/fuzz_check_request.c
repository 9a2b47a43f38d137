/* SPDX-License-Identifier: MIT
 *
 * Bodies of POST /check-ports, and queries of GET. The first byte chooses which, the
 * ceiling on ports, and whether the content type is read from the input too (up to the
 * first newline).
 */
#include "api/check_request.h"
#include "api/problem.h"
#include "http/query.h"
#include "net/port_set.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BODY_MAX (64 * 1024)

static void check_target(const struct address *target)
{
    assert(address_family_number(target) == 4 || address_family_number(target) == 6);
    assert(address_port(target) == 0);
}

static void check_accepted(const struct port_set *ports)
{
    static uint8_t seen[65536];

    assert(ports->count <= ports->max);
    for (size_t i = 0; i < ports->count; i++) {
        assert(ports->ports[i] != 0 && !seen[ports->ports[i]]);
        seen[ports->ports[i]] = 1;
    }
    for (size_t i = 0; i < ports->count; i++)
        seen[ports->ports[i]] = 0;
}

static void check_refused(const struct port_set *ports,
                          const struct violation_list *violations)
{
    size_t len = 0;

    assert(ports->count == 0);
    assert(violations->count >= 1 && violations->count <= VIOLATIONS_MAX);
    char *body = violation_list_body(violations, &len);
    assert(body && len > 0 && strlen(body) == len);
    free(body);
}

/* Whether it is a list of ports; checks the form of the result in either case. */
static bool read_query(const char *query, struct port_set *ports)
{
    static struct violation_list violations;
    bool is_sound = check_query_parse(query, ports, &violations);
    if (is_sound)
        check_accepted(ports);
    else
        check_refused(ports, &violations);
    return is_sound;
}

/* A value and its fully percent-encoded form mean the same. */
static void read_encoded(const uint8_t *data, size_t size, struct port_set *ports)
{
    static char plain[sizeof "ports=" + QUERY_VALUE_MAX];
    static char encoded[sizeof "ports=" + 3 * (size_t)QUERY_VALUE_MAX];
    static uint16_t wanted[65536];
    size_t len = size < QUERY_VALUE_MAX / 3 ? size : QUERY_VALUE_MAX / 3;

    strcpy(encoded, "ports=");
    memcpy(plain, encoded, strlen("ports="));
    memcpy(plain + strlen("ports="), data, len);
    plain[strlen("ports=") + len] = '\0';
    for (size_t i = 0; i < len; i++)
        sprintf(encoded + strlen("ports=") + 3 * i, "%%%02x", data[i]);
    bool is_sound = read_query(plain, ports);
    if (strcspn(plain, "%&") < strlen("ports=") + len)
        return;

    size_t count = ports->count;
    memcpy(wanted, ports->ports, count * sizeof *wanted);
    assert(read_query(encoded, ports) == is_sound && ports->count == count);
    assert(memcmp(wanted, ports->ports, count * sizeof *wanted) == 0);
}

/* A query contains no NUL: ignore what follows one. */
static void read_queries(const uint8_t *data, size_t size, struct port_set *ports)
{
    char *query = malloc(size + 1);
    assert(query);
    memcpy(query, data, size);
    query[size] = '\0';
    read_query(query, ports);
    read_encoded(data, strlen(query), ports);
    free(query);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct violation_list violations;
    struct check_request request;
    struct port_set ports;
    char content_type[128];
    bool has_type = false;

    if (size < 1 || size > BODY_MAX)
        return 0;
    bool is_large = (data[0] & 1) != 0, is_typed = (data[0] & 2) != 0,
         is_query = (data[0] & 4) != 0;
    data++, size--;

    const uint8_t *line_end = is_typed && size > 0 ? memchr(data, '\n', size) : NULL;
    if (line_end && (size_t)(line_end - data) < sizeof content_type) {
        size_t len = (size_t)(line_end - data);
        memcpy(content_type, data, len);
        content_type[len] = '\0';
        has_type = true;
        data += len + 1;
        size -= len + 1;
    }

    if (!port_set_init(&ports, is_large ? 1024 : 3, NULL))
        return 0;
    if (is_query) {
        read_queries(data, size, &ports);
        port_set_done(&ports);
        return 0;
    }
    if (check_request_parse((const char *)data, size, has_type ? content_type : NULL,
                            &ports, &request, &violations)) {
        check_target(&request.target);
        check_accepted(&ports);
    } else {
        check_refused(&ports, &violations);
    }
    port_set_done(&ports);
    return 0;
}
