# SPDX-License-Identifier: MIT
"""Fixtures of the verifier's tests. They stand on the laboratory's network namespaces."""
import contextlib
import pathlib
import sys

import pytest

from harness import network

sys.path.insert(1, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))

import netns  # noqa: E402
import stub as stubs  # noqa: E402


RESERVED = pathlib.Path("/proc/sys/net/ipv4/ip_local_reserved_ports")


def pytest_configure():
    if network.is_own():  # connections going out must not take what is to be bound
        RESERVED.write_text("7466,50800-50900")


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
