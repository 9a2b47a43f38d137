/* SPDX-License-Identifier: MIT
 *
 * What the files of the HTTP server share, and nobody else includes.
 *
 *     accept.c      listeners -> admission -> a connection, or a fixed refusal
 *     connection.c  one connection: who holds its socket
 *     phase.c       which of its limits of time runs
 *     exchange.c    one request: checks, body, handler, end
 *     request.c     what a handler sees of it
 *     reply.c       replies, through libmicrohttpd or past it
 *     stream.c      replies in pieces
 *     framing.c     what the headers say about where the request ends (pure)
 *     linger.c      closing so that the client can still read our last words
 *     server.c      the daemon and its turn
 *
 * A connection's socket is held by one of two. *We* hold it at first: nothing but a struct
 * connection and a watch, so that thousands may rest or wait. A request stays in the
 * kernel's buffer, where it is only looked at, until its head is whole. When it is a plain
 * one (request_parse()) of at most REQUEST_MAX bytes, nearly always, it is served by us as
 * soon as its body is whole too: taken from the kernel to its last byte and not beyond,
 * run, and replied to.
 *
 * Any other request is libmicrohttpd's: TLS, chunks, large bodies, Expect. It gets the
 * connection with the request still unread, and keeps it over further requests for as long
 * as they come quickly. A handler that has to wait then has the connection suspended, which
 * costs its memory and, at each resume, a walk over all suspended connections: 0.2 ms among
 * 4,000.
 */
#pragma once

#include "base/text.h"
#include "http/framing.h"
#include "http/server.h"
#include "loop/loop.h"

#include <microhttpd.h>

/* Memory of libmicrohttpd for one connection: the head of a request, 64 bytes for each of
 * its lines, and the head of the reply. */
#define DAEMON_MEMORY    (32 * 1024)
#define LINES_MAX        256 /* of a first head that we can see: 431 */

/* A connection that rests inside libmicrohttpd for this long is taken back. */
#define SETTLE_SECONDS   2

/* So many connections gone from libmicrohttpd, and their memory goes back to the system, a
 * little later: freed chunks between those that stay would be kept for ever. */
#define TRIM_CONNECTIONS 512
#define TRIM_SECONDS     5

/* Of a request that we serve, head and body: the longest list of ports, written widely. The
 * window that the kernel offers at first is four times that, so that it can be whole there.
 */
#define REQUEST_MAX      (16 * 1024)

#define LINGER_MAX       256                /* connections at once */
#define LINGER_BYTES     (16 * 1024 * 1024) /* thrown away for one of them */
#define REPLY_HEAD_MAX   (16 * 1024)
#define STREAM_BLOCK     (4 * 1024) /* asked for at once, over HTTP/1.0 */

struct listener {
    struct server *server; /* borrowed */
    int fd;                /* borrowed */
    struct loop_watch watch;
};

struct server {
    struct loop *loop; /* borrowed */
    struct server_config config;
    struct server_limits limits; /* none is 0 */

    struct MHD_Daemon *daemon; /* owned */
    int daemon_fd;             /* its epoll: readable when it has something to do */
    struct loop_watch daemon_watch;
    bool is_run_needed;
    struct timer run_timer;    /* brings about the turn that is needed */
    struct connection *adding; /* during MHD_add_connection() */
    struct timer trim_timer;
    unsigned trimmable; /* connections that libmicrohttpd has closed since the last trim */

    struct listener *listeners; /* owned */
    size_t listener_count;
    struct timer accept_timer; /* set while accepting pauses */
    int spare_fd;              /* given up for a refusal when there is no other */
    bool is_accepting;
    bool is_draining;
    struct instant drain_begun;

    struct connection *connections; /* all of them, newest first */
    struct lingerer *lingerers;
    struct exchange *to_flush; /* streams with something to send at the turn's end */
    size_t connection_count;
    size_t exchange_count;
    size_t lingerer_count;

    char date[48];       /* of `date_second`, as a reply says it */
    int64_t date_second; /* 0 = never */
    char scratch[REQUEST_MAX + 1];
};

enum phase {
    PHASE_IDLE,    /* no request has begun */
    PHASE_HEAD,    /* a request has begun */
    PHASE_BODY,    /* its headers are there */
    PHASE_WAITING, /* its handler has not replied: no limit of ours */
    PHASE_SENDING, /* the reply is on its way */
};

