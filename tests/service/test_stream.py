# SPDX-License-Identifier: MIT
"""POST /check-ports as a stream of lines."""
import pathlib
import signal
import socket

import pytest

from harness import network, targets
from harness.http import check_body
from harness.stream import STREAM, Stream, ask
from harness.tls import make_pair, tls_settings, trusting
from harness.waiting import SANITIZER, eventually, sooner_than


@pytest.fixture
def start_https(start, tmp_path):
    def start_it(**settings):
        cert, key = make_pair(tmp_path, "own")
        service = start(**tls_settings(cert, key), **settings)
        service.context = trusting(cert)
        return service
    return start_it


def test_a_line_for_each_port_and_one_at_the_end(shared, open_port, closed_port):
    here, there = open_port(), closed_port()
    with shared.connect() as connection:
        stream = Stream(ask(connection, [here, there, here]))
        *ports, last = stream.lines()

        assert (stream.status, stream.is_chunked) == (200, True)
        assert stream.headers["content-type"] == "application/x-ndjson"
        assert sorted(ports, key=lambda line: line["port"] != here) == [
            {"port": here, "accessible": True, "error": None},
            {"port": there, "accessible": False, "error": "Connection refused"}]
        assert last == {"success": True,
                        "message": "Successfully verified 1 out of 2 ports"}
        assert list(last) == ["success", "message"]
        assert connection.exchange("GET", "/health").status == 200


def test_details(shared, open_port):
    with shared.connect() as connection:
        line = Stream(ask(connection, [open_port()], details=True)).line()

    assert list(line) == ["port", "accessible", "error", "state", "rtt_ms", "icmp"]
    assert (line["state"], line["accessible"]) == ("open", True)


# A port that refuses is asked again after 4 seconds and judged then.
ASKED_AGAIN = {"PORT_CHECK_TIMEOUT": 20, "PORT_CHECK_RETRIES": 2, "PORT_CHECK_RETRY_DELAY": 4}


def test_a_line_comes_the_moment_its_port_is_known(start, closed_port, open_port):
    service = start(**ASKED_AGAIN)
    here, later = open_port(), sorted(closed_port() for _ in range(3))
    with service.connect() as connection:
        stream = Stream(ask(connection, [*later, here]))

        assert stream.line()["port"] == here
        assert service.metric("verdicts_total", "closed") == 0, "the others are not known yet"
        assert sorted(line["port"] for line in stream.lines()[:-1]) == later


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_the_end_of_the_connection_is_the_end_of_an_old_reply(
        start, add_address, closed_port, version):
    """HTTP/1.0 comes from a trusted proxy; from other peers on loopback it is refused."""
    service = start(PORT_CHECKER_TRUSTED_PROXIES="127.0.0.1", PORT_CHECKER_TARGETS="any")
    caller = add_address("192.168.55.1")
    with service.connect() as connection:
        headers = [("Connection", "close"), ("X-Forwarded-For", caller)]
        stream = Stream(ask(connection, [closed_port()], version, headers))

        assert stream.is_chunked == (version == "HTTP/1.1")
        assert stream.headers["connection"].lower() == "close"
        assert len(stream.lines()) == 2
        assert connection.is_ended()


@pytest.mark.parametrize("accept, is_stream", [
    ("application/x-ndjson", True), ("Application/X-NDJSON", True),
    ("text/html, application/x-ndjson;q=0.5", True),
    ("application/json;q=0.5, application/x-ndjson", True),
    ("application/json, application/x-ndjson", True),
    ("application/json, application/x-ndjson;q=0.9", False),
    ("application/x-ndjson;q=0", False), ("application/*", False), ("*/*", False),
    ("application/x-ndjsonl", False), ("", False),
])
def test_who_asks_for_a_stream(shared, closed_port, accept, is_stream):
    with shared.connect() as connection:
        connection.request("POST", "/check-ports",
                           [("Content-Type", "application/json"), ("Accept", accept)],
                           check_body([closed_port()]))
        stream = Stream(connection)

        assert (stream.headers["content-type"] == "application/x-ndjson") == is_stream
        assert ("transfer-encoding" in stream.headers) == is_stream


