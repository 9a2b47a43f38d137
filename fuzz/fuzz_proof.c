/* SPDX-License-Identifier: MIT
 *
 * What a target may send: judged as a whole and after every byte. A judgement, once made,
 * does not change, and only a line that we wrote counts as proof.
 */
#include "probe/proof.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The key of the contract's example, so that its line is within a fuzzer's reach. */
#define TOKEN "00112233445566778899aabbccddeeff"
#define PORT  50800

static void check_is_our_line(const char *bytes, size_t size,
                              const struct proof_token *token, uint16_t port)
{
    char line[PROOF_LINE_SIZE];
    size_t len;
    bool is_made = proof_line_make(token, port, line, &len);
    assert(is_made && len < PROOF_READ_MAX);
    assert(size >= len && memcmp(bytes, line, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    struct proof_token token;
    bool is_token = proof_token_parse(TOKEN, strlen(TOKEN), &token);
    assert(is_token);

    uint16_t other = 0;
    enum proof whole = proof_judge(bytes, size, PROOF_REST_CUT_OFF, &token, PORT, &other);
    assert(whole != PROOF_NONE && (whole == PROOF_OTHER_PORT) == (other != 0));
    if (whole == PROOF_MATCH || whole == PROOF_OTHER_PORT)
        check_is_our_line(bytes, size, &token, whole == PROOF_MATCH ? PORT : other);

    enum proof late = proof_judge(bytes, size, PROOF_REST_TOO_LATE, &token, PORT, &other);
    assert(late == (whole == PROOF_RESET ? PROOF_SILENT : whole));

    for (size_t len = 0; len <= size && len <= PROOF_READ_MAX; len++) {
        uint16_t port = 0;
        enum proof so_far =
            proof_judge(bytes, len, PROOF_REST_MAY_COME, &token, PORT, &port);
        assert(so_far == PROOF_NONE || (so_far == whole && port == other));
    }

    struct proof_token parsed;
    if (proof_token_parse(bytes, size, &parsed))
        assert(size == PROOF_TOKEN_LEN && memcmp(parsed.hex, bytes, size) == 0);
    return 0;
}
