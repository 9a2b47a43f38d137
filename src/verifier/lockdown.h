/* SPDX-License-Identifier: MIT
 *
 * What port-verifier gives up before it talks to a checker or a listener: new privileges,
 * executing programs, and all system calls that it and the C library's name services do not
 * need.
 */
#pragma once

#include <stdbool.h>

struct err;

/* Call it before threads start. Passes over what the kernel or the build lacks. */
bool lockdown_apply(struct err *err);
