# SPDX-License-Identifier: MIT
"""A front and three vantage points, each in a network of its own, that see one target differently: a
partition, a filter, a transparent proxy that accepts everything, a place that dies."""
import contextlib
import time

import pytest

from harness import nats, receipts, targets
from harness.http import check_body
from harness.netns import Namespace
from harness.network import command
from harness.places import connected, states
from harness.service import BINARY
from harness.waiting import eventually, soon
from test_openapi import TOKEN
from test_receipts import verified
from test_vantage import WAIT, ask

pytestmark = pytest.mark.skipif(b"libnats.so" not in BINARY.read_bytes(),
                                reason="a build without libnats")

HUB = "10.99.0.1"  # the tests' own network, with the server
TARGET = "10.99.0.100"
ADDRESSES = {"gw": "10.99.0.10", "eu-1": "10.99.0.11", "us-1": "10.99.0.12",
             "ap-1": "10.99.0.13"}
PLACES = [name for name in ADDRESSES if name != "gw"]


class Machine(Namespace):
    """One port of a switch."""

    def __init__(self, name, address):
        super().__init__(name)
        self.cable = f"to-{name}"
        command("ip", "link", "add", self.cable, "type", "veth", "peer", "name", "eth0",
                "netns", self.path)
        command("ip", "link", "set", self.cable, "master", "switch", "up")
        self.ip(f"link set lo up\naddress add {address}/24 dev eth0\nlink set eth0 up\n")

    def close(self):
        command("ip", "link", "del", self.cable)
        super().close()

    def firewall(self, hook, *rules):
        """Rules for packets that arrive (input) or leave (output), in place of all others."""
        self.nft("table inet tests\ndelete table inet tests\n"
                 "table inet tests { chain packets {\n"
                 f"type filter hook {hook} priority 0;\n" + "\n".join(rules) + "\n}\n}\n")


class World:
    def __init__(self, start, stack):
        self.start, self.stack = start, stack
        command("ip", "link", "add", "switch", "type", "bridge")
        stack.callback(command, "ip", "link", "del", "switch")
        command("ip", "address", "add", f"{HUB}/24", "dev", "switch")
        command("ip", "link", "set", "switch", "up")
        self.server = stack.enter_context(contextlib.closing(nats.Nats(HUB)))
        self.machines = {name: stack.enter_context(contextlib.closing(Machine(name, address)))
                         for name, address in {**ADDRESSES, "target": TARGET}.items()}
        keys = {name: self.server.key(name, "--front" if name == "gw" else "--place", name)
                for name in ADDRESSES}
        self.server.start()
        self.places = {name: self.service(name, keys, PORT_CHECKER_VANTAGE=name,
                                          PORT_CHECKER_VANTAGE_TARGETS="any")
                       for name in PLACES}
        self.front = self.service("gw", keys, PORT_CHECKER_FRONT="gw", PORT_CHECKER_TARGETS="any",
                                  PORT_CHECKER_VANTAGES=",".join(PLACES),
                                  **receipts.settings(self.server.path))
        with self.machines["target"]:
            listener = stack.enter_context(targets.listener(TARGET))
        self.port = targets.port_of(listener)

    def service(self, name, keys, **settings):
        service = self.start(inside=self.machines[name],
                             PORT_CHECKER_HOST=ADDRESSES[name],
                             **self.server.settings(keys[name]), **settings)
        self.stack.callback(service.stop)  # while it has a network
        connected(service)
        return service

    def ask(self, port=None):
        """(is it accessible, what the places say, the reply)"""
        body, result = ask(self.front, port or self.port, provider_ip=TARGET)
        return result["accessible"], states(result), body

    def receipt(self):
        """What the target's receipt about its port says."""
        body = check_body([self.port], provider_ip=TARGET, token=TOKEN, receipt=True)
        with self.machines["target"]:
            return verified(self.front, self.front.post(body).json()["receipt"])

    def all_but(self, wanted="open", **others):
        return {**dict.fromkeys(ADDRESSES, wanted),
                **{name.replace("_", "-"): state for name, state in others.items()}}


