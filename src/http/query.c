/* SPDX-License-Identifier: MIT */
#include "http/query.h"

#include "base/text.h"

#include <string.h>

const char *query_next(const char **at, const char *name, size_t *ret_len)
{
    const size_t len = strlen(name);
    while (**at) {
        const char *field = *at;
        size_t field_len = strcspn(field, "&");
        *at += field_len + (field[field_len] == '&');

        size_t name_len = strcspn(field, "=&");
        if (name_len != len || memcmp(field, name, len) != 0)
            continue;
        bool has_value = field[name_len] == '=';
        *ret_len = field_len - name_len - has_value;
        return field + name_len + has_value;
    }
    return NULL;
}

bool query_decode(const char *value, size_t len, char ret[QUERY_VALUE_MAX], size_t *ret_len)
{
    size_t out = 0;
    if (len > QUERY_VALUE_MAX)
        return false;

    for (size_t i = 0; i < len; i++) {
        char c = value[i];
        if (c == '%') {
            int high = len - i > 2 ? text_hex_value(value[i + 1]) : -1;
            int low = len - i > 2 ? text_hex_value(value[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        }
        ret[out++] = c;
    }
    *ret_len = out;
    return true;
}
