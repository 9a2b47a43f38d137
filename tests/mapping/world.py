# SPDX-License-Identifier: MIT
"""A provider in a home, and a checker on the internet."""
import collections
import contextlib
import tempfile
import time

from harness.gateway import Gateway
from harness.homes import CHECKER, CHECKER6, PUBLIC, Daemon
from harness.upnp_router import Router
from harness.waiting import eventually
from verifier.program import Running, ports_of, verify

PORTS = [7466, 50800, 50801, 50802]
LIST = "7466,50800-50802"


class ForwardingGateway(Gateway):
    """Forwards a port before it says so. The end of a forward comes after the replies, which are not
    waited for long."""

    def __init__(self, home, **options):
        self.home = home
        self.forwards = {}
        super().__init__(inside=home.router, **{"outer": PUBLIC, **options})

    def _wanted(self):
        return {entry.outer: (entry.client, entry.inner) for entry in self.table.values()}

    def _forward(self, wanted):
        if wanted != self.forwards:
            self.home.set_forwards(wanted)
            self.forwards = wanted

    def granted(self):
        wanted = self._wanted()
        if not wanted.items() <= self.forwards.items():
            self._forward(wanted)

    def rested(self):
        self._forward(self._wanted())

    def restart(self):
        super().restart()
        self.forwards = {}
        self.home.set_forwards({})


class ForwardingUpnp(Router):
    """`granted` is {outer port: when each lease was granted}."""

    def __init__(self, home, **manner):
        self.home = home
        self.granted = collections.defaultdict(list)
        super().__init__(home.router, **manner)

    def AddPortMapping(self, arguments):
        result = super().AddPortMapping(arguments)
        if result == {}:
            self.granted[int(arguments["NewExternalPort"])].append(time.monotonic())
            self._forward()
        return result

    def DeletePortMapping(self, arguments):
        result = super().DeletePortMapping(arguments)
        if result == {}:
            self._forward()
        return result

    def _forward(self):
        self.home.set_forwards({outer: (entry["client"], entry["inner"])
                                for outer, entry in self.table.items()})


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

    def start_upnp(self, **manner):
        """The same of UPnP."""
        router = ForwardingUpnp(self.home, **manner)
        self.later.callback(router.close)
        return router

    def wait_proved(self, count=len(PORTS)):
        """Waits until a check that begins from now on finds that many ports open."""
        before = len(self.service.events("check"))
        eventually(lambda: [event for event in self.service.events("check")[before + 1:]
                            if int(event["open"]) == count], f"{count} open ports", within=30)

    def _words(self, family, ports, arguments):
        return ["--json", "--patience", "0", "--ports", ports, *arguments, self.urls[family]]

    def verify(self, *arguments, family=4, ports=LIST, **options):
        """The report on that family of one run."""
        ended = verify(*self._words(family, ports, arguments), inside=self.home.provider,
                       **options)
        return ended.family(family)

    def watch(self, *arguments, family=4, ports=LIST, watch="1s"):
        words = self._words(family, ports, ["--watch", watch, "--confirm", "300ms", *arguments])
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
