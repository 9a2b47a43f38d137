/* SPDX-License-Identifier: MIT
 *
 * The HTTP server with routes that only tests need. Prints its port, serves until its
 * standard input ends or SIGTERM, drains on SIGHUP. Options are NAME=VALUE.
 */
#include "base/err.h"
#include "base/text.h"
#include "base/tls_identity.h"
#include "http/server.h"
#include "loop/loop.h"
#include "metrics/metrics.h"
#include "net/cidr.h"
#include "policy/admission.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define PARKED_MAX 8192
#define BIG_LEN    (8U * 1024 * 1024)
#define PROXY      "127.0.0.99/32" /* a peer without a limit of connections */

struct options {
    uint64_t connections, per_caller, files;
    uint64_t handshake_ms, idle_ms, head_ms, body_ms, send_ms, linger_ms;
    char cert[16384], key[16384];
};

/* What every handler is given. */
struct echo {
    struct loop *loop;
    struct http_server *server;
    struct metrics *metrics;
    struct exchange *parked[PARKED_MAX]; /* wait for /release */
    size_t parked_count;
    struct exchange *late; /* replied to at the end of its turn, NULL = none */
    uint64_t gone;
    uint64_t handled;
    char *big;
    int signals;
};

struct wait {
    struct timer timer;
    struct exchange *exchange;
    struct echo *echo;
};

/* The n-th allocation from now on fails; only allocations of our own code count. */
static uint64_t fails_at;

