# SPDX-License-Identifier: MIT
"""Fixtures of the service's tests: a shared service, targets, networks."""
import resource
import shutil

import pytest

from harness import network
from harness.service import BINARY, Service, kept, running


def pytest_configure():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@pytest.fixture(scope="module")
def latest():
    """The service that `shared` returned last, in a list."""
    services = []
    yield services
    for service in services:
        service.stop()


@pytest.fixture
def shared(latest):
    """One service with the usual settings for all tests of a file that do not change it. If a test
    ends it, that test fails and the next one gets a new service."""
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
def copied(tmp_path, later):
    """copied(NAME=value, ...): a service whose binary is a copy that the test may replace, and that
    copy."""
    def begin(**settings):
        binary = tmp_path / "port-checker"
        shutil.copy(BINARY, binary)
        service = later.enter_context(kept(Service(settings, directory=tmp_path, binary=binary)))
        return service.wait_ready(), binary
    return begin


@pytest.fixture
def silent_ports(packet_filter):
    """silent_ports(count): numbers of ports that do not answer."""
    def make(count):
        ports = list(range(20000, 20000 + count))
        packet_filter.rule(["20000-%d" % (19999 + count)], "drop")
        return ports
    return make


@pytest.fixture
def machine(own_network):
    """Another machine on a cable."""
    machine = network.Machine()
    yield machine
    machine.close()
