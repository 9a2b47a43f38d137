/* SPDX-License-Identifier: MIT
 *
 * Reads the body of POST /check-ports, or the query of GET. Pure: bytes go in, a request or
 * its violations come out; no sockets, no policy. docs/api.md and the API description have
 * the rules; in short:
 *
 *   {"provider_ip": "192.0.2.7", "ports": [7466, "50800-50900"], "details": true}
 *
 * - A port is an integer, a number without a fraction (20000.0, 2e4), or a text of 1 to 5
 *   digits. Text with a "-" after its first character is a range.
 * - `details` and `token` (32 lower-case hex digits) are optional and may not be null.
 * - `receipt` is optional, too. With true, there must be a token and at least one port, and
 *   `for` may be 1 to RECEIPT_FOR_MAX printable ASCII characters.
 *   Unknown members are ignored, unless a NUL is in their names: jansson, which keeps names
 *   as C strings, always refuses those.
 * - The last of two members with the same name counts. A NUL inside a text is valid JSON.
 * - A body that begins like UTF-16 or UTF-32 (byte order mark, or a NUL beside the first
 *   character), gzip or zstd is not JSON: its only violation, at byte 0, names the
 * encoding.
 * - A UTF-8 byte order mark at the start is skipped. The offset in a JSON violation is
 *   where the parser stopped, right after what it could not parse; it counts from the
 *   first byte of the body as sent, mark included.
 * - Parsing stops at VIOLATIONS_MAX violations. "Too many ports" is one violation, reported
 *   after those of single elements; it counts the ports of the elements without one.
 *
 * The work is bounded by the length of the body: JSON deeper than 2,048 is refused, and a
 * range is checked before it is expanded.
 */
#pragma once

#include "net/address.h"
#include "probe/proof.h"
#include "receipt/receipts.h"

#include <stdbool.h>
#include <stddef.h>

struct violation_list;
struct port_set;

struct check_request {
    struct address target; /* as sent: not unmapped */
    bool wants_details;
    bool has_token;
    struct proof_token token;
    bool wants_receipt;
    char for_text[RECEIPT_FOR_MAX + 1]; /* "" = none */
};

/* True: *ret is written and `ports` holds the distinct ports in the order in which they
 * were first listed, possibly none. False: *ret_violations holds 1 to VIOLATIONS_MAX
 * violations, or none if there was no memory to read the body (see json_memory.h); *ret is
 * untouched and `ports` is empty.
 *
 * `ports` is the caller's, with the limit on distinct ports in it. `content_type` is NULL
 * when the request had none. */
bool check_request_parse(const char *body, size_t len, const char *content_type,
                         struct port_set *ports, struct check_request *ret,
                         struct violation_list *ret_violations);

/* The same for a query such as "ports=7466,50800-50900": texts as in the list of a body,
 * with commas between them and nothing else. The values of several fields "ports" count one
 * after the other, other fields are ignored. Every violation has the place ["query",
 * "ports"]. */
bool check_query_parse(const char *query, struct port_set *ports,
                       struct violation_list *ret_violations);
