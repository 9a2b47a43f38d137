/* SPDX-License-Identifier: MIT */
#include "base/log_writer.h"

#include "base/err.h"
#include "base/log_line.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RING_SIZE    (256 * 1024) /* a power of two */
#define DIRECT_MS    100          /* the longest wait of a line without the thread */
#define GATHER_SPAN  span_ms(1)   /* between two writes, so that each takes many lines */
#define NOTICE_SPAN  span_seconds(1)
#define THREAD_STACK (128 * 1024)

static struct {
    pthread_mutex_t lock;
    pthread_cond_t to_do;   /* for the thread; its clock is CLOCK_MONOTONIC */
    pthread_cond_t is_done; /* for log_stop(), on the same clock */
    pthread_t thread;
    bool is_on;       /* the thread runs */
    bool is_stopping; /* it ends when everything is written */
    bool is_ended;
    bool is_idle; /* it waits for lines */

    /* Positions in the stream of bytes that were put in, not in the ring. */
    uint64_t head; /* the next line goes here */
    uint64_t tail; /* written up to here */
    uint64_t gap;  /* where `untold` lines are missing, if there are any */
    uint64_t untold;

    /* The notice about a gap, which is written before the ring goes on. */
    struct log_line notice;
    unsigned notice_written;

    /* Limited lines: when the last ones were admitted, a ring as well. */
    struct instant admitted[LOG_LIMITED_MAX];
    unsigned next_admitted;
    bool is_round;       /* the ring has been filled once */
    uint64_t suppressed; /* not told yet */
    struct instant suppressed_since;

    struct log_counts counts;
    char ring[RING_SIZE];
} writer = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void lock(void)
{
    pthread_mutex_lock(&writer.lock);
}

static void unlock(void)
{
    pthread_mutex_unlock(&writer.lock);
}

/* --- lines in ------------------------------------------------------------------------- */

static uint64_t count_lines(const char *lines, size_t len)
{
    uint64_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += lines[i] == '\n';
    return count;
}

/* False if the ring has no room for all of them. */
static bool ring_put(const char *lines, size_t len)
{
    if (len > RING_SIZE - (writer.head - writer.tail))
        return false;

    size_t at = writer.head % RING_SIZE;
    size_t first = len < RING_SIZE - at ? len : RING_SIZE - at;
    memcpy(writer.ring + at, lines, first);
    memcpy(writer.ring, lines + first, len - first);
    writer.head += len;
    return true;
}

static void ring_put_or_drop(const char *lines, size_t len)
{
    if (ring_put(lines, len)) {
        if (writer.is_idle)
            pthread_cond_signal(&writer.to_do);
        return;
    }
    if (writer.untold == 0)
        writer.gap = writer.head;
    uint64_t count = count_lines(lines, len);
    writer.untold += count;
    writer.counts.dropped += count;
}

