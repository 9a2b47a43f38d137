#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""field.py [ROW...] [--runs N] [--tools NAME,...]: the verdicts in the situations of the field.

    control -ctl0- checker -TUN- lab_field_host

Every run of a row asks about an address of its own, whose limits, bans and outages begin
with its first SYN, so that the runs of a row do not disturb each other.
"""
import argparse
import asyncio
import contextlib
import ipaddress
import json
import math
import os
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.append(str(TOP / "tests"))

from field_rows import table  # noqa: E402
from harness import netns  # noqa: E402
from harness.netns import Namespace  # noqa: E402
from ports import OPEN  # noqa: E402
from tools import Masscan, Nmap, NmapFast, Program, Service, gather  # noqa: E402
from topology import CHECKER_CONTROL  # noqa: E402

LANES = 8  # rows side by side, each in namespaces of its own
ICMPV6 = {"3/1": "1/3", "3/3": "1/4", "3/13": "1/1"}
ADDRESS = {4: "10.66.%d.%d", 6: "fd66::%x:%x"}


class NmapConnect(Nmap):
    name = "nmap -sT"


class FieldMasscan(Masscan):
    """Here a datagram that leaves through the device wakes it."""

    def __init__(self, field, descriptors=None):
        Program.__init__(self, field, descriptors)
        self.mac = "02-00-00-00-00-01"  # unused: a TUN device has no frames
        self.waker = field.checker.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def close(self):
        self.waker.close()

    async def _wake(self, own):
        while True:
            await asyncio.sleep(0.1)
            self.waker.sendto(b"wake", (ADDRESS[4] % (0, 1), 9))


PROGRAMS = {tool.name: tool for tool in (NmapConnect, NmapFast, FieldMasscan)}
AT_ONCE = {FieldMasscan.name: 1}  # see Masscan


class Field:
    """The network of one row, and its hosts, until close()."""

    def __init__(self, binary, words, seed=1):
        self.spaces = [Namespace(name) for name in ("control", "checker")]
        self.control, self.checker = self.spaces
        self.device, self.process = None, None
        try:
            self._cables()
            self.process = subprocess.Popen(
                [binary, str(self.device), f"seed={seed}", *words], pass_fds=(self.device,),
                stdout=subprocess.PIPE, text=True)
            if self.process.stdout.readline() != "ready\n":
                raise RuntimeError(f"lab_field_host did not start: {' '.join(words)}")
        except BaseException:
            self.close()
            raise

    def _cables(self):
        for space in self.spaces:
            space.ip("link set lo up\n")
            for name in ("all", "default"):
                space.sysctl(f"net.ipv4.conf.{name}.rp_filter", 0)
            space.sysctl("net.ipv6.conf.default.accept_ra", 0)
        self.control.ip(f"link add ctl0 type veth peer name ctl0 netns {self.checker.path}\n"
                        "link set ctl0 up\naddress add 10.9.0.2/24 dev ctl0\n")
        self.device = self.checker.tun("field0")
        self.checker.ip("link set ctl0 up\n"
                        f"address add {CHECKER_CONTROL}/24 dev ctl0\n"
                        "link set field0 txqueuelen 20000\nlink set field0 up\n"
                        "address add 10.3.0.1/32 dev field0\n"
                        "address add fd03::1/128 dev field0 nodad\n"
                        "route add 10.66.0.0/16 dev field0\n"
                        "route add fd66::/64 dev field0\n")

    def way_to(self, address):
        """The checker's route: "dev", "prefsrc" and more."""
        return json.loads(self.checker.run("ip", "-json", "route", "get", address))[0]

    def end(self):
        """address -> what its host has seen and done. The hosts are gone then."""
        self.process.send_signal(signal.SIGTERM)
        text = self.process.communicate(timeout=10)[0]
        if self.process.returncode != 0:
            raise RuntimeError(f"lab_field_host ended with {self.process.returncode}")
        return json.loads(text)

    def close(self):
        if self.process:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
            self.process.stdout.close()
        if self.device is not None:
            os.close(self.device)
        for space in self.spaces:
            space.close()
        self.process = self.device = None
        self.spaces = []


