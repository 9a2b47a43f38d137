# SPDX-License-Identifier: MIT
"""Endless badly behaved clients against one service: they leave at any point and in any way, while
the service reloads now and then. Well-behaved clients among them are still served, and nothing
remains of the others. A seed, which a failure prints, determines what the clients do. SOAK_SEED
repeats it, as far as timing allows; SOAK_SECONDS makes the run longer."""
import concurrent.futures
import contextlib
import errno
import os
import random
import signal
import socket
import ssl
import time

import pytest

from harness import targets
from harness.http import Connection, check_body, chunked
from harness.stream import Stream
from harness.waiting import PATIENCE, eventually
from test_running import make_pair, tls_settings

CLIENTS = 12
SECONDS = float(os.environ.get("SOAK_SECONDS", 4))
RELOAD_SECONDS = 1.5
JSON = ("Content-Type", "application/json")


@pytest.fixture
def start_over(start, tmp_path):
    def start_it(transport):
        if transport == "plain":
            return start()
        cert, key = make_pair(tmp_path, "own")
        service = start(**tls_settings(cert, key))
        service.context = ssl.create_default_context(cafile=str(cert))
        service.context.check_hostname = False
        return service
    return start_it


# --- what is sent -------------------------------------------------------------------------


def request(line, *headers, body=b"", host=b"Host: localhost"):
    return b"\r\n".join([line, host, *headers]) + b"\r\n\r\n" + body


def post(body, *headers, version=b"1.1"):
    return request(b"POST /check-ports HTTP/" + version, b"Content-Type: application/json",
                   *headers, body=body)


def length(body):
    return b"Content-Length: %d" % len(body)


LINES = b"Accept: application/x-ndjson"
CHUNKED = b"Transfer-Encoding: chunked"
EXPECT = b"Expect: 100-continue"


class Sentences:
    """Requests of every kind, valid and invalid."""

    def __init__(self, chance, ports):
        self.chance = chance
        self.ports = ports  # lists of ports that are quick or slow to check

    def body(self):
        body = check_body(self.chance.choice(self.ports))
        return body + b" " * self.chance.choice((0, 0, 0, 20000, 60000))

    def posted(self):
        body = self.body()
        more = self.chance.choice(((), (LINES,), (LINES,), (LINES, b"Connection: close")))
        version = self.chance.choice((b"1.1", b"1.1", b"1.1", b"1.0"))
        return post(body, length(body), *more, version=version)

    def chunked(self):
        body = self.body()
        cut = self.chance.randrange(1, len(body))
        more = self.chance.choice(((), (LINES,), (EXPECT,)))
        return post(chunked(body[:cut], body[cut:]), CHUNKED, *more)

    def expecting(self):
        body = self.body()
        return post(body, length(body), EXPECT, *self.chance.choice(((), (LINES,))))

    def small(self):
        line = self.chance.choice((b"GET /health", b"HEAD /health", b"GET /", b"GET /no",
                                   b"GET /metrics", b"DELETE /health", b"GET http://a/ip"))
        return request(line + b" HTTP/1.1")

    def refused(self):
        return self.chance.choice((
            post(b"{", length(b"{")),
            post(b"", b"Content-Length: 70000"),
            post(b" " * 70000, b"Content-Length: 70000"),
            post(chunked(b" " * 70000), CHUNKED),
            post(b"0\r\n\r\n", length(b"12345"), CHUNKED),
            request(b"GET /health HTTP/1.1", b"X: " + b"y" * 9000),
            request(b"GET /health HTTP/1.1", *[b"X: y"] * 300),
            b"\r\n" * 5000,
        ))

    def garbage(self):
        return self.chance.randbytes(self.chance.choice((1, 20, 3000)))

    def any(self):
        kinds = (self.posted, self.posted, self.chunked, self.expecting, self.small,
                 self.refused, self.garbage)
        count = self.chance.choice((1, 1, 2, 5))
        return b"".join(self.chance.choice(kinds)() for _ in range(count))


# --- how they behave ----------------------------------------------------------------------


def first_flight(context):
    """The first message of a TLS client."""
    said = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), said).do_handshake()
    return said.read()


class Rude:
    """A client that leaves when and how it likes."""

    def __init__(self, service, chance, sentences):
        self.service, self.chance, self.sentences = service, chance, sentences

    def __call__(self):
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            is_early = self.service.context and self.chance.random() < 0.2
            with self.early() if is_early else self.service.connect() as connection:
                if not is_early:
                    self.talk(connection)
                self.leave(connection)

    def early(self):
        """Leaves before the handshake is complete."""
        connection = Connection(self.service.address)
        flight = first_flight(self.service.context)
        data = self.chance.choice((flight, flight, self.sentences.any()))
        self.send_part(connection, data)
        if self.chance.random() < 0.3:
            self.hear(connection, 1)
        return connection

    def send_part(self, connection, data):
        chance = self.chance
        end = chance.choice((0, chance.randrange(len(data)), len(data), len(data)))
        middle = chance.randrange(end + 1)
        for piece in (data[:middle], data[middle:end]):
            connection.send(piece)
            time.sleep(chance.choice((0, 0, 0.001, 0.02)))

    def talk(self, connection):
        self.send_part(connection, self.sentences.any())
        if self.service.context and self.chance.random() < 0.1:  # half a record
            socket.socket.sendall(connection.socket, b"\x17\x03\x03\x01\x00" + b"x" * 99)
        self.hear(connection, self.chance.choice((0, 0, 1, 100, 4096)))

    def hear(self, connection, count):
        """Sends slowly, without a time limit."""
        connection.socket.settimeout(self.chance.choice((0.01, 0.1, 0.7)))
        with contextlib.suppress(TimeoutError):
            while count > 0:
                data = connection.socket.recv(self.chance.choice((1, 512, 65536)))
                if not data:
                    break
                count -= len(data)
        connection.socket.settimeout(20 * PATIENCE)

    def leave(self, connection):
        if isinstance(connection.socket, ssl.SSLSocket) and self.chance.random() < 0.3:
            connection.socket.settimeout(0)
            with contextlib.suppress(ssl.SSLError):
                connection.socket.unwrap()  # requests an answer that is not awaited
            connection.socket.settimeout(20 * PATIENCE)
        kind = self.chance.choice(("close", "reset", "half_close", "wait"))
        if kind == "wait":
            self.hear(connection, 1 << 20)
            return
        try:
            getattr(connection, kind)()
        except OSError as error:
            if error.errno != errno.ENOTCONN:  # the service ended the connection first
                raise
        if kind == "half_close":
            connection.rest()  # these replies must end, too


