/* SPDX-License-Identifier: MIT
 *
 * Asks over NATS (ask.h). One for each worker, on its thread.
 */
#pragma once

#include "vantage/ask.h"

#include <stddef.h>

struct courier;
struct err;
struct letter;
struct loop;
struct nats_asker;

/* `worker` is the index of its mailbox. */
bool nats_asker_new(struct loop *loop, struct courier *courier, size_t worker,
                    struct nats_asker **ret, struct err *err);

/* No request is left. */
struct nats_asker *nats_asker_free(struct nats_asker *asker);

struct vantage_asker *nats_asker_interface(struct nats_asker *asker);

/* A letter to a front; it stays the caller's. */
void nats_asker_read(struct nats_asker *asker, const struct letter *letter);
