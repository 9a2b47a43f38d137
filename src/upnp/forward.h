/* SPDX-License-Identifier: MIT
 *
 * All ports of a request, in its order, each with its line of the answer. Once the router
 * has said that its table is full, the other ports have the same result without being asked
 * for.
 */
#pragma once

#include "upnp/igd.h"
#include "upnp/request.h"

void forward_all(const struct igd *igd, const struct request *request);
