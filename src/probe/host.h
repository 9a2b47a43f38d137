/* SPDX-License-Identifier: MIT
 *
 * What the engine knows about one target address, and how fast it may be probed. Pure
 * except for memory and host_next_hop(): time is an argument.
 *
 * - Round-trip time and loss, see rtt.h and loss.h; when it answered last.
 * - A window: how many attempts may be in flight at once. It starts at 128, grows by one
 *   with each answer up to 256, and is halved, at most once per round trip and never below
 *   32, when an answer needed a retransmission. An attempt leaves the window when it is
 *   answered, or after the time in which an answer could be expected: a silent host does
 *   not force a hundred ports into rounds.
 * - Paced: some systems send no more than 200 resets a second (FreeBSD, macOS, load
 *   balancers) and do not answer the rest, which would look filtered. An address that
 *   has sent 150 resets within a second while other ports were silent gets 150 attempts a
 *   second from then on, until it has had ten seconds without attempts.
 *
 * - Its controls, see controls.h; and, once they went unanswered, its limit: the pace that
 * it seems to bear. A session lasts as long as any job asks about the address. What
 * answered in an earlier session is a witness, but proves nothing for this one until it
 * answers again: the provider may have stopped its program.
 *
 * The table keeps what was learnt after the last job has ended, for at most HOST_TABLE_MAX
 * addresses; it drops the one that has been unused the longest.
 */
#pragma once

#include "base/clock.h"
#include "loop/timers.h"
#include "net/address.h"
#include "net/address_table.h"
#include "net/route.h"
#include "probe/controls.h"
#include "probe/loss.h"
#include "probe/pace.h"
#include "probe/rtt.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define HOST_TABLE_MAX     16384
#define HOST_WINDOW_FIRST  128
#define HOST_WINDOW_MAX    256
#define HOST_WINDOW_MIN    32
#define HOST_RESETS_PACED  150 /* within one second; also the attempts a second after it */
#define HOST_PACED_SECONDS 10

struct control_probe;
struct engine;
struct err;
struct host_table;
struct job;
struct port;

TAILQ_HEAD(job_queue, job);
TAILQ_HEAD(port_queue, port);

#define HOST_LIMIT_SECONDS 60 /* without a probe: the limit is forgotten */
#define HOST_STREAK        6
#define HOST_LIMIT_DEAD_S  300 /* without an answer: it was no limit after all */

/* The address stopped answering ports that it had answered, or began to refuse them: one
 * SYN at a time from now on. SYNs are numbered, so that those can be told that an answer
 * vouches for. */
struct limit {
    bool is_on;
    bool is_by_refusal; /* then only a handshake is an answer */
    bool is_short;      /* the next SYN waits for quota */
    int control_errnum; /* the next control could not be sent; 0 = it could */
    bool is_held_back;  /* a control never left this machine */
    struct pace pace;
    struct instant began_at, used_at, heard_at;
    struct instant next_at; /* of the next SYN */
    unsigned sent;          /* the number of the last SYN */
    unsigned heard;         /* of the latest that was answered */
    unsigned control;       /* of the latest control */
    unsigned missed;        /* of the latest control that was not */
    unsigned unheard;       /* SYNs in a row since a control or an answer */
    unsigned streak;        /* answers in a row, with no unanswered SYN between them */
    struct timer timer;
    struct port_queue turns;  /* ports that want a SYN */
    struct port_queue unsure; /* asked; waiting for an answer or the next control */
};

/* Embedded in an attempt. */
struct window_entry {
    TAILQ_ENTRY(window_entry) link;
    struct instant since;
    bool is_in;
};
TAILQ_HEAD(window_queue, window_entry);

struct host {
    struct address address;
    struct rtt rtt;
    struct loss loss;
    struct instant answered_at; /* ns 0 = never */
    struct instant opened_at;   /* the latest handshake; ns 0 = never */
    struct instant session_since;
    struct instant asked_since; /* a port was first asked, and nothing has answered since;
                                   ns 0 = none was */

    enum route_hop hop; /* as of hop_at */
    struct instant hop_at;

    struct window_queue window; /* oldest first */
    unsigned in_window;
    unsigned window_max;
    struct instant halved_at;
    unsigned unanswered; /* attempts that are open, in the window or not */

    struct instant resets_since;
    unsigned resets;
    struct instant paced_until; /* ns 0 = not paced */
    struct instant next_start;

    struct controls controls;
    struct limit limit;

    /* The engine's: its jobs, its open controls; whether something happened to it that
     * concerns other ports, and whether it is to be limited. */
    LIST_HEAD(, job) jobs;
    LIST_HEAD(, control_probe) open_controls;
    size_t open_control_count; /* of sockets: see quota_take() */
    bool has_news, is_to_limit, is_to_limit_by_refusal;
    TAILQ_ENTRY(host) news_link;

    /* Jobs that wait for the window or the pace, and when to try again. */
    struct job_queue waiting;
    struct timer timer;
    struct engine *engine;

    unsigned users; /* host_table_get() without host_table_put() */
    struct address_entry entry;
    TAILQ_ENTRY(host) idle_link; /* while users is 0 */
};

bool host_table_new(size_t max, struct host_table **ret, struct err *err);
struct host_table *host_table_free(struct host_table *hosts);

/* The entry for an address; creates it if it is missing. NULL without memory. Held until
 * host_table_put(). */
struct host *host_table_get(struct host_table *hosts, const struct address *address);
void host_table_put(struct host_table *hosts, struct host *host);

/* May another attempt leave at `now`? If not, ask again at *ret_until, or when an attempt
 * has been answered. */
bool host_may_start(struct host *host, struct instant now, struct instant *ret_until);

/* `is_first`: the first attempt at its port. */
void host_started(struct host *host, struct window_entry *entry, bool is_first,
                  struct instant now);

/* The attempt was answered or given up. */
void host_ended(struct host *host, struct window_entry *entry);

/* A handshake or a reset came: `sample` when it tells the round-trip time, else NULL.
 * `syns` were sent to that port, `lost` of them had no answer. */
void host_answered(struct host *host, const struct span *sample, unsigned syns,
                   unsigned lost, struct instant now);

/* A control was answered: the same without trials. */
void host_heard(struct host *host, const struct span *sample, struct instant now);

/* A port was opened, or refused; a witness from now on. */
void host_witnessed(struct host *host, uint16_t port, bool is_open, struct instant now);

/* The witness for the next control. Those of earlier sessions may have closed since then;
 * only a limited address keeps all that it had when that began. */
struct witness *host_next_witness(struct host *host, uint16_t except, struct instant now);

/* The first job of a session begins. */
void host_session_begin(struct host *host, struct instant now);

/* Has it answered in this session: at all, with a handshake? */
bool host_is_answering(const struct host *host);
bool host_has_opened(const struct host *host);

/* While limited: SYN number `number` was answered, or the control of that number was not.
 * An answered control raises the pace, and so does a streak of HOST_STREAK answers. */
void host_limit_heard(struct host *host, unsigned number, bool is_control,
                      struct instant now);
void host_limit_missed(struct host *host, unsigned number, struct instant now);

/* Has it answered within a minute, and is it silent now, for longer than an answer takes,
 * on ports that were first probed after that answer? Ports that were silent while others
 * answered are filtered; they say nothing about the address. */
bool host_fell_silent(const struct host *host, struct instant now);

/* route_next_hop(); the kernel is queried again after 50 ms. */
enum route_hop host_next_hop(struct host *host, struct instant now);

/* A reset came. True when the address is paced from here on and was not before. */
bool host_reset(struct host *host, struct instant now);