/* Leaves only through connection_end(). */
struct connection {
    struct server *server; /* borrowed: outlives every connection */
    struct connection *next, *prev;
    struct MHD_Connection *mhd; /* NULL while we hold the socket */
    struct exchange *exchange;  /* the request in progress, NULL = none */
    struct timer timer;
    struct instant since; /* when the phase began */
    struct loop_watch watch;
    uint64_t consumed; /* bytes of all whole requests so far */
    uint64_t ticked;   /* bytes that had come at the last tick */
    struct address peer;
    struct address local; /* our end, len 0 until somebody asks */
    int fd;               /* owned; while libmicrohttpd holds the socket: its descriptor */
    enum phase phase;
    bool is_unlimited;
    bool is_counted;   /* among the server's exchanges */
    bool is_exact;     /* `consumed` is to be believed */
    bool is_dead;      /* nothing more may be made of what comes in */
    bool is_ending;    /* its request failed: libmicrohttpd is to be urged */
    bool is_settling;  /* libmicrohttpd was told to let go, and does so unless bytes come */
    bool is_ticked;    /* `ticked` is of this rest */
    bool has_input;    /* something came while we held the socket and did not look */
    bool wants_linger; /* it may still be sending what we refused */
};

/* Leaves only through exchange_end(). */
struct exchange {
    struct connection *connection; /* borrowed */
    struct MHD_Connection *mhd;    /* NULL: we serve this one */
    const struct request *request; /* if we do; NULL once the handler has returned */
    const struct http_route *route;
    unsigned metric; /* of the route */
    unsigned status; /* of the reply; 0 = none yet */
    bool is_refused; /* `fault` is the answer, once the request has ended */
    enum http_fault fault;

    const char *method; /* borrowed; NULL once the handler has returned */
    struct head head;
    struct text body;
    uint64_t body_bytes; /* that came, kept or not */
    bool is_head_request;
    bool is_1_1;
    bool must_close;
    bool is_in_handler;
    bool is_waiting;
    bool is_suspended; /* waits inside libmicrohttpd */
    bool is_broken;    /* cannot be answered: the connection ends */

    struct text fields;    /* "Name: value\r\n" of the reply to come */
    struct joined *joined; /* owned: what exchange_header() put together */
    exchange_fn *gone;
    void *gone_ctx;

    struct text out; /* reply past libmicrohttpd: the head ... */
    const char *out_body;
    char *out_owned; /* owned: the body, unless it is a constant */
    size_t out_len;  /* of the body; 0 for HEAD */
    size_t out_sent; /* of both */

    struct exchange *next_to_flush;
    bool is_to_flush;
    bool is_stream; /* replies in pieces: `out` has all that is not sent, head included */
};

#define TO_CONNECTION(member_ptr)                                                          \
    ((struct connection *)(void *)((char *)(member_ptr)-offsetof(struct connection, timer)))

/* --- server.c ----------------------------------------------------------------------- */

/* libmicrohttpd has something to do: it runs at the end of this turn, or of the next. */
void server_need_run(struct server *server);

/* libmicrohttpd has freed what it kept of a connection. */
void server_count_freed(struct server *server);

/* --- accept.c ----------------------------------------------------------------------- */

bool accept_start(struct server *server, const int *fds, size_t count, struct err *err);
void accept_stop(struct server *server);
void accept_done(struct server *server);

/* --- connection.c ------------------------------------------------------------------- */

/* Takes an accepted descriptor, which was let in by the admission. */
void connection_begin(struct server *server, int fd, const struct address *peer,
                      bool is_unlimited);

/* The only way out: frees everything, leaves the admission. The descriptor is closed if it
 * is ours. An exchange that waits is told. */
void connection_end(struct connection *connection);

/* Ends it as soon as may be, whoever holds it. */
void connection_kill(struct connection *connection);

/* Writes a fixed answer past libmicrohttpd and kills; under TLS it only kills. The answer
 * to a request that waits for its body is an ordinary one. */
void connection_refuse(struct connection *connection, enum http_fault fault);

/* The same from inside the access handler, which must return MHD_NO; what the client goes
 * on sending is thrown away for a while. */
void connection_refuse_rest(struct connection *connection, enum http_fault fault);

bool connection_is_tls(const struct connection *connection);

/* Watches whether the client leaves. */
bool connection_watch(struct connection *connection, uint32_t events);

/* The same for a connection of ours, unless it is watched already. */
bool connection_stay_watched(struct connection *connection);

/* A request has its whole head, or is over: it counts as an exchange, or no longer. */
void connection_count(struct connection *connection, bool is_asking);

