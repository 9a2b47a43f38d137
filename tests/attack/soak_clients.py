# SPDX-License-Identifier: MIT
"""The clients of a soak, each function a process of a Crowd: polite ones, whose every answer is
judged, rude ones and slow ones."""
import collections
import contextlib
import hmac
import itertools
import json
import math
import random
import socket
import sys
import threading
import time
import traceback

from attack.crowds import Held, fork, sources
from attack.healthy import Target
from harness.clients import Rude, Sentences
from harness.http import Connection, check_body
from harness.stream import Stream
from harness import targets

JSON = ("Content-Type", "application/json")
TOKEN = "00112233445566778899aabbccddeeff"
POLITE, RUDE = 8, 4  # threads of a process
PAUSE = 0.05         # seconds, at most, between two requests of a polite client
SLOW = 150           # connections at a time
SLOW_SECONDS = 15


class Window:
    """The time of a network fault and of its after-effects, for all processes."""

    def __init__(self):
        self.begin, self.end = fork.Value("d", 0), fork.Value("d", 0)

    def open(self):
        self.begin.value, self.end.value = time.monotonic(), math.inf

    def close(self, grace):
        self.end.value = time.monotonic() + grace

    def touches(self, begun):
        """Whether what began then and ends now met the fault."""
        return begun < self.end.value and time.monotonic() > self.begin.value


class Door:
    """Where a service is reached."""

    def __init__(self, address, context, source=None):
        self.address, self.context, self.source = address, context, source

    def connect(self):
        return Connection(self.address, source=self.source, context=self.context)

    def of(self, source):
        return Door(self.address, self.context, source)


class Threads:
    """Threads that act until the crowd is over; `act` returns counts to be added."""

    def __init__(self, crowd, acts):
        self.crowd, self.counts = crowd, collections.Counter()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(act,), daemon=True)
                        for act in acts]
        for thread in self.threads:
            thread.start()
        crowd.begun.release()
        for thread in self.threads:
            thread.join()

    def run(self, act):
        while not self.crowd.is_over():
            try:
                done = act()
            except Exception:
                traceback.print_exc()
                done = {"broken": 1}
            with self.lock:
                self.counts.update(done)


# --- polite ones --------------------------------------------------------------------------

class Proving:
    """A listener that proves who it is."""

    def __init__(self, address):
        self.listener = targets.listener(address, backlog=256)
        self.listener.setblocking(True)
        self.port = targets.port_of(self.listener)
        digest = hmac.new(TOKEN.encode(), str(self.port).encode(), "sha256").hexdigest()
        self.line = f"golem-port-verifier 1 {self.port} {digest}\n".encode()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                peer = self.listener.accept()[0]
                with peer, contextlib.suppress(OSError):
                    peer.sendall(self.line)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Wrong(Exception):
    """A verdict that blames a target, or praises it."""


