/* SPDX-License-Identifier: MIT
 *
 * The kinds of settings that are one value. Nothing here knows where a text came from.
 */
#include "settings/settings_table.h"

#include "base/err.h"
#include "base/text.h"
#include "net/scope.h"

#include <assert.h>
#include <string.h>

/* --- addresses -------------------------------------------------------------------- */

static bool refuse_address(const char *text, size_t len, struct err *hint)
{
    if (text[0] == '[')
        return err_set(hint, ERR_INVALID, "leave out the brackets");
    if (memchr(text, '%', len))
        return err_set(hint, ERR_INVALID, "an address with a zone cannot be bound");

    const char *colon = memchr(text, ':', len);
    if (!colon && strspn(text, "0123456789./") < len)
        return err_set(hint, ERR_INVALID, "names are not resolved; give the address");
    if (colon && !memchr(colon + 1, ':', len - (size_t)(colon + 1 - text)))
        return err_set(hint, ERR_INVALID, "set the port with PORT_CHECKER_PORT");
    return false;
}

/* Refuses addresses that bind(2) would accept or refuse without a helpful reason. */
static bool is_listenable(const struct address *address, struct err *hint)
{
    enum address_scope scope = address_scope(address);
    if (scope == SCOPE_MULTICAST)
        return err_set(hint, ERR_INVALID, "clients cannot connect to a multicast address");
    if (scope == SCOPE_ZONE)
        return err_set(hint, ERR_INVALID,
                       "a link-local address needs a zone and cannot be bound; try ::");
    return true;
}

static bool parse_address(const struct setting *row, const char *text, size_t len,
                          void *target, struct err *hint)
{
    (void)row;
    if (!address_parse(text, len, target, NULL))
        return refuse_address(text, len, hint);

    return is_listenable(target, hint);
}

static void print_address(const struct setting *row, const void *target, struct text *out)
{
    (void)row;
    char text[ADDRESS_TEXT_SIZE];
    text_append_str(out, address_format(target, text));
}

const struct setting_kind kind_address = {parse_address, print_address};

/* --- booleans --------------------------------------------------------------------- */

static bool parse_bool(const struct setting *row, const char *text, size_t len,
                       void *target, struct err *hint)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {
        {"true", true},   {"1", true},  {"yes", true}, {"on", true},
        {"false", false}, {"0", false}, {"no", false}, {"off", false},
    };
    (void)row;
    (void)hint;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!text_equals_nocase(text, len, words[i].word))
            continue;
        *(bool *)target = words[i].value;
        return true;
    }
    return false;
}

static void print_bool(const struct setting *row, const void *target, struct text *out)
{
    (void)row;
    text_append_str(out, *(const bool *)target ? "true" : "false");
}

const struct setting_kind kind_bool = {parse_bool, print_bool};

/* --- counts: uint16_t, unsigned and size_t members, told apart by their size -------- */

static_assert(sizeof(uint16_t) != sizeof(unsigned) && sizeof(unsigned) != sizeof(size_t),
              "the size of a member tells its type");

static bool is_kubernetes_link(const char *text, size_t len)
{
    static const char link[] = "tcp://";
    return len > sizeof link - 1 && memcmp(text, link, sizeof link - 1) == 0;
}

static bool parse_count(const struct setting *row, const char *text, size_t len,
                        void *target, struct err *hint)
{
    uint64_t value;
    if (!text_parse_u64(text, len, (uint64_t)row->max, &value) ||
        value < (uint64_t)row->min) {
        if (is_kubernetes_link(text, len))
            return err_set(hint, ERR_INVALID,
                           "Kubernetes sets such values; see enableServiceLinks");
        return false;
    }

    if (row->size == sizeof(uint16_t))
        *(uint16_t *)target = (uint16_t)value;
    else if (row->size == sizeof(unsigned))
        *(unsigned *)target = (unsigned)value;
    else
        *(size_t *)target = (size_t)value;
    return true;
}

static void print_count(const struct setting *row, const void *target, struct text *out)
{
    size_t value;
    if (row->size == sizeof(uint16_t))
        value = *(const uint16_t *)target;
    else if (row->size == sizeof(unsigned))
        value = *(const unsigned *)target;
    else
        value = *(const size_t *)target;

    if (value > 0 || row->min == 0)
        text_printf(out, "%zu", value);
}

const struct setting_kind kind_count = {parse_count, print_count};

/* --- words ------------------------------------------------------------------------ */

/* The target is an enum, with the index of the word. */
static bool parse_word(const struct setting *row, const char *text, size_t len,
                       void *target, struct err *hint)
{
    (void)hint;
    assert(row->size == sizeof(unsigned));
    for (unsigned i = 0; i <= row->max; i++)
        if (row->words[i] && text_equals_nocase(text, len, row->words[i])) {
            *(unsigned *)target = i;
            return true;
        }
    return false;
}

static void print_word(const struct setting *row, const void *target, struct text *out)
{
    text_append_str(out, row->words[*(const unsigned *)target]);
}

const struct setting_kind kind_word = {parse_word, print_word};

/* --- paths ------------------------------------------------------------------------ */

static bool parse_path(const struct setting *row, const char *text, size_t len,
                       void *target, struct err *hint)
{
    if (len >= row->size)
        return err_set(hint, ERR_INVALID, "it has %zu", len);

    memcpy(target, text, len);
    return true;
}

