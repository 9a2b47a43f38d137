/* SPDX-License-Identifier: MIT
 *
 * The kinds of settings that are lists, and the texts around values.
 */
#include "settings/settings_table.h"

#include "base/err.h"
#include "base/text.h"

#include <assert.h>
#include <string.h>

const char *text_shown(const char *text, size_t len, char ret[SHOWN_SIZE])
{
    size_t used = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        char one[8];
        int n;
        if (c == '"' || c == '\\')
            n = snprintf(one, sizeof one, "\\%c", c);
        else if (c < ' ' || c >= 0x7f)
            n = snprintf(one, sizeof one, "\\x%02x", c);
        else
            n = snprintf(one, sizeof one, "%c", c);

        if (used + (size_t)n > SHOWN_SIZE - sizeof "...") {
            memcpy(ret + used, "...", 3);
            used += 3;
            break;
        }
        memcpy(ret + used, one, (size_t)n);
        used += (size_t)n;
    }
    ret[used] = '\0';
    return ret;
}

static bool is_separator(char c)
{
    return c == ',' || c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool list_next(const char **text, size_t *len, const char **ret_item, size_t *ret_len)
{
    const char *p = *text;
    const char *end = p + *len;
    while (p < end && is_separator(*p))
        p++;
    if (p == end)
        return false;

    *ret_item = p;
    while (p < end && !is_separator(*p))
        p++;
    *ret_len = (size_t)(p - *ret_item);
    *text = p;
    *len = (size_t)(end - p);
    return true;
}

static bool refuse_item(struct err *hint, const char *item, size_t len, const char *why)
{
    char shown[SHOWN_SIZE];
    return err_set(hint, ERR_INVALID, "\"%s\": %s", text_shown(item, len, shown), why);
}

/* --- networks --------------------------------------------------------------------- */

static bool parse_cidrs(const struct setting *row, const char *text, size_t len,
                        void *target, struct err *hint)
{
    (void)row;
    struct cidr_list *list = target;
    const char *item;
    size_t item_len;
    while (list_next(&text, &len, &item, &item_len)) {
        if (list->count == CIDR_LIST_MAX)
            return err_set(hint, ERR_INVALID, "the list has more");

        struct err why;
        if (!cidr_parse(item, item_len, &list->items[list->count], &why))
            return refuse_item(hint, item, item_len, why.message);
        list->count++;
    }
    return list->count > 0;
}

static void print_cidrs(const struct setting *row, const void *target, struct text *out)
{
    (void)row;
    const struct cidr_list *list = target;
    for (size_t i = 0; i < list->count; i++) {
        const struct cidr *cidr = &list->items[i];
        size_t bytes;
        address_bytes(&cidr->base, &bytes);
        char text[ADDRESS_TEXT_SIZE];
        text_printf(out, "%s%s", i > 0 ? "," : "", address_format(&cidr->base, text));
        if (cidr->prefix < bytes * 8)
            text_printf(out, "/%u", cidr->prefix);
    }
}

const struct setting_kind kind_cidrs = {parse_cidrs, print_cidrs};

/* --- origins ----------------------------------------------------------------------
 * Kept as browsers send them (Fetch standard, "serializing an origin"): lower case, an
 * IPv6 address in its short form, no port where it is the scheme's own. */

struct scheme {
    const char *prefix;
    size_t len;
    uint64_t port;
};

static const struct scheme schemes[] = {
    {"http://", sizeof "http://" - 1, 80},
    {"https://", sizeof "https://" - 1, 443},
};

static const struct scheme *find_scheme(const char *item, size_t len)
{
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (len >= schemes[i].len &&
            text_equals_nocase(item, schemes[i].len, schemes[i].prefix))
            return &schemes[i];
    return NULL;
}

/* Length of the bracketed IPv6 literal at the start of `text`, 0 if there is none. */
static size_t parse_literal(const char *text, size_t len, char ret[ADDRESS_TEXT_SIZE])
{
    const char *close = memchr(text, ']', len);
    struct address address;
    if (!close || !address_parse(text + 1, (size_t)(close - text) - 1, &address, NULL) ||
        address_family_number(&address) != 6)
        return 0;

    address_format(&address, ret);
    return (size_t)(close - text) + 1;
}

/* Length of the host at the start of `text`, 0 if there is none: an RFC 1123 name, or one
 * with the underscores that browsers allow. Writes it in the form of an origin. */
static size_t parse_host(const char *text, size_t len, char *ret, size_t size)
{
    if (len > 0 && text[0] == '[') {
        char literal[ADDRESS_TEXT_SIZE];
        size_t taken = parse_literal(text, len, literal);
        snprintf(ret, size, "[%s]", taken > 0 ? literal : "");
        return taken;
    }

    size_t i = 0;
    for (; i < len && i < size - 1; i++) {
        char c = text[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        bool is_name = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '.' || c == '_';
        if (!is_name)
            break;
        ret[i] = c;
    }
    ret[i] = '\0';
    return i;
}

/* Why an origin is refused; NULL if it was written to `ret`. */
static const char *parse_origin(const char *item, size_t len, char *ret, size_t size)
{
    if (len >= size)
        return "too long";
    if (len == 1 && item[0] == '*')
        return "it must stand alone";
    const struct scheme *scheme = find_scheme(item, len);
    if (!scheme)
        return "it must begin with https:// or http://";

    char host[256];
    size_t host_len = parse_host(item + scheme->len, len - scheme->len, host, sizeof host);
    if (host_len == 0)
        return "it has no host";

    const char *rest = item + scheme->len + host_len;
    size_t rest_len = len - scheme->len - host_len;
    uint64_t port = scheme->port;
    if (rest_len > 0 && rest[0] == '/')
        return "leave out the path and its slash";
    if (rest_len > 0 && rest[0] != ':')
        return "a host name cannot contain these characters";
    if (rest_len > 0 &&
        (!text_parse_u64(rest + 1, rest_len - 1, 65535, &port) || port == 0))
        return "the port is not a number from 1 to 65535";

    int written = port == scheme->port ? snprintf(ret, size, "%s%s", scheme->prefix, host)
                                       : snprintf(ret, size, "%s%s:%u", scheme->prefix,
                                                  host, (unsigned)port);
    return (size_t)written < size ? NULL : "too long";
}

static bool parse_origins(const struct setting *row, const char *text, size_t len,
                          void *target, struct err *hint)
{
    (void)row;
    struct origin_list *list = target;
    if (len == 1 && text[0] == '*') {
        list->is_any = true;
        return true;
    }

    const char *item;
    size_t item_len;
    while (list_next(&text, &len, &item, &item_len)) {
        if (list->count == SETTINGS_ORIGINS_MAX)
            return err_set(hint, ERR_INVALID, "the list has more");

        const char *why = parse_origin(item, item_len, list->items[list->count],
                                       sizeof list->items[list->count]);
        if (why)
            return refuse_item(hint, item, item_len, why);
        list->count++;
    }
    return list->count > 0;
}

static void print_origins(const struct setting *row, const void *target, struct text *out)
{
    (void)row;
    const struct origin_list *list = target;
    if (list->is_any)
        text_append_str(out, "*");
    for (size_t i = 0; i < list->count; i++)
        text_printf(out, "%s%s", i > 0 ? "," : "", list->items[i]);
}

const struct setting_kind kind_origins = {parse_origins, print_origins};

/* --- places ----------------------------------------------------------------------- */

static bool has_name(const struct place_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->names[i], name) == 0)
            return true;
    return false;
}

