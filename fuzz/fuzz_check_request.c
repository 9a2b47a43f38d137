/* SPDX-License-Identifier: MIT
 *
 * Bodies of POST /check-ports. The first byte chooses the ceiling on ports and whether the
 * content type is read from the input too (up to the first newline).
 */
#include "api/check_request.h"
#include "api/problem.h"
#include "net/port_set.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BODY_MAX (64 * 1024)

static void check_accepted(const struct port_set *ports,
                           const struct check_request *request)
{
    static uint8_t seen[65536];

    assert(ports->count <= ports->max);
    assert(address_family_number(&request->target) == 4 ||
           address_family_number(&request->target) == 6);
    assert(address_port(&request->target) == 0);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct violation_list violations;
    struct check_request request;
    struct port_set ports;
    char content_type[128];
    bool has_type = false;

    if (size < 1 || size > BODY_MAX)
        return 0;
    bool is_large = (data[0] & 1) != 0, is_typed = (data[0] & 2) != 0;
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
    if (check_request_parse((const char *)data, size, has_type ? content_type : NULL,
                            &ports, &request, &violations))
        check_accepted(&ports, &request);
    else
        check_refused(&ports, &violations);
    port_set_done(&ports);
    return 0;
}