/* No more at once than a pipe that polls as writable takes without blocking. */
static bool write_direct(const char *lines, size_t len)
{
    while (len > 0) {
        struct pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT};
        if (poll(&fd, 1, DIRECT_MS) != 1 || !(fd.revents & POLLOUT))
            return false;

        ssize_t n = write(STDERR_FILENO, lines, len < PIPE_BUF ? len : PIPE_BUF);
        if (n < 0 && errno != EINTR)
            return false;
        lines += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

void log_writer_put(const char *lines, size_t len)
{
    lock();
    bool is_on = writer.is_on;
    if (is_on)
        ring_put_or_drop(lines, len);
    unlock();
    if (is_on || write_direct(lines, len))
        return;

    lock();
    writer.counts.dropped += count_lines(lines, len);
    unlock();
}

/* --- the limit ------------------------------------------------------------------------ */

static bool admit(struct instant now)
{
    struct instant *oldest = &writer.admitted[writer.next_admitted];
    if (writer.is_round && instant_since(now, *oldest).ns < NS_PER_SECOND)
        return false;

    *oldest = now;
    writer.next_admitted = (writer.next_admitted + 1) % LOG_LIMITED_MAX;
    writer.is_round |= writer.next_admitted == 0;
    return true;
}

bool log_writer_admits(void)
{
    struct instant now = clock_now();
    lock();
    bool is_admitted = admit(now);
    if (!is_admitted) {
        writer.counts.suppressed++;
        if (writer.suppressed++ == 0) {
            writer.suppressed_since = now;
            if (writer.is_idle)
                pthread_cond_signal(&writer.to_do); /* to wait for one second only */
        }
    }
    unlock();
    return is_admitted;
}

struct log_counts log_counts(void)
{
    lock();
    struct log_counts counts = writer.counts;
    unlock();
    return counts;
}

/* --- the thread ----------------------------------------------------------------------- */

static bool notice_begin(struct log_line *line, const char *event, const char *key,
                         uint64_t count, const char *message)
{
    if (!log_begin(line, LOG_LEVEL_WARNING, event))
        return false;
    log_int(line, key, (int64_t)count);
    log_str(line, "message", message);
    log_line_finish(line);
    return true;
}

static void tell_suppressed(void)
{
    struct log_line line;
    if (notice_begin(&line, "log_suppressed", "suppressed", writer.suppressed,
                     "more than 100 requests a second were refused or had nothing to "
                     "check; the others are only counted"))
        ring_put_or_drop(line.data, line.len);
    writer.suppressed = 0;
}

static bool is_suppression_due(void)
{
    return writer.suppressed > 0 &&
           (writer.is_stopping ||
            !instant_before(clock_now(),
                            instant_add(writer.suppressed_since, NOTICE_SPAN)));
}

static bool has_notice(void)
{
    return writer.notice_written < writer.notice.len;
}

static void notice_gap(void)
{
    writer.notice.len = 0;
    writer.notice_written = 0;
    notice_begin(&writer.notice, "log_dropped", "dropped", writer.untold,
                 "standard error did not accept these lines");
    writer.untold = 0;
}

_Static_assert(sizeof((struct log_line){0}.data) <= PIPE_BUF, "a piece has a whole line");

/* Without a line that is not whole. */
static size_t whole_lines(const char *bytes, size_t len)
{
    const char *newline = memrchr(bytes, '\n', len);
    return newline ? (size_t)(newline - bytes) + 1 : len;
}

/* What to write next: whole lines, at most up to a gap, and no more than a pipe or a socket
 * takes at once, because other processes write to it, too. */
static size_t next_piece(char ret_piece[static PIPE_BUF])
{
    if (!has_notice() && writer.untold > 0 && writer.tail == writer.gap)
        notice_gap();
    if (has_notice()) {
        size_t rest = writer.notice.len - writer.notice_written;
        memcpy(ret_piece, writer.notice.data + writer.notice_written, rest);
        return rest;
    }
    uint64_t end = writer.untold > 0 ? writer.gap : writer.head;
    size_t at = writer.tail % RING_SIZE;
    size_t len = end - writer.tail < PIPE_BUF ? end - writer.tail : PIPE_BUF;
    size_t first = len < RING_SIZE - at ? len : RING_SIZE - at;
    memcpy(ret_piece, writer.ring + at, first);
    memcpy(ret_piece + first, writer.ring, len - first);
    return whole_lines(ret_piece, len);
}

/* Waits for `span`, or until log_stop(). */
static void pause_for(struct span span)
{
    struct timespec until = instant_timespec(instant_add(clock_now(), span));
    while (!writer.is_stopping &&
           pthread_cond_timedwait(&writer.to_do, &writer.lock, &until) == 0)
        continue;
}

static void wait_for_lines(void)
{
    writer.is_idle = true;
    writer.head = writer.tail = 0; /* uses the same pages again */
    if (writer.suppressed > 0) {
        struct timespec until =
            instant_timespec(instant_add(writer.suppressed_since, NOTICE_SPAN));
        pthread_cond_timedwait(&writer.to_do, &writer.lock, &until);
    } else {
        pthread_cond_wait(&writer.to_do, &writer.lock);
    }
    writer.is_idle = false;
}

/* The lock is free meanwhile. False if nothing was written. */
static bool write_next(const char *bytes, size_t len)
{
    unlock();
    ssize_t n = write(STDERR_FILENO, bytes, len);
    /* Another process has made the shared descriptor non-blocking. */
    if (n < 0 && errno == EAGAIN)
        n = poll(&(struct pollfd){.fd = STDERR_FILENO, .events = POLLOUT}, 1, 1000) == 1
                ? write(STDERR_FILENO, bytes, len)
                : -1;
    lock();
    if (n <= 0)
        return false;

    if (has_notice())
        writer.notice_written += (unsigned)n;
    else
        writer.tail += (uint64_t)n;
    return true;
}

static void *writer_main(void *ctx)
{
    char piece[PIPE_BUF];
    (void)ctx;
    lock();
    for (;;) {
        if (is_suppression_due())
            tell_suppressed();
        size_t len = next_piece(piece);
        if (len > 0) {
            bool is_written = write_next(piece, len);
            if (!is_written && writer.is_stopping)
                break;
            if (!is_written)
                pause_for(span_seconds(1));
            else if (writer.tail == writer.head)
                pause_for(GATHER_SPAN);
        } else if (writer.is_stopping) {
            break;
        } else {
            wait_for_lines();
        }
    }
    writer.is_ended = true;
    pthread_cond_signal(&writer.is_done);
    unlock();
    return NULL;
}

/* --- life ----------------------------------------------------------------------------- */

static int thread_create(void)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, THREAD_STACK);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&writer.thread, &attributes, writer_main, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return failure;
}

bool log_start(struct err *err)
{
    assert(!writer.is_on);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&writer.to_do, &monotonic);
    pthread_cond_init(&writer.is_done, &monotonic);
    pthread_condattr_destroy(&monotonic);

    writer.is_stopping = writer.is_ended = false;
    int failure = thread_create();
    if (failure != 0)
        return err_sys(err, failure, "starting a thread");
    lock();
    writer.is_on = true;
    unlock();
    return true;
}

void log_stop(void)
{
    lock();
    if (!writer.is_on) {
        unlock();
        return;
    }
    writer.is_on = false;
    writer.is_stopping = true;
    pthread_cond_signal(&writer.to_do);
    struct timespec until = instant_timespec(instant_add(clock_now(), span_seconds(1)));
    int failure = 0;
    while (!writer.is_ended && failure == 0)
        failure = pthread_cond_timedwait(&writer.is_done, &writer.lock, &until);
    bool is_ended = writer.is_ended;
    unlock();
    /* A thread that is stuck in write(2) ends with the process. */
    if (is_ended)
        pthread_join(writer.thread, NULL);
    else
        pthread_detach(writer.thread);
}
