/* SPDX-License-Identifier: MIT
 *
 * What a worker has of the front and of the vantage point: its mailbox, and what reads the
 * letters. And what all desks share. Without NATS in the settings there is neither.
 */
#pragma once

#include "service/sockets.h"
#include "vantage/point.h"

#include <stdbool.h>
#include <stddef.h>

struct budget;
struct courier;
struct desk;
struct engine;
struct err;
struct gather_config;
struct loop;
struct mailbox;
struct nats_access;
struct places;
struct settings;
struct text;

/* Shared by all desks. */
struct office {
    struct nats_access *access; /* these five owned; all NULL without NATS */
    struct courier *courier;
    struct places *places;
    struct budget *targets;
    struct budget *fronts;
    struct point_counts counts;             /* of the vantage point */
    struct mailbox *mailboxes[SOCKETS_MAX]; /* of the desks */
};

/* In the parent: reads the files that the settings name. */
bool office_load(struct office *office, const struct settings *settings, struct err *err);

/* In the child, before it is confined. */
bool office_make(struct office *office, const struct settings *settings, struct err *err);

/* After it is confined and all desks have been made. */
bool office_open(struct office *office, struct err *err);

/* The metrics of front, vantage point and connection, for GET /metrics; nothing without
 * NATS. Any thread. */
void office_render(const struct office *office, struct text *text);

/* From now on this process gets no jobs. */
void office_retire(struct office *office);

/* Nothing arrives at the desks any more. */
void office_close(struct office *office);

/* After the desks. */
void office_done(struct office *office);

/* *ret is NULL without NATS. */
bool desk_new(struct office *office, const struct settings *settings, size_t worker,
              struct loop *loop, struct engine *engine, struct desk **ret, struct err *err);

/* After the checks, and before the engine. */
struct desk *desk_free(struct desk *desk);

/* For the checks of this worker; NULL if it is no front, or there is no desk. */
const struct gather_config *desk_front(const struct desk *desk);

/* Jobs of fronts that run here. */
size_t desk_jobs(const struct desk *desk);
