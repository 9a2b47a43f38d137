/* SPDX-License-Identifier: MIT
 *
 * What a checker may answer: the first byte chooses between a whole reply, a stream, an
 * address and an error. What is accepted has a consistent verdict for every port, and no
 * words that could control a terminal.
 */
#include "verifier/reply.h"

#include "base/err.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_printable(const char *text)
{
    for (; *text; text++)
        assert(*text >= ' ' && *text <= '~');
}

static void check_verdict(const struct remote_verdict *verdict)
{
    if (verdict->is_unknown)
        return;
    assert(verdict->state < PORT_STATE_COUNT);
    assert(verdict->state == PORT_STATE_OPEN || verdict->proof == PROOF_NONE);
    assert(verdict->state != PORT_STATE_OPEN || verdict->words[0] == '\0');
    assert((verdict->proof == PROOF_OTHER_PORT) == (verdict->proof_port != 0));
    assert(!verdict->has_rtt || verdict->rtt_ms >= 0);
    assert(memchr(verdict->words, '\0', sizeof verdict->words));
    check_printable(verdict->words);
}

static void check_place(const struct place_view *view)
{
    bool is_judged = view->kind == PLACE_JUDGED;
    bool is_open = is_judged && view->state == PORT_STATE_OPEN;
    check_printable(view->words);
    assert(view->state < PORT_STATE_COUNT);
    assert(is_open || view->proof == PROOF_NONE);
    assert(!is_open || view->words[0] == '\0');
    assert(view->proof == PROOF_OTHER_PORT || view->proof_port == 0);
    assert(is_judged || !view->has_rtt);
    assert(!view->has_rtt || view->rtt_ms >= 0);
}

static void check_places(const struct place_table *places)
{
    assert(place_table_count(places) <= PLACES_OF_A_PORT_MAX);
    for (size_t i = 0; i < place_table_count(places); i++) {
        size_t len = strlen(place_table_name(places, i));
        assert(len > 0 && len < PLACE_LABEL_SIZE);
        for (size_t port = 0; port < 3; port++) {
            struct place_view view = place_table_get(places, port, i);
            check_place(&view);
        }
    }
}

static void check_reply(const char *body, size_t len, bool is_stream)
{
    static const uint16_t ports[] = {80, 443, 7466};
    struct remote_verdict verdicts[3];
    struct reply_extras extras;
    struct err err = {0};
    if (!reply_parse(body, len, is_stream, ports, 3, verdicts, &extras, &err)) {
        assert(err.message[0] != '\0');
        check_printable(err.message);
        return;
    }
    for (size_t i = 0; i < 3; i++)
        check_verdict(&verdicts[i]);
    assert(extras.limit.rate >= 0 && extras.limit.answered <= 65535);
    assert(extras.quorum.needed <= extras.quorum.places);
    assert(extras.quorum.places <= PLACES_OF_A_PORT_MAX);
    check_places(extras.places);
    place_table_free(extras.places);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;

    const char *body = (const char *)data + 1;
    char detail[REPLY_SENTENCE_SIZE];
    struct address address;
    switch (data[0] % 4) {
    case 0:
        check_reply(body, size - 1, false);
        break;
    case 1:
        check_reply(body, size - 1, true);
        break;
    case 2:
        if (reply_parse_ip(body, size - 1, &address, NULL))
            assert(address_family_number(&address) == 4 ||
                   address_family_number(&address) == 6);
        break;
    default:
        check_printable(reply_read_detail(body, size - 1, detail));
        break;
    }
    return 0;
}
