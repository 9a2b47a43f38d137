# SPDX-License-Identifier: MIT
"""Whether the laboratory can be trusted: the relay follows its settings and records what it
drops, a failure does not affect the rest, and nothing outside the namespaces is touched."""
import asyncio
import os
import pathlib
import socket
import struct
import time

import pytest

import runner
from harness.waiting import eventually
from measure import metrics, percentile
from ports import KINDS
from scenarios import Link, Scenario
from tools import Answer, Masscan, Program
from topology import Topology

RELAY = pathlib.Path(os.environ.get("BUILD_DIR", "build")).resolve() / "tests/lab_relay"
COUNT = 4000


@pytest.fixture
def lab(namespaces, tmp_path):
    topology = Topology(RELAY, tmp_path)
    yield topology
    topology.close()


class Packets:
    """Numbered datagrams from the checker to a target, over the relay."""

    def __init__(self, lab, link):
        if not lab.devices:
            pytest.skip("no TUN devices")
        self.lab, self.log = lab, lab.folder / "dropped"
        lab.start_relay([link.text(), Link().text()], 7, self.log)
        self.sender = lab.checker.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.receiver = lab.target.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.receiver.bind(("10.77.0.1", 7))

    def send(self, count, pause=0.0):
        """(number, seconds on the way) of those that arrive, in the order of arrival."""
        arrived = []
        self.receiver.setblocking(False)
        for number in range(count):
            self.sender.sendto(struct.pack("=Id", number, time.monotonic()), ("10.77.0.1", 7))
            if pause:
                time.sleep(pause)
            self._read(arrived)
        self.receiver.settimeout(0.5)
        self._read(arrived)
        return arrived

    def _read(self, arrived):
        try:
            while True:
                number, sent = struct.unpack("=Id", self.receiver.recv(64))
                arrived.append((number, time.monotonic() - sent))
        except (BlockingIOError, TimeoutError):
            pass

    def end(self):
        """The relay's counts of this direction, and its log's lines of it."""
        counts = self.lab.stop_relay()["a"]
        self.sender.close()
        self.receiver.close()
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return counts, [line for line in lines if line[1] == "a"]


def test_relay_logs_exactly_what_it_drops(lab):
    packets = Packets(lab, Link(lost=100000))
    arrived = packets.send(COUNT)
    counts, lines = packets.end()
    assert len(arrived) + len(lines) == COUNT
    assert counts == {"passed": len(arrived), "dropped": len(lines), "passed_syns": 0,
                      "dropped_syns": 0}
    assert 0.08 * COUNT < COUNT - len(arrived) < 0.12 * COUNT
    assert {line[2] for line in lines} == {"loss"}


def test_relay_delays_in_order(lab):
    packets = Packets(lab, Link(delay_us=50000, jitter_us=20000))
    arrived = packets.send(500, pause=0.001)
    packets.end()
    assert [number for number, _ in arrived] == list(range(500))
    assert min(seconds for _, seconds in arrived) >= 0.030
    # Later than twice the delay, half of them came late because this machine is busy.
    assert 0.045 < percentile([seconds for _, seconds in arrived], 0.5) < 0.100


def test_relay_reorders(lab):
    packets = Packets(lab, Link(delay_us=20000, reordered=50000))
    numbers = [number for number, _ in packets.send(500, pause=0.001)]
    packets.end()
    assert sorted(numbers) == list(range(500)) != numbers


def test_relay_loses_in_bursts(lab):
    packets = Packets(lab, Link(good_ms=100, bad_ms=50, bad_lost=1000000))
    numbers = {number for number, _ in packets.send(1500, pause=0.0005)}
    _, lines = packets.end()
    lost = [number for number in range(1500) if number not in numbers]
    together = sum(number + 1 in set(lost) for number in lost)
    assert {line[2] for line in lines} == {"burst"}
    assert len(lost) == len(lines)
    assert together > 0.8 * len(lost) > 0


def test_relay_drops_the_same_for_the_same_seed(lab):
    seen = []
    for _ in range(2):
        packets = Packets(lab, Link(lost=300000))
        seen.append([number for number, _ in packets.send(300)])
        packets.end()
    assert seen[0] == seen[1] and len(seen[0]) < 300


