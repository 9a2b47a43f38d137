/* SPDX-License-Identifier: MIT
 *
 * Proofs at limited addresses, and what the deadline of a job settles there.
 */
#include "limited_lab.h"

/* At its deadline, by its first limited port and by a later one. */
static void a_settled_port_may_cancel_the_job_at_its_deadline(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 40);
    static const size_t nths[] = {0, 20};
    for (size_t i = 0; i < 2; i++) {
        assert_true(firewall(BAN));
        struct rig *rig = rig_of_five_seconds();
        struct check *check = check_cancelled(rig, PORT_STATE_LIMITED, nths[i], 4000);
        assert_int_equal(count_state(check, PORT_STATE_LIMITED), nths[i] + 1);
        rig_free(rig);
    }
}

static const struct proof_token token = {"00112233445566778899aabbccddeeff"};

/* These listeners say nothing, so each proof lasts its 1.5 seconds. */
static void proofs_are_read_while_limited(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 16);
    assert_true(firewall(SYNS "limit rate over 10/second burst 5 packets drop"));
    struct rig *rig = rig_of_five_seconds();
    rig->token = &token;
    struct check *check = rig_check(rig, THERE, ports, 16, 15000);
    rig_run(rig);
    assert_open(check);
    for (size_t i = 0; i < 16; i++)
        assert_int_equal(check->verdicts[i].proof, PROOF_SILENT);
    rig_free(rig);
}

static void a_deadline_ends_proofs_and_limits(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 40);
    assert_true(firewall(SYNS "limit rate over 4/second burst 5 packets drop"));
    struct rig *rig = rig_of_five_seconds();
    rig->token = &token;
    struct check *check = rig_check(rig, THERE, ports, 40, 6000);
    rig_run(rig);
    assert_open_or_limited(check, ETIMEDOUT);
    assert_true(count_state(check, PORT_STATE_OPEN) >= 8);
    for (size_t i = 0; i < 40; i++)
        assert_int_equal(check->verdicts[i].proof,
                         check->verdicts[i].state == PORT_STATE_OPEN ? PROOF_SILENT
                                                                     : PROOF_NONE);
    rig_free(rig);
}

/* An open port stays open when only its proof is late. */
static void a_deadline_settles_an_open_port_whose_proof_is_late(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 4);
    assert_true(firewall(""));
    struct rig *rig = rig_of_five_seconds();
    rig->token = &token;
    struct check *check = rig_check(rig, THERE, ports, 4, 700);
    rig_run(rig);
    assert_open(check);
    assert_in_range(rig_age_ms(rig, check->done_at), 700, 1499);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(check->verdicts[i].proof, PROOF_SILENT);
    rig_free(rig);
}

static void cancel_at_once(struct check *check)
{
    if (check->verdicts[check->last_index].state == PORT_STATE_OPEN)
        check_cancel(check);
}

static void one_of_them_may_cancel_the_job(void **state)
{
    (void)state;
    need_lab();
    open_ports(FIRST, 4);
    assert_true(firewall(""));
    struct rig *rig = rig_of_five_seconds();
    rig->token = &token;
    struct check *check = rig_check(rig, THERE, ports, 4, 700);
    check->on_settled = cancel_at_once;
    rig_run(rig);
    assert_false(check->is_done);
    assert_int_equal(check->settled, 1);
    rig_free(rig);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, lab_begin, lab_end)

int main(void)
{
    has_lab = lab_enter() && firewall("") && own_firewall("");
    const struct CMUnitTest tests[] = {
        TEST(a_settled_port_may_cancel_the_job_at_its_deadline),
        TEST(proofs_are_read_while_limited),
        TEST(a_deadline_ends_proofs_and_limits),
        TEST(a_deadline_settles_an_open_port_whose_proof_is_late),
        TEST(one_of_them_may_cancel_the_job),
    };
    return cmocka_run_group_tests_name("engine_limited_deadline", tests, NULL, NULL);
}
