/* SPDX-License-Identifier: MIT */
#include "verifier/local_port.h"

#include <sys/socket.h>

static const char *const binding_texts[] = {
#define X(NAME, name, label_end) [BINDING_##NAME] = (name),
    BINDING_MAP(X)
#undef X
};

const char *binding_text(enum binding binding)
{
    return binding_texts[binding];
}

int family_number(enum family family)
{
    return family == FAMILY_6 ? 6 : 4;
}

int family_domain(enum family family)
{
    return family == FAMILY_6 ? AF_INET6 : AF_INET;
}
