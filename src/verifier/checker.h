/* SPDX-License-Identifier: MIT
 *
 * One checker asked over one family: GET /ip for our own address, then POST /check-ports
 * on the same connection, with a token and with details. If a checker refuses these (422,
 * 400), it is asked again with the plain contract. Ports are always listed one by one,
 * because ranges are an extension too. If they are more than the checker takes at a time
 * (GET /limits), they are sent in several requests; a Retry-After is obeyed.
 *
 * If the address that the checker sees changes between the two requests, it is asked for
 * once more. A checker that cannot know the address of this machine has failed.
 *
 * A checker given as a bare host has two URLs. The second is used if the first does not
 * lead to a port checker: no connection, a TLS error, a web site, another program.
 *
 * A checker that does not report the address of this machine may use the address that
 * another has reported: it calls `changed` and waits for checker_tell().
 */
#pragma once

#include "base/clock.h"
#include "net/address.h"
#include "probe/proof.h"
#include "verifier/failure.h"
#include "verifier/fetch.h"
#include "verifier/local_port.h"
#include "verifier/origin.h"
#include "verifier/reply.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct checker;
struct err;
struct loop;

struct checker_result {
    enum failure failure;               /* why it did not answer, or NONE */
    char message[FAILURE_MESSAGE_SIZE]; /* in one sentence; if it answered, why it left
                                           ports out, or "" */
    unsigned status;                    /* of HTTP; 0 = none came */
    unsigned retry_after;               /* seconds; 0 = not said */

    bool has_public; /* the address that it was asked about is known */
    struct address public_address;
    bool has_told;  /* it has reported that address itself */
    bool has_local; /* our end of the connection to it */
    struct address local_address;
    struct address peer_address; /* has_local: the checker's end */
    enum vantage vantage;        /* has_local */

    bool is_plain;               /* it was asked with the plain contract only */
    bool knows_proof;            /* the reply has proofs */
    struct span duration;        /* of the first look */
    struct remote_limit limit;   /* the first that it reported */
    struct remote_quorum quorum; /* the last that it reported */
    struct place_table *places;  /* what its places say about each port; NULL: none did */
    struct remote_verdict *verdicts; /* one per port; NULL if it did not answer */
};

/* The checker has received an address, waits for one, or is done: see checker_phase(). */
typedef void(checker_changed_fn)(void *ctx, struct checker *checker);

struct checker_config {
    struct loop *loop;
    struct fetcher *fetcher;
    const char *url; /* without a slash at its end; borrowed, as is all that follows */
    const char *other_url; /* asked where `url` is not a port checker; or NULL */
    enum family family;
    const uint16_t *ports; /* ascending, as the internet sees them */
    const uint16_t *inner; /* to which port of this machine each of them leads */
    const size_t *order;   /* indices of all ports: those to be asked about first first */
    size_t port_count;
    const struct proof_token *token;
    const struct address *public_address; /* NULL: ask for it */
    bool wants_receipt;
    const char *for_text; /* of the receipt; or NULL */
    struct fetch_source source;
    struct span patience;        /* how long it may be waited for a checker that is busy */
    checker_changed_fn *changed; /* never called from within checker_new() */
    void *ctx;
};

bool checker_new(const struct checker_config *config, struct checker **ret,
                 struct err *err);
struct checker *checker_free(struct checker *checker);

enum checker_phase {
    CHECKER_ASKING_ADDRESS,
    CHECKER_WAITING_FOR_ADDRESS, /* it does not report one: call checker_tell() */
    CHECKER_ASKING,
    CHECKER_DONE,
};

enum checker_phase checker_phase(const struct checker *checker);

/* Whether this checker has reported the address of this machine, and which. */
bool checker_told(const struct checker *checker, struct address *ret);

/* While it waits: the address that other checkers reported, or NULL without one; then it
 * uses the local address of its connection, if NAT can be excluded, or fails. */
void checker_tell(struct checker *checker, const struct address *address);

/* How many ports it has judged so far; before its end only known if it streams. */
size_t checker_judged(const struct checker *checker);

/* CHECKER_DONE only: looks again at these ports, in this order, and is done again by
 * `deadline`. `local` has the place of each port at its index; borrowed until then. What
 * goes wrong ends the look, and the verdicts stand. */
void checker_look(struct checker *checker, const size_t *indices, size_t count,
                  const struct local_port *local, struct instant deadline);

/* While it looks again: how many ports wait for that, and for how long it pauses. */
size_t checker_waiting(const struct checker *checker, struct instant now,
                       struct span *ret_pause);

/* CHECKER_DONE only; owned by the checker until checker_take_result(). */
const struct checker_result *checker_result(const struct checker *checker);

/* Moves the result out; the caller ends it with checker_result_done(). */
struct checker_result checker_take_result(struct checker *checker);

/* Frees what a result owns: verdicts and places. */
void checker_result_done(struct checker_result *result);

/* The receipts that it has given, one per line; "" = none. Owned by the checker. */
const char *checker_receipts(const struct checker *checker);

/* Why it has given none, in one sentence. */
const char *checker_no_receipt(const struct checker *checker);

/* The URL that was asked last, or of two that failed the one whose reason says more. */
const char *checker_url(const struct checker *checker);

/* Whether both ask the same place, over two families. */
bool checker_is_same(const struct checker *a, const struct checker *b);
enum family checker_family(const struct checker *checker);
