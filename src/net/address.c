/* SPDX-License-Identifier: MIT */
#include "net/address.h"

#include "base/err.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

static const uint8_t mapped_bits[16] = {[10] = 0xff, [11] = 0xff}; /* ::ffff:0:0/96 */
static const uint8_t nat64_bits[16] = {0x00, 0x64, 0xff, 0x9b};    /* 64:ff9b::/96 */
static const uint8_t six_to_four_bits[16] = {0x20, 0x02};          /* 2002::/16 */

static struct address address_ipv4(const uint8_t bytes[4], uint16_t port)
{
    struct address address = {
        .len = sizeof address.in,
        .in = {.sin_family = AF_INET, .sin_port = htons(port)},
    };
    memcpy(&address.in.sin_addr, bytes, 4);
    return address;
}

/* inet_pton() is as strict as the API requires (glibc: four decimal parts without leading
 * zeros, groups of at most four digits), but needs a terminated string. */
bool address_parse(const char *text, size_t len, struct address *ret, struct err *err)
{
    char literal[ADDRESS_TEXT_SIZE];
    if (len >= sizeof literal || memchr(text, '\0', len))
        return err_set(err, ERR_INVALID, "not an IPv4 or IPv6 address");

    memcpy(literal, text, len);
    literal[len] = '\0';

    uint8_t ipv4[4];
    if (inet_pton(AF_INET, literal, ipv4) == 1) {
        *ret = address_ipv4(ipv4, 0);
        return true;
    }

    struct in6_addr ipv6;
    if (inet_pton(AF_INET6, literal, &ipv6) == 1) {
        *ret = (struct address){
            .len = sizeof ret->in6,
            .in6 = {.sin6_family = AF_INET6, .sin6_addr = ipv6},
        };
        return true;
    }
    return err_set(err, ERR_INVALID, "not an IPv4 or IPv6 address");
}

bool address_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct address *ret)
{
    struct address address = {0};
    if (len < sizeof sa->sa_family)
        return false;

    if (sa->sa_family == AF_INET)
        address.len = sizeof address.in;
    else if (sa->sa_family == AF_INET6)
        address.len = sizeof address.in6;
    else
        return false;

    if (len < address.len)
        return false;

    memcpy(&address.sa, sa, address.len);
    *ret = address;
    return true;
}

bool address_of_socket(int fd, struct address *ret)
{
    struct sockaddr_in6 name;
    socklen_t len = sizeof name;
    return getsockname(fd, (struct sockaddr *)&name, &len) == 0 &&
           address_from_sockaddr((struct sockaddr *)&name, len, ret);
}

struct address address_unmap(const struct address *address)
{
    if (!address_has_prefix(address, AF_INET6, mapped_bits, 96))
        return *address;

    return address_ipv4(address->in6.sin6_addr.s6_addr + 12, address_port(address));
}

struct address address_unembed(const struct address *address)
{
    const uint8_t *bytes = address->in6.sin6_addr.s6_addr;
    if (address_has_prefix(address, AF_INET6, mapped_bits, 96) ||
        address_has_prefix(address, AF_INET6, nat64_bits, 96))
        return address_ipv4(bytes + 12, address_port(address));

    if (address_has_prefix(address, AF_INET6, six_to_four_bits, 16))
        return address_ipv4(bytes + 2, address_port(address));

    return *address;
}

/* inet_ntop() goes through printf(), and every log line contains an address. */
static void format_ipv4(const uint8_t bytes[4], char ret_text[ADDRESS_TEXT_SIZE])
{
    char *end = ret_text;
    for (size_t i = 0; i < 4; i++) {
        char digits[TEXT_DIGITS_MAX];
        size_t len = text_digits(bytes[i], 1, digits);
        memcpy(end, digits, len);
        end += len;
        *end++ = i < 3 ? '.' : '\0';
    }
}

const char *address_format(const struct address *address, char ret_text[ADDRESS_TEXT_SIZE])
{
    size_t len;
    const uint8_t *bytes = address_bytes(address, &len);
    if (address->sa.sa_family == AF_INET) {
        format_ipv4(bytes, ret_text);
        return ret_text;
    }

    const char *text = inet_ntop(AF_INET6, bytes, ret_text, ADDRESS_TEXT_SIZE);
    assert(text);
    return text;
}

uint16_t address_port(const struct address *address)
{
    if (address->sa.sa_family == AF_INET)
        return ntohs(address->in.sin_port);
    return ntohs(address->in6.sin6_port);
}

void address_set_port(struct address *address, uint16_t port)
{
    if (address->sa.sa_family == AF_INET)
        address->in.sin_port = htons(port);
    else
        address->in6.sin6_port = htons(port);
}

int address_family_number(const struct address *address)
{
    return address->sa.sa_family == AF_INET ? 4 : 6;
}

const uint8_t *address_bytes(const struct address *address, size_t *ret_len)
{
    if (address->sa.sa_family == AF_INET) {
        *ret_len = sizeof address->in.sin_addr;
        return (const uint8_t *)&address->in.sin_addr;
    }
    assert(address->sa.sa_family == AF_INET6);
    *ret_len = sizeof address->in6.sin6_addr;
    return address->in6.sin6_addr.s6_addr;
}

bool address_is_any(const struct address *address)
{
    size_t len;
    const uint8_t *bytes = address_bytes(address, &len);
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

bool address_equals(const struct address *a, const struct address *b)
{
    if (a->sa.sa_family != b->sa.sa_family)
        return false;

    size_t len;
    const uint8_t *bytes = address_bytes(a, &len);
    return memcmp(bytes, address_bytes(b, &len), len) == 0;
}

bool address_is_loopback(const struct address *address)
{
    static const uint8_t ipv4_bits[4] = {127};
    static const uint8_t ipv6_bits[16] = {[15] = 1};

    struct address plain = address_unmap(address);
    return address_has_prefix(&plain, AF_INET, ipv4_bits, 8) ||
           address_has_prefix(&plain, AF_INET6, ipv6_bits, 128);
}

bool address_has_prefix(const struct address *address, int family, const uint8_t *bits,
                        unsigned prefix)
{
    if (address->sa.sa_family != family)
        return false;

    size_t len;
    const uint8_t *bytes = address_bytes(address, &len);
    assert(prefix <= 8 * len);

    size_t whole = prefix / 8;
    unsigned rest = prefix % 8;
    if (memcmp(bytes, bits, whole) != 0)
        return false;

    return rest == 0 || ((bytes[whole] ^ bits[whole]) >> (8 - rest)) == 0;
}
