# SPDX-License-Identifier: MIT
"""A provider in a home, and a checker on the internet."""
import contextlib
import tempfile

from harness.gateway import Gateway
from harness.homes import CHECKER, CHECKER6, PUBLIC, Daemon
from harness.igd import Igd
from harness.waiting import eventually
from verifier.program import Running, ports_of, verify

PORTS = [7466, 50800, 50801, 50802]
LIST = "7466,50800-50802"


class ForwardingGateway(Gateway):
    def __init__(self, home, alter=None, **options):
        self.home = home
        self.forwards = {}
        self.altering = alter or (lambda request, reply: [reply])
        super().__init__(inside=home.router, outer=PUBLIC, alter=self._forward, **options)

    def _forward(self, request, reply):
        wanted = {entry.outer: (entry.client, entry.inner) for entry in self.table.values()}
        if wanted != self.forwards:
            self.forwards = wanted
            self.home.set_forwards(wanted)
        return self.altering(request, reply)

    def restart(self):
        super().restart()
        self.forwards = {}
        self.home.set_forwards({})


class World:
    def __init__(self, later, home, service):
        self.later, self.home, self.service = later, home, service
        self.urls = {4: f"http://{CHECKER}:{service.port}",
                     6: f"http://[{CHECKER6}]:{service.port}"}
        self.daemon = None

    def start_daemon(self, *protocols, **options):
        folder = self.later.enter_context(tempfile.TemporaryDirectory(prefix="router-"))
        self.daemon = Daemon(self.home, folder, protocols, **options)
        self.later.callback(self.daemon.stop)
        return self.daemon

    def start_gateway(self, **options):
        """A router that speaks as the test wants, and really forwards."""
        gateway = ForwardingGateway(self.home, **options)
        self.later.callback(gateway.close)
        return gateway

    def start_igd(self, **options):
        igd = Igd(self.home, **options)
        self.later.callback(igd.close)
        return igd

    def wait_proved(self, count=len(PORTS)):
        """Waits until a check that begins from now on finds that many ports open."""
        before = len(self.service.events("check"))
        eventually(lambda: [event for event in self.service.events("check")[before + 1:]
                            if int(event["open"]) == count], f"{count} open ports", within=30)

    def _words(self, family, ports, arguments):
        return ["--json", "--patience", "0", "--ports", ports, *arguments, self.urls[family]]

    def verify(self, *arguments, family=4, ports=LIST):
        """The report on that family of one run."""
        ended = verify(*self._words(family, ports, arguments), inside=self.home.provider)
        return ended.family(family)

    def watch(self, *arguments, family=4, ports=LIST):
        words = self._words(family, ports, ["--watch", "1s", "--confirm", "300ms", *arguments])
        return self.later.enter_context(Running(*words, inside=self.home.provider))

    @contextlib.contextmanager
    def mapped(self, *arguments, **options):
        """A port-verifier that keeps ports mapped, from its first report on."""
        running = self.watch("--map", *arguments, **options)
        running.wait_reports(1, within=30)
        yield running


def good_of(family):
    return [port for port, entry in ports_of(family).items() if entry["good"]]


def causes_of(family):
    return {port: entry["cause"] for port, entry in ports_of(family).items()}


def mapped_of(family):
    return {port: entry["mapped"] for port, entry in ports_of(family).items()}


def states_of(family):
    """{port: state of its mapping}."""
    return {port: mapped and mapped["state"] for port, mapped in mapped_of(family).items()}
