# SPDX-License-Identifier: MIT
"""Every allocation of the serving process fails in turn. An exchange is repeated while the first,
the second, the third of its allocations fails, until it has none left that could. Each time, the
client must get the right answer, a clean error, or the end of its connection; never a wrong
verdict. Then the service must be as before."""
import collections
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import tempfile
import threading
import time

from attack.faulty_libc import EVERY_PROCESS, LIBRARY, FaultyLibc
from attack.healthy import JSON, NO_ANSWER, Blamed, Sum, Target, beside, is_refusal
from attack.record import Record, attack
from attack.tls import make_certificate
from harness.http import check_body, chunked
from harness.service import BINARY, USUAL, Service, environment, for_all_users
from harness.waiting import eventually

TOKEN = "00112233445566778899aabbccddeeff"
STREAM = ("Accept", "application/x-ndjson")
FORM = ("Content-Type", "application/x-www-form-urlencoded")
MANY = 200  # ports, so that tables grow
ALLOCATIONS_MAX = 2000  # of one exchange or start

# glibc's own lookup of a user ends the process in an assertion when an allocation fails.
AS_NOBODY = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}


class Scene:
    """Targets, with an application behind the open port that ends every connection."""

    def __init__(self, stack):
        self.target = stack.enter_context(Target())
        self.many = list(range(20000, 20000 + MANY))  # closed: below the ephemeral range
        self.is_over = threading.Event()
        self.target.listener.settimeout(0.05)
        thread = threading.Thread(target=self.accept, daemon=True)
        thread.start()
        stack.callback(thread.join)
        stack.callback(self.is_over.set)

    def accept(self):
        while not self.is_over.is_set():
            with contextlib.suppress(OSError):
                accepted, _ = self.target.listener.accept()
                with accepted:
                    accepted.sendall(b"no proof\n")


# --- the exchanges ------------------------------------------------------------------------
# Each returns whether it was answered in full. What is not a clean refusal must be right.

def judged(reply, judge):
    if reply.status == 200:
        judge(reply)
        return True
    assert is_refusal(reply), reply
    return False


def get(path, expected=200, headers=()):
    def exchange(_, connection):
        reply = connection.exchange("GET", path, headers)
        if reply.status == expected:
            assert reply.body
            return True
        assert is_refusal(reply), reply
        return False
    return exchange


def check(scene, connection):
    reply = connection.exchange("POST", "/check-ports", [JSON], scene.target.body())
    return judged(reply, lambda reply: scene.target.judge(reply.json()["results"]))


def check_chunked(scene, connection):
    body = chunked(*[b" " * 9000] * 6, scene.target.body())
    reply = connection.exchange("POST", "/check-ports", [JSON, ("Transfer-Encoding", "chunked")],
                                body)
    return judged(reply, lambda reply: scene.target.judge(reply.json()["results"]))


def check_many(scene, connection):
    body = check_body([*scene.many, scene.target.open])
    reply = connection.exchange("POST", "/check-ports", [JSON], body)
    if reply.status != 200:
        assert is_refusal(reply), reply
        return False
    results = reply.json()["results"]
    if not results[str(scene.target.open)]["accessible"]:
        raise Blamed(results[str(scene.target.open)])
    errors = {one["error"] for one in results.values()}
    if errors != {None, "Connection refused"} or len(results) != MANY + 1:
        raise Blamed(f"{len(results)} verdicts: {errors}")
    return True


def check_with_proof(scene, connection):
    reply = connection.exchange("POST", "/check-ports", [JSON],
                                scene.target.body(details=True, token=TOKEN))
    if reply.status != 200:
        assert is_refusal(reply), reply
        return False
    results = reply.json()["results"]
    scene.target.judge(results)
    proof = results[str(scene.target.open)]["proof"]
    if proof not in ("mismatch", None):  # null: not known
        raise Blamed(f"proof: {proof}")
    return proof == "mismatch"


def check_plain(scene, connection):
    path = f"/check-ports?ports={scene.target.open},{scene.target.closed}"
    reply = connection.exchange("GET", path, [("Accept", "text/plain")])
    if reply.status != 200:
        assert reply.status >= 500 and reply.body, reply
        return False
    lines = sorted(reply.body.decode().splitlines())
    expected = sorted([f"{scene.target.open} open",
                       f"{scene.target.closed} closed: Connection refused"])
    if lines != expected:
        raise Blamed(lines)
    return True


def check_form(scene, connection):
    body = b"ports=%d%%20%d" % (scene.target.open, scene.target.closed)
    reply = connection.exchange("POST", "/", [FORM], body)
    assert reply.status in (200, 500, 503), reply
    assert reply.status == 503 or b"Connection refused" in reply.body, reply
    return reply.status == 200


def stream(scene, connection):
    connection.request("POST", "/check-ports", [JSON, STREAM], scene.target.body())
    head = connection._until(b"\r\n\r\n").decode("latin-1")
    if " 200 " not in head.split("\r\n")[0]:
        length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
        assert int(head.split(" ")[1]) >= 500 and b"detail" in connection._exactly(length), head
        return False
    lines, is_whole = stream_lines(connection, "chunked" in head, head)
    ports = {str(line["port"]): line for line in lines if "port" in line}
    last = lines[-1] if lines else {}
    scene.target.judge(ports, is_whole="success" in last)
    assert "success" in last or "detail" in last or not is_whole, lines
    return "success" in last


