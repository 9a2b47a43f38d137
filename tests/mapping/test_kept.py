# SPDX-License-Identifier: MIT
"""--map with --watch: mappings outlive their leases, the router's restarts and its moves."""
import pytest

from harness.homes import ALL, NATPMP, PCP, PROVIDER, SECOND_PUBLIC
from harness.waiting import eventually
from world import PORTS, good_of

FORWARDS = {port: (PROVIDER, port) for port in PORTS}


def last(running):
    return running.reports[-1]["families"][0]


@pytest.mark.parametrize("protocol", ALL)
@pytest.mark.parametrize("uptime", ["no", "yes"])
def test_a_router_that_restarts(world, protocol, uptime):
    """With system_uptime=yes, its epoch goes on, as that of no router that really restarted."""
    one = world(protocol, system_uptime=uptime)
    with one.mapped() as running:
        assert good_of(last(running)) == PORTS
        one.daemon.restart()
        eventually(lambda: one.daemon.forwards() == FORWARDS, "mapped anew", within=30)
        one.wait_proved()
        assert good_of(last(running)) == PORTS
        running.end()
    assert one.daemon.is_empty()


def test_pinholes_after_a_restart(world):
    one = world(PCP)
    with one.mapped(family=6) as running:
        one.daemon.restart()
        eventually(lambda: one.daemon.pinholes() == PORTS, "mapped anew", within=30)
        one.wait_proved()
        running.end()
    assert one.daemon.is_empty()


@pytest.mark.parametrize("protocol", [PCP, NATPMP])
def test_another_public_address(world, protocol):
    one = world(protocol)
    with one.mapped() as running:
        one.home.move()
        eventually(lambda: last(running)["ip"] == SECOND_PUBLIC
                   and good_of(last(running)) == PORTS, "the new address", within=30)
        running.end()


def renewals_of(daemon, seen):
    """The least often renewed port's renewals, as its lease file tells."""
    for line in daemon.leases():
        port, expires = int(line.split(":")[1]), line.split(":")[4]
        seen.setdefault(port, set()).add(expires)
    return min(map(len, seen.values())) - 1


def test_short_leases_are_renewed(world):
    """Leases of 60 seconds, over three renewals, by all protocols at the same time."""
    worlds = {protocol: world(protocol, max_lifetime=60) for protocol in ALL}
    running = {protocol: one.watch("--map") for protocol, one in worlds.items()}
    seen = {protocol: {} for protocol in ALL}
    for each in running.values():
        each.wait_reports(1, within=30)
    def renewed():
        for protocol, one in worlds.items():
            assert one.daemon.forwards() == FORWARDS, protocol
        return all([renewals_of(one.daemon, seen[protocol]) >= 3
                    for protocol, one in worlds.items()])
    eventually(renewed, "three renewals", within=80)
    for protocol, one in worlds.items():
        reports = running[protocol].reports
        assert len(reports) == 1 and good_of(reports[0]["families"][0]) == PORTS
        assert reports[0]["families"][0]["router"]["mapping"]["lease"] == 60
        running[protocol].end()
        assert one.daemon.is_empty()
