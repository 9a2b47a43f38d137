/* SPDX-License-Identifier: MIT
 *
 * Verdicts of checkers and local ports in short, for tables.
 */
#pragma once

#include "verifier/diagnosis.h"

/* Verdicts in short: what one checker says. */
#define OPEN  {.state = PORT_STATE_OPEN}
#define MATCH {.state = PORT_STATE_OPEN, .proof = PROOF_MATCH}
#define OTHER(port)                                                                        \
    {.state = PORT_STATE_OPEN, .proof = PROOF_OTHER_PORT, .proof_port = (port)}
#define MISMATCH    {.state = PORT_STATE_OPEN, .proof = PROOF_MISMATCH}
#define SILENT      {.state = PORT_STATE_OPEN, .proof = PROOF_SILENT}
#define RESET       {.state = PORT_STATE_OPEN, .proof = PROOF_RESET}
#define CLOSED      {.state = PORT_STATE_CLOSED, .words = "Connection refused"}
#define FILTERED    {.state = PORT_STATE_FILTERED, .words = "Connection timed out"}
#define LIMITED     {.state = PORT_STATE_LIMITED, .words = "Connection timed out"}
#define UNDECIDED   {.state = PORT_STATE_LIMITED, .is_undecided = true}
#define UNREACHABLE {.state = PORT_STATE_UNREACHABLE, .words = "No route to host"}

#define INSIDE                                                                             \
    {.len = sizeof(struct sockaddr_in),                                                    \
     .in = {.sin_family = AF_INET, .sin_addr.s_addr = 0x010011ac}}
#define LOOPBACK                                                                           \
    {.len = sizeof(struct sockaddr_in),                                                    \
     .in = {.sin_family = AF_INET, .sin_addr.s_addr = 0x0100007f}}
#define REJECTED(meaning, is_from_target)                                                  \
    {.state = PORT_STATE_UNREACHABLE,                                                      \
     .words = "No route to host",                                                          \
     .icmp = meaning,                                                                      \
     .is_icmp_from_target = (is_from_target)}

/* And what was seen here. */
/* clang-format off */
#define BOUND            {.binding = BINDING_BOUND}
#define ACCEPTED         {.binding = BINDING_BOUND, .accepted = 1}
#define SYN_SEEN         {.binding = BINDING_BOUND, .has_syn = true}
#define IN_USE           {.binding = BINDING_IN_USE,                                       \
                          .owner = {.use = OWNER_USE_LISTENER, .is_on_all = true,          \
                                    .name = "nginx"}}
#define IN_USE_LOCALLY   {.binding = BINDING_IN_USE,                                       \
                          .owner = {.use = OWNER_USE_LISTENER, .name = "nginx",            \
                                    .address_count = 1,                                    \
                                    .addresses = {LOOPBACK}}}
#define IN_USE_BY_CALLER {.binding = BINDING_IN_USE, .owner = {.use = OWNER_USE_CONNECTION}}
#define IN_USE_INSIDE    {.binding = BINDING_IN_USE,                                       \
                          .owner = {.use = OWNER_USE_LISTENER, .name = "nginx",            \
                                    .address_count = 1, .addresses = {INSIDE}}}
#define IN_USE_LET_IN    {.binding = BINDING_IN_USE,                                       \
                          .owner = {.use = OWNER_USE_LISTENER, .is_on_all = true,          \
                                    .name = "nginx"},                                      \
                          .filter = {.is_known = true}}
#define IN_USE_HANGING   {.binding = BINDING_IN_USE,                                       \
                          .owner = {.use = OWNER_USE_LISTENER, .is_on_all = true,          \
                                    .has_waiting = true}}
#define BOUND_BY_OTHER   {.binding = BINDING_IN_USE, .owner = {.use = OWNER_USE_BOUND}}
#define HIDDEN           {.binding = BINDING_IN_USE}
#define IN_USE_BY_UNIT   {.binding = BINDING_IN_USE,                                       \
                          .owner = {.use = OWNER_USE_LISTENER, .is_on_all = true,          \
                                    .name = "systemd"}}
#define REDIRECTED       {.binding = BINDING_BOUND,                                        \
                          .filter = {.is_known = true, .is_redirected = true}}
#define LED              {.binding = BINDING_BOUND,                                        \
                          .filter = {.is_known = true, .is_led = true, .to = "10.88.0.2"}}
#define DROPPED          {.binding = BINDING_BOUND,                                        \
                          .filter = {.is_known = true, .drop = FILTER_DROP_CERTAIN,        \
                                     .where = "table inet f, chain in"}}
#define MAY_BE_DROPPED   {.binding = BINDING_BOUND,                                        \
                          .filter = {.is_known = true, .drop = FILTER_DROP_MAYBE,          \
                                     .where = "table inet f, chain in"}}
#define LET_IN           {.binding = BINDING_BOUND, .filter = {.is_known = true}}
#define FORBIDDEN        {.binding = BINDING_NO_PERMISSION, .privileged_below = 1024}
/* clang-format on */