def stream_lines(connection, is_chunked, head):
    """The lines, and whether the reply was whole."""
    data = b""
    try:
        if not is_chunked:
            length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
            data = connection._exactly(length)
        while is_chunked:
            size = int(connection._until(b"\r\n"), 16)
            data += connection._exactly(size)
            connection._exactly(2)
            if size == 0:
                break
        is_whole = True
    except NO_ANSWER:
        is_whole = False
    whole = data.rpartition(b"\n")[0]
    return [json.loads(line) for line in whole.splitlines()], is_whole


def invalid(_, connection):
    body = check_body(["x"] * 30, "nowhere")
    reply = connection.exchange("POST", "/check-ports", [JSON], body)
    assert reply.status == 422 or is_refusal(reply), reply
    return reply.status == 422


def two_at_once(scene, connection):
    """Pipelined."""
    connection.request("POST", "/check-ports", [JSON], scene.target.body())
    connection.request("GET", "/health")
    is_first = judged(connection.reply(),
                      lambda reply: scene.target.judge(reply.json()["results"]))
    return judged(connection.reply(), lambda reply: reply.json()) and is_first


EXCHANGES = {
    "health": get("/health"),
    "ip": get("/ip"),
    "metrics": get("/metrics"),
    "page": get("/"),
    "page-zipped": get("/docs", headers=[("Accept-Encoding", "gzip")]),
    "unknown": get("/nothing", expected=404),
    "check": check,
    "check-chunked": check_chunked,
    "check-many": check_many,
    "check-proof": check_with_proof,
    "check-plain": check_plain,
    "check-form": check_form,
    "stream": stream,
    "invalid": invalid,
    "pipelined": two_at_once,
}


# --- each in turn -------------------------------------------------------------------------

class Tally:
    def __init__(self):
        self.allocations = self.answered = self.refused = self.ended = 0

    def count(self, outcome):
        setattr(self, outcome, getattr(self, outcome) + 1)

    def __str__(self):
        return (f"{self.allocations:,} allocations failed: {self.answered:,} answers were right "
                f"nevertheless, {self.refused:,} were a clean error, {self.ended:,} the end of the "
                "connection; 0 crashes, 0 verdicts blamed on a target")


def attempt(service, scene, exchange):
    """answered, refused or ended."""
    try:
        with service.connect() as connection:
            return "answered" if exchange(scene, connection) else "refused"
    except NO_ANSWER:
        return "ended"


def verify_healthy(service, scene, name, number):
    where = f"{name}, after allocation {number}"
    assert service.process.poll() is None, f"{where}: it ended: {service.stderr()[-500:]}"
    assert attempt(service, scene, check) == "answered", where
    assert attempt(service, scene, EXCHANGES["health"]) == "answered", where


def fresh_service(libc):
    """One worker, and no log but of failures, so that the same allocations come each time."""
    return Service({**libc.settings(), "PORT_CHECKER_WORKERS": 1}).wait_ready()


def fail_each(libc, scene, name, is_fresh, tally):
    """`is_fresh`: a new service each time, so that tables that only grow do so again."""
    service = None
    for number in range(1, ALLOCATIONS_MAX):
        if service is None:
            service = fresh_service(libc)
            before = service.descriptors()
        try:
            with libc.failing(service.pid, number):
                outcome = attempt(service, scene, EXCHANGES[name])
                reached = libc.count
            is_over = reached < number
            assert not is_over or outcome == "answered", f"{name}: {outcome} without a fault"
            if not is_over:
                tally.allocations += 1
                tally.count(outcome)
            verify_healthy(service, scene, name, number)
            eventually(lambda: service.descriptors() == before,
                       f"{name}, allocation {number}: no descriptor is left")
            if is_over or is_fresh:
                service.stop()
                service = None
            if is_over:
                return
        except BaseException:
            if service:
                print(f"allocations: {name}, number {number}, "
                      f"{service.stderr()[-1000:]}", flush=True)
                service.discard()
            raise
    raise AssertionError(f"{name} makes more than {ALLOCATIONS_MAX} allocations")


@attack("Faults", "allocations", "0 crashes, 0 verdicts blamed on a target; correct afterwards")
def allocations(names=tuple(EXCHANGES), is_fresh=(False, True)):
    """Each allocation of the serving process fails in turn: for connections, requests, checks,
    streams and replies"""
    tally = Tally()
    with contextlib.ExitStack() as stack:
        scene = Scene(stack)
        libc = stack.enter_context(FaultyLibc())
        for fresh in is_fresh:
            for name in names:
                fail_each(libc, scene, name, fresh, tally)
    return Record(str(tally), holds=True)


# --- many, under load ---------------------------------------------------------------------

