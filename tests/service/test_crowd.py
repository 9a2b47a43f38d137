# SPDX-License-Identifier: MIT
"""Crowds of connections without a request. They must not keep other clients out: at the limit, the
connection that has been waiting longest gives way, and no network has more than a quarter."""
import contextlib
import itertools
import threading
import time

import pytest

from attack import crowds
from harness.http import Connection, check_body
from harness.tls import make_pair, tls_settings, trusting
from harness.waiting import SANITIZER, eventually, sooner_than

JSON = ("Content-Type", "application/json")
MAX = 64
CROWD = 2 * MAX
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


# --- who comes ----------------------------------------------------------------------------


def sources(count):
    """Addresses of this machine in networks of their own."""
    return [f"127.{n // 250}.{n % 250 + 1}.1" for n in range(count)]


def unaccepted(service):
    """How many connections wait in the accept queues of the service."""
    count = 0
    for name in "tcp", "tcp6":
        with open(f"/proc/net/{name}", encoding="ascii") as table:
            rows = [row.split() for row in table]
        count += sum(int(row[4].split(":")[1], 16) for row in rows
                     if row[3] == "0A" and row[1].endswith(f":{service.port:04X}"))
    return count


class Crowd:
    """`count` connections that send `first` each, and then one byte of `endless` at a time."""

    def __init__(self, service, first=b"", endless=b"", count=CROWD, addresses=None):
        self.sockets = []
        self.endless = endless
        self.is_over = threading.Event()
        self.sender = threading.Thread(target=self._send)
        for source in itertools.islice(itertools.cycle(addresses or sources(16)), count):
            # a plain one, also for a service that expects TLS
            sock = Connection(service.address, source=source).socket
            self.sockets.append(sock)
            with contextlib.suppress(ConnectionError):
                sock.sendall(first)
            sock.setblocking(False)
        # Those that the service has not accepted yet would count as newcomers later on.
        eventually(lambda: unaccepted(service) == 0, "all have been accepted")

    def _send(self):
        for byte in itertools.cycle(self.endless):
            for sock in self.sockets:
                with contextlib.suppress(OSError):
                    sock.send(bytes([byte]))
            if self.is_over.wait(0.02):
                return

    def still_open(self):
        """How many the service has not ended; whatever it sent is thrown away."""
        def is_open(sock):
            try:
                while sock.recv(1 << 16):
                    pass
                return False
            except BlockingIOError:
                return True
            except ConnectionError:
                return False
        return sum(map(is_open, self.sockets))

    def __enter__(self):
        if self.endless:
            self.sender.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        if self.endless:
            self.sender.join()
        for sock in self.sockets:
            sock.close()


