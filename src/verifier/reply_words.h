/* SPDX-License-Identifier: MIT
 *
 * The words in what checkers answer: those of the contract, and those for people. Pure.
 */
#pragma once

#include "probe/proof.h"
#include "probe/verdict.h"

#include <stdbool.h>
#include <stddef.h>

/* The words of the contract. False, PROOF_NONE: not known to this version. */
bool reply_state_of(const char *word, enum port_state *ret);
enum proof reply_proof_of(const char *word);

/* Copies text from the network to show it to people: anything but printable ASCII becomes
 * "?". Text that does not fit into `size`, which is at least 4, ends in "...". */
void reply_copy_printable(const char *text, char *ret, size_t size);
