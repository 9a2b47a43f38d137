# SPDX-License-Identifier: MIT
"""Our own server with the same input: many connections at once, with their bytes split as given."""
import contextlib
import itertools
import json
import os
import pathlib
import random
import re
import socket
import ssl
import subprocess
import time

from corpus import WAIT, Head
from harness.http import Connection
from harness.service import refuse_reports
from harness.waiting import PATIENCE

PROGRAM = pathlib.Path(os.environ.get("BUILD_DIR",
                                      "build")).resolve() / "tests" / "echo_server"
PATIENT = 20 * PATIENCE
CLOCKS = ("idle_ms", "head_ms", "body_ms")  # a busy machine may need longer than these are

# Byte by byte, repetitions of one byte add nothing to a test; nor do bytes late in a stream.
PIECE = re.compile(rb"(.)\1{63,}|.", re.DOTALL)
SINGLE = 400


class Server:
    def __init__(self, process, port):
        self.process, self.address = process, ("127.0.0.1", port)
        self.context = None

    def connect(self):
        return Connection(self.address, timeout=PATIENT, context=self.context)

    def is_asleep(self):
        """Whether it waits for events, and so has read everything that arrived: over loopback,
        the bytes that were sent have woken it."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "S"

    def wait_asleep(self):
        end = time.monotonic() + PATIENT
        while not self.is_asleep():
            assert time.monotonic() < end, "the server is busy, and nothing is to be done"

    def stats(self):
        with self.connect() as connection:
            return json.loads(connection.exchange("GET", "/stats").body)


@contextlib.contextmanager
def serving(cert=None, key=None):
    """echo_server, until the block ends; it must then end cleanly."""
    options = [f"{clock}=600000" for clock in CLOCKS]
    options += [f"cert={cert}", f"key={key}"] if cert else []
    with subprocess.Popen([PROGRAM, *options], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Server(process, int(process.stdout.readline()))
        finally:
            process.terminate()
            _, errors = process.communicate(timeout=PATIENT)
        refuse_reports(process.returncode, errors)
        assert process.returncode == 0, errors


# --- cutting ------------------------------------------------------------------------------


def whole(stream, _):
    return [stream]


def byte_by_byte(stream, _):
    pieces = [found.group() for found in PIECE.finditer(stream)]
    late = pieces[SINGLE:]
    return pieces[:SINGLE] + [b"".join(late[at:at + 7]) for at in range(0, len(late), 7)]


def at_random(stream, seed):
    """Mostly small pieces, so that many cuts fall into the head."""
    chance, pieces, at = random.Random(f"{seed} {stream!r}"), [], 0
    while at < len(stream):
        size = chance.choice((1, 2, 7, 30, 200, 5000))
        pieces.append(stream[at:at + size])
        at += size
    return pieces


# --- asking -------------------------------------------------------------------------------


def ask(server, cases, cut, seed):
    """The reply to each case, up to the end of the connection; all cases run at once."""
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for _ in cases]
        send_in_turn(server, connections, [cut(case.stream, seed) for case in cases])
        for connection, case in zip(connections, cases):
            if case.then == WAIT:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection.socket, socket.SHUT_WR)
        end = time.monotonic() + PATIENT
        return [rest(connection, end) for connection in connections]


def send_in_turn(server, connections, pieces):
    """One piece of each stream at a time, each read before the next is sent."""
    closed = set()
    for turn in itertools.zip_longest(*pieces):
        for connection, piece in zip(connections, turn):
            if piece and connection not in closed:
                try:
                    connection.send(piece)
                except (ConnectionError, ssl.SSLEOFError):
                    closed.add(connection)
        server.wait_asleep()


def rest(connection, end):
    """What arrives before the connection ends, which must not take longer than the limit."""
    connection.socket.settimeout(max(end - time.monotonic(), 0.01))
    try:
        return connection.rest()
    except TimeoutError:
        return connection.received + b" and then nothing, not even an end"


class Odd(Exception):
    """An answer that is no sequence of replies."""


def replies(answer, wanted):
    """The replies, in the terms of the expectation, and whether the last one announces the end."""
    found, is_last, rest = [], False, answer
    wanted = iter(wanted)
    while rest:
        head, mark, rest = rest.partition(b"\r\n\r\n")
        matched = re.match(rb"HTTP/1\.1 (\d{3}) ", head)
        if not mark or not matched:
            raise Odd(f"no reply: {head[:200]!r}")
        status = int(matched.group(1))
        if status == 100:
            continue
        if is_last:
            raise Odd(f"a reply after the last: {head[:200]!r}")
        is_last = re.search(rb"\r\nConnection: close(\r\n|$)", head) is not None
        reply = next(wanted, None)
        if isinstance(reply, Head):
            found.append(Head(status))
            continue
        size = int(re.search(rb"\r\nContent-Length: (\d+)", head).group(1))
        body, rest = rest[:size], rest[size:]
        if len(body) < size:
            raise Odd(f"a body cut short: {head[:200]!r}")
        found.append(body if status == 200 and isinstance(reply, bytes) else status)
    return found, is_last
