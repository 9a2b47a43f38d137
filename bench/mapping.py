# SPDX-License-Identifier: MIT
"""The part of the benchmarks in which a router forwards ports: port-verifier in homes that differ
in what their router speaks, in turn. The router is miniupnpd, which does not log here."""
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import stage
from report import Figure
from stage import Trouble, Verifier

sys.path.append(str(stage.HERE.parent / "tests"))

from harness.homes import (CHECKER, PCP, PROVIDER, ROUTER, UPNP, Daemon,  # noqa: E402
                           Grants, Home, find_daemon)

PORTS = "7466,50800-50900"
COUNT = 102
LIMITS = {PCP: {"mapping": 2.5, "removal": 2}, UPNP: {"mapping": 6, "removal": 15}}
RENEWAL = 2
PEAK = 12
LONGEST = 120  # seconds that anything may take


class Scene:
    """A home with a checker on its internet."""

    def __init__(self, stack, bench, protocol):
        self.home = Home(stack)
        self.daemon = None
        if protocol:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="router-"))
            self.daemon = Daemon(self.home, folder, (protocol,))
            stack.callback(self.daemon.stop)
        else:
            self.home.forward("7466, 50800-50900")
        with self.home.internet:
            service = stack.enter_context(bench.service(PORT_CHECKER_HOST=CHECKER,
                                                        PORT_CHECKER_TARGETS="caller"))
        self.words = [str(pathlib.Path(bench.binary).with_name("port-verifier")), "--ports",
                      PORTS, "--watch", "1h", f"http://{CHECKER}:{service.port}"]

    @contextlib.contextmanager
    def verified(self, *arguments):
        """A verifier that has reported, and the seconds from its start to its report."""
        begun = time.monotonic()
        with self.home.provider:
            # Its standard error would only tell that the router has announced itself.
            verifier = Verifier(*self.words, *arguments, stderr=subprocess.DEVNULL)
        with verifier:
            found = verifier.report()
            taken = time.monotonic() - begun
            good = [port for family in found.get("families", ()) for port in family["ports"]
                    if port["cause"] == "good"]
            if len(good) != COUNT:
                raise Trouble(f"{len(good)} of {COUNT} ports were proved")
            yield verifier, taken


def seconds_to_end(verifier):
    begun = time.monotonic()
    verifier.process.send_signal(signal.SIGTERM)
    verifier.process.wait(LONGEST)
    return time.monotonic() - begun


def renewal_seconds(scene):
    """The router announces itself; then all mappings are renewed. From the first reply to the
    last."""
    with contextlib.closing(Grants(scene.home)) as grants:
        os.kill(scene.daemon.pid, signal.SIGUSR1)
        deadline = time.monotonic() + LONGEST
        while len(grants.times) < COUNT:
            if time.monotonic() > deadline:
                raise Trouble(f"{len(grants.times)} of {COUNT} mappings were renewed")
            time.sleep(0.01)
        first = [times[0] for times in grants.times.values()]
        return max(first) - min(first)


def upnp_renewal_seconds(scene):
    """One run of port-verifier-upnp that renews all mappings, as port-verifier starts it."""
    request = {"do": "map", "family": 4, "local": PROVIDER, "gateway": ROUTER, "lease": 3600,
               "is_renewal": True, "deadline_ms": 10000,
               "ports": [[port, port] for port in (7466, *range(50800, 50901))]}
    program = pathlib.Path(scene.words[0]).with_name("port-verifier-upnp")
    begun = time.monotonic()
    with scene.home.provider:
        ended = subprocess.run([program], input=json.dumps(request) + "\n", check=True,
                               stdout=subprocess.PIPE, text=True, timeout=LONGEST)
    taken = time.monotonic() - begun
    answers = [json.loads(line) for line in ended.stdout.splitlines()]
    renewed = [answer for answer in answers if answer.get("result") == 0]
    if len(renewed) != COUNT or any("was_gone" in answer for answer in renewed):
        raise Trouble(f"{len(renewed)} of {COUNT} mappings were renewed over UPnP")
    return taken


RENEWALS = {PCP: renewal_seconds, UPNP: upnp_renewal_seconds}


def measure(bench):
    if find_daemon() is None:
        raise Trouble("miniupnpd is missing; ./dev bench unpacks it")
    plain = []
    over, renewal, removal, peak = ({PCP: [], UPNP: []} for _ in range(4))
    with contextlib.ExitStack() as stack:
        scenes = {protocol: Scene(stack, bench, protocol) for protocol in (None, PCP, UPNP)}
        for _ in bench.each_round("mapping"):
            with scenes[None].verified() as (_, taken):
                plain.append(taken)
            for protocol in PCP, UPNP:
                with scenes[protocol].verified("--map") as (verifier, taken):
                    over[protocol].append(taken - plain[-1])
                    renewal[protocol].append(RENEWALS[protocol](scenes[protocol]))
                    peak[protocol].append(stage.peak_mib(verifier.pid))
                    removal[protocol].append(seconds_to_end(verifier))
                if not scenes[protocol].daemon.is_empty():
                    raise Trouble(f"mappings by {protocol} were left behind")
    bench.row(f"port-verifier, {COUNT} ports that the user has forwarded: start to report",
              Figure(plain, "s", 2))
    for protocol in PCP, UPNP:
        limits = LIMITS[protocol]
        bench.row(f"port-verifier --map, {COUNT} ports by {protocol}: time over that",
                  Figure(over[protocol], "s", 2), at_most=limits["mapping"])
        bench.row("- renewal of all", Figure(renewal[protocol], "s", 2), at_most=RENEWAL)
        bench.row("- removal of all", Figure(removal[protocol], "s", 2),
                  at_most=limits["removal"])
        bench.row("- its peak memory", Figure(peak[protocol], "MB", 1), at_most=PEAK)
