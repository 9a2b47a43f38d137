/* SPDX-License-Identifier: MIT
 *
 * From the environment and the file to one struct settings. All texts are collected first
 * and read afterwards, in the order of the table: a value that is overridden is never
 * judged.
 */
#include "settings/settings.h"

#include "base/err.h"
#include "base/fd.h"
#include "base/libc.h"
#include "base/nearest.h"
#include "settings/dotenv.h"
#include "settings/settings_table.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_FILE ".env"
#define WARNINGS_MAX 16

/* Everything collected before the settings are parsed. */
struct sources {
    const char *from_environment[SETTING_COUNT]; /* borrowed; NULL = not set */
    char *from_file[SETTING_COUNT];              /* owned; NULL = not set */
    char file_shown[SHOWN_SIZE];                 /* the file's name, fit for messages */
    settings_warn_fn *warn;
    void *warn_ctx;
    unsigned warnings;
};

/* --- names ------------------------------------------------------------------------ */

static bool find_setting(const char *name, size_t len, size_t *ret_id)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const char *known = settings_table[i].name;
        if (strlen(known) != len || memcmp(known, name, len) != 0)
            continue;
        *ret_id = i;
        return true;
    }
    return false;
}

/* Warns about an unknown name that looks like one of ours. */
static void check_unknown(struct sources *s, const char *name, size_t len, const char *from)
{
    static const char prefix[] = "PORT_CHECK";
    size_t prefix_len = sizeof prefix - 1;
    if (len < prefix_len || strncasecmp(name, prefix, prefix_len) != 0 ||
        s->warnings > WARNINGS_MAX)
        return;
    if (s->warnings++ == WARNINGS_MAX) {
        s->warn(s->warn_ctx, "more unknown settings are not shown");
        return;
    }

    char shown[SHOWN_SIZE];
    char message[320];
    snprintf(message, sizeof message, "unknown setting %s (from %s); did you mean %s?",
             text_shown(name, len, shown), from,
             nearest_name(name, len, &settings_table->name, sizeof *settings_table,
                          SETTING_COUNT, UINT_MAX));
    s->warn(s->warn_ctx, message);
}

/* --- texts ------------------------------------------------------------------------ */

/* The value without surrounding white space; false if nothing is left. */
static bool trim(const char *value, const char **ret_text, size_t *ret_len)
{
    static const char spaces[] = " \t\r\n";
    const char *text = value + strspn(value, spaces);
    size_t len = strlen(text);
    while (len > 0 && strchr(spaces, text[len - 1]))
        len--;
    if (len == 0)
        return false;

    *ret_text = text;
    *ret_len = len;
    return true;
}

static bool is_set(const char *value)
{
    const char *text;
    size_t len;
    return value && trim(value, &text, &len);
}

static void read_environment(struct sources *s, char *const environment[])
{
    for (size_t i = 0; environment[i]; i++) {
        const char *name = environment[i];
        const char *equals = strchr(name, '=');
        if (!equals)
            continue;

        size_t len = (size_t)(equals - name);
        size_t id;
        if (!find_setting(name, len, &id))
            check_unknown(s, name, len, "the environment");
        else if (!s->from_environment[id] && is_set(equals + 1))
            s->from_environment[id] = equals + 1;
    }
}

static bool take_pair(void *ctx, const char *name, const char *value, struct err *err)
{
    struct sources *s = ctx;
    size_t len = strlen(name);
    size_t id;
    if (!find_setting(name, len, &id)) {
        check_unknown(s, name, len, s->file_shown);
        return true;
    }

    free(s->from_file[id]);
    s->from_file[id] = NULL;
    if (!is_set(value))
        return true;

    s->from_file[id] = strdup(value);
    return s->from_file[id] ? true : err_sys(err, ENOMEM, "%s", name);
}

/* `.env` may be missing, but a dangling link there is an error. */
static bool may_be_missing(const char *env_file)
{
    struct stat st;
    return !env_file && lstat(DEFAULT_FILE, &st) != 0 && errno == ENOENT;
}

static bool parse_file(struct sources *s, const char *data, size_t len, struct err *err)
{
    static const char mark[] = "\xef\xbb\xbf";
    size_t mark_len = sizeof mark - 1;
    if (len >= mark_len && memcmp(data, mark, mark_len) == 0) {
        data += mark_len;
        len -= mark_len;
    }
    return dotenv_parse(data, len, take_pair, s, err) ||
           err_prefix(err, "%s", s->file_shown);
}

static bool read_file(struct sources *s, const char *env_file, struct err *err)
{
    const char *path = env_file ? env_file : DEFAULT_FILE;
    text_shown(path, strlen(path), s->file_shown);

    /* One byte more than allowed, so that fd_read_file() sees the end of the file. */
    char *data = malloc(SETTINGS_FILE_MAX + 1);
    if (!data)
        return err_sys(err, ENOMEM, "%s", s->file_shown);

    size_t len;
    struct err why;
    bool ok = fd_read_file(path, data, SETTINGS_FILE_MAX + 1, &len, &why);
    if (ok)
        ok = parse_file(s, data, len, err);
    else if (why.kind == ERR_LIMIT)
        err_set(err, ERR_INVALID, "%s: longer than 1 MiB", s->file_shown);
    else if (why.errnum == ENOENT && may_be_missing(env_file))
        ok = true;
    else
        err_set(err, ERR_INVALID, "%s: %s", s->file_shown, libc_error_text(why.errnum));
    free(data);
    return ok;
}

