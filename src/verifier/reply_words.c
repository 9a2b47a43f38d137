/* SPDX-License-Identifier: MIT */
#include "verifier/reply_words.h"

#include <assert.h>
#include <string.h>

bool reply_state_of(const char *word, enum port_state *ret)
{
    for (enum port_state state = 0; state < PORT_STATE_COUNT; state++)
        if (strcmp(word, port_state_text(state)) == 0) {
            *ret = state;
            return true;
        }
    return false;
}

enum proof reply_proof_of(const char *word)
{
    static const enum proof proofs[] = {PROOF_MATCH, PROOF_OTHER_PORT, PROOF_MISMATCH,
                                        PROOF_SILENT, PROOF_RESET};
    for (size_t i = 0; i < sizeof proofs / sizeof proofs[0]; i++)
        if (strcmp(word, proof_text(proofs[i])) == 0)
            return proofs[i];
    return PROOF_NONE;
}

void reply_copy_printable(const char *text, char *ret, size_t size)
{
    static const char cut[] = "...";
    size_t at = 0;
    assert(size >= sizeof cut);
    for (; text[at] && at + 1 < size; at++)
        ret[at] = text[at] >= ' ' && text[at] <= '~' ? text[at] : '?';
    ret[at] = '\0';
    if (text[at])
        memcpy(ret + size - sizeof cut, cut, sizeof cut);
}
