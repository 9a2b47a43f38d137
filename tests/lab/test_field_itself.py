# SPDX-License-Identifier: MIT
"""Whether the hosts of the field can be believed: what plain sockets find of each limit, ban
and outage is what lab_field_host was told."""
import errno
import os
import pathlib
import select
import socket
import subprocess
import time

import pytest

from field import Field
from field_rows import Row, table

BUILD = pathlib.Path(os.environ.get("BUILD_DIR", "build")).resolve()
HOST = BUILD / "tests/lab_field_host"
OPEN = "ports=50800-50999:open"
BUSY_SECONDS = 20
TARGET, TARGET6 = "10.66.0.1", "fd66::1"


@pytest.fixture
def field(namespaces):
    """field(word, ...): the network with hosts that were told so."""
    made = []

    def make(*words):
        if not os.path.exists("/dev/net/tun"):
            pytest.skip("no TUN devices")
        made.append(Field(HOST, words))
        return made[-1]

    yield make
    for one in made:
        one.close()


def is_connected(client):
    """An ICMP error that the kernel survives makes a socket writable without an error."""
    try:
        client.getpeername()
    except OSError:
        return False
    return True


class Sockets:
    """Plain connections to a host, which the kernel of the checker makes."""

    def __init__(self, field, address=TARGET):
        self.field, self.address = field, address
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.opened = {}

    def connect(self, ports, source_port=0):
        """Begins to connect: one SYN a port, and what the kernel repeats later."""
        for port in ports:
            client = self.field.checker.socket(self.family, socket.SOCK_STREAM)
            client.setblocking(False)
            if source_port:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                client.bind(("", source_port))
            client.connect_ex((self.address, port))
            self.opened[client] = port
        return self

    def answers(self, seconds, count=0):
        """port -> 0 when it is connected, or the errno. `count` of them are waited for as long as a
        busy machine may need, and others for so many seconds after that."""
        found, waiting = {}, dict(self.opened)
        deadline = time.monotonic() + (BUSY_SECONDS if count else seconds)
        while waiting:
            ready = select.select([], waiting, [], max(0, deadline - time.monotonic()))[1]
            if not ready:
                break
            for client in ready:
                error = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error or is_connected(client):
                    found[waiting.pop(client)] = error
            if count and len(found) >= count:
                deadline, count = time.monotonic() + seconds, 0
        return found

    def close(self, resets=True):
        for client in self.opened:
            if resets:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
        self.opened = {}


def ask(field, ports, seconds=0.3, count=0, **options):
    """How each port of a range answers at once, `count` of them at least; silent ones are missing."""
    sockets = Sockets(field).connect(ports, **options)
    try:
        return sockets.answers(seconds, count)
    finally:
        sockets.close()


def truth(field, address=TARGET):
    return field.end()[address]


def test_ports_are_what_they_are_told(field):
    lab = field("ports=1-3:open", "ports=4:silent", "ports=5:icmp:3/13", "ports=6:slow:150",
                "ports=7:skip:1")
    assert ask(lab, range(1, 10), count=7) == {1: 0, 2: 0, 3: 0, 5: errno.EHOSTUNREACH, 6: 0,
                                      8: errno.ECONNREFUSED, 9: errno.ECONNREFUSED}
    seen = truth(lab)
    assert seen["syns"] == 9 and set(seen["ports"]) == set("123456789")
    assert seen["ports"]["1"] == [1, 1] and seen["ports"]["4"] == [1, 0]
    assert (seen["syn_acks"], seen["resets"], seen["icmp_errors"]) == (4, 2, 1)
    assert seen["refused"]["QUEUE"] == 1


@pytest.mark.parametrize("address", [TARGET, TARGET6])
def test_whole_connections(field, address):
    lab = field("ports=1:open")
    with lab.checker:
        client = socket.create_connection((address, 1), timeout=BUSY_SECONDS)
    client.sendall(b"hello")
    client.shutdown(socket.SHUT_WR)
    assert client.recv(10) == b""  # the host closes as well
    client.close()
    seen = truth(lab, address)
    assert (seen["handshakes"], seen["resets"], seen["syns"]) == (1, 0, 1)


def test_icmp_over_ipv6(field):
    lab = field("ports=1:icmp:1/1")
    sockets = Sockets(lab, TARGET6).connect([1])
    assert sockets.answers(0, count=1) == {1: errno.EACCES}
    sockets.close()


@pytest.mark.parametrize(("action", "error"), [
    ("drop", None), ("reset", errno.ECONNREFUSED), ("3/13", errno.EHOSTUNREACH)])
