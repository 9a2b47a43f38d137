/* SPDX-License-Identifier: MIT */
#include "api/negotiate.h"

#include "base/text.h"

#include <stddef.h>
#include <string.h>

#define QUALITY_MAX 1000

/* "1", "0.5", "0.125": at most three decimals. */
static unsigned weight_parse(const char *text, size_t len)
{
    unsigned weight = 0, unit = QUALITY_MAX;
    if (len == 0 || len > 5 || (text[0] != '0' && text[0] != '1') ||
        (len > 1 && text[1] != '.'))
        return 0;

    for (size_t i = 0; i < len; i++) {
        if (i == 1)
            continue;
        if (text[i] < '0' || text[i] > '9')
            return 0;
        weight += (unsigned)(text[i] - '0') * unit;
        unit /= 10;
    }
    return weight <= QUALITY_MAX ? weight : 0;
}

/* The weight among the parameters ";a=b;q=0.5" of one element. */
static unsigned weight_of(const char *params, size_t len)
{
    const char *end = params + len;
    while (params < end) {
        params += strspn(params, "; \t");
        if (params >= end)
            break;
        size_t one = strcspn(params, "; \t,");
        if (one >= 2 && text_equals_nocase(params, 2, "q="))
            return weight_parse(params + 2, one - 2);
        params += one;
    }
    return QUALITY_MAX;
}

unsigned negotiate_quality(const char *header, const char *name)
{
    while (header && *header) {
        header += strspn(header, ", \t");
        size_t element = strcspn(header, ",");
        size_t token = strcspn(header, ";, \t");
        if (token > 0 && text_equals_nocase(header, token, name))
            return weight_of(header + token, element - token);
        header += element;
    }
    return 0;
}
