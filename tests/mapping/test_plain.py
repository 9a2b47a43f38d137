# SPDX-License-Identifier: MIT
"""The homes themselves, without --map: what the other tests of this folder rely on."""
from harness.homes import ALL, OTHER, PRIVATE, hold
from world import PORTS, causes_of, good_of


def test_without_a_forward_nothing_arrives(world):
    one = world(*ALL)
    family = one.verify()
    assert set(causes_of(family).values()) == {"no_way_in"}
    assert family["ip"] == "45.12.7.7"
    assert one.daemon.is_empty()


def test_a_forward_of_the_user_leads_in(world):
    one = world()
    one.home.forward("7466, 50800-50801")
    assert good_of(one.verify()) == [7466, 50800, 50801]


def test_ipv6_is_not_let_in(world):
    assert set(causes_of(world(*ALL).verify(family=6)).values()) == {"no_way_in"}


def test_two_routers_need_two_forwards(world):
    one = world(between=PRIVATE)
    one.home.forward("7466")
    assert good_of(one.verify()) == []
    one.home.forward("7466", to=f"{PRIVATE}.2", router=one.home.outer)
    assert good_of(one.verify()) == [7466]


def test_another_machine_holds_a_port(world):
    one = world(*ALL)
    hold(one.home.other, [50800])
    assert one.daemon.forwards() == {50800: (OTHER, 50800)}
    assert not one.daemon.is_empty()
    one.daemon.restart()
    assert one.daemon.is_empty()
    assert set(good_of(one.verify())) & set(PORTS) == set()
