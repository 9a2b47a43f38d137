# SPDX-License-Identifier: MIT
"""The firewall of contrib/ leaves the verdicts as they are; what a probe costs in conntrack."""
import pathlib

import pytest

from fronts import CONTRIB
from harness import network, targets

COUNT = pathlib.Path("/proc/sys/net/netfilter/nf_conntrack_count")
FAR, FAR6 = (net[1] for net in network.Machine.NETS)
PORTS = {"open": range(21000, 21050), "closed": range(22000, 22050),
         "filtered": range(20000, 20050)}


@pytest.fixture
def machine(addresses, later):
    machine = network.Machine()
    later.callback(machine.close)
    return machine


@pytest.fixture
def firewall(machine):
    file = CONTRIB / "nftables/port-checker.nft"
    network.command("nft", "-f", file)
    network.command("nft", "-f", file)  # once more, as after a change
    yield
    network.command("nft", "delete", "table", "inet", "port-checker")


@pytest.mark.parametrize("far", [FAR, FAR6])
def test_the_firewall_changes_no_verdict(firewall, machine, start, later, far):
    for port in (21000, 21001):
        later.enter_context(machine.call(targets.listener, far, port))
    there = network.Filter(machine)
    there.rule([20000], "drop")
    there.rule([23000], "reject with icmpx type admin-prohibited")
    service = start(PORT_CHECKER_HOST="::", PORT_CHECKER_TARGETS="any",
                    PORT_CHECKER_PORT=7466)
    assert service.verdicts(["21000-21001", 22000, 20000, 23000], far, host="127.0.0.1") == {
        21000: "open", 21001: "open", 22000: "closed", 20000: "filtered", 23000: "unreachable"}
    with machine:  # a client
        assert service.check([22000], far, host=network.Machine.NETS[0][0]).status == 200


# Entries for one port: docs/deploy.md has the arithmetic. A refusal removes its entry.
@pytest.mark.parametrize("state, each", [("open", 1), ("closed", 0), ("filtered", 4)])
def test_what_a_check_costs_in_conntrack(firewall, machine, start, later, state, each):
    ports = PORTS[state]
    if state == "open":
        for port in ports:
            later.enter_context(machine.call(targets.listener, FAR, port))
    network.Filter(machine).rule(PORTS["filtered"], "drop")
    service = start(PORT_CHECKER_TARGETS="any", PORT_CHECK_TIMEOUT=5)
    before = int(COUNT.read_text())
    verdicts = service.verdicts([f"{ports[0]}-{ports[-1]}"], FAR)
    entries = int(COUNT.read_text()) - before - 1  # without the connection that asked
    print(f"{state}: {entries} entries for {len(ports)} ports")
    assert set(verdicts.values()) == {state}
    assert entries == pytest.approx(each * len(ports), abs=2)


def test_the_sysctls_exist(firewall):
    lines = (CONTRIB / "sysctl/60-port-checker.conf").read_text().splitlines()
    names = [line.split(" = ")[0] for line in lines if " = " in line]
    assert len(names) == 2
    for name in names:
        assert (pathlib.Path("/proc/sys") / name.replace(".", "/")).exists(), name
