/* SPDX-License-Identifier: MIT
 *
 * What port-verifier-upnp may write: the first byte chooses what it was asked, the second
 * where its output comes in two pieces. What is believed is no more than what was asked
 * for, and it does not depend on the pieces.
 */
#include "verifier/upnp_reply.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint16_t ports[] = {7466, 50800, 50801};
#define PORT_COUNT (sizeof ports / sizeof *ports)

static void begin(uint8_t choice, struct upnp_reply *reply, struct upnp_port_reply *answers)
{
    upnp_reply_init(reply, ports, PORT_COUNT, answers);
    reply->is_ipv6 = choice & 1;
    reply->is_removal = choice & 2;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct upnp_reply whole, halves;
    struct upnp_port_reply answers[PORT_COUNT], other_answers[PORT_COUNT];
    if (size < 2)
        return 0;

    const char *text = (const char *)data + 2;
    size_t len = size - 2;
    size_t first = len * data[1] / UINT8_MAX;
    begin(data[0], &whole, answers);
    begin(data[0], &halves, other_answers);
    bool is_valid = upnp_reply_add(&whole, text, len, NULL);
    bool is_first_valid = upnp_reply_add(&halves, text, first, NULL);
    assert(is_valid ==
           (is_first_valid && upnp_reply_add(&halves, text + first, len - first, NULL)));
    assert(whole.answer_count == halves.answer_count && whole.end == halves.end);

    assert(whole.answer_count <= PORT_COUNT);
    assert(whole.answer_count == 0 ||
           (whole.has_router && (whole.is_connected || whole.is_removal)));
    assert(whole.end != UPNP_END_DONE || whole.answer_count == PORT_COUNT);
    for (size_t i = 0; i < whole.answer_count; i++) {
        const struct upnp_port_reply *answer = &answers[i];
        bool is_mapped = !whole.is_removal && answer->is_answered && answer->result == 0;
        assert(answer->has_pinhole == (is_mapped && whole.is_ipv6));
        assert(is_mapped || answer->lease == 0);
        assert(!answer->has_holder || address_family_number(&answer->holder) == 4);
    }
    return 0;
}
