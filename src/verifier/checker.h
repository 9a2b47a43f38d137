/* SPDX-License-Identifier: MIT
 *
 * One checker asked over one family: GET /ip for the own address, then POST /check-ports
 * on the same connection, with a token and with details. If a checker refuses these (422,
 * 400), it is asked again with the plain contract. Ports are always listed one by one,
 * because ranges are an extension too.
 *
 * A checker given as a bare host has two URLs. The second is used if the first does not
 * lead to a port checker: no connection, other TLS, a web site, another program.
 *
 * Two checkers may need each other: one that does not tell addresses waits for an address
 * that another has told. So its owner is told when one wants an address, see checker_told.
 */
#pragma once

#include "base/clock.h"
#include "net/address.h"
#include "probe/proof.h"
#include "verifier/failure.h"
#include "verifier/fetch.h"
#include "verifier/local_port.h"
#include "verifier/reply.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct checker;
struct err;

struct checker_result {
    enum failure failure;               /* why it did not answer, or NONE */
    char message[FAILURE_MESSAGE_SIZE]; /* in one sentence; "" if it answered */
    unsigned status;                    /* of HTTP; 0 = none came */
    unsigned retry_after;               /* seconds; 0 = not said */

    bool has_public; /* it told, or was told, which address it checks */
    struct address public_address;
    bool has_local; /* our end of the connection to it */
    struct address local_address;

    bool is_plain;    /* it was asked with the plain contract only */
    bool knows_proof; /* the reply has proofs */
    struct span duration;
    struct remote_verdict *verdicts; /* one per port; NULL if it did not answer */
};

/* checker: in need of an address (`done` false), or at its end. */
typedef void(checker_changed_fn)(void *ctx, struct checker *checker);

struct checker_config {
    struct fetcher *fetcher;
    const char *url; /* without a slash at its end; borrowed, as is all that follows */
    const char *other_url; /* asked where `url` is not a port checker; or NULL */
    enum family family;
    const uint16_t *ports; /* ascending */
    size_t port_count;
    const struct proof_token *token;
    const struct address *public_address; /* NULL: ask for it */
    checker_changed_fn *changed;          /* never called from within checker_new() */
    void *ctx;
};

bool checker_new(const struct checker_config *config, struct checker **ret,
                 struct err *err);
struct checker *checker_free(struct checker *checker);

enum checker_phase {
    CHECKER_ASKING_ADDRESS,
    CHECKER_WAITING_FOR_ADDRESS, /* it does not tell: checker_tell() it, or give up */
    CHECKER_ASKING,
    CHECKER_DONE,
};

enum checker_phase checker_phase(const struct checker *checker);

/* Whether this checker has told the own address, and which. */
bool checker_told(const struct checker *checker, struct address *ret);

/* While it waits: the address that other checkers reported, or NULL without one; then it
 * uses the local address of its connection, if NAT can be excluded, or fails. */
void checker_tell(struct checker *checker, const struct address *address);

/* How many ports it has judged so far, where it streams. */
size_t checker_judged(const struct checker *checker);

/* CHECKER_DONE only; the checker's own until checker_take_result(). */
const struct checker_result *checker_result(const struct checker *checker);

/* Moves the result out; the caller frees `verdicts` with free(). */
struct checker_result checker_take_result(struct checker *checker);

/* The URL that was asked last, or that failed with the better reason. */
const char *checker_url(const struct checker *checker);

/* Whether both ask the same place, over two families. */
bool checker_is_same(const struct checker *a, const struct checker *b);
enum family checker_family(const struct checker *checker);
