# SPDX-License-Identifier: MIT
"""Fixtures of the service tests. Whatever a test makes through them is taken away after it,
the service last but one check: that it ends well and no sanitizer has complained."""
import contextlib
import resource

import pytest

from harness import network, targets
from harness.service import Service, kept, running


def pytest_configure(config):
    config.addinivalue_line("markers", "heavy: takes long or much; not under sanitizers")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


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
    """start(NAME=value, ...): a service of this test's own, ready."""
    with contextlib.ExitStack() as stack:
        def start_service(env_file=None, arguments=(), descriptors=None, directory=None,
                          **settings):
            options = {"env_file": env_file, "arguments": arguments,
                       "descriptors": descriptors, "directory": directory}
            service = stack.enter_context(kept(Service(settings, **options)))
            return service.wait_ready()
        yield start_service


@pytest.fixture(scope="module")
def latest():
    """The service that `shared` gave out last, in a list."""
    services = []
    yield services
    for service in services:
        service.stop()


@pytest.fixture
def shared(latest):
    """One service with the usual settings for all tests of a file that change nothing; a
    new one when it did not survive a test, which then has failed."""
    if not latest:
        latest.append(Service())
    service, = latest
    running.append(service)
    try:
        yield service.wait_ready()
        if service.process.poll() is not None:
            latest.clear()
            service.stop()
            pytest.fail(f"the service ended: {service.process.returncode}")
    finally:
        running.remove(service)


@pytest.fixture
def open_port(later):
    """open_port(address): the number of a port where somebody listens."""
    def make(address="127.0.0.1"):
        return targets.port_of(later.enter_context(targets.listener(address)))
    return make


@pytest.fixture
def closed_port(later):
    """closed_port(address): the number of a port where nobody listens, and nobody will."""
    def make(address="127.0.0.1"):
        return targets.port_of(later.enter_context(targets.closed(address)))
    return make


@pytest.fixture
def own_network():
    if not network.is_own():
        pytest.skip("needs root and a network namespace of its own")


@pytest.fixture
def packet_filter(own_network):
    """Rules for what comes in on this machine."""
    if not network.has_filter():
        pytest.skip("needs nft")
    rules = network.Filter()
    yield rules
    rules.close()


@pytest.fixture
def silent_ports(packet_filter):
    """silent_ports(count): numbers of ports that answer nothing."""
    def make(count):
        ports = list(range(20000, 20000 + count))
        packet_filter.rule(["20000-%d" % (19999 + count)], "drop")
        return ports
    return make


@pytest.fixture
def add_address(own_network, later):
    """add_address(text): one more address of this machine, on loopback."""
    def add(address):
        later.callback(network.Address(address).close)
        return address
    return add


@pytest.fixture
def machine(own_network):
    """Another machine behind a cable."""
    machine = network.Machine()
    yield machine
    machine.close()