class Polite:
    """Asks for everything that the service has, and judges each answer."""

    PAGES = ("/", "/docs", "/health", "/ip", "/openapi.json", "/limits")

    def __init__(self, door, address, target, proving, silent, window):
        self.door, self.address, self.window = door, address, window
        self.proving = proving
        self.silent = list(silent)
        self.states = {target.open: "open", target.closed: "closed", proving.port: "open",
                       **dict.fromkeys(self.silent, "filtered")}
        self.usual = [target.open, target.closed]
        self.chance = random.Random(f"{door.address} {address}")
        self.kinds = itertools.cycle((self.whole, self.page, self.lines, self.kept_open,
                                      self.proof, self.whole, self.page, self.ranges))

    def __call__(self):
        counts = collections.Counter(requests=1)
        kind, begun = next(self.kinds), time.monotonic()
        try:
            counts["checks"] += kind(begun)
        except Wrong as wrong:
            counts["wrong"] += 1
            print(f"wrong at {self.door.address}: {wrong}", file=sys.stderr)
        except (OSError, EOFError, AssertionError) as error:
            if self.window and self.window.touches(begun):
                counts["in a fault"] += 1
            else:
                counts["failed"] += 1
                print(f"failed at {self.door.address}: {kind.__name__}: {error!r}",
                      file=sys.stderr)
        time.sleep(self.chance.uniform(0, PAUSE))
        return counts

    def judge(self, begun, results):
        for port, result in results.items():
            right = self.states[int(port)]
            if result["state"] == right:
                assert result["accessible"] == (right == "open"), result
            elif not (result["state"] == "limited" and self.window
                      and self.window.touches(begun)):
                raise Wrong(f"{port}: {result}, not {right}")

    def ask(self, connection, ports, headers=(), **more):
        body = check_body(ports, self.address, details=True, **more)
        connection.request("POST", "/check-ports", [JSON, *headers], body)

    def answer(self, connection, begun, count):
        reply = connection.reply()
        assert reply.status == 200, reply
        results = reply.json()["results"]
        assert len(results) == count, reply
        self.judge(begun, results)
        return results

    def whole(self, begun):
        with self.door.connect() as connection:
            self.ask(connection, self.usual)
            self.answer(connection, begun, 2)
        return 1

    def ranges(self, begun):
        with self.door.connect() as connection:
            self.ask(connection, [self.usual[0], f"{self.silent[0]}-{self.silent[-1]}"])
            self.answer(connection, begun, 1 + len(self.silent))
        return 1

    def lines(self, begun):
        with self.door.connect() as connection:
            self.ask(connection, [*self.usual, self.silent[0]],
                     [("Accept", "application/x-ndjson")])
            stream = Stream(connection)
            *ports, last = stream.lines()
            assert len(ports) == 3 and last.get("success") is True, (ports, last)
            self.judge(begun, {line["port"]: line for line in ports})
        return 1

    def proof(self, begun):
        with self.door.connect() as connection:
            self.ask(connection, [self.proving.port], token=TOKEN)
            result, = self.answer(connection, begun, 1).values()
            if result["state"] == "open" and result["proof"] != "match":
                # what its listener said can be lost, but not turn into something else
                assert result["proof"] == "silent", result
                assert self.window and self.window.touches(begun), result
        return 1

    def kept_open(self, begun):
        """A reload may close the connection between two requests."""
        done = 0
        with self.door.connect() as connection:
            self.ask(connection, self.usual)
            self.answer(connection, begun, 2)
            done += 1
            with contextlib.suppress(OSError, EOFError):
                self.ask(connection, self.usual)
                self.answer(connection, begun, 2)
                done += 1
        return done

    def page(self, begun):
        path = self.chance.choice(self.PAGES)
        with self.door.connect() as connection:
            reply = connection.exchange("GET", path)
        assert reply.status == 200, reply
        if path == "/ip":
            assert json.loads(reply.body)["ip"] == self.address, reply
        return 0


def polite(crowd, number, doors, machine, address, silent, window):
    with machine or contextlib.nullcontext(), Target(address) as target, \
            contextlib.closing(Proving(address)) as proving:
        acts = [Polite(door.of(address), address, target, proving, silent, window)
                for door, _ in zip(itertools.cycle(doors), range(POLITE))]
        return Threads(crowd, acts).counts


# --- others -------------------------------------------------------------------------------

def rude(crowd, number, doors, silent, seed):
    with Target("127.0.0.1") as target:
        ports = [[target.open, target.closed], [target.open, *silent], list(silent)]

        def act_of(door, thread):
            chance = random.Random(f"{seed} {number} {thread}")
            one = Rude(door, chance, Sentences(chance, ports))

            def act():
                one()
                targets.accepted(target.listener)
                return {"connections": 1}
            return act
        acts = [act_of(door, thread)
                for door, thread in zip(itertools.cycle(doors), range(RUDE))]
        return Threads(crowd, acts).counts


SLOW_SPEECHES = (b"", b"GET /health HTTP/1.1\r\nHost: a\r\nX: ",
                 b"POST /check-ports HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\n\r\n{",
                 b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 8,
                 b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")


def slow(crowd, number, doors):
    """Connections that say a part of something and wait, SLOW at a time."""
    opened = 0
    places = sources(0, SLOW)
    crowd.begun.release()
    for door, speech in itertools.cycle(itertools.product(doors, SLOW_SPEECHES)):
        until = time.monotonic() + SLOW_SECONDS
        with contextlib.closing(Held(door.address, False)) as held:
            for place in places:
                held.open(place, speech)
            opened += len(places)
            while time.monotonic() < until and not crowd.is_over():
                held.turn(0.1)
        if crowd.is_over():
            return {"connections": opened}
