# SPDX-License-Identifier: MIT
"""--map with --watch: mappings outlive their leases."""
from harness.homes import ALL, PROVIDER
from harness.waiting import eventually
from world import PORTS, good_of

FORWARDS = {port: (PROVIDER, port) for port in PORTS}


def renewals_of(daemon, seen):
    """The least often renewed port's renewals, as its lease file tells."""
    for line in daemon.leases():
        port, expires = int(line.split(":")[1]), line.split(":")[4]
        seen.setdefault(port, set()).add(expires)
    return min(map(len, seen.values())) - 1


def test_short_leases_are_renewed(world):
    """Leases of 60 seconds, over three renewals, by all protocols at the same time."""
    worlds = {protocol: world(protocol, min_lifetime=59, max_lifetime=60) for protocol in ALL}
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
