# SPDX-License-Identifier: MIT
"""The local side: ports that are bound, the proof that they send, and ports in use."""
import contextlib
import hashlib
import hmac
import socket
import subprocess
import sys
import threading
import time

import pytest

import stub as stubs
from harness.network import tcp_sockets
from harness.waiting import PATIENCE, eventually, sooner_than
from program import OK, Running, cause_of, ports_of, verify

GOOD = {"accessible": True, "error": None}
FREE = "50800-50802"


class Held:
    """A checker that answers only when the test permits it."""

    def __init__(self, stub):
        self.asked, self.release = threading.Event(), threading.Event()
        self.token = None
        self.checker = stub(stubs.telling(self._check))
        self.url = self.checker.url

    def _check(self, request):
        self.token = request.json["token"]
        self.asked.set()
        self.release.wait(60 * PATIENCE)
        return stubs.results(request, lambda ip, port: GOOD)

    def wait_asked(self):
        assert self.asked.wait(20 * PATIENCE)


@pytest.fixture
def held(stub):
    held = Held(stub)
    yield held
    held.release.set()


def line_of(token, port):
    text = str(port).encode()
    return b"golem-port-verifier 1 %s %s\n" % (
        text, hmac.new(token.encode(), text, hashlib.sha256).hexdigest().encode())


def connect(address, port):
    sock = socket.create_connection((address, port), timeout=10 * PATIENCE)
    return sock


def rest_of(sock):
    data = b""
    try:
        while piece := sock.recv(4096):
            data += piece
    except ConnectionResetError:
        pass
    return data


def test_listeners_prove_themselves_on_both_families_while_the_checker_looks(held):
    with Running("--json", "--ports", FREE, held.url) as running:
        held.wait_asked()
        for address in "127.0.0.1", "::1":
            for port in 50800, 50801, 50802:
                with connect(address, port) as sock:
                    assert sock.recv(4096) == line_of(held.token, port)
        held.release.set()
        ended = running.wait()
        assert ended.status == OK, ended
        assert [port["accepted"] for port in ended.family()["ports"]] == [1, 1, 1]
    with pytest.raises(ConnectionRefusedError):
        connect("127.0.0.1", 50800)


def test_a_listener_closes_when_the_other_side_does(held):
    with Running("--ports", FREE, held.url):
        held.wait_asked()
        with sooner_than(5), connect("127.0.0.1", 50800) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")  # any data
            sock.shutdown(socket.SHUT_WR)
            assert rest_of(sock) == line_of(held.token, 50800)


@pytest.mark.heavy
def test_who_stays_is_let_go_after_five_seconds(held):
    with Running("--ports", FREE, held.url):
        held.wait_asked()
        before = time.monotonic()
        with connect("127.0.0.1", 50800) as sock:
            assert rest_of(sock) == line_of(held.token, 50800)
        assert time.monotonic() - before >= 5


def test_no_more_connections_are_held_than_the_limit(held, later):
    with Running("--timeout", "5m", "--ports", FREE, held.url) as running:
        held.wait_asked()
        before = set()
        for count in range(1100):
            sock = later.enter_context(connect("127.0.0.1", 50800))
            assert sock.recv(4096) == line_of(held.token, 50800)
            if count >= 1000:  # those of two looks were there together, between the two
                now = {sock.inode for sock in tcp_sockets(running.process.pid)
                       if sock.local_port == 50800 and sock.remote_port and sock.inode != "0"}
                assert len(before & now) <= 1024
                before = now
        held.release.set()
        assert running.wait().status == OK


def listen(later, port, address="0.0.0.0"):
    """A program of the test before may hold the port for a moment."""
    sock = later.enter_context(socket.socket())
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    def is_bound():
        with contextlib.suppress(OSError):
            sock.bind((address, port))
            return True
    eventually(is_bound, f"port {port} is free")
    sock.listen(16)
    return sock


def test_a_port_in_use_is_asked_about_and_names_its_owner(start, later):
    listen(later, 7466)
    listen(later, 50800)
    ended = verify("--json", "--ports", "7466,50800-50801", start().url)
    assert ended.status == OK, ended
    family = ended.family()
    taken = ports_of(family)[50800]
    assert (taken["listener"], taken["held_by"][:6]) == ("in_use", "python")
    assert (taken["good"], taken["proved"], taken["advertise"]) == (True, False, False)
    assert ports_of(family)[7466]["advertise"]  # the provider itself may be running
    assert family["advertise"] == [7466, 50801]
    cause = cause_of(family, 50800)
    assert cause["label"].startswith("good: listener not verified (in use by python")
    assert cause["remedy"] == ("if that program is yours, add port 50800 to --in-use; otherwise "
                               "stop it and run port-verifier again")


def test_a_port_named_with_in_use_is_advertised(start, later):
    listen(later, 50800)
    ended = verify("--json", "--ports", "50800-50801", "--in-use", "50800", start().url)
    assert ended.family()["advertise"] == [50800, 50801]


