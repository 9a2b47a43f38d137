/* SPDX-License-Identifier: MIT
 *
 * What iptables-save and ip6tables-save write: iptables-extensions(8).
 */
#include "verifier/ruleset.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define WORDS_MAX 128 /* of one line */
#define LINE_MAX  4096

struct reader {
    struct ruleset *ruleset;
    char table[16];
};

/* One rule: its words, and which of them has been read. */
struct line {
    char text[LINE_MAX];
    char *words[WORDS_MAX];
    size_t count;
    size_t at;
};

/* Words are separated by spaces; quotation marks keep a comment together. */
static bool line_split(struct line *line, const char *text, size_t len)
{
    if (len >= sizeof line->text)
        return false;
    memcpy(line->text, text, len);
    line->text[len] = '\0';
    line->count = line->at = 0;
    for (char *c = line->text; *c != '\0';) {
        c += strspn(c, " ");
        bool is_quoted = *c == '"';
        char *end = c + is_quoted;
        while (*end != '\0' && *end != (is_quoted ? '"' : ' '))
            end += *end == '\\' && end[1] != '\0' ? 2 : 1;
        if (end == c)
            break;
        if (line->count == WORDS_MAX)
            return false;
        line->words[line->count++] = c + is_quoted;
        c = *end != '\0' ? end + 1 : end;
        *end = '\0';
    }
    return true;
}

static const char *word_next(struct line *line)
{
    return line->at < line->count ? line->words[line->at++] : "";
}

static size_t chain_of(const struct reader *reader, const char *chain)
{
    char name[FILTER_NAME_SIZE];
    int len =
        snprintf(name, sizeof name, "iptables table %s, chain %s", reader->table, chain);
    if (len < 0 || (size_t)len >= sizeof name) {
        reader->ruleset->has_failed = true;
        return NONE;
    }
    return ruleset_chain(reader->ruleset, name);
}

/* --- conditions ----------------------------------------------------------------------- */

static bool port_read(const char *text, size_t len, uint64_t *ret)
{
    return text_parse_u64(text, len, UINT16_MAX, ret);
}

/* "80", "80:90", and of multiport several of them. */
static void ports_read(const struct reader *reader, struct rule *rule, const char *list,
                       bool is_outside)
{
    bool is_known = !rule->has_ports;
    while (is_known && *list != '\0') {
        size_t len = strcspn(list, ",");
        size_t first_len = strcspn(list, ",:");
        uint64_t first = 0;
        uint64_t last = UINT16_MAX;
        is_known = first_len == 0 || port_read(list, first_len, &first);
        if (first_len == len)
            last = first;
        else if (len > first_len + 1)
            is_known =
                is_known && port_read(list + first_len + 1, len - first_len - 1, &last);
        if (is_known)
            ruleset_range(reader->ruleset, rule, (unsigned)first, (unsigned)last);
        list += len + (list[len] == ',');
    }
    if (is_known) {
        rule->has_ports = true;
        rule->is_outside = is_outside;
    } else {
        rule_require(rule, CERTAINTY_MAYBE);
    }
}

static bool list_has(const char *list, const char *word)
{
    for (;;) {
        size_t len = strcspn(list, ",");
        if (len == strlen(word) && memcmp(list, word, len) == 0)
            return true;
        if (list[len] == '\0')
            return false;
        list += len + 1;
    }
}

static enum certainty is_true(bool condition)
{
    return condition ? CERTAINTY_YES : CERTAINTY_NO;
}

static unsigned flags_read(const char *list)
{
    unsigned flags = 0;
    if (strcmp(list, "ALL") == 0)
        return 0x3f;
    for (;;) {
        size_t len = strcspn(list, ",");
        flags |= tcp_flag_of(list, len); /* "NONE" adds none */
        if (list[len] == '\0')
            return flags;
        list += len + 1;
    }
}

/* "--tcp-flags FIN,SYN,RST,ACK SYN": of those, these alone are set. */
static enum certainty flags_compare(const char *mask, const char *flags)
{
    return is_true((flags_read(mask) & TCP_FLAG_SYN) == flags_read(flags));
}

