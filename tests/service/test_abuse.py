# SPDX-License-Identifier: MIT
"""A short form of `./dev attack policy-matrix syns-and-budgets`."""
import pytest

from attack import abuse

pytestmark = [pytest.mark.usefixtures("own_network", "namespaces"), pytest.mark.heavy]


def test_a_sample_of_the_policy_matrix():
    record = abuse.policy_matrix(part=61)

    assert record.holds, record


def test_syns_are_paid_for():
    # If the machine is busy, sockets close late, and the kernel repeats the SYN of each of the
    # four of a port once more.
    record = abuse.syns_and_budgets(seconds=4, syns_max=abuse.SYNS_MAX + 4)

    assert record.holds, record
