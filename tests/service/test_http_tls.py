# SPDX-License-Identifier: MIT
"""The HTTP server alone: TLS."""
import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import ssl
import subprocess
import time

import pytest

from echo import (ASKING, Client, SHORT, Server, TLS_1_2, TLS_1_3, WAIT, post, serving, tls_client,
                  unread)
from harness.waiting import eventually

pytest_plugins = ["echo"]


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
    with serving(**pem, **SHORT, idle_ms=3000) as server:  # a busy machine may send late
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
    """Otherwise a client with Nagle's algorithm would usually send its first request 40 ms later
    than one without it."""
    with serving(**pem) as server:
        def took(*, is_nagle):
            client = tls_client(server, **TLS_1_3)
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, not is_nagle)
            begun = time.monotonic()
            assert client.is_open()
            return time.monotonic() - begun

        def are_most_as_quick():
            pairs = [(took(is_nagle=True), took(is_nagle=False)) for _ in range(15)]
            nagle, other = (sorted(times)[10] for times in zip(*pairs))
            return nagle < other + 0.02
        eventually(are_most_as_quick, "most are as quick")


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