class Polite:
    """A well-behaved client, which must get what it asks for."""

    def __init__(self, service, chance, open_port, closed_port):
        self.service, self.chance = service, chance
        self.ports = [open_port, closed_port]

    def __call__(self):
        with self.service.connect() as connection:
            is_closed = self.ask_something(connection)
            while not is_closed and self.chance.random() < 0.5:
                # A reload may close the connection between two requests.
                with contextlib.suppress(EOFError, ConnectionError, ssl.SSLError):
                    is_closed = True
                    is_closed = self.ask_something(connection)

    def ask_something(self, connection):
        """Returns whether that was the last request."""
        kind = self.chance.choice((self.whole, self.whole, self.in_chunks, self.lines))
        return kind(connection)

    def ask(self, connection, headers, body):
        connection.request("POST", "/check-ports", [JSON, *headers], body)

    def expect(self, results):
        open_port, closed_port = self.ports
        assert results[open_port]["accessible"] is True
        assert results[closed_port]["error"] == "Connection refused"

    def answer(self, connection):
        reply = connection.reply()
        if reply.status == 100:
            reply = connection.reply()
        assert reply.status == 200, reply
        results = reply.json()["results"]
        self.expect({int(port): results[port] for port in results})
        return reply.header("Connection") == "close"

    def whole(self, connection):
        headers = self.chance.choice(([], [("Expect", "100-continue")]))
        self.ask(connection, headers, check_body(self.ports))
        return self.answer(connection)

    def in_chunks(self, connection):
        body = check_body(self.ports)
        self.ask(connection, [("Transfer-Encoding", "chunked")],
                 chunked(body[:9], body[9:]))
        return self.answer(connection)

    def lines(self, connection):
        self.ask(connection, [("Accept", "application/x-ndjson")], check_body(self.ports))
        stream = Stream(connection)
        *ports, last = stream.lines()
        self.expect({line["port"]: line for line in ports})
        assert last["success"] is True
        return stream.headers.get("connection") == "close"


# --- all of them --------------------------------------------------------------------------


class Crowd:
    """One thread per client; each acts as one client after another."""

    def __init__(self, service, seed, ports):
        self.service, self.seed, self.ports = service, seed, ports
        self.is_over = False
        self.served = 0

    def _behave(self, number):
        chance = random.Random(f"{self.seed} {number}")
        here, there, silent = self.ports
        sentences = Sentences(chance, [[here, there], [here, *silent], silent])
        rude = Rude(self.service, chance, sentences)
        polite = Polite(self.service, chance, here, there)
        while not self.is_over:
            (polite if number == 0 else rude)()
            self.served += 1

    def run(self, meanwhile):
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as threads:
            futures = [threads.submit(self._behave, number) for number in range(CLIENTS)]
            try:
                meanwhile(futures)
            finally:
                self.is_over = True
            for future in futures:
                future.result()


@pytest.mark.parametrize("transport", ["plain", "tls"])
def test_clients_that_do_as_they_like(start_over, transport, silent_ports, closed_port,
                                      later):
    seed = os.environ.get("SOAK_SEED") or str(random.SystemRandom().randrange(1 << 32))
    service = start_over(transport)
    listener = later.enter_context(targets.listener(backlog=512))
    here, there = targets.port_of(listener), closed_port()
    crowd = Crowd(service, seed, (here, there, silent_ports(2)))
    reloads = 1

    def reload():
        nonlocal reloads
        reloads += 1
        service.signal(signal.SIGHUP)
        service.wait_ready(reloads)

    def meanwhile(futures):
        end = time.monotonic() + SECONDS
        next_reload = time.monotonic() + RELOAD_SECONDS
        while time.monotonic() < end and not any(future.done() for future in futures):
            targets.accepted(listener)
            if time.monotonic() > next_reload:
                reload()
                next_reload = time.monotonic() + RELOAD_SECONDS
            time.sleep(0.01)

    reload()
    descriptors, _ = service.at_rest()
    print(f"SOAK_SEED={seed}")
    crowd.run(meanwhile)
    print(f"{crowd.served} clients, {reloads} reloads")

    eventually(lambda: service.at_rest()[0] == descriptors,
               f"descriptors are {descriptors} again")
    targets.accepted(listener)
    assert service.verdicts([here, there]) == {here: "open", there: "closed"}
    service.stop()
