# SPDX-License-Identifier: MIT
"""Runs scenarios: brings the network into its state, asks the tools in turn, measures."""
import asyncio
import contextlib
import json
import pathlib
import signal
import threading
from collections import Counter

import topology as places
from faults import FAULTS
from measure import metrics, wrong_ports
from tools import Masscan, NmapCareful, NmapFast, PlainRule, Service
from topology import Topology

LANES = 6  # scenarios side by side, each in namespaces of its own
SEED = 20261122
PROGRAMS = {tool.name: tool for tool in (NmapFast, NmapCareful, PlainRule, Masscan)}
AT_A_TIME = {"nmap -T4": 8, "nmap careful": 8, "plain rule": 16, "masscan": 1}
ONE_ROUND = ("nmap careful", "plain rule")  # so slow that each has its turn in one round only

PLACES = {
    "dead-link": places.DEAD_LINK,
    "dead-host": places.DEAD_HOST,
    "dead-route": places.DEAD_ROUTE,
    "dead-gateway": places.DEAD_GATEWAY,
    "no-route": places.NO_ROUTE,
}

LOSS = """
table inet loss {{
    chain forward {{
        type filter hook forward priority 0;
        iifname "up0" tcp flags & (syn|ack) == syn numgen random mod 1000 < {share} drop
    }}
}}
"""

SYNPROXY = """
table inet proxy {{
    chain raw {{
        type filter hook prerouting priority raw;
        tcp dport {ports} tcp flags & (syn|ack) == syn notrack
    }}
    chain forward {{
        type filter hook forward priority 0;
        tcp dport {ports} ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm
        ct state invalid drop
    }}
}}
"""


class Missing(Exception):
    """Something that a scenario needs is not available here."""


class Run:
    """One scenario in one topology."""

    def __init__(self, topology, scenario, mode, binary, tools=None, scale=1.0):
        self.topology, self.scenario, self.binary = topology, scenario, binary
        self.rounds = scenario.rounds_of(mode)
        self.plan = {name: max(1, round(count * scale))
                     for name, count in scenario.plan(mode).items()
                     if not tools or name in tools}
        self.answers = {name: [] for name in self.plan}
        self.syns = {name: {} for name in self.plan}
        self.relay_counts = None
        self.unsent_icmp = 0
        self.failures = {}  # name of a tool -> why it was given up
        self.running = {}
        self.log = None

    async def measure(self):
        """name of a tool -> its figures."""
        with contextlib.ExitStack() as stack:
            self._network(stack)
            for index in range(self.rounds):
                await self._round(index)
            self.relay_counts = self.topology.stop_relay()
            self.unsent_icmp = self.topology.unsent_icmp()
        lost = self._lost()
        return {name: {**metrics(answers, self.syns[name]),
                       "examples": wrong_ports(answers, lost)}
                for name, answers in self.answers.items() if answers}

    def _lost(self):
        """(address, port) of a target -> its packets that the relay has dropped."""
        lost = Counter()
        if self.log:
            with open(self.log, encoding="ascii") as lines:
                for line in lines:
                    _, direction, _, source, source_port, to, to_port, _ = line.split()
                    lost[(to, to_port) if direction == "a" else (source, source_port)] += 1
        return lost

    # --- the network --------------------------------------------------------------------

    def _network(self, stack):
        topology, scenario = self.topology, self.scenario
        if scenario.path == "relay":
            if not topology.devices:
                raise Missing("no TUN devices")
            self.log = topology.folder / f"{scenario.name}.dropped"
            topology.start_relay([link.text() for link in scenario.links], SEED, self.log)
            stack.callback(topology.stop_relay)
        if scenario.syn_loss:
            topology.router.nft(LOSS.format(share=scenario.syn_loss))
            stack.callback(topology.router.nft, "delete table inet loss\n")
        if scenario.synproxy:
            topology.router.sysctl("net.netfilter.nf_conntrack_tcp_loose", 0)
            ports = places.port_range(places.KINDS["proxied"])
            topology.router.nft(SYNPROXY.format(ports=ports))
            stack.callback(topology.router.nft, "delete table inet proxy\n")
        if scenario.icmp_limits:
            topology.icmp_limits(True)
            stack.callback(topology.icmp_limits, False)
        for name, value in scenario.sysctls:
            stack.callback(topology.checker.sysctl, name, topology.checker.sysctl(name))
            topology.checker.sysctl(name, value)

        self.fault = FAULTS[scenario.fault](topology)

    def _open(self, name):
        limit = self.fault.descriptors
        if name == Service.name:
            return Service(self.topology, self.binary, dict(self.scenario.settings), limit)
        return PROGRAMS[name](self.topology, limit)

    # --- asking -------------------------------------------------------------------------

    async def _round(self, index):
        """Every tool in turn, with the same addresses; each round starts with another tool."""
        names = list(self.plan)
        names = names[index % len(names):] + names[:index % len(names)] if names else []
        share = {name: self._share(name, index) for name in names}
        addresses = self._addresses(max(share.values(), default=0))
        for name in names:
            if share[name] and name not in self.failures:
                try:
                    await self._batch(name, addresses[:share[name]])
                except Exception as error:  # the other tools go on
                    self.failures[name] = f"{type(error).__name__}: {error}"
                    if name in self.running:
                        self.running.pop(name).close()

    def _share(self, name, index):
        count, rounds = self.plan[name], self.rounds
        if name in ONE_ROUND:
            return count if index == ONE_ROUND.index(name) % rounds else 0
        return count // rounds + (index < count % rounds)

    def _addresses(self, count):
        scenario = self.scenario
        if scenario.place == "targets":
            return self.topology.fresh(scenario.path, scenario.family, count)
        pattern = PLACES[scenario.place]
        if scenario.place == "dead-route" and scenario.path == "relay":
            pattern = places.DEAD_ROUTE_RELAY
        start = self.topology.used.get(scenario.place, 130)
        self.topology.used[scenario.place] = start + count
        return places.numbered(pattern[scenario.family], start, count)

    async def _batch(self, name, addresses):
        ports = self.scenario.numbers()
        work = [(address, ports) for address in addresses for _ in range(self.scenario.repeat)]
        if name not in self.running:
            self.running[name] = self._open(name)
        tool = self.running[name]
        self.fault.enter()
        try:
            for seconds, order in self.scenario.orders:
                if seconds == 0:
                    self._order(tool, order)
            before = self.topology.syns()
            at_a_time = self.scenario.concurrency
            at_a_time = min(at_a_time, AT_A_TIME.get(name, at_a_time))
            with self._orders(tool):
                answers = await tool.batch(work, at_a_time)
            after = self.topology.syns()
        finally:
            self.fault.leave()
            if self.scenario.fault or self.scenario.settings:
                del self.running[name]
                tool.close()
        self.answers[name] += answers
        for kind, count in after.items():
            if count > before[kind]:
                self.syns[name][kind] = self.syns[name].get(kind, 0) + count - before[kind]

    def close(self):
        for tool in self.running.values():
            tool.close()
        self.running = {}

    @contextlib.contextmanager
    def _orders(self, tool):
        """Gives the later orders from separate threads: on a busy machine, the networks that other
        scenarios create can delay the loop for seconds."""
        timers = [threading.Timer(seconds, self._order, (tool, order))
                  for seconds, order in self.scenario.orders if seconds > 0]
        for timer in timers:
            timer.start()
        try:
            yield
        finally:
            for timer in timers:
                timer.cancel()
                timer.join()

    def _order(self, tool, order):
        if order in ("fill", "drain"):
            self.topology.order(order)
        elif order == "heal":
            self.fault.heal()
        elif order == "stop":
            tool.signal(signal.SIGSTOP)
        elif order == "continue":
            tool.signal(signal.SIGCONT)
        else:
            raise ValueError(order)


