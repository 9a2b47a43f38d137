# SPDX-License-Identifier: MIT
"""Fixtures of the tests with several places. A test itself runs in the front's network."""
import contextlib

import pytest

from harness import nats, targets
from harness.service import BINARY
from laboratory import TARGET, Networks, World
from scripted import ScriptedFront, ScriptedPlace


def pytest_collection_modifyitems(items):
    if b"libnats.so" not in BINARY.read_bytes():
        for item in items:
            item.add_marker(pytest.mark.skip(reason="a build without libnats"))


@pytest.fixture
def networks(namespaces):
    with contextlib.closing(Networks()) as made, made.spaces["gw"]:
        yield made


@pytest.fixture
def world(networks, start):
    if not nats.program():
        pytest.skip("no nats-server")
    made = World(networks, start)
    with contextlib.closing(made.cluster):
        yield made


@pytest.fixture
def open_target(networks, later):
    with networks.spaces["target"]:
        return targets.port_of(later.enter_context(targets.listener(TARGET)))


@pytest.fixture
def closed_target(networks, later):
    with networks.spaces["target"]:
        return targets.port_of(later.enter_context(targets.closed(TARGET)))


@pytest.fixture
def scripted(world, later):
    """scripted(name, answer, ...): a ScriptedPlace at the server of its network."""
    def make(name, answer, **more):
        place = ScriptedPlace(world.servers[name], name, world.keys[name], answer, **more)
        return later.enter_context(contextlib.closing(place))
    return make


@pytest.fixture
def scripted_front(world, later):
    """scripted_front(): a ScriptedFront with the key of gw, at the server of eu-1."""
    def make(name="gw"):
        front = ScriptedFront(world.servers["eu-1"], name, world.keys[name])
        return later.enter_context(contextlib.closing(front))
    return make
