/* SPDX-License-Identifier: MIT
 *
 * What the serving process gives up before it reads its first byte from the network.
 * Each layer holds without the others. A layer that the kernel or the build lacks is
 * skipped, unless PORT_CHECKER_SANDBOX=require; any other failure stops the start.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct settings;

/* In the order of application. LAYER(id, name, what it does) */
#define LAYER_MAP(LAYER)                                                                   \
    LAYER(USER, "user", "runs as an unprivileged user")                                    \
    LAYER(CAPABILITIES, "capabilities", "has no capabilities")                             \
    LAYER(PRIVILEGES, "privileges", "gains no privileges from programs (no_new_privs)")    \
    LAYER(MEMORY, "memory", "is not dumped, nor traced by its own user")                   \
    LAYER(FILES, "files", "opens no file (Landlock)")                                      \
    LAYER(CALLS, "calls", "ends at a system call outside its list (seccomp)")

enum layer {
#define LAYER(ID, name, what) LAYER_##ID,
    LAYER_MAP(LAYER)
#undef LAYER
        LAYER_COUNT,
};

enum layer_state {
    LAYER_HOLDS,
    LAYER_LACKING, /* the kernel or this build does not have it */
    LAYER_FAILED,
};

/* Made by the parent, which can still read files. */
struct confine_plan {
    bool is_switching; /* started as root */
    bool is_fallback;  /* no PORT_CHECKER_USER, and no user port-checker */
    uid_t uid;
    gid_t gid;
    char user[64]; /* the user's name */
};

/* ERR_INVALID if the user in PORT_CHECKER_USER, or without that setting `nobody`, does not
 * exist. A process that was not started as root keeps its user. */
bool confine_plan_make(const struct settings *settings, struct confine_plan *ret,
                       struct err *err);

/* Applies one layer to this process. FILES and CALLS need PRIVILEGES first. `err` says
 * why it does not hold. */
enum layer_state confine_layer(enum layer layer, const struct confine_plan *plan,
                               struct err *err);

/* Applies all layers, as the settings ask for. Call it before threads start.
 * `*ret_count` is how many layers hold. */
bool confine_apply(const struct confine_plan *plan, const struct settings *settings,
                   size_t *ret_count, struct err *err);

const char *layer_name(enum layer layer);
const char *layer_purpose(enum layer layer);
