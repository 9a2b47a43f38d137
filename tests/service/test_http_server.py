# SPDX-License-Identifier: MIT
"""The HTTP server alone: echo_server is the server with routes made for these tests."""
import contextlib
import ctypes
import fcntl
import json
import os
import re
import resource
import select
import signal
import socket
import ssl
import struct
import subprocess
import termios
import time

import pytest

from harness.waiting import PATIENCE, eventually, soon

BUILD_DIR = os.environ.get("BUILD_DIR", "build")
PROGRAM = os.path.join(BUILD_DIR, "tests", "echo_server")
with open(PROGRAM, "rb") as program:
    IS_SANITIZED = b"_asan_" in (code := program.read()) or b"_tsan_" in code
WAIT = 10 * PATIENCE  # seconds; far longer than anything takes that works


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def all(self, name):
        return [v for k, v in self.headers if k == name.lower()]

    def one(self, name):
        values = self.all(name)
        assert len(values) == 1, (name, self.headers)
        return values[0]

    def __repr__(self):
        return f"<{self.status} {self.body[:80]!r}>"


class Client:
    """One connection; reads replies one by one and says when the server has ended."""

    def __init__(self, sock):
        self.sock, self.data = sock, b""
        sock.settimeout(WAIT)

    def send(self, data):
        self.sock.sendall(data)
        return self

    def fill(self):
        try:
            more = self.sock.recv(65536)
        except ConnectionError:  # a reset; or a pipe, as OpenSSL's reads send what is left
            more = b""
        self.data += more
        return bool(more)

    def hears_within(self, seconds):
        """Whether the server sends anything, or ends. TLS tickets do not count."""
        self.sock.settimeout(seconds)
        try:
            self.data += self.sock.recv(65536)
            return True
        except (TimeoutError, ssl.SSLWantReadError):
            return False
        except ConnectionError:
            return True
        finally:
            self.sock.settimeout(WAIT)

    def reply(self, is_head=False):
        while b"\r\n\r\n" not in self.data:
            assert self.fill(), f"connection ended, got {self.data!r}"
        head, self.data = self.data.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        version, status = lines[0].split(" ")[:2]
        assert version == "HTTP/1.1"
        headers = [(k.lower(), v) for k, v in (line.split(": ", 1) for line in lines[1:])]
        reply = Reply(int(status), headers, b"")
        if status == "100" or is_head:
            return reply
        length = int(reply.one("content-length"))
        while len(self.data) < length:
            assert self.fill(), f"body cut short: {len(self.data)} of {length}"
        reply.body, self.data = self.data[:length], self.data[length:]
        return reply

    def ask(self, text):
        return self.send(text.encode("latin-1")).reply()

    def get(self, path, extra=""):
        return self.ask(f"GET {path} HTTP/1.1\r\nHost: x\r\n{extra}\r\n")

    def ended(self):
        """The server ends the connection without sending anything more."""
        while self.fill():
            pass
        return self.data == b""

    def is_open(self):
        return self.get("/health").status == 200

    def say_goodbye(self):
        """Ends TLS but not the connection under it. On plain TCP it ends our side."""
        with contextlib.suppress(OSError):
            if isinstance(self.sock, ssl.SSLSocket):
                self.sock.unwrap()
            else:
                self.sock.shutdown(socket.SHUT_WR)

    def flush(self):
        """Waits until the server's kernel has received everything that was sent."""
        deadline = time.monotonic() + WAIT
        while struct.unpack("i", fcntl.ioctl(self.sock, termios.TIOCOUTQ, b"....")) != (0,):
            assert time.monotonic() < deadline
            select.select([], [], [], 0.01)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Server:
    def __init__(self, is_tls=False, **options):
        self.context = None
        if is_tls:
            self.context = ssl.create_default_context()
            self.context.check_hostname = False
            self.context.verify_mode = ssl.CERT_NONE
        arguments = [f"{k}={v}" for k, v in options.items()]
        self.process = subprocess.Popen(
            [PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.clients = []

    def raw(self, source=None):
        return socket.create_connection(
            ("127.0.0.1", self.port), WAIT, (source, 0) if source else None)

    def client(self, source=None):
        sock = self.raw(source)
        if self.context:
            sock = self.context.wrap_socket(sock)
        client = Client(sock)
        self.clients.append(client)
        return client

    def ask(self, text):
        return self.client().ask(text)

    def get(self, path, extra=""):
        return self.client().get(path, extra)

    def stats(self):
        client = self.client()
        stats = json.loads(client.get("/stats", "Connection: close\r\n").body)
        client.sock.close()
        self.clients.remove(client)
        return stats

    def until(self, **wanted):
        deadline = time.monotonic() + WAIT
        while True:
            stats = self.stats()
            if all(stats[k] == v for k, v in wanted.items()):
                return stats
            assert time.monotonic() < deadline, f"wanted {wanted}, have {stats}"
            select.select([], [], [], 0.01)

    def metric(self, series):
        text = self.get("/metrics").body.decode()
        match = re.search(rf"^port_checker_{re.escape(series)} (\S+)$", text, re.M)
        assert match, f"no {series}"
        return float(match.group(1))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def sockets(self):
        """Socket -> descriptor."""
        folder, found = f"/proc/{self.process.pid}/fd", {}
        for fd in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                name = os.readlink(f"{folder}/{fd}")
                if name.startswith("socket:"):
                    found[name] = fd
        return found

    def resident(self):
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()

    def stop(self, log=""):
        """All resources were released, and no sanitizer complained."""
        for client in self.clients:
            client.sock.close()
        self.process.terminate()
        out, err = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, err
        assert re.fullmatch(log, err), err
        assert re.fullmatch(r"end gone=\d+ left=0\n", out), out
        return out


@contextlib.contextmanager
def serving(log="", **options):
    """`log` is a pattern that must match the whole log."""
    server = Server(**options)
    try:
        yield server
    except BaseException:
        server.process.kill()
        print(server.process.communicate()[1])
        raise
    server.stop(log)


ECDSA = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]


def make_pem(folder, kind):
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", *kind, "-nodes", "-subj",
                    "/CN=localhost", "-days", "2", "-keyout", key, "-out", cert],
                   check=True, capture_output=True)
    return {"is_tls": True, "cert": cert, "key": key}


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    return make_pem(tmp_path_factory.mktemp("pem"), ECDSA)


@pytest.fixture(scope="module")
def rsa_pem(tmp_path_factory):
    return make_pem(tmp_path_factory.mktemp("rsa"), ["rsa:2048"])


@pytest.fixture(params=["plain", "tls"])
def options(request):
    return dict(request.getfixturevalue("pem")) if request.param == "tls" else {}


@pytest.fixture
def server(options):
    with serving(**options) as server:
        yield server


@pytest.fixture(scope="module")
def running():
    """running(NAME=value, ...): the server with these options, started when it is first asked for.
    Its end is checked after the last test of the file."""
    with contextlib.ExitStack() as stack:
        servers = {}

        def get(**options):
            key = tuple(sorted(options.items()))
            if key not in servers:
                servers[key] = stack.enter_context(serving(**options))
            return servers[key]
        yield get


@contextlib.contextmanager
def used(server):
    """For one of many tests of the same server: it must go on, and the test's clients leave."""
    yield server
    for client in server.clients:
        client.sock.close()
    server.clients.clear()
    assert server.process.poll() is None, server.process.stderr.read()


@pytest.fixture
def common(options, running):
    """One server for all cases of the tables."""
    with used(running(**options)) as server:
        yield server


@pytest.fixture
def plain():
    with serving() as server:
        yield server


BEFORE = {
    "first": lambda client: None,
    "after another": lambda client: client.get("/health"),
    "after a body in chunks": lambda client: client.ask(
        "GET /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0;a=b\r\n\r\n"),
}


def post(path, body, extra=""):
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{extra}\r\n{body}"


# --- plain requests ---------------------------------------------------------------------


def test_a_reply_has_its_headers(server):
    reply = server.get("/health")
    assert (reply.status, reply.body) == (200, b'{"status": "ok"}')
    assert reply.one("server") == "echo/1"
    assert reply.one("content-type") == "application/json"
    assert reply.one("cache-control") == "no-store"
    assert time.strptime(reply.one("date"), "%a, %d %b %Y %H:%M:%S GMT")
    assert not reply.all("connection")


def test_a_waited_for_reply_looks_like_any_other(server):
    client = server.client()
    at_once = client.get("/echo")
    late = client.get("/wait", "X-Wait: 20\r\n")
    assert late.body == b"waited"
    names = {k for k, _ in at_once.headers} - {"x-reply"}
    assert {k for k, _ in late.headers} - {"x-waited"} == names
    assert late.one("x-waited") == "yes"
    assert client.is_open()