def test_limit_lets_its_rate_pass(field, action, error):
    """Like netfilter's: first the burst, then the rate, and excess costs nothing."""
    lab = field(f"limit=1200,5,{action}", OPEN)  # 20 in a second
    start = last = time.monotonic()
    passed, lost, refused = 0, 0, set()
    while time.monotonic() - start < 1:
        lost += max(0, time.monotonic() - last - 0.15)  # the burst was almost whole again
        last = time.monotonic()
        found = list(ask(lab, range(50800, 50810), 0.02).values())
        passed += found.count(0)
        refused |= {found_error for found_error in found if found_error}
    assert passed <= 5 + 20 * (time.monotonic() - start) + 1
    assert refused == ({error} if error else set())
    seen = truth(lab)
    # Answers may come late on a busy machine.
    assert 5 + 20 * (last - start - lost) - 3 <= seen["syn_acks"]
    assert seen["refused"]["LIMIT"] == seen["syns"] - seen["syn_acks"]


def test_limit_counts_repeated_syns(field):
    lab = field("limit=1,1,drop", "ports=1:silent", "ports=2:open")
    silent = Sockets(lab).connect([1])
    assert ask(lab, [2], 1.2) == {}
    silent.close()
    assert truth(lab)["refused"]["LIMIT"] == 3  # of port 2, and both repeated after 1 s


def test_connections_are_counted_until_their_reset(field):
    lab = field("connections=20,reset", OPEN)
    first = Sockets(lab).connect(range(50800, 50820))
    assert list(first.answers(0, count=20).values()) == 20 * [0]
    assert set(ask(lab, range(50850, 50860), count=10).values()) == {errno.ECONNREFUSED}
    first.close()
    time.sleep(0.02)  # the tick after which freed ones no longer count
    assert list(ask(lab, range(50830, 50860), count=30).values()).count(0) == 20


def test_recent_counts_attempts_that_it_refuses(field):
    lab = field("recent=6,2,3/3", OPEN)
    assert list(ask(lab, range(50800, 50805), count=5).values()) == 5 * [0]
    for _ in range(3):  # each attempt renews, so that 2.4 s later it still refuses
        time.sleep(0.8)
        assert list(ask(lab, range(50805, 50809), count=4).values()) == 4 * [errno.ECONNREFUSED]
    time.sleep(2.2)
    assert ask(lab, [50800], count=1) == {50800: 0}


def test_scans_are_banned(field):
    lab = field("scan=10,1000,60000,drop", OPEN)
    assert list(ask(lab, range(50800, 50810), count=10).values()) == 10 * [0]
    assert list(ask(lab, range(50800, 50810), count=10).values()) == 10 * [0]  # no new port
    assert ask(lab, [50810, 50800]) == {}
    time.sleep(1)
    assert ask(lab, [50800], count=1) == {50800: 0}
    assert truth(lab)["bans"] == 1


def test_bans_are_prolonged(field):
    lab = field("scan=1,1500,60000,reset,renew", OPEN)
    refused = errno.ECONNREFUSED
    assert ask(lab, [50800], count=1) == {50800: 0}
    for _ in range(4):
        assert ask(lab, [50801], count=1) == {50801: refused}
        time.sleep(0.5)
    time.sleep(1.2)
    assert ask(lab, [50801], count=1) == {50801: 0}


def test_scans_of_closed_ports_are_banned(field):
    lab = field("scan_closed=3,60000,60000,drop", OPEN)
    assert len(ask(lab, range(50800, 50900), count=100)) == 100
    assert len(ask(lab, [1, 2, 3], count=3)) == 3
    assert ask(lab, [4]) == {} == ask(lab, [50800])


def test_outage_begins_after_so_many_answers(field):
    lab = field("outage=10,2000", OPEN)
    assert list(ask(lab, range(50800, 50820), count=10).values()) == 10 * [0]
    begun = time.monotonic()  # at the latest
    assert ask(lab, [50800], 0.3) == {}
    time.sleep(max(0, begun + 2.1 - time.monotonic()))
    assert ask(lab, [50800], count=1) == {50800: 0}


def test_outages_come_and_go(field):
    lab = field("outages=200,100,300", OPEN)
    up = []
    start = time.monotonic()
    for sample in range(150):
        time.sleep(max(0, start + sample * 0.03 - time.monotonic()))
        up.append(bool(ask(lab, [50800], 0.02)))
    changes = sum(before != after for before, after in zip(up, up[1:]))
    assert 8 <= changes <= 40 and 40 < sum(up) < 110  # half of the time on the average


def test_loss_is_each_way(field):
    lab = field("loss=100000", OPEN)
    answered = sum(len(ask(lab, range(50800, 50900))) for _ in range(20))
    assert 0.81 - 0.04 < answered / 2000 < 0.81 + 0.04


def test_rtt(field):
    lab = field("rtt_us=100000", OPEN)
    times = []
    for _ in range(5):
        start = time.monotonic()
        assert ask(lab, [50800], count=1) == {50800: 0}
        times.append(time.monotonic() - start)
    assert 0.1 <= min(times) < 0.2


