/* SPDX-License-Identifier: MIT */
#include "api/check_form.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEPARATORS ",; "
#define DIGITS     "0123456789"
#define DIGITS_MAX 18 /* fit into 64 bits; a longer number is an error in JSON, too */

/* ---- the form --------------------------------------------------------------------- */

/* U+2010 to U+2015, in UTF-8. */
static bool is_dash(const char *text, size_t len)
{
    return len >= 3 && memcmp(text, "\xe2\x80", 2) == 0 && (unsigned char)text[2] >= 0x90 &&
           (unsigned char)text[2] <= 0x95;
}

/* Works in place, since the result is never longer. Returns the new length. */
static size_t undo_escapes(char *text, size_t len)
{
    size_t out = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i] == '+' ? ' ' : text[i];
        if (c == '%' && i + 2 < len && text_hex_value(text[i + 1]) >= 0 &&
            text_hex_value(text[i + 2]) >= 0) {
            c = (char)(text_hex_value(text[i + 1]) * 16 + text_hex_value(text[i + 2]));
            i += 2;
        }
        text[out++] = c;
    }
    return out;
}

static void make_plain(char *text, size_t len)
{
    size_t out = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (is_dash(text + i, len - i)) {
            c = '-';
            i += 2;
        } else if (c >= 0x7f) {
            c = '?';
        } else if (c < 0x20) {
            c = ' ';
        }
        text[out++] = (char)c;
    }
    text[out] = '\0';
}

/* Terminated plain text; NULL without memory. */
static char *value_of(const char *escaped, size_t len)
{
    char *value = malloc(len + 1);
    if (!value)
        return NULL;

    memcpy(value, escaped, len);
    make_plain(value, undo_escapes(value, len));
    return value;
}

static bool is_named(const char *field, size_t len, const char *name)
{
    return len == strlen(name) && memcmp(field, name, len) == 0;
}

/* "name=value" */
static bool take_field(struct check_form *form, const char *field, size_t len)
{
    const char *equals = memchr(field, '=', len);
    size_t name_len = equals ? (size_t)(equals - field) : len;
    bool is_ports = is_named(field, name_len, "ports");
    if (!is_ports && !is_named(field, name_len, "provider_ip"))
        return true;

    char *value = value_of(equals ? equals + 1 : "", equals ? len - name_len - 1 : 0);
    if (!value)
        return false;
    if (is_ports) {
        free(form->ports);
        form->ports = value;
        return true;
    }
    snprintf(form->address, sizeof form->address, "%s", value + strspn(value, " "));
    form->address[strcspn(form->address, " ")] = '\0';
    free(value);
    return true;
}

bool check_form_parse(const char *body, size_t len, struct check_form *ret)
{
    struct check_form form = {.ports = strdup("")};
    bool ok = form.ports != NULL;

    for (size_t at = 0; ok && at < len;) {
        const char *next = memchr(body + at, '&', len - at);
        size_t field_len = next ? (size_t)(next - body) - at : len - at;
        ok = take_field(&form, body + at, field_len);
        at += field_len + 1;
    }
    if (!ok) {
        free(form.ports);
        return false;
    }
    *ret = form;
    return true;
}

void check_form_done(struct check_form *form)
{
    free(form->ports);
    form->ports = NULL;
}

/* ---- its ports as JSON ------------------------------------------------------------ */

/* Without leading zeros, which JSON does not allow. */
static void append_number(struct text *json, const char *digits, size_t len)
{
    while (len > 1 && *digits == '0') {
        digits++;
        len--;
    }
    text_append(json, digits, len);
}

/* Removes spaces around a dash between two digits. */
static void join_ranges(char *text)
{
    size_t out = 0;
    for (size_t i = 0; text[i]; i++) {
        if (text[i] == '-') {
            size_t before = out;
            while (before > 0 && text[before - 1] == ' ')
                before--;
            size_t after = i + 1 + strspn(text + i + 1, " ");
            if (before > 0 && strchr(DIGITS, text[before - 1]) && text[after] &&
                strchr(DIGITS, text[after])) {
                out = before;
                text[out++] = '-';
                i = after - 1;
                continue;
            }
        }
        text[out++] = text[i];
    }
    text[out] = '\0';
}

static void append_ports(struct text *json, const char *text)
{
    bool is_first = true;
    for (;;) {
        text += strspn(text, SEPARATORS);
        size_t len = strcspn(text, SEPARATORS);
        if (len == 0)
            break;

        text_append_str(json, is_first ? ", \"ports\": [" : ", ");
        is_first = false;
        if (strspn(text, DIGITS) >= len && len <= DIGITS_MAX)
            append_number(json, text, len);
        else
            text_append_json(json, text, len);
        text += len;
    }
    if (!is_first)
        text_append_str(json, "]");
}

char *check_form_json(const struct check_form *form, const char *own, size_t *ret_len)
{
    struct text json;
    char *ports = strdup(form->ports);
    if (!ports)
        return NULL;

    const char *address = form->address[0] ? form->address : own;
    join_ranges(ports);
    text_init(&json, 1024 + 4 * strlen(ports));
    text_append_str(&json, "{\"provider_ip\": ");
    text_append_json(&json, address, strlen(address));
    append_ports(&json, ports);
    text_append_str(&json, "}");
    free(ports);
    return text_take(&json, ret_len);
}
