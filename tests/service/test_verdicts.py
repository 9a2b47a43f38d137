# SPDX-License-Identifier: MIT
"""Verdicts about ports whose state the tests set up."""
import pathlib
import socket
import time

import pytest

from harness import network, targets
from harness.http import check_body
from harness.waiting import eventually, sooner_than

JSON = ("Content-Type", "application/json")
PORT_RANGE = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range")

ERRORS = {"open": {None}, "closed": {"Connection refused"},
          "filtered": {"Connection timed out"},
          "unreachable": {"No route to host", "Network is unreachable"}}

# What a packet filter answers, and the state, error and ICMP error that result.
REJECTIONS = {
    "127.0.0.1": [
        ("tcp reset", "closed", "Connection refused", None),
        ("icmp type port-unreachable", "closed", "Connection refused",
         (3, 3, "port unreachable")),
        ("icmp type host-unreachable", "unreachable", "No route to host",
         (3, 1, "host unreachable")),
        ("icmp type net-unreachable", "unreachable", "Network is unreachable",
         (3, 0, "network unreachable")),
        ("icmp type host-prohibited", "unreachable", "No route to host",
         (3, 10, "host administratively prohibited")),
        ("icmp type net-prohibited", "unreachable", "No route to host",
         (3, 9, "network administratively prohibited")),
        ("icmp type admin-prohibited", "unreachable", "No route to host",
         (3, 13, "communication administratively prohibited")),
    ],
    "::1": [
        ("tcp reset", "closed", "Connection refused", None),
        ("icmpv6 type port-unreachable", "closed", "Connection refused",
         (1, 4, "port unreachable")),
        ("icmpv6 type no-route", "unreachable", "Network is unreachable",
         (1, 0, "no route to destination")),
        ("icmpv6 type addr-unreachable", "unreachable", "No route to host",
         (1, 3, "address unreachable")),
        ("icmpv6 type admin-prohibited", "unreachable", "No route to host",
         (1, 1, "communication administratively prohibited")),
    ],
}


def evidence(result):
    """The error of a port and, as in REJECTIONS, the ICMP error of the target itself."""
    icmp = result["icmp"]
    assert icmp is None or icmp["from"] == "target", icmp
    return result["error"], icmp and (icmp["type"], icmp["code"], icmp["meaning"])


def assert_results(reply, expected):
    """`expected` is {port: state}. Also checks that the members of each result agree."""
    assert reply.status == 200, reply
    body = reply.json()
    results = body["results"]
    assert {int(port): result["state"] for port, result in results.items()} == expected
    for result in results.values():
        assert result["accessible"] is (result["state"] == "open")
        assert result["error"] in ERRORS[result["state"]], result
    count = sum(state == "open" for state in expected.values())
    assert body["success"] is (count > 0)
    assert body["message"] == f"Successfully verified {count} out of {len(expected)} ports"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_open_closed_and_filtered_side_by_side(
        start, open_port, closed_port, silent_ports, address):
    service = start()
    expected = {open_port(address): "open", closed_port(address): "closed",
                **{port: "filtered" for port in silent_ports(20)},
                open_port(address): "open"}

    assert_results(service.check(list(expected), address, details=True), expected)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_what_a_packet_filter_here_answers(start, packet_filter, address):
    service = start()
    expected, evident = {}, {}
    for port, (kind, state, *told) in enumerate(REJECTIONS[address], 21000):
        packet_filter.rule([port], f"reject with {kind}")
        expected[port], evident[str(port)] = state, tuple(told)
    reply = service.check(list(expected), address, details=True)

    assert_results(reply, expected)
    results = reply.json()["results"]
    assert {port: evidence(result) for port, result in results.items()} == evident


@pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
def test_what_another_machine_answers(start, machine, later, family):
    _, far, _ = machine.NETS[family]
    rules = network.Filter(machine)
    service = start(PORT_CHECKER_TARGETS="any", PORT_CHECKER_DEBUG="yes")

    opened = later.enter_context(machine.call(targets.listener, far))
    expected = {targets.port_of(opened): "open", 9: "closed", 22000: "filtered"}
    evident = {}
    rules.rule([22000], "drop")
    kinds = REJECTIONS[["127.0.0.1", "::1"][family]]
    for port, (kind, state, *told) in enumerate(kinds, 21000):
        rules.rule([port], f"reject with {kind}")
        expected[port], evident[str(port)] = state, tuple(told)
    reply = service.check(list(expected), far, details=True)

    assert_results(reply, expected)
    results = reply.json()["results"]
    assert {port: evidence(results[port]) for port in evident} == evident
    for line in service.events("verdict"):
        icmp = evident.get(line["port"], (None, None))[1]
        assert (line.get("icmp"), line.get("icmp_from")) == \
            ((icmp[2], "target") if icmp else (None, None))
    assert targets.accepted(opened) == 0


def test_hosts_that_do_not_exist_are_not_accessible(start, machine):
    service = start(PORT_CHECKER_TARGETS="any", PORT_CHECK_TIMEOUT="3.5")
    with service.connect() as one, service.connect() as other:
        one.request("POST", "/check-ports", [JSON],
                    check_body([80, 443], "192.168.77.200", details=True))
        other.request("POST", "/check-ports", [JSON],
                      check_body([80, 443], "fd77::200", details=True))
        for connection in (one, other):
            reply = connection.reply()
            assert_results(reply, {80: "unreachable", 443: "unreachable"})
            for result in reply.json()["results"].values():
                assert result["icmp"]["from"] == "path"


@pytest.mark.parametrize("target, name", [("203.0.113.1", "IPv4"), ("2001:db8::1", "IPv6")])
def test_no_route_is_a_503_that_says_so(start, own_network, target, name):
    service = start(PORT_CHECKER_TARGETS="any")
    reply = service.check([80, 443], target)

    assert reply.status == 503, reply
    assert list(reply.json()) == ["detail", "code"]
    assert reply.json()["code"] == "checker_fault"
    assert "route" in reply.json()["detail"] and name in reply.json()["detail"]
    assert int(reply.header("Retry-After")) > 0
    assert service.metric("refusals_total", "no_route") == 1
    assert service.metric("verdicts_total", "unreachable") == 0


@pytest.mark.parametrize("kind", ["unreachable", "prohibit", "blackhole"])
@pytest.mark.parametrize("target", ["203.0.113.1", "2001:db8::1"])
def test_routes_of_our_own_never_blame_the_target(start, own_network, later, kind, target):
    network.command("ip", "route", "add", kind, target)
    later.callback(network.command, "ip", "route", "del", kind, target)
    service = start(PORT_CHECKER_TARGETS="any")
    reply = service.check([80, 443], target)

    assert (reply.status, reply.json()["code"]) == (503, "checker_fault"), reply
    assert service.metric("verdicts_total", "unreachable") == 0


# --- time ---------------------------------------------------------------------------------


def took(service, ports, **more):
    begun = time.monotonic()
    states = service.verdicts(ports, **more)
    return time.monotonic() - begun, states


def test_silence_lasts_as_long_as_the_timeout(start, silent_ports):
    port, = silent_ports(1)
    for timeout in (0.5, 1.5):
        service = start(PORT_CHECK_TIMEOUT=timeout)
        with sooner_than(4):  # the time for a silent host without a timeout
            seconds, states = took(service, [port])

        assert states == {port: "filtered"}
        assert seconds >= timeout


def test_a_closed_port_is_asked_as_often_as_retries_say(start, closed_port):
    port = closed_port()
    for retries in (1, 3):
        service = start(PORT_CHECK_RETRIES=retries, PORT_CHECK_RETRY_DELAY="0.2",
                        PORT_CHECK_TIMEOUT=5)
        seconds, states = took(service, [port])

        assert states == {port: "closed"}
        assert service.metric("probe_attempts_total") == retries
        assert seconds >= 0.2 * (retries - 1)


def test_a_port_that_opens_between_two_attempts_is_open(start, later):
    service = start(PORT_CHECK_RETRIES=4, PORT_CHECK_RETRY_DELAY=1, PORT_CHECK_TIMEOUT=20)
    sock = later.enter_context(targets.closed())
    with service.connect() as connection:
        connection.request("POST", "/check-ports", [JSON],
                           check_body([targets.port_of(sock)], details=True))
        eventually(lambda: service.metric("probe_attempts_total") >= 1, "the first attempt")
        sock.listen()

        assert_results(connection.reply(), {targets.port_of(sock): "open"})


