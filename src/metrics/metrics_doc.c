/* SPDX-License-Identifier: MIT
 *
 * Build tool: writes the table of docs/metrics.md to standard output. The table is made
 * from the output of /metrics, so that no series can be missing.
 */
#include "base/err.h"
#include "base/text.h"
#include "metrics/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABELS_MAX 2
#define CELL_MAX   2048

struct label {
    char name[32];
    struct text values; /* " `a` `b`": each value once, in order */
};

struct row {
    struct text name, type, help; /* of the family */
    struct label labels[LABELS_MAX];
    size_t label_count;
};

/* Labels whose values are too many or vary, and need no explanation. */
static bool is_open(const char *label)
{
    return strcmp(label, "le") == 0 || strcmp(label, "status") == 0 ||
           strcmp(label, "version") == 0;
}

static struct label *label_of(struct row *row, const char *name, size_t len)
{
    for (size_t i = 0; i < row->label_count; i++)
        if (strncmp(row->labels[i].name, name, len) == 0 && !row->labels[i].name[len])
            return &row->labels[i];
    if (row->label_count == LABELS_MAX || len >= sizeof row->labels[0].name)
        return NULL;

    struct label *label = &row->labels[row->label_count++];
    snprintf(label->name, sizeof label->name, "%.*s", (int)len, name);
    text_init(&label->values, CELL_MAX);
    return label;
}

/* Parses name="value",name="value". None of our values contains a quote. */
static bool read_labels(struct row *row, const char *pairs)
{
    while (*pairs && *pairs != '}') {
        size_t name_len = strcspn(pairs, "=");
        const char *value = pairs + name_len + strlen("=\"");
        size_t value_len = strcspn(value, "\"");
        struct label *label = label_of(row, pairs, name_len);
        char item[64];
        if (!label || value_len > sizeof item - sizeof " ``")
            return false;

        snprintf(item, sizeof item, " `%.*s`", (int)value_len, value);
        if (!is_open(label->name) && !strstr(label->values.data, item))
            text_append_str(&label->values, item);
        pairs = value + value_len + 1;
        pairs += *pairs == ',';
    }
    return true;
}

static void row_print(struct row *row)
{
    printf("| `%s` | %s | ", row->name.data, row->type.data);
    for (size_t i = 0; i < row->label_count; i++) {
        const struct label *label = &row->labels[i];
        printf("%s`%s`%s%s", i > 0 ? "; " : "", label->name,
               label->values.len > 0 ? ":" : "", label->values.data);
    }
    printf(" | %s |\n", row->help.data);
}

static void row_done(struct row *row)
{
    for (size_t i = 0; i < row->label_count; i++)
        text_done(&row->labels[i].values);
    text_done(&row->name);
    text_done(&row->type);
    text_done(&row->help);
}

static void row_init(struct row *row)
{
    row->label_count = 0;
    text_init(&row->name, CELL_MAX);
    text_init(&row->type, CELL_MAX);
    text_init(&row->help, CELL_MAX);
}

static void row_end(struct row *row)
{
    if (row->name.len > 0)
        row_print(row);
    row_done(row);
    row_init(row);
}

/* One line of the format: "# HELP name text", "# TYPE name type" or "name{labels}
 * value". */
static bool row_read(struct row *row, const char *line)
{
    static const char help[] = "# HELP ", type[] = "# TYPE ";
    if (strncmp(line, help, strlen(help)) == 0) {
        const char *name = line + strlen(help);
        const char *space = strchr(name, ' ');
        row_end(row);
        text_append(&row->name, name, (size_t)(space - name));
        text_append(&row->help, space + 1, strcspn(space + 1, "\n"));
        return true;
    }
    if (strncmp(line, type, strlen(type)) == 0) {
        const char *word = strchr(line + strlen(type), ' ') + 1;
        text_append(&row->type, word, strcspn(word, "\n"));
        return true;
    }
    const char *labels = line + strcspn(line, "{ ");
    return *labels != '{' || read_labels(row, labels + 1);
}

static bool print_table(const char *metrics)
{
    struct row row;
    row_init(&row);
    bool is_fine = true;
    puts("| name | type | labels | what it counts |\n| --- | --- | --- | --- |");
    for (const char *end; is_fine && (end = strchr(metrics, '\n')); metrics = end + 1)
        is_fine = row_read(&row, metrics);
    row_end(&row);
    row_done(&row);
    return is_fine;
}

int main(void)
{
    struct metrics *metrics;
    struct err err;
    AUTO_TEXT text = text_up_to(METRICS_TEXT_MAX);
    if (!metrics_new(&metrics, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return EXIT_FAILURE;
    }

    /* A route is listed only after a request for it. */
    for (enum metric_route route = 0; route < METRIC_ROUTE_COUNT; route++)
        metrics_count_request(metrics, route, 200);
    metrics_render(&metrics, 1, &(struct metrics_facts){.version = "0"}, &text);
    bool is_fine = !text.failed && print_table(text.data);
    metrics_free(metrics);
    return is_fine && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
