# SPDX-License-Identifier: MIT
"""Fixtures of the service's tests: a shared service, targets, networks."""
import resource
import shutil

import pytest

from harness import network
from harness.http import check_body
from harness.service import BINARY, Service, kept, running
from harness.waiting import eventually


pytest.register_assert_rewrite("echo")


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


class LongCheck:
    """long_check(service): a connection with a check of ports that are silent. It takes
    PORT_CHECK_TIMEOUT; release() lets the ports refuse, which ends it soon."""

    def __init__(self, packet_filter, ports, later):
        self.packet_filter, self.ports, self.later = packet_filter, ports, later

    def __call__(self, service):
        connection = self.later.enter_context(service.connect())
        running = service.metric("checks_running")
        connection.request("POST", "/check-ports", [("Content-Type", "application/json")],
                           check_body(self.ports))
        eventually(lambda: service.metric("checks_running") > running, "the check runs")
        return connection

    def hold(self):
        self.packet_filter.rule(self.ports, "drop")

    def release(self):
        self.packet_filter.clear()

    @staticmethod
    def assert_none_open(reply):
        assert reply.status == 200, reply
        assert reply.json()["message"] == "Successfully verified 0 out of 3 ports"


@pytest.fixture
def long_check(packet_filter, silent_ports, later):
    return LongCheck(packet_filter, silent_ports(3), later)


@pytest.fixture
def machine(own_network):
    """Another machine on a cable."""
    machine = network.Machine()
    yield machine
    machine.close()
