/* SPDX-License-Identifier: MIT
 *
 * What the log says once the service is ready.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

struct service;

/* Which limits the process's descriptors have lowered, and the line with `event=ready`.
 * `child` serves, confined by `layers` layers. */
void ready_log(const struct service *service, pid_t child, size_t layers);
