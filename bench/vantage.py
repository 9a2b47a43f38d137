# SPDX-License-Identifier: MIT
"""The part of the benchmarks with several places: a front and three vantage points behind one
nats-server with TLS and keys, and vantage points that several processes share."""
import contextlib
import datetime
import operator
import re
import statistics
import sys
import time

import stage
from report import Figure
from stage import Trouble

sys.path.insert(0, str(stage.HERE.parent / "tests"))
from harness import nats  # noqa: E402

PLACES = "eu-1", "us-1", "ap-1"
PROCESSES = 1, 2, 4
CLIENTS = 16
ONE_AT_A_TIME = 200
DOWN = 5  # seconds without nats-server
JOB = re.compile(r"event=job .*\bms=([\d.]+)\n")
CONNECTED = re.compile(r"time=(\S+) .*event=nats message=\"connected to ")
CHECK = re.compile(r"event=check .*\bms=([\d.]+)\n")


class Arrangement:
    """A nats-server, a front, and for each place so many processes; all have answered once."""

    def __init__(self, bench, places, stack):
        self.places = places
        self.server = server = nats.Nats()
        stack.callback(server.close)
        keys = {name: server.key(name, "--place", name) for name in places}
        keys["gw"] = server.key("gw", "--front", "gw")
        server.start()

        def service(key, **settings):
            settings.update({name: str(value) for name, value in
                             server.settings(keys[key]).items()}, PORT_CHECKER_WORKERS="1")
            one = stack.enter_context(bench.service(**settings))
            one.until(lambda: "connected to" in one.log.read_text(), "the connection to NATS")
            return one
        self.points = [service(name, PORT_CHECKER_VANTAGE=name, PORT_CHECKER_VANTAGE_TARGETS="any")
                       for name, count in places.items() for _ in range(count)]
        self.front = service("gw", PORT_CHECKER_FRONT="gw", PORT_CHECKER_VANTAGES=",".join(places))

    def answers(self):
        """{place: answers}; anything else spoils the figures."""
        counts = {}
        for name, value in self.front.metrics().items():
            found = re.fullmatch(r'place_answers_total{place="(.*)",result="(\w+)"}', name)
            if found and found.group(2) == "answered":
                counts[found.group(1)] = value
            elif found and value:
                raise Trouble(f"{found.group(1)} {found.group(2)} {value:g} jobs")
        return counts

    def load(self, seconds, first, count):
        """(checks, seconds, p50, p99 in ms), and that every place has answered all of them."""
        before = self.answers()
        found = stage.wrk_latency(self.front.port, "/check-ports", CLIENTS, seconds, stage.HOST,
                                  first, count)
        for name, value in self.answers().items():
            if value - before[name] < found[0]:
                raise Trouble(f"{name} answered {value - before[name]:g} of {found[0]} checks")
        return found

    def reconnect(self):
        """Kills nats-server, starts it again, and returns the seconds from that start until the last
        service was connected."""
        services = [self.front, *self.points]
        before = [len(CONNECTED.findall(one.log.read_text())) for one in services]
        self.server.kill()
        time.sleep(DOWN)
        begun = time.time()
        self.server.start()

        def connected(one, count):
            times = CONNECTED.findall(one.log.read_text())
            return times[count:] and datetime.datetime.fromisoformat(times[count][:-1] + "+00:00")
        ends = [one.until(lambda: connected(one, count), "the next connection to NATS")
                for one, count in zip(services, before)]
        return max(ends).timestamp() - begun

    def last_times(self, one, pattern, count):
        def told():
            times = pattern.findall(one.log.read_text())
            return times if len(times) >= count else None
        return [float(text) for text in one.until(told, "the log")[-ONE_AT_A_TIME:]]


def overheads(arrangement, asked, ports):
    """What a check took beyond the longest time of a place, in ms, for checks one at a time."""
    for _ in range(ONE_AT_A_TIME):
        arrangement.front.check(ports)
    count = asked + ONE_AT_A_TIME
    checks = arrangement.last_times(arrangement.front, CHECK, count)
    slowest = map(max, zip(*(arrangement.last_times(point, JOB, count)
                             for point in arrangement.points)))
    return list(map(operator.sub, checks, slowest))


def jobs_of(point):
    return len(JOB.findall(point.log.read_text()))


def cost_per_job(arrangement, seconds, first, count):
    """Processor microseconds of all processes of the place for a job."""
    spent = -sum(stage.processor_seconds(point.pid) for point in arrangement.points)
    checks = arrangement.load(seconds, first, count)[0]
    spent += sum(stage.processor_seconds(point.pid) for point in arrangement.points)
    if not all(map(jobs_of, arrangement.points)):
        raise Trouble("a process of the place got no job")
    return spent * 1e6 / checks


def several_places(bench, first):
    over, rate, p50, p99, alone_rate, alone_p99, gaps = [], [], [], [], [], [], []
    with contextlib.ExitStack() as stack:
        alone = stack.enter_context(bench.service(PORT_CHECKER_WORKERS="1"))
        three = Arrangement(bench, dict.fromkeys(PLACES, 1), stack)
        for _ in bench.each_round("three places"):
            asked = len(CHECK.findall(three.front.log.read_text()))
            over.append(statistics.median(overheads(three, asked, [first])))
            checks, took, half, late = three.load(bench.seconds, first, 1)
            rate.append(checks / took)
            p50.append(half)
            p99.append(late)
            checks, took, _, late = stage.wrk_latency(
                alone.port, "/check-ports", CLIENTS, bench.seconds, stage.HOST, first, 1)
            alone_rate.append(checks / took)
            alone_p99.append(late)
            gaps.append(three.reconnect())
    bench.row("front with 3 vantage points, check of 1 open port: time over the slowest place's own",
              Figure(over, "ms", 2), at_most=3)
    bench.row(f"- {CLIENTS} connections; a service alone", Figure(rate, "checks/s"),
              Figure(alone_rate, "checks/s"))
    bench.row("- its median", Figure(p50, "ms", 1))
    bench.row("- its p99; a service alone", Figure(p99, "ms", 1), Figure(alone_p99, "ms", 1))
    bench.row(f"nats-server killed for {DOWN} s: from its next start until all four are connected",
              Figure(gaps, "s", 2), at_most=1)


def shared_place(bench, first):
    costs = {count: [] for count in PROCESSES}
    with contextlib.ExitStack() as stack:
        made = {count: Arrangement(bench, {"eu-1": count}, stack) for count in PROCESSES}
        for _ in bench.each_round("processes of one name"):
            for count, arrangement in made.items():
                costs[count].append(cost_per_job(arrangement, bench.seconds, first, 101))
    base = Figure(costs[PROCESSES[0]], "µs/job")
    for count in PROCESSES[1:]:
        bench.row(f"vantage point of {count} processes, jobs of 101 open ports: their processor "
                  "time; 1 process", Figure(costs[count], "µs/job"), base, at_most=1.1)


def measure(bench, first):
    if not nats.program():
        raise Trouble("nats-server is missing; ./dev bench unpacks it")
    several_places(bench, first)
    shared_place(bench, first)