@pytest.fixture
def world(own_network, namespaces, start, later):
    if not nats.program():
        pytest.skip("no nats-server")
    with contextlib.ExitStack() as stack:
        yield World(start, stack)


def test_places_in_four_networks_answer_one_request(world):
    is_accessible, said, body = world.ask()
    assert is_accessible and said == world.all_but()
    assert body["quorum"] == {"needed": 3, "places": 4}
    is_accessible, said, _ = world.ask(1)
    assert not is_accessible and said == world.all_but("closed")


def test_a_partition_of_one_is_named_and_decides_nothing(world):
    assert world.ask()[1] == world.all_but()
    world.machines["us-1"].firewall("output", f"ip daddr {HUB} drop")
    begun = time.monotonic()
    is_accessible, said, body = world.ask()
    assert is_accessible and said == world.all_but(us_1="no_answer")
    assert time.monotonic() - begun >= WAIT
    is_accessible, said, _ = world.ask(1)
    assert not is_accessible and said == world.all_but("closed", us_1="no_answer")
    is_accessible, said, _ = soon(WAIT, world.ask)
    assert is_accessible and said == world.all_but(us_1="absent")

    world.machines["us-1"].firewall("output", "accept")
    eventually(lambda: world.ask()[1] == world.all_but(), "it is back", within=20)


def test_a_filter_against_one_place_is_named(world):
    world.machines["target"].firewall("input", f"ip saddr {ADDRESSES['us-1']} drop")
    is_accessible, said, _ = world.ask()
    assert is_accessible and said == world.all_but(us_1="filtered")


def test_a_filter_against_two_of_four_decides(world):
    both = f"{{ {ADDRESSES['us-1']}, {ADDRESSES['ap-1']} }}"
    world.machines["target"].firewall("input", f"ip saddr {both} drop")
    is_accessible, said, body = world.ask()
    assert not is_accessible and said == world.all_but(us_1="filtered", ap_1="filtered")
    assert body["results"][str(world.port)]["error"] == "Connection timed out"


def test_a_filter_against_the_front_alone_is_outvoted(world):
    world.machines["target"].firewall("input", f"ip saddr {ADDRESSES['gw']} drop")
    is_accessible, said, body = world.ask()
    assert is_accessible and said == world.all_but(gw="filtered")
    assert body["success"]


def test_a_place_where_everything_is_open_is_outvoted(world, later):
    """A transparent proxy before it accepts every connection."""
    machine = world.machines["us-1"]
    with machine:
        proxy = later.enter_context(targets.listener("0.0.0.0"))
    machine.nft("table ip proxy { chain out {\ntype nat hook output priority -100;\n"
                f"ip daddr {TARGET} tcp dport 1-65535 redirect to :{targets.port_of(proxy)}\n"
                "}\n}\n")
    is_accessible, said, _ = world.ask(1)
    assert not is_accessible and said == world.all_but("closed", us_1="open")


def test_a_place_that_dies_changes_no_verdict(world):
    assert world.ask()[1] == world.all_but()
    world.places["us-1"].discard()
    said = []
    for _ in range(3):
        is_accessible, places, _ = world.ask()
        assert is_accessible and places == world.all_but(us_1=places["us-1"])
        said.append(places["us-1"])
    # The server may not know yet that it is gone.
    assert set(said[:2]) <= {"no_answer", "no_responders"} and said[2] == "absent"


@pytest.mark.parametrize("places, state", [(["us-1"], "open"), (["us-1", "ap-1"], "filtered")])
def test_a_receipt_has_the_verdict_of_the_quorum(world, places, state):
    filtered = ", ".join(ADDRESSES[name] for name in places)
    world.machines["target"].firewall("input", f"ip saddr {{ {filtered} }} tcp flags syn drop")
    said = world.receipt()
    assert (said["sub"], said[state]) == (TARGET, str(world.port))
    assert said["vantages"] == list(ADDRESSES)


def test_a_receipt_does_not_name_a_place_that_is_cut_off(world):
    world.machines["us-1"].firewall("output", f"ip daddr {HUB} drop")
    said = world.receipt()
    assert (said["open"], said["vantages"]) == (str(world.port), ["gw", "eu-1", "ap-1"])
