/* SPDX-License-Identifier: MIT
 *
 * Address and network literals: what is accepted is written as one text, which is read as
 * the same value again; the judgements about it agree with each other.
 */
#include "net/address.h"

#include "base/err.h"
#include "net/cidr.h"
#include "net/scope.h"
#include "policy/access.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_judgements(const struct address *address)
{
    struct address unmapped = address_unmap(address);
    struct address embedded = address_unembed(address);
    bool is_mapped = !address_equals(&unmapped, address);
    bool is_embedding = !address_equals(&embedded, address);

    assert(!is_mapped || address_family_number(&unmapped) == 4);
    assert(!is_mapped || address_equals(&unmapped, &embedded));
    assert(!is_embedding || address_family_number(&embedded) == 4);

    /* An address that is reachable from anywhere can be probed, and is not this machine. */
    assert(address_scope(address) != SCOPE_GLOBAL || access_is_probeable(address));
    assert(!address_is_loopback(address) || address_scope(address) == SCOPE_LOOPBACK);
    assert(address_scope(address) == address_scope(&embedded));
    assert(address_is_loopback(address) == address_is_loopback(&unmapped));
    assert(access_is_probeable(address) == access_is_probeable(&embedded));
}

static void check_address(const char *text, size_t len)
{
    struct err err;
    struct address address;
    if (!address_parse(text, len, &address, &err)) {
        assert(err.kind == ERR_INVALID && err.message[0] != '\0');
        return;
    }
    assert(address_port(&address) == 0);
    for (size_t i = 0; i < len; i++)
        assert(text[i] != '\0' && strchr("0123456789abcdefABCDEF.:", text[i]));

    char first[ADDRESS_TEXT_SIZE];
    char second[ADDRESS_TEXT_SIZE];
    struct address again;
    address_format(&address, first);
    bool is_read = address_parse(first, strlen(first), &again, NULL);
    assert(is_read && address_equals(&address, &again) && address.len == again.len);
    assert(strcmp(first, address_format(&again, second)) == 0);

    struct address copy;
    bool is_copied = address_from_sockaddr(&address.sa, address.len, &copy);
    assert(is_copied && address_equals(&address, &copy));
    check_judgements(&address);
}

static void check_cidr(const char *text, size_t len)
{
    struct err err;
    struct cidr cidr;
    if (!cidr_parse(text, len, &cidr, &err)) {
        assert(err.kind == ERR_INVALID && err.message[0] != '\0');
        return;
    }
    size_t base_len;
    const uint8_t *base = address_bytes(&cidr.base, &base_len);
    assert(cidr.prefix <= 8 * base_len);

    /* It contains its base, but not an address that differs in the last bit of the
     * prefix. */
    assert(cidr_contains(&cidr, &cidr.base));
    if (cidr.prefix == 0)
        return;

    struct address outside = cidr.base;
    uint8_t bytes[16];
    memcpy(bytes, base, base_len);
    bytes[(cidr.prefix - 1) / 8] ^= (uint8_t)(0x80u >> ((cidr.prefix - 1) % 8));
    if (base_len == 4)
        memcpy(&outside.in.sin_addr, bytes, 4);
    else
        memcpy(&outside.in6.sin6_addr, bytes, 16);
    assert(!cidr_contains(&cidr, &outside));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;

    check_address((const char *)data, size);
    check_cidr((const char *)data, size);
    return 0;
}
