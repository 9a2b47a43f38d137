/* SPDX-License-Identifier: MIT */
#include "verifier/place_table.h"

#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 64 /* different errors and reasons of one checker */
#define NO_RTT    UINT32_MAX

struct entry {
    uint32_t rtt_us;
    uint16_t proof_port;
    uint8_t kind : 2;
    uint8_t state : 3;
    uint8_t proof : 3;
    uint8_t words;
};

_Static_assert(sizeof(struct entry) == 8, "the header says so");
_Static_assert(PORT_STATE_COUNT <= 8 && PROOF_RESET < 8, "three bits each");

struct place_table {
    size_t port_count;
    size_t place_count;
    char names[PLACES_OF_A_PORT_MAX][PLACE_LABEL_SIZE];
    size_t words_count;
    char words[WORDS_MAX][PLACE_WORDS_SIZE];
    struct entry entries[]; /* PLACES_OF_A_PORT_MAX for each port */
};

/* --- life ----------------------------------------------------------------------------- */

bool place_table_new(size_t port_count, struct place_table **ret, struct err *err)
{
    size_t entries = port_count * PLACES_OF_A_PORT_MAX;
    struct place_table *table =
        calloc(1, sizeof *table + entries * sizeof table->entries[0]);
    if (!table)
        return err_sys(err, ENOMEM, "places");
    table->port_count = port_count;
    *ret = table;
    return true;
}

struct place_table *place_table_free(struct place_table *table)
{
    free(table);
    return NULL;
}

/* --- what is said --------------------------------------------------------------------- */

/* The index of `text` in a list of texts that are `size` long, at whose end it is added if
 * there is room; otherwise `max`. */
static size_t intern(char *list, size_t size, size_t max, size_t *count, const char *text)
{
    size_t len = strlen(text);
    assert(len < size);
    for (size_t i = 0; i < *count; i++)
        if (strcmp(list + i * size, text) == 0)
            return i;
    if (*count == max)
        return max;
    memcpy(list + *count * size, text, len + 1);
    return (*count)++;
}

static struct entry *entry_of(struct place_table *table, size_t port, size_t place)
{
    assert(port < table->port_count && place < PLACES_OF_A_PORT_MAX);
    return &table->entries[port * PLACES_OF_A_PORT_MAX + place];
}

static uint32_t rtt_pack(const struct place_view *view)
{
    double us = view->rtt_ms * 1000 + 0.5;
    return view->has_rtt && us >= 0 && us < NO_RTT ? (uint32_t)us : NO_RTT;
}

bool place_table_add(struct place_table *table, size_t port, const char *name,
                     const struct place_view *view)
{
    assert(view->kind != PLACE_ABSENT);
    size_t place = intern(table->names[0], PLACE_LABEL_SIZE, PLACES_OF_A_PORT_MAX,
                          &table->place_count, name);
    size_t words = intern(table->words[0], PLACE_WORDS_SIZE, WORDS_MAX, &table->words_count,
                          view->words);
    if (place == PLACES_OF_A_PORT_MAX || words == WORDS_MAX) {
        place_table_clear(table, port);
        return false;
    }
    *entry_of(table, port, place) = (struct entry){
        .rtt_us = rtt_pack(view),
        .proof_port = view->proof_port,
        .kind = (uint8_t)(view->kind & 3),
        .state = (uint8_t)(view->state & 7),
        .proof = (uint8_t)(view->proof & 7),
        .words = (uint8_t)words,
    };
    return true;
}

void place_table_clear(struct place_table *table, size_t port)
{
    memset(entry_of(table, port, 0), 0, PLACES_OF_A_PORT_MAX * sizeof(struct entry));
}

void place_table_copy(struct place_table *table, size_t port,
                      const struct place_table *from, size_t from_port)
{
    bool fits = true;
    place_table_clear(table, port);
    for (size_t i = 0; fits && i < from->place_count; i++) {
        struct place_view view = place_table_get(from, from_port, i);
        if (view.kind != PLACE_ABSENT)
            fits = place_table_add(table, port, from->names[i], &view);
    }
}

size_t place_table_count(const struct place_table *table)
{
    return table ? table->place_count : 0;
}

const char *place_table_name(const struct place_table *table, size_t place)
{
    assert(place < table->place_count);
    return table->names[place];
}

struct place_view place_table_get(const struct place_table *table, size_t port,
                                  size_t place)
{
    assert(port < table->port_count && place < table->place_count);
    const struct entry *entry = &table->entries[port * PLACES_OF_A_PORT_MAX + place];
    bool has_rtt = entry->kind == PLACE_JUDGED && entry->rtt_us != NO_RTT;
    return (struct place_view){
        .kind = (enum place_kind)entry->kind,
        .state = (enum port_state)entry->state,
        .proof = (enum proof)entry->proof,
        .proof_port = entry->proof_port,
        .has_rtt = has_rtt,
        .rtt_ms = has_rtt ? entry->rtt_us / 1000.0 : 0,
        .words = table->words[entry->words],
    };
}

void place_table_set_proof(struct place_table *table, size_t port, size_t place,
                           enum proof proof, uint16_t proof_port)
{
    struct entry *entry = entry_of(table, port, place);
    assert(entry->kind == PLACE_JUDGED);
    entry->proof = (uint8_t)(proof & 7);
    entry->proof_port = proof_port;
}
