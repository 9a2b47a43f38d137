# SPDX-License-Identifier: MIT
"""Callers that take all sockets: each has a thousand ports checked that stay silent. Newcomers with
one open port must hardly notice.

run() needs root and a network namespace of its own in which only loopback is up; the callers are on
another machine behind a cable (veth), each with an address of its own. From the repository's root:

    BUILD_DIR=build unshare -n --pid --fork --kill-child --mount-proc \
        sh -c 'ip link set lo up; python3 tests/attack/fair_sockets.py'
"""
import collections
import contextlib
import json
import pathlib
import resource
import select
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import network, targets  # noqa: E402
from harness.http import Connection, check_body  # noqa: E402
from harness.service import Service, kept  # noqa: E402

CALLERS = 56
PORTS = range(20000, 21024)
IDLE_SECONDS = 4
PAUSE = 0.02
SECONDS = 25  # the longest that any check takes
JSON = ("Content-Type", "application/json")

# As it is delivered, except for the place where it listens and whom it serves.
SETTINGS = {
    "PORT_CHECKER_HOST": network.Machine.NETS[0][0],
    "PORT_CHECKER_TARGETS": "caller",
    "PORT_CHECKER_WORKERS": None,
    "PORT_CHECK_TIMEOUT": None,
    "PORT_CHECKER_RATE": None,
}


class Callers:
    """A machine with the addresses 10.66.0.0/16, on which every address has one open port; PORTS are
    silent."""

    def __init__(self):
        self.machine = network.Machine()
        self.machine.run("ip", "address", "add", "10.66.0.1/16", "dev", "lo")
        network.command("ip", "route", "add", "10.66.0.0/16",
                        "via", network.Machine.NETS[0][1])
        network.Filter(self.machine).rule([f"{PORTS[0]}-{PORTS[-1]}"], "drop")
        self.listener = self.machine.call(targets.listener, "0.0.0.0")
        self.count = 0

    def new(self):
        self.count += 1
        return f"10.66.{self.count // 250 + 1}.{self.count % 250 + 1}"

    def ask(self, service, ports):
        """A client that has requested a check of its own address, which no one had before."""
        source = self.new()
        with self.machine:
            client = Connection(service.address, source=source, timeout=60)
        client.request("POST", "/check-ports", [JSON],
                       check_body(list(ports), source, details=True))
        return client

    def ask_one(self, service):
        """A newcomer that has one port checked, which is open."""
        return self.ask(service, [targets.port_of(self.listener)])

    def close(self):
        self.listener.close()
        self.machine.close()


def percentile(values, percent):
    values = sorted(values)
    return values[min(len(values) - 1, len(values) * percent // 100)]


def newcomers(service, callers, may_go_on):
    """Milliseconds of the checks of newcomers. One comes every PAUSE seconds, whether or not those
    before it have been answered."""
    waiting, times = [], []
    while waiting or may_go_on():
        begun = time.monotonic()
        if may_go_on():
            waiting.append((begun, callers.ask_one(service)))
        while (rest := begun + PAUSE - time.monotonic()) > 0:
            sockets = [client.socket for _, client in waiting]
            answered, _, _ = select.select(sockets, [], [], rest)
            for since, client in [one for one in waiting if one[1].socket in answered]:
                times.append((time.monotonic() - since) * 1000)
                waiting.remove((since, client))
                with client:
                    reply = client.reply()
                assert reply.status == 200 and reply.json()["success"], reply
    return times


def attack(service, callers, count=CALLERS, ports=PORTS, seconds=SECONDS):
    """(milliseconds of each newcomer's check, {status: replies to the attackers}), until the seconds
    have passed or all attackers have their reply."""
    with contextlib.ExitStack() as stack:
        attackers = [stack.enter_context(callers.ask(service, ports)) for _ in range(count)]
        until = time.monotonic() + seconds
        times = newcomers(service, callers, lambda: time.monotonic() < until
                          and not all(a.has_more() for a in attackers))
        replies = [a.reply() for a in attackers if a.has_more()]
        return times, collections.Counter(reply.status for reply in replies)


def run():
    """Milliseconds of the checks of newcomers, before and beside the attack."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with contextlib.closing(Callers()) as callers, kept(Service(SETTINGS)) as service:
        service.wait_ready()
        until = time.monotonic() + IDLE_SECONDS
        idle = newcomers(service, callers, lambda: time.monotonic() < until)
        times, _ = attack(service, callers)
        return {
            "p50_ms": round(percentile(times, 50), 1),
            "p99_ms": round(percentile(times, 99), 1),
            "idle_p99_ms": round(percentile(idle, 99), 1),
            "callers": CALLERS,
            "checks": len(times),
        }


if __name__ == "__main__":
    print(json.dumps(run()))
