# SPDX-License-Identifier: MIT
"""Fixtures of the tests of contrib/."""
import contextlib

import pytest

from fronts import Front, start_service
from harness import network
from harness.service import kept

FILES = {
    "nginx": ["port-checker.conf", "port-checker-tls.conf"],
    "haproxy": ["port-checker.cfg", "one-node.cfg", "port-checker-tls.cfg"],
    "caddy": ["port-checker.Caddyfile"],
}

# Callers: their checks go to these addresses.
CALLER, CALLER6, OTHER = "192.168.55.1", "fd55::1", "192.168.55.2"


@pytest.fixture(scope="module", autouse=True)
def addresses():
    """Ports 80, 443 and 7466, and these addresses, exist only in a network of our own."""
    if not network.is_own():
        pytest.skip("needs root and a network namespace of its own")
    with contextlib.ExitStack() as stack:
        for address in CALLER, CALLER6, OTHER:
            stack.callback(network.Address(address).close)
        yield


@pytest.fixture(scope="module", params=FILES)
def front(request, addresses, tmp_path_factory):
    """Each proxy with the service behind it, `front.service`, for all tests of a file."""
    kind = request.param
    with contextlib.ExitStack() as stack:
        service = stack.enter_context(kept(start_service(kind))).wait_ready()
        front = Front(kind, tmp_path_factory.mktemp(kind), FILES[kind])
        stack.callback(front.close)
        front.service = service
        yield front


@pytest.fixture
def make_front(later, tmp_path):
    def make(kind, files=None, **more):
        front = Front(kind, tmp_path, files or FILES[kind], **more)
        later.callback(front.close)
        return front
    return make
