# SPDX-License-Identifier: MIT
"""The proxies with a service of the test's own behind them, or none."""
import signal
import time

import pytest

from conftest import CALLER, FILES, OTHER
from fronts import Client, start_service
from harness.service import kept
from harness.waiting import sooner_than

KINDS = pytest.mark.parametrize("kind", FILES)
SCHEMES = pytest.mark.parametrize("scheme", ["http", "https"])


@KINDS
def test_a_callers_budget_is_its_own(make_front, kind):
    with kept(start_service(kind, PORT_CHECKER_RATE="1/min", PORT_CHECKER_MAX_PORTS=2)) as service:
        service.wait_ready()
        front = make_front(kind)
        with Client(front, CALLER) as client, Client(front, OTHER) as other:
            begun = time.monotonic()
            assert client.check([1, 2]).status == 200
            refused = client.check([1])
            took = time.monotonic() - begun
            assert (refused.status, refused.json()["code"]) == (429, "rate_limited")
            assert 60 - took <= int(refused.header("Retry-After")) <= 60
            assert other.check([1, 2]).status == 200


@SCHEMES
@KINDS
def test_a_service_that_is_down_is_a_503_with_a_sentence(make_front, kind, scheme):
    front = make_front(kind)
    with Client(front, CALLER, scheme) as client:
        with sooner_than(20):
            reply = client.check([9])
        assert reply.status == 503
        assert "does not answer" in reply.json()["detail"]
    with kept(start_service(kind)) as service:
        service.wait_ready()
        with Client(front, CALLER, scheme) as client:
            assert client.check([9]).status == 200


@KINDS
def test_no_request_fails_while_the_service_reloads(make_front, kind):
    with kept(start_service(kind)) as service:
        service.wait_ready()
        front = make_front(kind)
        with Client(front, CALLER) as client:
            for count in range(2, 6):
                service.signal(signal.SIGHUP)
                while len(service.events("ready")) < count:
                    assert client.check([9]).status == 200
                assert client.check([9]).status == 200
