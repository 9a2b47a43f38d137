# SPDX-License-Identifier: MIT
"""echo_server, the HTTP server with routes made for its tests, and their clients."""
import contextlib
import fcntl
import json
import os
import re
import resource
import select
import socket
import ssl
import struct
import subprocess
import termios
import time

import pytest

from harness.waiting import PATIENCE

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


# --- what clients send ----------------------------------------------------------------------


def post(path, body, extra=""):
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{extra}\r\n{body}"


SMUGGLED = "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"
HELLO = b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"
BEFORE = {
    "first": lambda client: None,
    "after another": lambda client: client.get("/health"),
    "after a body in chunks": lambda client: client.ask(
        "GET /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0;a=b\r\n\r\n"),
}
ASKING = {
    "a get": "GET /park HTTP/1.1\r\nHost: x\r\n\r\n",
    "a post": post("/park", "body"),
    "chunks": "POST /park HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "pipelined": post("/park", "body") + SMUGGLED,
}


TLS_1_2 = {"minimum_version": ssl.TLSVersion.TLSv1_2, "maximum_version": ssl.TLSVersion.TLSv1_2}
TLS_1_3 = {"minimum_version": ssl.TLSVersion.TLSv1_3, "maximum_version": ssl.TLSVersion.TLSv1_3}


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


def unread(server):
    """Bytes in the receive buffers of the server's connections."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table]
    return sum(int(row[4].split(":")[1], 16) for row in rows
               if row[1].endswith(f":{server.port:04X}") and row[3] == "01")


# --- fixtures, of the test files that name this one in `pytest_plugins` -----------------------


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
