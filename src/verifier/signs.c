/* SPDX-License-Identifier: MIT */
#include "verifier/signs.h"

#include "net/scope.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

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

bool signs_is_clat(const struct address *address)
{
    static const uint8_t bits[] = {192, 0, 0, 0};
    return address_has_prefix(address, AF_INET, bits, 29);
}

/* What programs choose for the networks of containers and virtual machines by themselves.
 * A network of one's own may have such an address, too. */
static bool is_of_containers(const struct address *address)
{
    static const struct {
        uint8_t bits[4];
        unsigned len;
    } rows[] = {
        {{172, 17, 0, 0}, 16},    /* Docker */
        {{172, 18, 0, 0}, 15},    /* Docker, networks of its compose files */
        {{10, 88, 0, 0}, 16},     /* Podman */
        {{10, 42, 0, 0}, 16},     /* k3s */
        {{10, 244, 0, 0}, 16},    /* Kubernetes with flannel */
        {{10, 0, 2, 0}, 24},      /* QEMU, VirtualBox, slirp4netns */
        {{10, 0, 3, 0}, 24},      /* LXC */
        {{192, 168, 122, 0}, 24}, /* libvirt */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (address_has_prefix(address, AF_INET, rows[i].bits, rows[i].len))
            return true;
    return false;
}

struct signs signs_read(const struct address *local, enum link_kind kind,
                        const struct address *seen)
{
    struct signs signs = {0};
    enum address_scope scope = address_scope(local);
    if (!address_equals(local, seen))
        signs_add(&signs, SIGN_ADDRESS_DIFFERS);
    if (scope == SCOPE_PRIVATE)
        signs_add(&signs, SIGN_PRIVATE_ADDRESS);
    if (scope == SCOPE_CARRIER || address_scope(seen) == SCOPE_CARRIER)
        signs_add(&signs, SIGN_CARRIER_ADDRESS);
    if (signs_is_clat(local))
        signs_add(&signs, SIGN_CLAT_ADDRESS);
    if (kind == LINK_CONTAINER || (kind == LINK_PLAIN && is_of_containers(local)))
        signs_add(&signs, SIGN_CONTAINER);
    if (kind == LINK_TUNNEL)
        signs_add(&signs, SIGN_TUNNEL);
    if (kind == LINK_DIALED && scope != SCOPE_CARRIER)
        signs_add(&signs, SIGN_DIALED);
    if (kind == LINK_CELLULAR)
        signs_add(&signs, SIGN_CELLULAR);
    return signs;
}
