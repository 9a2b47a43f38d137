/* SPDX-License-Identifier: MIT
 *
 * The engine's internals, for its parts only:
 *
 *   engine.c         jobs: start, turns, fairness, end
 *   limited.c        addresses that stopped answering: one SYN at a time
 *   port.c           one port of a job: what happens to it, and its next step
 *   port_phase.c     what it holds and waits for, up to its verdict
 *   port_attempts.c  its attempts: their sockets, and what they count for
 *   judge.c          what the facts about a port mean
 *   proving.c        the proof of an open port's listener
 *   control_probe.c  attempts at ports that have answered before, see controls.h
 *   queue.c          which jobs and ports wait where; which addresses have news
 *   share.c          callers: which have jobs, and which of them wait for a socket
 *   quota.c          how many sockets may be in flight, and who may have the next
 *   doubt.c          whether this machine causes the silence
 *
 * Each calls only those below it, so the effects of a part can be read downwards.
 *
 * The engine's clock is the loop's clock minus the time in which this process did not run
 * (loop_stalled): silence counts only while this process listens. All instants here are on
 * that clock, except a job's deadline, which is a promise to its caller and stays on the
 * loop's clock.
 */
#pragma once

#include "loop/loop.h"
#include "loop/timers.h"
#include "loop/trim.h"
#include "net/address_table.h"
#include "probe/engine.h"
#include "probe/evidence.h"
#include "probe/host.h"
#include "probe/schedule.h"
#include "probe/source_ports.h"

#include <sys/queue.h>

/* Why there is no verdict when this machine is under suspicion. */
#define SELF_DOUBT                                                                         \
    "this checker's own machine seems to lose what it sends (a firewall rule, a full "     \
    "connection table, or its uplink)"

/* The same when no socket can be opened. */
#define NO_CONNECTION    "this checker could not open a connection"

/* So many ports of a request, its first, are asked first. */
#define JOB_PORTS_FIRST  4

/* So many ports that refused are asked again at a time. */
#define JOB_SECOND_LOOKS 8

struct attempt_reading;
struct port;

/* One connect in flight. Leaves the engine only through attempt_end(). */
struct attempt {
    struct port *port; /* borrowed: outlives every attempt */
    LIST_ENTRY(attempt) link;
    int fd; /* owned */
    struct loop_watch watch;
    struct instant sent_at; /* on CLOCK_MONOTONIC itself: a measurement, not a deadline */
    struct window_entry window;
    bool is_answered; /* no longer counted by its host */
    bool has_error;   /* an ICMP error was counted; the socket still waits, or fd is -1 */
};

/* The checker's own problem that explains why a port has no verdict when its job's time is
 * up. */
struct local_fault {
    const char *text; /* NULL = nothing */
    int errnum;       /* 0 = the text says it all */

    /* A SYN seemed to leave but was lost here: only an answer shows that the next one gets
     * out. Otherwise the fault has passed as soon as a SYN leaves. */
    bool is_of_sent;
};

enum port_phase {
    PORT_QUEUED,   /* wants an attempt, waits for its turn */
    PORT_PROBING,  /* has its attempts, waits for an answer or its timer */
    PORT_DEFERRED, /* this checker could not try; waits for its timer */
    PORT_PROVING,  /* open; its listener is asked for its proof */
    PORT_LIMITED,  /* its address is limited: it waits in host->limit */
    PORT_SETTLED,
};

struct port {
    struct job *job; /* borrowed */
    struct timer timer;
    LIST_HEAD(, attempt) attempts; /* owned: those that are open */
    TAILQ_ENTRY(port) queue_link;

    enum port_phase phase;
    uint8_t local_faults;        /* local faults in a row: the back-off */
    struct source_choice source; /* of its next attempt */
    uint8_t self_met;            /* times that it connected to ourselves */
    bool is_tried;               /* a SYN was sent */
    bool is_on_loan;             /* its socket is of the reserve, see quota.c */
    bool is_lean;                /* gets no further attempts while one is open */
    bool is_looked_at;           /* by its timer, since its latest refusal */
    bool is_second_look;         /* it refused once, and another attempt is under way */
    bool is_again;               /* queued in job.again, not among the fresh ones */
    struct instant refreshed_at; /* when it was asked for; ns 0 = never */
    struct instant first_syn;    /* of those that count: not one that we failed to send */
    struct instant last_refusal;
    struct instant first_negative; /* refusal or prohibition; ns 0 = none */
    struct instant stopped_at;     /* when its clock stopped: queued or deferred */
    struct evidence evidence;
    struct local_fault local_fault;
    struct proving *proving; /* owned; while PORT_PROVING */

