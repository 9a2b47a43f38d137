# SPDX-License-Identifier: MIT
"""Load, beside a healthy client of another network: its slowest requests are compared with its
slowest ones before the attack, in the same run."""
import contextlib
import dataclasses
import functools
import itertools
import json
import math
import pathlib
import statistics
import subprocess
import tempfile
import time

from attack import crowds, fair_sockets, healthy
from attack.record import Record, attack
from harness.network import Filter, command
from harness.service import Service, kept
from harness.tls import make_pair, tls_settings, trusting

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
HEALTHY = "127.99.0.1"
BEAT_SECONDS = 0.01
FACTOR, FULL_MS = 10, 300
FULL = 0.9  # of the processors' time
LIMIT = f"p99 under {FACTOR} times its idle one, under {FULL_MS} ms where the processor is full; " \
        "0 wrong replies"


# --- the healthy client -------------------------------------------------------------------

class Client:
    """Asks for a check of an open port, a check of a closed port, and /health in turn, each over a
    new connection."""

    def __init__(self, service, target):
        self.requests = itertools.cycle([
            lambda: self.is_judged({str(target.open): target.right[str(target.open)]}),
            lambda: self.is_judged({str(target.closed): target.right[str(target.closed)]}),
            lambda: service.get("/health", source=HEALTHY).json() == {"status": "ok"},
        ])
        self.service = service

    def is_judged(self, right):
        reply = self.service.check(list(right), HEALTHY, source=HEALTHY)
        return reply.status == 200 and reply.json()["results"] == {
            port: {"accessible": accessible, "error": error}
            for port, (accessible, error) in right.items()}

    def is_answered(self):
        try:
            return next(self.requests)()
        except (OSError, EOFError):
            return False

    def beats(self, seconds):
        """The durations of its requests in ms, and how many had a wrong reply or none."""
        times, wrong = [], 0
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            begun = time.monotonic()
            wrong += not self.is_answered()
            took = time.monotonic() - begun
            times.append(took * 1000)
            time.sleep(max(0, BEAT_SECONDS - took))
        return times, wrong


def p99(times):
    return healthy.percentile(times, 0.99)


def processor():
    """Ticks of all processors: busy, all."""
    fields = pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9]
    ticks = [int(field) for field in fields]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


@dataclasses.dataclass
class Beside:
    """What the healthy client measured while idle and beside an attack."""
    idle: list
    times: list
    wrong: int
    busy: float  # share of the processors' time
    size: str = ""
    is_full_size: bool = True

    def of(self, size, is_full_size):
        return dataclasses.replace(self, size=size, is_full_size=is_full_size)

    def ratio(self):
        """Between medians: a busy machine changes it least."""
        return statistics.median(self.times) / statistics.median(self.idle)

    def record(self):
        limit = max(FACTOR * p99(self.idle), FULL_MS if self.busy >= FULL else 0)
        holds = self.wrong == 0 and p99(self.times) < limit and self.is_full_size
        return Record(f"p99 {p99(self.times):.1f} ms, idle {p99(self.idle):.1f} ms; "
                      f"{self.wrong} of {len(self.times):,} wrong; {self.size}; "
                      f"processor {self.busy:.0%}", holds)


def load(name):
    """Registers a function that returns what the healthy client measured."""
    def register(measure):
        @functools.wraps(measure)
        def attacked():
            return measure().record()
        attack("Load", name, LIMIT)(attacked)
        return measure
    return register


class Scene:
    """A service with these settings, and its healthy client. Budgets are off: what is proved is
    the guard of the connections."""

    def __init__(self, seconds, over_tls=False, **settings):
        self.seconds = seconds
        self.stack = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            if over_tls:
                folder = stack.enter_context(tempfile.TemporaryDirectory())
                pair = make_pair(pathlib.Path(folder), "own")
                settings.update(tls_settings(*pair))
            usual = {"PORT_CHECKER_WORKERS": None, "PORT_CHECK_TIMEOUT": None}
            self.service = stack.enter_context(kept(Service({**usual, **settings})))
            self.service.wait_ready()
            if over_tls:
                self.service.context = trusting(pair[0])
            target = stack.enter_context(healthy.Target(HEALTHY))
            self.client = Client(self.service, target)
            self.idle, wrong = self.client.beats(max(seconds / 3, 1))
            assert wrong == 0, "the healthy client has no answer before the attack"
            self.stack = stack.pop_all()

    def measure(self):
        before = processor()
        times, wrong = self.client.beats(self.seconds)
        after = processor()
        busy = (after[0] - before[0]) / (after[1] - before[1])
        return Beside(self.idle, times, wrong, busy)

    def __enter__(self):
        return self

    def __exit__(self, *details):
        return self.stack.__exit__(*details)


