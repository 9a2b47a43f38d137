/* SPDX-License-Identifier: MIT
 *
 * HTTP(S) requests on a loop: libcurl's multi interface driven by our epoll and timers.
 * The only user of libcurl.
 *
 * The requests of one caller use one connection as long as the other side keeps it open,
 * and one address family. They use no proxies of the environment, because the answer is
 * about the address that the checker sees, and a stable IPv6 address if the machine also
 * has temporary ones. Redirects are not followed.
 *
 * Everything belongs to the loop's thread.
 */
#pragma once

#include "base/clock.h"
#include "net/address.h"
#include "verifier/fetch_end.h"

#include <stdbool.h>
#include <stddef.h>

struct err;
struct fetch;
struct fetcher;
struct loop;

#define FETCH_REPLY_MAX (12u << 20) /* 4,096 ports, each with 16 places */

/* Valid until the callback returns. */
struct fetch_result {
    enum fetch_end end;
    int errnum;
    const char *message; /* libcurl's words; "" if it has none */

    /* ANSWERED only */
    unsigned status;
    const char *body; /* terminated */
    size_t body_len;
    unsigned retry_after; /* seconds; 0 = not said */
    bool is_stream;       /* application/x-ndjson */
    bool is_page;         /* text/html */
    const char *location; /* where a redirect leads; or NULL */

    bool has_addresses; /* a connection was made: */
    struct address local;
    struct address peer;
};

typedef void(fetch_done_fn)(void *ctx, const struct fetch_result *result);

/* A streamed reply has `lines` whole lines so far. */
typedef void(fetch_lines_fn)(void *ctx, size_t lines);

struct fetch_config {
    const char *ca_file; /* instead of the system's store, or NULL; borrowed */
    struct span timeout; /* of one request */
};

/* Where the connections of one caller come from: an address of this machine, or else an
 * interface, or else what the system chooses. Borrowed until fetch_new() returns. */
struct fetch_source {
    const struct address *address;
    const char *interface;
};

/* libcurl must have been set up: fetch_global_init(). */
bool fetcher_new(struct loop *loop, const struct fetch_config *config, struct fetcher **ret,
                 struct err *err);
/* All its requests must have been freed. */
struct fetcher *fetcher_free(struct fetcher *fetcher);

/* Once, before threads. */
bool fetch_global_init(struct err *err);
void fetch_global_done(void);

/* One caller: one request at a time to one host, over one family (4 or 6). `source` may be
 * NULL. ERR_SYSTEM without memory. */
bool fetch_new(struct fetcher *fetcher, int family, const struct fetch_source *source,
               struct fetch **ret, struct err *err);
/* A request that is under way ends without its callback. */
struct fetch *fetch_free(struct fetch *fetch);

struct fetch_request {
    const char *url;
    struct span connect;   /* how long a connection may take; 0: ten seconds */
    const char *body;      /* JSON for a POST, borrowed until done; NULL for a GET */
    fetch_lines_fn *lines; /* or NULL */
    fetch_done_fn *done;   /* never called from within fetch_start(); may start the next */
    void *ctx;
};

/* ERR_SYSTEM without memory. */
bool fetch_start(struct fetch *fetch, const struct fetch_request *request, struct err *err);

/* Ends a request that is under way, without its callback. */
void fetch_cancel(struct fetch *fetch);

/* Whether CA certificates can be read from a file. It must be a regular file, because it is
 * read for each connection. ERR_INVALID, without the path. */
bool fetch_ca_check(const char *path, struct err *err);

/* Checks the URL or bare host of a checker. A URL has http or https, a host, and optionally
 * a port and a path, but nothing else; *ret_other_url is NULL. For a bare host, *ret_url is
 * https, and *ret_other_url is http, on port 7466 unless the host has a port. Both are
 * without a slash at the end; free() them. ERR_INVALID. */
bool fetch_url_check(const char *text, char **ret_url, char **ret_other_url,
                     int *ret_literal_family, struct err *err);
