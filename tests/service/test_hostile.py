# SPDX-License-Identifier: MIT
"""Malicious and broken clients. Each must get a clear status or a closed connection. Afterwards the
service still answers, and holds no more descriptors and memory than before."""
import contextlib
import getpass
import json
import resource
import socket
import time

import pytest

from harness import proxies, targets
from harness.http import check_body, chunked
from harness.waiting import SANITIZER, eventually

JSON = ("Content-Type", "application/json")
MIB = 1 << 20

heavy = pytest.mark.heavy


@contextlib.contextmanager
def unharmed(service, memory=4 * MIB):
    """What happens inside leaves no trace in the service."""
    for _ in range(10):
        assert service.check([9]).status == 200
    descriptors, resident = service.at_rest()
    yield
    eventually(lambda: service.get("/health").status == 200, "it answers")
    eventually(lambda: service.at_rest()[0] <= descriptors,
               f"descriptors are {descriptors} again")
    if not SANITIZER:
        eventually(lambda: service.at_rest()[1] <= resident + memory,
                   f"memory is back, {resident} bytes at first")


def answer_or_end(connection):
    """The statuses of all replies until the connection ends or no more arrive."""
    statuses = []
    try:
        while True:
            statuses.append(connection.reply().status)
    except (EOFError, ConnectionError, TimeoutError):
        return statuses


# --- one request that is read as two ------------------------------------------------------

# The request that a smuggler hides. It runs only if smuggling works.
INNER = b"GET /ip HTTP/1.1\r\nHost: localhost\r\nX-Smuggled: 1\r\n\r\n"
BODY = b'{"provider_ip": "127.0.0.1", "ports": []}'


