/* SPDX-License-Identifier: MIT
 *
 * What the reply to one question brings: verdicts, what places say, and a receipt.
 */
#include "verifier/checker_state.h"

#include "base/err.h"
#include "receipt/receipt_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* --- verdicts ------------------------------------------------------------------------- */

/* A proof names ports of this machine; the checker compares it with the port that it
 * probed. */
static void proof_localize(const struct checker *checker, size_t index, enum proof *proof,
                           uint16_t *proof_port)
{
    uint16_t outer = checker->config.ports[index];
    uint16_t inner = checker->config.inner[index];
    uint16_t proved = *proof == PROOF_MATCH ? outer : *proof_port;
    if (inner == outer || (*proof != PROOF_MATCH && *proof != PROOF_OTHER_PORT))
        return;
    *proof = proved == inner ? PROOF_MATCH : PROOF_OTHER_PORT;
    *proof_port = proved == inner ? 0 : proved;
}

/* What the places say about a port: the new replaces the old. */
static void places_take(struct checker *checker, size_t index,
                        const struct place_table *said, size_t said_index)
{
    struct place_table *places = checker->result.places;
    if (!places)
        return;
    if (!said) {
        place_table_clear(places, index);
        return;
    }
    place_table_copy(places, index, said, said_index);
    for (size_t i = 0; i < place_table_count(places); i++) {
        struct place_view view = place_table_get(places, index, i);
        if (view.kind != PLACE_JUDGED)
            continue;
        proof_localize(checker, index, &view.proof, &view.proof_port);
        place_table_set_proof(places, index, i, view.proof, view.proof_port);
    }
}

/* False: the old verdict stands. */
static bool verdict_take(struct checker *checker, size_t index,
                         const struct remote_verdict *said)
{
    struct remote_verdict *verdict = &checker->result.verdicts[index];
    unsigned looks = verdict->looks + 1;
    if (checker->is_looking && said->is_unknown)
        return false;
    *verdict = *said;
    verdict->looks = looks;
    proof_localize(checker, index, &verdict->proof, &verdict->proof_port);
    if (verdict->proof != PROOF_NONE)
        checker->result.knows_proof = true;
    return true;
}

static bool verdicts_make(struct checker *checker)
{
    size_t count = checker->config.port_count;
    if (checker->result.verdicts)
        return true;
    checker->result.verdicts = calloc(count, sizeof *checker->result.verdicts);
    for (size_t i = 0; checker->result.verdicts && i < count; i++)
        checker->result.verdicts[i] =
            (struct remote_verdict){.is_unknown = true, .is_unasked = true};
    return checker->result.verdicts != NULL;
}

static bool places_make(struct checker *checker, const struct reply_extras *extras)
{
    if (extras->quorum.needed > 0)
        checker->result.quorum = extras->quorum;
    return !extras->places || checker->result.places ||
           place_table_new(checker->config.port_count, &checker->result.places, NULL);
}

static int index_compare(const void *a, const void *b)
{
    size_t one = *(const size_t *)a;
    size_t other = *(const size_t *)b;
    return (one > other) - (one < other);
}

/* Everything that reading the reply to one question needs. */
struct piece {
    size_t *indices; /* owned, ascending, as are the next two */
    uint16_t *ports;
    struct remote_verdict *verdicts;
    struct reply_extras extras; /* its table is owned */
};

static bool piece_make(const struct checker *checker, struct piece *ret)
{
    ret->indices = calloc(checker->asked, sizeof *ret->indices);
    ret->ports = calloc(checker->asked, sizeof *ret->ports);
    ret->verdicts = calloc(checker->asked, sizeof *ret->verdicts);
    if (!ret->indices || !ret->ports || !ret->verdicts)
        return false;
    memcpy(ret->indices, checker->waiting, checker->asked * sizeof *ret->indices);
    qsort(ret->indices, checker->asked, sizeof *ret->indices, index_compare);
    for (size_t i = 0; i < checker->asked; i++)
        ret->ports[i] = checker->config.ports[ret->indices[i]];
    return true;
}