def test_what_the_handler_sees(server):
    reply = server.get("/echo", "X-Test: a\r\nX-test: b \r\nX-Other: c\r\nX-TEST: d\r\n"
                                "X-Forwarded-For: z\r\n")
    text = reply.body.decode()
    assert "1.1=1" in text
    assert "peer=127.0.0.1 local=127.0.0.1" in text
    assert f"tls={int(server.context is not None)}" in text
    assert re.search("x-test=a, b ?, d again=a, b ?, d prefix=1 has=0", text), text


def test_a_forged_reply_header_is_left_out(server):
    reply = server.get("/echo")
    assert reply.one("x-reply") == "yes"
    assert not reply.all("evil") and not reply.all("x-forged")


@pytest.mark.parametrize("path", ["/health", "/health/", "/health?a=b", "/health/?a=b&c",
                                  "http://other/health", "/health?%00"])
def test_ways_to_name_a_path(common, path):
    assert common.get(path).status == 200


@pytest.mark.parametrize("path", ["/", "/healt", "/healthy", "/health//", "//health",
                                  "/health/x", "/HEALTH", "/health%00", "/%68ealth",
                                  "http://other", "*", "/../health"])
def test_unknown_paths(common, path):
    client = common.client()
    reply = client.get(path)
    assert (reply.status, reply.body) == (404, b'{"detail": "NOT_FOUND"}')
    assert client.is_open()


def test_a_method_that_is_not_allowed_names_those_that_are(server):
    client = server.client()
    for method in "PUT", "DELETE", "OPTIONS", "PATCH", "BREW", "get":
        reply = client.ask(f"{method} /echo/ HTTP/1.1\r\nHost: x\r\n\r\n")
        assert reply.status == 405, method
        assert sorted(reply.one("allow").split(", ")) == ["GET", "HEAD", "POST"]
        assert b"METHOD_NOT_ALLOWED" in reply.body
    assert client.ask("POST /health HTTP/1.1\r\nHost: x\r\n\r\n").one("allow") == "GET, HEAD"


def test_head_is_get_without_the_body(server):
    client = server.client()
    for path in "/health", "/wait", "/nope":
        client.send(f"HEAD {path} HTTP/1.1\r\nHost: x\r\nX-Wait: 20\r\n\r\n".encode())
        head = client.reply(is_head=True)
        get = client.get(path, "X-Wait: 20\r\n")
        assert head.status == get.status
        assert head.one("content-length") == str(len(get.body))
        assert head.one("content-type") == get.one("content-type")


@pytest.mark.parametrize("path", ["/health", "/wait"])
def test_http_1_0_closes(server, path):
    client = server.client()
    reply = client.ask(f"GET {path} HTTP/1.0\r\nX-Wait: 20\r\n\r\n")
    assert reply.status == 200
    assert reply.one("connection") == "close"
    assert client.ended()


