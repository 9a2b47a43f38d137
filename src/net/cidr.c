/* SPDX-License-Identifier: MIT */
#include "net/cidr.h"

#include "base/err.h"
#include "base/text.h"

#include <string.h>

/* The same address without the bits beyond the prefix. */
static struct address network_of(struct address address, unsigned prefix)
{
    bool is_ipv4 = address.sa.sa_family == AF_INET;
    size_t len = is_ipv4 ? 4 : 16;
    uint8_t *bytes =
        is_ipv4 ? (uint8_t *)&address.in.sin_addr : address.in6.sin6_addr.s6_addr;
    for (size_t bit = prefix; bit < 8 * len; bit++)
        bytes[bit / 8] &= (uint8_t)~(0x80u >> (bit % 8));
    return address;
}

static bool prefix_parse(const char *digits, size_t len, size_t max, unsigned *ret)
{
    uint64_t value;
    bool has_leading_zero = len > 1 && digits[0] == '0';
    if (has_leading_zero || !text_parse_u64(digits, len, max, &value))
        return false;

    *ret = (unsigned)value;
    return true;
}

bool cidr_parse(const char *text, size_t len, struct cidr *ret, struct err *err)
{
    const char *slash = memchr(text, '/', len);
    size_t base_len = slash ? (size_t)(slash - text) : len;

    struct cidr cidr;
    if (!address_parse(text, base_len, &cidr.base, err))
        return false;

    size_t bytes_len;
    address_bytes(&cidr.base, &bytes_len);
    cidr.prefix = (unsigned)(8 * bytes_len);
    if (slash && !prefix_parse(slash + 1, len - base_len - 1, 8 * bytes_len, &cidr.prefix))
        return err_set(err, ERR_INVALID, "the prefix length is not a number from 0 to %zu",
                       8 * bytes_len);

    struct address network = network_of(cidr.base, cidr.prefix);
    if (!address_equals(&network, &cidr.base)) {
        char ip[ADDRESS_TEXT_SIZE];
        return err_set(err, ERR_INVALID,
                       "it has bits beyond the prefix length; write %s/%u",
                       address_format(&network, ip), cidr.prefix);
    }

    /* No bit is set beyond the prefix, so a mapped base has a prefix of at least 96. */
    struct address plain = address_unmap(&cidr.base);
    if (!address_equals(&plain, &cidr.base)) {
        cidr.base = plain;
        cidr.prefix -= 96;
    }
    *ret = cidr;
    return true;
}

bool cidr_contains(const struct cidr *cidr, const struct address *address)
{
    size_t len;
    struct address plain = address_unmap(address);
    return address_has_prefix(&plain, cidr->base.sa.sa_family,
                              address_bytes(&cidr->base, &len), cidr->prefix);
}

bool cidr_list_contains(const struct cidr_list *list, const struct address *address)
{
    for (size_t i = 0; i < list->count; i++) {
        if (cidr_contains(&list->items[i], address))
            return true;
    }
    return false;
}
