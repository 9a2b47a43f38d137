# SPDX-License-Identifier: MIT
"""--map with a real router: each protocol alone, then none."""
import shutil

from harness.homes import ALL, NATPMP, OTHER, PCP, PROVIDER, PUBLIC, ROUTER, UPNP, hold
from harness.targets import listener
from harness.together import together
from verifier.program import BINARY
from world import PORTS, causes_of, good_of, mapped_of, states_of

EACH = together("protocol", ALL)


def spoken_of(family):
    return {entry["protocol"] for entry in family["router"]["protocols"]
            if entry["state"] == "spoken"}


@EACH
def test_ports_are_mapped_proved_and_given_back(world, protocol):
    one = world(protocol)
    assert good_of(one.verify()) == []
    family = one.verify("--map")
    assert good_of(family) == PORTS == family["advertise"]
    assert set(causes_of(family).values()) == {"good"}
    assert set(states_of(family).values()) == {"mapped"}
    router = family["router"]
    assert router["address"] == ROUTER
    assert router["outer_ip"] == PUBLIC and router["outer"] == "same"
    expected = {"protocol": protocol, "mapped": 4, "asked": 4, "lease": 3600, "kept": False,
                "error": None}
    assert {name: router["mapping"][name] for name in expected} == expected
    assert one.daemon.is_empty()
    assert good_of(one.verify()) == []


def test_pcp_is_preferred_then_natpmp(world):
    one = world(*ALL)
    assert one.verify("--map")["router"]["mapping"]["protocol"] == PCP
    other = world(NATPMP, UPNP)
    assert other.verify("--map")["router"]["mapping"]["protocol"] == NATPMP


@together("protocol", [PCP, UPNP])
def test_ipv6_pinholes(world, protocol):
    one = world(protocol)
    family = one.verify("--map", family=6)
    assert good_of(family) == PORTS == family["advertise"]
    assert family["router"]["mapping"]["protocol"] == protocol
    assert one.daemon.is_empty()
    assert good_of(one.verify(family=6)) == []


@EACH
def test_outer_and_inner_port_may_differ(world, protocol):
    one = world(protocol)
    with one.mapped(ports="17466:7466") as running:
        assert good_of(running.reports[0]["families"][0]) == [17466]
        assert one.daemon.forwards() == {17466: (PROVIDER, 7466)}
        running.end()
    assert one.daemon.is_empty()


@EACH
def test_a_port_that_another_machine_holds(world, protocol):
    """The router gives another port in its place by PCP and NAT-PMP, which goes back."""
    one = world(*{protocol, NATPMP})
    hold(one.home.other, [50801])
    one.daemon.speak_only(protocol)
    before = one.daemon.forwards()
    family = one.verify("--map")
    assert good_of(family) == [7466, 50800, 50802] == family["advertise"]
    mapping = mapped_of(family)[50801]
    assert mapping["state"] == "other_port"
    assert mapping["held_by"] == (OTHER if protocol == UPNP else None)
    assert bool(mapping["given"]) == (protocol != UPNP)
    assert (family["router"]["mapping"]["mapped"], family["router"]["mapping"]["asked"]) == (3, 4)
    assert one.daemon.forwards() == before == {50801: (OTHER, 50801)}


@EACH
def test_a_router_that_refuses_some_ports(world, protocol):
    one = world(protocol, allowed="50800-50801")
    family = one.verify("--map", "--required", "")
    assert good_of(family) == [50800, 50801]
    states = states_of(family)
    assert states[7466] == states[50802] == "refused"
    assert mapped_of(family)[7466]["result"]
    assert causes_of(family)[7466] != causes_of(one.verify())[7466]
    assert one.daemon.is_empty()


def test_a_router_that_speaks_nothing(world):
    one = world()
    family = one.verify("--map")
    assert good_of(family) == []
    assert spoken_of(family) == set()
    assert family["router"]["mapping"]["error"] == "no_router"
    assert family["router"]["mapping"]["mapped"] == 0


def test_upnp_takes_its_program(world, tmp_path):
    """port-verifier-upnp is looked for in the folder of port-verifier only."""
    one = world(UPNP)
    copy = shutil.copy(BINARY, tmp_path)
    family = one.verify("--map", binary=copy)
    assert good_of(family) == []
    assert family["router"]["mapping"]["error"] == "upnp_missing"


def test_a_forward_of_the_user_stays(world):
    """A router with a forward by hand: what is good without --map is good with it."""
    one = world(PCP)
    one.home.forward("7466")
    assert good_of(one.verify("--map")) == PORTS
    assert good_of(one.verify()) == [7466]


def test_without_map_the_router_is_only_asked(world):
    one = world(*ALL)
    family = one.verify()
    assert {PCP, NATPMP} <= spoken_of(family)
    assert family["router"]["outer_ip"] == PUBLIC and family["router"]["outer"] == "same"
    assert family["router"]["mapping"] is None
    assert set(mapped_of(family).values()) == {None}
    assert one.daemon.is_empty()


def test_no_router_asks_nothing(world):
    one = world(*ALL)
    one.home.router.nft('add rule inet filter spoken udp dport { 1900, 5350, 5351 } counter\n')
    assert one.verify("--no-router")["router"] is None
    assert "counter packets 0 " in one.home.router.run("nft", "list", "chain", "inet",
                                                       "filter", "spoken")


def test_only_ports_that_were_bound_are_mapped(world, later):
    """A port that another program uses is not ours to forward, unless --in-use names it."""
    one = world(PCP)
    with one.home.provider:
        later.enter_context(listener(PROVIDER, 50800))
    assert mapped_of(one.verify("--map"))[50800] is None
    family = one.verify("--map", "--in-use", "50800")
    assert states_of(family)[50800] == "mapped" and 50800 in good_of(family)


def test_many_ports(world):
    one = world(PCP)
    family = one.verify("--map", ports="7466,50800-50900")
    assert len(good_of(family)) == 102
    assert one.daemon.is_empty()
