# SPDX-License-Identifier: MIT
"""--map with --watch: mappings outlive their leases."""
import contextlib

from harness.homes import NATPMP, PCP, UPNP, Grants
from harness.waiting import eventually
from world import PORTS, good_of

LEASE = 24  # seconds: a renewal at half of it may be late on a busy machine


def test_short_leases_are_renewed(world, later):
    """Over three renewals, by all protocols at the same time. The routers are played, because
    miniupnpd grants two minutes at least."""
    worlds = {protocol: world() for protocol in (PCP, NATPMP, UPNP)}
    gateways = [worlds[protocol].start_gateway(protocols=(protocol,), lease_max=LEASE)
                for protocol in (PCP, NATPMP)]
    upnp = worlds[UPNP].start_upnp(lease_max=LEASE)
    granted = {UPNP: upnp.granted}
    for protocol in PCP, NATPMP:
        grants = later.enter_context(contextlib.closing(Grants(worlds[protocol].home)))
        granted[protocol] = grants.times
    running = {protocol: one.watch("--map") for protocol, one in worlds.items()}
    for each in running.values():
        each.wait_reports(1, within=30)
    def are_renewed():
        return all(len(times.get(port, ())) > 3 for times in granted.values() for port in PORTS)
    eventually(are_renewed, "three renewals", within=100)
    for each in granted.values():
        for times in each.values():
            assert all(after - before < LEASE for before, after in zip(times, times[1:])), granted
    for protocol, one in worlds.items():
        reports = running[protocol].reports
        assert len(reports) == 1 and good_of(reports[0]["families"][0]) == PORTS
        assert reports[0]["families"][0]["router"]["mapping"]["lease"] == LEASE
        one.wait_proved()
        running[protocol].end()
    assert [router.table for router in (*gateways, upnp)] == [{}, {}, {}]
