/* SPDX-License-Identifier: MIT
 *
 * Prints how our reader parses .env files, one JSON line per file named on the command
 * line: {"pairs": [[name, value or null], ...]}, or {"error": "..."} with what was said
 * about it. Exit status 1 when any of them could not be parsed, 2 when one could not be
 * read. The service tests hold it against python-dotenv.
 */
#include "base/err.h"
#include "base/fd.h"
#include "settings/dotenv.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_MAX (1ul << 20)

static bool add_pair(void *ctx, const char *name, const char *value, struct err *err)
{
    json_t *pair = json_pack("[s, s?]", name, value);
    if (!pair)
        return err_set(err, ERR_SYSTEM, "a pair that JSON cannot hold");

    return json_array_append_new(ctx, pair) == 0;
}

static bool dump(const char *data, size_t len)
{
    struct err err = {0};
    json_t *pairs = json_array();
    bool ok = dotenv_parse(data, len, add_pair, pairs, &err);
    json_t *line = ok ? json_pack("{s: O}", "pairs", pairs)
                      : json_pack("{s: s}", "error", err.message);
    json_dumpf(line, stdout, JSON_ENSURE_ASCII | JSON_COMPACT);
    putchar('\n');
    json_decref(line);
    json_decref(pairs);
    return ok;
}

int main(int argc, char **argv)
{
    static char data[FILE_MAX];
    int status = EXIT_SUCCESS;
    for (int i = 1; i < argc; i++) {
        unsigned long len;
        struct err err;
        if (!fd_read_file(argv[i], data, sizeof data, &len, &err)) {
            fprintf(stderr, "%s\n", err.message);
            return 2;
        }
        if (!dump(data, len))
            status = EXIT_FAILURE;
    }
    return status;
}
