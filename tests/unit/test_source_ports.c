/* SPDX-License-Identifier: MIT
 *
 * The parts of the range, and the ports that real sockets get from them. The latter in a
 * network namespace of this program's own, where no other program takes ports.
 */
#include "base/err.h"
#include "network_lab.h"
#include "probe/attempt.h"
#include "probe/source_ports.h"

#include <stdatomic.h>

static bool has_lab;

static void need_lab(void)
{
    if (!has_lab)
        skip();
}

static uint16_t low(source_range range)
{
    return (uint16_t)(range & 0xffff);
}

static uint16_t high(source_range range)
{
    return (uint16_t)(range >> 16);
}

/* --- parts -------------------------------------------------------------------------- */

static void parts_are_disjoint_aligned_and_inside(void **state)
{
    (void)state;
    static const struct {
        uint16_t first, last;
        unsigned count;
    } rows[] = {
        {32768, 60999, 1}, {32768, 60999, 2}, {32768, 60999, 3}, {32768, 60999, 28},
        {1024, 65535, 1},  {1024, 65535, 64}, {1025, 65534, 7},  {32767, 61000, 5},
        {50001, 53999, 1}, {50003, 54006, 4}, {1, 65535, 1},     {64532, 65535, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned end = rows[i].first, total = 0;
        for (unsigned index = 0; index < rows[i].count; index++) {
            struct source_ports part =
                source_ports_part(rows[i].first, rows[i].last, index, rows[i].count, 12345);
            if (part.first == 0)
                continue;
            assert_in_range(part.first, end, rows[i].last);
            assert_in_range(part.last, part.first, rows[i].last);
            assert_int_equal(part.first % SOURCE_GROUP, 0);
            assert_int_equal(part.last % SOURCE_GROUP, SOURCE_GROUP - 1);
            assert_in_range(part.next, part.first, part.last);
            assert_int_equal(part.next % SOURCE_GROUP, 0);
            assert_true(part.last - part.first + 1 >= SOURCE_PART_MIN);
            end = part.last + 1U;
            total += part.last - part.first + 1U;
        }
        unsigned all = rows[i].last - rows[i].first + 1U;
        if (all / rows[i].count >= SOURCE_PART_MIN + 2 * SOURCE_GROUP)
            assert_true(total + (rows[i].count + 1) * SOURCE_GROUP >= all);
    }
}

static void small_parts_leave_the_choice_to_the_kernel(void **state)
{
    (void)state;
    static const struct {
        uint16_t first, last;
        unsigned count;
        bool is_enough;
    } rows[] = {
        {40000, 40999, 1, true},   {40000, 40998, 1, false}, {40001, 41000, 1, false},
        {40000, 41999, 2, true},   {40000, 41995, 2, false}, {32768, 60999, 28, true},
        {32768, 60999, 29, false}, {40000, 40000, 1, false}, {40000, 39999, 1, false},
        {60000, 1000, 1, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct source_ports part =
            source_ports_part(rows[i].first, rows[i].last, 0, rows[i].count, 7);
        struct source_choice choice = source_choice_make(3);
        if ((part.first != 0) != rows[i].is_enough)
            fail_msg("%u-%u in %u: %u", rows[i].first, rows[i].last, rows[i].count,
                     part.first);
        if (rows[i].is_enough)
            continue;
        assert_int_equal(source_ports_next(&part, &choice), 0);
        assert_int_equal(source_ports_all(&part), 0);
    }
}

static void the_start_is_a_matter_of_chance(void **state)
{
    (void)state;
    struct source_ports part = source_ports_part(40000, 40999, 0, 1, 0);
    assert_int_equal(part.next, 40000);
    part = source_ports_part(40000, 40999, 0, 1, 249);
    assert_int_equal(part.next, 40996);
    part = source_ports_part(40000, 40999, 0, 1, 250);
    assert_int_equal(part.next, 40000);
}

/* --- choices ------------------------------------------------------------------------ */

static void four_attempts_at_a_port_differ_in_the_low_bits_only(void **state)
{
    (void)state;
    struct source_ports part = source_ports_part(40000, 40999, 0, 1, 11);
    for (unsigned random = 0; random < 300; random++) {
        struct source_choice choice = source_choice_make(random);
        for (int round = 0; round < 3; round++) {
            unsigned seen = 0, group = 0;
            for (int i = 0; i < SOURCE_GROUP; i++) {
                source_range range = source_ports_next(&part, &choice);
                assert_int_equal(low(range), high(range));
                assert_in_range(low(range), part.first, part.last);
                if (i == 0)
                    group = low(range) / SOURCE_GROUP;
                assert_int_equal(low(range) / SOURCE_GROUP, group);
                seen |= 1u << low(range) % SOURCE_GROUP;
            }
            assert_int_equal(seen, 15);
        }
    }
}

static void the_first_port_has_each_place_in_turn(void **state)
{
    (void)state;
    struct source_ports part = source_ports_part(40000, 40999, 0, 1, 0);
    for (unsigned random = 0; random < 8; random++) {
        struct source_choice choice = source_choice_make(random);
        assert_int_equal(low(source_ports_next(&part, &choice)),
                         40000 + random * SOURCE_GROUP + random % SOURCE_GROUP);
    }
}

/* Two ports never share a group before all groups had their turn. */
static void groups_go_round_the_whole_part(void **state)
{
    (void)state;
    for (unsigned start = 0; start < 250; start += 83) {
        struct source_ports part = source_ports_part(40000, 40999, 0, 1, start);
        bool is_seen[250] = {false};
        for (int i = 0; i < 250; i++) {
            struct source_choice choice = source_choice_make(0);
            uint16_t port = low(source_ports_next(&part, &choice));
            assert_in_range(port, 40000, 40999);
            assert_false(is_seen[(port - 40000) / SOURCE_GROUP]);
            is_seen[(port - 40000) / SOURCE_GROUP] = true;
        }
        assert_int_equal(part.next, 40000 + start * SOURCE_GROUP);
    }
}

static void the_highest_part_wraps_too(void **state)
{
    (void)state;
    struct source_ports part = source_ports_part(64000, 65535, 0, 1, 383);
    struct source_choice choice = source_choice_make(3);
    assert_int_equal(low(source_ports_next(&part, &choice)), 65535);
    choice = source_choice_make(0);
    assert_int_equal(low(source_ports_next(&part, &choice)), 64000);
}

static void another_one_keeps_its_place_in_the_next_group(void **state)
{
    (void)state;
    struct source_ports part = source_ports_part(40000, 40999, 0, 1, 0);
    struct source_choice choice = source_choice_make(2);
    assert_int_equal(low(source_ports_next(&part, &choice)), 40002);
    assert_int_equal(low(source_ports_other(&part, &choice)), 40006);
    assert_int_equal(low(source_ports_other(&part, &choice)), 40010);
    assert_int_equal(low(source_ports_next(&part, &choice)), 40011);
    assert_int_equal(low(source_ports_next(&part, &choice)), 40008);
    assert_int_equal(source_ports_all(&part), (source_range)40999 << 16 | 40000);
}

/* --- real sockets ------------------------------------------------------------------- */

static bool range_of_system(const char *text)
{
    return write_file("/proc/sys/net/ipv4/ip_local_port_range", text);
}

static void the_part_is_one_of_the_system_s_range(void **state)
{
    (void)state;
    need_lab();
    assert_true(range_of_system("40000 43999"));
    struct source_ports first = source_ports_of_system(0, 2, 1);
    if (first.first == 0)
        skip(); /* an older kernel */
    struct source_ports second = source_ports_of_system(1, 2, 1);
    assert_int_equal(first.first, 40000);
    assert_int_equal(first.last, 41999);
    assert_int_equal(second.first, 42000);
    assert_int_equal(second.last, 43999);
    assert_int_equal(source_ports_of_system(4, 5, 1).first, 0);
    assert_true(range_of_system("32768 60999"));
}

static const char *const targets[] = {THERE, THERE6};

static uint16_t attempt_from(const struct address *to, struct source_ports *part,
                             struct source_choice *choice, int *ret_fd)
{
    int errnum = 0;
    *ret_fd = -1;
    enum outcome outcome = attempt_open(to, part, choice, false, ret_fd, &errnum);
    if (outcome != OUTCOME_PENDING)
        fail_msg("outcome %d, errno %d", (int)outcome, errnum);
    return port_of(*ret_fd);
}

static struct source_ports part_or_skip(void)
{
    struct source_ports part = source_ports_of_system(0, 1, 5);
    if (part.first == 0)
        skip();
    return part;
}

static void attempts_use_the_chosen_ports(void **state)
{
    (void)state;
    need_lab();
    part_or_skip();
    assert_true(firewall("tcp flags syn drop"));
    for (int i = 0; i < 2; i++) {
        const struct address to = address_and_port(targets[i], 1000);
        struct source_ports part = source_ports_part(50000, 50999, 0, 1, 3), none = {0};
        struct source_choice choice = source_choice_make(1);
        int fds[5];
        for (int n = 0; n < 4; n++)
            assert_int_equal(attempt_from(&to, &part, &choice, &fds[n]),
                             50012 + (n + 1) % 4);
        assert_in_range(attempt_from(&to, &none, &choice, &fds[4]), 32768, 60999);
        for (int n = 0; n < 5; n++)
            close(fds[n]);
    }
}

/* A listener of another program holds a port; a connection of ours has the same two ends.
 */
static void a_port_that_is_taken_is_passed_over(void **state)
{
    (void)state;
    need_lab();
    part_or_skip();
    assert_true(firewall("tcp flags syn drop"));
    const struct address to = address_and_port(THERE, 1000);
    struct source_ports part = source_ports_part(50000, 50999, 0, 1, 0), again = part;
    int taken = listener("0.0.0.0", 50001, 1), fds[3];
    struct source_choice choice = source_choice_make(1);
    assert_int_equal(attempt_from(&to, &part, &choice, &fds[0]), 50005);
    assert_int_equal(attempt_from(&to, &part, &choice, &fds[1]), 50006);

    choice = source_choice_make(2); /* 50002 is free, 50006 is not, of this target */
    assert_int_equal(attempt_from(&to, &again, &choice, &fds[2]), 50002);
    close(fds[2]);
    again.next = 50004;
    choice = source_choice_make(2);
    assert_int_equal(attempt_from(&to, &again, &choice, &fds[2]), 50010);
    close(fds[2]);
    again.next = 50004;
    choice = source_choice_make(2);
    const struct address elsewhere = address_and_port(THERE, 1001);
    assert_int_equal(attempt_from(&elsewhere, &again, &choice, &fds[2]), 50006);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    close(taken);
}

/* Eight in a row are taken: then the kernel finds one in the part, and when all of it is
 * taken, that is this checker's trouble. */
static void when_eight_are_taken_the_kernel_chooses_within_the_part(void **state)
{
    (void)state;
    need_lab();
    part_or_skip();
    assert_true(firewall("tcp flags syn drop"));
    const struct address to = address_and_port(THERE, 1000);
    struct source_ports part = source_ports_part(50000, 50999, 0, 1, 0);
    struct source_choice choice = source_choice_make(0);
    int taken[1000], fd = -1, errnum = 0;
    for (int i = 0; i < SOURCE_TRIES_MAX; i++)
        taken[i] = listener("0.0.0.0", (uint16_t)(50000 + i * SOURCE_GROUP), 1);
    uint16_t port = attempt_from(&to, &part, &choice, &fd);
    assert_in_range(port, 50000, 50999);
    assert_true(port >= 50032 || port % SOURCE_GROUP != 0);
    assert_int_equal(part.next, 50032);
    close(fd);
    for (int i = 0; i < SOURCE_TRIES_MAX; i++)
        close(taken[i]);

    for (int i = 0; i < 1000; i++)
        taken[i] = listener("0.0.0.0", (uint16_t)(50000 + i), 1);
    fd = -1;
    assert_int_equal(attempt_open(&to, &part, &choice, false, &fd, &errnum),
                     OUTCOME_LOCAL_FAULT);
    assert_int_equal(errnum, EADDRNOTAVAIL);
    assert_int_equal(fd, -1);
    for (int i = 0; i < 1000; i++)
        close(taken[i]);
}

static void this_kernel_can_be_used(void **state)
{
    (void)state;
    need_lab();
    struct err err = {0};
    int descriptors = count_descriptors();
    if (!attempt_check_kernel(&err))
        fail_msg("%s", err.message);
    assert_int_equal(count_descriptors(), descriptors);
}

/* Nothing is known against a kernel where loopback cannot be probed. */
static void a_loopback_that_is_down_is_not_held_against_the_kernel(void **state)
{
    (void)state;
    need_lab();
    struct err err = {0};
    assert_true(shell("ip link set lo down"));
    bool is_usable = attempt_check_kernel(&err);
    assert_true(shell("ip link set lo up"));
    assert_true(is_usable);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    has_lab = lab_enter() && firewall("");
    const struct CMUnitTest tests[] = {
        TEST(parts_are_disjoint_aligned_and_inside),
        TEST(small_parts_leave_the_choice_to_the_kernel),
        TEST(the_start_is_a_matter_of_chance),
        TEST(four_attempts_at_a_port_differ_in_the_low_bits_only),
        TEST(the_first_port_has_each_place_in_turn),
        TEST(groups_go_round_the_whole_part),
        TEST(the_highest_part_wraps_too),
        TEST(another_one_keeps_its_place_in_the_next_group),
        TEST(the_part_is_one_of_the_system_s_range),
        TEST(attempts_use_the_chosen_ports),
        TEST(a_port_that_is_taken_is_passed_over),
        TEST(when_eight_are_taken_the_kernel_chooses_within_the_part),
        TEST(this_kernel_can_be_used),
        TEST(a_loopback_that_is_down_is_not_held_against_the_kernel),
    };
    return cmocka_run_group_tests_name("source_ports", tests, NULL, NULL);
}
