/* SPDX-License-Identifier: MIT
 *
 * --check-health: asks the service that runs with the same settings whether it serves. For
 * containers, whose health check must be a program inside. Sockets that a service manager
 * passes are not in the settings: give their address to --check-health as well.
 */
#pragma once

#include <stdbool.h>

struct err;
struct settings;

/* Sends GET /health to the address and port of the settings, or to loopback if that address
 * stands for all, with TLS if they name a certificate, and waits at most 4 seconds for each
 * packet. Returns whether the status is 200; it is 503 while the service drains. */
bool health_ask(const struct settings *settings, struct err *err);
