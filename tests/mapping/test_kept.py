# SPDX-License-Identifier: MIT
"""--map with --watch: mappings outlive the router's restarts and its moves."""
import contextlib
import os
import signal

from harness.homes import ALL, NATPMP, PCP, PROVIDER, ROUTER, SECOND_PUBLIC, UPNP
from harness.targets import listener
from harness.together import together
from harness.waiting import eventually
from world import PORTS, good_of

FORWARDS = {port: (PROVIDER, port) for port in PORTS}


def last(running):
    return running.reports[-1]["families"][0]


@together("protocol", ALL)
@together("uptime", ["no", "yes"])
def test_a_router_that_restarts(world, protocol, uptime):
    """With system_uptime=yes, its epoch goes on, unlike that of a router that really restarted.
    miniupnpd announces a start by PCP, but not by NAT-PMP."""
    one = world(protocol, system_uptime=uptime)
    with one.mapped() as running:
        assert good_of(last(running)) == PORTS
        one.daemon.restart()
        eventually(lambda: one.daemon.forwards() == FORWARDS, "mapped anew", within=30)
        one.wait_proved()
        assert good_of(last(running)) == PORTS
        said = running.end().err
        assert protocol == NATPMP or "as after a restart" in said, said
    assert one.daemon.is_empty()


def test_pinholes_after_a_restart(world):
    one = world(PCP)
    with one.mapped(family=6) as running:
        one.daemon.restart()
        eventually(lambda: one.daemon.pinholes() == PORTS, "mapped anew", within=30)
        one.wait_proved()
        said = running.end().err
    assert one.daemon.is_empty(), said


@together("protocol", [PCP, NATPMP])
def test_another_public_address(world, protocol):
    one = world(protocol)
    with one.mapped() as running:
        one.home.move()
        eventually(lambda: last(running)["ip"] == SECOND_PUBLIC
                   and good_of(last(running)) == PORTS, "the new address", within=30)
        running.end()


def test_the_gateway_goes_away_and_comes_back(world):
    one = world(PCP)
    with one.mapped() as running:
        one.home.provider.ip("route del default\n")
        eventually(lambda: "no router to map ports" in running.err_path.read_text(), "the loss")
        one.home.provider.ip(f"route add default via {ROUTER}\n")
        eventually(lambda: "answer again" in running.err_path.read_text(), "the return", within=30)
        running.end()
    assert one.daemon.is_empty()


def test_the_cable_is_out_and_in(world):
    """What could not be removed meanwhile is no longer left when it is mapped anew."""
    one = world(PCP)
    with one.mapped() as running:
        one.home.provider.ip("link set eth0 down\n")
        eventually(lambda: "a former address" in running.err_path.read_text(), "the loss",
                   within=30)
        one.home.provider.ip(f"link set eth0 up\nroute add default via {ROUTER}\n")
        one.wait_proved()
        eventually(lambda: good_of(last(running)) == PORTS
                   and last(running)["former_mappings"] == [], "the return", within=30)
        said = running.end().err
        assert said.count("a former address") == 1, said
    assert one.daemon.is_empty()


@together("protocol", ALL)
def test_the_cable_is_out_while_the_router_restarts(world, protocol):
    """This machine keeps its address, and does not hear what the router announces."""
    one = world(protocol)
    with one.mapped(watch="1h") as running:
        for _ in range(2):
            one.home.unplug()
            one.daemon.restart()
            one.home.plug_in()
        eventually(lambda: one.daemon.forwards() == FORWARDS, "mapped anew", within=30)
        one.home.unplug()
        one.daemon.restart()
        one.home.plug_in()
        eventually(lambda: one.daemon.forwards() == FORWARDS, "mapped once more", within=30)
        running.end()
    assert one.daemon.is_empty()


# --- another address of this machine ------------------------------------------------------

NEXT = "192.168.50.4"
MOVED = {port: (NEXT, port) for port in PORTS}
ADD = f"addr add {NEXT}/24 dev eth0\n"
USE = f"route replace default via {ROUTER} src {NEXT}\n"
LOSE = f"addr del {PROVIDER}/24 dev eth0\n"


