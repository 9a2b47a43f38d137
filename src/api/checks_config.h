/* SPDX-License-Identifier: MIT
 *
 * What the checks of one worker work with, and the other routes too.
 */
#pragma once

#include "api/caller.h"

#include <stdbool.h>

/* Clients give up after 30 s; the contract says 25; the rest is for the reply. */
#define CHECK_MILLISECONDS 24500

struct budget;
struct engine;
struct gather_config;
struct loop;
struct metrics;
struct pages;
struct receipts;
struct settings;

/* All borrowed, for as long as the checks live. */
struct checks_config {
    struct loop *loop;
    struct engine *engine;
    const struct settings *settings;
    const struct gather_config *front; /* asks other places; NULL = this place alone */
    struct budget *budget;             /* shared */
    struct metrics *metrics;           /* this worker's */
    const struct pages *pages;
    const struct receipts *receipts;          /* shared; NULL = none are given */
    struct caller_warnings *warnings;         /* shared */
    struct access_machine machine;            /* asked by any thread */
    bool (*is_draining)(const void *service); /* then no new check starts */
    const void *service;
};
