# SPDX-License-Identifier: MIT
"""--map with --watch: mappings outlive their leases."""
import collections

from harness.homes import NATPMP, PCP, UPNP
from harness.waiting import eventually
from world import PORTS, good_of

LEASE = 60


def leases_of_daemon(daemon):
    """{port: when its mapping ends}, as its lease file tells."""
    lines = [line.split(":") for line in daemon.leases()]
    return {int(fields[1]): int(fields[4]) for fields in lines}


def test_short_leases_are_renewed(world):
    """Over three renewals, by all protocols at the same time. miniupnpd does not limit those of
    UPnP. While it renews a mapping, it is missing for a moment."""
    worlds = {protocol: world(protocol, min_lifetime=LEASE - 1, max_lifetime=LEASE)
              for protocol in (PCP, NATPMP)}
    worlds[UPNP] = world()
    upnp = worlds[UPNP].start_upnp(lease_max=LEASE)
    running = {protocol: one.watch("--map") for protocol, one in worlds.items()}
    for each in running.values():
        each.wait_reports(1, within=30)
    seen = {protocol: collections.defaultdict(list) for protocol in worlds}
    seen[UPNP] = upnp.granted
    def are_renewed():
        for protocol in PCP, NATPMP:
            for port, ends in leases_of_daemon(worlds[protocol].daemon).items():
                if ends not in seen[protocol][port]:
                    seen[protocol][port].append(ends)
        return all(sorted(leases) == PORTS and all(len(times) > 3 for times in leases.values())
                   for leases in seen.values())
    eventually(are_renewed, "three renewals", within=80)
    for times in (times for leases in seen.values() for times in leases.values()):
        assert all(0 < after - before < LEASE for before, after in zip(times, times[1:])), seen
    for protocol, one in worlds.items():
        reports = running[protocol].reports
        assert len(reports) == 1 and good_of(reports[0]["families"][0]) == PORTS
        assert reports[0]["families"][0]["router"]["mapping"]["lease"] == LEASE
        one.wait_proved()
        running[protocol].end()
    assert worlds[PCP].daemon.is_empty() and worlds[NATPMP].daemon.is_empty()
    assert upnp.table == {}
