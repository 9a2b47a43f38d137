/* SPDX-License-Identifier: MIT
 *
 * Between two rounds, looks every minute which public address the checkers see (GET /ip),
 * because the ports have to be checked again at a new one. Everything belongs to the loop's
 * thread.
 */
#pragma once

#include "verifier/arguments.h"

#include <stdbool.h>

struct address_watch;
struct err;
struct loop;
struct report;

#define ADDRESS_WATCH_SECONDS 60

/* A checker sees that address of this machine, which is not the one of the last report.
 * Returns whether that is news; then the watch stops. */
typedef bool(address_watch_fn)(void *ctx, enum family family,
                               const struct address *address);

/* All are borrowed. ERR_SYSTEM. */
bool address_watch_new(struct loop *loop, const struct arguments *arguments,
                       address_watch_fn *changed, void *ctx, struct address_watch **ret,
                       struct err *err);
struct address_watch *address_watch_free(struct address_watch *watch);

/* After a round: from now on, until address_watch_stop(). Of each family, the first checker
 * that reported an address is asked; without one, or with --ip, there is nothing to do. */
void address_watch_start(struct address_watch *watch, const struct report *report);
void address_watch_stop(struct address_watch *watch);
