/* SPDX-License-Identifier: MIT */
#include "verifier/mapping_view.h"

const char *mapping_fault_text(enum mapping_fault fault)
{
    static const char *const texts[] = {
#define X(NAME, text) [MAPPING_FAULT_##NAME] = (text),
        MAPPING_FAULT_MAP(X)
#undef X
    };
    return texts[fault];
}