def test_nothing_outside_is_touched(namespaces, tmp_path):
    before = pathlib.Path("/proc/net/dev").read_text().count("\n"), os.listdir("/proc/self/fd")
    topology = Topology(RELAY, tmp_path)
    during = pathlib.Path("/proc/net/dev").read_text().count("\n")
    topology.close()
    after = pathlib.Path("/proc/net/dev").read_text().count("\n"), os.listdir("/proc/self/fd")
    assert before[0] == during == after[0]
    assert len(before[1]) == len(after[1])


class Breaks(Program):
    async def batch(self, work, concurrency):
        raise OSError("broken")


class Speechless(Program):
    name = "speechless"

    def words(self, address, ports):
        return ["sh", "-c", "echo no idea >&2; exit 3"]


class Hangs(Speechless):
    patience = 0.2

    def words(self, address, ports):
        return ["sleep", "20"]


def run_scenario(make_topology, **tools):
    scenario = Scenario("trial", "trial", ports=(("accepting", 2), ("closed", 1)),
                        full=tuple((name, 2) for name in tools))
    before = dict(runner.PROGRAMS)
    runner.PROGRAMS.update(tools)
    try:
        return asyncio.run(runner.run_one(make_topology, scenario, "full", "no service"))
    finally:
        runner.PROGRAMS.clear()
        runner.PROGRAMS.update(before)


def test_a_tool_that_fails_leaves_the_others(namespaces, tmp_path):
    record = run_scenario(lambda: Topology(RELAY, tmp_path), breaks=Breaks,
                          speechless=Speechless, hangs=Hangs,
                          **{"plain rule": runner.PlainRule})
    assert record["failed"] == {"breaks": "OSError: broken"}
    assert record["tools"]["plain rule"]["right"] == 6
    assert record["tools"]["plain rule"]["syns_open"] == 1
    assert record["tools"]["speechless"]["unjudged"] == 6
    assert record["tools"]["speechless"]["troubles"] == {"no idea": 2}
    assert record["tools"]["hangs"]["troubles"] == {"no answer within 0 s": 2}


def test_a_network_that_fails_is_written_down():
    def fails():
        raise RuntimeError("no such device")

    record = run_scenario(fails)
    assert record["failed"] == {"network": "RuntimeError: no such device"}


def test_unsent_icmp_errors_are_known(lab):
    assert lab.unsent_icmp() == 0
    sender = lab.checker.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for _ in range(300):  # all wait for one neighbour, and are given up in one moment
        sender.sendto(b"?", ("10.2.0.99", 9))
    unsent = eventually(lab.unsent_icmp, "errors that could not be sent")
    sender.close()
    assert unsent < 300


MASSCAN_SAID = """#masscan
open tcp 10000 10.66.0.1 1795375455
closed tcp 11000 10.66.0.1 1795375455
"""


@pytest.mark.parametrize(("said", "states"), [
    (MASSCAN_SAID + "# end\n", ["open", "closed", "filtered"]),
    ("", ["filtered", "filtered", "filtered"]),
    (MASSCAN_SAID, None),
], ids=["answers", "silence", "cut off"])
def test_masscan_is_read(said, states):
    ports = [KINDS[kind].first for kind in ("accepting", "closed", "dropped")]
    masscan = object.__new__(Masscan)
    if states is None:
        with pytest.raises(ValueError):
            masscan.read(said, ports)
    else:
        assert [masscan.read(said, ports)[port][0] for port in ports] == states


def test_figures_of_verdicts():
    answers = [Answer("tool", "10.66.0.1", {10000: ("open", 5.0), 10001: ("filtered", 900.0),
                                            11000: ("closed", 7.0), 12000: ("open", 1.0),
                                            12001: ("no verdict", None)}, seconds=1.5)]
    figures = metrics(answers, {"accepting": 3, "dropped": 8})
    assert (figures["right"], figures["wrong"], figures["unjudged"]) == (2, 2, 1)
    assert (figures["false_negatives"], figures["false_positives"]) == (1, 1)
    assert (figures["missed"], figures["not_right"]) == (1, 3)
    assert (figures["open_t50"], figures["open_t95"]) == (0.005, 0.9)
    assert (figures["syns_open"], figures["syns_filtered"]) == (1.5, 4.0)
    assert figures["whole_t95"] == 1.5
