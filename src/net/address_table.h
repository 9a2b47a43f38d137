/* SPDX-License-Identifier: MIT
 *
 * A hash table of what is kept for addresses: the connections of a caller, its budget, what
 * is known about a target. It holds pointers to entries that its owner embeds in structs of
 * its own, and neither allocates nor frees them:
 *
 *     struct caller {
 *         struct address_entry entry;
 *         unsigned connections;
 *     };
 *
 *     struct address_key key = address_key_caller(&peer);
 *     struct address_entry *entry = address_table_find(&table, &key);
 *     struct caller *caller = CONTAINER_OF(entry, struct caller, entry); // if (entry)
 *
 * Clients choose the addresses, so they must not be able to choose the slot: the hash is
 * multilinear over 32-bit words with random multipliers, which is strongly universal
 * (Lemire and Kaser, "Strongly universal string hashing is fast"); its bits are then mixed,
 * because neighbouring addresses would otherwise land in neighbouring slots. Slots are
 * searched one after the other (linear probing); at most half of them are in use, and
 * removing closes the gap, so that a table that was full once is not slower afterwards.
 *
 * The slots begin at 1 KiB and double as needed, up to `max` entries. If it cannot
 * grow, it first gets slower, then refuses entries when the slots are nearly full. Not
 * thread-safe.
 */
#pragma once

#include "net/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define ADDRESS_KEY_WORDS 5

/* Which address, and in the last word its family. An owner that keeps several things for
 * one address adds its own numbers there, in steps of ADDRESS_KEY_KIND. */
struct address_key {
    uint32_t words[ADDRESS_KEY_WORDS];
};

#define ADDRESS_KEY_KIND 256

/* Embedded; must not move while it is in a table. */
struct address_entry {
    struct address_key key;
};

struct address_slot {
    struct address_entry *entry; /* NULL = free */
    uint32_t hash;               /* of its key */
};

struct address_table {
    struct address_slot *slots; /* owned; a power of two of them */
    size_t mask;                /* slots - 1 */
    size_t count;
    size_t max;
    uint64_t seed[ADDRESS_KEY_WORDS + 1];
};

/* The address as it is, without its port: nothing is unmapped. */
struct address_key address_key_exact(const struct address *address);

/* What counts as one caller, in every table of callers: an IPv4 address or an IPv6 /64. An
 * address that embeds IPv4 (address_unembed) is that IPv4 address. */
struct address_key address_key_caller(const struct address *address);

/* The network of a caller, which is usually one site: an IPv4 /24 or an IPv6 /48. */
struct address_key address_key_network(const struct address *address);

/* ERR_SYSTEM without memory or randomness; the table is then all zeros. */
bool address_table_init(struct address_table *table, size_t max, struct err *err);

/* Forgets the entries; their owner frees them. A table of zeros is fine, here and for
 * address_table_next(). */
void address_table_done(struct address_table *table);

/* NULL if the key is not in the table. */
struct address_entry *address_table_find(const struct address_table *table,
                                         const struct address_key *key);

/* Adds an entry under a key that is not in the table. False if the table is full. */
bool address_table_add(struct address_table *table, const struct address_key *key,
                       struct address_entry *entry);

/* Removes an entry that is in the table. */
void address_table_remove(struct address_table *table, const struct address_entry *entry);

/* Returns each entry once, in any order, then NULL; *position is 0 at first. Do not add or
 * remove entries meanwhile. */
struct address_entry *address_table_next(const struct address_table *table,
                                         size_t *position);