def test_what_is_refused_before_the_first_line_has_its_status(start):
    service = start(PORT_CHECKER_RATE="1/min", PORT_CHECKER_MAX_PORTS=2)
    with service.connect() as connection:
        for ports, address, status in (([0], "127.0.0.1", 422), ([1], "0.0.0.0", 403),
                                       ([1, 2], "127.0.0.1", 200), ([1], "127.0.0.1", 429)):
            ask(connection, ports, provider_ip=address)
            if status == 200:
                assert len(Stream(connection).lines()) == 3
            else:
                reply = connection.reply()
                assert (reply.status, "detail" in reply.json()) == (status, True)


def test_our_own_trouble_ends_a_stream_that_has_begun(start, machine, later):
    """The route disappears between a refusal and the second attempt."""
    far = machine.NETS[0][1]
    here, there = (targets.port_of(later.enter_context(machine.call(make, far)))
                   for make in (targets.listener, targets.closed))
    service = start(PORT_CHECKER_TARGETS="any", PORT_CHECK_TIMEOUT=20, PORT_CHECK_RETRIES=2,
                    PORT_CHECK_RETRY_DELAY=2)
    with service.connect() as connection:
        stream = Stream(ask(connection, [there, here], provider_ip=far))
        assert stream.line() == {"port": here, "accessible": True, "error": None}
        route = ("unreachable", far)
        network.command("ip", "route", "add", *route)
        later.callback(network.command, "ip", "route", "del", *route)

        last, = stream.lines()
        assert list(last) == ["detail", "code"]
        assert last["code"] == "checker_fault" and "route" in last["detail"]
        assert connection.exchange("GET", "/health").status == 200
    assert service.wait_event("check")["status"] == "503"
    assert service.metric("refusals_total", "no_route") == 1
    assert service.metric("verdicts_total", "closed") == 0


def test_no_ports_are_one_line(shared):
    with shared.connect() as connection:
        reply = ask(connection, []).reply()

        assert reply.body == (b'{"success": false, "message": '
                              b'"Successfully verified 0 out of 0 ports"}\n')


def test_pipelined_streams_come_in_their_order(shared, open_port, closed_port):
    here, there = open_port(), closed_port()
    with shared.connect() as connection:
        for port in (here, there):
            ask(connection, [port])
        connection.request("GET", "/ip")

        assert Stream(connection).lines()[0]["port"] == here
        assert Stream(connection).lines()[0]["port"] == there
        assert connection.reply().json()["ip"] == "127.0.0.1"


def test_a_chunked_request_has_its_stream(shared, closed_port):
    body = check_body([closed_port()])
    with shared.connect() as connection:
        chunked = ("Transfer-Encoding", "chunked")
        connection.request("POST", "/check-ports", [*STREAM, chunked])
        connection.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))

        assert len(Stream(connection).lines()) == 2
        assert connection.exchange("GET", "/health").status == 200


def test_cors_headers_are_on_a_stream(start, closed_port):
    service = start(PORT_CHECKER_CORS_ORIGINS="https://a.example")
    with service.connect() as connection:
        origin = [("Origin", "https://a.example")]
        stream = Stream(ask(connection, [closed_port()], headers=origin))

        assert stream.headers["access-control-allow-origin"] == "https://a.example"
        assert len(stream.lines()) == 2


@pytest.mark.parametrize("leave", ["close", "reset", "half_close"])
def test_a_client_that_leaves_its_stream_cancels(start, closed_port, open_port, leave):
    service = start(**ASKED_AGAIN)
    connection = service.connect()
    stream = Stream(ask(connection, [open_port(), closed_port(), closed_port()]))
    assert stream.line()["accessible"]
    getattr(connection, leave)()

    eventually(lambda: service.metric("checks_running") == 0, "the check is cancelled")
    assert service.metric("checks_abandoned_total") == 1
    assert service.wait_event("check")["reason"] == "client_left"
    connection.close()


def test_draining_lets_a_stream_finish(start, silent_ports, open_port):
    service = start(PORT_CHECK_TIMEOUT=1)
    with service.connect() as connection:
        stream = Stream(ask(connection, [open_port(), *silent_ports(4)]))
        assert stream.line()["accessible"]
        service.signal(15)
        service.wait_event("draining")

        assert stream.lines()[-1]["message"] == "Successfully verified 1 out of 5 ports"
        assert connection.is_ended()
    assert service.wait() == 0


