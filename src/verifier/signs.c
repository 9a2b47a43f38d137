/* SPDX-License-Identifier: MIT */
#include "verifier/signs.h"

#include "net/scope.h"

static const char *const sign_texts[] = {
#define X(NAME, text) [SIGN_##NAME] = (text),
    SIGN_MAP(X)
#undef X
};

const char *sign_text(enum sign sign)
{
    return sign_texts[sign];
}

bool signs_have(struct signs signs, enum sign sign)
{
    return (signs.bits >> sign) & 1;
}

void signs_add(struct signs *signs, enum sign sign)
{
    signs->bits |= 1u << sign;
}

struct signs signs_read(const struct address *local, const struct address *seen)
{
    struct signs signs = {0};
    enum address_scope scope = address_scope(local);
    if (!address_equals(local, seen))
        signs_add(&signs, SIGN_ADDRESS_DIFFERS);
    if (scope == SCOPE_PRIVATE)
        signs_add(&signs, SIGN_PRIVATE_ADDRESS);
    if (scope == SCOPE_CARRIER || address_scope(seen) == SCOPE_CARRIER)
        signs_add(&signs, SIGN_CARRIER_ADDRESS);
    return signs;
}