# --- slow clients -------------------------------------------------------------------------

class Spread:
    """Connections from 127.0.0.1 to this port get a source address in one of many networks."""

    NETWORKS = 1000

    def __init__(self, port):
        places = crowds.sources(0, self.NETWORKS)
        pairs = ", ".join(f"{n} : {place}" for n, place in enumerate(places))
        command("nft", "-f", "-", text=f"""
table ip spread {{
  chain out {{
    type nat hook postrouting priority srcnat;
    ip saddr 127.0.0.1 tcp dport {port} snat to numgen inc mod {len(places)} map {{ {pairs} }}
}}
}}
""")

    def close(self):
        command("nft", "delete", "table", "ip", "spread")


def slow(options, path, count, seconds, **settings):
    """slowhttptest with `count` connections, which keep coming as long as is measured."""
    with Scene(seconds, **settings) as scene, \
            contextlib.closing(Spread(scene.service.port)):
        length = math.ceil(seconds) + 2
        words = ["slowhttptest", *options, "-c", count, "-l", length,
                 "-r", math.ceil(1.5 * count / length),  # it is slower than it is told
                 "-u", f"{scene.service.url}{path}"]
        with subprocess.Popen(map(str, words), stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as program:
            try:
                beside = scene.measure()
                program.wait(length + 20)
            finally:
                program.kill()
        accepted = scene.service.metric("http_connections_accepted_total")
        came = int(accepted) - len(scene.idle) - len(beside.times)
        gave_way = int(scene.service.metric("http_connections_evicted_total"))
    return beside.of(f"{came:,} connections came, {gave_way:,} gave way", came > 0.6 * count)


SLOW_HEADS = ["-H", "-i", "1", "-x", "24", "-p", "5"]
SLOW_BODIES = ["-B", "-i", "1", "-x", "24", "-s", "60000", "-f", "application/json", "-p", "5"]
SLOW_READERS = ["-X", "-w", "1", "-y", "64", "-n", "2", "-z", "8", "-k", "8", "-p", "5"]


@load("slow-heads")
def slow_heads(count=5000, seconds=16, **settings):
    """slowhttptest -H: heads that never end."""
    return slow(SLOW_HEADS, "/", count, seconds, **settings)


@load("slow-bodies")
def slow_bodies(count=5000, seconds=16, **settings):
    """slowhttptest -B: bodies that never end."""
    return slow(SLOW_BODIES, "/check-ports", count, seconds, **settings)


@load("slow-readers")
def slow_readers(count=5000, seconds=16, **settings):
    """slowhttptest -X: readers that take a few bytes a second, of 8 replies each."""
    return slow(SLOW_READERS, "/", count, seconds, **settings)


# --- many clients -------------------------------------------------------------------------

def crowd_of(scene, function, *arguments, count=2):
    """What the healthy client measured beside `count` such processes, and their counts."""
    with crowds.Crowd(function, count, scene.service.address, *arguments) as crowd:
        crowd.wait_begun()
        beside = scene.measure()
        return beside, crowd.end()


MANY = {"PORT_CHECKER_MAX_PROBES": "1500"}  # so that connections have the other descriptors


@load("many-connections")
def connections(count=18000, most=18200, seconds=15):
    """18,000 connections at once from two processes, half of them without a byte, half idle after
    a request, each reopened when it ends; PORT_CHECKER_MAX_CONNECTIONS=18200,
    PORT_CHECKER_MAX_PROBES=1500."""
    with Scene(seconds, PORT_CHECKER_MAX_CONNECTIONS=most, **MANY) as scene, \
            crowds.Crowd(crowds.hold, 2, scene.service.address, count // 2,
                         "nothing or a request") as crowd:
        crowd.wait_begun()
        before = int(scene.service.metric("http_connections_open"))
        beside = scene.measure()
        after = int(scene.service.metric("http_connections_open"))
        opened = crowd.end()["connected"]
    return beside.of(f"{before:,} open at the start, {after:,} at the end; {opened:,} in all",
                     before >= min(count, most) * 0.98)


@load("too-many-connections")
def too_many_connections(count=18000, most=4096, seconds=15):
    """18,000 connections, as in many-connections, where PORT_CHECKER_MAX_CONNECTIONS is 4096."""
    return connections(count, most, seconds)


@load("churn")
def churn(a_minute=60000, seconds=15):
    """60,000 connections a minute, each with one request, from 500 addresses."""
    with Scene(seconds) as scene:
        beside, counts = crowd_of(scene, crowds.churn, a_minute / 120)
    return beside.of(f"{counts['a minute']:,} a minute, {counts['failed']:,} failed",
                     counts["a minute"] > 0.98 * a_minute and counts["failed"] == 0)


@load("waiting-checks")
def waiting_checks(count=10000, seconds=15):
    """10,000 checks at once of silent ports, each repeated when it is answered;
    PORT_CHECKER_MAX_CONNECTIONS=12000, PORT_CHECKER_MAX_PROBES=1500."""
    with contextlib.closing(Filter()) as packet_filter, \
            Scene(seconds, PORT_CHECKER_MAX_CONNECTIONS=12000, **MANY) as scene:
        packet_filter.rule([crowds.SILENT_PORT], "drop")
        with crowds.Crowd(crowds.hold, 2, scene.service.address, count // 2, "a check",
                          True) as crowd:
            crowd.wait_begun()
            before = int(scene.service.metric("checks_running"))
            beside = scene.measure()
            after = int(scene.service.metric("checks_running"))
            counts = crowd.end()
    return beside.of(f"{before:,} checks waited at the start, {after:,} at the end, "
                     f"{counts['replies']:,} replies", min(before, after) > 0.9 * count)


# --- TLS ----------------------------------------------------------------------------------

@load("tls-handshakes")
def tls_handshakes(programs=2, seconds=15):
    """Full TLS handshakes without a pause, with a request each: two
    processes of bench/tls_load."""
    with Scene(seconds, over_tls=True) as scene, \
            contextlib.closing(Spread(scene.service.port)), \
            tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        program = f"{folder}/tls_load"
        command("cc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", f"-I{TOP}/src", "-o", program,
                f"{TOP}/bench/tls_load.c", "-lgnutls", "-pthread")
        words = [program, "full", str(scene.service.port), str(math.ceil(seconds) + 1)]
        loads = [stack.enter_context(subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            for _ in range(programs)]
        for load_program in loads:
            assert load_program.stdout.readline() == "ready\n"
        for load_program in loads:
            load_program.stdin.write("\n")
            load_program.stdin.flush()
        beside = scene.measure()
        reports = [json.loads(load_program.communicate(timeout=30)[0]) for load_program in loads]
    rate = sum(report["handshakes"] / report["seconds"] for report in reports)
    return beside.of(f"{rate:,.0f} handshakes a second", rate > 0)


def hellos(waits, seconds):
    with Scene(seconds, over_tls=True) as scene:
        beside, counts = crowd_of(scene, crowds.say_hello_and_reset, waits)
    return beside.of(f"{counts['a second']:,} a second", counts["hellos"] > 0)


@load("hello-and-reset")
def hello_and_reset(seconds=15):
    """The first message of a TLS handshake and a reset, without a pause, from 500 addresses."""
    return hellos(False, seconds)


@load("half-handshakes")
def half_handshakes(seconds=15):
    """The first message of a TLS handshake, and a reset after the answer, which costs a signature;
    without a pause, from 500 addresses."""
    return hellos(True, seconds)


@load("hellos-held")
def hellos_held(count=4400, seconds=15, **settings):
    """4,400 connections at once with the first message of a TLS handshake and nothing after it,
    each reopened when it gives way."""
    with Scene(seconds, over_tls=True, **settings) as scene:
        beside, counts = crowd_of(scene, crowds.hold, count // 2, "a hello")
        gave_way = int(scene.service.metric("http_connections_evicted_total"))
    return beside.of(f"{counts['connected']:,} hellos, {gave_way:,} gave way",
                     counts["connected"] > count and gave_way > 0)


# --- checks that take sockets -------------------------------------------------------------

@attack("Load", "fair-sockets", f"p99 under {FULL_MS} ms")
def fair_sockets_of_callers():
    """56 callers with 1,024 silent ports each, and newcomers with one open port."""
    run = fair_sockets.run()
    return Record(f"p99 {run['p99_ms']} ms, median {run['p50_ms']} ms, idle p99 "
                  f"{run['idle_p99_ms']} ms; {run['checks']:,} newcomers",
                  run["p99_ms"] < FULL_MS)
