/* SPDX-License-Identifier: MIT */
#include "probe/evidence.h"

#include <errno.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define NOTHING PORT_STATE_COUNT

static void what_is_known_suffices_or_does_not(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *what;
        struct evidence evidence; /* attempts, refusals, errors, errno */
        unsigned needed;
        bool is_time_up;
        enum port_state state;
        int errnum;
    } rows[] = {
        {"silence",               {1, 0, 0, 0},            1, false, NOTHING, 0},
        {"silence to the end",    {1, 0, 0, 0},            1, true,  PORT_STATE_FILTERED, ETIMEDOUT},
        {"a refusal",             {1, 1, 0, 0},            1, false, PORT_STATE_CLOSED, ECONNREFUSED},
        {"one of three",          {1, 1, 0, 0},            3, false, NOTHING, 0},
        {"two of three",          {2, 2, 0, 0},            3, false, NOTHING, 0},
        {"three of three",        {3, 3, 0, 0},            3, false, PORT_STATE_CLOSED, ECONNREFUSED},
        {"one at the end",        {2, 1, 0, 0},            3, true,  PORT_STATE_CLOSED, ECONNREFUSED},
        {"an error",              {1, 0, 1, EHOSTUNREACH}, 1, false, NOTHING, 0},
        {"two errors",            {2, 0, 2, ENETUNREACH},  1, false, PORT_STATE_UNREACHABLE, ENETUNREACH},
        {"an error at the end",   {2, 0, 1, EACCES},       1, true,  PORT_STATE_UNREACHABLE, EACCES},
        {"a refusal beats errors",{3, 1, 2, EHOSTUNREACH}, 1, false, PORT_STATE_CLOSED, ECONNREFUSED},
        {"at the end as well",    {2, 1, 1, EHOSTUNREACH}, 3, true,  PORT_STATE_CLOSED, ECONNREFUSED},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum port_state got = NOTHING;
        int errnum = 0;
        bool is_known = evidence_judge(&rows[i].evidence, rows[i].needed,
                                       rows[i].is_time_up, &got, &errnum);
        if (got != rows[i].state || errnum != rows[i].errnum ||
            is_known != (rows[i].state != NOTHING))
            fail_msg("%s: state %d, errno %d", rows[i].what, (int)got, errnum);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_known_suffices_or_does_not),
    };
    return cmocka_run_group_tests_name("evidence", tests, NULL, NULL);
}
