/* SPDX-License-Identifier: MIT */
#include "http/host.h"

#include "base/text.h"
#include "net/address.h"

#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex_digit(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* unreserved / sub-delims */
static bool is_name_char(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("-._~!$&'()*+,;=", c));
}

static size_t name_len(const char *text, size_t len)
{
    size_t at = 0;
    while (at < len) {
        bool is_encoded = len - at > 2 && text[at] == '%' && is_hex_digit(text[at + 1]) &&
                          is_hex_digit(text[at + 2]);
        if (!is_encoded && !is_name_char(text[at]))
            break;
        at += is_encoded ? 3 : 1;
    }
    return at;
}

static bool is_future(const char *text, size_t len)
{
    size_t at = 1;
    if (len == 0 || (text[0] != 'v' && text[0] != 'V'))
        return false;
    while (at < len && is_hex_digit(text[at]))
        at++;
    if (at == 1 || len - at < 2 || text[at] != '.')
        return false;
    for (at++; at < len; at++)
        if (!is_name_char(text[at]) && text[at] != ':')
            return false;
    return true;
}

/* With its brackets; 0 if it is not valid. */
static size_t literal_len(const char *text, size_t len)
{
    struct address address;
    const char *end = memchr(text, ']', len);
    size_t inner = end ? (size_t)(end - text) - 1 : 0;
    bool is_ipv6 = address_parse(text + 1, inner, &address, NULL) &&
                   address_family_number(&address) == 6;
    return is_ipv6 || is_future(text + 1, inner) ? inner + 2 : 0;
}

static bool is_port(const char *text, size_t len)
{
    uint64_t port;
    return len == 0 || text_parse_u64(text, len, UINT16_MAX, &port);
}

bool host_is_valid(const char *text, size_t len)
{
    if (len == 0)
        return true;

    size_t host = text[0] == '[' ? literal_len(text, len) : name_len(text, len);
    return host > 0 &&
           (host == len || (text[host] == ':' && is_port(text + host + 1, len - host - 1)));
}
