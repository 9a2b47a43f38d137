/* SPDX-License-Identifier: MIT */
#include "net/scope.h"

#include <assert.h>
#include <endian.h>
#include <stddef.h>
#include <string.h>

/* An IPv4 address is in the highest 32 bits. */
struct bits {
    uint64_t high, low;
};

/* Per family from the longest prefix to the shortest, so that the first match is the most
 * specific one; the last row of a family covers all of it. */
static const struct {
    int family;
    enum address_scope scope;
    struct bits base, mask;
} ranges[] = {
#define SPECIAL_RANGE(family, scope, high, low, high_mask, low_mask)                       \
    {family, scope, {high, low}, {high_mask, low_mask}},
#include "net/special_ranges.def"
#undef SPECIAL_RANGE
};

static struct bits bits_of(const struct address *address)
{
    size_t len;
    uint64_t halves[2] = {0};
    const uint8_t *bytes = address_bytes(address, &len);
    memcpy(halves, bytes, len);
    return (struct bits){be64toh(halves[0]), be64toh(halves[1])};
}

enum address_scope address_scope(const struct address *address)
{
    struct address judged = address_unembed(address);
    struct bits bits = bits_of(&judged);
    size_t i = 0;
    while (ranges[i].family != judged.sa.sa_family ||
           (((bits.high ^ ranges[i].base.high) & ranges[i].mask.high) |
            ((bits.low ^ ranges[i].base.low) & ranges[i].mask.low)) != 0) {
        i++;
        assert(i < sizeof ranges / sizeof ranges[0]);
    }
    return ranges[i].scope;
}
