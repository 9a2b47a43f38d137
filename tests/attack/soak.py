#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""soak.py MINUTES: mixed load, badly behaved clients, reloads and network faults, all at once. What
the service holds must be afterwards what it held before. It prints a line a minute and a table at
the end, and writes it to docs/reliability.md. The exit status is 1 if something did not return, a
verdict was wrong, or a request failed without a network fault."""
import argparse
import collections
import contextlib
import dataclasses
import os
import pathlib
import random
import resource
import signal
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
if __name__ == "__main__":
    sys.path[0] = str(TOP / "tests")

from attack import soak_clients as clients  # noqa: E402
from attack.crowds import Crowd  # noqa: E402
from attack.page import machine, table, write_section  # noqa: E402
from harness import netns, network, targets  # noqa: E402
from harness.service import Service, kept, parse_line  # noqa: E402
from harness.tls import make_pair, tls_settings, trusting  # noqa: E402
from harness.waiting import eventually  # noqa: E402

SETTINGS = {"PORT_CHECKER_HOST": "0.0.0.0", "PORT_CHECKER_WORKERS": None,
            "PORT_CHECK_TIMEOUT": None}
SILENT = range(20000, 20006)
FAULT_SECONDS = 2
GRACE_SECONDS = 6  # after a fault: TCP waits up to 3 s before it repeats what was lost
CHILD_GROWTH, PARENT_GROWTH = 2 << 20, 256 << 10
BURST = 100  # requests at the end, whose counts must be exact

# What happens in a round, at these shares of it. A round takes a minute.
EVENTS = (("reload", 0.1), ("link", 0.3), ("loss", 0.5), ("half", 0.7), ("reload", 0.9))


# --- the log ------------------------------------------------------------------------------

class Log:
    """Counts the lines of a service's log as they are written."""

    def __init__(self, service):
        self.service = service
        self.offset, self.rest = 0, b""
        self.events = collections.Counter()
        self.checks = collections.Counter()  # by caller
        self.ready = None
        self.errors = []

    def read(self):
        descriptor = self.service.log.fileno()
        while data := os.pread(descriptor, 1 << 20, self.offset):
            self.offset += len(data)
            *lines, self.rest = (self.rest + data).split(b"\n")
            for line in lines:
                self.count(parse_line(line.decode()))

    def count(self, fields):
        if not fields:
            return
        self.events[fields["event"]] += 1
        if fields["level"] == "error":
            self.errors.append(fields)
        if fields["event"] == "ready":
            self.ready = fields
        if fields["event"] == "check":
            self.checks[fields["caller"]] += 1


# --- what a service holds -----------------------------------------------------------------

GAUGES = ("http_connections_open", "checks_running", "probes_in_flight", "ports_deferred")


@dataclasses.dataclass
class Holdings:
    child_bytes: int
    parent_bytes: int
    child_descriptors: int
    parent_descriptors: int
    gauges: dict

    def returned_to(self, before):
        """What did not return, as a list of sentences."""
        found = []
        if self.child_bytes > before.child_bytes + CHILD_GROWTH:
            found.append("memory of the serving process")
        if self.parent_bytes > before.parent_bytes + PARENT_GROWTH:
            found.append("memory of the main process")
        for name in "child_descriptors", "parent_descriptors", "gauges":
            if getattr(self, name) != getattr(before, name):
                found.append(name.replace("_", " "))
        return found