def post(headers, body):
    lines = [b"POST /check-ports HTTP/1.1", b"Host: localhost", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def length(number):
    return b"Content-Length: %d" % number


CHUNKED = b"Transfer-Encoding: chunked"
ENDED = b"0\r\n\r\n" + INNER  # chunks end here, INNER stands behind them
WRAPPED = chunked(INNER)      # INNER is a chunk
LONG = len(ENDED)

# Readers of Content-Length and readers of chunks disagree where these end.
SMUGGLED = {
    "length, then chunked": post([length(LONG), CHUNKED], ENDED),
    "chunked, then length": post([CHUNKED, length(LONG)], ENDED),
    "short length, chunked": post([length(4), CHUNKED], WRAPPED),
    "chunked, short length": post([CHUNKED, length(4)], WRAPPED),
    "length 0, chunked": post([length(0), CHUNKED], WRAPPED),
    "two lengths": post([length(len(BODY)), length(len(BODY + INNER))], BODY + INNER),
    "two lengths, long first": post([length(len(BODY + INNER)), length(len(BODY))],
                                    BODY + INNER),
    "a list of lengths": post([b"Content-Length: 41, 105"], BODY + INNER),
    "signed length": post([b"Content-Length: +105"], BODY + INNER),
    "negative length": post([b"Content-Length: -1"], INNER),
    "hexadecimal length": post([b"Content-Length: 0x29"], BODY + INNER),
    "empty length": post([b"Content-Length:"], INNER),
    "huge length": post([b"Content-Length: 18446744073709551657"], BODY + INNER),
    "length with a letter": post([b"Content-Length: 41a"], BODY + INNER),
    "length with a space inside": post([b"Content-Length: 4 1"], BODY + INNER),
    "space before the colon": post([b"Content-Length : 105", length(0)], INNER),
    "chunked, space before the colon": post([length(LONG), b"Transfer-Encoding : chunked"],
                                            ENDED),
    "chunked on a folded line": post([length(LONG), b"Transfer-Encoding:\r\n chunked"],
                                     ENDED),
    "folded into another header": post(
        [length(LONG), b"X: y\r\n Transfer-Encoding: chunked"], ENDED),
    "chunked behind a tab": post([length(LONG), b"Transfer-Encoding:\tchunked"], ENDED),
    "chunked behind a vertical tab": post([length(LONG), b"Transfer-Encoding: \x0bchunked"],
                                          ENDED),
    "another coding": post([length(LONG), b"Transfer-Encoding: xchunked"], ENDED),
    "chunked in quotes": post([length(LONG), b'Transfer-Encoding: "chunked"'], ENDED),
    "identity": post([length(LONG), b"Transfer-Encoding: identity"], ENDED),
    "chunked is not the last": post([length(LONG), b"Transfer-Encoding: chunked, identity"],
                                    ENDED),
    "two codings": post([CHUNKED, b"Transfer-Encoding: identity", length(4)], WRAPPED),
    "chunked twice": post([length(4), CHUNKED, CHUNKED], WRAPPED),
    "a bare CR in a header": post([length(LONG), b"X: y\rTransfer-Encoding: chunked"],
                                    ENDED),
    "a NUL in a header": post([length(LONG), b"X: \0y", CHUNKED], ENDED),
    "a header without a name": post([length(LONG), b": chunked", CHUNKED], ENDED),
    "HTTP/1.0 with chunks": post([CHUNKED, length(4)], WRAPPED)
    .replace(b"/1.1", b"/1.0", 1),
    "negative chunk": post([CHUNKED], b"-1\r\n" + INNER + b"\r\n0\r\n\r\n"),
    "huge chunk": post([CHUNKED], b"10000000000000000\r\n" + INNER + b"\r\n0\r\n\r\n"),
    "hexadecimal prefix": post([CHUNKED], b"0x1\r\nA\r\n0\r\n\r\n" + INNER),
    "a chunk that is too long": post([CHUNKED], b"2\r\nABCD\r\n0\r\n\r\n" + INNER),
    "a chunk without its end": post([CHUNKED], b"2\r\nAB0\r\n\r\n" + INNER),
    "no chunk size": post([CHUNKED], b"\r\n\r\n" + INNER),
    "a chunk size that is no number": post([CHUNKED], b"zz\r\n\r\n" + INNER),
}


def requests_for_ip(service):
    return sum(value for name, value in service.metrics().items()
               if name[:2] == ("port_checker_http_requests_total", "/ip"))


@pytest.mark.parametrize("form", SMUGGLED)
def test_what_may_be_read_in_two_ways_is_refused(shared, form):
    before = requests_for_ip(shared)
    with shared.connect() as connection:
        connection.send(SMUGGLED[form])
        connection.half_close()
        statuses = answer_or_end(connection)

        assert len(statuses) <= 1 and set(statuses) <= {400, 408, 413, 422, 501}, statuses
    assert requests_for_ip(shared) == before


@pytest.mark.parametrize("form", ["length, then chunked", "chunked, then length",
                                  "two lengths", "two lengths, long first"])
def test_the_classic_forms_are_a_400_that_says_why(shared, form):
    with shared.connect() as connection:
        connection.send(SMUGGLED[form])
        reply = connection.reply()

        assert (reply.status, reply.json()["code"]) == (400, "bad_framing")
        assert "Content-Length" in reply.json()["detail"]
        assert connection.is_ended(), "what stands behind is never read"


@pytest.mark.parametrize("header, remedy", [
    (b"Host: localhost\r\n", "one Host"), (b"X-Folded: a\r\n b\r\n", "on one line"),
    (b"X-Nul: a\0b\r\n", "control characters"),
])
def test_a_header_that_may_be_read_in_two_ways_is_not_called_a_length(shared, header, remedy):
    with shared.connect() as connection:
        connection.send(b"GET /ip HTTP/1.1\r\nHost: localhost\r\n" + header + b"\r\n")
        reply = connection.reply()

        assert (reply.status, reply.json()["code"]) == (400, "bad_framing")
        assert remedy in reply.json()["detail"]


@pytest.mark.parametrize("form", SMUGGLED)
def test_also_as_a_later_request(shared, form):
    before = requests_for_ip(shared)
    with shared.connect() as connection:
        assert connection.exchange("GET", "/health").status == 200
        connection.request("GET", "/health")
        connection.send(SMUGGLED[form])
        connection.half_close()
        statuses = answer_or_end(connection)

        assert statuses[:1] in ([200], []) and len(statuses) <= 2
    assert requests_for_ip(shared) == before


CLIENT = "192.168.55.1"  # of the proxy: a caller that a proxy names is never a loopback address


@pytest.mark.parametrize("kind", proxies.KINDS)
def test_nothing_is_smuggled_past_a_real_proxy(start, tmp_path, later, add_address, kind):
    add_address(CLIENT)
    service = start(PORT_CHECKER_TRUSTED_PROXIES="127.0.0.2", PORT_CHECKER_WORKERS=1)
    proxy = proxies.Proxy(kind, tmp_path, service.port)
    later.callback(proxy.close)
    with proxy.connect() as connection:
        for _ in range(3):
            assert connection.exchange("GET", "/health").status == 200
        assert connection.exchange("GET", "/ip").status == 403, "the proxy's own rule"
    accepted = service.metric("http_connections_accepted_total")

    for form, request in SMUGGLED.items():
        with proxy.connect(CLIENT) as attacker, proxy.connect(CLIENT) as victim:
            attacker.socket.settimeout(0.2)  # the proxy may wait for the rest of some of them
            attacker.send(request)
            answer_or_end(attacker)
            for _ in range(2):
                reply = victim.exchange("GET", "/health")
                assert (reply.status, reply.body) == (200, b'{"status": "ok"}'), form
            reply = victim.exchange("POST", "/check-ports", [JSON], check_body([9], CLIENT))
            assert list(reply.json()["results"]) == ["9"], form
        assert requests_for_ip(service) == 0, form
    accepted = service.metric("http_connections_accepted_total") - accepted
    by_proxy = accepted - len(SMUGGLED) - 1  # ours, for the metrics
    assert by_proxy < 3 * len(SMUGGLED), "the proxy did use its connections again"


@pytest.mark.parametrize("kind", proxies.KINDS)
def test_a_check_behind_a_real_proxy(start, tmp_path, later, add_address, kind, open_port):
    add_address(CLIENT)
    service = start(PORT_CHECKER_TRUSTED_PROXIES="127.0.0.2", PORT_CHECKER_TARGETS="caller")
    proxy = proxies.Proxy(kind, tmp_path, service.port)
    later.callback(proxy.close)
    port = open_port(CLIENT)
    with proxy.connect(CLIENT) as connection:
        for _ in range(5):
            reply = connection.exchange("POST", "/check-ports", [JSON],
                                        check_body([port], CLIENT))
            assert reply.json()["success"] is True
        reply = connection.exchange("POST", "/check-ports", [JSON],
                                    check_body([port], "127.0.0.1"))
        assert reply.json()["code"] == "target_not_allowed"
    with proxy.connect() as connection:
        reply = connection.exchange("POST", "/check-ports", [JSON],
                                    check_body([port], "127.0.0.1"))
        assert reply.json()["code"] == "caller_unknown"


# --- garbage ------------------------------------------------------------------------------

GARBAGE = {
    "random bytes": bytes((i * 197 + 31) % 256 for i in range(4096)),
    "NUL bytes": b"\0" * 5000,
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x11" * 500,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "only line ends": b"\r\n" * 5000,
    "no version": b"GET /health\r\n\r\n",
    "a version of the future": b"GET /health HTTP/9.9\r\nHost: a\r\n\r\n",
    "a path with NUL": b"GET /heal\0th HTTP/1.1\r\nHost: a\r\n\r\n",
    "a header without a colon": b"GET /health HTTP/1.1\r\nHost\r\n\r\n",
    "a long method": b"G" * 20000,
    "an endless line": b"GET /" + b"a" * (2 * MIB),
    "many headers": b"GET /health HTTP/1.1\r\n" + b"A: b\r\n" * 3000 + b"\r\n",
    "a huge header": b"GET /health HTTP/1.1\r\nA: " + b"b" * MIB + b"\r\n\r\n",
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_gets_a_clear_status_or_an_end(shared, kind):
    for before in (b"", b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"):
        with shared.connect() as connection:
            with contextlib.suppress(ConnectionError):
                connection.send(before + GARBAGE[kind])
                connection.half_close()
            statuses = answer_or_end(connection)

            extra = [status for status in statuses if status != 200]
            assert set(extra) <= {400, 404, 405, 408, 413, 414, 431, 501, 505}, statuses
            assert len(statuses) <= 2
    assert shared.get("/health").status == 200


@pytest.mark.parametrize("body", [
    b"[" * 60000, b'{"a":' * 10000, b"[" * 30000 + b"]" * 30000,
    b'{"provider_ip": ' + b"[" * 50000, b'{"ports": ' + b"[" * 1000 + b"]" * 1000 + b"}",
    b'"' + b"\\u0000" * 9000 + b'"', b"\0" * 60000, b"9" * 60000, b'"' + b"a" * 60000,
    b"{" + b'"a":1,' * 10000 + b'"a":1}', b"-" * 60000, b"1e" + b"9" * 50000,
    b"0." + b"0" * 60000 + b"1",
    b'{"provider_ip": "127.0.0.1", "ports": [' + b"0," * 10000 + b"0]}",
    b'{"provider_ip": "127.0.0.1", "ports": [' + b'"1-65535",' * 6000 + b'"x"]}',
], ids=lambda body: body[:16].decode().replace("\0", "0"))
def test_bodies_that_are_hard_to_read_are_a_422_at_once(shared, body):
    before = shared.processor_seconds()
    reply = shared.post(body)

    assert reply.status == 422, reply
    assert 1 <= len(json.loads(reply.body)["detail"]) <= 20
    assert shared.processor_seconds() - before < 1


# --- clients that leave -------------------------------------------------------------------


def begin_check(service, ports):
    connection = service.connect()
    connection.request("POST", "/check-ports", [JSON], check_body(ports))
    return connection


@pytest.mark.parametrize("leave", ["close", "reset", "half_close"])
def test_a_client_that_leaves_cancels_its_check(start, silent_ports, leave):
    service, ports = start(PORT_CHECK_TIMEOUT=20), silent_ports(1024)
    with unharmed(service):
        connections = [begin_check(service, ports) for _ in range(5)]
        eventually(lambda: service.metric("checks_running") == 5, "5 checks")
        for connection in connections:
            getattr(connection, leave)()
        eventually(lambda: service.metric("checks_running") == 0, "they are cancelled")
        eventually(lambda: service.metric("probes_in_flight") == 0, "so are the probes")
        for connection in connections:
            if leave == "half_close":
                assert connection.is_ended()
            connection.close()
    assert service.metric("checks_abandoned_total") == 5


@pytest.mark.parametrize("sent", [
    b"", b"G", b"GET /health HTTP/1.1\r\nHost:",
    b"POST /check-ports HTTP/1.1\r\nHost: a\r\n",
    post([length(100)], b"{"), post([CHUNKED], b"5\r\nab"), post([CHUNKED], b""),
])
@pytest.mark.parametrize("leave", ["close", "reset", "half_close"])
def test_a_client_that_leaves_in_the_middle(shared, sent, leave):
    with unharmed(shared):
        for _ in range(20):
            with shared.connect() as connection:
                connection.send(sent)
                getattr(connection, leave)()
                if leave == "half_close":
                    assert b"200 OK" not in connection.rest()


def test_clients_that_send_and_leave_at_once(shared, closed_port):
    ports = [closed_port() for _ in range(20)]
    with unharmed(shared):
        for number in range(200):
            connection = begin_check(shared, ports)
            if number % 2:
                connection.close()
            else:
                connection.reset()


def test_a_request_behind_a_check_does_not_hide_that_the_client_left(start, silent_ports):
    service, ports = start(PORT_CHECK_TIMEOUT=20), silent_ports(3)
    connection = begin_check(service, ports)
    connection.request("GET", "/health")
    eventually(lambda: service.metric("checks_running") == 1, "the check runs")
    connection.close()

    eventually(lambda: service.metric("checks_running") == 0, "it is cancelled")


# --- much at once -------------------------------------------------------------------------


def test_large_bodies_from_many_leave_no_memory_behind(shared):
    with unharmed(shared):
        for _ in range(3):
            connections = [shared.connect() for _ in range(30)]
            for connection in connections:
                connection.request("POST", "/check-ports", [JSON, length_of(10 * MIB)])
            for connection in connections:
                with contextlib.suppress(ConnectionError):
                    connection.send(b" " * MIB)
            for connection in connections:
                assert set(answer_or_end(connection)) <= {413}
                connection.close()


def length_of(size):
    return ("Content-Length", size)


def test_a_body_without_end_is_cut_off(shared):
    with unharmed(shared), shared.connect() as connection:
        connection.request("POST", "/check-ports", [JSON, ("Transfer-Encoding", "chunked")])
        piece = b"10000\r\n" + b" " * 65536 + b"\r\n"
        with pytest.raises(ConnectionError):
            for _ in range(100_000):
                connection.send(piece)


def test_thousands_of_pipelined_requests(shared):
    request = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
    with unharmed(shared), shared.connect() as connection:
        for _ in range(20):
            connection.send(request * 200)
            for _ in range(200):
                assert connection.reply().status == 200


def test_a_client_that_never_reads_does_not_fill_our_memory(shared):
    body = check_body(["1-1024"], details=True)
    request = post([length(len(body))], body)
    with unharmed(shared), shared.connect() as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.socket.setblocking(False)
        before = shared.resident()
        with contextlib.suppress(BlockingIOError):
            for _ in range(20000):
                connection.socket.send(request)
        assert shared.get("/health").status == 200
        if not SANITIZER:
            assert shared.resident() < before + 8 * MIB


@pytest.fixture
def limited(start):
    """A service whose limit of descriptors may be changed while it runs: as this user."""
    return start(PORT_CHECKER_WORKERS=1, PORT_CHECKER_USER=getpass.getuser())


def test_out_of_descriptors_clients_are_told(limited):
    service = limited
    assert service.check([9]).status == 200
    eventually(lambda: service.metric("http_connections_open") == 1, "it is at rest")
    usual = resource.prlimit(service.pid, resource.RLIMIT_NOFILE)
    limit = service.descriptors() + 2
    opened = []
    with unharmed(service):
        resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (limit, usual[1]))
        statuses = []
        for _ in range(20):
            connection = service.connect()
            opened.append(connection)
            connection.request("GET", "/health")
            statuses.append(connection.reply().status)
        assert set(statuses) == {200, 503} and statuses[0] == 200, statuses
        for connection in opened:
            connection.close()
        eventually(lambda: service.get("/health").status == 200, "there is room again")
        resource.prlimit(service.pid, resource.RLIMIT_NOFILE, usual)


def test_out_of_descriptors_probes_wait(limited, later):
    """EMFILE is the checker's own fault: the check takes longer, or is a 503."""
    ports = [targets.port_of(later.enter_context(targets.listener())) for _ in range(30)]
    service = limited
    usual = resource.prlimit(service.pid, resource.RLIMIT_NOFILE)
    with service.connect() as connection, service.connect() as other:
        for one in (connection, other):
            assert one.exchange("GET", "/health").status == 200
        limit = service.descriptors()
        resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (limit, usual[1]))
        connection.request("POST", "/check-ports", [JSON], check_body(ports, details=True))
        eventually(lambda: b'port_checker_local_faults_total{errno="EMFILE"} 0'
                   not in other.exchange("GET", "/metrics").body, "probes fail")
        resource.prlimit(service.pid, resource.RLIMIT_NOFILE, usual)
        reply = connection.reply()

        assert reply.status == 200, reply
        assert reply.json()["message"] == "Successfully verified 30 out of 30 ports"


@heavy
def test_5000_clients_at_once(start):
    service = start(PORT_CHECKER_MAX_CONNECTIONS=6000,
                    PORT_CHECKER_MAX_CONNECTIONS_PER_CALLER=6000)
    with unharmed(service, memory=8 * MIB), contextlib.ExitStack() as stack:
        # No /24 may have more than a quarter of the connections.
        clients = [stack.enter_context(service.connect(source=f"127.0.{i % 4}.1"))
                   for i in range(5000)]
        for client in clients:
            client.request("GET", "/health")
        for client in clients:
            assert client.reply().status == 200
        for client in clients:
            client.request("POST", "/check-ports", [JSON], check_body([9]))
        for client in clients:
            assert client.reply().status == 200


@heavy
def test_5000_clients_of_one_address_leave_room_for_others(start):
    service = start()
    statuses = []
    with unharmed(service, memory=8 * MIB), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(service.connect(source="127.0.0.2"))
                   for _ in range(5000)]
        for client in clients:
            with contextlib.suppress(ConnectionError):
                client.request("GET", "/health")
            statuses += answer_or_end(client) if statuses.count(200) >= 64 \
                else [client.reply().status]
        assert service.get("/health").status == 200
        assert statuses.count(200) == 64
        assert set(statuses) == {200, 429}


