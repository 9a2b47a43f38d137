/* SPDX-License-Identifier: MIT
 *
 * Which ports belong together in a report. Pure.
 */
#pragma once

struct family_report;

/* Fills in the groups of a family whose findings are made. Alike are ports with the same
 * cause that the same evidence speaks for, here and at the checkers. Ports that lead to
 * others (OTHER_PORT) are alike when they lead to one port, or all equally far, whichever
 * brings more of them together. What no checker answered for is one group. */
void port_groups_make(struct family_report *family);