class Checker:
    """A service under soak."""

    def __init__(self, name, stack, context=None, **settings):
        self.name = name
        self.service = stack.enter_context(kept(Service({**SETTINGS, **settings})))
        self.service.wait_ready()
        self.service.context = context
        self.log = Log(self.service)

    def reload(self):
        self.log.read()
        count = self.log.events["ready"]
        self.service.signal(signal.SIGHUP)

        def is_ready():
            self.log.read()
            return self.log.events["ready"] > count
        eventually(is_ready, f"{self.name} is ready again", 30)
        self.service.pid = int(self.log.ready["pid"])

    def resident(self, pid):
        text = pathlib.Path(f"/proc/{pid}/statm").read_text()
        return int(text.split()[1]) * resource.getpagesize()

    def holds(self):
        """What it holds without clients. The connection that asks is included."""
        descriptors, child_bytes = self.service.at_rest()
        return Holdings(
            child_bytes, self.resident(self.service.process.pid),
            descriptors, self.service.descriptors_of_parent(),
            {name: int(self.service.metric(name)) for name in GAUGES})

    def settle(self, is_settled):
        """What it holds once that is settled, or after 20 s."""
        eventually(lambda: len(self.service.children()) == 1, "one child is left", 30)
        until = time.monotonic() + 20
        now = self.holds()
        while not is_settled(now) and time.monotonic() < until:
            time.sleep(0.2)
            now = self.holds()
        return now

    def settle_fresh(self):
        """A new serving process, after its predecessor's end."""
        self.reload()
        return self.settle(lambda now: True)

    def settle_warm(self, fresh):
        """The refused clients of a warm-up leave some time after the others."""
        return self.settle(lambda now: now.child_descriptors == fresh.child_descriptors)

    def settle_back(self, before):
        return self.settle(lambda now: not now.returned_to(before))

    def miscounted(self):
        """Sends BURST checks and as many other requests; returns what was not counted exactly."""
        names = [("port_checker_verdicts_total", "closed"),
                 ("port_checker_http_requests_total", "/health", "200"),
                 ("port_checker_http_requests_total", "/check-ports", "200"),
                 "port_checker_http_connections_accepted_total"]
        with contextlib.closing(targets.closed()) as closed:
            port = targets.port_of(closed)
            before = self.service.metrics()
            for _ in range(BURST):
                assert self.service.check([port]).status == 200
                assert self.service.get("/health").status == 200
            after = self.service.metrics()
        wanted = [BURST, BURST, BURST, 2 * BURST + 1]  # and the connection for the metrics
        return [f"{name}: {after[name] - before.get(name, 0):.0f}, not {count}"
                for name, count in zip(names, wanted)
                if after[name] - before.get(name, 0) != count]


# --- the network --------------------------------------------------------------------------

class Faults:
    """Faults of the cable to the other machine."""

    def __init__(self, world):
        self.world = world
        self.count = collections.Counter()

    def run(self, name):
        self.count[name] += 1
        self.world.window.open()
        getattr(self, name)()
        self.world.window.close(GRACE_SECONDS)

    def link(self):
        network.command("ip", "link", "set", network.Machine.NEAR, "down")
        time.sleep(FAULT_SECONDS)
        network.command("ip", "link", "set", network.Machine.NEAR, "up")

    def dropping(self, rule):
        near = network.Machine.NEAR
        network.command("nft", "-f", "-", text=f"""
table inet soak {{
  chain in {{ type filter hook input priority 0; iifname {near} {rule}; }}
  chain out {{ type filter hook output priority 0; oifname {near} {rule}; }}
}}
""")
        time.sleep(FAULT_SECONDS)
        network.command("nft", "delete", "table", "inet", "soak")

    def loss(self):
        """10% of the packets, each way."""
        self.dropping("numgen random mod 100 < 10 drop")

    def half(self):
        """All SYNs get lost, what is connected goes on."""
        self.dropping("tcp flags & (syn | ack) == syn drop")