static bool parse_places(const struct setting *row, const char *text, size_t len,
                         void *target, struct err *hint)
{
    (void)row;
    struct place_list *list = target;
    const char *item;
    size_t item_len;
    while (list_next(&text, &len, &item, &item_len)) {
        char name[PLACE_NAME_SIZE];
        if (!place_name_parse(item, item_len, name))
            return refuse_item(hint, item, item_len,
                               "a name has lower-case letters, digits and hyphens");
        if (has_name(list, name))
            return refuse_item(hint, item, item_len, "it is listed twice");
        if (list->count == PLACES_MAX)
            return err_set(hint, ERR_INVALID, "the list has more");
        memcpy(list->names[list->count++], name, sizeof name);
    }
    return list->count > 0;
}

static void print_places(const struct setting *row, const void *target, struct text *out)
{
    (void)row;
    const struct place_list *list = target;
    for (size_t i = 0; i < list->count; i++)
        text_printf(out, "%s%s", i > 0 ? "," : "", list->names[i]);
}

const struct setting_kind kind_places = {parse_places, print_places};

/* --- NATS servers ----------------------------------------------------------------- */

#define NATS_PORT 4222

static const char nats_scheme[] = "nats://", nats_tls_scheme[] = "tls://";

static bool take_scheme(const char **item, size_t *len, const char *scheme)
{
    size_t scheme_len = strlen(scheme);
    if (*len < scheme_len || !text_equals_nocase(*item, scheme_len, scheme))
        return false;

    *item += scheme_len;
    *len -= scheme_len;
    return true;
}

