# SPDX-License-Identifier: MIT
"""Fixtures of the verifier's tests."""
import contextlib
import pathlib

import pytest

import stub as stubs
from harness import netns, network

RESERVED = pathlib.Path("/proc/sys/net/ipv4/ip_local_reserved_ports")


def pytest_configure():
    if network.is_own():  # connections going out must not take what is to be bound
        RESERVED.write_text("7466,50800-50900")


@pytest.fixture
def stub(later):
    """stub(answer, ...): a checker that the test controls."""
    def make(answer, **options):
        return later.enter_context(stubs.Stub(answer, **options))
    return make


@pytest.fixture
def namespace(namespaces, later):
    """namespace(name): a network namespace with loopback."""
    def make(name):
        made = later.enter_context(contextlib.closing(netns.Namespace(name)))
        made.ip("link set lo up\n")
        return made
    return make
