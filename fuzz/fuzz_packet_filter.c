/* SPDX-License-Identifier: MIT
 *
 * Rules as nft writes them in JSON, and as iptables-save writes them: whatever they are,
 * the way of a connection through them ends, and what is found makes sense.
 */
#include "verifier/packet_filter.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(const struct ruleset *ruleset)
{
    static const uint16_t ports[] = {22, 7466, 50800};
    for (size_t i = 0; i < sizeof ports / sizeof *ports; i++) {
        struct port_filter found = ruleset_judge(ruleset, ports[i]);
        assert(found.is_known && (!found.is_led || found.drop == FILTER_DROP_NO));
        assert(memchr(found.to, '\0', sizeof found.to));
        assert(memchr(found.where, '\0', sizeof found.where));
        assert((found.where[0] != '\0') == (found.drop != FILTER_DROP_NO));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const struct filter_view view = {
        .family = AF_INET,
        .has_address = true,
        .address = {.len = sizeof(struct sockaddr_in), .in.sin_family = AF_INET},
        .interface = "eth0",
    };
    struct ruleset *ruleset = ruleset_new(&view);
    if (!ruleset)
        return 0;

    bool is_json = size > 0 && text[0] == '{';
    bool has_foreign;
    if (is_json ? ruleset_add_nft(ruleset, text, size, &has_foreign)
                : ruleset_add_iptables(ruleset, text, size))
        judge(ruleset);
    ruleset_free(ruleset);
    return 0;
}
