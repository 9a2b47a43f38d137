/* SPDX-License-Identifier: MIT */
#include "settings/settings_table.h"

#include <stddef.h>

/* clang-format off */
static const char *const targets_words[] = {
#define X(NAME, text, description) [TARGETS_##NAME] = (text),
    TARGETS_MAP(X)
#undef X
};

/* A vantage point knows no caller. */
static const char *const vantage_targets_words[] = {
    [TARGETS_PUBLIC] = "public",
    [TARGETS_ANY] = "any",
};

static const char *const sandbox_words[] = {
#define X(NAME, text, description) [SANDBOX_##NAME] = (text),
    SANDBOX_MAP(X)
#undef X
};

static const char *const log_format_words[] = {
    [LOG_FORMAT_TEXT] = "text",
    [LOG_FORMAT_JSON] = "json",
};

#define MEMBER(field) \
    .offset = offsetof(struct settings, field), .size = sizeof(((struct settings *)0)->field)

#define TO(field, row_kind, row_accepted) \
    .kind = &(row_kind), .accepted = (row_accepted), MEMBER(field)
#define TO_WORD(field, list, row_accepted) \
    TO(field, kind_word, row_accepted), .words = (list), .max = sizeof(list) / sizeof *(list) - 1
#define SHOWN(number) #number
#define SHOW(number)  SHOWN(number)

/* --- what completes "accepted: ..." --- */
#define TO_ADDRESS(field) \
    TO(field, kind_address, "an IPv4 or IPv6 address without brackets, zone or port")
#define TO_BOOL(field) \
    TO(field, kind_bool, "true, false, 1, 0, yes, no, on or off")
#define TO_CIDRS(field) \
    TO(field, kind_cidrs, \
       "at most " SHOW(CIDR_LIST_MAX) " networks such as 10.0.0.0/8 or ::1")
#define TO_COUNT(field, low, high) \
    TO(field, kind_count, SHOW(low) " to " SHOW(high)), .min = (low), .max = (high)
#define TO_ISSUER(field) \
    TO(field, kind_issuer, \
       "a URL of at most 255 characters such as https://checker.example, without a " \
       "trailing slash")
#define TO_LOG_FORMAT(field) \
    TO_WORD(field, log_format_words, "text or json")
#define TO_NATS_URLS(field) \
    TO(field, kind_nats_urls, "at most " SHOW(SETTINGS_NATS_SERVERS_MAX) \
       " URLs such as tls://nats.example.org:4222 or nats://127.0.0.1")
#define TO_ORIGINS(field) \
    TO(field, kind_origins, "* alone, or at most " SHOW(SETTINGS_ORIGINS_MAX) \
       " origins such as https://example.org:8443")
#define TO_PATH(field) \
    TO(field, kind_path, "a path of at most 4095 bytes")
#define TO_PLACE(field) \
    TO(field, kind_place, "a name of at most " SHOW(PLACE_NAME_MAX) \
       " lower-case letters, digits and hyphens, such as eu-1")
#define TO_PLACES(field) \
    TO(field, kind_places, "at most " SHOW(PLACES_MAX) " names such as eu-1,us-1")
#define TO_RATE(field) \
    TO(field, kind_rate, "a rate such as 20/s, 1200/min or 72000/h (at most " \
       SHOW(RATE_PER_SECOND_MAX) "/s), or 0 for no limit")
#define TO_SANDBOX(field) \
    TO_WORD(field, sandbox_words, "auto, require or off")
#define TO_SECONDS(field, low, high) \
    TO(field, kind_seconds, SHOW(low) " to " SHOW(high) " seconds"), \
    .min = (int64_t)((low) * 1000), .max = (int64_t)((high) * 1000)
#define TO_TARGETS(field) \
    TO_WORD(field, targets_words, "auto, caller, public or any")
#define TO_TLS_PRIORITY(field) \
    TO(field, kind_path, "a GnuTLS priority string of at most 511 bytes, such as " \
       SETTINGS_TLS_PRIORITY_EXAMPLE)
#define TO_VANTAGE_TARGETS(field) \
    TO_WORD(field, vantage_targets_words, "public or any")
#define TO_USER(field) \
    TO(field, kind_path, "the name of a user, at most 32 characters")

#define X(NAME, text, description) "\n`" text "`: " description "."
#define TARGETS_HELP TARGETS_MAP(X)
#define SANDBOX_HELP SANDBOX_MAP(X)

#define SECTION(first, title)
#define SETTING(id, row_name, row_default, row_unset, target, row_help)                \
    [SETTING_##id] = {                                                                 \
        .name = (row_name),                                                            \
        .default_text = (row_default),                                                 \
        .unset = (row_unset),                                                          \
        .help = (row_help),                                                            \
        target,                                                                        \
    },
const struct setting settings_table[SETTING_COUNT] = {
#include "settings/settings.def"
};
#undef SECTION
#undef SETTING

#define SECTION(first, title) [SETTING_##first] = (title),
#define SETTING(...)
const char *const settings_sections[SETTING_COUNT] = {
#include "settings/settings.def"
};
/* clang-format on */
