/* SPDX-License-Identifier: MIT */
#include "service/limits.h"

#include "settings/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* With one worker the service itself needs 31 descriptors. */
#define OWN 31

static void the_descriptors_are_shared(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *what;
        size_t descriptors, max_connections, max_probes; /* max_probes 0 = not set */
        size_t connections, probes;
    } rows[] = {
        {"enough for both",             OWN + 20000,  4096,   500,  4096,   500},
        {"probes have what is left",    OWN + 20000,  4096,     0,  4096, 15904},
        {"half is kept for probes",     OWN + 20000, 18000,     0, 10000, 10000},
        {"half, as they ask for more",  OWN + 20000, 18000, 15000, 10000, 10000},
        {"less, as they ask for less",  OWN + 20000, 18000,  1500, 18000,  1500},
        {"connections have the others", OWN + 20000, 19000,  1500, 18500,  1500},
        {"a small limit",               OWN +    21,  4096,     0,    11,    10},
        {"the least of both",           OWN -     1,  4096,     0,     4,     4},
        {"the least of both, limited",  OWN -     1,     3,     2,     3,     2},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct settings settings = {
            .workers = 1,
            .max_connections = rows[i].max_connections,
            .max_probes = rows[i].max_probes,
        };
        struct limits limits = limits_share(rows[i].descriptors, &settings);
        if (limits.connections != rows[i].connections || limits.probes != rows[i].probes)
            fail_msg("%s: %zu connections, %zu probes", rows[i].what, limits.connections,
                     limits.probes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_descriptors_are_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
