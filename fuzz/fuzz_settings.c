/* SPDX-License-Identifier: MIT
 *
 * Any lines as an environment. What must hold: a refusal is ERR_INVALID in one line of
 * printable ASCII; what is accepted is within its limits, and its shown values, taken as an
 * environment, give the same shown values again (a path with odd characters excepted: it is
 * shown escaped).
 */
#include "base/err.h"
#include "settings/settings.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ENTRIES_MAX 64

static void check_message(const char *message)
{
    assert(message[0] != '\0');
    for (const char *c = message; *c; c++)
        assert(*c >= ' ' && *c < 0x7f);
}

static void warn(void *ctx, const char *message)
{
    unsigned *count = ctx;
    (*count)++;
    assert(*count <= 17);
    check_message(message);
}

/* The lines of `text`, which loses its newlines, as an environment. */
static bool load_lines(char *text, struct settings *ret)
{
    char *environment[ENTRIES_MAX + 1] = {NULL};
    char *rest = text;
    for (size_t i = 0; i < ENTRIES_MAX && rest; i++)
        environment[i] = strsep(&rest, "\n");

    unsigned warnings = 0;
    struct err err;
    if (settings_load(environment, "/dev/null", warn, &warnings, ret, &err))
        return true;

    assert(err.kind == ERR_INVALID);
    check_message(err.message);
    return false;
}

static void check_limits(const struct settings *s)
{
    assert(s->workers >= 1 && s->workers <= SETTINGS_WORKERS_MAX);
    assert(s->check_timeout.ns >= NS_PER_SECOND / 2);
    assert(s->check_timeout.ns <= 20 * NS_PER_SECOND);
    assert(s->check_retry_delay.ns >= 0 && s->check_retry_delay.ns <= 5 * NS_PER_SECOND);
    assert(s->check_retries >= 1 && s->check_retries <= 4);
    assert(s->max_ports >= 1 && s->max_ports <= 65535);
    assert(s->max_probes <= 1000000 && s->max_connections >= 1);
    assert(s->rate.per_second >= 0.0 && s->rate.per_second <= 1e6);
    assert(s->trusted_proxies.count <= CIDR_LIST_MAX);
    assert(s->metrics_from.count >= 1 && s->metrics_from.count <= CIDR_LIST_MAX);
    assert(s->cors_origins.count <= SETTINGS_ORIGINS_MAX);
    assert(address_port(&s->host) == s->port);
    assert((s->tls_cert[0] == '\0') == (s->tls_key[0] == '\0'));
}

static char *shown(const struct settings *settings)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    assert(out);
    settings_print_values(settings, out);
    int result = fclose(out);
    assert(result == 0);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    assert(text);
    memcpy(text, data, size);
    text[size] = '\0';

    struct settings settings;
    bool ok = load_lines(text, &settings);
    free(text);
    if (!ok)
        return 0;

    check_limits(&settings);
    char *once = shown(&settings);
    if (!strchr(once, '"')) {
        char *copy = strdup(once);
        struct settings again;
        ok = copy && load_lines(copy, &again);
        assert(ok);
        char *twice = shown(&again);
        assert(strcmp(once, twice) == 0);
        free(twice);
        free(copy);
    }
    free(once);
    return 0;
}
