/* SPDX-License-Identifier: MIT */
#include "verifier/fetch.h"

#include "base/container.h"
#include "base/err.h"
#include "base/text.h"
#include "loop/loop.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define CONNECT_SECONDS 10
#define BUFFER_SIZE     8192 /* replies are small, checkers may be many */

/* The kernel's numbers; glibc has no names for them (linux/in6.h, RFC 5014). */
#ifndef IPV6_ADDR_PREFERENCES
#define IPV6_ADDR_PREFERENCES 72
#endif
#ifndef IPV6_PREFER_SRC_PUBLIC
#define IPV6_PREFER_SRC_PUBLIC 0x0002
#endif

struct watched { /* a socket of libcurl's */
    struct fetcher *fetcher;
    int fd;
    struct loop_watch watch;
    LIST_ENTRY(watched) link;
};

struct fetcher {
    struct loop *loop; /* borrowed */
    struct fetch_config config;
    CURLM *multi; /* owned */
    struct timer timer;
    LIST_HEAD(, watched) watched; /* owned */
};

struct fetch {
    struct fetcher *fetcher; /* borrowed */
    CURL *easy;              /* owned */
    struct curl_slist *headers;
    struct fetch_request request;
    bool is_running;
    struct text body;
    size_t lines;
    char message[CURL_ERROR_SIZE];
};

/* --- the answer ----------------------------------------------------------------------- */

static bool address_read(CURL *easy, CURLINFO ip_info, CURLINFO port_info,
                         struct address *ret)
{
    char *ip = NULL;
    long port = 0;
    if (curl_easy_getinfo(easy, ip_info, &ip) != CURLE_OK || !ip ||
        curl_easy_getinfo(easy, port_info, &port) != CURLE_OK)
        return false;

    struct address address;
    if (!address_parse(ip, strlen(ip), &address, NULL))
        return false;

    *ret = address_unmap(&address);
    address_set_port(ret, (uint16_t)port);
    return true;
}

static bool is_of_type(CURL *easy, const char *type)
{
    char *said = NULL;
    return curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &said) == CURLE_OK && said &&
           strncasecmp(said, type, strlen(type)) == 0;
}

static bool is_stream(CURL *easy)
{
    return is_of_type(easy, "application/x-ndjson");
}

static void answer_read(const struct fetch *fetch, struct fetch_result *result)
{
    long status = 0;
    curl_off_t retry_after = 0;
    curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(fetch->easy, CURLINFO_RETRY_AFTER, &retry_after);
    result->status = (unsigned)status;
    result->body = fetch->body.data;
    result->body_len = fetch->body.len;
    result->retry_after =
        retry_after > 0 && retry_after < 1000000 ? (unsigned)retry_after : 0;
    result->is_stream = is_stream(fetch->easy);
    result->is_page = is_of_type(fetch->easy, "text/html");
    char *location = NULL;
    curl_easy_getinfo(fetch->easy, CURLINFO_REDIRECT_URL, &location);
    result->location = location;
}

static void fetch_finish(struct fetch *fetch, CURLcode code)
{
    long errnum = 0;
    curl_easy_getinfo(fetch->easy, CURLINFO_OS_ERRNO, &errnum);

    struct fetch_result result = {
        .end = fetch_end_of(fetch->easy, (int)code, fetch->message),
        .errnum = (int)errnum,
        .message = fetch->message[0] ? fetch->message : curl_easy_strerror(code),
        .body = "",
    };
    if (result.end == FETCH_ANSWERED)
        answer_read(fetch, &result);
    result.has_addresses =
        address_read(fetch->easy, CURLINFO_LOCAL_IP, CURLINFO_LOCAL_PORT, &result.local) &&
        address_read(fetch->easy, CURLINFO_PRIMARY_IP, CURLINFO_PRIMARY_PORT, &result.peer);

    /* The body moves out: the callback may start the next request with this fetch. */
    struct text body = fetch->body;
    text_init(&fetch->body, FETCH_REPLY_MAX);
    fetch->is_running = false;
    curl_multi_remove_handle(fetch->fetcher->multi, fetch->easy);
    fetch->request.done(fetch->request.ctx, &result);
    text_done(&body);
}

/* --- driving libcurl ------------------------------------------------------------------ */

static void messages_read(struct fetcher *fetcher)
{
    int left;
    const CURLMsg *message;
    while ((message = curl_multi_info_read(fetcher->multi, &left))) {
        char *fetch = NULL;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &fetch);
        fetch_finish((struct fetch *)(void *)fetch, code);
    }
}

static void multi_act(struct fetcher *fetcher, curl_socket_t fd, int events)
{
    int running;
    curl_multi_socket_action(fetcher->multi, fd, events, &running);
    messages_read(fetcher);
}

