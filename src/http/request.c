/* SPDX-License-Identifier: MIT
 *
 * What a handler sees of a request and says of its reply, besides the reply itself.
 */
#include "http/private.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

/* The values of a repeated header. */
struct joined {
    struct joined *next;
    struct text text;
};

struct address exchange_peer(const struct exchange *exchange)
{
    return exchange->connection->peer;
}

struct address exchange_local(const struct exchange *exchange)
{
    struct address *local = &exchange->connection->local;
    if (local->len > 0)
        return *local;

    struct sockaddr_storage storage;
    socklen_t len = sizeof storage;
    *local = (struct address){.len = sizeof local->in, .in = {.sin_family = AF_INET}};
    if (getsockname(exchange->connection->fd, (struct sockaddr *)&storage, &len) == 0)
        address_from_sockaddr((struct sockaddr *)&storage, len, local);
    return *local;
}

bool exchange_is_http_1_1(const struct exchange *exchange)
{
    return exchange->is_1_1;
}

bool exchange_is_tls(const struct exchange *exchange)
{
    return connection_is_tls(exchange->connection);
}

const struct http_route *exchange_route(const struct exchange *exchange)
{
    return exchange->route;
}

const char *exchange_body(const struct exchange *exchange, size_t *ret_len)
{
    *ret_len = exchange->body.len;
    return exchange->body.data;
}

struct lookup {
    const char *name;
    size_t name_len;
    bool is_prefix;
    unsigned count;
    const char *first;
    struct text *all;
};

static enum MHD_Result look_at(void *cls, enum MHD_ValueKind kind, const char *name,
                               size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    struct lookup *lookup = cls;
    if (lookup->is_prefix ? name_len < lookup->name_len : name_len != lookup->name_len)
        return MHD_YES;
    if (strncasecmp(name, lookup->name, lookup->name_len) != 0)
        return MHD_YES;

    if (lookup->count++ == 0)
        lookup->first = value;
    if (lookup->all) {
        text_append_str(lookup->all, lookup->count > 1 ? ", " : "");
        text_append(lookup->all, value, value_len);
    }
    return MHD_YES;
}

/* Calls for each header, while the request is there. */
static void each_header(const struct exchange *exchange, struct lookup *lookup)
{
    const struct request *request = exchange->request;
    for (size_t i = 0; request && i < request->field_count; i++) {
        const struct request_field *field = &request->fields[i];
        look_at(lookup, MHD_HEADER_KIND, field->name, field->name_len, field->value,
                field->value_len);
    }
    if (exchange->mhd && exchange->method)
        MHD_get_connection_values_n(exchange->mhd, MHD_HEADER_KIND, look_at, lookup);
}

static struct lookup look_up(const struct exchange *exchange, const char *name,
                             bool is_prefix, struct text *all)
{
    struct lookup lookup = {
        .name = name, .name_len = strlen(name), .is_prefix = is_prefix, .all = all};
    each_header(exchange, &lookup);
    return lookup;
}

const char *exchange_header(struct exchange *exchange, const char *name)
{
    struct lookup lookup = look_up(exchange, name, false, NULL);
    if (lookup.count < 2)
        return lookup.first;

    struct joined *joined = calloc(1, sizeof *joined);
    if (!joined)
        return lookup.first;

    text_init(&joined->text, (size_t)2 * SERVER_HEADER_MAX);
    joined->next = exchange->joined;
    exchange->joined = joined;
    look_up(exchange, name, false, &joined->text);
    return joined->text.data;
}

bool exchange_has_header(struct exchange *exchange, const char *name, bool is_prefix)
{
    return look_up(exchange, name, is_prefix, NULL).count > 0;
}

void exchange_set_header(struct exchange *exchange, const char *name, const char *value)
{
    for (const char *c = value; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return;
    text_printf(&exchange->fields, "%s: %s\r\n", name, value);
}

void request_forget_joined(struct exchange *exchange)
{
    while (exchange->joined) {
        struct joined *joined = exchange->joined;
        exchange->joined = joined->next;
        text_done(&joined->text);
        free(joined);
    }
}

void exchange_on_gone(struct exchange *exchange, exchange_fn *gone, void *ctx)
{
    exchange->gone = gone;
    exchange->gone_ctx = ctx;
}
