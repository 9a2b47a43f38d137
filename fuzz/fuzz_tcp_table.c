/* SPDX-License-Identifier: MIT
 *
 * Lines of /proc/net/tcp, whole and in pieces: what is read as a row has an address of one
 * of both families.
 */
#include "verifier/tcp_table.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    for (size_t at = 0; at <= size;) {
        const char *end = at < size ? memchr(text + at, '\n', size - at) : NULL;
        size_t len = end ? (size_t)(end - (text + at)) : size - at;
        struct tcp_row row;
        if (tcp_row_parse(text + at, len, &row)) {
            char ip[ADDRESS_TEXT_SIZE];
            int family = address_family_number(&row.local);
            assert(family == 4 || family == 6);
            assert(strlen(address_format(&row.local, ip)) > 0);
        }
        at += len + 1;
    }
    return 0;
}
