/* SPDX-License-Identifier: MIT */
#include "router/mapping.h"

static const char *const state_texts[] = {
#define X(NAME, text) text,
    MAPPING_STATE_MAP(X)
#undef X
};

const char *mapping_state_text(enum mapping_state state)
{
    return state_texts[state];
}
