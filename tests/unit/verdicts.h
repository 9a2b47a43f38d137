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
#define CLOSED      {.state = PORT_STATE_CLOSED, .words = "Connection refused"}
#define FILTERED    {.state = PORT_STATE_FILTERED, .words = "Connection timed out"}
#define LIMITED     {.state = PORT_STATE_LIMITED, .words = "Connection timed out"}
#define UNREACHABLE {.state = PORT_STATE_UNREACHABLE, .words = "No route to host"}

/* And what was seen here. */
/* clang-format off */
#define BOUND            {.binding = BINDING_BOUND}
#define ACCEPTED         {.binding = BINDING_BOUND, .accepted = 1}
#define SYN_SEEN         {.binding = BINDING_BOUND, .has_syn = true}
#define IN_USE           {.binding = BINDING_IN_USE,                                       \
                          .owner = {.is_listening = true, .name = "nginx"}}
#define IN_USE_LOCALLY   {.binding = BINDING_IN_USE,                                       \
                          .owner = {.is_listening = true, .is_loopback_only = true,        \
                                    .name = "nginx"}}
#define IN_USE_BY_CALLER {.binding = BINDING_IN_USE}
#define FORBIDDEN        {.binding = BINDING_NO_PERMISSION}
/* clang-format on */