static void socket_event(void *ctx, uint32_t events)
{
    struct watched *watched = ctx;
    int action = 0;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP))
        action |= CURL_CSELECT_IN;
    if (events & EPOLLOUT)
        action |= CURL_CSELECT_OUT;
    if (events & EPOLLERR)
        action |= CURL_CSELECT_ERR;
    multi_act(watched->fetcher, watched->fd, action);
}

static void timer_fire(struct timer *timer)
{
    struct fetcher *fetcher = CONTAINER_OF(timer, struct fetcher, timer);
    multi_act(fetcher, CURL_SOCKET_TIMEOUT, 0);
}

static int timer_wanted(CURLM *multi, long ms, void *ctx)
{
    struct fetcher *fetcher = ctx;
    (void)multi;
    if (ms < 0) {
        loop_timer_stop(fetcher->loop, &fetcher->timer);
        return 0;
    }
    struct instant deadline = instant_add(clock_now(), span_ms(ms));
    return loop_timer_set(fetcher->loop, &fetcher->timer, deadline) ? 0 : -1;
}

static uint32_t events_of_poll(int what)
{
    switch (what) {
    case CURL_POLL_IN:
        return EPOLLIN;
    case CURL_POLL_OUT:
        return EPOLLOUT;
    case CURL_POLL_INOUT:
        return EPOLLIN | EPOLLOUT;
    default:
        return 0;
    }
}

static void watched_end(struct watched *watched)
{
    if (!watched)
        return;

    LIST_REMOVE(watched, link);
    loop_watch_drop(watched->fetcher->loop, watched->fd, &watched->watch);
    free(watched);
}

static struct watched *watched_begin(struct fetcher *fetcher, int fd, uint32_t events)
{
    struct watched *watched = calloc(1, sizeof *watched);
    if (!watched)
        return NULL;

    watched->fetcher = fetcher;
    watched->fd = fd;
    if (!loop_watch_add(fetcher->loop, fd, events, socket_event, watched, &watched->watch,
                        NULL)) {
        free(watched);
        return NULL;
    }
    LIST_INSERT_HEAD(&fetcher->watched, watched, link);
    curl_multi_assign(fetcher->multi, fd, watched);
    return watched;
}

static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket)
{
    struct fetcher *fetcher = ctx;
    struct watched *watched = socket;
    (void)easy;

    if (what == CURL_POLL_REMOVE) {
        watched_end(watched);
        return 0;
    }
    uint32_t events = events_of_poll(what);
    if (!watched)
        return watched_begin(fetcher, fd, events) ? 0 : -1;
    return loop_watch_change(fetcher->loop, fd, watched->watch, events, NULL) ? 0 : -1;
}

/* --- life of a fetcher ---------------------------------------------------------------- */

bool fetch_global_init(struct err *err)
{
    if (curl_global_init(CURL_GLOBAL_ALL) != CURLE_OK)
        return err_sys(err, ENOMEM, "libcurl");
    return true;
}

void fetch_global_done(void)
{
    curl_global_cleanup();
}

bool fetcher_new(struct loop *loop, const struct fetch_config *config, struct fetcher **ret,
                 struct err *err)
{
    struct fetcher *fetcher = calloc(1, sizeof *fetcher);
    CURLM *multi = curl_multi_init();
    if (!fetcher || !multi) {
        free(fetcher);
        curl_multi_cleanup(multi);
        return err_sys(err, ENOMEM, "libcurl");
    }
    fetcher->loop = loop;
    fetcher->config = *config;
    fetcher->multi = multi;
    timer_init(&fetcher->timer, timer_fire);
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, fetcher);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, timer_wanted);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, fetcher);
    *ret = fetcher;
    return true;
}

struct fetcher *fetcher_free(struct fetcher *fetcher)
{
    if (!fetcher)
        return NULL;

    curl_multi_cleanup(fetcher->multi); /* may still call back for its sockets */
    while (!LIST_EMPTY(&fetcher->watched))
        watched_end(LIST_FIRST(&fetcher->watched));
    loop_timer_stop(fetcher->loop, &fetcher->timer);
    free(fetcher);
    return NULL;
}

/* --- one request ---------------------------------------------------------------------- */

static size_t body_take(char *data, size_t size, size_t count, void *ctx)
{
    struct fetch *fetch = ctx;
    size_t len = size * count;
    text_append(&fetch->body, data, len);
    if (fetch->body.failed)
        return 0;

    if (fetch->request.lines && is_stream(fetch->easy)) {
        size_t lines = fetch->lines;
        for (size_t i = 0; i < len; i++)
            fetch->lines += data[i] == '\n';
        if (fetch->lines > lines)
            fetch->request.lines(fetch->request.ctx, fetch->lines);
    }
    return len;
}