    /* While PORT_LIMITED. */
    unsigned asked; /* the number of its SYN, 0 = it is in host->limit.turns */
    uint8_t silent; /* SYNs that an answer to a later one vouches for */
    struct port_verdict verdict;
};

/* A job's place: exactly one of its caller's run queue, its host's waiting queue, nowhere
 * (nothing to start), or the finished queue. */
enum job_place {
    JOB_IDLE,
    JOB_RUNNING,
    JOB_WAITING,
    JOB_FINISHED,
};

TAILQ_HEAD(share_queue, share);

/* The network of callers with jobs at this engine: address_key_network(). */
struct share_network {
    struct address_entry entry;
    size_t shares;
    size_t held; /* sockets of all of them */
};

/* A caller with jobs at this engine. It has a place in one of the engine's queues of
 * shares; none while no job of it is running. */
struct share {
    struct address_entry entry;
    struct share_network *network; /* held, as is the share by its jobs */
    struct share_queue *queue;     /* where it has its place; NULL = none */
    TAILQ_ENTRY(share) link;
    struct job_queue running; /* its jobs with something to start, taking turns */
    size_t held;              /* sockets of all its ports */
    size_t jobs;
    struct instant short_at; /* the last time that it was; ns 0 = never */
    struct instant loan_at;  /* a port gave back a socket on loan; ns 0 = never */
};

struct job {
    struct engine *engine; /* borrowed */
    struct host *host;     /* held in the table */
    struct share *share;   /* held, as is host */
    TAILQ_ENTRY(job) place_link;
    LIST_ENTRY(job) engine_link;
    LIST_ENTRY(job) host_link;
    enum job_place place;

    struct address target;
    bool has_token;
    struct proof_token token;
    struct timer deadline; /* on the loop's clock */
    job_settled_fn *settled;
    job_done_fn *done;
    void *ctx;

    size_t port_count;
    size_t unsettled;
    size_t untried;
    size_t doubted;       /* ports that refused, or were prohibited, and have no verdict */
    size_t second_looks;  /* attempts under way at ports that have refused once */
    size_t refused_twice; /* ports that a second look found refusing again ... */
    size_t opened_late;   /* ... and ports that were open after they had refused */
    size_t unlimited;     /* ports that had answered before its address was limited */
    size_t next_fresh;    /* into order[]: ports that have not had a turn */
    struct port_queue again;  /* ports that want another attempt */
    struct job_result result; /* once finished */

    uint16_t *order; /* random permutation of the indexes; within this allocation */
    struct port ports[];
};

struct engine {
    struct loop *loop;
    struct engine_config config;
    struct schedule_rules rules;
    struct host_table *hosts;
    struct source_ports sources;
    struct loss loss;           /* over all addresses */
    TAILQ_HEAD(, host) news;    /* addresses to which something happened */
    struct instant answered_at; /* by any of them */

    struct instant doubted_at;    /* the last search for signs; ns 0 = never */
    struct instant trusted_since; /* earlier SYNs may not have left this machine */

    struct timers timers; /* on the engine's clock */
    struct timer wake;    /* on the loop's: when the engine's earliest timer is due */

    LIST_HEAD(, job) jobs;
    struct address_table callers;    /* of struct share and struct share_network, owned */
    struct share_queue first_shares; /* callers whose jobs have something to start, ... */
    struct share_queue shares;       /* ... those of networks that hold sockets */
    struct share_queue short_shares; /* those that were refused one in this turn */
    struct job
        *ending; /* its ports are being settled at its deadline; NULL once it is gone */
    struct job_queue finished; /* `done` is called at the end of the turn */
    size_t job_count;
    size_t port_count; /* of all jobs: the bound on memory */

    size_t in_flight;  /* our part of limit->in_flight */
    size_t ceiling;    /* shrinks at local faults, grows with answers */
    size_t track_free; /* what connection tracking allows, SIZE_MAX = no limit */
    struct instant track_read_at;

    uint64_t random;
    struct trim trim; /* of the memory of jobs */
};

/* The engine's clock, this turn. */
static inline struct instant engine_now(const struct engine *engine)
{
    return instant_back(loop_now(engine->loop), loop_stalled(engine->loop));
}

/* xorshift64: an order that a target cannot guess is not needed, only a mixed one. */
static inline uint64_t engine_random(struct engine *engine)
{
    engine->random ^= engine->random << 13;
    engine->random ^= engine->random >> 7;
    engine->random ^= engine->random << 17;
    return engine->random;
}

/* --- port.c ------------------------------------------------------------------------- */

void port_init(struct port *port, struct job *job, uint16_t number);

