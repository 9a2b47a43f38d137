/* SPDX-License-Identifier: MIT */
#include "field_options.h"

#include <string.h>

#include "base/text.h"

#define NUMBER_MAX (UINT64_C(1) << 40)

static bool is_number(const char *text, uint64_t max, uint64_t *ret)
{
    return text && text_parse_u64(text, strlen(text), max, ret);
}

static bool read_number(char **fields, uint64_t *ret)
{
    return is_number(strsep(fields, ","), NUMBER_MAX, ret);
}

static bool read_ms(char **fields, struct span *ret)
{
    uint64_t ms;

    if (!read_number(fields, &ms))
        return false;
    *ret = span_ms((int64_t)ms);
    return true;
}

static bool parse_icmp(char *text, struct action *ret)
{
    uint64_t type, code;

    if (!is_number(strsep(&text, "/"), 255, &type) || !is_number(text, 255, &code))
        return false;
    *ret = (struct action){ACTION_ICMP, (uint8_t)type, (uint8_t)code};
    return true;
}

static bool read_action(char **fields, struct action *ret)
{
    char *text = strsep(fields, ",");

    if (!text)
        return false;
    ret->kind = strcmp(text, "drop") == 0    ? ACTION_DROP
                : strcmp(text, "reset") == 0 ? ACTION_RESET
                                             : ACTION_NONE;
    return ret->kind != ACTION_NONE || parse_icmp(text, ret);
}

/* Its index in `words`, which end with NULL, or -1. */
static int index_of(const char *word, const char *const *words)
{
    for (int i = 0; word && words[i]; i++)
        if (strcmp(word, words[i]) == 0)
            return i;
    return -1;
}

static bool read_seed(struct field_options *options, char **fields)
{
    return read_number(fields, &options->seed);
}

static bool read_rtt(struct field_options *options, char **fields)
{
    uint64_t us;

    if (!read_number(fields, &us))
        return false;
    options->one_way = (struct span){(int64_t)us * 1000 / 2};
    return true;
}

static bool read_loss(struct field_options *options, char **fields)
{
    return read_number(fields, &options->loss);
}

static bool read_outages(struct field_options *options, char **fields)
{
    return read_ms(fields, &options->outages_good) &&
           read_ms(fields, &options->outages_min) &&
           read_ms(fields, &options->outages_max) && options->outages_good.ns > 0 &&
           options->outages_min.ns > 0 &&
           options->outages_min.ns <= options->outages_max.ns;
}

static bool read_outage(struct field_options *options, char **fields)
{
    return read_number(fields, &options->outage_after) &&
           read_ms(fields, &options->outage) && options->outage_after > 0;
}

static bool read_path(struct field_options *options, char **fields)
{
    static const char *const kinds[] = {"low", "xor", "hash", NULL};
    int kind = index_of(strsep(fields, ","), kinds);

    options->path = (enum path_kind)(kind + 1);
    return kind >= 0 && read_number(fields, &options->path_count) &&
           read_number(fields, &options->path_dead) &&
           options->path_dead < options->path_count;
}

static bool read_flap(struct field_options *options, char **fields)
{
    return read_ms(fields, &options->flap) && read_action(fields, &options->flap_action);
}

static bool read_scan(struct field_options *options, char **fields)
{
    struct scan_rule *scan = &options->scan;

    if (!read_number(fields, &scan->ports) || !read_ms(fields, &scan->ban) ||
        !read_ms(fields, &scan->window) || !read_action(fields, &scan->action))
        return false;
    scan->renews = *fields != NULL;
    return !scan->renews || strcmp(strsep(fields, ","), "renew") == 0;
}

static bool read_scan_closed(struct field_options *options, char **fields)
{
    options->scan.counts_closed_only = true;
    return read_scan(options, fields);
}

static bool read_recent(struct field_options *options, char **fields)
{
    uint64_t seconds;

    if (!read_number(fields, &options->recent_hits) || !read_number(fields, &seconds))
        return false;
    options->recent = span_seconds((int64_t)seconds);
    return read_action(fields, &options->recent_action);
}

static bool read_rate(char **fields, struct rate *ret)
{
    return read_number(fields, &ret->per_minute) && read_number(fields, &ret->burst) &&
           ret->per_minute > 0 && ret->burst > 0;
}

static bool read_limit(struct field_options *options, char **fields)
{
    return read_rate(fields, &options->limit) &&
           read_action(fields, &options->limit_action);
}

static bool read_connections(struct field_options *options, char **fields)
{
    return read_number(fields, &options->connections) &&
           read_action(fields, &options->connections_action);
}

static bool read_resets(struct field_options *options, char **fields)
{
    return read_number(fields, &options->resets) && options->resets > 0;
}

static bool read_icmps(struct field_options *options, char **fields)
{
    return read_rate(fields, &options->icmps);
}

static bool read_icmp_from(struct field_options *options, char **fields)
{
    static const char *const senders[] = {"router", "target", NULL};
    int sender = index_of(strsep(fields, ","), senders);

    options->is_icmp_from_target = sender == 1;
    return sender >= 0;
}

static bool parse_rule(char *kind, char *number, struct port_rule *ret)
{
    static const char *const kinds[] = {"closed", "open",  "silent", "icmp",
                                        "slow",   "queue", "skip",   NULL};
    int index = index_of(kind, kinds);
    uint64_t value = 0;

    if (index < 0)
        return false;
    *ret = (struct port_rule){.kind = (enum port_kind)index};
    if (ret->kind == PORT_ICMP)
        return number && parse_icmp(number, &ret->icmp);
    if ((number != NULL) != (ret->kind > PORT_ICMP))
        return false;
    if (number && !is_number(number, UINT32_MAX, &value))
        return false;
    ret->number = (uint32_t)value;
    return true;
}

static bool read_ports(struct field_options *options, char **fields)
{
    char *ranges = strsep(fields, ":"), *kind = strsep(fields, ":"), *number = *fields;
    struct port_rule rule;

    *fields = NULL;
    if (!parse_rule(kind, number, &rule))
        return false;
    while (ranges) {
        char *last_text = strsep(&ranges, ","), *first_text = strsep(&last_text, "-");
        uint64_t first, last;
        if (!is_number(first_text, PORT_COUNT - 1, &first) ||
            !is_number(last_text ? last_text : first_text, PORT_COUNT - 1, &last))
            return false;
        for (uint64_t port = first; port <= last; port++)
            options->ports[port] = rule;
    }
    return true;
}

static const struct {
    const char *name;
    bool (*read)(struct field_options *options, char **fields);
} readers[] = {
    {"seed", read_seed},       {"rtt_us", read_rtt},    {"loss", read_loss},
    {"outages", read_outages}, {"outage", read_outage}, {"path", read_path},
    {"flap", read_flap},       {"scan", read_scan},     {"scan_closed", read_scan_closed},
    {"recent", read_recent},   {"limit", read_limit},   {"connections", read_connections},
    {"resets", read_resets},   {"icmps", read_icmps},   {"icmp_from", read_icmp_from},
    {"ports", read_ports},
};

bool field_options_read(struct field_options *options, char *word)
{
    const char *name = strsep(&word, "=");

    for (size_t i = 0; word && i < sizeof readers / sizeof *readers; i++)
        if (strcmp(name, readers[i].name) == 0)
            return readers[i].read(options, &word) && !word;
    return false;
}