/* --- values ----------------------------------------------------------------------- */

/* The text that applies to a setting and where it came from; NULL if it is not set. */
static const char *effective(const struct sources *s, size_t id, const char **ret_from)
{
    if (s->from_environment[id]) {
        *ret_from = "the environment";
        return s->from_environment[id];
    }
    if (s->from_file[id]) {
        *ret_from = s->file_shown;
        return s->from_file[id];
    }
    *ret_from = "the defaults";
    return *settings_table[id].default_text ? settings_table[id].default_text : NULL;
}

static bool read_value(const struct sources *s, size_t id, struct settings *settings,
                       struct err *err)
{
    const struct setting *row = &settings_table[id];
    const char *from;
    const char *value = effective(s, id, &from);
    const char *text;
    size_t len;
    if (!value || !trim(value, &text, &len))
        return true;

    struct err hint = {.message = ""};
    void *target = (char *)settings + row->offset;
    if (row->kind->parse(row, text, len, target, &hint))
        return true;

    char shown[SHOWN_SIZE];
    return err_set(err, ERR_INVALID, "%s=\"%s\" (from %s) is not valid; accepted: %s%s%s%s",
                   row->name, text_shown(text, len, shown), from, row->accepted,
                   hint.message[0] ? " (" : "", hint.message, hint.message[0] ? ")" : "");
}

/* The source of a setting that is set; NULL otherwise. */
static const char *source_of(const struct sources *s, size_t id)
{
    const char *from;
    return effective(s, id, &from) ? from : NULL;
}

static bool check_pair(const struct sources *s, size_t one, size_t other, struct err *err)
{
    const char *from_one = source_of(s, one), *from_other = source_of(s, other);
    if (!from_one == !from_other)
        return true;
    return err_set(
        err, ERR_INVALID, "%s is not set, but %s is (from %s): set both or neither",
        settings_table[from_one ? other : one].name,
        settings_table[from_one ? one : other].name, from_one ? from_one : from_other);
}

/* Settings that have no effect without another one are refused without it. */
static bool check_needs(const struct sources *s, struct err *err)
{
    static const struct {
        size_t given, needed;
    } needs[] = {
        {SETTING_RECEIPT_OTHER_KEY, SETTING_RECEIPT_KEY},
        {SETTING_FRONT, SETTING_NATS_URL},
        {SETTING_VANTAGE, SETTING_NATS_URL},
        {SETTING_NATS_CREDENTIALS, SETTING_NATS_URL},
        {SETTING_NATS_CA, SETTING_NATS_URL},
        {SETTING_VANTAGES, SETTING_FRONT},
        {SETTING_QUORUM, SETTING_FRONT},
    };
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++) {
        const char *from = source_of(s, needs[i].given);
        if (from && !source_of(s, needs[i].needed))
            return err_set(err, ERR_INVALID, "%s is set (from %s), but %s is not: set both",
                           settings_table[needs[i].given].name, from,
                           settings_table[needs[i].needed].name);
    }
    return true;
}

static bool check_places(const struct sources *s, const struct settings *settings,
                         struct err *err)
{
    const char *from = source_of(s, SETTING_NATS_URL);
    if (from && !source_of(s, SETTING_FRONT) && !source_of(s, SETTING_VANTAGE))
        return err_set(err, ERR_INVALID,
                       "PORT_CHECKER_NATS_URL is set (from %s), but neither "
                       "PORT_CHECKER_FRONT nor PORT_CHECKER_VANTAGE is: set one or both",
                       from);
    if (settings->vantages.count > 0 && settings->quorum > settings->vantages.count + 1)
        return err_set(err, ERR_INVALID,
                       "PORT_CHECKER_QUORUM=%zu is more than there are places: this one "
                       "and the %zu in PORT_CHECKER_VANTAGES",
                       settings->quorum, settings->vantages.count);
    return true;
}

/* Processors that this process may use. If the mask is wider than cpu_set_t, all processors
 * count. */
static unsigned usable_processors(void)
{
    cpu_set_t set;
    long count = sched_getaffinity(0, sizeof set, &set) == 0
                     ? CPU_COUNT(&set)
                     : sysconf(_SC_NPROCESSORS_ONLN);
    if (count < 1)
        return 1;
    return count > SETTINGS_WORKERS_MAX ? SETTINGS_WORKERS_MAX : (unsigned)count;
}

static bool read_values(const struct sources *s, struct settings *ret, struct err *err)
{
    struct settings settings = {0};
    for (size_t id = 0; id < SETTING_COUNT; id++)
        if (!read_value(s, id, &settings, err))
            return false;
    if (!check_pair(s, SETTING_TLS_CERT, SETTING_TLS_KEY, err) ||
        !check_pair(s, SETTING_RECEIPT_KEY, SETTING_RECEIPT_ISSUER, err) ||
        !check_needs(s, err) || !check_places(s, &settings, err))
        return false;

    address_set_port(&settings.host, settings.port);
    if (settings.workers == 0)
        settings.workers = usable_processors();
    *ret = settings;
    return true;
}

bool settings_load(char *const environment[], const char *env_file, settings_warn_fn *warn,
                   void *warn_ctx, struct settings *ret, struct err *err)
{
    struct sources s = {.warn = warn, .warn_ctx = warn_ctx};
    read_environment(&s, environment);
    bool ok = read_file(&s, env_file, err) && read_values(&s, ret, err);
    for (size_t id = 0; id < SETTING_COUNT; id++)
        free(s.from_file[id]);
    return ok;
}
