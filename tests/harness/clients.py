# SPDX-License-Identifier: MIT
"""Clients of every kind: rude ones, which send anything and leave at any point and in any way, and
polite ones, which must get what they ask for. A random.Random that the caller seeds determines
what they do."""
import contextlib
import errno
import socket
import ssl
import time

from harness.http import Connection, check_body, chunked
from harness.stream import Stream
from harness.tls import first_flight
from harness.waiting import PATIENCE

JSON = ("Content-Type", "application/json")


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
