/* SPDX-License-Identifier: MIT */
#include "policy/forwarded.h"

#include "base/text.h"

#include <stdint.h>
#include <string.h>

#define NODE_MAX 64 /* an address in brackets and a port take 47 */

/* ---- one address -------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* ":4711", or ":_hidden": RFC 7239 lets a proxy obfuscate the port. */
static bool is_port(const char *text, size_t len)
{
    uint64_t port;
    if (len < 2 || text[0] != ':')
        return false;

    return text[1] == '_' ||
           (len <= 6 && text_parse_u64(text + 1, len - 1, UINT16_MAX, &port));
}

static bool node_parse(const char *text, size_t len, struct address *ret)
{
    struct address address;
    if (!address_parse(text, len, &address, NULL)) {
        bool has_brackets = len > 0 && text[0] == '[';
        const char *host = text + has_brackets;
        const char *end = text + len;
        const char *mark = memchr(host, has_brackets ? ']' : ':', (size_t)(end - host));
        if (!mark || !address_parse(host, (size_t)(mark - host), &address, NULL) ||
            address_family_number(&address) != (has_brackets ? 6 : 4))
            return false;

        const char *port = mark + has_brackets;
        if (port != end && !is_port(port, (size_t)(end - port)))
            return false;
    }
    *ret = address_unmap(&address);
    return true;
}

/* ---- X-Forwarded-For ---------------------------------------------------------------- */

static bool element_parse(const char *text, size_t len, struct address *ret)
{
    while (len > 0 && is_blank(text[0])) {
        text++;
        len--;
    }
    while (len > 0 && is_blank(text[len - 1]))
        len--;
    return node_parse(text, len, ret);
}

bool forwarded_for_parse(const char *list, const struct cidr_list *trusted_proxies,
                         struct address *ret)
{
    size_t end = strlen(list);
    for (;;) {
        size_t start = end;
        while (start > 0 && list[start - 1] != ',')
            start--;

        struct address address;
        if (!element_parse(list + start, end - start, &address))
            return false;

        if (start == 0 || !cidr_list_contains(trusted_proxies, &address)) {
            *ret = address;
            return true;
        }
        end = start - 1;
    }
}

/* ---- Forwarded ---------------------------------------------------------------------- */

/* One element of the list. */
struct hop {
    bool has_for;
    bool is_named; /* `for` is an address, and the only one */
    struct address address;
};

/* The value of a parameter without quotes and escapes, cut off at NODE_MAX. */
struct value {
    char bytes[NODE_MAX];
    size_t len; /* before it was cut off */
};

static void value_append(struct value *value, char c)
{
    if (value->len < NODE_MAX)
        value->bytes[value->len] = c;
    value->len++;
}

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t");
}

/* These return the rest of the text, or NULL for a syntax error. */

static const char *quoted_parse(const char *at, struct value *ret)
{
    for (at++; *at != '"'; at++) {
        if (*at == '\\')
            at++;
        if (*at == '\0')
            return NULL;
        value_append(ret, *at);
    }
    return at + 1;
}

static const char *value_parse(const char *at, struct value *ret)
{
    ret->len = 0;
    if (*at == '"')
        return quoted_parse(at, ret);

    /* This accepts more than a token: some proxies omit the quotes around an address. */
    size_t len = strcspn(at, " \t,;\"\\");
    for (size_t i = 0; i < len; i++)
        value_append(ret, at[i]);
    return len > 0 ? at + len : NULL;
}

static const char *parameter_parse(const char *at, struct hop *hop)
{
    size_t name_len = strcspn(at, " \t,;=\"\\");
    if (name_len == 0 || at[name_len] != '=')
        return NULL;

    struct value value;
    const char *next = value_parse(at + name_len + 1, &value);
    if (next && text_equals_nocase(at, name_len, "for")) {
        hop->is_named = !hop->has_for && value.len <= NODE_MAX &&
                        node_parse(value.bytes, value.len, &hop->address);
        hop->has_for = true;
    }
    return next;
}

/* Reads up to the next comma or the end. */
static const char *hop_parse(const char *at, struct hop *ret)
{
    *ret = (struct hop){0};
    for (;;) {
        at = skip_blanks(at);
        if (*at != ';' && *at != ',' && *at != '\0') {
            at = parameter_parse(at, ret);
            if (!at)
                return NULL;
            at = skip_blanks(at);
        }
        if (*at == ',' || *at == '\0')
            return at;
        if (*at++ != ';')
            return NULL;
    }
}

bool forwarded_parse(const char *list, const struct cidr_list *trusted_proxies,
                     struct address *ret)
{
    struct hop caller;
    const char *at = hop_parse(list, &caller);
    while (at && *at == ',') {
        struct hop hop;
        at = hop_parse(at + 1, &hop);
        if (at && !(hop.is_named && cidr_list_contains(trusted_proxies, &hop.address)))
            caller = hop;
    }
    if (!at || !caller.is_named)
        return false;

    *ret = caller.address;
    return true;
}