@attack("Faults", "allocations-load", "0 crashes, 0 verdicts blamed on a target")
def allocations_under_load(seconds=10, clients=6, seed=1):
    """Every 10th to 200th allocation of the serving process fails, alone or with all of the next
    100, beside healthy clients"""
    numbers = random.Random(seed)
    with contextlib.ExitStack() as stack:
        libc = stack.enter_context(FaultyLibc())
        service = Service(libc.settings()).wait_ready()
        stack.callback(service.discard)
        before = service.descriptors()
        target = stack.enter_context(Target())
        ending = time.monotonic() + seconds
        with beside(service, target, clients) as healthy:
            while time.monotonic() < ending:
                every = numbers.randint(10, 200)
                length = numbers.choice([1, 1, 100])
                with libc.failing(service.pid, 1, length, every + length):
                    time.sleep(0.1)
        sum_of_all = Sum(healthy)
        assert attempt_of(service, target), "the next request is answered"
        eventually(lambda: service.descriptors() == before, "no descriptor is left")
        service.stop()
    answered = len(sum_of_all.seconds)
    return Record(f"{answered:,} rounds of requests right, {sum_of_all.failed:,} refused or ended; "
                  "0 crashes, 0 verdicts blamed on a target", holds=answered > 0)


def attempt_of(service, target):
    reply = service.post(target.body())
    target.judge(reply.json()["results"])
    return service.get("/health").status == 200


# --- over TLS -----------------------------------------------------------------------------

def has_ended(service):
    """Whether it ends, now that its client has its answer or the end of its connection."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        service.process.wait(0.05)
    return service.process.poll() is not None


def culprit(text):
    """Why it ended; the kernel's log names the library in which a program crashed."""
    if "GNU MP: Cannot allocate" in text:
        return "GMP aborts"
    log = subprocess.run(["dmesg"], capture_output=True, text=True).stdout
    places = re.findall(r"port-checker\[\d+\]: segfault .* in ([^\s\[]+)\[", log)
    place = places[-1] if places else "unknown"
    assert place != "port-checker", text
    return f"crashes in {place}"


@attack("Faults", "allocations-tls", "0 verdicts blamed on a target; only libraries end it")
def allocations_over_tls(step=1):
    """Each allocation of a check over TLS fails in turn; a service that ended starts again"""
    outcomes = dict.fromkeys(("answered", "refused", "ended"), 0)
    crashes = collections.Counter()
    with contextlib.ExitStack() as stack:
        scene = Scene(stack)
        libc = stack.enter_context(FaultyLibc())
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tls-"))
        settings, context = make_certificate(folder)
        service = None
        for number in range(1, ALLOCATIONS_MAX, step):
            if service is None:
                service = Service({**libc.settings(), **settings, "PORT_CHECKER_WORKERS": 1})
                stack.callback(service.discard)
                service.wait_ready().context = context
            with libc.failing(service.pid, number):
                outcome = attempt(service, scene, check)
                reached = libc.count
            outcomes[outcome] += 1
            if has_ended(service):
                text = service.stderr()
                assert "ended the serving process" in text and outcome == "ended", text
                crashes[culprit(text)] += 1
                service = None
            if reached < number:
                break
    return Record("; ".join(f"{name}: {count}" for name, count in {**outcomes, **crashes}.items())
                  + "; 0 verdicts blamed on a target", holds=outcomes["answered"] > 0,
                  notes="GMP aborts by design when it gets no memory, and libtasn1, which GnuTLS "
                  "uses, does not check whether it got any. Such an outage is as long as "
                  "that of `kill-child`.")


# --- at the start -------------------------------------------------------------------------

def start_once(binary, library, libc, number):
    """Its exit status and what it said. Without the sandbox: libseccomp 2.5.4 loops without end
    after some failed allocations."""
    settings = {**USUAL, **libc.settings(), "LD_PRELOAD": library, "PORT_CHECKER_WORKERS": 1,
                "PORT_CHECKER_SANDBOX": "off"}
    with libc.failing(EVERY_PROCESS, number):
        process = subprocess.Popen([binary, "--env-file", "/dev/null"], **AS_NOBODY,
                                   stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                   env=environment(settings))
        text = ""
        try:
            for line in process.stderr:
                text += line
                if "event=ready" in line:
                    process.send_signal(signal.SIGTERM)
            return process.wait(30), text
        finally:
            process.kill()
            process.wait()
            process.stderr.close()


@attack("Faults", "allocations-start", "it serves, or exits with status 1 and says why")
def allocations_at_start(step=1):
    """Each allocation of a start fails in turn (without the sandbox)"""
    served = refused = 0
    with FaultyLibc() as libc, for_all_users(BINARY, LIBRARY) as (binary, library):
        for number in range(1, ALLOCATIONS_MAX, step):
            status, text = start_once(binary, library, libc, number)
            if "event=ready" in text:
                assert status == 0, f"allocation {number}: status {status}: {text}"
                served += 1
            else:
                assert status in (1, 2) and text, f"allocation {number}: status {status}: {text!r}"
                refused += 1
            if libc.count < number:
                break
    return Record(f"{served + refused:,} starts: {served:,} served, {refused:,} exited with a "
                  "reason", holds=True)
