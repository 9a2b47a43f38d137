/* SPDX-License-Identifier: MIT
 *
 * What checkers answer: verdicts of POST /check-ports, whole or streamed, the address of
 * GET /ip, and the sentence in an error. Pure, and strict where a wrong guess would be a
 * wrong verdict: a reply that leaves a port out or contradicts itself is refused whole.
 *
 * States and proofs are open lists: a checker may be newer than this program. A word that
 * this version does not know means that there is no verdict for that port.
 *
 * A checker that probes from several places reports what each of them says. A place whose
 * words this version does not know has no verdict; the port still has one.
 *
 * The plain contract (accessible, error) is enough. Words of a checker are shown to people,
 * so they are made short and printable.
 */
#pragma once

#include "net/address.h"
#include "probe/proof.h"
#include "probe/verdict.h"
#include "verifier/place_table.h"
#include "verifier/reply_words.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define REMOTE_WORDS_SIZE   64
#define REPLY_SENTENCE_SIZE 200

/* What one checker reports about one port. */
struct remote_verdict {
    bool is_unknown;       /* a new state or proof: the other members mean nothing */
    bool is_unasked;       /* is_unknown, because the checker did not come to this port */
    unsigned looks;        /* how often the checker judged it; counted by checker.c */
    bool is_undecided;     /* LIMITED because places are missing: the address has
                              limited none of them */
    enum port_state state; /* with the plain contract: read from its error text */
    enum proof proof;      /* PROOF_NONE: the reply has none */
    uint16_t proof_port;   /* PROOF_OTHER_PORT */
    bool has_rtt;
    double rtt_ms;
    char words[REMOTE_WORDS_SIZE]; /* the error; "" when open */
    char icmp[REMOTE_WORDS_SIZE];  /* what the ICMP error means; "" without one */
    bool is_icmp_from_target;      /* else from the path, or unknown */
};

/* The address stopped answering this checker before it had judged all ports. */
struct remote_limit {
    bool is_there;
    size_t answered; /* ports that it had judged before */
    double rate;     /* SYNs a second that were answered in the end; 0 = none */
};

/* How many of a checker's places must reach a port. */
struct remote_quorum {
    size_t needed; /* 0: it has no places, or does not say */
    size_t places;
};

/* What a reply says beside its verdicts. */
struct reply_extras {
    struct remote_limit limit;
    struct remote_quorum quorum;
    struct place_table *places; /* owned; in the order of the ports; NULL without places */
};

/* A 200 to /check-ports. Writes one verdict per port, in the order of `ports`, which are
 * ascending; nothing is written unless the whole reply makes sense. ERR_INVALID; ERR_LIMIT
 * when a stream ends with a problem of the checker, in its words. */
bool reply_parse(const char *body, size_t len, bool is_stream, const uint16_t *ports,
                 size_t port_count, struct remote_verdict *ret,
                 struct reply_extras *ret_extras, struct err *err);

/* A 200 to /ip. The address is unmapped. ERR_INVALID. */
bool reply_parse_ip(const char *body, size_t len, struct address *ret, struct err *err);

/* `max_ports` of a 200 to /limits; 0 if it does not say. */
size_t reply_parse_max_ports(const char *body, size_t len);

/* The receipt of a 200 to /check-ports; free() it. NULL if there is none, or one with other
 * characters than receipts have. */
char *reply_read_receipt(const char *body, size_t len, bool is_stream);

/* Whether a request was refused because it asked for a receipt; then why, in the words of
 * the checker. */
bool reply_refuses_receipt(const char *body, size_t len,
                           char ret_sentence[REPLY_SENTENCE_SIZE]);

/* The `detail` of an error body, or the first `msg` if that is a list: printable, "" if it
 * has none. Returns ret_sentence. */
const char *reply_read_detail(const char *body, size_t len,
                              char ret_sentence[REPLY_SENTENCE_SIZE]);
