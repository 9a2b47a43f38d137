/* SPDX-License-Identifier: MIT
 *
 * Forms of POST /: from the form to JSON, and from that to a request. The JSON is valid for
 * every input: its violations are those of the words in it. The first byte chooses whether
 * the rest is an Accept header instead.
 */
#include "api/check_form.h"
#include "api/check_request.h"
#include "api/negotiate.h"
#include "api/problem.h"
#include "net/port_set.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BODY_MAX (64 * 1024)

static void read_header(const char *bytes, size_t len)
{
    char *header = malloc(len + 1);
    assert(header);
    memcpy(header, bytes, len);
    header[len] = '\0';
    assert(negotiate_quality(header, "gzip") <= 1000);
    free(header);
}

static void assert_plain(const char *text)
{
    for (; *text; text++)
        assert(*text >= 0x20 && *text < 0x7f);
}

static void read_form(const char *body, size_t len, struct port_set *ports)
{
    static struct violation_list violations;
    struct check_request request;
    struct check_form form;
    size_t json_len = 0;

    assert(check_form_parse(body, len, &form));
    assert_plain(form.address);
    assert_plain(form.ports);
    char *json = check_form_json(&form, "192.0.2.7", &json_len);
    assert(json && strlen(json) == json_len);
    if (!check_request_parse(json, json_len, NULL, ports, &request, &violations)) {
        for (size_t i = 0; i < violations.count; i++)
            assert(violations.items[i].type != VIOLATION_JSON &&
                   violations.items[i].place.field);
    }
    free(json);
    check_form_done(&form);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct port_set ports;
    if (!ports.ports && !port_set_init(&ports, 1024, NULL))
        return 0;
    if (size < 1 || size > BODY_MAX)
        return 0;

    const char *bytes = (const char *)data + 1;
    if (data[0] == 'A')
        read_header(bytes, size - 1);
    else
        read_form(bytes, size - 1, &ports);
    return 0;
}