/* Prints a plain path as it is, any other in double quotes, escaped for one line. */
static void print_path(const struct setting *row, const void *target, struct text *out)
{
    (void)row;
    const char *path = target;
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789/._-+@%:,=~";
    if (path[strspn(path, plain)] == '\0') {
        text_append_str(out, path);
        return;
    }

    text_append_str(out, "\"");
    for (const char *c = path; *c; c++) {
        char shown[SHOWN_SIZE];
        text_append_str(out, text_shown(c, 1, shown));
    }
    text_append_str(out, "\"");
}

const struct setting_kind kind_path = {parse_path, print_path};

/* --- names of places --------------------------------------------------------------- */

static bool parse_place(const struct setting *row, const char *text, size_t len,
                        void *target, struct err *hint)
{
    (void)row;
    (void)hint;
    return place_name_parse(text, len, target);
}

static void print_place(const struct setting *row, const void *target, struct text *out)
{
    (void)row;
    text_append_str(out, target);
}

const struct setting_kind kind_place = {parse_place, print_place};

/* --- rates ------------------------------------------------------------------------ */

static const struct {
    const char *suffix;
    unsigned seconds;
} rate_units[] = {
    {"/s", 1},
    {"/min", 60},
    {"/h", 3600},
};

static bool parse_rate(const struct setting *row, const char *text, size_t len,
                       void *target, struct err *hint)
{
    (void)row;
    struct rate *rate = target;
    if (len == 1 && text[0] == '0') {
        rate->per_second = 0.0;
        return true;
    }

    const char *slash = memchr(text, '/', len);
    size_t digits = slash ? (size_t)(slash - text) : 0;
    for (size_t i = 0; slash && i < sizeof rate_units / sizeof *rate_units; i++) {
        unsigned seconds = rate_units[i].seconds;
        uint64_t count;
        if (!text_equals_nocase(slash, len - digits, rate_units[i].suffix) ||
            !text_parse_u64(text, digits, (uint64_t)RATE_PER_SECOND_MAX * seconds, &count))
            continue;
        if (count == 0)
            return err_set(hint, ERR_INVALID, "give 0 without a unit");
        rate->per_second = (double)count / seconds;
        return true;
    }
    return false;
}

/* Per minute, as most people write it, if that is exact, else per hour: one of the two
 * gives back what was parsed, since a rate per second is 60 per minute. */
static void print_rate(const struct setting *row, const void *target, struct text *out)
{
    (void)row;
    double per_second = ((const struct rate *)target)->per_second;
    if (per_second <= 0.0) {
        text_append_str(out, "0");
        return;
    }

    uint64_t per_minute = (uint64_t)(per_second * 60 + 0.5);
    double error = (double)per_minute / 60 - per_second;
    if (per_minute > 0 && error < 1e-9 && error > -1e-9)
        text_printf(out, "%llu/min", (unsigned long long)per_minute);
    else
        text_printf(out, "%llu/h", (unsigned long long)(per_second * 3600 + 0.5));
}

const struct setting_kind kind_rate = {parse_rate, print_rate};

/* --- seconds ---------------------------------------------------------------------- */

#define FRACTION_DIGITS_MAX 9 /* a span counts nanoseconds */

/* "5", "5.0" or "0.75": digits on both sides of a point, no sign, no exponent. */
static bool parse_decimal(const char *text, size_t len, uint64_t max_whole, int64_t *ret_ns)
{
    const char *point = memchr(text, '.', len);
    size_t whole_len = point ? (size_t)(point - text) : len;
    uint64_t whole;
    if (!text_parse_u64(text, whole_len, max_whole, &whole))
        return false;

    uint64_t fraction = 0;
    if (point) {
        size_t digits = len - whole_len - 1;
        if (digits > FRACTION_DIGITS_MAX ||
            !text_parse_u64(point + 1, digits, (uint64_t)NS_PER_SECOND - 1, &fraction))
            return false;
        for (size_t i = digits; i < FRACTION_DIGITS_MAX; i++)
            fraction *= 10;
    }
    *ret_ns = (int64_t)whole * NS_PER_SECOND + (int64_t)fraction;
    return true;
}

static bool parse_seconds(const struct setting *row, const char *text, size_t len,
                          void *target, struct err *hint)
{
    int64_t ns;
    if (!parse_decimal(text, len, 1000000, &ns)) {
        if (text[len - 1] == 's')
            return err_set(hint, ERR_INVALID, "leave out the unit");
        return false;
    }
    if (ns < row->min * NS_PER_MS || ns > row->max * NS_PER_MS)
        return false;

    *(struct span *)target = (struct span){ns};
    return true;
}

static void print_seconds(const struct setting *row, const void *target, struct text *out)
{
    (void)row;
    int64_t ns = ((const struct span *)target)->ns;
    char fraction[16];
    int len =
        snprintf(fraction, sizeof fraction, "%09lld", (long long)(ns % NS_PER_SECOND));
    while (len > 1 && fraction[len - 1] == '0')
        fraction[--len] = '\0';
    text_printf(out, "%lld.%s", (long long)(ns / NS_PER_SECOND), fraction);
}

const struct setting_kind kind_seconds = {parse_seconds, print_seconds};
