/* SPDX-License-Identifier: MIT */
#include "vantage/ask.h"

const char *vantage_end_text(enum vantage_end end)
{
    static const char *const texts[] = {
#define X(NAME, text) [VANTAGE_END_##NAME] = (text),
        VANTAGE_END_MAP(X)
#undef X
    };
    return texts[end];
}