def test_a_program_that_listens_for_this_machine_alone(start, later, stub):
    listen(later, 50800, "127.0.0.1")
    refused = {"accessible": False, "error": "Connection refused"}
    family = verify("--json", "--ports", "50800", stub(stubs.fixed(refused)).url).family()
    assert cause_of(family, 50800)["text"].endswith("listens on the loopback interface only")


def test_a_port_that_a_connection_uses(stub, later):
    server = listen(later, 0, "127.0.0.1")
    client = later.enter_context(socket.socket())
    client.bind(("127.0.0.1", 50800))
    client.connect(server.getsockname())
    refused = {"accessible": False, "error": "Connection refused"}
    family = verify("--json", "--ports", "50800", stub(stubs.fixed(refused)).url).family()
    assert cause_of(family, 50800)["cause"] == "not_bound"
    assert cause_of(family, 50800)["text"].endswith("is using it for outgoing connections")
    assert cause_of(family, 50800)["remedy"] == (
        "run port-verifier again in a minute; to keep outgoing connections off port 50800, add "
        "it to the sysctl net.ipv4.ip_local_reserved_ports")


# Holds port 50800 as systemd, and as the program of its argument if there is one.
HOLDERS = """
import os, socket, sys
sock = socket.create_server(("127.0.0.1", 50800))
is_service = len(sys.argv) > 1 and os.fork() == 0
with open("/proc/self/comm", "w") as comm:
    comm.write(sys.argv[1] if is_service else "systemd")
os.write(1, b"ready\\n")
sys.stdin.read()
"""


@pytest.mark.parametrize("services", [(), ("golem",)], ids=["none", "a service"])
def test_systemd_holds_the_port_of_a_socket_unit(stub, later, services):
    holder = later.enter_context(subprocess.Popen(
        [sys.executable, "-c", HOLDERS, *services], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True))
    for _ in ("systemd", *services):
        assert holder.stdout.readline() == "ready\n"
    refused = {"accessible": False, "error": "Connection refused"}
    family = verify("--json", "--ports", "50800", stub(stubs.fixed(refused)).url).family()
    assert ports_of(family)[50800]["held_by"] == (services[0] if services else "systemd")
    cause = cause_of(family, 50800)
    if services:
        assert cause["remedy"] == "make golem listen on all addresses, or stop it"
    else:
        assert cause["text"].endswith(
            ": a socket unit of systemd listens on the loopback interface only")
        assert cause["remedy"] == (
            "make that unit (see systemctl list-sockets) listen on all addresses, or stop it")


@pytest.mark.parametrize("is_early", [True, False], ids=["earlier", "now"])
def test_a_handshake_that_hangs_already_is_of_an_earlier_check(stub, later, is_early):
    """It hangs as long as its listener waits for data."""
    server = listen(later, 50800)
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)
    timed_out = {"accessible": False, "error": "Connection timed out"}

    def hang():
        later.enter_context(socket.create_connection(server.getsockname()))

    def answer(request):
        if request.path == "/check-ports" and not is_early:
            hang()
        return stubs.fixed(timed_out)(request)
    if is_early:
        hang()
    family = verify("--json", "--ports", "50800", stub(answer).url).family()
    assert ports_of(family)[50800]["syn_seen"] is not is_early
    assert cause_of(family, 50800)["cause"] == ("no_way_in" if is_early else "way_back_blocked")


def test_a_queue_that_fills_while_the_checker_looks(stub, later):
    server = listen(later, 50800)
    timed_out = {"accessible": False, "error": "Connection timed out"}

    def answer(request):
        if request.path == "/check-ports":
            later.enter_context(socket.create_connection(server.getsockname()))
        return stubs.fixed(timed_out)(request)
    family = verify("--json", "--ports", "50800", stub(answer).url).family()
    assert cause_of(family, 50800)["cause"] == "not_accepted"


def test_a_port_that_the_system_keeps(start, namespace):
    net = namespace("kept")
    net.sysctl("net.ipv4.ip_unprivileged_port_start", 1024)
    service = start(inside=net)
    drop = ("setpriv", "--bounding-set=-net_bind_service", "--inh-caps=-net_bind_service")
    ended = verify("--json", "--ports", "443,50800", service.url, inside=net, before=drop)
    family = ended.family()
    assert ports_of(family)[443]["listener"] == "no_permission"
    assert cause_of(family, 443)["text"] == (
        "port 443 is closed, and nothing listens on it: this user may not bind ports below 1024")
    assert cause_of(family, 443)["label"] == "closed: nothing listens (no permission to bind)"


def test_more_ports_than_descriptors(start):
    ended = verify("--ports", "50000-50499", "http://127.0.0.1:9",
                   before=("prlimit", "--nofile=500:500"))
    assert ended.status == 4 and "raise it (ulimit -n) or check fewer ports" in ended.err
