/* SPDX-License-Identifier: MIT */
#include "api/check_receipt.h"

#include "api/check_reply.h"
#include "base/err.h"
#include "base/text.h"
#include "receipt/receipts.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

/* The names of the places that have given verdicts, the own one first; none if this place
 * is alone. */
static size_t places_that_counted(const struct check_places *places,
                                  const char *ret_names[PLACES_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < places->count; i++)
        if (!places->views[i].reason)
            ret_names[count++] = places->views[i].place;
    return count;
}

static void ports_fill(const struct answer_source *source, struct receipt_port *ret,
                       size_t count)
{
    struct port_verdict scratch;

    for (size_t i = 0; i < count; i++) {
        const struct port_verdict *verdict = answer_source_verdict(source, i, &scratch);
        ret[i] = (struct receipt_port){.port = verdict->port,
                                       .state = verdict->state,
                                       .is_proved = verdict->proof == PROOF_MATCH};
    }
}

char *check_receipt_make(const struct receipts *receipts,
                         const struct check_subject *subject, const char *for_text,
                         const struct answer_source *source, struct err *err)
{
    AUTO_TEXT text = text_up_to(RECEIPT_LEN_MAX(subject->port_count));
    struct receipt_port *ports = calloc(subject->port_count, sizeof *ports);
    struct check_places places;
    const char *names[PLACES_MAX];
    size_t len;

    if (!ports) {
        err_sys(err, ENOMEM, "receipt");
        return NULL;
    }
    ports_fill(source, ports, subject->port_count);
    answer_source_places(source, 0, &places); /* a place answers for all ports or none */
    struct receipt_facts facts = {
        .now = time(NULL),
        .target = subject->target,
        .for_text = for_text,
        .vantages = names,
        .vantage_count = places_that_counted(&places, names),
        .ports = ports,
        .port_count = subject->port_count,
    };
    bool is_written = receipts_write(receipts, &facts, &text, err);
    free(ports);
    char *receipt = is_written ? text_take(&text, &len) : NULL;
    if (is_written && !receipt)
        err_sys(err, ENOMEM, "receipt");
    return receipt;
}
