/* SPDX-License-Identifier: MIT
 *
 * The capabilities of this thread (capabilities(7)).
 */
#pragma once

#include <stdbool.h>

struct err;

/* Whether any is permitted, effective or inheritable; true if that cannot be found out. */
bool capabilities_are_held(void);

/* Drops those. Calls the kernel only if any is held: systemd's filter of a unit may deny
 * capset(). ERR_SYSTEM. */
bool capabilities_drop(struct err *err);
