# SPDX-License-Identifier: MIT
"""Fixtures for all tests of the real programs. What a test creates through them is removed after
it. A service must then end cleanly, without a complaint from a sanitizer."""
import contextlib

import pytest

from harness import netns, network, targets
from harness.service import BINARY, Service, kept, running


def pytest_addoption(parser):
    parser.addoption("--part", metavar="K/N", default="1/1",
                     help="run only the tests of every N-th file, from the K-th")


def pytest_collection_modifyitems(config, items):
    part, parts = map(int, config.getoption("part").split("/"))
    files = sorted({item.path for item in items})
    others = [item for item in items if files.index(item.path) % parts != part - 1]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in others]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    report = (yield).get_result()
    if report.failed:
        for service in running:
            if not service.log.closed:
                said = service.stderr()[-4000:]
                report.sections.append((f"stderr of port-checker {service.pid}", said))


@pytest.fixture
def later():
    """An ExitStack for what a test makes itself."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def start():
    """start(NAME=value, ...): a service of this test's own, ready; `inside` a namespace."""
    with contextlib.ExitStack() as stack:
        def start_service(inside=None, env_file=None, arguments=(), descriptors=None,
                          directory=None, wrapper=(), binary=BINARY, **settings):
            options = {"env_file": env_file, "arguments": arguments,
                       "descriptors": descriptors, "directory": directory,
                       "wrapper": wrapper, "binary": binary}
            with inside or contextlib.nullcontext():
                service = stack.enter_context(kept(Service(settings, **options)))
            return service.wait_ready()
        yield start_service


@pytest.fixture(scope="session")
def namespaces():
    """Skips tests that need network namespaces if none can be created here."""
    reason = netns.why_not()
    if reason:
        pytest.skip(reason)


@pytest.fixture
def open_port(later):
    """open_port(address): the number of a port with a listener."""
    def make(address="127.0.0.1"):
        return targets.port_of(later.enter_context(targets.listener(address)))
    return make


@pytest.fixture
def closed_port(later):
    """closed_port(address): the number of a port without a listener, which stays reserved."""
    def make(address="127.0.0.1"):
        return targets.port_of(later.enter_context(targets.closed(address)))
    return make


@pytest.fixture
def own_network():
    if not network.is_own():
        pytest.skip("needs root and a network namespace of its own")


@pytest.fixture
def packet_filter(own_network):
    """Rules for packets that arrive at this machine."""
    rules = network.Filter()
    yield rules
    rules.close()


@pytest.fixture
def add_address(own_network, later):
    """add_address(text): adds a loopback address to this machine."""
    def add(address):
        later.callback(network.Address(address).close)
        return address
    return add
