/* SPDX-License-Identifier: MIT */
#include "verifier/signs.h"

#include <stddef.h>

enum scope {
    SCOPE_PRIVATE,
    SCOPE_CARRIER,
    SCOPE_MACHINE, /* or link */
};

static const struct {
    int family;
    uint8_t bits[16];
    unsigned prefix;
    enum scope scope;
} blocks[] = {
    {AF_INET, {10}, 8, SCOPE_PRIVATE},           /* RFC 1918 */
    {AF_INET, {172, 16}, 12, SCOPE_PRIVATE},     /* RFC 1918 */
    {AF_INET, {192, 168}, 16, SCOPE_PRIVATE},    /* RFC 1918 */
    {AF_INET, {100, 64}, 10, SCOPE_CARRIER},     /* RFC 6598 */
    {AF_INET, {127}, 8, SCOPE_MACHINE},          /* RFC 1122 */
    {AF_INET, {169, 254}, 16, SCOPE_MACHINE},    /* RFC 3927 */
    {AF_INET6, {0xfc}, 7, SCOPE_PRIVATE},        /* RFC 4193 */
    {AF_INET6, {0xfe, 0x80}, 10, SCOPE_MACHINE}, /* RFC 4291 */
    {AF_INET6, {[15] = 1}, 128, SCOPE_MACHINE},  /* RFC 4291 */
};

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

static bool scope_find(const struct address *address, enum scope *ret)
{
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        if (address_has_prefix(address, blocks[i].family, blocks[i].bits,
                               blocks[i].prefix)) {
            *ret = blocks[i].scope;
            return true;
        }
    return false;
}

bool signs_is_public(const struct address *address)
{
    enum scope scope;
    return !scope_find(address, &scope);
}

struct signs signs_read(const struct address *local, const struct address *seen)
{
    struct signs signs = {0};
    enum scope scope;
    if (!address_equals(local, seen))
        signs_add(&signs, SIGN_ADDRESS_DIFFERS);
    if (scope_find(local, &scope) && scope == SCOPE_PRIVATE)
        signs_add(&signs, SIGN_PRIVATE_ADDRESS);
    if ((scope_find(local, &scope) && scope == SCOPE_CARRIER) ||
        (scope_find(seen, &scope) && scope == SCOPE_CARRIER))
        signs_add(&signs, SIGN_CARRIER_ADDRESS);
    return signs;
}
