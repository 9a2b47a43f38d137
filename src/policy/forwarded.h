/* SPDX-License-Identifier: MIT
 *
 * The caller that proxies name in X-Forwarded-For or Forwarded (RFC 7239). Pure, one pass,
 * no allocation.
 *
 * Both are lists to which each proxy appends the peer that it saw. They are read from the
 * right: the first address that is not a trusted proxy is the caller, and if all of them
 * are trusted, the leftmost. An address may have a port and IPv6 may be in brackets
 * ("203.0.113.9:4711", "[2001:db8::9]", "[2001:db8::9]:4711"); the port is not used. The
 * result is unmapped and has port 0. False if an element between the right end and
 * the caller is not such an address: a name, "unknown", an obfuscated identifier, an
 * address with a zone, or empty.
 */
#pragma once

#include "net/cidr.h"

#include <stdbool.h>

/* The value of X-Forwarded-For. Elements to the left of the caller are not read, so text
 * that a client put there has no effect. */
bool forwarded_for_parse(const char *list, const struct cidr_list *trusted_proxies,
                         struct address *ret);

/* The value of Forwarded. Only the parameter `for` is used, with or without quotes. Because
 * of the quotes the list is read as a whole: false for a syntax error anywhere in it. */
bool forwarded_parse(const char *list, const struct cidr_list *trusted_proxies,
                     struct address *ret);
