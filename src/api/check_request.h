/* SPDX-License-Identifier: MIT
 *
 * Reads the body of POST /check-ports. Pure: bytes go in, a request or its violations come
 * out; no sockets, no policy. docs/api.md and the API description have the rules; in short:
 *
 *   {"provider_ip": "192.0.2.7", "ports": [7466, "50800-50900"], "details": true}
 *
 * - A port is an integer, a number without a fraction (20000.0, 2e4), or a text of 1 to 5
 *   digits. Text with a "-" behind its first character is a range.
 * - `details` and `token` (32 lower-case hex digits) are optional and may not be null.
 *   Unknown members are ignored, unless a NUL is in their names: jansson, which keeps names
 *   as C strings, refuses those whatever it is told.
 * - The last of two members with one name counts. A NUL inside a text is no error of JSON.
 * - A body that begins as UTF-16 or UTF-32 does (byte order mark, or a NUL beside the first
 *   character) is no JSON: its one violation, at byte 0, names the encoding.
 * - A byte order mark of UTF-8 in front is skipped. The offset in a violation of JSON is
 * where the parser stopped, right behind what it could not use; it counts from the first
 * byte of the body as it was sent, mark included.
 * - No violations beyond VIOLATIONS_MAX are looked for. "Too many ports" is one violation,
 * told after those of single elements, and counts the ports of the elements that have none.
 *
 * The work is bounded by the length of the body: JSON deeper than 2,048 is refused, and a
 * range is judged before it is expanded.
 */
#pragma once

#include "net/address.h"
#include "probe/proof.h"

#include <stdbool.h>
#include <stddef.h>

struct violation_list;
struct port_set;

struct check_request {
    struct address target; /* as it was written: not unmapped */
    bool wants_details;
    bool has_token;
    struct proof_token token;
};

/* True: *ret is written and `ports` holds the distinct ports in the order in which they
 * were first listed, possibly none. False: *ret_violations holds 1 to VIOLATIONS_MAX
 * violations, *ret is untouched and `ports` is empty.
 *
 * `ports` is the caller's, with the ceiling on distinct ports in it. `content_type` is NULL
 * when the request had none. */
bool check_request_parse(const char *body, size_t len, const char *content_type,
                         struct port_set *ports, struct check_request *ret,
                         struct violation_list *ret_violations);
