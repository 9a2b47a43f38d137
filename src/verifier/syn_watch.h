/* SPDX-License-Identifier: MIT
 *
 * During a check, looks for handshakes at our ports that do not finish (SYN_RECV): the SYN
 * arrives, but the answer is lost. Strangers begin such handshakes, too, so each is noted
 * with the address that it came from. Those that hang already at the start do not count.
 */
#pragma once

#include "verifier/local_port.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct loop;
struct syn_watch;

/* `ports` are ascending; `local` has one entry per port for each family, whose `syn_from`
 * gets the first few. All are borrowed until syn_watch_free(). */
bool syn_watch_new(struct loop *loop, const uint16_t *ports, size_t port_count,
                   struct local_port *const local[FAMILY_COUNT], struct syn_watch **ret,
                   struct err *err);
struct syn_watch *syn_watch_free(struct syn_watch *watch);

/* Looks once more, now. */
void syn_watch_look(struct syn_watch *watch);
