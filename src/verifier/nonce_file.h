/* SPDX-License-Identifier: MIT
 *
 * The nonce of this machine's mappings in a file (--state), so that it outlives this
 * process: a PCP router changes a mapping only for a request with its nonce. The file is
 * one JSON object, {"version": 1, "nonce": "00112233445566778899aabb"}; other members are
 * ignored.
 */
#pragma once

#include "router/pcp.h"

#include <stdbool.h>
#include <stddef.h>

struct err;

#define NONCE_FILE_MAX 4096 /* bytes */

/* A new nonce. ERR_SYSTEM without random numbers. */
bool nonce_make(struct pcp_nonce *ret, struct err *err);

/* Reads the nonce from the file. If there is no such file, makes a nonce and creates the
 * file, complete from the beginning, for this user only. The message of an error begins
 * with the path: ERR_INVALID for a file with another content, ERR_SYSTEM. */
bool nonce_file_load(const char *path, struct pcp_nonce *ret, struct err *err);

/* The content of such a file. ERR_INVALID. Pure. */
bool nonce_parse(const char *text, size_t len, struct pcp_nonce *ret, struct err *err);
