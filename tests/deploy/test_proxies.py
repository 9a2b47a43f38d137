# SPDX-License-Identifier: MIT
"""The service behind the real proxies, with the files of contrib/."""

import pytest

from conftest import CALLER, CALLER6, OTHER
from fronts import HOST, JSON, NAME, Client
from harness.http import check_body
from harness.stream import STREAM, Stream
from harness.waiting import eventually

SCHEMES = pytest.mark.parametrize("scheme", ["http", "https"])
CALLERS = pytest.mark.parametrize("caller", [CALLER, CALLER6])
SPOOFED = "203.0.113.7"


def metric(service, name, *labels):
    """Read as the operator, to whom 127.0.0.1 belongs behind every proxy."""
    with service.connect(host="127.0.0.1") as connection:
        name = f"port_checker_{name}"
        return service.metrics(connection).get((name, *labels) if labels else name, 0)


# --- who calls ----------------------------------------------------------------------------


@SCHEMES
@CALLERS
def test_the_service_sees_the_clients_address(front, scheme, caller):
    with Client(front, caller, scheme) as client:
        assert client.ip() == caller


@SCHEMES
@CALLERS
@pytest.mark.parametrize("headers", [
    [("X-Forwarded-For", SPOOFED)],
    [("X-Forwarded-For", SPOOFED), ("X-Forwarded-For", f"{SPOOFED}, 127.0.0.2")],
    [("X-Forwarded-For", "127.0.0.2, ::1")],
    [("Forwarded", f"for={SPOOFED}")],
    [("Forwarded", f"for={SPOOFED}"), ("X-Forwarded-For", "unknown")],
    [("X-Real-IP", SPOOFED), ("CF-Connecting-IP", SPOOFED), ("True-Client-IP", SPOOFED)],
    [("X_Forwarded_For", SPOOFED)],
    [("Connection", "X-Forwarded-For, Forwarded"), ("X-Forwarded-For", SPOOFED)],
], ids=lambda headers: "+".join(name for name, _ in headers))
def test_what_a_client_says_about_itself_is_not_believed(front, scheme, caller, headers):
    with Client(front, caller, scheme) as client:
        assert client.ip(headers) == caller
        reply = client.check([7466], SPOOFED, headers)
    assert (reply.status, reply.json()["code"]) == (403, "target_not_allowed")
    assert caller in reply.json()["detail"]


@SCHEMES
@CALLERS
def test_a_caller_has_its_own_address_checked(front, scheme, caller, open_port, closed_port):
    ports = [open_port(caller), closed_port(caller)]
    with Client(front, caller, scheme) as client:
        reply = client.check(ports)
    assert reply.json() == {
        "success": True,
        "results": {str(ports[0]): {"accessible": True, "error": None},
                    str(ports[1]): {"accessible": False, "error": "Connection refused"}},
        "message": "Successfully verified 1 out of 2 ports",
    }


@pytest.mark.parametrize("target", [OTHER, "127.0.0.1", "127.0.0.2", SPOOFED])
def test_a_caller_has_no_other_address_checked(front, target):
    with Client(front, CALLER) as client:
        assert client.check([80], target).status == 403


def test_a_client_on_the_proxys_machine_is_unknown(front):
    """Loopback is the same on every machine: through the proxy it names no caller."""
    with Client(front, "127.0.0.1") as client:
        for path in "/ip", "/metrics":
            reply = client.exchange("GET", path)
            assert (reply.status, reply.json()["code"]) == (403, "caller_unknown")


def test_the_metrics_are_the_operators(front):
    with Client(front, CALLER) as client:
        assert client.exchange("GET", "/metrics").status == 403
    assert metric(front.service, "workers") == 2


@SCHEMES
def test_pages_of_the_checker_may_ask_and_those_of_other_sites_may_not(front, scheme):
    origin = ("Origin", f"{scheme}://{NAME}")
    foreign = ("Origin", f"{scheme}://other.example")
    with Client(front, CALLER, scheme) as client:
        assert client.check([9], headers=[origin]).status == 200
        assert client.check([9], headers=[foreign]).status == 403
        assert client.check([9], headers=[foreign, ("X-Forwarded-Host", "other.example")]
                            ).status == 403