/* "1024:65535", ":1023" or "53" */
static enum certainty source_port_compare(const char *text)
{
    const char *colon = strchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : strlen(text);
    uint64_t first = 0;
    uint64_t last = UINT16_MAX;
    if (len > 0 && !port_read(text, len, &first))
        return CERTAINTY_MAYBE;
    if (!colon)
        last = first;
    else if (colon[1] != '\0' && !port_read(colon + 1, strlen(colon + 1), &last))
        return CERTAINTY_MAYBE;
    return source_port_is_in((unsigned)first, (unsigned)last);
}

/* What an option with one value says; false: it is not known here. */
static bool condition_read(const struct reader *reader, const char *option,
                           const char *value, enum certainty *ret)
{
    if (strcmp(option, "-p") == 0)
        *ret = is_true(strcmp(value, "tcp") == 0 || strcmp(value, "all") == 0 ||
                       strcmp(value, "6") == 0);
    else if (strcmp(option, "-i") == 0)
        *ret = view_has_interface(&reader->ruleset->view, value, '+');
    else if (strcmp(option, "-d") == 0 || strcmp(option, "--dst-range") == 0)
        *ret = view_has_address(&reader->ruleset->view, value);
    else if (strcmp(option, "-s") == 0 || strcmp(option, "--src-range") == 0)
        *ret = view_has_source(&reader->ruleset->view, value);
    else if (strcmp(option, "--sport") == 0)
        *ret = source_port_compare(value);
    else if (strcmp(option, "--pkt-type") == 0)
        *ret = is_true(strcmp(value, "unicast") == 0);
    else if (strcmp(option, "--dst-type") == 0)
        *ret = is_true(list_has(value, "LOCAL"));
    else
        return false;
    return true;
}

/* --- what a rule does ----------------------------------------------------------------- */

static void target_read(const struct reader *reader, struct rule *rule, const char *target,
                        bool is_goto)
{
    static const struct {
        const char *name;
        enum rule_verdict verdict;
    } rows[] = {
        {"ACCEPT", RULE_ACCEPTS},     {"DROP", RULE_DROPS},
        {"REJECT", RULE_DROPS},       {"RETURN", RULE_RETURNS},
        {"DNAT", RULE_LEADS},         {"REDIRECT", RULE_REDIRECTS},
        {"LOG", RULE_GOES_ON},        {"NFLOG", RULE_GOES_ON},
        {"MARK", RULE_GOES_ON},       {"CONNMARK", RULE_GOES_ON},
        {"MASQUERADE", RULE_GOES_ON}, {"TCPMSS", RULE_GOES_ON},
        {"NFQUEUE", RULE_UNSURE},     {"TPROXY", RULE_UNSURE},
        {"SYNPROXY", RULE_UNSURE},    {"CT", RULE_GOES_ON},
        {"NOTRACK", RULE_UNTRACKS},   {"TRACE", RULE_GOES_ON},
    };
    for (size_t i = 0; !is_goto && i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].name, target) == 0) {
            rule->verdict = rows[i].verdict;
            return;
        }
    rule->verdict = is_goto ? RULE_GOES_TO : RULE_JUMPS;
    rule->target = chain_of(reader, target);
    /* A chain has been declared at the top of its table; the rest are other targets. */
    if (rule->target != NONE && !reader->ruleset->chains[rule->target].is_declared)
        rule->verdict = RULE_UNSURE;
}

/* "10.88.0.2:8080", "[fd00::2]:8080" or "10.88.0.2-10.88.0.9:8080". */
static void lead_read(struct rule *rule, const char *to)
{
    bool is_bracketed = to[0] == '[';
    size_t colons = 0;
    for (const char *c = to; *c != '\0'; c++)
        colons += *c == ':';
    size_t len = is_bracketed  ? strcspn(++to, "]")
                 : colons == 1 ? strcspn(to, ":")
                               : strlen(to);
    snprintf(rule->to, sizeof rule->to, "%.*s", (int)len, to);
    if (len == 0)
        rule->verdict = RULE_REDIRECTS;
}

static void states_read(struct rule *rule, const char *list, bool is_outside)
{
    static const char *const words[] = {"NEW", "UNTRACKED", "INVALID"}; /* as TRACKED_* */
    unsigned states = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (list_has(list, words[i]) != is_outside)
            states |= TRACKED_NEW << i;
    rule->states &= states;
}