class World:
    """Two services, another machine, targets on both, and the clients."""

    def __init__(self, stack):
        self.machine = stack.enter_context(contextlib.closing(network.Machine()))
        pair = make_pair(pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory())),
                         "own")
        self.checkers = [Checker("plain", stack),
                         Checker("tls", stack, trusting(pair[0]), **tls_settings(*pair))]
        self.window = clients.Window()
        silent = f"{SILENT[0]}-{SILENT[-1]}"
        for where in None, self.machine:
            packet_filter = stack.enter_context(contextlib.closing(network.Filter(where)))
            packet_filter.rule([silent], "drop")
        near, self.far, _ = network.Machine.NETS[0]
        self.here = "127.0.7.1"
        self.doors, self.local = self.doors_at(near), self.doors_at("127.0.0.1")

    def doors_at(self, address):
        return [clients.Door((address, checker.service.port), checker.service.context)
                for checker in self.checkers]

    def crowds(self, seed):
        return [
            Crowd(clients.polite, 1, self.doors, self.machine, self.far, SILENT, self.window),
            Crowd(clients.polite, 1, self.local, None, self.here, SILENT, None),
            Crowd(clients.rude, 2, self.local, SILENT, seed),
            Crowd(clients.slow, 1, self.local),
        ]

    def run(self, seconds, meanwhile, seed):
        """The counts of the clients: those far away, those here, the rude and the slow ones."""
        with contextlib.ExitStack() as stack:
            crowds = [stack.enter_context(crowd) for crowd in self.crowds(seed)]
            for crowd in crowds:
                crowd.wait_begun()
            meanwhile(seconds)
            return [crowd.end() for crowd in crowds]


# --- the run ------------------------------------------------------------------------------

def say(text):
    print(text, flush=True)


def minute_line(begun, checker):
    checker.log.read()
    metrics = checker.service.metrics()
    return (f"{time.monotonic() - begun:5.0f} s  {checker.name:5} "
            f"{checker.log.events['check']:,} checks logged, "
            f"{checker.log.events['ready'] - 1} reloads; connections "
            f"{metrics['port_checker_http_connections_open']:.0f}, checks "
            f"{metrics['port_checker_checks_running']:.0f}; "
            f"{checker.resident(checker.service.pid) / (1 << 20):.1f} and "
            f"{checker.resident(checker.service.process.pid) / (1 << 20):.1f} MB, "
            f"{checker.service.descriptors()} descriptors")


def eventful(world, faults, round_seconds, quiet_seconds):
    """A function that lets everything happen, the last `quiet_seconds` without reloads: the
    process that is judged at the end has lived through them."""
    def meanwhile(seconds):
        begun = time.monotonic()
        ending = begun + seconds
        timetable = sorted(
            (begun + round_seconds * (number + share), name)
            for number in range(int(seconds / round_seconds) + 1)
            for name, share in EVENTS)
        lines = [begun + 60 * n for n in range(1, int(seconds / 60) + 1)]
        for at, name in timetable + [(ending, "end")]:
            while (rest := min(at, ending) - time.monotonic()) > 0:
                time.sleep(min(rest, 1))
                if lines and time.monotonic() > lines[0]:
                    lines.pop(0)
                    for checker in world.checkers:
                        say(minute_line(begun, checker))
            if at >= ending:
                return
            if name == "reload":
                if at < ending - quiet_seconds:
                    for checker in world.checkers:
                        checker.reload()
            else:
                faults.run(name)
    return meanwhile


def add_up(world, counts, faults):
    """(name, text) of the rows of what happened, and a list of what is wrong."""
    far, here, rude, slow = counts
    bad = []
    for name in "wrong", "failed", "broken":
        total = sum(count[name] for count in counts)
        if total:
            bad.append(f"{total} {name}")
    logged = collections.Counter()
    lost = errors = 0
    for checker in world.checkers:
        checker.log.read()
        logged.update(checker.log.checks)
        lost += checker.service.metric("log_lines_lost_total", "dropped")
        errors += len(checker.log.errors)
        for fields in checker.log.errors[:3]:
            bad.append(f"error in the log: {fields}")
    if lost:
        bad.append(f"{lost:.0f} lines of the log were dropped")
    if logged[world.here] != here["checks"]:
        bad.append(f"{here['checks']} checks, {logged[world.here]} logged")
    # A check whose connection died in a fault may have been logged or not.
    most = far["checks"] + far["in a fault"]
    if not far["checks"] <= logged[world.far] <= most:
        bad.append(f"{far['checks']} to {most} checks, {logged[world.far]} logged")
    rows = [
        ("requests of healthy clients, from another machine and from here",
         f"{far['requests']:,}; {here['requests']:,}"),
        ("of those from another machine, failed during a network fault or in the "
         f"{GRACE_SECONDS} s after it", f"{far['in a fault']:,}"),
        ("failed without a fault; wrong verdicts",
         f"{far['failed'] + here['failed']}; "
         f"{far['wrong'] + here['wrong']}"),
        ("checks that they sent; that the log has",
         f"{far['checks'] + here['checks']:,}; "
         f"{logged[world.far] + logged[world.here]:,}"),
        ("connections of badly behaved clients; of slow ones",
         f"{rude['connections']:,}; {slow['connections']:,}"),
        ("reloads of each service; network faults",
         f"{world.checkers[0].log.events['ready'] - 2}; {sum(faults.count.values())}"),
    ]
    return rows, bad