# --- what comes back ----------------------------------------------------------------------


@SCHEMES
def test_lines_come_as_they_are_judged(front, scheme, open_port, packet_filter, later):
    """The second port answers only after the first line was read: a proxy that keeps lines back
    would never see it open. Many streams, since a proxy may cut some of them."""
    first, second = open_port(CALLER), open_port(CALLER)
    # Handshakes take time, and the second port is judged after 2.4 s.
    clients = [later.enter_context(Client(front, CALLER, scheme)) for _ in range(30)]
    packet_filter.rule([second], "drop")
    for client in clients:
        client.connection.request("POST", "/check-ports", [HOST, *STREAM],
                                  check_body([second, first], CALLER))
    streams = [Stream(client.connection) for client in clients]
    for stream in streams:
        assert stream.headers["content-type"] == "application/x-ndjson"
        assert stream.line()["port"] == first
    packet_filter.clear()
    for stream in streams:
        line, end = stream.lines()
        assert (line["port"], line["accessible"]) == (second, True)
        assert end["message"] == "Successfully verified 2 out of 2 ports"


UNCHANGED = {
    "not found": ("GET", "/nothing", [], None),
    "method": ("DELETE", "/check-ports", [], None),
    "no body": ("POST", "/check-ports", [JSON], b""),
    "not JSON": ("POST", "/check-ports", [JSON], b"{"),
    "bad ports": ("POST", "/check-ports", [JSON], check_body([0, "x", 70000], CALLER)),
    "large body": ("POST", "/check-ports", [JSON], b" " * 70000),
    "encoding": ("POST", "/check-ports", [JSON, ("Content-Encoding", "gzip")], b"x"),
    "not allowed": ("POST", "/check-ports", [JSON], check_body([80], OTHER)),
    "never allowed": ("POST", "/check-ports", [JSON], check_body([80], "224.0.0.1")),
    "no target": ("POST", "/check-ports", [JSON], check_body([80], "host.example")),
    "the page": ("GET", "/", [], None),
    "health": ("GET", "/health", [], None),
}
KEPT = ("content-type", "allow", "retry-after", "cache-control", "content-security-policy",
        "etag")


@SCHEMES
@pytest.mark.parametrize("request_", UNCHANGED.values(), ids=UNCHANGED)
def test_replies_pass_unchanged(front, scheme, request_):
    method, path, headers, body = request_
    with Client(front, CALLER, scheme) as client:
        passed = client.exchange(method, path, headers, body)
    proxy = "::1" if front.kind == "caddy" else "127.0.0.2"
    said = front.service.exchange(
        method, path, [*headers, ("X-Forwarded-For", CALLER), ("X-Forwarded-Host", NAME), HOST],
        body, source=proxy)
    assert passed.status == said.status
    assert passed.body == said.body
    for name in KEPT:
        assert passed.header(name) == said.header(name), name


@SCHEMES
def test_a_connection_is_used_again(front, scheme):
    with Client(front, CALLER, scheme) as client:
        for number in range(10):
            assert client.check([9]).status == 200
            assert client.check([9], OTHER).status == 403
            assert client.ip() == CALLER


@SCHEMES
def test_a_large_range(front, scheme):
    ports = "20000-21023"
    with Client(front, CALLER, scheme) as client:
        results = client.check([ports], details=True).json()["results"]
        assert list(results) == [str(port) for port in range(20000, 21024)]
        client.connection.request("POST", "/check-ports", [HOST, *STREAM],
                                  check_body([ports], CALLER))
        assert len(Stream(client.connection).lines()) == 1025
        assert client.ip() == CALLER


def test_a_client_that_leaves_cancels_its_check(front, packet_filter):
    packet_filter.rule([9], "drop")
    before = metric(front.service, "checks_abandoned_total")
    with Client(front, CALLER) as client:
        client.connection.request("POST", "/check-ports", [HOST, JSON],
                                  check_body([9], CALLER))
        eventually(lambda: metric(front.service, "checks_running") == 1, "the check runs")
    eventually(lambda: metric(front.service, "checks_abandoned_total") == before + 1,
               "the check was cancelled")
