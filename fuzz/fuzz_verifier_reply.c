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

static void check_reply(const char *body, size_t len, bool is_stream)
{
    static const uint16_t ports[] = {80, 443, 7466};
    struct remote_verdict verdicts[3];
    struct remote_limit limit;
    struct err err = {0};
    if (!reply_parse(body, len, is_stream, ports, 3, verdicts, &limit, &err)) {
        assert(err.message[0] != '\0');
        check_printable(err.message);
        return;
    }
    for (size_t i = 0; i < 3; i++)
        check_verdict(&verdicts[i]);
    assert(limit.rate >= 0 && limit.answered <= 65535);
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
