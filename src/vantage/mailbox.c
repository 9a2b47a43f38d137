/* SPDX-License-Identifier: MIT */
#include "vantage/mailbox.h"

#include "base/err.h"
#include "base/fd.h"
#include "loop/loop.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct mailbox {
    struct loop *loop; /* borrowed */
    struct loop_watch watch;
    mailbox_open_fn *open;
    void *ctx;
    int fd; /* owned */

    pthread_mutex_t mutex; /* of what follows */
    struct letter *first;
    struct letter **last; /* where the next letter is linked */
    size_t count;
    size_t bytes;
};

struct letter *letter_new(enum letter_kind kind, const char *data, size_t len)
{
    struct letter *letter = malloc(sizeof *letter + len);
    if (!letter)
        return NULL;

    *letter = (struct letter){.kind = kind, .len = len};
    if (len > 0)
        memcpy(letter->data, data, len);
    return letter;
}

static struct letter *take_all(struct mailbox *mailbox)
{
    int errnum = pthread_mutex_lock(&mailbox->mutex);
    assert(errnum == 0);
    struct letter *first = mailbox->first;
    mailbox->first = NULL;
    mailbox->last = &mailbox->first;
    mailbox->count = mailbox->bytes = 0;
    errnum = pthread_mutex_unlock(&mailbox->mutex);
    assert(errnum == 0);
    return first;
}

static void is_readable(void *ctx, uint32_t events)
{
    struct mailbox *mailbox = ctx;
    uint64_t posts;
    (void)events;
    /* Before the letters are taken: a post after this wakes the loop again. */
    ssize_t len = read(mailbox->fd, &posts, sizeof posts);
    assert(len == (ssize_t)sizeof posts || errno == EAGAIN);
    for (struct letter *letter = take_all(mailbox), *next; letter; letter = next) {
        next = letter->next;
        mailbox->open(mailbox->ctx, letter);
    }
}

bool mailbox_new(struct loop *loop, mailbox_open_fn *open, void *ctx, struct mailbox **ret,
                 struct err *err)
{
    struct mailbox *mailbox = calloc(1, sizeof *mailbox);
    if (!mailbox)
        return err_sys(err, ENOMEM, "a mailbox");

    *mailbox = (struct mailbox){
        .loop = loop,
        .open = open,
        .ctx = ctx,
        .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
        .last = &mailbox->first,
    };
    int errnum = pthread_mutex_init(&mailbox->mutex, NULL);
    assert(errnum == 0);
    bool is_made = mailbox->fd >= 0
                       ? loop_watch_add(loop, mailbox->fd, EPOLLIN, is_readable, mailbox,
                                        &mailbox->watch, err)
                       : err_sys(err, errno, "eventfd");
    if (!is_made) {
        mailbox_free(mailbox);
        return false;
    }
    *ret = mailbox;
    return true;
}

struct mailbox *mailbox_free(struct mailbox *mailbox)
{
    if (!mailbox)
        return NULL;

    for (struct letter *letter = take_all(mailbox), *next; letter; letter = next) {
        next = letter->next;
        free(letter);
    }
    loop_watch_drop(mailbox->loop, -1, &mailbox->watch);
    fd_close(&mailbox->fd);
    pthread_mutex_destroy(&mailbox->mutex);
    free(mailbox);
    return NULL;
}

static bool has_room(const struct mailbox *mailbox, const struct letter *letter)
{
    return letter->kind == LETTER_NOT_SENT || letter->kind == LETTER_DISCONNECTED ||
           (mailbox->count < MAILBOX_LETTERS_MAX &&
            mailbox->bytes + letter->len <= MAILBOX_BYTES_MAX);
}

bool mailbox_post(struct mailbox *mailbox, struct letter *letter)
{
    static const uint64_t one = 1;
    int errnum = pthread_mutex_lock(&mailbox->mutex);
    assert(errnum == 0);
    bool is_first = !mailbox->first, is_taken = has_room(mailbox, letter);
    if (is_taken) {
        letter->next = NULL;
        *mailbox->last = letter;
        mailbox->last = &letter->next;
        mailbox->count++;
        mailbox->bytes += letter->len;
    }
    errnum = pthread_mutex_unlock(&mailbox->mutex);
    assert(errnum == 0);
    if (!is_taken)
        free(letter);
    else if (is_first && write(mailbox->fd, &one, sizeof one) < 0)
        assert(errno == EAGAIN); /* it is readable already */
    return is_taken;
}
