/* SPDX-License-Identifier: MIT */
#include "settings/settings_table.h"

#include <stddef.h>

/* clang-format off */
#define MEMBER(field) \
    .offset = offsetof(struct settings, field), .size = sizeof(((struct settings *)0)->field)

#define TO_ADDRESS(field)           .kind = &kind_address, MEMBER(field)
#define TO_BOOL(field)              .kind = &kind_bool, MEMBER(field)
#define TO_CIDRS(field)             .kind = &kind_cidrs, MEMBER(field)
#define TO_COUNT(field, low, high)  .kind = &kind_count, MEMBER(field), .min = (low), .max = (high)
#define TO_LOG_FORMAT(field)        .kind = &kind_log_format, MEMBER(field)
#define TO_ORIGINS(field)           .kind = &kind_origins, MEMBER(field)
#define TO_PATH(field)              .kind = &kind_path, MEMBER(field)
#define TO_RATE(field)              .kind = &kind_rate, MEMBER(field)
#define TO_SECONDS(field, low, high) \
    .kind = &kind_seconds, MEMBER(field), .min = (low), .max = (high)
#define TO_TARGETS(field)           .kind = &kind_targets, MEMBER(field)

#define X(NAME, text, description) "\n`" text "`: " description "."
#define TARGETS_HELP TARGETS_MAP(X)

#define SECTION(first, title)
#define SETTING(id, row_name, row_default, row_unset, row_accepted, target, row_help)  \
    [SETTING_##id] = {                                                                 \
        .name = (row_name),                                                            \
        .default_text = (row_default),                                                 \
        .unset = (row_unset),                                                          \
        .accepted = (row_accepted),                                                    \
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