static void piece_done(struct piece *piece)
{
    free(piece->indices);
    free(piece->ports);
    free(piece->verdicts);
    place_table_free(piece->extras.places);
}

/* --- receipts ------------------------------------------------------------------------- */

bool checker_asks_for_receipt(const struct checker *checker)
{
    return checker->config.wants_receipt && !checker->refuses_receipts &&
           !checker->result.is_plain;
}

/* What is wrong with a receipt, apart from its signature; or NULL. */
static const char *receipt_fault(const struct checker *checker, const char *text)
{
    struct receipt receipt;
    const char *wanted = checker->config.for_text ? checker->config.for_text : "";
    enum receipt_fault fault = receipt_read(text, strlen(text), NULL, &receipt);
    bool is_ours = fault == RECEIPT_FAULT_NONE &&
                   address_equals(&receipt.target, &checker->result.public_address);
    if (fault == RECEIPT_FAULT_NONE)
        fault = receipt_judge(&receipt, time(NULL), NULL, wanted);
    receipt_done(&receipt);
    if (fault != RECEIPT_FAULT_NONE)
        return receipt_fault_sentence(fault);
    return is_ours ? NULL : "its sub is another address";
}

/* A further look is worth a receipt if it has reached something. */
static void receipt_take(struct checker *checker, const struct piece *piece,
                         const struct fetch_result *result)
{
    bool is_worth = !checker->is_looking;
    if (!checker_asks_for_receipt(checker))
        return;
    for (size_t i = 0; i < checker->asked && !is_worth; i++)
        is_worth = piece->verdicts[i].state == PORT_STATE_OPEN;
    char *receipt = reply_read_receipt(result->body, result->body_len, result->is_stream);
    const char *fault = receipt ? receipt_fault(checker, receipt) : NULL;
    if (fault)
        snprintf(checker->no_receipt, sizeof checker->no_receipt,
                 "its receipt is wrong: %.120s", fault);
    else if (receipt && is_worth)
        text_printf(&checker->receipts, "%s\n", receipt);
    free(receipt);
}

bool checker_receipt_is_refused(struct checker *checker, const struct fetch_result *result)
{
    char said[REPLY_SENTENCE_SIZE];
    if (!checker_asks_for_receipt(checker) || result->status < 400 ||
        result->status > 499 ||
        !reply_refuses_receipt(result->body, result->body_len, said))
        return false;
    checker->refuses_receipts = true;
    snprintf(checker->no_receipt, sizeof checker->no_receipt, "%.150s", said);
    return true;
}

/* --- the reply ------------------------------------------------------------------------ */

bool checker_take(struct checker *checker, const struct fetch_result *result)
{
    struct piece piece = {0};
    struct err err;
    if (result->is_page) {
        checker_fail(checker, FAILURE_WEB_SITE, NULL);
        return false;
    }
    bool has_memory = piece_make(checker, &piece);
    bool is_fine = has_memory && reply_parse(result->body, result->body_len,
                                             result->is_stream, piece.ports, checker->asked,
                                             piece.verdicts, &piece.extras, &err);
    if (is_fine && !checker->result.verdicts)
        checker->deadline = instant_add(clock_now(), checker->config.patience);
    if (is_fine)
        has_memory = verdicts_make(checker) && places_make(checker, &piece.extras);
    if (is_fine && has_memory) {
        for (size_t i = 0; i < checker->asked; i++)
            if (verdict_take(checker, piece.indices[i], &piece.verdicts[i]))
                places_take(checker, piece.indices[i], piece.extras.places, i);
        receipt_take(checker, &piece, result);
        checker->limit = piece.extras.limit;
        if (!checker->result.limit.is_there)
            checker->result.limit = checker->limit;
        piece_done(&piece);
        return true;
    }
    piece_done(&piece);
    if (!has_memory)
        checker_fail(checker, FAILURE_NO_MEMORY, NULL);
    else
        checker_fail(checker,
                     err.kind == ERR_LIMIT ? FAILURE_NOT_ALL_CHECKED
                                           : FAILURE_INVALID_REPLY,
                     err.message);
    return false;
}
