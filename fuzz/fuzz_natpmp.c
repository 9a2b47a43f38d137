/* SPDX-License-Identifier: MIT
 *
 * What a router may answer over NAT-PMP: the first byte chooses what it was asked. What is
 * accepted is a refusal, or has all that was asked for.
 */
#include "router/natpmp.h"

#include <assert.h>

#define REPLY_MAX 16 /* RFC 6886, section 3.3 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;

    const struct natpmp_request asked = {
        .opcode = data[0] % 2 == 0 ? NATPMP_ADDRESS : NATPMP_MAP_TCP,
        .inner = 7466,
        .outer = 7466,
        .lifetime = 3600,
    };
    struct natpmp_reply reply;
    if (!natpmp_read(data + 1, size - 1, &asked, &reply))
        return 0;

    assert(size - 1 >= 8 && size - 1 <= REPLY_MAX);
    if (reply.result != 0)
        return 0;
    if (asked.opcode == NATPMP_ADDRESS)
        assert(address_family_number(&reply.outer_address) == 4);
    else
        assert(reply.outer != 0 && reply.lifetime != 0);
    return 0;
}
