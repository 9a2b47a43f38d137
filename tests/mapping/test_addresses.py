# SPDX-License-Identifier: MIT
"""What the router's outer address says, without --map and with it; two routers in a row."""
from harness.homes import ALL, CARRIER, NATPMP, PCP, PRIVATE, PUBLIC, UPNP
from harness.together import together
from verifier.program import cause_of, verify
from world import PORTS, causes_of, good_of, mapped_of, states_of

BETWEEN = together("between", [PRIVATE, CARRIER])
BEHIND = together("between, outer", [(PRIVATE, "private"), (CARRIER, "carrier")])


def protocol_of(family, protocol):
    (entry,) = [entry for entry in family["router"]["protocols"]
                if entry["protocol"] == protocol]
    return entry


@BEHIND
def test_without_map_an_address_that_is_not_public_is_proof(world, between, outer):
    one = world(between=between)
    one.start_gateway(outer=f"{between}.2")
    family = one.verify()
    assert family["router"]["outer_ip"] == f"{between}.2" and family["router"]["outer"] == outer
    cause = cause_of(family, 7466)
    assert f"{between}.2" in cause["text"] + cause["remedy"] and "--map" not in cause["remedy"]


@BETWEEN
def test_without_map_a_router_without_an_outer_address_is_known(world, between):
    """miniupnpd tells no address if it is not public."""
    one = world(NATPMP, PCP, between=between)
    family = one.verify()
    assert protocol_of(family, NATPMP)["result"] == "NETWORK_FAILURE"
    assert family["router"]["outer_ip"] is None
    cause = cause_of(family, 7466)
    assert "no outer address" in cause["text"] and "--map" not in cause["remedy"]


def test_the_report_knows_that_a_forward_will_do(world):
    family = world(*ALL).verify()
    assert family["router"]["outer"] == "same"
    assert "--map" in cause_of(family, 7466)["remedy"]


@BETWEEN
@together("protocol", [PCP, NATPMP])
def test_a_router_behind_another_refuses(world, between, protocol):
    """In PCP, that is the code of a full table as well."""
    one = world(protocol, between=between)
    family = one.verify("--map")
    assert good_of(family) == []
    found = {(mapped["state"], mapped["result"]) for mapped in mapped_of(family).values()}
    assert found == {("full", "NO_RESOURCES") if protocol == PCP
                     else ("refused", "NETWORK_FAILURE")}
    assert family["router"]["mapping"]["mapped"] == 0
    assert one.daemon.is_empty()


@BETWEEN
def test_the_reason_of_a_refusal_is_the_missing_address(world, between):
    """NAT-PMP tells that PCP's NO_RESOURCES is not a full table."""
    family = world(PCP, NATPMP, between=between).verify("--map")
    assert family["router"]["mapping"]["protocol"] == PCP
    cause = cause_of(family, 7466)
    assert cause["cause"] == "mapping_refused" and "no outer address" in cause["text"]
    assert "remove mappings" not in cause["remedy"]


@BEHIND
def test_the_reason_of_a_refusal_is_the_address(world, between, outer):
    one = world(between=between)
    one.start_gateway(outer=f"{between}.2", map_result=2)
    family = one.verify("--map")
    assert family["router"]["outer"] == outer
    cause = cause_of(family, 7466)
    assert cause["cause"] == "mapping_refused" and f"{between}.2" in cause["text"]
    assert "allow this machine" not in cause["remedy"]


@BEHIND
def test_upnp_behind_another_router(world, between, outer):
    """miniupnpd tells no address, or since 2.3.9 the private one; then it refuses."""
    one = world(UPNP, between=between)
    family = one.verify("--map")
    assert good_of(family) == []
    router = family["router"]
    assert "not_connected" == router["mapping"]["error"] or router["outer"] == outer
    assert set(states_of(family).values()) <= {"not_connected", "refused"}
    assert "allow this machine" not in cause_of(family, 7466)["remedy"]
    assert one.daemon.is_empty()


@together("manner", [{"is_connected": False}, {"outer": "0.0.0.0"}])
def test_upnp_without_a_connection_or_an_address(world, manner):
    one = world()
    one.start_upnp(**manner)
    family = one.verify("--map")
    assert set(states_of(family).values()) == {"not_connected"}
    cause = cause_of(family, 7466)
    assert cause["cause"] == "mapping_refused" and "no outer address" in cause["text"]
    assert "look up its WAN address" in cause["remedy"]
    assert {mapped["result"] for mapped in mapped_of(family).values()} == {None}


def test_the_text_of_a_refusal_behind_another_router(world):
    """It does not send the user to a setting of the router that would not help."""
    one = world()
    one.start_upnp(outer="192.168.7.2", results={"AddPortMapping": 501})
    lines = verify("--map", "--patience", "0", "--ports", "7466", one.urls[4],
                   inside=one.home.provider).lines
    (line,) = [line for line in lines if "not mapped" in line]
    assert "no public outer address" in line and "allow" not in line


@together("protocol", ALL)
@together("told, outer", [(PUBLIC, "same"), ("45.12.7.99", "other")])
def test_a_router_that_lies(world, protocol, told, outer):
    """Everything is mapped, and nothing arrives: only the proof from outside counts."""
    one = world(protocol, between=PRIVATE, ext_ip=told)
    family = one.verify("--map")
    assert set(states_of(family).values()) == {"mapped"}
    assert family["router"]["outer_ip"] == told and family["router"]["outer"] == outer
    assert good_of(family) == [] == family["advertise"]
    assert set(causes_of(family).values()).isdisjoint({"no_way_in", "not_forwarded"})
    assert one.daemon.is_empty()


@together("protocol", ALL)
def test_an_outer_router_that_forwards_everything(world, protocol):
    """The inner one is told the public address, as for a DMZ host."""
    one = world(protocol, between=PRIVATE, ext_ip=PUBLIC)
    one.home.forward("1-65535", to=f"{PRIVATE}.2", router=one.home.outer)
    assert good_of(one.verify()) == []
    assert good_of(one.verify("--map")) == PORTS
    assert good_of(one.verify()) == []
