/* SPDX-License-Identifier: MIT
 *
 * What this program gives up before it reads anything from the network: it parses XML from
 * any device that answers, with code of others.
 */
#pragma once

#include <stdbool.h>

struct err;

/* Ends this process after so many ms, by SIGALRM; and, if standard input is a socket, as
 * soon as its other end is closed: port-verifier cannot send signals. */
bool confine_time(int deadline_ms, struct err *err);

/* Without privileges (root becomes nobody), core dumps, children, files, and more
 * memory, descriptors and processor time than any router needs. The system calls that the
 * library does not need end this process; passes over what the kernel or the build lacks.
 */
bool confine_all(struct err *err);
