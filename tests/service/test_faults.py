# SPDX-License-Identifier: MIT
"""The short forms of the attacks in attack/: faults of the machine. `./dev attack` runs the long
ones, and has limits of time for a machine that does nothing else. Here they are less than
what a request would take that waits for the end of the fault."""
import pytest

from attack import allocations, faults, processes

# A sanitizer has its own allocator, and needs more memory and time.
heavy = pytest.mark.heavy


def holds(record):
    assert record.holds, record.figure


@heavy
@pytest.mark.parametrize("name", ["health", "check", "stream"])
def test_each_allocation_fails_in_turn(name):
    holds(allocations.allocations(names=[name], is_fresh=[False]))


@heavy
def test_each_allocation_of_a_new_service_fails_in_turn():
    holds(allocations.allocations(names=["check"], is_fresh=[True]))


@heavy
def test_allocations_fail_under_load():
    holds(allocations.allocations_under_load(seconds=2, clients=3))


@heavy
def test_allocations_fail_over_tls():
    holds(allocations.allocations_over_tls(step=5))


@heavy
def test_some_allocations_of_a_start_fail():
    holds(allocations.allocations_at_start(step=17))


def test_no_descriptor_is_left_in_the_middle_of_checks():
    holds(faults.no_descriptors(seconds=1.5, p99_ms=1000))


@heavy
def test_no_memory_is_left():
    holds(faults.no_memory(seconds=2, clients=20))


def test_no_source_port_is_left_in_the_middle_of_checks(own_network):
    holds(faults.no_source_ports(seconds=1.5, count=40, p99_ms=1000))


@pytest.mark.parametrize("attack", [faults.stderr_closed, faults.stderr_blocked])
def test_the_log_goes_nowhere(attack):
    holds(attack(seconds=1, clients=2))


def test_the_disk_below_the_log_is_full(own_network):
    holds(faults.disk_full(seconds=1, clients=2))


@heavy
def test_all_targets_are_tarpits(own_network):
    holds(faults.tarpits(seconds=3, clients=10, ports=50, p99_ms=1500))


def test_half_of_the_network_goes(own_network):
    holds(faults.network_gone(rounds=1, seconds=2))


def test_the_serving_process_is_stopped(own_network):
    holds(processes.stop_child(rounds=1, seconds=5, shorts=3))


def test_the_main_process_is_stopped():
    holds(processes.stop_parent(seconds=1))


@heavy
def test_the_clock_steps(own_network):
    holds(processes.clock_steps(steps=(86400, -86400), timeout=1))


@heavy
@pytest.mark.parametrize("attack", [processes.kill_child, processes.kill_parent])
def test_a_supervisor_restarts_it(attack):
    holds(attack(rounds=2))