static void option_read(const struct reader *reader, struct rule *rule, struct line *line,
                        const char *option, bool is_not)
{
    enum certainty found;
    if (strcmp(option, "-j") == 0 || strcmp(option, "-g") == 0) {
        target_read(reader, rule, word_next(line), option[1] == 'g');
    } else if (strcmp(option, "--to-destination") == 0) {
        lead_read(rule, word_next(line));
    } else if (strcmp(option, "--dport") == 0 || strcmp(option, "--dports") == 0) {
        ports_read(reader, rule, word_next(line), is_not);
    } else if (strcmp(option, "--ctstate") == 0 || strcmp(option, "--state") == 0) {
        states_read(rule, word_next(line), is_not);
    } else if (strcmp(option, "--notrack") == 0) {
        rule->verdict = RULE_UNTRACKS; /* of "-j CT" */
    } else if (strcmp(option, "-m") == 0 || strcmp(option, "--comment") == 0 ||
               strcmp(option, "--reject-with") == 0 ||
               strncmp(option, "--log-", strlen("--log-")) == 0) {
        word_next(line);
    } else if (strcmp(option, "--tcp-flags") == 0) {
        const char *mask = word_next(line);
        found = flags_compare(mask, word_next(line));
        rule_require(rule, is_not ? certainty_not(found) : found);
    } else if (strcmp(option, "-f") == 0 || strcmp(option, "--invert") == 0) {
        /* Later fragments; with rpfilter, senders to whom no route leads. */
        rule_require(rule, is_not ? CERTAINTY_YES : CERTAINTY_NO);
    } else if (line->at < line->count &&
               condition_read(reader, option, line->words[line->at], &found)) {
        line->at++;
        rule_require(rule, is_not ? certainty_not(found) : found);
    } else if (rule->verdict == RULE_GOES_ON) {
        /* What follows the target belongs to it. */
        rule_require(rule, CERTAINTY_MAYBE);
    }
}

static void rule_read(const struct reader *reader, struct line *line)
{
    struct rule rule = {.match = CERTAINTY_YES, .states = TRACKED_ANY};
    line->at = 1; /* past "-A" */
    size_t chain = chain_of(reader, word_next(line));
    bool is_not = false;
    while (line->at < line->count) {
        const char *word = word_next(line);
        if (strcmp(word, "!") == 0) {
            is_not = true;
            continue;
        }
        option_read(reader, &rule, line, word, is_not);
        is_not = false;
    }
    if (rule.match != CERTAINTY_NO)
        ruleset_rule(reader->ruleset, chain, &rule);
}

/* --- lines ---------------------------------------------------------------------------- */

static void chain_read(const struct reader *reader, struct line *line)
{
    line->at = 0;
    const char *name = word_next(line) + 1; /* past ":" */
    size_t at = chain_of(reader, name);
    if (at == NONE)
        return;
    struct chain *chain = &reader->ruleset->chains[at];
    bool is_nat = strcmp(reader->table, "nat") == 0;
    bool is_early = strcmp(name, "PREROUTING") == 0;
    chain->is_declared = true;
    chain->is_early = is_early && strcmp(reader->table, "raw") == 0;
    /* Of the two kinds of iptables, either one may drop. */
    chain->drops_by_policy = strcmp(word_next(line), "DROP") == 0 || chain->drops_by_policy;
    if (is_nat && is_early)
        chain->hook = HOOK_LEADS;
    else if (!is_nat && (is_early || strcmp(name, "INPUT") == 0))
        chain->hook = HOOK_FILTERS;
}

static void line_read(struct reader *reader, const char *text, size_t len)
{
    struct line line;
    if (len == 0 || text[0] == '#')
        return;
    if (!line_split(&line, text, len)) {
        reader->ruleset->has_failed = true;
        return;
    }
    if (text[0] == '*')
        snprintf(reader->table, sizeof reader->table, "%s", line.words[0] + 1);
    else if (text[0] == ':' && line.count > 1)
        chain_read(reader, &line);
    else if (line.count > 2 && strcmp(line.words[0], "-A") == 0)
        rule_read(reader, &line);
}

bool ruleset_add_iptables(struct ruleset *ruleset, const char *text, size_t len)
{
    struct reader reader = {.ruleset = ruleset};
    while (len > 0 && !ruleset->has_failed) {
        const char *end = memchr(text, '\n', len);
        size_t line_len = end ? (size_t)(end - text) : len;
        line_read(&reader, text, line_len);
        text += line_len + (end != NULL);
        len -= line_len + (end != NULL);
    }
    return !ruleset->has_failed;
}
