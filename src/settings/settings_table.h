/* SPDX-License-Identifier: MIT
 *
 * Internals of settings/: the rows of settings.def as data, and the kinds of values that a
 * row may have. Not for other folders.
 */
#pragma once

#include "settings/settings.h"

struct setting;
struct text;

#define RATE_PER_SECOND_MAX 1000000

/* How values of one kind are read and shown. */
struct setting_kind {
    /* Reads `text`, which is not empty and has no white space around it, into `target`,
     * the row's member of struct settings, zero until then. On failure it may put
     * into `hint` what helps beyond the row's `accepted`. */
    bool (*parse)(const struct setting *row, const char *text, size_t len, void *target,
                  struct err *hint);
    /* Prints a value in a form that parse() reads; prints nothing if it is `unset`. */
    void (*print)(const struct setting *row, const void *target, struct text *out);
};

/* One row; the texts are described in settings.def. `accepted` completes "accepted: ". */
struct setting {
    const char *name;
    const char *default_text;
    const char *unset;
    const char *accepted;
    const char *help;
    const struct setting_kind *kind;
    size_t offset; /* of the member in struct settings */
    size_t size;
    int64_t
        min; /* counts: as they are; spans: milliseconds; words: `max` is the last index */
    int64_t max;
    const char *const *words; /* by the value of the enum; NULL = a value without a word */
};

enum setting_id {
#define SECTION(first, title)
#define SETTING(id, ...) SETTING_##id,
#include "settings/settings.def"
#undef SECTION
#undef SETTING
    SETTING_COUNT,
};

extern const struct setting settings_table[SETTING_COUNT];

/* The title of the group that begins with this row; NULL inside a group. */
extern const char *const settings_sections[SETTING_COUNT];

extern const struct setting_kind kind_address;
extern const struct setting_kind kind_bool;
extern const struct setting_kind kind_cidrs;
extern const struct setting_kind kind_count;
extern const struct setting_kind kind_issuer;
extern const struct setting_kind kind_nats_urls;
extern const struct setting_kind kind_origins;
extern const struct setting_kind kind_path;
extern const struct setting_kind kind_place;
extern const struct setting_kind kind_places;
extern const struct setting_kind kind_rate;
extern const struct setting_kind kind_seconds;
extern const struct setting_kind kind_word;

/* Text from outside for one line of a terminal: bytes other than printable ASCII become
 * \xHH, `"` and `\` get a backslash, and a long text ends in "...". Returns `ret`. */
#define SHOWN_SIZE 56
const char *text_shown(const char *text, size_t len, char ret[SHOWN_SIZE]);

/* The next item of a list that is separated by commas and white space. False at its end;
 * several separators count as one. */
bool list_next(const char **text, size_t *len, const char **ret_item, size_t *ret_len);

/* --- for code that prints the table ------------------------------------------------ */

/* The default, or what applies without one. */
const char *setting_shown_default(const struct setting *row);

/* The next word of a text of the table; false at its end. `*ret_is_paragraph` is set if it
 * follows a newline. */
bool word_next(const char **text, const char **ret_word, size_t *ret_len,
               bool *ret_is_paragraph);

/* The help of a row and what it accepts, plain, without backticks, each line after
 * `prefix` and within 79 columns. */
void setting_print_help(const char *prefix, const struct setting *row, FILE *out);