/* The client has left: tells the owner of an exchange that waits, and ends. */
void connection_left(struct connection *connection);

/* A reply of our own has been sent: rest, or end. */
void connection_rest(struct connection *connection, bool must_close);

/* Called by libmicrohttpd. */
void connection_notify(void *cls, struct MHD_Connection *mhd, void **socket_context,
                       enum MHD_ConnectionNotificationCode code);
struct connection *connection_of(struct MHD_Connection *mhd);

/* --- phase.c ------------------------------------------------------------------------ */

void connection_enter(struct connection *connection, enum phase phase);
void phase_set_timer(struct connection *connection);
void phase_on_time(struct timer *timer);

/* A request has come before libmicrohttpd let go. */
void connection_unsettle(struct connection *connection);

/* libmicrohttpd notes that a connection is over when it fails while it sends, and waits for
 * an event to clear it away, which need not come any more. Connections with a time-out of
 * their own, however, it looks at in every run: this one from now on. Not from within a
 * run: there it is _soon(). */
void connection_urge(struct connection *connection);
void connection_urge_soon(struct connection *connection);

/* Whether something waits in the kernel that nobody will read. */
bool connection_has_unread(const struct connection *connection);

/* False when libmicrohttpd has read exactly the requests that were counted: then nothing is
 * lost when it lets go of the connection. A FIN counts as a byte, which errs to the safe
 * side. */
bool connection_has_read_ahead(const struct connection *connection);

/* --- exchange.c --------------------------------------------------------------------- */

enum MHD_Result exchange_step(void *cls, struct MHD_Connection *mhd, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_len, void **con_cls);
void exchange_completed(void *cls, struct MHD_Connection *mhd, void **con_cls,
                        enum MHD_RequestTerminationCode code);

/* Whether its route wants that much; if not, the client should be told before it sends. */
bool exchange_takes_body(const struct server *server, const struct request *request,
                         uint64_t len);

/* Serves a plain request that was taken from the kernel. When the client has ended its
 * side, nobody waits for a reply that is not ready at once. The connection may be gone
 * then. */
void exchange_serve(struct connection *connection, const struct request *request,
                    const struct head *head, char *body, bool has_ended);

/* Refuses a plain request whose body has not come, and ends the connection. It may be gone
 * then. */
void exchange_serve_fault(struct connection *connection, const struct request *request,
                          enum http_fault fault);

/* Makes this fault the exchange's answer: its fields are then the headers of that. */
void exchange_refuse(struct exchange *exchange, enum http_fault fault);

/* Counts, frees. */
void exchange_end(struct exchange *exchange);

/* The client has left: tells the owner of a waiting exchange. */
void exchange_abandon(struct exchange *exchange);

/* --- request.c ---------------------------------------------------------------------- */

void request_forget_joined(struct exchange *exchange);

/* --- reply.c ------------------------------------------------------------------------ */

/* Hands the reply to libmicrohttpd. False: the connection must end. `owned` is freed in
 * any case. */
bool reply_queue(struct exchange *exchange, unsigned status, const char *content_type,
                 const char *body, char *owned, size_t len);

/* Writes the reply to a connection of ours as far as it goes, or, within the handler, only
 * puts it together: what follows is reply_continue(). */
void reply_send(struct exchange *exchange, unsigned status, const char *content_type,
                const char *body, char *owned, size_t len);
void reply_continue(struct exchange *exchange);

/* The same for a reply in pieces: its head into `out`, or its source to libmicrohttpd. */
void reply_append_stream_head(struct exchange *exchange, const char *content_type);
bool reply_queue_stream(struct exchange *exchange, const char *content_type,
                        MHD_ContentReaderCallback source);

unsigned fault_status(enum http_fault fault);

/* Writes the whole answer to a fault, with Connection: close, straight to a socket.
 * `fields` are more of its lines, "Name: value\r\n" each. */
void reply_write_fault(struct server *server, int fd, enum http_fault fault,
                       const char *fields);

/* --- stream.c ----------------------------------------------------------------------- */

/* Sends what was written in this turn. */
void stream_flush(struct server *server);

/* The client takes bytes again. */
void stream_continue(struct exchange *exchange);

/* The exchange ends. */
void stream_forget(struct exchange *exchange);

/* --- linger.c ----------------------------------------------------------------------- */

/* Takes a descriptor on which the last words were written: ends our side, throws away what
 * still comes, closes when the client has ended or time is up. */
void linger_begin(struct server *server, int fd);

/* Closes them all, now. Returns how many there were. */
size_t linger_drop(struct server *server);
