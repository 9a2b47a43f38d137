/* SPDX-License-Identifier: MIT */
#include "base/place_name.h"

#include <string.h>

bool place_name_is_valid(const char *text, size_t len)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-";

    if (len == 0 || len > PLACE_NAME_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\0' || !strchr(allowed, text[i]))
            return false;
    return true;
}

bool place_name_parse(const char *text, size_t len, char ret[PLACE_NAME_SIZE])
{
    if (!place_name_is_valid(text, len))
        return false;

    memcpy(ret, text, len);
    ret[len] = '\0';
    return true;
}