def test_a_port_that_still_refuses_at_the_timeout_is_closed(start, closed_port):
    port = closed_port()
    service = start(PORT_CHECK_RETRIES=4, PORT_CHECK_RETRY_DELAY=5,
                    PORT_CHECK_TIMEOUT="0.5")
    with sooner_than(5):  # the second attempt
        assert service.verdicts([port]) == {port: "closed"}
    assert service.metric("probe_attempts_total") == 1


def test_a_late_answer_wins(start, packet_filter, open_port):
    """The first SYN is lost; the kernel repeats it after a second."""
    port = open_port()
    packet_filter.rule([port], "drop")
    service = start(PORT_CHECK_TIMEOUT=5)
    with service.connect() as connection:
        connection.request("POST", "/check-ports", [JSON], check_body([port], details=True))
        eventually(lambda: service.metric("probe_attempts_total") >= 1, "the first SYN")
        packet_filter.clear()

        assert_results(connection.reply(), {port: "open"})


def test_closed_ports_do_not_wait_for_silent_ones_of_another_check(
        start, silent_ports, closed_port):
    """All at one address, whose number of simultaneous probes is limited."""
    service = start(PORT_CHECK_TIMEOUT=20, PORT_CHECKER_WORKERS=1, PORT_CHECKER_MAX_PORTS=8192)
    ports = silent_ports(8192)
    with service.connect() as connection:
        connection.request("POST", "/check-ports", [JSON], check_body(ports))
        eventually(lambda: service.metric("checks_running") == 1, "the long check")
        port = closed_port()
        assert service.verdicts([port]) == {port: "closed"}

        assert service.metric("probe_attempts_total") < 8192, "most have not had their turn"


# --- our own trouble ----------------------------------------------------------------------


def assert_all_open_or_503(reply, ports):
    if reply.status == 503:
        assert reply.json()["code"] in ("overloaded", "checker_fault"), reply
        assert int(reply.header("Retry-After")) > 0
    else:
        assert_results(reply, {port: "open" for port in ports})


def test_few_descriptors_make_it_slow_and_never_wrong(start, later):
    ports = [targets.port_of(later.enter_context(targets.listener())) for _ in range(1000)]
    service = start(descriptors=64)

    for _ in range(3):
        assert_all_open_or_503(service.check(ports, details=True), ports)


def test_few_descriptors_shared_by_many_checks(start, later):
    ports = [targets.port_of(later.enter_context(targets.listener())) for _ in range(300)]
    service = start(descriptors=64, PORT_CHECKER_WORKERS=1)
    body = check_body(ports, details=True)
    with service.connect() as one, service.connect() as two, service.connect() as three:
        for connection in (one, two, three):
            connection.request("POST", "/check-ports", [JSON], body)
        for connection in (one, two, three):
            assert_all_open_or_503(connection.reply(), ports)


def test_max_probes_is_never_exceeded(start, silent_ports, later):
    """Several checks, so that they do not all reach the same worker, for more callers than there are
    sockets: the last socket is for one that holds none."""
    service = start(PORT_CHECKER_MAX_PROBES=16, PORT_CHECK_TIMEOUT="0.5")
    ports = silent_ports(4)
    connections = [later.enter_context(service.connect(source=f"127.0.1.{n}"))
                   for n in range(1, 25)]
    for connection in connections:
        connection.request("POST", "/check-ports", [JSON], check_body(ports))
    together, told, before = [], [], set()
    while not all(connection.has_more() for connection in connections):
        now = service.probing(ports)
        together.append(len(before & now))
        told.append(service.metric("probes_in_flight"))
        before = now

    assert max(told) == 16
    # What two readings have seen was there at one moment; on a busy machine, that may not be all.
    assert 8 <= max(together) <= 16
    for connection in connections:
        assert connection.reply().json()["message"].endswith("0 out of 4 ports")


@pytest.fixture
def two_halves():
    """The ends of two halves of the source ports, each of which is enough for a worker."""
    before = PORT_RANGE.read_text()
    PORT_RANGE.write_text("40000 42399")
    yield (40000, 41199), (41200, 42399)
    PORT_RANGE.write_text(before)