CROWDS = {
    "silent": {},
    "half a head": {"first": HEALTH[:-2]},
    "a head byte by byte": {"first": HEALTH[:-2], "endless": b"X: " + b"a" * 99 + b"\r\n"},
    "blank lines": {"endless": b"\r\n"},
    "half a body": {"first": b"POST /check-ports HTTP/1.1\r\nHost: localhost\r\n"
                             b"Content-Type: application/json\r\nContent-Length: 60\r\n\r\n{"},
    "a body byte by byte": {"first": b"POST /check-ports HTTP/1.1\r\nHost: localhost\r\n"
                                     b"Content-Length: 60000\r\n\r\n", "endless": b" "},
    "idle after a request": {"first": HEALTH},
    "idle after an error": {"first": b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"},
    "half a request after a request": {"first": HEALTH + HEALTH[:9]},
}

# The first record of a handshake says that 512 bytes follow.
TLS_CROWDS = {
    "silent": {},
    "half a hello": {"first": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"},
    "a hello byte by byte": {"first": b"\x16\x03\x01\x3f\xff\x01\x00\x3f\xfb\x03\x03",
                             "endless": b"\0"},
    "hellos without end": {"endless": b"\x16\x03\x01\x00\x01\x01"},
}


def all_are_served(service, count=100, source="127.99.0.1"):
    for _ in range(count):
        assert service.get("/health", source=source).status == 200


@pytest.mark.parametrize("kind", CROWDS)
def test_a_crowd_keeps_no_one_out(start, kind):
    service = start(PORT_CHECKER_MAX_CONNECTIONS=MAX)
    with Crowd(service, **CROWDS[kind]) as crowd:
        all_are_served(service)
        assert crowd.still_open() <= MAX
        assert service.metric("http_connections_refused_total", "full") == 0
        eventually(lambda: service.metric("http_connections_evicted_total") >= CROWD - MAX,
                   "they gave way")


@pytest.mark.parametrize("kind", TLS_CROWDS)
def test_a_crowd_of_handshakes_keeps_no_one_out(start, tmp_path, kind):
    cert, key = make_pair(tmp_path, "own")
    service = start(PORT_CHECKER_MAX_CONNECTIONS=MAX, **tls_settings(cert, key))
    with Crowd(service, **TLS_CROWDS[kind]):
        service.context = trusting(cert)
        all_are_served(service)


def test_hellos_that_come_again_keep_no_one_out(start, tmp_path):
    """They come faster than handshakes can be computed: the processor is the limit."""
    cert, key = make_pair(tmp_path, "own")
    service = start(PORT_CHECKER_MAX_CONNECTIONS=16 * MAX, **tls_settings(cert, key))
    service.context = trusting(cert)
    with crowds.Crowd(crowds.hold, 2, service.address, 800, "a hello") as crowd:
        crowd.wait_begun()
        all_are_served(service, count=20)
        assert crowd.end()["connected"] > 2000


def test_a_crowd_of_ipv6_networks_keeps_no_one_out(start, add_address):
    addresses = [add_address(f"fd00:1:{n:x}:1::1") for n in range(8)]
    service = start(PORT_CHECKER_HOST="::", PORT_CHECKER_MAX_CONNECTIONS=MAX)
    with Crowd(service, addresses=addresses):
        all_are_served(service, source="::1")


def test_a_client_in_the_crowds_network_is_served(start):
    service = start(PORT_CHECKER_MAX_CONNECTIONS=MAX)
    neighbours = [f"127.0.1.{n}" for n in range(1, 9)]
    with Crowd(service, addresses=neighbours):
        all_are_served(service, source="127.0.1.200")


def test_the_longest_wait_gives_way(start):
    service = start(PORT_CHECKER_MAX_CONNECTIONS=3, PORT_CHECKER_WORKERS=1)
    first, second, third = (service.connect(source=source) for source in sources(3))
    with first, second, third:
        assert second.exchange("GET", "/health").status == 200
        # a wait is exact to a tenth of a second
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            for client in third, first:
                assert client.exchange("GET", "/health").status == 200
        with service.connect(source="127.99.0.1") as newcomer:
            assert newcomer.exchange("GET", "/health").status == 200
            assert second.is_ended()
            for client in third, first:
                assert client.exchange("GET", "/health").status == 200


DOCS = HEALTH.replace(b"/health", b"/docs")


def unsent(service):
    """How many bytes the kernel keeps for each of its clients."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [row.split() for row in table]
    return [int(row[4].split(":")[0], 16) for row in rows
            if row[1].endswith(f":{service.port:04X}")]


def until_stuck(service):
    """Until the service has filled the buffers of clients that do not read, and waits."""
    seen = [None, 0.0]

    def is_stuck():
        now, found = time.monotonic(), unsent(service)
        if found != seen[0] or not any(found) or not service.is_asleep():
            seen[:] = found, now
        return now - seen[1] > 0.3

    eventually(is_stuck, "the buffers are full")


def test_replies_that_are_not_read_keep_no_one_out(start):
    service = start(PORT_CHECKER_MAX_CONNECTIONS=8)
    with Crowd(service, first=200 * DOCS, count=8):
        until_stuck(service)
        all_are_served(service, count=3)


def test_replies_that_are_not_read_do_not_fill_the_kernels_memory(start):
    service = start()
    with Crowd(service, first=200 * DOCS, count=8):
        until_stuck(service)
        assert 0 < max(unsent(service)) < 1 << 16


def unread(service):
    """Bytes that wait in each receive queue of the service's connections."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [row.split() for row in table]
    return [int(row[4].split(":")[1], 16) for row in rows
            if row[3] == "01" and row[1].endswith(f":{service.port:04X}")]


def test_what_is_sent_during_a_check_does_not_fill_the_kernels_memory(start, silent_ports):
    """Nothing is read from the connection of a check that runs."""
    service = start(PORT_CHECK_TIMEOUT=20)
    with service.connect() as client:
        client.request("POST", "/check-ports", [JSON], check_body(silent_ports(1)))
        eventually(lambda: service.metric("checks_running") == 1, "the check runs")
        client.socket.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < 1 << 24:
                sent += client.socket.send(HEALTH)
        assert sent > 1 << 16, "more was sent than the service's end may take"
        eventually(lambda: max(unread(service)) > 1 << 12, "its queue is full")
        assert max(unread(service)) < 1 << 15


def test_a_client_that_reads_gives_way_later(start):
    service = start(PORT_CHECKER_MAX_CONNECTIONS=2, PORT_CHECKER_WORKERS=1)
    reader, other = (service.connect(source=source) for source in sources(2))
    with reader, other:
        for client in reader, other:
            client.send(200 * DOCS)
            until_stuck(service)
        size = len(reader.reply().body)
        for _ in range(100):
            assert len(reader.reply().body) == size
        until_stuck(service)
        all_are_served(service, count=1)
        for _ in range(99):
            assert len(reader.reply().body) == size
        assert other.rest().count(b"HTTP/1.1 200") < 200


# --- shares -------------------------------------------------------------------------------


@pytest.mark.parametrize("proxies, most", [("", MAX // 4), ("127.0.1.0/24", MAX)])
def test_a_network_has_a_quarter_unless_it_is_a_proxys(start, proxies, most):
    service = start(PORT_CHECKER_MAX_CONNECTIONS=MAX, PORT_CHECKER_TRUSTED_PROXIES=proxies)
    addresses = [f"127.0.1.{n}" for n in range(1, 33)]
    with Crowd(service, addresses=addresses) as crowd:
        all_are_served(service, count=3)
        eventually(lambda: crowd.still_open() <= most, "the others have given way")
        assert crowd.still_open() >= most - 4


def test_a_48_has_a_quarter(start, add_address):
    addresses = [add_address(f"fd00:2:2:{n:x}::1") for n in range(16)]
    service = start(PORT_CHECKER_HOST="::", PORT_CHECKER_MAX_CONNECTIONS=MAX)
    with Crowd(service, addresses=addresses) as crowd:
        all_are_served(service, count=3, source="::1")
        eventually(lambda: crowd.still_open() <= MAX // 4, "the others have given way")
        assert crowd.still_open() == MAX // 4


def ask(service, source, ports):
    """A client that has requested a long check of its own address."""
    client = service.connect(source=source)
    headers = [JSON, ("Accept", "application/x-ndjson")]
    client.request("POST", "/check-ports", headers, check_body(ports, source))
    return client


def until_first_line(client):
    while b'"port"' not in client.received:
        client.received += client.socket.recv(1 << 16)


def test_busy_connections_do_not_give_way(start, later, silent_ports):
    """Neither to others of their network nor at the limit."""
    service = start(PORT_CHECKER_MAX_CONNECTIONS=8, PORT_CHECK_TIMEOUT=20)
    ports = silent_ports(1000)
    near = [later.enter_context(ask(service, f"127.0.1.{n}", ports)) for n in (1, 2)]
    far = [later.enter_context(ask(service, f"127.0.{n}.1", ports)) for n in range(2, 8)]
    for client in near + far:
        until_first_line(client)

    reply = service.get("/health", source="127.0.1.3")
    assert (reply.status, reply.json()["code"]) == (429, "rate_limited")
    reply = service.get("/health", source="127.99.0.1")
    assert (reply.status, reply.json()["code"]) == (503, "overloaded")
    near.pop().close()
    eventually(lambda: service.get("/health", source="127.99.0.1").status == 200, "room")
    assert service.metric("http_connections_refused_total", "network") == 1
    for client in near + far:
        client.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            while client.socket.recv(1 << 16):
                pass


@pytest.mark.parametrize("form", [(), [("Accept", "application/x-ndjson")]])
def test_a_crowd_of_checks_keeps_no_one_out(start, later, silent_ports, open_port, form):
    """Their connections do not give way, so the networks share them."""
    most = 8 * MAX
    service = start(PORT_CHECKER_MAX_CONNECTIONS=most, PORT_CHECK_TIMEOUT=20)
    silent, newcomer = silent_ports(1), "127.99.0.1"
    port = open_port(newcomer)
    for n in range(2 * most):
        source = f"127.0.{n % 16 + 1}.1"
        client = later.enter_context(service.connect(source=source))
        client.request("POST", "/check-ports", [JSON, *form], check_body(silent, source))
    eventually(lambda: unaccepted(service) == 0, "all have been accepted")

    for _ in range(100):
        assert service.get("/health", source=newcomer).status == 200
        assert service.check([port], newcomer, source=newcomer).json()["success"]
    assert service.metric("checks_running") > most / 2
    assert service.metric("refusals_total", "overloaded") > 0


@pytest.mark.parametrize("callers", [["10.77.0.1"], [f"10.77.{n}.1" for n in range(4)]],
                         ids=["one caller", "four networks"])
def test_a_crowd_of_checks_through_a_proxy_keeps_no_one_out(
        start, later, silent_ports, open_port, add_address, callers):
    """The proxy has no limit of connections; the networks of its callers share them."""
    most, proxy, newcomer = 4 * MAX, "127.0.0.2", add_address("10.78.0.1")
    service = start(PORT_CHECKER_MAX_CONNECTIONS=most, PORT_CHECK_TIMEOUT=20,
                    PORT_CHECKER_TRUSTED_PROXIES=proxy)
    silent, port = silent_ports(1), open_port(newcomer)
    for caller in callers:
        add_address(caller)
    for n in range(most):
        caller = callers[n % len(callers)]
        client = later.enter_context(service.connect(source=proxy))
        client.request("POST", "/check-ports", [JSON, ("X-Forwarded-For", caller)],
                       check_body(silent, caller))
    eventually(lambda: unaccepted(service) == 0, "all have been accepted")
    eventually(lambda: service.metric("refusals_total", "overloaded") > 0, "some are refused")

    for _ in range(20):
        reply = service.check([port], newcomer, [("X-Forwarded-For", newcomer)], source=proxy)
        assert reply.status == 200 and reply.json()["success"]
    assert service.metric("checks_running") > most / 2


def test_under_pressure_silence_ends_sooner(start):
    service = start(PORT_CHECKER_MAX_CONNECTIONS=4)
    with sooner_than(60), Crowd(service, count=4) as crowd:
        eventually(lambda: crowd.still_open() < 4, "the first has been ended", within=20)


# --- afterwards ---------------------------------------------------------------------------


def test_the_memory_of_many_checks_is_returned(start, silent_ports):
    service = start(PORT_CHECKER_MAX_CONNECTIONS_PER_CALLER=200)
    body = check_body(silent_ports(1024))
    with contextlib.ExitStack() as stack:
        for _ in range(150):
            client = stack.enter_context(service.connect())
            client.request("POST", "/check-ports", [JSON], body)
        eventually(lambda: service.resident() > 20 << 20, "the checks need memory")
    if not SANITIZER:
        eventually(lambda: service.resident() < 10 << 20, "the memory is back")
