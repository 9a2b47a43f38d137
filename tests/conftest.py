# SPDX-License-Identifier: MIT
"""Fixtures for all tests of the real programs. What a test creates through them is removed after
it. A service must then end cleanly, without a complaint from a sanitizer."""
import contextlib

import pytest

from harness import netns
from harness.service import Service, kept, running


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
                          directory=None, wrapper=(), **settings):
            options = {"env_file": env_file, "arguments": arguments,
                       "descriptors": descriptors, "directory": directory,
                       "wrapper": wrapper}
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
