# SPDX-License-Identifier: MIT
"""--map with --watch: mappings outlive the router's restarts and its moves."""
from harness.homes import ALL, NATPMP, PCP, PROVIDER, ROUTER, SECOND_PUBLIC
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
        running.end()
    assert one.daemon.is_empty()


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
