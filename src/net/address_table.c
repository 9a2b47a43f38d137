/* SPDX-License-Identifier: MIT */
#include "net/address_table.h"

#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define FIRST_SLOTS 64

/* Every check calls these: no loops, no copies of an address that is already IPv4. */
static struct address_key key_of(const struct address *address, size_t ipv6_len)
{
    if (address->sa.sa_family == AF_INET)
        return (struct address_key){{address->in.sin_addr.s_addr, [4] = AF_INET}};

    struct address_key key = {{[4] = AF_INET6}};
    memcpy(key.words, &address->in6.sin6_addr, ipv6_len);
    return key;
}

struct address_key address_key_exact(const struct address *address)
{
    return key_of(address, 16);
}

struct address_key address_key_caller(const struct address *address)
{
    if (address->sa.sa_family == AF_INET)
        return key_of(address, 0);

    struct address caller = address_unembed(address);
    return key_of(&caller, 8);
}

struct address_key address_key_network(const struct address *address)
{
    struct address_key key = address_key_caller(address);
    if (key.words[ADDRESS_KEY_WORDS - 1] == AF_INET)
        key.words[0] &= htonl(0xffffff00);
    else
        key.words[1] &= htonl(0xffff0000);
    return key;
}

static uint32_t hash_of(const struct address_table *table, const struct address_key *key)
{
    const uint64_t *seed = table->seed;
    const uint32_t *words = key->words;
    uint64_t sum = seed[5] + seed[0] * words[0] + seed[1] * words[1] + seed[2] * words[2] +
                   seed[3] * words[3] + seed[4] * words[4];
    uint32_t hash = (uint32_t)(sum >> 32);
    hash = (hash ^ hash >> 16) * 0x85ebca6b; /* the first half of MurmurHash3's finalizer */
    return hash ^ hash >> 13;
}

bool address_table_init(struct address_table *table, size_t max, struct err *err)
{
    struct address_table made = {.mask = FIRST_SLOTS - 1, .max = max};
    *table = (struct address_table){0};
    if (getrandom(made.seed, sizeof made.seed, 0) != (ssize_t)sizeof made.seed)
        return err_sys(err, errno, "getrandom");

    made.slots = calloc(FIRST_SLOTS, sizeof *made.slots);
    if (!made.slots)
        return err_sys(err, ENOMEM, "table of addresses");

    *table = made;
    return true;
}

void address_table_done(struct address_table *table)
{
    free(table->slots);
    *table = (struct address_table){0};
}

struct address_entry *address_table_find(const struct address_table *table,
                                         const struct address_key *key)
{
    uint32_t hash = hash_of(table, key);
    const struct address_slot *slot;
    for (size_t i = hash;; i++) {
        slot = &table->slots[i & table->mask];
        if (!slot->entry ||
            (slot->hash == hash && memcmp(&slot->entry->key, key, sizeof *key) == 0))
            return slot->entry;
    }
}

static void slot_fill(struct address_table *table, struct address_slot filled)
{
    size_t i = filled.hash & table->mask;
    while (table->slots[i].entry)
        i = (i + 1) & table->mask;
    table->slots[i] = filled;
}

static void table_grow(struct address_table *table)
{
    struct address_table larger = *table;
    larger.mask = table->mask * 2 + 1;
    larger.slots = calloc(larger.mask + 1, sizeof *larger.slots);
    if (!larger.slots)
        return;

    for (size_t i = 0; i <= table->mask; i++) {
        if (table->slots[i].entry)
            slot_fill(&larger, table->slots[i]);
    }
    free(table->slots);
    *table = larger;
}

bool address_table_add(struct address_table *table, const struct address_key *key,
                       struct address_entry *entry)
{
    if (table->count >= table->max)
        return false;
    if (table->count > table->mask / 2)
        table_grow(table);
    if (table->count >= table->mask / 8 * 7)
        return false;

    entry->key = *key;
    slot_fill(table, (struct address_slot){entry, hash_of(table, key)});
    table->count++;
    return true;
}

void address_table_remove(struct address_table *table, const struct address_entry *entry)
{
    struct address_slot *slots = table->slots;
    size_t hole = hash_of(table, &entry->key) & table->mask;
    while (slots[hole].entry != entry) {
        assert(slots[hole].entry);
        hole = (hole + 1) & table->mask;
    }

    /* Entries after the hole move up unless that would put them before their home slot. */
    for (size_t i = (hole + 1) & table->mask; slots[i].entry; i = (i + 1) & table->mask) {
        size_t from_home = (i - slots[i].hash) & table->mask;
        if (from_home < ((i - hole) & table->mask))
            continue;
        slots[hole] = slots[i];
        hole = i;
    }
    slots[hole].entry = NULL;
    table->count--;
}

struct address_entry *address_table_next(const struct address_table *table,
                                         size_t *position)
{
    while (table->slots && *position <= table->mask) {
        struct address_entry *entry = table->slots[(*position)++].entry;
        if (entry)
            return entry;
    }
    return NULL;
}
