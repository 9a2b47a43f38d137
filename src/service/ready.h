/* SPDX-License-Identifier: MIT
 *
 * What the log and systemd hear once the service is ready.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct service;

/* Which limits the process's descriptors have lowered, and the line with `event=ready`.
 * `child` serves, confined by `layers` layers. systemd hears of it if `is_told`. */
void ready_announce(struct service *service, pid_t child, size_t layers, bool is_told);

/* systemd hears that a reload is over and has changed nothing. */
void refused_announce(struct service *service, const char *reason);
