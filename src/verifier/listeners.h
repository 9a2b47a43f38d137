/* SPDX-License-Identifier: MIT
 *
 * Binds every port on IPv4 and IPv6, and listens. It writes to each connection the line
 * that proves whose listener this is, and closes it when the other side does, or after 5
 * seconds. It holds at most 1,024 connections; one more closes the oldest, which has
 * already been sent its line.
 *
 * Everything belongs to the loop's thread.
 */
#pragma once

#include "probe/proof.h"
#include "verifier/local_port.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct listeners;
struct loop;

/* Binds all ports that it can. A port that cannot be bound is not a failure: see
 * listeners_local(). `ports` are borrowed until listeners_free(). `connections_max` is 1 to
 * LISTENERS_CONNECTIONS_MAX. ERR_SYSTEM without memory or descriptors. */
#define LISTENERS_CONNECTIONS_MAX 1024
bool listeners_open(struct loop *loop, const uint16_t *ports, size_t port_count,
                    const struct proof_token *token, size_t connections_max,
                    struct listeners **ret, struct err *err);
struct listeners *listeners_free(struct listeners *listeners);

/* Accepts connections that the loop has not reported yet. */
void listeners_sweep(struct listeners *listeners);

/* One entry per port, in the order of `ports`; the caller fills in `has_syn`. */
struct local_port *listeners_local(struct listeners *listeners, enum family family);