@dataclass
class Result:
    """All runs of one row by one tool."""

    row: object
    tool: str
    answers: list
    hosts: list  # of each answer, what its host has seen

    def states(self):
        """true state -> state that was said -> how many."""
        counts = defaultdict(Counter)
        for answer in self.answers:
            for port, (state, _) in answer.ports.items():
                counts[self.row.truth_of(port)][state] += 1
        return counts

    def wrong_of(self, answer):
        wrong = sum(not self.row.accepts(port, state)
                    for port, (state, _) in answer.ports.items())
        return max(0, wrong - self.row.wrong_per_run)

    def wrong(self):
        return sum(self.wrong_of(answer) for answer in self.answers)

    def opens(self, answer):
        return sum(state == OPEN and self.row.truth_of(port) == OPEN
                   for port, (state, _) in answer.ports.items())

    def seconds(self):
        return [answer.seconds for answer in self.answers]

    def syns(self):
        return [host.get("syns", 0) for host in self.hosts]

    def rates(self):
        return [host.get("highest_rate", 0) for host in self.hosts]

    def failures(self, slack=0):
        """The expectations that do not hold. `slack`: seconds allowed beyond the row's."""
        row, runs = self.row, len(self.answers)
        if self.wrong() > row.wrong:
            yield f"{self.wrong()} wrong, at most {row.wrong}"
        enough = sum(self.opens(answer) >= row.opens for answer in self.answers)
        if enough < math.floor(row.share * runs):
            fewest = min(map(self.opens, self.answers))
            yield (f"at least {row.opens} open in {enough} of {runs} runs only, "
                   f"in the worst {fewest}")
        if row.seconds and max(self.seconds()) > row.seconds + slack:
            yield f"{max(self.seconds()):.2f} s, at most {row.seconds}"
        if row.syns and max(self.syns()) > row.syns:
            yield f"{max(self.syns())} SYNs, at most {row.syns}"
        for trouble, count in Counter(a.trouble for a in self.answers if a.trouble).items():
            yield f"{count} x {trouble}"

    def print(self):
        runs = len(self.answers)
        said = "; ".join(
            f"{truth}: " + ", ".join(f"{count / runs:.4g} {state}"
                                     for state, count in counts.most_common())
            for truth, counts in self.states().items())
        median_seconds, median_syns = map(statistics.median, (self.seconds(), self.syns()))
        failures = "; ".join(self.failures())
        print(f"{self.row.name:18} {self.tool:12} {runs:3} runs | {said} | "
              f"wrong {self.wrong()} | "
              f"{median_seconds:.2f} s, at most {max(self.seconds()):.2f} s | "
              f"{median_syns:.0f} SYNs, at most {max(self.syns())}, {max(self.rates())}/s | "
              + (f"FAILS: {failures}" if failures else "holds"), flush=True)


def words_of(row, family):
    """What lab_field_host is told; over IPv6 with the ICMPv6 errors that mean the same."""
    words = list(row.words())
    if family == 6:
        words = [re.sub(r"\b3/\d+", lambda found: ICMPV6[found.group()], word)
                 for word in words]
    return words


async def run_row(row, build, tool=Service.name, runs=None, seed=1, family=4, at_once=None):
    """Asks one tool `runs` times about hosts of this row."""
    runs = runs or row.runs
    addresses = [str(ipaddress.ip_address(ADDRESS[family] % (i // 250, i % 250 + 1)))
                 for i in (runs * [0] if row.is_one_host else range(runs))]
    with contextlib.ExitStack() as stack:
        field = Field(build / "tests/lab_field_host", words_of(row, family), seed)
        stack.callback(field.close)
        for name, value in row.sysctls:
            field.checker.sysctl(name, value)
        if row.nft:
            field.checker.nft(row.nft)
        asker = (Service(field, build / "port-checker", dict(row.settings))
                 if tool == Service.name else PROGRAMS[tool](field))
        stack.callback(asker.close)
        answers = await gather(asker.ask, [(address, list(row.ports)) for address in addresses],
                               at_once or AT_ONCE.get(tool, row.at_once))
        hosts = field.end()
    return Result(row, tool, answers, [hosts.get(address, {}) for address in addresses])


async def run_rows(rows, build, lanes=LANES, quick=False, **options):
    """name of a row -> its result; many rows at a time, as they mostly wait."""
    free = asyncio.Semaphore(lanes)
    results = {}

    async def one(row):
        async with free:
            count = {"runs": row.quick} if quick else {}
            results[row.name] = await run_row(row, build, **{**count, **options})
            results[row.name].print()

    await asyncio.gather(*map(one, rows))
    return results


def parse_arguments():
    parser = argparse.ArgumentParser(prog="./dev lab field", description=__doc__.split(": ")[1])
    parser.add_argument("rows", nargs="*", metavar="ROW", help="their names, or the beginning of a name and *")
    parser.add_argument("--runs", type=int, help="instead of each row's own number")
    parser.add_argument("--quick", action="store_true", help="what ./dev test lab runs")
    parser.add_argument("--at-once", type=int, help="runs of a row side by side")
    parser.add_argument("--tools", default=Service.name,
                        help=f"of {', '.join((Service.name, *PROGRAMS))}, with commas between")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ipv6", action="store_true")
    parser.add_argument("--lanes", type=int, default=LANES, help="rows side by side")
    parser.add_argument("--list", action="store_true", help="list the rows and end")
    return parser.parse_args()


def chosen(rows, names):
    """Those with one of these names, which a "*" at the end shortens; all without names."""
    def fits(row, name):
        return row.name.startswith(name[:-1]) if name.endswith("*") else row.name == name

    for name in names:
        if not any(fits(row, name) for row in rows):
            sys.exit(f"field: no row is named {name} (--list names them)")
    return [row for row in rows if not names or any(fits(row, name) for name in names)]


def main():
    arguments = parse_arguments()
    rows = chosen(table(), arguments.rows)
    if arguments.quick:
        rows = [row for row in rows if row.quick]
    if arguments.list:
        for row in rows:
            print(f"{row.name:18} {row.title}")
        return 0
    reason = netns.why_not()
    if reason:
        print(f"field: skipped: {reason}", file=sys.stderr)
        return 0
    build = pathlib.Path(os.environ.get("BUILD_DIR", TOP / "build")).resolve()
    start, failed = time.monotonic(), 0
    for tool in arguments.tools.split(","):
        results = asyncio.run(run_rows(
            rows, build, lanes=arguments.lanes, quick=arguments.quick, tool=tool,
            seed=arguments.seed, family=6 if arguments.ipv6 else 4, at_once=arguments.at_once,
            **({"runs": arguments.runs} if arguments.runs else {})))
        failed += sum(any(result.failures()) for result in results.values())
    print(f"{len(rows)} rows in {time.monotonic() - start:.0f} s, {failed} fail")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