async def run_one(make_topology, scenario, mode, binary, **options):
    """The record of one scenario, ready for JSON. It contains failures: "failed" names
    the tool, or "network". A failure does not end the scenarios that follow."""
    record = {"name": scenario.name, "title": scenario.title, "tools": {}, "skipped": "",
              "failed": {}}
    try:
        with contextlib.ExitStack() as stack:
            topology = make_topology()
            stack.callback(topology.close)
            run = Run(topology, scenario, mode, binary, **options)
            stack.callback(run.close)
            record["tools"] = await run.measure()
            record["relay"], record["unsent_icmp"] = run.relay_counts, run.unsent_icmp
            record["failed"].update(run.failures)
    except Missing as missing:
        record["skipped"] = str(missing)
    except Exception as error:
        record["failed"]["network"] = f"{type(error).__name__}: {error}"
    record["goals"] = judge(scenario, record["tools"].get(Service.name))
    return record


def judge(scenario, figures):
    """One entry for each goal: holds, does not hold, or None if it was not measured."""
    rows = []
    for goal in scenario.goals:
        value = figures.get(goal.name) if figures else None
        holds = None if value is None else value <= goal.limit
        rows.append({"row": goal.row, "metric": goal.name, "limit": goal.limit,
                     "value": value, "holds": holds})
    return rows


class Laboratory:
    def __init__(self, mode, build, folder, say, **options):
        self.mode, self.say, self.options = mode, say, options
        build = pathlib.Path(build)
        self.binary, self.relay = build / "port-checker", build / "tests/lab_relay"
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def topology(self):
        return Topology(self.relay, self.folder)

    async def run(self, scenarios):
        """Runs those in which time matters alone, one after the other, and the rest side by side."""
        wanted = [s for s in scenarios if s.plan(self.mode)]
        records = {}
        lanes = asyncio.Semaphore(LANES)

        async def run(scenario):
            async with lanes:
                records[scenario.name] = await self._one(scenario)

        for scenario in wanted:
            if scenario.alone:
                await run(scenario)
        await asyncio.gather(*(run(s) for s in wanted if not s.alone))
        return [records[s.name] for s in wanted]

    async def _one(self, scenario):
        record = await run_one(self.topology, scenario, self.mode, self.binary, **self.options)
        (self.folder / f"{scenario.name}.json").write_text(json.dumps(record, indent=1))
        self.say(record)
        return record
