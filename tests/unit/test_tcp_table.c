/* SPDX-License-Identifier: MIT */
#include "verifier/tcp_table.h"

/* cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* As Linux 6.18 writes them on a little-endian machine, which all of ours are. */
static void rows_of_the_kernel_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *line, *ip;
        uint16_t port;
        unsigned state;
        uint64_t inode;
        uint32_t waiting;
    } rows[] = {
        {"   0: 0100007F:1D2A 00000000:0000 0A 00000000:00000011 00:00000000 00000000     0"
         "        0 27421 1 0000000000000000 100 0 0 10 0",
         "127.0.0.1", 7466, TCP_STATE_LISTEN, 27421, 17},
        {"  10: 0232A8C0:C670 017100CB:8AE2 03 00000000:00000000 01:00000063 00000000     0"
         "        0 0 2 0000000000000000",
         "192.168.50.2", 50800, TCP_STATE_SYN_RECV, 0, 0},
        {"   1: B80D0120000000000000000002000000:C671 "
         "00000000000000000000000000000000:0000 0A "
         "00000000:00000000 00:00000000 00000000     0        0 99 1 0000000000000000 100 "
         "0 0 10 0",
         "2001:db8::2", 50801, TCP_STATE_LISTEN, 99, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tcp_row row;
        char ip[ADDRESS_TEXT_SIZE];
        assert_true(tcp_row_parse(rows[i].line, strlen(rows[i].line), &row));
        assert_string_equal(address_format(&row.local, ip), rows[i].ip);
        assert_int_equal(address_port(&row.local), rows[i].port);
        assert_int_equal(row.state, rows[i].state);
        assert_int_equal(row.inode, rows[i].inode);
        assert_int_equal(row.waiting, rows[i].waiting);
    }
}

static void anything_else_is_no_row(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid "
        " timeout "
        "inode",
        "0: 0100007F:1D2A 00000000:0000 0A 0:0 0:0 0 0 0",
        "0: 0100007F 00000000:0000 0A 0:0 0:0 0 0 0 1",
        "0: 0100007F:1D2 00000000:0000 0A 0:0 0:0 0 0 0 1",
        "0: 010000:1D2A 00000000:0000 0A 0:0 0:0 0 0 0 1",
        "0: 0100007f:1D2A 00000000:0000 0A 0:0 0:0 0 0 0 1",
        "0: 0100007F:1D2A 00000000:0000 0A 0:0 0:0 0 0 0 x",
        "0: 0100007F:1D2A 00000000:0000 A123456789 0:0 0:0 0 0 0 1",
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tcp_row row;
        assert_false(tcp_row_parse(rows[i], strlen(rows[i]), &row));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_the_kernel_are_read),
        cmocka_unit_test(anything_else_is_no_row),
    };
    return cmocka_run_group_tests_name("tcp_table", tests, NULL, NULL);
}
