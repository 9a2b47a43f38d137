# SPDX-License-Identifier: MIT
"""The HTTP server alone: limits, clients that leave, and the end."""
import contextlib
import os
import re
import resource
import select
import signal
import socket
import ssl
import time

import pytest

from echo import (ASKING, BEFORE, Client, HELLO, IS_SANITIZED, SHORT, SMUGGLED, Server, WAIT, post,
                  serving, unread)
from harness.waiting import eventually, soon

pytest_plugins = ["echo"]


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

def drip(client, data, started=None):
    """Sends a byte now and then until the server ends the connection; returns the seconds since
    `started`. Pass it if the server's clock may have begun before this."""
    started = started or time.monotonic()
    for byte in data:
        try:
            client.send(bytes([byte]))
        except OSError:
            break
        if client.hears_within(0.02):
            break
        assert time.monotonic() - started < WAIT, "may go on for ever"
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
    started = time.monotonic()
    client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
    assert drip(client, b"x" * 900, started) > 0.2
    reply = client.reply()
    assert (reply.status, reply.body) == (408, b'{"detail": "TIMEOUT"}')
    assert client.ended()


@pytest.mark.parametrize("before", ["nothing", "a request", "a wait"])
def test_idle_connections_end_quietly(options, before):
    idle_ms = 800 if before == "nothing" else 3000  # a busy machine may send a request late
    with serving(**options, idle_ms=idle_ms) as server:
        started = time.monotonic()  # ahead of the server's own clock: a reply may be read late
        client = server.client()
        if before == "a request":
            assert client.is_open()
        if before == "a wait":
            assert client.get("/wait", "X-Wait: 10\r\n").status == 200
        assert client.ended()
        assert idle_ms / 1000 <= time.monotonic() - started < WAIT


@pytest.mark.parametrize("sent", [b"", HELLO[:1], HELLO])
def test_a_handshake_that_stalls_is_ended(pem, sent):
    with serving(handshake_ms=800, **pem) as server:
        started = time.monotonic()
        client = Client(server.raw())
        client.send(sent)
        assert client.ended()
        assert time.monotonic() - started > 0.7
        assert server.metric("http_connections_timed_out_total") == 1


def test_a_handshake_that_trickles_is_not_prolonged(pem):
    with serving(handshake_ms=400, **pem) as server:
        hello = b"\x16\x03\x01\x10\0\x01\0\x0f\xfc"
        started = time.monotonic()
        assert drip(Client(server.raw()), hello + b"\x03" * 4000, started) > 0.3


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
    eventually(lambda: hasty.metric("http_connections_timed_out_total") >= 1, "it is ended")
    hasty.until(exchanges=1)


def test_a_reply_that_is_read_steadily_may_take_longer(options):
    """8 MiB in more than four seconds, with a limit of two seconds for each pause."""
    with serving(**options, send_ms=2000) as server:
        client = server.client()
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        client.send(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        received = 0
        started = time.monotonic()
        while received < 8 * 1024 * 1024:
            piece = client.sock.recv(16 * 1024)
            assert piece, f"ended after {received} bytes"
            received += len(piece)
            ahead = received / (1.8 * 1024 * 1024) - (time.monotonic() - started)
            if ahead > 0.01:
                time.sleep(ahead)  # the pace of the reader
        assert time.monotonic() - started > 4
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