/* Sends the port's next SYN, for which the caller has taken quota; port.c returns it when
 * the attempt ends. The job may be gone when this returns. */
void port_attempt(struct port *port);

/* No socket is available for the further attempt that the port queued for: it waits longer
 * with its open ones. The job may be gone when this returns. */
void port_do_without(struct port *port);

/* --- port_phase.c ------------------------------------------------------------------- */

/* It refused, or was prohibited: by the port itself, or by a limit. */
void port_doubt(struct port *port);

/* It refused once, and another attempt is made. */
void port_second_look_begin(struct port *port);
void port_second_look_end(struct port *port);

/* What is known about it no longer counts. */
void port_forget(struct port *port);

/* Takes it out of whatever it waits for. */
void port_unqueue(struct port *port);

/* Its clock stops, and after a pause it queues again. */
void port_pause(struct port *port);

/* Its clock stood still while it queued or was deferred. */
void port_clock_on(struct port *port);

/* The port waits for its turn at its limited address, at the head or the tail; what is
 * known about it no longer counts. */
void port_limit(struct port *port, bool is_first);

/* Back to the queue of its job, as if new. */
void port_unlimit(struct port *port);

/* A SYN of a limited port is over, and is not vouched for: it wants another. */
void port_ask_again(struct port *port, bool is_first);

/* Notes the state of its verdict. */
void port_decide(struct port *port, enum port_state state, int errnum);

/* Ends its attempts and reports its verdict: as it is, with this state, while limited, or
 * open with a proof that has not come in time. The job may be gone when these return. */
void port_settle(struct port *port);
void port_settle_as(struct port *port, enum port_state state, int errnum);
void port_settle_limited(struct port *port, enum port_state state, int errnum);
void port_settle_unproved(struct port *port);

/* Closes the attempts of all ports and stops their timers; for jobs that end early. */
void job_abandon_ports(struct job *job);

/* Ends a job without a verdict, for this reason. */
void job_fail(struct job *job, enum job_end end, const struct err *reason);

/* --- port_attempts.c ---------------------------------------------------------------- */

/* Sends the port's next SYN and watches its socket: on_event() is called with the attempt.
 * On any outcome but OUTCOME_PENDING there is no attempt, the quota has been returned, and
 * *ret_errnum says why. */
enum outcome attempt_start(struct port *port, loop_event_fn *on_event, int *ret_errnum);

/* Its host no longer counts it as under way. */
void attempt_answered(struct attempt *attempt);

/* Closes the socket: quota and window have their place back before any callback runs. */
void attempt_close(struct attempt *attempt);

/* Closes and forgets it. */
void attempt_end(struct attempt *attempt);

/* All but one, which may be NULL. */
void attempts_end(struct port *port, const struct attempt *but);

/* Records an answer to an attempt that was sent at `sent_at`: earlier attempts at this port
 * that are still open were lost. */
void attempts_heard(struct port *port, const struct attempt_reading *reading,
                    struct instant sent_at, bool is_open);

/* --- judge.c ------------------------------------------------------------------------ */

enum judge_step {
    JUDGE_NOTHING, /* it waits for its turn, or for the end of a pause */
    JUDGE_ATTEMPT, /* it wants another attempt now */
    JUDGE_WAIT,    /* look again at `until` */
    JUDGE_VERDICT, /* `state` and `errnum`, unless an answer has come that was not read */
    JUDGE_LIMITED, /* the address does not answer its controls: nothing can be said */
};

struct judgement {
    enum judge_step step;
    struct instant until;  /* JUDGE_WAIT only */
    enum port_state state; /* JUDGE_VERDICT only, as is errnum */
    int errnum;
    bool is_by_refusal; /* JUDGE_LIMITED only */
};

struct judgement judge_port(const struct port *port);

/* SYNs without an answer that suffice at the port's address while it is limited. */
unsigned judge_limited_needed(const struct host *host, struct instant now);

/* The last check of a verdict before it is final, when the attempts have nothing more to
 * report: could an answer of the target have arrived? NULL, or the reason why the SYNs
 * prove nothing. Silence of a missing neighbour becomes UNREACHABLE. */
const char *judge_doubt(const struct port *port, struct judgement *verdict);

/* --- proving.c ---------------------------------------------------------------------- */

/* The port is open by this attempt, its only one: reads its proof. Like proving_read(),
 * true when the verdict has its proof and the port can be settled. */
bool proving_begin(struct port *port, struct attempt *attempt);

/* Reads what has come. */
bool proving_read(struct port *port);

/* Ends the proof: only what has arrived counts. */
void proving_time_up(struct port *port);
struct proving *proving_free(struct proving *proving);

/* --- limited.c ---------------------------------------------------------------------- */

