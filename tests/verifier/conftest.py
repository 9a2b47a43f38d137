# SPDX-License-Identifier: MIT
"""Fixtures of the verifier's tests. They stand on those of the service's and on the
laboratory's network namespaces."""
import contextlib
import pathlib
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[1:1] = [str(TESTS / "service"), str(TESTS / "lab")]

import netns  # noqa: E402
from harness import network  # noqa: E402
from harness.service import Service, kept, running  # noqa: E402

import stub as stubs  # noqa: E402


RESERVED = pathlib.Path("/proc/sys/net/ipv4/ip_local_reserved_ports")


def pytest_configure(config):
    config.addinivalue_line("markers", "heavy: takes long or much; not under sanitizers")
    if network.is_own():  # connections going out must not take what is to be bound
        RESERVED.write_text("7466,50800-50900")


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
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def start(later):
    """start(inside=None, NAME=value, ...): a service, ready; its `url` is added."""
    def start_service(inside=None, **settings):
        with inside or contextlib.nullcontext():
            service = later.enter_context(kept(Service(settings)))
        service.wait_ready()
        host = service.ready["address"]
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        service.url = f"http://{f'[{host}]' if ':' in host else host}:{service.port}"
        return service
    return start_service


@pytest.fixture
def stub(later):
    """stub(answer, ...): a checker of the test's own."""
    def make(answer, **options):
        return later.enter_context(stubs.Stub(answer, **options))
    return make


@pytest.fixture(scope="session")
def namespaces():
    """Skips what needs networks of its own where there are none to be had."""
    reason = netns.why_not()
    if reason:
        pytest.skip(reason)


@pytest.fixture
def namespace(namespaces, later):
    """namespace(name): a network of its own, with loopback."""
    def make(name):
        made = later.enter_context(contextlib.closing(netns.Namespace(name)))
        made.ip("link set lo up\n")
        return made
    return make
