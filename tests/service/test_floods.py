# SPDX-License-Identifier: MIT
"""Refusals of every kind, as fast as a client can cause them. They cost the client nothing, so
together they write at most a hundred lines a second, and a check that costs something keeps its
line."""
import contextlib
import itertools
import time

import pytest

from harness.clients import request
from harness.http import check_body
from harness.waiting import eventually

LAST = request(b"GET /health HTTP/1.1", b"Connection: close")


def posted(body, *headers, path=b"/check-ports", **more):
    headers = headers or (b"Content-Type: application/json",)
    return request(b"POST %s HTTP/1.1" % path, b"Content-Length: %d" % len(body), *headers,
                   body=body, **more)


def logged(source):
    """Those that write a line for each request, unless it is suppressed."""
    own = check_body([9], source)
    return {
        "another's address": posted(check_body([9], "192.0.2.1")),
        "a multicast address": posted(check_body([9], "224.0.0.1")),
        "no ports": posted(check_body([], source)),
        "not JSON": posted(b"{"),
        "not as JSON": posted(own, b"Content-Type: text/plain"),
        "a long address": posted(check_body([9], "1" * 60000)),
        "a page of another site": posted(own, b"Sec-Fetch-Site: cross-site"),
        "an undeclared proxy": posted(own, b"X-Forwarded-For: 192.0.2.1"),
        "another host": posted(own, host=b"Host: checker.example"),
        "a receipt without a key": posted(
            b'{"provider_ip": "%s", "ports": [9], "receipt": true}' % source.encode()),
        "a form": posted(b"ports=0", b"Content-Type: application/x-www-form-urlencoded",
                         path=b"/"),
        "a query": request(b"GET /check-ports?ports=0 HTTP/1.1"),
        # The first takes the whole budget of its caller.
        "too many ports for the budget": posted(check_body(["1-1000"], source)),
    }


# Those that write none, or one a minute.
SILENT = {
    "two spaces": request(b"GET  / HTTP/1.1"),
    "an unknown path": request(b"GET /nothing HTTP/1.1"),
    "a wrong method": request(b"DELETE /check-ports HTTP/1.1"),
    "a long body": request(b"POST /check-ports HTTP/1.1", b"Content-Length: 99999999"),
    "a long target": request(b"GET /%s HTTP/1.1" % (b"a" * 9000)),
    "a long head": request(b"GET / HTTP/1.1", b"X: " + b"a" * 9000),
    "an encoding": request(b"POST /check-ports HTTP/1.1", b"Content-Encoding: gzip",
                           b"Content-Length: 2", body=b"{}"),
    "metrics for a proxy": request(b"GET /metrics HTTP/1.1", b"Via: 1.1 x"),
}


def send_all(service, kinds, each, source=None):
    """Sends each kind `each` times on a connection of its own, and waits for its end."""
    for text in kinds.values():
        with service.connect(source=source) as client, contextlib.suppress(ConnectionError):
            client.send(text * each + LAST)
            client.rest()


def suppressed(service):
    return sum(int(event["suppressed"]) for event in service.events("log_suppressed"))


@pytest.mark.parametrize("addresses", [1, 40])
def test_refusals_of_every_kind_share_a_hundred_lines_a_second(start, closed_port, addresses):
    service = start(PORT_CHECKER_RATE="1/min", PORT_CHECKER_MAX_PORTS=1000,
                    PORT_CHECKER_TARGETS="caller")
    each, charged, sent = 20, 3, 0
    begun = time.monotonic()
    for n in itertools.cycle(range(addresses)):
        source = f"127.0.1.{n + 1}"
        send_all(service, {**logged(source), **SILENT}, each, source)
        sent += each * len(logged(source))
        if time.monotonic() - begun > 2.5:
            break
    for port in [closed_port() for _ in range(charged)]:
        assert service.check([port]).status == 200
    eventually(lambda: len(service.events("check")) + suppressed(service) == sent + charged,
               "each line is there or counted")
    seconds = time.monotonic() - begun

    checks = service.events("check")
    with_cost = [event for event in checks if "closed" in event and event["ports"] != "0"]
    assert sum(event["caller"] == "127.0.0.1" for event in with_cost) == charged
    assert 100 <= len(checks) - len(with_cost) <= 100 * (seconds + 1)
    others = [event for event in service.events() if event["event"] not in ("check", "ready")]
    assert len(others) <= seconds + 3, others