def test_http_1_0_keep_alive(server):
    client = server.client()
    for _ in range(3):
        reply = client.ask("GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert reply.status == 200
        assert reply.one("connection").lower() == "keep-alive"


@pytest.mark.parametrize("path,status", [("/wait", 200), ("/nope", 404), ("/health", 200)])
def test_http_1_0_keep_alive_for_every_kind_of_reply(server, path, status):
    client = server.client()
    for _ in range(2):
        reply = client.ask(f"GET {path} HTTP/1.0\r\nX-Wait: 20\r\n"
                           "Connection: Keep-Alive\r\n\r\n")
        assert (reply.status, reply.one("connection")) == (status, "keep-alive")
    reply = client.ask(f"GET {path} HTTP/1.0\r\nX-Wait: 20\r\n\r\n")
    assert (reply.status, reply.one("connection")) == (status, "close")
    assert client.ended()


def test_what_is_to_become_another_protocol_ends(server):
    """What follows is not read: the client may mean it for that protocol."""
    client = server.client()
    client.send(("GET /echo HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\n"
                 "Upgrade: h2c\r\n\r\n" + SMUGGLED).encode())
    reply = client.reply()
    assert (reply.status, reply.one("connection")) == (200, "close")
    assert client.ended()
    assert server.stats()["handled"] == 1


@pytest.mark.parametrize("line", ["Upgrade: h2c\r\n", "Connection: upgrade\r\n"])
def test_half_an_upgrade_is_none(server, line):
    client = server.client()
    reply = client.get("/health", line)
    assert (reply.status, reply.all("connection")) == (200, [])
    assert client.is_open()


def test_connect_is_not_allowed_and_ends(server):
    client = server.client()
    client.send(("CONNECT /echo HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED).encode())
    reply = client.reply()
    assert (reply.status, reply.one("connection")) == (405, "close")
    assert client.ended()
    assert server.stats()["handled"] == 0


def test_a_reply_in_pieces(server):
    client = server.client()
    client.send(b"GET /stream HTTP/1.1\r\nHost: x\r\nX-Wait: 1\r\n\r\n")
    while not client.data.endswith(b"\r\n0\r\n\r\n"):
        assert client.fill()
    head, body = client.data.split(b"\r\n\r\n", 1)
    assert b"\r\nTransfer-Encoding: chunked" in head
    assert body == b"4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n"
    client.data = b""
    assert client.is_open()


def test_head_of_a_reply_in_pieces_has_no_body(server):
    client = server.client()
    client.send(b"HEAD /stream HTTP/1.1\r\nHost: x\r\nX-Wait: 1\r\n\r\n")
    assert client.reply(is_head=True).status == 200
    assert client.is_open()


def test_head_of_a_reply_in_pieces_over_http_1_0_closes(server):
    client = server.client()
    client.send(b"HEAD /stream HTTP/1.0\r\nX-Wait: 1\r\n\r\n")
    reply = client.reply(is_head=True)
    assert (reply.status, reply.one("connection")) == (200, "close")
    assert not reply.all("transfer-encoding")
    assert client.ended()


@pytest.mark.parametrize("path,status,lengths", [
    ("/no-content", 204, []), ("/not-modified", 304, ["4"])])
def test_a_status_that_has_no_body_drops_the_handlers_text(server, path, status, lengths):
    client = server.client().send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    reply = client.reply(is_head=True)
    assert (reply.status, reply.all("content-length")) == (status, lengths)
    assert client.is_open()


def test_a_reply_made_at_the_end_of_a_turn_is_sent_at_once(server):
    """The loop does not wait for another event first."""
    client = server.client()
    assert client.get("/late").body == b"late"
    assert client.is_open()


@pytest.mark.parametrize("path", ["/health", "/wait", "/nope"])
def test_the_client_may_ask_to_close(server, path):
    client = server.client()
    reply = client.get(path, "X-Wait: 20\r\nConnection: close\r\n")
    assert reply.one("connection") == "close"
    assert client.ended()


def test_many_requests_on_one_connection(server):
    client = server.client()
    for i in range(200):
        assert client.get("/health").status == 200
        assert client.ask(post("/echo", f"body {i}")).body == f"body {i}".encode()
        if i % 10 == 0:
            assert client.get("/wait", "X-Wait: 1\r\n").body == b"waited"
    assert server.stats()["connections"] == 2


def test_pipelined_requests_are_answered_in_order(server):
    client = server.client()
    requests = []
    for i in range(50):
        requests.append(post("/echo", f"body {i}"))
        if i % 7 == 0:
            requests.append("GET /wait HTTP/1.1\r\nHost: x\r\nX-Wait: 3\r\n\r\n")
    client.send("".join(requests).encode())
    for i in range(50):
        assert client.reply().body == f"body {i}".encode()
        if i % 7 == 0:
            assert client.reply().body == b"waited"
    assert client.is_open()


def test_requests_byte_by_byte(server):
    client = server.client()
    client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    requests = [post("/echo", "hello"), "GET /wait HTTP/1.1\r\nHost: x\r\nX-Wait: 1\r\n\r\n",
                "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"]
    for byte in "".join(requests * 2).encode():
        client.send(bytes([byte]))
    for _ in range(2):
        assert client.reply().body == b"hello"
        assert client.reply().body == b"waited"
        assert client.reply().body == b'{"status": "ok"}'


def test_blank_lines_before_a_request(server):
    client = server.client()
    for _ in range(3):
        assert client.ask("\r\n\r\n" + post("/echo", "a")).body == b"a"


@pytest.mark.parametrize("request_text", [
    "\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n", "GET /health HTTP/1.1\nHost: x\r\n\r\n",
    "GET /health HTTP/1.1\r\nHost: x\n\r\n", "GET /health HTTP/1.1\r\nHost: x\r\n\n"])
def test_bare_line_feeds_are_refused(common, request_text):
    client = common.client()
    assert client.ask(request_text).status == 400
    assert client.ended()


# --- bodies --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 4096, 20000, 65536])
def test_bodies_up_to_the_limit(server, size):
    body = "x" * size
    client = server.client()
    assert client.ask(post("/echo", body)).body == body.encode()
    chunk = f"{size:x}\r\n{body}\r\n0\r\n\r\n"
    assert client.ask("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                      + chunk).body == body.encode()
    assert client.is_open()


def test_chunks_come_together(server):
    client = server.client()
    for path in "/echo", "/wait":
        client.send(f"POST {path} HTTP/1.1\r\nHost: x\r\nX-Wait: 5\r\n"
                    "Transfer-Encoding: Chunked\r\n\r\n".encode())
        for piece in "1\r\na\r\n", "a;ext=1\r\n0123456789", "\r\n3\r\nb", "cd\r\n0", "\r\n",\
                     "Trailer: 1\r\n\r\n":
            client.send(piece.encode())
        assert client.reply().body == (b"a0123456789bcd" if path == "/echo" else b"waited")
    assert client.is_open()


def test_a_body_with_nul_bytes(server):
    assert server.ask(post("/echo", "\0a\0\0b\0")).body == b"\0a\0\0b\0"


def test_expect_100_continue(server):
    client = server.client()
    client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                b"Expect: 100-continue\r\n\r\n")
    assert client.reply().status == 100
    assert client.send(b"abc").reply().body == b"abc"
    assert client.is_open()


@pytest.mark.parametrize("path,length,encoding,status", [
    ("/echo", 65537, "identity", 413), ("/nope", 3, "identity", 404),
    ("/health", 3, "identity", 405), ("/echo", 3, "gzip", 415)])
def test_a_refusal_comes_instead_of_100_continue(common, path, length, encoding, status):
    client = common.client()
    client.send(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n"
                f"Content-Encoding: {encoding}\r\nExpect: 100-continue\r\n\r\n".encode())
    reply = client.reply()
    assert reply.status == status
    assert reply.one("connection") == "close"
    assert client.ended()


@pytest.mark.parametrize("version,body", [("1.1", b"abc"), ("1.1", b"a"), ("1.0", b"")])
def test_no_100_continue_where_it_is_not_waited_for(server, version, body):
    """The body, or a part of it, came with the head; HTTP/1.0 has no 100."""
    client = server.client()
    client.send(b"POST /echo HTTP/%b\r\nHost: x\r\nContent-Length: 3\r\nConnection: keep-alive"
                b"\r\nExpect: 100-continue\r\n\r\n%b" % (version.encode(), body))
    if len(body) < 3:
        server.until(exchanges=2)
        client.send(b"abc"[len(body):])
    reply = client.reply()
    assert (reply.status, reply.body) == (200, b"abc")
    assert client.is_open()


@pytest.mark.parametrize("encoding", ["gzip", "br", "x", "gzip, identity"])
def test_an_encoded_body_is_refused(common, encoding):
    handled = common.stats()["handled"]
    line = f"Content-Encoding: {encoding}\r\n"
    for request in (post("/echo", "abc", line),
                    f"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{line}"
                    "\r\n3\r\nabc\r\n0\r\n\r\n"):
        client = common.client()
        reply = client.ask(request + SMUGGLED)
        assert (reply.status, reply.body) == (415, b'{"detail": "UNSUPPORTED_ENCODING"}')
        assert reply.one("connection") == "close"
        assert client.ended()
    assert common.stats()["handled"] == handled


def test_an_encoding_that_changes_nothing(server):
    client = server.client()
    for encoding in "identity", "Identity":
        line = f"Content-Encoding: {encoding}\r\n"
        assert client.ask(post("/echo", "abc", line)).body == b"abc"
    assert client.get("/echo", "Content-Encoding: gzip\r\n").status == 200
    assert client.ask(post("/echo", "", "Content-Encoding: gzip\r\n")).status == 200
    assert client.is_open()


@pytest.mark.parametrize("size", [65537, 200_000, 10 * 1024 * 1024])
def test_a_body_too_large_is_told_although_it_is_being_sent(server, size):
    client = server.client()
    with contextlib.suppress(ConnectionError):
        client.send(f"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
        client.send(b"x" * size)
    reply = client.reply()
    assert (reply.status, reply.body) == (413, b'{"detail": "BODY_TOO_LARGE"}')
    assert client.ended()


@pytest.mark.parametrize("size", [65537, 800_000])
def test_a_chunked_body_too_large(server, size):
    client = server.client()
    client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send(b"%x\r\n%b\r\n0\r\n\r\n" % (size, b"x" * size))
    reply = client.reply()
    assert (reply.status, reply.body) == (413, b'{"detail": "BODY_TOO_LARGE"}')
    assert reply.one("connection") == "close"
    assert client.ended()
    assert server.stats()["handled"] == 0


def test_an_endless_chunked_body_is_cut_off(plain):
    client = plain.client()
    client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(3 * 1024 * 1024 // 65536):
        client.send(b"10000\r\n%b\r\n" % (b"x" * 65536))
    assert client.reply().status == 413
    assert client.ended()


def test_a_route_without_a_body_takes_an_empty_one(server):
    client = server.client()
    assert client.get("/health", "Content-Length: 0\r\n").status == 200
    assert client.get("/health", "Content-Length: 1\r\n").status == 413


LARGE = b"x" * (3 * 1024 * 1024)
ANSWERED_BY_THE_SERVER = {
    "no such path": (b"GET /nope HTTP/1.1\r\n", b"", 404),
    "no such path, with a body": (b"POST /nope HTTP/1.1\r\nContent-Length: 1\r\n", b"x", 404),
    "no such path, in chunks": (b"POST /nope HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
                                b"0\r\n\r\n", 404),
    "no such method": (b"DELETE /health HTTP/1.1\r\n", b"", 405),
    "a large body": (b"POST /echo HTTP/1.1\r\nContent-Length: 65537\r\n", b"", 413),
    "a large body in chunks": (b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
                               b"10001\r\n%b\r\n0\r\n\r\n" % LARGE[:65537], 413),
    "an endless body": (b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
                        b"300000\r\n" + LARGE, 413),
    "a slow body": (b"POST /echo HTTP/1.1\r\nContent-Length: 9\r\n", b"x", 408),
    "a slow body in chunks": (b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
                              b"3\r\nx", 408),
}


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("what", ANSWERED_BY_THE_SERVER)
def test_the_servers_own_answers_know_the_request(common_hasty, what, before):
    head, body, status = ANSWERED_BY_THE_SERVER[what]
    client = common_hasty.client()
    BEFORE[before](client)
    with contextlib.suppress(OSError):
        client.send(head + b"Host: x\r\nMark: known\r\n\r\n")
        client.send(body)
    reply = client.reply()
    assert (reply.status, reply.one("marked")) == (status, "known")


NOT_UNDERSTOOD = {
    "two hosts": ("Host: y\r\n", 400),
    "large headers": ("X-Long: " + "x" * 9000 + "\r\n", 431),
}


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("what", NOT_UNDERSTOOD)
def test_nothing_is_taken_from_a_head_that_was_not_understood(common, what, before):
    lines, status = NOT_UNDERSTOOD[what]
    client = common.client()
    BEFORE[before](client)
    reply = client.get("/health", "Mark: known\r\n" + lines)
    assert (reply.status, reply.all("marked")) == (status, [])


# --- framing: what two parsers could read differently ----------------------------------------

SMUGGLED = "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"
AMBIGUOUS = {
    "length and chunked": "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "chunked and length": "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "two lengths": "Content-Length: 5\r\nContent-Length: 6\r\n",
    "the same length twice": "Content-Length: 5\r\nContent-Length: 5\r\n",
    "two zero lengths": "Content-Length: 0\r\nContent-Length: 0\r\n",
    "a list of lengths": "Content-Length: 5, 5\r\n",
    "a signed length": "Content-Length: +5\r\n",
    "a negative length": "Content-Length: -5\r\n",
    "a hexadecimal length": "Content-Length: 0x5\r\n",
    "an empty length": "Content-Length:\r\n",
    "a length beyond all": "Content-Length: 99999999999999999999999\r\n",
    "gzip, chunked": "Transfer-Encoding: gzip, chunked\r\n",
    "identity": "Transfer-Encoding: identity\r\n",
    "xchunked": "Transfer-Encoding: xchunked\r\n",
    "chunked twice": "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "chunked and identity": "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "a vertical tab before chunked": "Transfer-Encoding: \x0bchunked\r\n",
    "space before the colon": "Transfer-Encoding : chunked\r\n",
    "tab before the colon": "Content-Length\t: 5\r\n",
    "a folded line": "X-A: b\r\n c\r\n",
    "a folded chunked": "Transfer-Encoding:\r\n chunked\r\n",
    "a folded last line": "Content-Length: 5\r\nX-A: b\r\n\tTransfer-Encoding: chunked\r\n",
    "a first line that is folded": " X-A: b\r\nContent-Length: 5\r\n",
    "a NUL in a value": "X-A: b\0c\r\n",
    "a NUL in a name": "X-\0A: b\r\n",
    "a bare CR": "X-A: b\rTransfer-Encoding: chunked\r\n",
    "no name": ": b\r\n",
    "no colon": "Transfer-Encoding chunked\r\n",
    "two hosts": "Host: y\r\n",
}


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("name", AMBIGUOUS)
def test_ambiguous_framing_is_refused(common, name, before):
    handled = common.stats()["handled"]
    client = common.client()
    BEFORE[before](client)
    request = f"POST /echo HTTP/1.1\r\nHost: x\r\n{AMBIGUOUS[name]}\r\n"
    client.send((request + "0\r\n\r\n" + SMUGGLED * 2).encode("latin-1"))
    reply = client.reply()
    assert reply.status == (413 if name == "a length beyond the limit" else 400), reply
    assert reply.one("connection") == "close"
    assert client.ended()
    assert common.stats()["handled"] == handled


def test_http_1_0_has_no_chunks(server):
    client = server.client()
    client.send(b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                + SMUGGLED.encode())
    assert client.reply().status == 400
    assert client.ended()
    assert server.stats()["handled"] == 0


@pytest.mark.parametrize("chunks", ["x\r\n", "-1\r\n", "5\r\nhelloX\r\n", "\r\n", "0x5\r\nhello",
                                    "5 \r\nhello\r\n", "fffffffffffffffff\r\n"])
def test_broken_chunks(common, chunks):
    handled = common.stats()["handled"]
    client = common.client()
    client.send(("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                 + chunks + "\r\n0\r\n\r\n" + SMUGGLED).encode())
    assert client.reply().status == (413 if chunks.startswith("f") else 400)
    assert client.ended()
    assert common.stats()["handled"] == handled


@pytest.mark.parametrize("garbage", [b"\0" * 100 + b"\n\n",
                                     b"GET\n\n", b"GET /health\n\n", b"a b c d\r\n\r\n",
                                     b"GET /health HTTP/9.9\r\n\r\n", b"\xff\xfe\n\r\n",
                                     b"GET /health HTTP/1.1\r\nHost: x\r\n:\r\n\r\n"])
def test_garbage(plain, garbage):
    client = plain.client().send(garbage)
    while client.fill():
        pass
    assert b" 200 " not in client.data
    assert plain.get("/health").status == 200


def fat(size, line=500):
    """A request whose head is `size` bytes."""
    head = "GET /health HTTP/1.1\r\nHost: x\r\n"
    while len(head) + 2 < size:
        room = min(line, size - 2 - len(head))
        if size - 2 - len(head) - room < 5:
            room = size - 2 - len(head)
        head += "a:" + "b" * (room - 4) + "\r\n"
    return (head + "\r\n").encode()


@pytest.mark.parametrize("before", BEFORE)
def test_headers_up_to_the_limit(server, before):
    client = server.client()
    BEFORE[before](client)
    assert len(fat(8192)) == 8192
    assert client.send(fat(8192)).reply().status == 200
    reply = client.send(fat(8193)).reply()
    assert (reply.status, reply.body) == (431, b'{"detail": "HEADERS_TOO_LARGE"}')
    assert client.ended()


@pytest.mark.parametrize("line", [40, 50, 100, 8000])
def test_first_headers_of_many_lines(plain, line):
    """More than a small buffer can hold, but within the limits."""
    client = plain.client()
    assert client.send(fat(8192, line)).reply().status == 200
    assert client.send(fat(8192, line)).reply().status == 200
    assert client.is_open()


def test_a_first_head_of_too_many_lines(plain):
    client = plain.client().send(fat(8000, 8))
    assert client.reply().body == b'{"detail": "HEADERS_TOO_LARGE"}'
    assert client.ended()


@pytest.mark.parametrize("line", [8, 100, 100_000])
def test_headers_far_beyond_the_limit(plain, line):
    client = plain.client()
    with contextlib.suppress(ConnectionError):
        client.send(fat(300_000, line))
    reply = client.reply()
    assert (reply.status, reply.body) == (431, b'{"detail": "HEADERS_TOO_LARGE"}')
    assert client.ended()


def test_headers_beyond_the_limit_on_a_later_request(server):
    client = server.client()
    assert client.is_open()
    client.send(fat(30_000))
    assert client.reply().status == 431
    assert client.ended()


# --- another protocol ------------------------------------------------------------------------

HELLO = b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.mark.parametrize("is_tls,sent,fault,spoken", [
    (False, HELLO, "TLS_AT_PLAIN", "TLS on a plain HTTP port"),
    (True, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", "PLAIN_AT_TLS",
     "plain HTTP on an HTTPS port"),
    (True, b"G", "PLAIN_AT_TLS", "plain HTTP on an HTTPS port"),
    (False, PREFACE, "HTTP_2", "HTTP/2"),
    (False, b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n",
     "PROXY_PROTOCOL", "the PROXY protocol"),
    (False, b"PROXY UNKNOWN\r\n", "PROXY_PROTOCOL", "the PROXY protocol"),
    (False, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\1\x7f\0\0\1\0\1\0\2",
     "PROXY_PROTOCOL", "the PROXY protocol"),
])
def test_another_protocol_is_named(pem, is_tls, sent, fault, spoken):
    """To the client and, once a second, to the operator."""
    line = rf'time=\S+ level=info event=wrong_protocol peer=127.0.0.1 spoken="?{spoken}"?\n'
    with serving(log=f"({line}){{1,3}}", **(pem if is_tls else {})) as server:
        for _ in range(20):
            client = Client(server.raw())
            server.clients.append(client)
            reply = client.send(sent).reply()
            assert (reply.status, reply.body) == (400, f'{{"detail": "{fault}"}}'.encode())
            assert reply.one("connection") == "close"
            assert not reply.all("strict-transport-security")
            assert client.ended()


def test_http_2_and_the_proxy_protocol_are_named_over_tls_too(pem):
    with serving(log=r".*event=wrong_protocol.*\n", **pem) as server:
        for sent, fault in (PREFACE, "HTTP_2"), (b"PROXY UNKNOWN\r\n", "PROXY_PROTOCOL"):
            client = server.client()
            assert client.send(sent).reply().body == f'{{"detail": "{fault}"}}'.encode()
            assert client.ended()


# --- limits of number ------------------------------------------------------------------------


def busy(server):
    """A client with a request that takes longer than the test, so that it does not give way. The
    server has read the request: until then, it would give way to the next client."""
    client = server.client()
    assert client.is_open()
    client.send(b"GET /wait HTTP/1.1\r\nHost: x\r\nX-Wait: 60000\r\n\r\n").flush()
    deadline = time.monotonic() + WAIT
    while unread(server) > 0:
        assert time.monotonic() < deadline
        select.select([], [], [], 0.01)
    return client


def test_too_many_connections_are_told(options):
    with serving(connections=3, **options) as server:
        clients = [busy(server) for _ in range(3)]
        refused = server.client()
        reply = refused.reply()
        assert (reply.status, reply.body) == (503, b'{"detail": "CONNECTIONS"}')
        assert reply.one("connection") == "close"
        assert reply.one("content-type") == "application/json"
        assert reply.one("server") == "echo/1"
        assert bool(reply.all("strict-transport-security")) == (server.context is not None)
        assert int(reply.one("retry-after")) >= 1
        assert refused.ended()
        # a client that sends first is told the same
        assert server.client().send(post("/echo", "x" * 60000).encode()).reply().status == 503
        clients.pop().sock.close()
        deadline = time.monotonic() + WAIT
        while server.client().get("/health").status == 503:
            assert time.monotonic() < deadline


def test_too_many_connections_of_one_caller(options):
    with serving(per_caller=2, **options) as server:
        mine = [server.client() for _ in range(2)]
        assert all(client.is_open() for client in mine)
        reply = server.client().reply()
        assert (reply.status, reply.body) == (429, b'{"detail": "CALLER_CONNECTIONS"}')
        assert server.client("127.0.0.2").is_open()
        refused = 'http_connections_refused_total{reason="caller"}'
        other = server.client("127.0.0.3")
        text = other.get("/metrics").body.decode()
        assert f"port_checker_{refused} 1" in text


def test_refusals_over_tls_are_told_to_fifty_a_second(pem):
    """Each needs a handshake. The others are closed, and admitted clients are served. The clients
    come one after the other: a slow one does not use up the time of the others' handshakes."""
    with serving(connections=1, linger_ms=600_000, **pem) as server:
        inside = busy(server)
        begun = time.monotonic()
        told = 0
        for _ in range(220):
            with contextlib.suppress(OSError):
                assert server.client().reply().status == 503
                told += 1
        seconds = time.monotonic() - begun
        inside.sock.setblocking(False)
        with pytest.raises((BlockingIOError, ssl.SSLWantReadError)):
            inside.sock.recv(1)
        assert 50 <= told <= 50 * (int(seconds) + 2)


def test_out_of_descriptors_is_told():
    with serving(files=40, linger_ms=100) as server:
        clients = []
        for _ in range(60):
            clients.append(server.client())
        replies = []
        for client in clients:
            try:
                replies.append(client.get("/health").status)
            except (AssertionError, ConnectionError):
                replies.append(None)
        assert set(replies) == {200, 503}, replies
        spent = os.times()
        before = cpu_seconds(server)
        select.select([], [], [], 0.5)
        assert cpu_seconds(server) - before < 0.2, "spins"
        for client, status in zip(clients, replies):
            if status == 200:
                assert client.is_open()
            client.sock.close()
        server.clients.clear()
        deadline = time.monotonic() + WAIT
        while server.client().ask("GET /health HTTP/1.1\r\nHost: x\r\n\r\n").status == 503:
            assert time.monotonic() < deadline
        assert spent


def cpu_seconds(server):
    with open(f"/proc/{server.process.pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_out_of_descriptors_each_is_told_at_once(options):
    """Not only after a pause: the queue is empty after each."""
    with serving(files=24, **options) as server:
        held = [server.raw() for _ in range(22)]

        def ten_are_told():
            for _ in range(10):
                client = Client(server.raw())
                assert not client.fill() or b" 503 " in client.data
                client.sock.close()
        soon(0.5, ten_are_told)
        for sock in held:
            sock.close()


# --- limits of time ------------------------------------------------------------------------------

# Not of a handshake, nor between two requests: a busy machine may need more time for them.
SHORT = {"head_ms": 300, "body_ms": 300, "send_ms": 400, "linger_ms": 200}


@pytest.fixture
def hasty(options):
    with serving(**options, **SHORT) as server:
        yield server


@pytest.fixture
def common_hasty(options, running):
    with used(running(**options, **SHORT)) as server:
        yield server


def drip(client, data, seconds=WAIT):
    """Sends a byte now and then until the server ends the connection; returns the seconds."""
    started = time.monotonic()
    for byte in data:
        try:
            client.send(bytes([byte]))
        except OSError:
            break
        if client.hears_within(0.02):
            break
        assert time.monotonic() - started < seconds, "may go on for ever"
    return time.monotonic() - started


@pytest.mark.parametrize("before", BEFORE)
def test_slow_headers(hasty, before):
    client = hasty.client()
    BEFORE[before](client)
    assert drip(client, b"GET /health HTTP/1.1\r\nX: " + b"x" * 1000) > 0.2
    assert client.reply().status == 408
    assert client.ended()
    assert hasty.metric("http_connections_timed_out_total") == 1


def test_slow_headers_past_the_first_line(hasty):
    client = hasty.client()
    assert client.is_open()
    client.send(b"GET /health HTTP/1.1\r\nHost: x\r\n")
    drip(client, b"X: " + b"x" * 1000)
    assert client.reply().status == 408
    assert client.ended()


@pytest.mark.parametrize("before", BEFORE)
def test_slow_bodies(hasty, before):
    client = hasty.client()
    BEFORE[before](client)
    client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
    assert drip(client, b"x" * 900) > 0.2
    reply = client.reply()
    assert (reply.status, reply.body) == (408, b'{"detail": "TIMEOUT"}')
    assert client.ended()


@pytest.mark.parametrize("before", ["nothing", "a request", "a wait"])
def test_idle_connections_end_quietly(options, before):
    with serving(**options, idle_ms=800) as server:
        started = time.monotonic()  # ahead of the server's own clock: a reply may be read late
        client = server.client()
        if before == "a request":
            assert client.is_open()
        if before == "a wait":
            assert client.get("/wait", "X-Wait: 10\r\n").status == 200
        assert client.ended()
        assert 0.8 <= time.monotonic() - started < WAIT


@pytest.mark.parametrize("sent", [b"", HELLO[:1], HELLO])
def test_a_handshake_that_stalls_is_ended(pem, sent):
    with serving(handshake_ms=800, **pem) as server:
        client = Client(server.raw())
        started = time.monotonic()
        client.send(sent)
        assert client.ended()
        assert time.monotonic() - started > 0.7
        assert server.metric("http_connections_timed_out_total") == 1


def test_a_handshake_that_trickles_is_not_prolonged(pem):
    with serving(handshake_ms=400, **pem) as server:
        hello = b"\x16\x03\x01\x10\0\x01\0\x0f\xfc"
        assert drip(Client(server.raw()), hello + b"\x03" * 4000) > 0.3


def test_waiting_has_no_limit_of_ours(hasty):
    assert hasty.get("/wait", "X-Wait: 1500\r\n").body == b"waited"


@pytest.mark.parametrize("path", ["/big", "/release-big"])
def test_a_reply_that_is_not_read(hasty, path):
    client = hasty.client()
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    if path == "/release-big":
        client.send(b"GET /big HTTP/1.1\r\nHost: x\r\nX-Park: 1\r\n\r\n")
        hasty.until(parked=1)
        assert hasty.get(path).status == 200
    else:
        client.send(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        hasty.until(exchanges=2)
    hasty.until(exchanges=1)
    assert hasty.metric("http_connections_timed_out_total") >= 1


def test_a_reply_that_is_read_steadily_may_take_longer(options):
    """8 MiB in more than two seconds, with a limit of one second for each pause."""
    with serving(**options, send_ms=1000) as server:
        client = server.client()
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        client.send(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        received = 0
        started = time.monotonic()
        while received < 8 * 1024 * 1024:
            piece = client.sock.recv(16 * 1024)
            assert piece, f"ended after {received} bytes"
            received += len(piece)
            ahead = received / (3.5 * 1024 * 1024) - (time.monotonic() - started)
            if ahead > 0.01:
                time.sleep(ahead)  # the pace of the reader
        assert time.monotonic() - started > 2
        assert server.metric("http_connections_timed_out_total") == 0


@pytest.mark.parametrize("parked", [False, True])
def test_a_large_reply_arrives_whole(server, parked):
    client = server.client()
    if parked:
        client.send(b"GET /big HTTP/1.1\r\nHost: x\r\nX-Park: 1\r\n\r\n")
        server.until(parked=1)
        assert server.get("/release-big").status == 200
        reply = client.reply()
    else:
        reply = client.get("/big")
    assert reply.body == b"b" * (8 * 1024 * 1024)
    assert client.is_open()


# --- clients that leave ----------------------------------------------------------------------------

LEAVING = {
    "closes": lambda client: client.sock.close(),
    "resets": lambda client: client.reset(),
    "half-closes": lambda client: client.sock.shutdown(socket.SHUT_WR),
    "says goodbye": lambda client: client.say_goodbye(),
}
ASKING = {
    "a get": "GET /park HTTP/1.1\r\nHost: x\r\n\r\n",
    "a post": post("/park", "body"),
    "chunks": "POST /park HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "pipelined": post("/park", "body") + SMUGGLED,
}


@pytest.mark.parametrize("asking", ASKING)
@pytest.mark.parametrize("leaving", LEAVING)
def test_who_leaves_while_waiting_is_gone_once(server, leaving, asking):
    before = server.until(exchanges=1)
    fds = server.descriptors()
    client = server.client().send(ASKING[asking].encode())
    server.until(parked=1)
    LEAVING[leaving](client)
    after = server.until(parked=0, gone=before["gone"] + 1, exchanges=1)
    assert after["handled"] == before["handled"] + 1
    deadline = time.monotonic() + WAIT
    while server.descriptors() > fds + 3:  # those of the clients that asked for stats
        assert time.monotonic() < deadline
    assert server.get("/release").body == b"0"


@pytest.mark.parametrize("leaving", ["half-closes", "closes"])
def test_who_leaves_behind_what_is_not_read_is_gone(server, leaving):
    client = server.client().send(ASKING["a get"].encode())
    server.until(parked=1)
    client.send(SMUGGLED.encode() * 1000)
    LEAVING[leaving](client)
    assert server.until(parked=0, gone=1, exchanges=1)["handled"] == 1


def test_a_request_behind_one_that_waits_is_served_after_it(server):
    client = server.client().send((ASKING["pipelined"] + SMUGGLED).encode())
    server.until(parked=1)
    client.send(post("/echo", "last").encode())
    assert server.stats()["handled"] == 1
    assert server.get("/release").body == b"1"
    assert client.reply().body == b"released"
    for _ in range(2):
        assert client.reply().one("x-reply") == "yes"
    assert client.reply().body == b"last"
    assert client.is_open()


UNFINISHED = {
    "a part of its head": b"POST /echo HTTP/1.1\r\nHost:",
    "a head": b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
    "a part of its body": b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
    "a part of a chunk": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                         b"9\r\nabc",
}


@pytest.mark.parametrize("sent", UNFINISHED)
@pytest.mark.parametrize("leaving", LEAVING)
def test_who_leaves_before_a_request_is_whole_ends_at_once(options, leaving, sent):
    """At once, not when the time is up."""
    with serving(head_ms=600_000, body_ms=600_000, idle_ms=600_000, **options) as server:
        client = server.client().send(UNFINISHED[sent])
        is_head_whole = sent != "a part of its head"
        server.until(connections=2, exchanges=2 if is_head_whole else 1)
        LEAVING[leaving](client)
        stats = server.until(connections=1, exchanges=1)
        assert (stats["handled"], stats["gone"]) == (0, 0)
        assert server.metric("http_connections_timed_out_total") == 0


@pytest.mark.parametrize("sent", UNFINISHED)
def test_what_comes_with_the_end_does_not_hide_it(options, sent):
    with serving(head_ms=600_000, body_ms=600_000, idle_ms=600_000, **options) as server:
        for leaving in "closes", "half-closes":
            for _ in range(20):
                LEAVING[leaving](server.client().send(UNFINISHED[sent]))
        server.until(connections=1, exchanges=1)


# --- lingering: a refusal is read while its client continues to send --------------------------------

LINGER_BYTES = 16 * 1024 * 1024
LINGER_MAX, LINGER_CALLER = 256, 16  # connections: in all, of one caller
PROXY = "127.0.0.99"  # has no limit of its own
ENDLESS = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n"


def test_who_sends_on_and_on_after_a_refusal_is_cut_off(options):
    """By bytes, long before the time is up. Bytes in the kernel's buffers add to them."""
    with serving(linger_ms=600_000, **options) as server:
        client = server.client().send(ENDLESS)
        assert client.reply().status == 413
        sent = 0
        with contextlib.suppress(OSError):
            while sent < 4 * LINGER_BYTES:
                client.send(b"x" * 65536)
                sent += 65536
        assert LINGER_BYTES - 65536 <= sent < 3 * LINGER_BYTES


def test_who_sends_less_after_a_refusal_is_not_cut_off(options):
    with serving(linger_ms=600_000, **options) as server:
        client = server.client().send(ENDLESS)
        server.until(connections=1)
        for _ in range(LINGER_BYTES * 3 // 4 // 65536):
            client.send(b"x" * 65536)
        client.flush()
        fds = server.descriptors()
        assert client.send(b"x").reply().status == 413
        client.flush()
        assert client.ended()
        assert server.descriptors() >= fds
        LEAVING["closes"](client)
        deadline = time.monotonic() + WAIT
        while server.descriptors() >= fds:
            assert time.monotonic() < deadline


def refuse(server, source, count):
    """`count` connections from `source` are refused, and their clients keep them open."""
    for _ in range(count):
        client = server.client(source).send(b"no request\r\n\r\n")
        assert client.reply().status == 400
        assert client.ended()


def test_lingering_connections_are_limited_by_caller_and_in_all(options):
    with serving(linger_ms=600_000, **options) as server:
        fds = server.descriptors()

        def lingers(count):
            eventually(lambda: server.descriptors() == fds + count, f"{count} linger")

        refuse(server, "127.0.0.2", LINGER_CALLER + 4)
        lingers(LINGER_CALLER)
        refuse(server, PROXY, 2 * LINGER_CALLER)
        lingers(3 * LINGER_CALLER)
        callers = LINGER_MAX // LINGER_CALLER - 3
        for i in range(callers + 1):
            refuse(server, f"127.0.1.{i + 1}", LINGER_CALLER)
        lingers(LINGER_MAX)
        refuse(server, PROXY, 1)
        lingers(LINGER_MAX)
        assert server.get("/health").status == 200


def test_who_only_reads_a_refusal_gives_way(options):
    """When descriptors are short, lingering connections end for new ones, one by one or many at
    once."""
    with serving(files=40, linger_ms=600_000, **options) as server:
        for i in range(60):
            client = server.client(f"127.0.0.{i % 6 + 2}").send(ENDLESS)
            assert client.reply().status == 413
        assert server.get("/health").status == 200

        server.process.send_signal(signal.SIGSTOP)
        sockets = [server.raw() for _ in range(24)]
        server.process.send_signal(signal.SIGCONT)
        for sock in sockets:
            client = Client(server.context.wrap_socket(sock) if server.context else sock)
            server.clients.append(client)
            assert client.is_open()


def test_who_sends_and_leaves_at_once(plain):
    for how in "closes", "half-closes":
        for _ in range(50):
            client = plain.client().send(ASKING["a post"].encode())
            LEAVING[how](client)
    plain.until(gone=100, parked=0, exchanges=1)


def test_replies_reach_all_who_waited(server):
    clients = [server.client().send(ASKING[kind].encode()) for kind in ASKING for _ in range(20)]
    server.until(parked=80)
    assert server.get("/release").body == b"80"
    for client in clients:
        assert client.reply().body == b"released"
    for client in clients[-20:]:
        assert client.reply().status == 200  # the pipelined one
    for client in clients:
        assert client.is_open()
    assert server.stats()["gone"] == 0


def test_a_reply_that_cannot_be_made_ends_the_connection(server):
    client = server.client().send(b"GET /broken HTTP/1.1\r\nHost: x\r\n\r\n")
    assert client.ended()
    clients = [server.client().send(ASKING[kind].encode()) for kind in ASKING]
    server.until(parked=4)
    assert server.get("/spoil").status == 200
    assert all(client.ended() for client in clients)
    assert server.until(exchanges=1)["gone"] == 0


CLOSE = "Host: x\r\nConnection: close\r\n"
SCARCE = {
    "a request": f"GET /health HTTP/1.1\r\n{CLOSE}\r\n",
    "repeated headers": f"GET /echo HTTP/1.1\r\n{CLOSE}X-Test: a\r\nX-Test: b\r\n\r\n",
    "repeated options": "GET /wait HTTP/1.1\r\nHost: x\r\nX-Wait: 1\r\n"
                        "Connection: te\r\nConnection: close\r\n\r\n",
    "an upgrade": "GET /health HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: te\r\n"
                  "Connection: upgrade\r\n\r\nnot HTTP\r\n",
    "an encoded body": f"POST /echo HTTP/1.1\r\n{CLOSE}Content-Encoding: identity\r\n"
                       "Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
    "a body": post("/echo", "x" * 50000, "Connection: close\r\n"),
    "no such route": f"GET /nope HTTP/1.1\r\n{CLOSE}Mark: a\r\nMark: b\r\n\r\n",
    "no such method": f"PUT /echo HTTP/1.1\r\n{CLOSE}\r\n",
    "a stream": f"GET /stream HTTP/1.1\r\n{CLOSE}X-Wait: 1\r\n\r\n",
    "no request": "no request\r\n\r\n",
}


@pytest.mark.parametrize("name", SCARCE)
def test_without_memory_the_answer_is_as_ever_or_none(server, name):
    answers = []
    for fails_at in range(20):
        client = server.client()
        client.get("/fail", f"X-Fail: {fails_at}\r\n")
        with contextlib.suppress(OSError):
            client.send(SCARCE[name].encode())
        while client.fill():
            pass
        answers.append(re.sub(rb"\r\nDate: [^\r]+", b"", client.data))
        client.sock.close()
        with contextlib.suppress(AssertionError, OSError):  # this request may be the one that fails
            server.get("/fail", "Connection: close\r\n")
    assert answers[0].startswith(b"HTTP/1.1 ")
    assert set(answers) == {answers[0], b""}, name
    server.until(connections=1, exchanges=1)


# --- TLS -------------------------------------------------------------------------------------------


def tls_client(server, **settings):
    """A client with an SSL context of its own that has these attributes. For it, the end of a
    connection without a TLS close is an error."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers(settings.pop("ciphers", "DEFAULT"))
    context.set_alpn_protocols(settings.pop("protocols", []))
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    session = settings.pop("session", None)
    if session:
        context = settings.pop("context")
    for name, value in settings.items():
        setattr(context, name, value)
    client = Client(context.wrap_socket(server.raw(), session=session,
                                        suppress_ragged_eofs=False))
    server.clients.append(client)
    return client


TLS_1_2 = {"minimum_version": ssl.TLSVersion.TLSv1_2, "maximum_version": ssl.TLSVersion.TLSv1_2}
TLS_1_3 = {"minimum_version": ssl.TLSVersion.TLSv1_3, "maximum_version": ssl.TLSVersion.TLSv1_3}


@pytest.fixture(params=["ecdsa", "rsa"])
def tls(request):
    with serving(**request.getfixturevalue("pem" if request.param == "ecdsa" else "rsa_pem")) as it:
        it.certificate = request.param
        yield it


def test_tls_1_3_and_1_2_with_forward_secrecy_are_spoken(tls):
    client = tls_client(tls, **TLS_1_3)
    assert client.is_open()
    assert client.sock.version() == "TLSv1.3"
    for cipher in "AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305":
        client = tls_client(tls, ciphers=f"ECDHE-{tls.certificate.upper()}-{cipher}", **TLS_1_2)
        assert client.is_open()
        assert client.sock.version() == "TLSv1.2"
        assert client.sock.cipher()[0] == f"ECDHE-{tls.certificate.upper()}-{cipher}"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_older_versions_of_tls_are_refused(tls, version):
    with pytest.raises(ssl.SSLError) as refused:
        tls_client(tls, ciphers="ALL:@SECLEVEL=0", minimum_version=version, maximum_version=version)
    assert refused.value.reason == "TLSV1_ALERT_PROTOCOL_VERSION"
    assert tls_client(tls).is_open()


@pytest.mark.parametrize("ciphers", [
    "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384",
    "AES128-GCM-SHA256:AES256-GCM-SHA384", "AES128-SHA", "ECDHE-ECDSA-AES128-CCM"])
def test_ciphers_without_forward_secrecy_or_with_cbc_are_refused(tls, ciphers):
    with pytest.raises(ssl.SSLError) as refused:
        tls_client(tls, ciphers=f"{ciphers}:@SECLEVEL=0", **TLS_1_2)
    assert "ALERT" in refused.value.reason
    assert tls_client(tls).is_open()


@pytest.mark.parametrize("offered,chosen", [
    (["h2", "http/1.1"], "http/1.1"), (["http/1.1"], "http/1.1"), ([], None)])
@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3], ids=["1.2", "1.3"])
def test_the_protocol_is_agreed_on(tls, version, offered, chosen):
    client = tls_client(tls, protocols=offered, **version)
    assert client.sock.selected_alpn_protocol() == chosen
    assert client.is_open()


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3], ids=["1.2", "1.3"])
def test_a_session_is_resumed_by_its_ticket(tls, pem, version):
    first = tls_client(tls, **version)
    assert first.is_open()  # reads the tickets of TLS 1.3
    assert first.sock.session.has_ticket and not first.sock.session_reused
    context, session = first.sock.context, first.sock.session
    first.sock.close()
    for _ in range(2):
        again = tls_client(tls, context=context, session=session)
        assert again.is_open()
        assert again.sock.session_reused
        session = again.sock.session
    with serving(**pem) as other:
        stranger = tls_client(other, context=context, session=session)
        assert stranger.is_open()
        assert not stranger.sock.session_reused


ENDING = {
    "a reply that closes": lambda client: client.get("/health", "Connection: close\r\n"),
    "a reply that waited": lambda client: client.get("/wait", "X-Wait: 1\r\nConnection: close\r\n"),
    "a refusal": lambda client: client.ask("GET / HTTP/1.1\r\n\r\n"),
    "a refusal of what is being sent": lambda client: client.send(b"x" * 100_000).reply(),
    "a head that took too long": lambda client: client.ask("GET /"),
    "idling": lambda client: client.get("/health"),
    "no request at all": lambda client: None,
}


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize("how", ENDING)
def test_tls_ends_before_its_connection(pem, how, version):
    """Without it, the end might be a truncation by a third party."""
    with serving(**pem, **SHORT, idle_ms=800) as server:
        client = tls_client(server, **version)
        ENDING[how](client)
        assert client.sock.recv(1) == b""


def test_tls_ends_when_the_server_does(pem):
    server = Server(**pem)
    clients = [tls_client(server) for _ in range(2)]
    assert clients[0].is_open()
    clients[1].send(ASKING["a get"].encode())
    server.until(parked=1)
    server.clients.clear()
    assert server.stop() == "end gone=1 left=0\n"
    for client in clients:
        assert client.sock.recv(1) == b""
        client.sock.close()


def test_requests_in_any_number_of_records(pem):
    """However many arrive at the server together."""
    requests = [post("/echo", f"body {i}").encode() for i in range(100)]
    with serving(**pem) as server:
        whole = b"".join(requests)
        for pieces in [whole], requests, [bytes([byte]) for byte in whole]:
            client = server.client()
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            for piece in pieces:
                client.send(piece)
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
            for i in range(100):
                assert client.reply().body == f"body {i}".encode()
            assert client.is_open()


def heard(program, wanted):
    """Reads a program's output until it contains this."""
    said, deadline = b"", time.monotonic() + WAIT
    while wanted not in said:
        left = max(0, deadline - time.monotonic())
        assert select.select([program.stdout], [], [], left)[0], said
        more = os.read(program.stdout.fileno(), 65536)
        assert more, said
        said += more
    return said


def unread(server):
    """Bytes in the receive buffers of the server's connections."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table]
    return sum(int(row[4].split(":")[1], 16) for row in rows
               if row[1].endswith(f":{server.port:04X}") and row[3] == "01")


@pytest.mark.parametrize("line", [b"k\n", b"K\n"])
def test_new_keys_do_not_hide_the_request_behind_them(pem, line):
    """On a line of its own, "k" makes openssl update its keys, and "K" the server's keys as well.
    """
    request = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    with serving(**pem) as server, subprocess.Popen(
            ["openssl", "s_client", "-tls1_3", "-connect", f"127.0.0.1:{server.port}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            bufsize=0) as client:
        try:
            client.stdin.write(request)
            heard(client, b'{"status": "ok"}')
            server.process.send_signal(signal.SIGSTOP)
            client.stdin.write(line)
            heard(client, b"KEYUPDATE")
            client.stdin.write(request)
            deadline = time.monotonic() + WAIT
            while unread(server) < len(request):
                assert time.monotonic() < deadline
            server.process.send_signal(signal.SIGCONT)
            heard(client, b'{"status": "ok"}')
        finally:
            client.kill()


def test_a_record_of_which_a_part_has_come(pem):
    """The rest is awaited like any other part of a request, and does not prolong a body's time."""
    with serving(**pem) as server:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tunnel = server.context.wrap_bio(incoming, outgoing)
        raw = server.raw()
        while True:
            try:
                tunnel.do_handshake()
                break
            except ssl.SSLWantReadError:
                raw.sendall(outgoing.read())
                incoming.write(raw.recv(65536))
        tunnel.write(post("/echo", "x" * 1000).encode())
        record = outgoing.read()
        for at in range(0, len(record), 100):
            raw.sendall(record[at:at + 100])
            assert server.get("/health").status == 200
        reply = b""
        while not reply.endswith(b"x" * 1000):
            try:
                reply += tunnel.read(65536)
            except ssl.SSLWantReadError:
                more = raw.recv(65536)
                assert more
                incoming.write(more)
        assert reply.startswith(b"HTTP/1.1 200 ")
        raw.close()


def test_records_of_one_byte_delay_no_other_client(pem):
    """One turn does not read all that have arrived."""
    with serving(**pem) as server:
        client, other = server.client(), server.client()
        assert client.is_open() and other.is_open()
        server.process.send_signal(signal.SIGSTOP)
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        for byte in post("/echo", "x" * 1000):
            client.send(byte.encode())
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        client.flush()
        other.send(b"GET /stats HTTP/1.1\r\nHost: x\r\n\r\n").flush()
        server.process.send_signal(signal.SIGCONT)
        assert json.loads(other.reply().body)["handled"] == 0
        assert client.reply().body == b"x" * 1000


def test_no_handshake_is_computed_for_who_has_left(pem):
    with serving(**pem) as server:
        hello = ssl.MemoryBIO()
        with contextlib.suppress(ssl.SSLWantReadError):
            server.context.wrap_bio(ssl.MemoryBIO(), hello).do_handshake()
        server.process.send_signal(signal.SIGSTOP)
        client = Client(server.raw())
        client.send(hello.read()).sock.shutdown(socket.SHUT_WR)
        client.flush()
        server.process.send_signal(signal.SIGCONT)
        assert client.ended()
        client.sock.close()


def test_the_end_of_a_handshake_is_acknowledged_at_once(pem):
    """Otherwise a client with Nagle's algorithm would usually send its first request 40 ms later.
    """
    with serving(**pem) as server:
        def are_most_answered_at_once():
            times = []
            for _ in range(15):
                client = tls_client(server, **TLS_1_3)
                begun = time.monotonic()
                assert client.is_open()
                times.append(time.monotonic() - begun)
            return sorted(times)[10] < 0.03
        eventually(are_most_answered_at_once, "most are answered at once")


class GnuTls:
    """A TLS 1.3 client that makes records that Python's ssl cannot make."""

    def __init__(self, raw):
        self.raw, self.library = raw, ctypes.CDLL("libgnutls.so.30")
        self.session, self.credentials = ctypes.c_void_p(), ctypes.c_void_p()
        self.call("init", ctypes.byref(self.session), 2)  # a client
        self.call("set_default_priority", self.session)
        self.call("certificate_allocate_credentials", ctypes.byref(self.credentials))
        self.call("credentials_set", self.session, 1, self.credentials)
        self.library.gnutls_transport_set_int2(self.session, raw.fileno(), raw.fileno())
        raw.settimeout(None)
        self.call("handshake", self.session)

    def call(self, name, *arguments):
        result = getattr(self.library, f"gnutls_{name}")(*arguments)
        assert result >= 0, (name, result)
        return result

    def send(self, text):
        self.call("record_send", self.session, text.encode(), ctypes.c_size_t(len(text)))

    def send_empty(self):
        none, padding = ctypes.c_size_t(0), ctypes.c_size_t(9)
        self.call("record_send2", self.session, b"", none, padding, 0)

    def change_keys(self, flags=0):
        self.call("session_key_update", self.session, flags)

    def change_all_keys(self):
        self.change_keys(1)  # the server's, too

    @contextlib.contextmanager
    def at_once(self):
        """What is sent inside arrives together."""
        self.raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        yield
        self.raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)

    def hears(self, text):
        heard, piece = b"", ctypes.create_string_buffer(65536)
        while text.encode() not in heard:
            assert select.select([self.raw], [], [], WAIT)[0], heard
            count = self.library.gnutls_record_recv(self.session, piece,
                                                    ctypes.c_size_t(len(piece)))
            assert count > 0 or count == -28, (heard, count)  # a ticket, or keys
            heard = heard[-len(text):] + piece.raw[:max(count, 0)]

    def close(self):
        self.library.gnutls_deinit(self.session)
        self.library.gnutls_certificate_free_credentials(self.credentials)
        self.raw.close()


@pytest.fixture
def gnutls(pem):
    with serving(**pem) as server:
        client = GnuTls(server.raw())
        yield client
        client.close()


@pytest.mark.parametrize("record", ["send_empty", "change_keys", "change_all_keys"])
def test_a_record_with_nothing_in_it_hides_none_behind_it(gnutls, record):
    for before, after in ("", post("/echo", "first")), (post("/echo", "second")[:9],
                                                        post("/echo", "second")[9:]):
        with gnutls.at_once():
            if before:
                gnutls.send(before)
            getattr(gnutls, record)()
            gnutls.send(after)
        gnutls.hears(after[-5:])
    gnutls.send("GET /wait HTTP/1.1\r\nHost: x\r\nX-Wait: 200\r\n\r\n")
    with gnutls.at_once():
        getattr(gnutls, record)()
        gnutls.send(post("/echo", "third"))
    gnutls.hears("waited")
    gnutls.hears("third")


@pytest.mark.parametrize("times", [1, 2])
def test_new_keys_do_not_break_a_stream_that_is_stuck(gnutls, times):
    gnutls.send("GET /flow HTTP/1.1\r\nHost: x\r\nX-Wait: 1\r\n\r\n")
    gnutls.hears("HTTP/1.1 200 ")
    for _ in range(times):
        gnutls.change_all_keys()
        time.sleep(0.1)  # the client sets the pace: the stream is stuck meanwhile
    gnutls.hears("\r\n0\r\n\r\n")
    gnutls.send(post("/echo", "after"))
    gnutls.hears("after")


# --- draining and the end --------------------------------------------------------------------------


def test_draining(server):
    idle = server.client()
    used = server.client()
    assert used.is_open()
    waiting = [server.client().send(ASKING[kind].encode()) for kind in ASKING]
    server.until(parked=4)
    busy = server.client()
    busy.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na")
    server.until(exchanges=6)
    server.process.send_signal(signal.SIGHUP)
    assert used.ended()
    assert idle.ended()
    reply = busy.send(b"bc").reply()
    assert (reply.body, reply.one("connection")) == (b"abc", "close")
    assert busy.ended()
    reply = server.get("/release")
    assert (reply.body, reply.one("connection")) == (b"4", "close")
    for client in waiting:
        reply = client.reply()
        assert (reply.body, reply.one("connection")) == (b"released", "close")
        assert client.ended()


def test_a_reply_that_is_being_sent_when_draining_begins_is_the_last(server):
    """The head, sent before, did not announce that."""
    client = server.client()
    client.send(2 * b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n").fill()
    server.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + WAIT
    while not server.get("/health").all("connection"):
        assert time.monotonic() < deadline
    reply = client.reply()
    assert (len(reply.body), reply.all("connection")) == (8 * 1024 * 1024, [])
    assert client.ended()


def test_a_request_that_has_come_when_draining_begins_is_answered(server):
    client = server.client()
    assert client.is_open()
    server.process.send_signal(signal.SIGSTOP)
    server.process.send_signal(signal.SIGHUP)
    client.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").flush()
    server.process.send_signal(signal.SIGCONT)
    assert client.reply().status == 200  # "close" unless the reply is made before the signal is handled
    assert client.ended()


def test_time_to_ask_while_draining_counts_from_its_begin(server):
    """The time counts from the signal, however long ago the client connected or began a request."""
    fresh, begun, slow = (server.client() for _ in range(3))
    for client in begun, slow:
        client.send(b"GET /health HTTP/1.1\r\nHost:")
    select.select([], [], [], 2.2)
    used = server.client()
    assert used.is_open()
    drained = time.monotonic()
    server.process.send_signal(signal.SIGHUP)
    while "close" not in used.get("/health").all("connection"):
        assert time.monotonic() - drained < WAIT
    assert used.ended()

    for client, rest in (fresh, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"), (begun, b" x\r\n\r\n"):
        reply = client.send(rest).reply()
        assert (reply.status, reply.one("connection")) == (200, "close")
    assert slow.reply().status == 408
    assert slow.ended()
    assert 1.5 < time.monotonic() - drained < WAIT


def test_draining_prolongs_nothing(options):
    def drain_during_a_head():
        with serving(**options, **SHORT) as server:
            client = server.client()
            client.send(b"GET /hea")
            server.process.send_signal(signal.SIGHUP)
            assert client.reply().status == 408
            assert client.ended()
    soon(1.5, drain_during_a_head)


def test_stop_accepting_leaves_connections_in_the_queue(plain):
    client = plain.client()
    assert client.is_open()
    plain.process.send_signal(signal.SIGUSR1)
    assert client.is_open()  # the signal has been handled by now
    late = plain.client().send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    for _ in range(20):
        assert client.is_open()
    assert not select.select([late.sock], [], [], 0.1)[0]


def test_the_end_tells_all_who_wait(request):
    for options in {}, request.getfixturevalue("pem"):
        server = Server(**options)
        for kind in ASKING:
            for _ in range(5):
                server.client().send(ASKING[kind].encode())
        server.until(parked=20)
        held = server.clients
        server.clients = []
        assert server.stop() == "end gone=20 left=0\n"
        assert all(client.ended() for client in held[:20])


# --- many ----------------------------------------------------------------------------------------------


def test_two_thousand_connections_and_back(plain):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    try:
        fds, memory = plain.descriptors(), None
        for _ in range(4):
            clients = [plain.client() for _ in range(2000)]
            for i, client in enumerate(clients):
                client.send([b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /hea",
                             ASKING["a get"].encode(), b""][i % 4])
            for client in clients[::4]:
                assert client.reply().status == 200
            plain.until(parked=500)
            assert plain.stats()["connections"] >= 2000
            for i, client in enumerate(clients):
                client.reset() if i % 2 else client.sock.close()
            plain.until(connections=1, parked=0)
            deadline = time.monotonic() + WAIT
            while plain.descriptors() > fds:
                assert time.monotonic() < deadline
            if memory is None:
                memory = plain.resident()
        if not IS_SANITIZED:
            assert plain.resident() < memory + 2 * 1024 * 1024
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_requests_are_counted(plain):
    client = plain.client()
    for _ in range(3):
        assert client.is_open()
    assert client.get("/nope").status == 404
    assert client.get("/wait", "X-Wait: 1\r\n").status == 200
    series = 'http_requests_total{{route="{}",status="{}"}}'
    assert plain.metric(series.format("/health", 200)) == 3
    assert plain.metric(series.format("other", 404)) == 1
    assert plain.metric(series.format("/ip", 200)) == 1
    assert plain.metric("http_connections_open") == 1 + 4
