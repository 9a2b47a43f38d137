/* SPDX-License-Identifier: MIT */
#include "verifier/local_time.h"

void local_time_put(time_t time, struct text *text)
{
    struct tm parts;
    char words[32];
    char offset[8];
    localtime_r(&time, &parts);
    strftime(words, sizeof words, "%Y-%m-%dT%H:%M:%S", &parts);
    strftime(offset, sizeof offset, "%z", &parts);
    text_printf(text, "%s%.3s:%s", words, offset, offset + 3);
}
