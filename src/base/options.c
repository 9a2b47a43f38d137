/* SPDX-License-Identifier: MIT */
#include "base/options.h"

#include "base/err.h"
#include "base/nearest.h"

#include <string.h>

#define SHOWN_MAX 60 /* bytes of what was given */

struct scan {
    const struct option_table *table;
    char **argv;
    int next;      /* the word after this one */
    uint32_t seen; /* a bit for each row */
    struct option_rest rest;
    options_take_fn *take;
    void *ctx;
};

/* The option with this name, or the only one whose name begins with it; row_count if there
 * is none. */
static size_t row_find(const struct option_table *table, const char *name, size_t len)
{
    size_t found = table->row_count;
    size_t fitting = 0;
    for (size_t i = 0; i < table->row_count; i++) {
        if (len == 0 || strncmp(table->rows[i].name, name, len) != 0)
            continue;
        if (table->rows[i].name[len] == '\0')
            return i;
        found = fitting++ == 0 ? i : table->row_count;
    }
    return found;
}

static bool is_beginning(const struct option_table *table, const char *name, size_t len)
{
    for (size_t i = 0; i < table->row_count; i++)
        if (len > 0 && strncmp(table->rows[i].name, name, len) == 0)
            return true;
    return false;
}

static bool row_take(struct scan *scan, size_t index, const char *value, struct err *err)
{
    const struct option_row *row = &scan->table->rows[index];
    struct err why;
    if ((scan->seen >> index & 1) && !row->is_list)
        return err_set(err, ERR_INVALID, "--%s may be given only once", row->name);
    if (row->value && !value) /* argv ends in NULL */
        value = scan->argv[scan->next++];
    if (row->value && !value)
        return err_set(err, ERR_INVALID, "--%s needs a value, for example --%s %s",
                       row->name, row->name, row->example);
    scan->seen |= (uint32_t)1 << index;
    scan->rest.is_ended = row->is_last;
    if (scan->take(scan->ctx, index, value, &why))
        return true;
    if (why.kind == ERR_INVALID)
        return err_set(err, ERR_INVALID, "\"%.*s\": --%s must be %s, for example %s",
                       SHOWN_MAX, value, row->name, why.message, row->example);
    *err = why;
    return false;
}

static bool long_take(struct scan *scan, const char *name, struct err *err)
{
    const struct option_table *table = scan->table;
    size_t len = strcspn(name, "=");
    size_t index = row_find(table, name, len);
    if (index == table->row_count && is_beginning(table, name, len))
        return err_set(err, ERR_INVALID,
                       "--%.*s is ambiguous: more than one option begins with it", (int)len,
                       name);
    if (index == table->row_count) {
        const char *near = nearest_name(name, len, &table->rows->name, sizeof *table->rows,
                                        table->row_count, len < 6 ? 1 : 2);
        return err_set(err, ERR_INVALID, "unknown option --%.*s%s%s%s",
                       (int)(len < SHOWN_MAX ? len : SHOWN_MAX), name,
                       near ? "; did you mean --" : "", near ? near : "", near ? "?" : "");
    }
    if (name[len] && !table->rows[index].value)
        return err_set(err, ERR_INVALID, "--%s takes no value", table->rows[index].name);
    return row_take(scan, index, name[len] ? name + len + 1 : NULL, err);
}

static bool letters_take(struct scan *scan, const char *letters, struct err *err)
{
    for (; *letters; letters++) {
        const struct option_row *row = scan->table->rows;
        size_t index = 0;
        while (index < scan->table->row_count && row[index].letter != *letters)
            index++;
        if (index == scan->table->row_count)
            return err_set(err, ERR_INVALID, "unknown option -%c", *letters);
        row += index;
        if (!row_take(scan, index, row->value && letters[1] ? letters + 1 : NULL, err))
            return false;
        if (row->value || row->is_last)
            break;
    }
    return true;
}

/* The first operand names the command, unless it is an operand of the default command. */
static bool command_take(struct scan *scan, struct err *err)
{
    const struct option_command *commands = scan->table->commands;
    size_t count = commands->name ? scan->table->command_count : 0;
    const char *word = scan->rest.operand_count > 0 ? scan->rest.operands[0] : "";
    for (size_t i = 0; i < count; i++)
        if (strcmp(commands[i].name, word) == 0) {
            scan->rest.command = i;
            scan->rest.operands++;
            scan->rest.operand_count--;
            return true;
        }
    size_t len = strlen(word);
    const char *near = nearest_name(word, len, &commands->name, sizeof *commands, count, 1);
    return !near ||
           err_set(err, ERR_INVALID, "unknown command %s; did you mean %s?", word, near);
}

static bool rows_check(const struct scan *scan, struct err *err)
{
    const struct option_table *table = scan->table;
    const char *name = table->commands[scan->rest.command].name;
    for (size_t i = 0; i < table->row_count; i++) {
        const struct option_row *row = &table->rows[i];
        if (!(scan->seen >> i & 1))
            continue;
        if (row->command && !option_row_is_of(row, name))
            return err_set(err, ERR_INVALID, "%s has no option --%s", name, row->name);
        size_t needed = row->needs ? row_find(table, row->needs, strlen(row->needs)) : i;
        const char *example = table->rows[needed].example;
        if (!(scan->seen >> needed & 1))
            return err_set(err, ERR_INVALID, "--%s needs --%s%s%s%s%s", row->name,
                           row->needs, example ? ", for example --" : "",
                           example ? row->needs : "", example ? " " : "",
                           example ? example : "");
    }
    return true;
}

bool options_parse(const struct option_table *table, int argc, char *argv[],
                   options_take_fn *take, void *ctx, struct option_rest *ret,
                   struct err *err)
{
    struct scan scan = {table, argv, 1, 0, {.operands = argv + 1}, take, ctx};
    bool is_option = true; /* a word may be an option */
    while (scan.next < argc && !scan.rest.is_ended) {
        char *word = argv[scan.next++];
        if (is_option && strcmp(word, "--") == 0)
            is_option = false;
        else if (!is_option || word[0] != '-' || word[1] == '\0')
            scan.rest.operands[scan.rest.operand_count++] = word;
        else if (word[1] == '-' ? !long_take(&scan, word + 2, err)
                                : !letters_take(&scan, word + 1, err))
            return false;
    }
    if (!scan.rest.is_ended && (!command_take(&scan, err) || !rows_check(&scan, err)))
        return false;
    *ret = scan.rest;
    return true;
}
