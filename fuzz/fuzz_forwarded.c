/* SPDX-License-Identifier: MIT
 *
 * X-Forwarded-For and Forwarded. The result is unmapped and has no port, and a list of one
 * address means the same in both.
 */
#include "policy/forwarded.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_result(const struct address *address)
{
    struct address unmapped = address_unmap(address);
    assert(address_equals(&unmapped, address) && address_port(address) == 0);
}

/* A single element of X-Forwarded-For in `for="..."` names the same address. */
static void check_same(const char *element, const struct cidr_list *trusted,
                       const struct address *expected)
{
    char quoted[4096 + 8];
    struct address address;
    snprintf(quoted, sizeof quoted, "for=\"%s\"", element);
    bool is_read = forwarded_parse(quoted, trusted, &address);
    assert(is_read && address_equals(&address, expected));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const blocks[] = {"10.0.0.0/8", "2001:db8::/32"};
    struct cidr_list trusted = {.count = 2};
    for (size_t i = 0; i < trusted.count; i++) {
        bool is_read = cidr_parse(blocks[i], strlen(blocks[i]), &trusted.items[i], NULL);
        assert(is_read);
    }
    char list[4096];
    if (size >= sizeof list)
        return 0;
    if (size > 0)
        memcpy(list, data, size);
    list[size] = '\0';

    struct address address;
    if (forwarded_parse(list, &trusted, &address)) {
        check_result(&address);
        assert(strchr(list, '='));
    }
    if (forwarded_for_parse(list, &trusted, &address)) {
        check_result(&address);
        if (strlen(list) < 40 && !strpbrk(list, ", \t\"\\"))
            check_same(list, &trusted, &address);
    }
    return 0;
}