# --- slow clients -------------------------------------------------------------------------


class Slow:
    """Sends its bytes slowly, one by one, and records when the service gives up."""

    def __init__(self, service, begin, drip):
        self.connection = service.connect()
        self.connection.send(begin)
        self.connection.socket.setblocking(False)
        self.drip = drip
        self.begun = time.monotonic()
        self.said = b""
        self.ended = None

    def turn(self):
        if self.ended is not None:
            return
        try:
            if self.drip:
                self.connection.socket.send(self.drip)
            data = self.connection.socket.recv(65536)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        self.said += data
        if not data:
            self.ended = time.monotonic() - self.begun


def never_reads(service):
    """A client that requests a large reply and reads none of it."""
    connection = service.connect()
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
    connection.socket.setblocking(False)
    body = check_body(["1-1024"], details=True)
    with contextlib.suppress(BlockingIOError):
        for _ in range(100_000):
            connection.socket.send(post([length(len(body))], body))
    return connection


@heavy
def test_slow_clients_are_told_and_closed(start):
    """Time limits are absolute: bytes that trickle in do not extend them. 10 seconds for a head, 10
    for a body, 30 for a reply."""
    service = start()
    head = b"POST /check-ports HTTP/1.1\r\nHost: a\r\nX: "
    body = post([length(9000)], b" ")
    with unharmed(service):
        clients = [Slow(service, *one) for one in (
            (b"G", b""), (head, b""), (head, b"x"), (body, b""), (body, b" "),
            (post([CHUNKED], b"ffff\r\n"), b" "))]
        reader = never_reads(service)
        begun = time.monotonic()

        def all_ended():
            for client in clients:
                client.turn()
            assert service.get("/health").status == 200, "others are served meanwhile"
            time.sleep(0.1)  # the drip of the clients
            return all(client.ended is not None for client in clients)
        eventually(all_ended, "they are cut off", within=20)
        for client in clients:
            # One limit for all, not one for the head and another for the body.
            assert 9 <= client.ended < 20, client.ended
            assert client.said.startswith(b"HTTP/1.1 408 "), client.said
            assert b'"code": "request_timeout"' in client.said
            client.connection.close()
        timed_out = service.metric("http_connections_timed_out_total")
        assert timed_out == len(clients)

        eventually(lambda: service.metric("http_connections_timed_out_total") > timed_out,
                   "the reader is cut off", within=30)
        assert time.monotonic() - begun >= 29
        reader.close()