def test_flap_ends(field):
    lab = field("flap=800,3/1", OPEN)
    assert ask(lab, [50800, 50801], count=2) == dict.fromkeys((50800, 50801), errno.EHOSTUNREACH)
    time.sleep(0.9)
    assert ask(lab, [50800], count=1) == {50800: 0}


@pytest.mark.parametrize(("path", "is_dead"), [
    ("low,2,0", lambda source: source % 2 == 0),
    ("low,4,3", lambda source: source % 4 == 3)])
def test_dead_path_by_low_bits(field, path, is_dead):
    lab = field(f"path={path}", "ports=1:open")
    for source in range(40000, 40008):
        assert bool(ask(lab, [1], 0.1, not is_dead(source), source_port=source)) != is_dead(source)


@pytest.mark.parametrize("kind", ["xor", "hash"])
def test_dead_path_by_hash(field, kind):
    lab = field(f"path={kind},2,0", OPEN)
    answered = [port for port in range(50800, 50900)
                if ask(lab, [port], 0.02, source_port=41000)]
    assert 30 < len(answered) < 70
    if kind == "xor":  # the hash is linear: another bit of the source port, the other path
        for port in range(50800, 50900):
            paths = [Sockets(lab).connect([port], source) for source in (41000, 41001)]
            alive = select.select([], [*paths[0].opened, *paths[1].opened], [], BUSY_SECONDS)[1]
            found = [path.answers(0.02, count=len(path.opened.keys() & set(alive)))
                     for path in paths]
            assert sorted(found, key=len) == [{}, {port: 0}]
            for path in paths:
                path.close()


def test_resets_are_limited(field):
    lab = field("resets=50")
    assert len(ask(lab, range(1, 101), count=50)) == 50
    time.sleep(1)
    assert len(ask(lab, range(1, 11), count=10)) == 10


def test_icmp_errors_are_limited(field):
    lab = field("icmps=60,6", "ports=1-100:icmp:3/1")
    assert len(ask(lab, range(1, 21), count=6)) == 6


def test_queue_is_full_for_its_time(field):
    lab = field("ports=1:queue:500")
    assert ask(lab, [1]) == {}
    time.sleep(0.3)
    assert ask(lab, [1], count=1) == {1: 0}


def test_each_address_is_a_host_of_its_own(field):
    lab = field("limit=1,2,drop", OPEN)
    for address in (TARGET, "10.66.0.2", TARGET6):
        sockets = Sockets(lab, address).connect(range(50800, 50804))
        assert len(sockets.answers(0.2, count=2)) == 2
        sockets.close()


def test_source_port_can_be_used_again_at_once(field):
    lab = field("ports=1:open")
    for _ in range(20):
        assert ask(lab, [1], count=1, source_port=41000) == {1: 0}
    seen = truth(lab)
    assert (seen["syns"], seen["syn_acks"], seen["resets"]) == (20, 20, 0)


ONCE = """
table inet once {
    chain in {
        type filter hook input priority 0;
        tcp flags & (syn|ack) == (syn|ack) limit rate 1/hour burst 1 packets drop
    }
    chain out {
        type filter hook output priority 0;
        tcp flags & (syn|ack) == syn limit rate over 1/hour burst 1 packets drop
    }
}
"""


def test_syn_acks_are_repeated_until_they_are_answered(field):
    """The checker drops the first SYN-ACK and repeats no SYN."""
    lab = field("ports=1:open")
    lab.checker.nft(ONCE)
    client = Sockets(lab).connect([1])
    assert client.answers(0, count=1) == {1: 0}
    client.close()
    assert truth(lab)["ports"]["1"] == [1, 2]


def test_slow_port_answers_repeated_syns_late_as_well(field):
    lab = field("ports=1:slow:1300")
    client = Sockets(lab).connect([1])
    start = time.monotonic()
    assert client.answers(0, count=1) == {1: 0}
    assert time.monotonic() - start > 1.2
    client.close()


@pytest.mark.parametrize("word", [
    "limit=10,5", "limit=0,5,drop", "ports=1-2:odd", "ports=1:slow", "ports=70000:open",
    "path=low,2,2", "loss=", "unknown=1", "rtt_us", "flap=5,drop,7", "scan=1,2,3,drop,what"])
def test_wrong_words_are_refused(word):
    ended = subprocess.run([HOST, "0", word], capture_output=True, text=True,
                           timeout=10)
    assert ended.returncode == 2 and "usage" in ended.stderr


@pytest.mark.parametrize("row", table(), ids=lambda row: row.name)
def test_rows_are_understood(field, row):
    assert field(*row.words()).end() == {}


def test_right_and_wrong():
    row = Row("a", "a", truth={2: "filtered"}, ports=(1, 2, 3, 4, 5), limited=True)
    assert row.accepts(1, "open") and not row.accepts(1, "limited")
    assert row.accepts(5, "limited") and not row.accepts(5, "filtered")
    assert row.accepts(2, "filtered") and not row.accepts(2, "open")