def test_each_worker_has_its_own_part_of_the_source_ports(start, silent_ports, two_halves):
    """A check uses more source ports than a half has. Linux 6.3 is needed."""
    ports = silent_ports(400)
    service = start(PORT_CHECKER_WORKERS=2, PORT_CHECK_TIMEOUT=5)

    def source_ports():
        return {found.local_port for found in network.tcp_sockets(service.pid)
                if found.remote_port in ports and found.state == network.SYN_SENT}

    seen = set()
    for _ in range(40):  # the kernel decides which worker gets a connection
        used = set()
        with service.connect() as connection:
            connection.request("POST", "/check-ports", [JSON], check_body(ports))
            eventually(lambda: service.metric("checks_running") == 1, "the check runs")
            while service.metric("checks_running") == 1:
                used |= source_ports()
            assert connection.reply().status == 200
        within = [half for half in two_halves if half[0] <= min(used) and max(used) <= half[1]]
        assert len(within) == 1 and len(used) > 800, (min(used), max(used), len(used))
        seen.update(within)
        if len(seen) == 2:
            break
    assert len(seen) == 2


@pytest.fixture
def few_source_ports(own_network):
    """The machine has only four source ports, so a connection may meet itself."""
    before = PORT_RANGE.read_text()

    def narrow():
        PORT_RANGE.write_text("40000 40003")
        return [40000, 40001, 40002, 40003]
    yield narrow
    PORT_RANGE.write_text(before)


def connects_to_itself(port):
    with socket.socket() as sock:
        try:
            sock.connect(("127.0.0.1", port))
        except OSError:
            return False
        return sock.getsockname() == sock.getpeername()


def test_a_connection_to_itself_is_no_open_port(start, few_source_ports):
    service = start(PORT_CHECKER_WORKERS=1)
    with service.connect() as connection:
        ports = few_source_ports()
        assert any(connects_to_itself(port) for _ in range(100) for port in ports), \
            "the trap works"
        for _ in range(100):
            reply = connection.exchange("POST", "/check-ports", [JSON],
                                        check_body(ports, details=True))
            if reply.status != 503:
                assert_results(reply, {port: "closed" for port in ports})


def test_too_few_source_ports_never_blame_the_target(start, few_source_ports, later):
    ports = [targets.port_of(later.enter_context(targets.listener())) for _ in range(50)]
    service = start(PORT_CHECKER_WORKERS=1)
    with service.connect() as connection:
        few_source_ports()
        reply = connection.exchange("POST", "/check-ports", [JSON],
                                    check_body(ports, details=True))

        assert_all_open_or_503(reply, ports)


# --- what the target notices --------------------------------------------------------------


def test_a_full_queue_of_the_application_is_not_filled_further(start, later):
    """Full-handshake probes would fill the queue that they measure."""
    sock = later.enter_context(targets.listener(backlog=1))
    service = start()
    port = targets.port_of(sock)
    for _ in range(100):
        assert service.verdicts([port]) == {port: "open"}

    assert targets.accepted(sock) == 0


def test_a_listener_that_closes_every_connection_is_open(start, later):
    sock = later.enter_context(targets.listener())
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    service = start()

    assert service.verdicts([targets.port_of(sock)]) == {targets.port_of(sock): "open"}


def test_a_full_accept_queue_looks_filtered(start, later):
    """Linux drops the SYN silently, as any other client would see, too."""
    sock = later.enter_context(targets.listener(backlog=0))
    port = targets.port_of(sock)
    for _ in range(2):
        waiting = later.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(("127.0.0.1", port))
    service = start()

    assert service.verdicts([port]) == {port: "filtered"}


def test_the_checkers_own_port_is_open(start):
    service = start()

    assert service.verdicts([service.port]) == {service.port: "open"}


def test_checks_of_the_same_ports_do_not_disturb_each_other(start, later):
    ports = [targets.port_of(later.enter_context(targets.listener())) for _ in range(50)]
    service = start()
    body = check_body(ports, details=True)
    connections = [later.enter_context(service.connect()) for _ in range(20)]
    for connection in connections:
        connection.request("POST", "/check-ports", [JSON], body)
    for connection in connections:
        assert_results(connection.reply(), {port: "open" for port in ports})
