/* SPDX-License-Identifier: MIT
 *
 * What a router may answer over PCP: the first byte chooses what it was asked. What is
 * accepted is a refusal, or has all that was asked for.
 */
#include "router/pcp.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;

    struct pcp_request asked = {
        .opcode = data[0] % 2 == 0 ? PCP_ANNOUNCE : PCP_MAP,
        .nonce = {"abcdefghijkl"},
        .inner = 7466,
        .outer = 7466,
        .lifetime = 3600,
    };
    bool is_ipv6 = data[0] & 2;
    bool is_parsed = is_ipv6 ? address_parse("2001:db8::", 10, &asked.client, NULL)
                             : address_parse("192.168.50.2", 12, &asked.client, NULL);
    assert(is_parsed);
    struct pcp_reply reply;
    enum pcp_form form = pcp_read(data + 1, size - 1, &asked, &reply);
    assert(form == PCP_FORM_INVALID || (size - 1) % 4 == 0);
    if (form == PCP_FORM_OTHER_VERSION)
        assert(data[1] != 2 && data[4] == 1);
    if (form != PCP_FORM_REPLY)
        return 0;

    assert(size - 1 >= 24 && size - 1 <= PCP_REPLY_MAX);
    if (asked.opcode == PCP_MAP && reply.result == 0) {
        assert(reply.outer != 0 && reply.lifetime != 0);
        assert(address_family_number(&reply.outer_address) == (is_ipv6 ? 6 : 4));
    }
    return 0;
}
