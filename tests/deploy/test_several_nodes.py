# SPDX-License-Identifier: MIT
"""Two checkers behind one address, with the files of contrib/."""
import contextlib

import pytest

from fronts import Client, start_service
from harness.network import Address
from harness.service import kept
from harness.waiting import eventually

FILES = {
    "nginx": ["several-nodes.conf"],
    "haproxy": ["port-checker.cfg", "several-nodes.cfg"],
    "caddy": ["several-nodes.Caddyfile"],
}
PROXY, NODES = "192.0.2.1", ("192.0.2.11", "192.0.2.12")
CALLERS = [f"192.168.56.{number}" for number in range(1, 25)]
PAIRS = [(f"fd56:1:1:{net:x}::1", f"fd56:1:1:{net:x}:8000:7:6:2") for net in range(1, 13)]


@pytest.fixture(scope="module", autouse=True)
def callers(addresses):
    with contextlib.ExitStack() as stack:
        for address in [PROXY, *NODES, *CALLERS, *sum(PAIRS, ())]:
            stack.callback(Address(address).close)
        yield


def node(kind, host):
    more = {}
    if kind == "caddy":  # chooses no source address: on one machine it is the node's own
        more["PORT_CHECKER_TRUSTED_PROXIES"] = f"{PROXY}, {host}"
    return start_service(kind, "several-nodes.env", PORT_CHECKER_HOST=host, **more)


@pytest.fixture
def nodes(later):
    return lambda kind: [later.enter_context(kept(node(kind, host))).wait_ready()
                         for host in NODES]


def ask(front, caller):
    with Client(front, caller) as client:
        return client.check([9]).status


def asked(service):
    """Who asked it, as its log says, which may come a moment after the reply."""
    return {event["caller"] for event in service.events("check")}


@pytest.mark.parametrize("kind", FILES)
def test_all_requests_of_a_caller_go_to_one_node(make_front, nodes, kind):
    first, second = nodes(kind)
    front = make_front(kind, FILES[kind])
    everybody = [*CALLERS, *sum(PAIRS, ())]
    for _ in range(2):
        for caller in everybody:
            assert ask(front, caller) == 200

    eventually(lambda: asked(first) | asked(second) == set(everybody), "all are in the logs")
    assert asked(first) & asked(second) == set()
    assert all(asked(service) & set(CALLERS) for service in (first, second)), "both work"
    if kind != "caddy":
        for pair in PAIRS:
            assert set(pair) <= asked(first) or set(pair) <= asked(second), "a /64 is one caller"


@pytest.mark.parametrize("kind", FILES)
def test_a_node_that_is_down_loses_its_callers_and_no_others(make_front, nodes, kind):
    first, second = nodes(kind)
    front = make_front(kind, FILES[kind])
    for caller in CALLERS:
        assert ask(front, caller) == 200
    of_second = asked(second)

    first.stop()
    eventually(lambda: all(ask(front, caller) == 200 for caller in CALLERS),
               "the second node serves all callers")
    eventually(lambda: asked(second) == set(CALLERS), "all are in its log")

    with kept(node(kind, NODES[0])) as again:
        again.wait_ready()
        eventually(lambda: [ask(front, caller) for caller in CALLERS] and asked(again),
                   "the first node gets callers again")
        if kind != "caddy":  # which may take a node for failed that is not
            assert asked(again) & of_second == set(), "the second node keeps its own"