/* A temporary address (RFC 8981) is gone in a day; what is advertised must stay. */
static int socket_prepare(void *ctx, curl_socket_t fd, curlsocktype purpose)
{
    int preference = IPV6_PREFER_SRC_PUBLIC;
    (void)ctx;
    (void)purpose;
    /* Fails on an IPv4 socket, which has no such choice. */
    setsockopt(fd, IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, &preference, sizeof preference);
    return CURL_SOCKOPT_OK;
}

static void easy_prepare(struct fetch *fetch, int family)
{
    CURL *easy = fetch->easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, fetch);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, fetch->message);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, body_take);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, fetch);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, socket_prepare);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)BUFFER_SIZE);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* never wait for a name server */
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_IPRESOLVE,
                     (long)(family == 6 ? CURL_IPRESOLVE_V6 : CURL_IPRESOLVE_V4));
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "port-verifier/" PORT_CHECKER_VERSION);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, fetch->headers);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
                     (long)span_to_ms(fetch->fetcher->config.timeout));
    if (fetch->fetcher->config.ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, fetch->fetcher->config.ca_file);
}

/* libcurl copies the string. */
static void source_set(CURL *easy, const struct fetch_source *source)
{
    char text[ADDRESS_TEXT_SIZE + 8];
    char ip[ADDRESS_TEXT_SIZE];
    if (!source || (!source->address && !source->interface))
        return;
    if (source->address)
        snprintf(text, sizeof text, "host!%s", address_format(source->address, ip));
    else
        snprintf(text, sizeof text, "if!%s", source->interface);
    curl_easy_setopt(easy, CURLOPT_INTERFACE, text);
}

/* No "Expect: 100-continue": it would hold a long list of ports up for a second. */
static struct curl_slist *headers_make(void)
{
    static const char *const lines[] = {
        "Content-Type: application/json",
        "Accept: application/x-ndjson, application/json",
        "Expect:",
    };
    struct curl_slist *headers = NULL;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct curl_slist *more = curl_slist_append(headers, lines[i]);
        if (!more) {
            curl_slist_free_all(headers);
            return NULL;
        }
        headers = more;
    }
    return headers;
}

bool fetch_new(struct fetcher *fetcher, int family, const struct fetch_source *source,
               struct fetch **ret, struct err *err)
{
    struct fetch *fetch = calloc(1, sizeof *fetch);
    if (!fetch)
        return err_sys(err, ENOMEM, "libcurl");

    fetch->fetcher = fetcher;
    fetch->easy = curl_easy_init();
    fetch->headers = headers_make();
    text_init(&fetch->body, FETCH_REPLY_MAX);
    if (!fetch->easy || !fetch->headers) {
        fetch_free(fetch);
        return err_sys(err, ENOMEM, "libcurl");
    }
    easy_prepare(fetch, family);
    source_set(fetch->easy, source);
    *ret = fetch;
    return true;
}

void fetch_cancel(struct fetch *fetch)
{
    if (fetch->is_running)
        curl_multi_remove_handle(fetch->fetcher->multi, fetch->easy);
    fetch->is_running = false;
}

struct fetch *fetch_free(struct fetch *fetch)
{
    if (!fetch)
        return NULL;

    fetch_cancel(fetch);
    if (fetch->easy)
        curl_easy_cleanup(fetch->easy);
    curl_slist_free_all(fetch->headers);
    text_done(&fetch->body);
    free(fetch);
    return NULL;
}

bool fetch_start(struct fetch *fetch, const struct fetch_request *request, struct err *err)
{
    assert(!fetch->is_running);
    fetch->request = *request;
    fetch->message[0] = '\0';
    fetch->lines = 0;
    text_reset(&fetch->body);

    bool is_set = curl_easy_setopt(fetch->easy, CURLOPT_URL, request->url) == CURLE_OK;
    struct span connect =
        request->connect.ns > 0 ? request->connect : span_seconds(CONNECT_SECONDS);
    curl_easy_setopt(fetch->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)span_to_ms(connect));
    if (request->body) {
        curl_easy_setopt(fetch->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(fetch->easy, CURLOPT_POSTFIELDSIZE, (long)strlen(request->body));
        curl_easy_setopt(fetch->easy, CURLOPT_POSTFIELDS, request->body);
    } else {
        curl_easy_setopt(fetch->easy, CURLOPT_HTTPGET, 1L);
    }
    if (!is_set || curl_multi_add_handle(fetch->fetcher->multi, fetch->easy) != CURLM_OK)
        return err_sys(err, ENOMEM, "libcurl");

    fetch->is_running = true;
    return true;
}
