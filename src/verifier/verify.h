/* SPDX-License-Identifier: MIT
 *
 * The command "verify": one round, or with --watch one after the other until SIGTERM,
 * SIGINT or SIGHUP. With --map, the ports are mapped before the checkers are asked, and the
 * mappings are removed at the end, also after such a signal; a second SIGTERM or SIGINT
 * ends the program at once.
 */
#pragma once

#include "verifier/delivery.h"

struct err;
struct pcp_nonce;

/* Returns the exit status. ERR_SYSTEM with STATUS_SYSTEM, else `err` is untouched. `nonce`
 * is that of the mappings. Without --watch, a signal during the check
 * ends the process by this signal, after the mappings have been removed. */
enum status verify_run(const struct arguments *arguments, const struct pcp_nonce *nonce,
                       struct err *err);
