/* SPDX-License-Identifier: MIT */
#include "api/negotiate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void qualities(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        unsigned quality;
    } rows[] = {
        {NULL, 0},
        {"", 0},
        {"gzip", 1000},
        {"GZip", 1000},
        {" gzip ", 1000},
        {"br, gzip, deflate", 1000},
        {"br,gzip", 1000},
        {"br;q=1.0, gzip;q=0.5", 500},
        {"gzip ; q=0.125", 125},
        {"gzip;Q=0.1", 100},
        {"gzip;level=9;q=0.3", 300},
        {"gzip;q=0", 0},
        {"gzip;q=0.000", 0},
        {"gzip;q=1.000", 1000},
        {"gzip;q=1.001", 0},
        {"gzip;q=2", 0},
        {"gzip;q=0.1234", 0},
        {"gzip;q=", 0},
        {"gzip;q=x", 0},
        {"gzip;q=-1", 0},
        {"xgzip", 0},
        {"gzipx", 0},
        {"gzip/1", 0},
        {"*", 0},
        {"identity, *;q=0", 0},
        {",,;,gzip", 1000},
        {"br;x=gzip", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (negotiate_quality(rows[i].header, "gzip") != rows[i].quality)
            fail_msg("%s: %u", rows[i].header, negotiate_quality(rows[i].header, "gzip"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(qualities)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