/* Acts on what happened to the address. */
void limited_news(struct engine *engine, struct host *host);

/* The job begins at an address that is limited. */
void limited_join(struct job *job);

/* Its time is up: its open ports are settled, the limited ones too. False when the job is
 * gone. */
bool limited_deadline(struct job *job);

/* --- control_probe.c ---------------------------------------------------------------- */

/* How many may be open at one address. */
#define CONTROL_PROBES_MAX 16

enum control_sending {
    CONTROL_SENT,
    CONTROL_NONE,  /* no witness is known, or enough controls are under way */
    CONTROL_SHORT, /* no quota */
    CONTROL_FAULT, /* this checker could not try: *ret_errnum says why */
};

/* Sends a control; `except`: not at that port if there is another. */
enum control_sending control_probe_send(struct engine *engine, struct host *host,
                                        uint16_t except, int *ret_errnum);

/* Closes all of an address. */
void control_probes_end(struct host *host);

/* --- queue.c ------------------------------------------------------------------------ */

/* Something happened to the address that concerns its ports: engine_turn() looks at it. */
void host_news(struct engine *engine, struct host *host);

/* The job has something to start, has to wait for its address, or neither. */
void job_run(struct job *job);
void job_wait(struct job *job, struct instant until);
void job_leave_place(struct job *job);
bool job_has_work(const struct job *job);

/* Something left the host's window, or its pace allows more. */
void host_wake(struct engine *engine, struct host *host);

/* Lets another job that waits for the same address try. */
void host_wake_next(struct engine *engine, struct host *host);

/* The port wants its turn: it is queued and its job gets a place among the running. */
void job_want(struct job *job, struct port *port);

/* The port gets its turn, or no longer needs one. */
void job_take_port(struct job *job, struct port *port);

/* Its timer fires when it has queued for a while. */
void port_be_patient(struct port *port);

/* Its address has begun to limit its resets: each port that is silent now gets one more
 * attempt before its silence counts. */
void host_refresh_silent(struct engine *engine, struct host *host);

/* The job ends; `done` is called at the end of the turn. */
void job_finish(struct job *job, enum job_end end);

/* A port has its verdict. The job may be gone when this returns. */
void job_port_settled(struct job *job, struct port *port);

/* --- share.c ------------------------------------------------------------------------ */

/* The share of a caller with a job more; NULL without memory. `caller` NULL: the owner of
 * the engine. */
struct share *share_get(struct engine *engine, const struct address *caller);
void share_put(struct engine *engine, struct share *share);

/* Its first job begins to run, or its last one no longer does. */
void share_begin(struct engine *engine, struct share *share);
void share_end(struct share *share);

/* Whose turn it is: first those of networks that hold no socket. NULL = no one's. */
struct share *share_next(struct engine *engine);

/* A socket for a port of this caller, if neither it nor its network holds too many:
 * quota_take(). Its first socket is only its own matter. */
bool share_take(struct engine *engine, struct share *share, bool is_further);
bool share_borrow(struct engine *engine, struct share *share); /* quota_borrow() */
void share_return(struct engine *engine, struct share *share);

/* It has had its turn: all others come first. */
void share_rotate(struct engine *engine, struct share *share);

/* Is it refused sockets in this turn? */
bool share_is_short(const struct engine *engine, const struct share *share);

/* Was it short of sockets within the time that a port has? */
bool share_was_short(const struct engine *engine, const struct share *share);

/* A port of it gives back a socket on loan: it may not borrow for as long as a port has. */
void share_gave_back(struct engine *engine, struct share *share);
bool share_may_borrow(const struct engine *engine, const struct share *share);

/* It was refused a socket; and all that were may try again. */
void share_fall_short(struct engine *engine, struct share *share);
void shares_retry(struct engine *engine);

/* --- quota.c ------------------------------------------------------------------------ */

/* A socket for one that holds *held already, which is counted up and down: the ports of a
 * caller, or the controls of an address. `is_further`: for a port that has an attempt open.
 * quota.c has the rule. */
bool quota_take(struct engine *engine, size_t *held, bool is_further);

/* Whether one that holds so many could take another one. */
bool quota_allows(struct engine *engine, size_t held, bool is_further);

/* A socket of the reserve, for a caller that holds none: on loan. */
bool quota_borrow(struct engine *engine, size_t *held);
void quota_return(struct engine *engine, size_t *held);
void quota_shrink(struct engine *engine);

/* --- doubt.c ------------------------------------------------------------------------ */

/* Looks for signs that this machine loses what it sends, if the last search is older than
 * `age_max`. A sign moves engine->trusted_since to now. */
void doubt_look(struct engine *engine, struct span age_max);
