/* SPDX-License-Identifier: MIT
 *
 * Tells a lack of memory from bad JSON. jansson reports both as text that it cannot parse,
 * and only one of them is the client's fault. When the buffer of its lexer cannot grow, it
 * even goes on without the byte: another port, another address.
 */
#pragma once

#include <stdbool.h>

/* Makes jansson allocate through this module. Once, before any thread exists. */
void json_memory_watch(void);

/* Whether an allocation of jansson in this thread has failed since the last call. */
bool json_memory_has_failed(void);
