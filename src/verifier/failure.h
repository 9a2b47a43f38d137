/* SPDX-License-Identifier: MIT
 *
 * Why a checker gives no verdict, and what to do about it: the rows of failures.def. Pure.
 */
#pragma once

#include "verifier/local_port.h"

#include <stdbool.h>

#define FAILURE_MESSAGE_SIZE 256

enum failure {
#define FAILURE(NAME, ...) FAILURE_##NAME,
#include "verifier/failures.def"
#undef FAILURE
    FAILURE_COUNT
};

/* For programs; NULL without a failure. */
const char *failure_text(enum failure failure);

/* Whether a checker that was given as a bare host may answer at its second URL. */
bool failure_tries_next(enum failure failure);

/* What a message may mention. */
struct failure_facts {
    enum family family;
    unsigned status;      /* of HTTP */
    unsigned retry_after; /* seconds; 0 = not said */
    const char *words;    /* what {words}, {url} or {address} stands for; or NULL */
};

/* One sentence, printable, "..." where it was cut. */
void failure_message(enum failure failure, const struct failure_facts *facts,
                     char ret[FAILURE_MESSAGE_SIZE]);

/* One sentence: what to do. Equal for failures with the same remedy. */
const char *failure_remedy(enum failure failure);
