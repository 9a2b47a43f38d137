# SPDX-License-Identifier: MIT
"""A NATS server that misbehaves: it must cost a front no more than the other places."""
import contextlib
import itertools
import socket
import threading
import time

import pytest

from harness import nats
from harness.places import connected, states
from harness.service import BINARY
from harness.waiting import eventually, soon

pytestmark = pytest.mark.skipif(b"libnats.so" not in BINARY.read_bytes(),
                                reason="a build without libnats")

INFO = (b'INFO {"server_id":"X","version":"2.9.10","proto":1,"headers":true,'
        b'"max_payload":1048576%s}\r\n')


class Broker:
    """Calls serve(connection) on a thread for each connection."""

    def __init__(self, serve):
        self.accepted = 0
        self.serve = serve
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.kept = []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.accepted += 1
                self.kept.append(connection)
                threading.Thread(target=self.answer, args=[connection], daemon=True).start()

    def answer(self, connection):
        with contextlib.suppress(OSError):
            self.serve(connection)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)
        for connection in self.kept:
            connection.close()


def settle_and_leave(connection):
    """Answers both PINGs of a client, of the connection and of its subscriptions, and closes soon."""
    connection.sendall(INFO % b"")
    file = connection.makefile("rb")
    pings = 0
    while pings < 2:
        line = file.readline()
        if not line:
            return
        if line.startswith(b"PING"):
            pings += 1
            connection.sendall(b"PONG\r\n")
    time.sleep(0.02)
    connection.shutdown(socket.SHUT_RDWR)


def lines_of(connection):
    """What a client says; its PINGs are answered."""
    connection.sendall(INFO % b"")
    for line in connection.makefile("rb"):
        if line.startswith(b"PING"):
            connection.sendall(b"PONG\r\n")
        yield line


def begin_tls_and_stall(connection):
    connection.sendall(INFO % b',"tls_required":true')


@pytest.fixture
def broker(own_network):
    with contextlib.ExitStack() as stack:
        yield lambda serve: stack.enter_context(contextlib.closing(Broker(serve)))


def front_of(start, *urls, **settings):
    return start(PORT_CHECKER_NATS_URL=",".join(urls), PORT_CHECKER_FRONT="gw",
                 PORT_CHECKER_VANTAGES="eu-1", **settings)


def ends_soon(server, front_start, tries=1):
    """The end of a front takes less than 5 s once it has tried the server so often."""
    fronts = []

    def begin():
        before = server.accepted
        fronts.append(front_start())
        eventually(lambda: server.accepted >= before + tries, "it connects")
    soon(5, lambda: fronts[-1].stop(), begin)


def test_a_server_that_always_leaves_is_not_stormed(start, broker):
    """It is tried four times a second, and for as long as that goes on."""
    server = broker(settle_and_leave)
    front = front_of(start, f"nats://127.0.0.1:{server.port}")
    connected(front)
    before, begun = server.accepted, time.monotonic()
    eventually(lambda: server.accepted >= before + 12, "it is tried again and again")
    assert server.accepted - before <= 4 * (time.monotonic() - begun) + 2


def test_a_server_that_comes_back_is_found_by_the_next_attempt(start, broker):
    """Attempts do not become rarer with time: there are half as many at least as this thread, which
    the same processors slow down, can count quarters of a second. So it takes less than a second."""
    is_up, welcomed = threading.Event(), []
    is_up.set()

    def serve(connection):
        if not is_up.is_set():
            connection.shutdown(socket.SHUT_RDWR)
            return
        welcomed.append(connection)
        for _ in lines_of(connection):
            pass
    server = broker(serve)
    front = front_of(start, f"nats://127.0.0.1:{server.port}")
    connected(front)
    is_up.clear()
    welcomed[0].shutdown(socket.SHUT_RDWR)
    for seconds in 3, 6:
        before = server.accepted
        time.sleep(seconds)
        assert server.accepted - before >= 2 * seconds
    is_up.set()
    connected(front, 2)
    assert len(welcomed) == 2


def test_a_handshake_that_never_ends_holds_nothing_back(start, broker, tmp_path):
    """Neither the next server nor the end of the service."""
    server = broker(begin_tls_and_stall)
    nats.make_certificates(tmp_path)
    ends_soon(server, lambda: front_of(start, f"tls://localhost:{server.port}",
                                       PORT_CHECKER_NATS_CA=tmp_path / "ca.pem"), tries=2)


def test_many_silent_servers_do_not_delay_the_end(start, broker):
    server = broker(lambda connection: None)
    ends_soon(server, lambda: front_of(start, *[f"nats://127.0.0.1:{server.port}"] * 8))


LINES = 8  # of a front that connects: CONNECT, PING, two SUB, PUB and its payload, PING


def test_a_server_that_dies_in_each_phase(start, broker, open_port):
    """It resets the n-th connection after n lines, and the last ones when a job has come."""
    numbers = itertools.count()

    def serve(connection):
        number = next(numbers)
        for count, line in enumerate(lines_of(connection) if number else ()):
            if count + 1 == number < LINES or line.startswith(b"PUB vp.check."):
                break
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.shutdown(socket.SHUT_RDWR)
    front = front_of(start, f"nats://127.0.0.1:{broker(serve).port}")
    port = open_port()
    for count in 1, 2, 3:
        connected(front, count)
        reply = front.check([port], details=True)
        assert reply.status == 200, reply
        assert states(reply.json()["results"][str(port)])["gw"] == "open"
        assert states(reply.json()["results"][str(port)])["eu-1"] == "not_connected"


@pytest.mark.parametrize("noise", [
    b"MSG\r\n", b"MSG x\r\n", b"MSG x 1 99999999999999999999\r\n", b"MSG x 77 2\r\nab\r\n",
    b"MSG vp.beat.%s 2 0\r\n\r\n" % (b"x" * 3000), b"MSG vp.beat.\xff\xfe 2 0\r\n\r\n",
    b"HMSG _INBOX.gw 1 99 3\r\n", b"INFO {\r\n", b"INFO " + b"[" * 5000 + b"\r\n",
    b"-ERR 'Permissions Violation'\r\n" * 1000, b"-ERR\r\n", b"+OK\r\n" * 1000, b"\0" * 5000,
    b"x" * 100000, b"PING\r\n" * 1000, b"PONG\r\n" * 1000,
])
def test_a_server_that_talks_nonsense(start, broker, open_port, noise):
    def serve(connection):
        pings = 0
        for line in lines_of(connection):
            pings += line.startswith(b"PING")
            if pings == 2:
                connection.sendall(noise)
                pings += 1
    front = front_of(start, f"nats://127.0.0.1:{broker(serve).port}")
    connected(front)
    port = open_port()
    reply = front.check([port], details=True)
    assert reply.status == 200, reply
    assert states(reply.json()["results"][str(port)])["gw"] == "open"
    assert not front.events("failed")