/* Why a URL is refused; NULL if it was written to `ret`. */
static const char *parse_nats_url(const char *item, size_t len, struct nats_server *ret)
{
    ret->is_tls = take_scheme(&item, &len, nats_tls_scheme);
    if (!ret->is_tls && !take_scheme(&item, &len, nats_scheme))
        return "it must begin with tls:// or nats://";
    if (memchr(item, '@', len))
        return "the key belongs in PORT_CHECKER_NATS_CREDENTIALS";

    char host[sizeof ret->host + 2]; /* with brackets */
    size_t host_len = parse_host(item, len, host, sizeof host);
    if (host_len == 0)
        return "it has no host";

    uint64_t port = NATS_PORT;
    const char *rest = item + host_len;
    size_t rest_len = len - host_len;
    if (rest_len > 0 &&
        (rest[0] != ':' || !text_parse_u64(rest + 1, rest_len - 1, 65535, &port) ||
         port == 0))
        return "after the host there may be a colon and a port";

    bool is_bracketed = host[0] == '[';
    size_t shown = strlen(host) - (is_bracketed ? 2 : 0);
    if (shown >= sizeof ret->host)
        return "too long";
    memcpy(ret->host, host + is_bracketed, shown);
    ret->host[shown] = '\0';
    ret->port = (uint16_t)port;
    return NULL;
}

static bool parse_nats_urls(const struct setting *row, const char *text, size_t len,
                            void *target, struct err *hint)
{
    (void)row;
    struct nats_server_list *list = target;
    const char *item;
    size_t item_len;
    while (list_next(&text, &len, &item, &item_len)) {
        if (list->count == SETTINGS_NATS_SERVERS_MAX)
            return err_set(hint, ERR_INVALID, "the list has more");

        const char *why = parse_nats_url(item, item_len, &list->items[list->count]);
        if (why)
            return refuse_item(hint, item, item_len, why);
        list->count++;
    }
    return list->count > 0;
}

static void print_nats_urls(const struct setting *row, const void *target, struct text *out)
{
    (void)row;
    const struct nats_server_list *list = target;
    for (size_t i = 0; i < list->count; i++) {
        const struct nats_server *server = &list->items[i];
        bool is_literal = strchr(server->host, ':') != NULL;
        text_printf(out, "%s%s%s%s%s:%u", i > 0 ? "," : "",
                    server->is_tls ? nats_tls_scheme : nats_scheme, is_literal ? "[" : "",
                    server->host, is_literal ? "]" : "", server->port);
    }
}

const struct setting_kind kind_nats_urls = {parse_nats_urls, print_nats_urls};

/* --- the issuer of receipts: an origin that may have a path ------------------------ */

/* Why such a URL is refused; NULL if it is not. */
static const char *issuer_fault(const char *text, size_t len)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789-._~!$&'()*+,;=:@%/";
    char origin[SETTINGS_ISSUER_SIZE];
    const struct scheme *scheme = find_scheme(text, len);
    const char *path = scheme ? memchr(text + scheme->len, '/', len - scheme->len) : NULL;
    const char *why =
        parse_origin(text, path ? (size_t)(path - text) : len, origin, sizeof origin);
    if (why)
        return why;
    if (text[len - 1] == '/')
        return "leave out the trailing slash";
    for (const char *c = path; c && c < text + len; c++)
        if (!strchr(allowed, *c))
            return "leave out its query, its fragment, and spaces";
    return NULL;
}

static bool parse_issuer(const struct setting *row, const char *text, size_t len,
                         void *target, struct err *hint)
{
    if (len >= row->size)
        return err_set(hint, ERR_INVALID, "it has %zu", len);
    const char *why = issuer_fault(text, len);
    if (why)
        return err_set(hint, ERR_INVALID, "%s", why);

    memcpy(target, text, len);
    return true;
}

static void print_issuer(const struct setting *row, const void *target, struct text *out)
{
    (void)row;
    text_append_str(out, target);
}

const struct setting_kind kind_issuer = {parse_issuer, print_issuer};