static bool fails(void)
{
    return fails_at > 0 && --fails_at == 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

static void reply_text(struct exchange *exchange, unsigned status, const char *text)
{
    exchange_reply(exchange, status, "text/plain", strdup(text), strlen(text));
}

static void health(void *ctx, struct exchange *exchange)
{
    (void)ctx;
    static const char body[] = "{\"status\": \"ok\"}";
    exchange_reply_const(exchange, 200, "application/json", body, sizeof body - 1);
}

static void echo_headers(void *ctx, struct exchange *exchange)
{
    ((struct echo *)ctx)->handled++;
    char text[2048];
    char peer[ADDRESS_TEXT_SIZE], local[ADDRESS_TEXT_SIZE];
    struct address peer_address = exchange_peer(exchange);
    struct address local_address = exchange_local(exchange);
    const char *header = exchange_header(exchange, "X-Test");
    const char *again = exchange_header(exchange, "x-test");
    snprintf(text, sizeof text,
             "1.1=%d tls=%d peer=%s local=%s x-test=%s again=%s prefix=%d has=%d",
             exchange_is_http_1_1(exchange), exchange_is_tls(exchange),
             address_format(&peer_address, peer), address_format(&local_address, local),
             header ? header : "-", again ? again : "-",
             exchange_has_header(exchange, "X-Forwarded-", true),
             exchange_has_header(exchange, "Via", false));
    exchange_set_header(exchange, "X-Reply", "yes");
    exchange_set_header(exchange, "X-Forged", "a\r\nEvil: 1");
    reply_text(exchange, 200, text);
}

static void echo_body(void *ctx, struct exchange *exchange)
{
    ((struct echo *)ctx)->handled++;
    size_t len;
    const char *body = exchange_body(exchange, &len);
    char *copy = malloc(len + 1);
    if (copy)
        memcpy(copy, body, len);
    exchange_reply(exchange, 200, "application/octet-stream", copy, len);
}

static void wait_gone(void *ctx, struct exchange *exchange)
{
    (void)exchange;
    struct wait *wait = ctx;
    wait->echo->gone++;
    loop_timer_stop(wait->echo->loop, &wait->timer);
    free(wait);
}

static void wait_over(struct timer *timer)
{
    struct wait *wait = (struct wait *)(void *)timer;
    reply_text(wait->exchange, 200, "waited");
    free(wait);
}

static void stream_over(struct timer *timer)
{
    struct wait *wait = (struct wait *)(void *)timer;
    exchange_stream_begin(wait->exchange, 200, "text/plain", 1000);
    exchange_stream_write(wait->exchange, "one ", 4);
    exchange_stream_write(wait->exchange, "two", 3);
    exchange_stream_end(wait->exchange);
    free(wait);
}

static void flow_over(struct timer *timer)
{
    struct wait *wait = (struct wait *)(void *)timer;
    exchange_stream_end(wait->exchange);
    free(wait);
}

/* Writes more than any socket buffer holds, and ends the stream after a second. */
static void flow(struct timer *timer)
{
    struct wait *wait = (struct wait *)(void *)timer;
    struct echo *echo = wait->echo;
    exchange_stream_begin(wait->exchange, 200, "text/plain", BIG_LEN);
    exchange_stream_write(wait->exchange, echo->big, BIG_LEN);
    timer_init(timer, flow_over);
    loop_timer_set(echo->loop, timer, instant_add(loop_now(echo->loop), span_seconds(1)));
}

static timer_fn *reply_of(const struct http_route *route)
{
    if (strcmp(route->path, "/flow") == 0)
        return flow;
    return strcmp(route->path, "/stream") == 0 ? stream_over : wait_over;
}

/* Replies after X-Wait milliseconds; /stream and /flow reply in pieces. */
static void wait_ms(void *ctx, struct exchange *exchange)
{
    struct echo *echo = ctx;
    echo->handled++;
    const char *text = exchange_header(exchange, "X-Wait");
    uint64_t ms = 0;
    struct wait *wait = calloc(1, sizeof *wait);
    if (!wait || !text || !text_parse_u64(text, strlen(text), 60000, &ms)) {
        free(wait);
        exchange_reply(exchange, 500, "text/plain", NULL, 0);
        return;
    }
    wait->exchange = exchange;
    wait->echo = echo;
    timer_init(&wait->timer, reply_of(exchange_route(exchange)));
    loop_timer_set(echo->loop, &wait->timer,
                   instant_add(loop_now(echo->loop), span_ms((int64_t)ms)));
    exchange_on_gone(exchange, wait_gone, wait);
    exchange_set_header(exchange, "X-Waited", "yes");
}

static void park_gone(void *ctx, struct exchange *exchange)
{
    struct echo *echo = ctx;
    echo->gone++;
    for (size_t i = 0; i < echo->parked_count; i++)
        if (echo->parked[i] == exchange) {
            echo->parked[i] = echo->parked[--echo->parked_count];
            return;
        }
    abort(); /* told twice, or never parked */
}

static void park(void *ctx, struct exchange *exchange)
{
    struct echo *echo = ctx;
    echo->handled++;
    if (echo->parked_count == PARKED_MAX) {
        reply_text(exchange, 503, "full");
        return;
    }
    echo->parked[echo->parked_count++] = exchange;
    exchange_on_gone(exchange, park_gone, echo);
}

static void release(void *ctx, struct exchange *exchange)
{
    struct echo *echo = ctx;
    size_t count = echo->parked_count;
    while (echo->parked_count > 0)
        reply_text(echo->parked[--echo->parked_count], 200, "released");
    char text[32];
    snprintf(text, sizeof text, "%zu", count);
    reply_text(exchange, 200, text);
}

/* Waiting clients get a reply that cannot be made. */
static void spoil(void *ctx, struct exchange *exchange)
{
    struct echo *echo = ctx;
    while (echo->parked_count > 0)
        exchange_reply(echo->parked[--echo->parked_count], 200, "text/plain", NULL, 0);
    reply_text(exchange, 200, "spoilt");
}

static void big(void *ctx, struct exchange *exchange)
{
    struct echo *echo = ctx;
    if (exchange_has_header(exchange, "X-Park", false))
        park(ctx, exchange);
    else
        exchange_reply_const(exchange, 200, "text/plain", echo->big, BIG_LEN);
}

/* Waiting clients get the big reply. */
static void release_big(void *ctx, struct exchange *exchange)
{
    struct echo *echo = ctx;
    while (echo->parked_count > 0)
        exchange_reply_const(echo->parked[--echo->parked_count], 200, "text/plain",
                             echo->big, BIG_LEN);
    reply_text(exchange, 200, "released");
}

static void stats(void *ctx, struct exchange *exchange)
{
    struct echo *echo = ctx;
    const struct connections *connections = http_server_connections(echo->server);
    char text[256];
    snprintf(text, sizeof text,
             "{\"gone\": %lu, \"parked\": %zu, \"handled\": %lu, \"connections\": %zu, "
             "\"exchanges\": %zu}",
             echo->gone, echo->parked_count, echo->handled, connections_count(connections),
             connections_exchanges(connections));
    reply_text(exchange, 200, text);
}

static void metrics_text(void *ctx, struct exchange *exchange)
{
    struct echo *echo = ctx;
    struct text text;
    text_init(&text, 1 << 20);
    struct metrics_facts facts = {.version = "0"};
    metrics_render(&echo->metrics, 1, &facts, &text);
    size_t len;
    char *body = text_take(&text, &len);
    exchange_reply(exchange, 200, "text/plain", body, len);
}

/* These statuses have no body, so the text must be dropped. */
static void no_content(void *ctx, struct exchange *exchange)
{
    (void)ctx;
    reply_text(exchange, 204, "text");
}

static void not_modified(void *ctx, struct exchange *exchange)
{
    (void)ctx;
    reply_text(exchange, 304, "text");
}

static void late_gone(void *ctx, struct exchange *exchange)
{
    (void)exchange;
    ((struct echo *)ctx)->late = NULL;
}

static void late(void *ctx, struct exchange *exchange)
{
    ((struct echo *)ctx)->late = exchange;
    exchange_on_gone(exchange, late_gone, ctx);
}

/* Runs after the connections have sent this turn's output. */
static bool reply_late(void *ctx)
{
    struct echo *echo = ctx;
    struct exchange *exchange = echo->late;
    echo->late = NULL;
    if (exchange)
        reply_text(exchange, 200, "late");
    return false;
}

static void broken(void *ctx, struct exchange *exchange)
{
    (void)ctx;
    exchange_reply(exchange, 200, "text/plain", NULL, 0);
}

/* After its reply, allocation number X-Fail fails. */
static void fail(void *ctx, struct exchange *exchange)
{
    const char *text = exchange_header(exchange, "X-Fail");
    uint64_t at = 0;
    if (text)
        text_parse_u64(text, strlen(text), UINT32_MAX, &at);
    health(ctx, exchange);
    fails_at = at;
}

static const struct http_route routes[] = {
    {"GET", "/health", health, 0, METRIC_ROUTE_HEALTH},
    {"GET", "/echo", echo_headers, 0, METRIC_ROUTE_IP},
    {"POST", "/echo", echo_body, 65536, METRIC_ROUTE_CHECK_PORTS},
    {"GET", "/wait", wait_ms, 0, METRIC_ROUTE_IP},
    {"POST", "/wait", wait_ms, 65536, METRIC_ROUTE_IP},
    {"GET", "/stream", wait_ms, 0, METRIC_ROUTE_IP},
    {"GET", "/flow", wait_ms, 0, METRIC_ROUTE_IP},
    {"GET", "/park", park, 0, METRIC_ROUTE_IP},
    {"POST", "/park", park, 65536, METRIC_ROUTE_IP},
    {"GET", "/release", release, 0, METRIC_ROUTE_IP},
    {"GET", "/release-big", release_big, 0, METRIC_ROUTE_IP},
    {"GET", "/spoil", spoil, 0, METRIC_ROUTE_IP},
    {"GET", "/big", big, 0, METRIC_ROUTE_IP},
    {"GET", "/stats", stats, 0, METRIC_ROUTE_IP},
    {"GET", "/metrics", metrics_text, 0, METRIC_ROUTE_METRICS},
    {"GET", "/fail", fail, 0, METRIC_ROUTE_IP},
    {"GET", "/broken", broken, 0, METRIC_ROUTE_IP},
    {"GET", "/no-content", no_content, 0, METRIC_ROUTE_IP},
    {"GET", "/not-modified", not_modified, 0, METRIC_ROUTE_IP},
    {"GET", "/late", late, 0, METRIC_ROUTE_IP},
};

static const char *error_text(enum http_error error)
{
    static const char *const texts[] = {
#define X(NAME, ...) [HTTP_ERROR_##NAME] = "{\"detail\": \"" #NAME "\"}",
        HTTP_ERROR_MAP(X)
#undef X
    };
    return texts[error];
}

/* Shows that the handler of errors knows the request. */
static void on_error(void *ctx, struct exchange *exchange, enum http_error error)
{
    (void)ctx;
    (void)error;
    const char *mark = exchange_header(exchange, "Mark");
    if (mark)
        exchange_set_header(exchange, "Marked", mark);
}

static void on_signal(void *ctx, uint32_t events)
{
    (void)events;
    struct echo *echo = ctx;
    struct signalfd_siginfo info;
    if (read(echo->signals, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    if (info.ssi_signo == SIGHUP)
        connections_drain(http_server_connections(echo->server));
    else if (info.ssi_signo == SIGUSR1)
        http_server_stop_accepting(echo->server);
    else
        loop_stop(echo->loop);
}

__attribute__((noreturn)) static void die(const struct err *err)
{
    fprintf(stderr, "%s\n", err->message);
    exit(1);
}

static void read_pem(const char *path, char *ret, size_t size)
{
    FILE *file = fopen(path, "r");
    if (!file)
        exit(1);
    ret[fread(ret, 1, size - 1, file)] = '\0';
    fclose(file);
}

static void read_options(int argc, char **argv, struct options *options)
{
    const struct {
        const char *name;
        uint64_t *value;
    } numbers[] = {
        {"connections", &options->connections},
        {"per_caller", &options->per_caller},
        {"files", &options->files},
        {"handshake_ms", &options->handshake_ms},
        {"idle_ms", &options->idle_ms},
        {"head_ms", &options->head_ms},
        {"body_ms", &options->body_ms},
        {"send_ms", &options->send_ms},
        {"linger_ms", &options->linger_ms},
    };
    for (int i = 1; i < argc; i++) {
        const char *value = strchr(argv[i], '=');
        if (!value)
            exit(2);
        size_t len = (size_t)(value++ - argv[i]);
        if (strncmp(argv[i], "cert", len) == 0)
            read_pem(value, options->cert, sizeof options->cert);
        if (strncmp(argv[i], "key", len) == 0)
            read_pem(value, options->key, sizeof options->key);
        for (size_t j = 0; j < sizeof numbers / sizeof *numbers; j++)
            if (strlen(numbers[j].name) == len &&
                strncmp(argv[i], numbers[j].name, len) == 0)
                text_parse_u64(value, strlen(value), 1000000, numbers[j].value);
    }
}

static int listen_any(uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 ||
        listen(fd, 4096) != 0 || getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        exit(1);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static int catch_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static struct echo echo;
static struct options options;

int main(int argc, char **argv)
{
    options = (struct options){.connections = 4096,
                               .per_caller = 4096,
                               .handshake_ms = 10000,
                               .idle_ms = 60000,
                               .head_ms = 10000,
                               .body_ms = 10000,
                               .send_ms = 30000,
                               .linger_ms = 2000};
    read_options(argc, argv, &options);
    if (options.files > 0)
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){options.files, options.files});

    echo.big = malloc(BIG_LEN);
    if (!echo.big)
        return 1;
    memset(echo.big, 'b', BIG_LEN);
    echo.signals = catch_signals();

    struct err err;
    struct admission *admission = NULL;
    const struct admission_limits limits = {.connections = options.connections,
                                            .per_caller = options.per_caller,
                                            .per_network = options.connections + 1};
    struct cidr_list proxies = {.count = 1};
    uint16_t port;
    int listener = listen_any(&port);
    if (!loop_new(&echo.loop, &err) || !metrics_new(&echo.metrics, &err) ||
        !admission_new(&limits, &admission, &err))
        die(&err);
    if (!cidr_parse(PROXY, strlen(PROXY), &proxies.items[0], &err))
        die(&err);

    struct tls_identity *tls = NULL;
    if (options.cert[0] && !tls_identity_new(options.cert, options.key, "", &tls, &err))
        die(&err);
    struct http_config config = {
        .site = {.routes = routes,
                 .route_count = sizeof routes / sizeof *routes,
                 .handler_ctx = &echo,
                 .error_body = error_text,
                 .on_error = on_error,
                 .server_name = "echo/1"},
        .tls = tls,
        .unlimited = &proxies,
        .admission = admission,
        .metrics = echo.metrics,
        .limits = {[STATE_HANDSHAKE] = span_ms((int64_t)options.handshake_ms),
                   [STATE_RESTING] = span_ms((int64_t)options.idle_ms),
                   [STATE_HEAD] = span_ms((int64_t)options.head_ms),
                   [STATE_BODY] = span_ms((int64_t)options.body_ms),
                   [STATE_WAITING] = span_seconds(INT32_MAX),
                   [STATE_SENDING] = span_ms((int64_t)options.send_ms),
                   [STATE_LINGERING] = span_ms((int64_t)options.linger_ms)},
    };
    struct loop_watch watch;
    if (!http_server_new(echo.loop, &config, &listener, 1, &echo.server, &err) ||
        !loop_watch_add(echo.loop, echo.signals, EPOLLIN, on_signal, &echo, &watch, &err))
        die(&err);
    loop_each_turn(echo.loop, reply_late, &echo);

    printf("%u\n", port);
    fflush(stdout);
    if (!loop_run(echo.loop, &err))
        die(&err);

    http_server_free(echo.server);
    loop_each_turn_end(echo.loop, reply_late, &echo);
    size_t left = admission_connections(admission);
    admission_free(admission);
    tls_identity_free(tls);
    loop_watch_drop(echo.loop, echo.signals, &watch);
    loop_free(echo.loop);
    metrics_free(echo.metrics);
    close(listener);
    close(echo.signals);
    free(echo.big);
    printf("end gone=%lu left=%zu\n", echo.gone, left);
    return 0;
}