MANY = 10000  # more lines than the buffers of one connection hold
SEND_BUFFERS = pathlib.Path("/proc/sys/net/ipv4/tcp_wmem")


@pytest.fixture
def small_send_buffers(own_network):
    before = SEND_BUFFERS.read_text()
    SEND_BUFFERS.write_text("4096 16384 65536")
    yield
    SEND_BUFFERS.write_text(before)


def test_a_reader_that_stalls_delays_no_other_client(start, small_send_buffers):
    service = start(PORT_CHECKER_MAX_PORTS=MANY, PORT_CHECKER_WORKERS=1)
    before = service.resident()
    with service.connect() as connection:
        # Far less than the lines; the smallest buffer would take half a minute to read them.
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        ask(connection, [f"1-{MANY}"], details=True)

        # All ports are judged while hardly any line has been read.
        fields = service.wait_event("check", within=25)
        assert int(fields["ports"]) == MANY
        assert service.get("/health").status == 200
        if not SANITIZER:  # to discount memory that the heap keeps
            assert service.resident() - before < MANY * 600 + (4 << 20)

        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        *ports, last = Stream(connection).lines()
        assert sorted(line["port"] for line in ports) == list(range(1, MANY + 1))
        assert last["message"].endswith(f"out of {MANY} ports")


def test_a_stream_over_https(start_https, closed_port, open_port):
    service = start_https(**ASKED_AGAIN)
    here = open_port()
    with service.connect() as connection:
        stream = Stream(ask(connection, [closed_port(), closed_port(), here]))
        assert stream.line()["port"] == here
        assert service.metric("verdicts_total", "closed") == 0, "the others are not known yet"
        assert len(stream.lines()) == 3

        assert len(Stream(ask(connection, [here])).lines()) == 2
        assert connection.exchange("GET", "/health").status == 200


def test_a_long_stream_over_https(start_https):
    service = start_https(PORT_CHECKER_MAX_PORTS=2048)
    with service.connect() as connection:
        stream = Stream(ask(connection, ["20000-22047"], "HTTP/1.1"))
        assert len(stream.lines()) == 2049
        assert connection.exchange("GET", "/health").status == 200


def test_leaving_a_stream_over_https_cancels(start_https, closed_port, open_port):
    service = start_https(**ASKED_AGAIN)
    with service.connect() as connection:
        stream = Stream(ask(connection, [open_port(), closed_port()]))
        assert stream.line()["accessible"]

    eventually(lambda: service.metric("checks_running") == 0, "the check is cancelled")


def test_many_leave_their_streams_over_https(start_https, silent_ports, open_port):
    """TLS needs time to close, so more bytes may arrive from a client that has left."""
    service = start_https(PORT_CHECK_TIMEOUT=20)
    ports = [open_port(), *silent_ports(2)]
    for _ in range(60):
        with service.connect() as connection:
            assert Stream(ask(connection, ports)).line()["accessible"]

    eventually(lambda: service.metric("checks_running") == 0, "the checks are cancelled")
    eventually(lambda: service.metric("http_connections_open") == 1, "nothing is left of them")


def test_a_stream_that_has_ended_does_not_hold_up_a_reload(start_https, silent_ports):
    """The head was sent before, and does not announce the end of the connection."""
    service = start_https(PORT_CHECK_TIMEOUT=1)
    with service.connect() as connection:
        stream = Stream(ask(connection, [9, *silent_ports(1)]))
        assert stream.line()["port"] == 9
        service.signal(signal.SIGHUP)
        service.wait_event("reload")
        with sooner_than(9):  # otherwise the client would have 10 seconds
            stream.lines()
            service.wait_ready(2)

        assert connection.is_ended()


def test_many_streams_at_once(start, silent_ports, open_port):
    service = start(PORT_CHECK_TIMEOUT=0.5)
    here = [open_port() for _ in range(4)]
    silent = silent_ports(4)
    connections = [service.connect() for _ in range(50)]
    for connection in connections:
        ask(connection, here + silent)
    for connection in connections:
        lines = Stream(connection).lines()
        assert len(lines) == 9
        connection.close()