@together("protocol", ALL)
def test_another_address_beside_the_old_one(world, protocol):
    """What led to the old one is removed first: it would be in the way."""
    one = world(protocol)
    with one.mapped(watch="1h") as running:
        one.home.provider.ip(ADD + USE)
        eventually(lambda: one.daemon.forwards() == MOVED, "mapped anew", within=10)
        eventually(lambda: len(one.service.events("check")) > 1, "a check", within=10)
        said = running.end().err
        assert "another address or router" in said and "former address" not in said, said
    assert one.daemon.is_empty()


def test_another_address_in_place_of_the_old_one_upnp(world):
    """The mappings are deleted from the new address, where the router allows that, but not
    those that another machine has made for the old one."""
    one = world()
    router = one.start_upnp()
    with one.mapped(watch="1h") as running:
        router.table[50801]["description"] = "of another machine"
        one.home.provider.ip(LOSE + ADD + USE)
        wanted = {7466: NEXT, 50800: NEXT, 50801: PROVIDER, 50802: NEXT}
        eventually(lambda: {port: entry["client"] for port, entry in router.table.items()}
                   == wanted, "mapped anew", within=10)
        said = running.end().err
        assert "a former address of this machine, until" in said, said
    assert list(router.table) == [50801]


@together("protocol", ALL)
def test_another_address_in_place_of_the_old_one(world, protocol):
    """The router, also miniupnpd over UPnP, removes mappings only for the address that made
    them."""
    one = world(protocol)
    with one.mapped(watch="1h") as running:
        one.home.provider.ip(LOSE + ADD + USE)
        eventually(lambda: f"to {PROVIDER}, a former address of this machine, until"
                   in running.err_path.read_text(), "what is left is told", within=10)
        eventually(lambda: last(running)["former_mappings"], "a report on that", within=30)
        (former,) = last(running)["former_mappings"]
        assert (former["router"], former["local_ip"], former["ports"]) == (ROUTER, PROVIDER,
                                                                           PORTS)
        assert former["expires"] > last(running)["time"]
        assert running.reports[0]["families"][0]["former_mappings"] == []
        said = running.end().err
        assert said.count("7466,50800-50802\n") == 2, said  # and at the end
    # What a busy router did not remove in time is told, too.
    assert one.daemon.forwards() == FORWARDS or f"by the router {ROUTER}, until" in said, said


def test_a_further_port_while_the_old_mappings_are_removed(world, later):
    """The router takes its time for that."""
    one = world()
    gateway = one.start_gateway()
    busy = later.enter_context(contextlib.ExitStack())
    with one.home.provider:
        busy.enter_context(listener(PROVIDER, 50802))
    with one.mapped() as running:
        assert len(gateway.table) == 3
        gateway.delay = 0.5
        busy.close()
        one.home.provider.ip(ADD + USE)
        eventually(lambda: gateway.forwards == MOVED, "mapped anew")
        gateway.delay = 0
        running.end()
    assert gateway.table == {}


@together("protocol", [PCP, UPNP])
def test_a_signal_while_the_old_mappings_are_removed(world, protocol):
    one = world(protocol)
    with one.mapped(watch="1h") as running:
        os.kill(one.daemon.pid, signal.SIGSTOP)
        one.home.provider.ip(ADD + USE)
        eventually(lambda: "another address" in running.err_path.read_text(), "the event")
        running.process.terminate()
        os.kill(one.daemon.pid, signal.SIGCONT)
        running.wait()
    assert one.daemon.is_empty()


def test_addresses_that_come_and_go(world):
    """Each has its mappings only while it is in use."""
    one = world(PCP)
    with one.mapped() as running:
        for _ in range(2):
            one.home.provider.ip(ADD + USE)
            eventually(lambda: one.daemon.forwards() == MOVED, "mapped for the next one")
            one.home.provider.ip(f"route replace default via {ROUTER} src {PROVIDER}\n")
            eventually(lambda: one.daemon.forwards() == FORWARDS, "mapped for the first one")
            one.home.provider.ip(f"addr del {NEXT}/24 dev eth0\n")
        running.end()
    assert one.daemon.is_empty()