def megabytes(count):
    return f"{count / (1 << 20):.1f} MB"


def holdings_rows(name, before, after):
    pairs = [(megabytes(held.child_bytes), megabytes(held.parent_bytes),
              str(held.child_descriptors), str(held.parent_descriptors),
              # without the connection that asks
              str(sum(held.gauges.values()) - 1)) for held in (before, after)]
    names = ("memory of the serving process", "memory of the main process",
             "descriptors of the serving process", "descriptors of the main process",
             "connections, checks, probes and deferred ports")
    return [(f"{name}: {what}", *both) for what, *both in zip(names, *pairs)]


def soak(seconds, round_seconds=60, warm_seconds=15, seed=0):
    """(the tables, what is wrong)."""
    with contextlib.ExitStack() as stack:
        world = World(stack)
        faults = Faults(world)
        fresh = [checker.settle_fresh() for checker in world.checkers]
        world.run(warm_seconds, time.sleep, seed)
        before = [checker.settle_warm(held) for checker, held in zip(world.checkers, fresh)]
        for checker in world.checkers:
            checker.log.read()
            checker.log.checks.clear()
        quiet = min(seconds / 4, 300)
        counts = world.run(seconds, eventful(world, faults, round_seconds, quiet), seed)
        after = [checker.settle_back(held) for checker, held in zip(world.checkers, before)]
        happened, bad = add_up(world, counts, faults)
        held = []
        for checker, first, last in zip(world.checkers, before, after):
            held += holdings_rows(checker.name, first, last)
            bad += [f"{checker.name}: {what} did not return" for what in last.returned_to(first)]
            bad += [f"{checker.name}: {what}" for what in checker.miscounted()]
        text = (table(("what happened", "count"), happened) + "\n\n"
                + table(("what a service holds", "at the start", "at the end"), held))
    return text, bad


def parse_arguments():
    parser = argparse.ArgumentParser(prog="./dev soak", description=__doc__.split(": ")[1])
    parser.add_argument("minutes", metavar="MINUTES", type=float)
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(1 << 32)),
                        help="repeats what the rude clients did, as far as timing allows")
    return parser.parse_args()


EXPLANATION = f"""
Polite clients on two machines send every kind of request to one service over HTTP and to one over
TLS, and judge each answer. Beside them are rude and slow clients, reloads, and faults of the link:
{FAULT_SECONDS} s without a connection, with 10% loss each way, and without SYNs. Afterwards {BURST}
checks and {BURST} other requests must be counted exactly.
""".strip().replace("\n", " ")


def main():
    arguments = parse_arguments()
    if not 0 < arguments.minutes <= 24 * 60:
        print("soak: MINUTES is a number up to 1440", file=sys.stderr)
        return 2
    reason = netns.why_not()
    if reason:
        print(f"soak: {reason}", file=sys.stderr)
        return 2
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    say(f"seed {arguments.seed}")
    text, bad = soak(arguments.minutes * 60, seed=arguments.seed)
    say(text)
    for one in bad:
        say(f"FAILS  {one}")
    date = time.strftime("%Y-%m-%d, %H:%M UTC", time.gmtime())
    write_section("Soak", f"""\
`./dev soak {arguments.minutes:g}`, {date}: {machine()}. {EXPLANATION}
{"All that the services hold returned to what it was." if not bad else "**" + "; ".join(bad) + "**"}

{text}
""")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
