# SPDX-License-Identifier: MIT
"""What the router says about itself, and what the report makes of it."""
import contextlib

import pytest

import home as homes
import stub as stubs
from harness import gateway as gateways
from harness.gateway import NATPMP, PCP
from harness.waiting import eventually
from home import CHECKER, CHECKER6, PROVIDER, PUBLIC
from program import Running, verify

ROUTER, ROUTER6 = "192.168.50.1", "2001:db8:50::1"
ELSEWHERE = "192.168.50.9"  # another address on the LAN
LATE = 0.1  # seconds, of 0.25: a router of ours that a busy machine held up proves nothing
TIMED_OUT = {"accessible": False, "error": "Connection timed out"}
OPEN = {"accessible": True, "error": None}
LETS_IN = "; the firewall of this machine already lets it in"
FORWARD = f"in the router, forward TCP port 7466 to {PROVIDER} (same port number)"
GUESS = "if the WAN address of the router is not"
CARRIER_REMEDY = ("a port forward cannot help: the router 192.168.50.1 is behind carrier-grade NAT "
                  "(%s); ask the internet provider for a public IPv4 address, or use IPv6")


@pytest.fixture
def home(namespaces, later):
    made = homes.Home(later)
    made.rules()
    return made


@pytest.fixture
def routers():
    """Those that router() has made."""
    return []


@pytest.fixture
def router(home, later, routers):
    """router(...): the router answers like this Gateway."""
    def make(address=ROUTER, **manner):
        made = gateways.Gateway(address, inside=home.router, **manner)
        routers.append(made)
        return later.enter_context(contextlib.closing(made))
    return make


@pytest.fixture
def checker(home, stub):
    """checker(gateway): gives the result `entry` for every port, after the router was asked, and
    has answered if it does."""
    def make(gateway=None, questions=2, entry=TIMED_OUT, address=CHECKER):
        answer = stubs.fixed(entry)

        def wait_and_answer(request):
            if gateway and request.method == "POST":
                eventually(lambda: gateway.answered >= questions, "answers of the router")
            return answer(request)
        with home.checker:
            return stub(wait_and_answer, address=address)
    return make


@pytest.fixture
def report(home, routers):
    """report(checker, ...): that of the provider."""
    def make(made, *arguments, inside=None, ports="7466", form=("--json",)):
        for _ in range(20):
            ended = verify(*form, "--ports", ports, "--patience", "0", made.url, *arguments,
                           inside=inside or home.provider)
            if all(one.slowest < LATE for one in routers):
                return ended
            for one in routers:
                one.forget_requests()
        raise AssertionError("this machine is too busy for a router that answers in time")
    return make


def spoken(protocol, result="SUCCESS"):
    return {"protocol": protocol, "state": "spoken", "result": result}


def unspoken(protocol, state):
    return {"protocol": protocol, "state": state, "result": None}


BOTH = [spoken("NAT-PMP"), spoken("PCP")]
SILENCE = [unspoken("NAT-PMP", "silent"), unspoken("PCP", "silent")]
ANSWERS = {
    # the router: protocols, outer address, what it shows, its sign
    "the address that is seen": ({}, BOTH, PUBLIC, "same", "outer_same"),
    "NAT-PMP alone": ({"protocols": [NATPMP]},
                      [spoken("NAT-PMP"), unspoken("PCP", "other_version")],
                      PUBLIC, "same", "outer_same"),
    "PCP alone": ({"protocols": [PCP]}, [unspoken("NAT-PMP", "silent"), spoken("PCP")],
                  None, None, None),
    "private": ({"outer": "10.1.2.3"}, BOTH, "10.1.2.3", "private", "outer_private"),
    "carrier": ({"outer": "100.64.0.2"}, BOTH, "100.64.0.2", "carrier", "outer_carrier"),
    "DS-Lite": ({"outer": "192.0.0.2"}, BOTH, "192.0.0.2", "carrier", "outer_carrier"),
    "another one": ({"outer": "45.12.7.7"}, BOTH, "45.12.7.7", "other", "outer_other"),
    "not of the internet": ({"outer": "169.254.3.4"}, BOTH, "169.254.3.4", None, None),
    "no address": ({"result": {NATPMP: gateways.NATPMP_NETWORK_FAILURE}},
                   [spoken("NAT-PMP", "NETWORK_FAILURE"), spoken("PCP")], None, None,
                   "outer_missing"),
    "switched off": ({"result": gateways.NOT_AUTHORIZED},
                     [spoken("NAT-PMP", "NOT_AUTHORIZED"), spoken("PCP", "NOT_AUTHORIZED")],
                     None, None, None),
    "silence": ({"alter": gateways.silent}, SILENCE, None, None, None),
    "garbage": ({"alter": gateways.garbage}, SILENCE, None, None, None),
    "garbage first": (
        {"alter": lambda request, reply: [*gateways.garbage(request, reply), reply]},
        BOTH, PUBLIC, "same", "outer_same"),
    "another sender": ({"sender": (ELSEWHERE, gateways.PORT)}, SILENCE, None, None, None),
    "another port": ({"sender": (ROUTER, 5352)}, SILENCE, None, None, None),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_what_the_router_says_is_in_the_report(name, home, router, checker, report):
    manner, protocols, outer_ip, outer, sign = ANSWERS[name]
    home.router.ip(f"addr add {ELSEWHERE}/24 dev lan\n")
    family = report(checker(router(**manner))).family()
    assert family["router"] == {"address": ROUTER, "outer_ip": outer_ip, "protocols": protocols,
                                "outer": outer, "mapping": None}
    assert family["signs"] == ["address_differs", "private_address", *([sign] if sign else [])]


def test_a_router_that_speaks_neither_has_a_closed_port(checker, report):
    family = report(checker()).family()
    assert family["router"]["protocols"] == [unspoken("NAT-PMP", "closed"),
                                             unspoken("PCP", "closed")]
    assert family["causes"][0]["remedy"].startswith(
        f"{FORWARD}, or, if the router allows UPnP, PCP or NAT-PMP, run port-verifier again with "
        "--map, or, on a rented server, allow it in the firewall (security group) of the hosting "
        f"provider{LETS_IN}; {GUESS}")


SENTENCES = {
    "the address that is seen": (
        {}, "a missing port forward or a firewall (the outer address of the router 192.168.50.1 is "
        f"{PUBLIC}, which the checker sees)",
        f"{FORWARD}, or run port-verifier again with --map{LETS_IN}"),
    "private": (
        {"outer": "10.1.2.3"},
        "the outer address of the router 192.168.50.1 is 10.1.2.3, which is private: a second "
        f"router is in front of it (the checker sees {PUBLIC})",
        "the router 192.168.50.1 is behind a second router: put that one into bridge mode, or in "
        f"it, forward TCP port 7466 to 10.1.2.3, and in 192.168.50.1, forward it to {PROVIDER} "
        "(same port number); if it belongs to the internet provider, ask for a public IPv4 "
        "address, or use IPv6"),
    "carrier": (
        {"outer": "100.64.0.2"},
        "the internet provider uses carrier-grade NAT (the outer address of the router "
        f"192.168.50.1 is 100.64.0.2, and the checker sees {PUBLIC})",
        CARRIER_REMEDY % "100.64.0.2"),
    "another one": (
        {"outer": "45.12.7.7"},
        "the outer address of the router 192.168.50.1 is 45.12.7.7, but the checker sees "
        f"{PUBLIC}: a VPN, a second uplink or another router is in between",
        "if the router has a VPN or a second uplink, make connections of this machine leave "
        f"through the one that has 45.12.7.7, or forward TCP port 7466 to {PROVIDER} (same port "
        f"number) on the one that has {PUBLIC}; then run port-verifier again"),
    "no address": (
        {"result": {NATPMP: gateways.NATPMP_NETWORK_FAILURE}},
        "the router 192.168.50.1 says that it has no outer address, as behind a second router or "
        f"carrier-grade NAT, or while another uplink is in use (the checker sees {PUBLIC})",
        f"{FORWARD}, and look up its WAN address: a private address (10.*, 172.16.* to 172.31.*, "
        "192.168.*) is that of a second router in front of it, which has to be put into bridge "
        "mode or has to forward it to the first; an address in 100.64.0.0/10 shows carrier-grade "
        "NAT, as does a second router that is not yours: ask the internet provider for a public "
        "address"),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_the_remedy_follows_from_what_the_router_proves(name, router, checker, report):
    manner, text, remedy = SENTENCES[name]
    cause = report(checker(router(**manner))).family()["causes"][0]
    assert cause["cause"] == "no_way_in"
    assert cause["text"] == f"no connections arrive here: {text}"
    assert cause["remedy"] == remedy


def test_pcp_alone_proves_nothing_about_the_path(router, checker, report):
    remedy = report(checker(router(protocols=[PCP]))).family()["causes"][0]["remedy"]
    assert remedy.startswith(f"{FORWARD}, or run port-verifier again with --map{LETS_IN}; {GUESS}")


def test_nothing_is_said_about_a_good_port(router, checker, report):
    ended = report(checker(router(outer="100.64.0.2"), entry=OPEN))
    family = ended.family()
    assert ended.status == 0 and family["advertise"] == [7466], ended
    assert family["router"]["outer"] == "carrier"
    assert [cause["cause"] for cause in family["causes"]] == ["unproved"]


def test_a_port_that_is_reached_counts_more_than_what_the_router_says(router, checker, report):
    made = checker(router(outer="100.64.0.2"),
                   entry=lambda port: OPEN if port == 7466 else TIMED_OUT)
    family = report(made, ports="7466,50800").family()
    cause = family["causes"][1]
    assert (cause["cause"], cause["ports"]) == ("not_forwarded", "50800")
    assert cause["remedy"].startswith("in the router, forward TCP port 50800 to ")
    assert "--map" not in cause["remedy"]


LINES = {
    "both": ({}, f"(PCP, NAT-PMP): outer address {PUBLIC}"),
    "private": ({"outer": "10.1.2.3"}, "(PCP, NAT-PMP): outer address 10.1.2.3 (private)"),
    "carrier": ({"outer": "100.64.0.2"},
                "(PCP, NAT-PMP): outer address 100.64.0.2 (carrier-grade NAT)"),
    "other": ({"outer": "45.12.7.7", "protocols": [NATPMP]},
              "(NAT-PMP): outer address 45.12.7.7 (not the one that checkers see)"),
    "no address": ({"result": {NATPMP: gateways.NATPMP_NETWORK_FAILURE}},
                   "(PCP, NAT-PMP): no outer address"),
    "PCP": ({"protocols": [PCP]}, "(PCP): answered"),
    "silence": ({"alter": gateways.silent}, None),
}


@pytest.mark.parametrize("name", LINES)
def test_one_line_is_about_the_router(name, router, checker, report):
    manner, expected = LINES[name]
    ended = report(checker(router(**manner)), form=())
    lines = [line for line in ended.lines if line.startswith("ipv4 router")]
    assert lines == ([f"ipv4 router {ROUTER} {expected}"] if expected else []), ended
    if expected:
        assert ended.lines.index(lines[0]) == 2 and "checker" in ended.lines[1]


# --- when it is asked ---------------------------------------------------------------------

def test_it_is_not_asked_with_no_router(router, checker, report):
    asked = router()
    family = report(checker(), "--no-router").family()
    assert family["router"] is None and asked.requests == []
    assert GUESS in family["causes"][0]["remedy"]


def test_a_machine_with_a_public_address_does_not_ask_over_ipv4(home, checker, report, later):
    home.router.ip(f"route add default via {CHECKER}\n")
    asked = later.enter_context(contextlib.closing(
        gateways.Gateway(CHECKER, inside=home.checker)))
    family = report(checker(), inside=home.router).family()
    assert family["router"] is None and asked.requests == []


def test_without_a_default_gateway_nothing_is_asked(home, router, checker, report):
    asked = router()
    home.provider.ip(f"route del default\nroute add {CHECKER}/32 via {ROUTER}\n")
    assert report(checker()).family()["router"] is None
    assert asked.requests == []


def test_over_ipv6_it_is_always_asked(home, router, checker, report):
    asked = router(ROUTER6)
    family = report(checker(asked, questions=1, address=CHECKER6)).family(6)
    assert family["router"] == {"address": ROUTER6, "outer_ip": None, "outer": None,
                                "protocols": [spoken("PCP")], "mapping": None}
    assert [request.protocol for request in asked.requests] == [PCP]
    assert family["causes"][0]["remedy"] == (
        "allow TCP port 7466 from any address in the firewall of every router in front of "
        f"{homes.PROVIDER6} (port-verifier --map does that in the router) and, on a rented server, "
        "in that of the hosting provider; the firewall of this machine already lets it in")


def test_a_gateway_with_a_link_local_address_is_asked(home, router, checker, report):
    home.router.ip("addr add fe80::1/64 dev lan nodad\n")
    home.provider.ip("route del ::/0\nroute add ::/0 via fe80::1 dev eth0\n")
    with home.router:
        asked = router("fe80::1%lan")
    family = report(checker(asked, questions=1, address=CHECKER6)).family(6)
    assert family["router"]["address"] == "fe80::1"
    assert family["router"]["protocols"] == [spoken("PCP")]


def test_it_is_the_gateway_on_the_way_from_the_source(home, router, checker, report):
    second = "192.168.50.22"
    home.router.ip(f"addr add {ELSEWHERE}/24 dev lan\n")
    home.provider.ip(f"addr add {second}/24 dev eth0\n"
                     f"route add default via {ELSEWHERE} table 9\nrule add from {second} table 9\n")
    first, asked = router(), router(ELSEWHERE)
    family = report(checker(asked), "--source", second).family()
    assert (family["local_ip"], family["router"]["address"]) == (second, ELSEWHERE)
    assert len(asked.requests) == 2 and first.requests == []


def test_every_round_asks(home, router, checker):
    asked = router()
    made = checker(asked)
    with home.provider:
        running = Running("--json", "--ports", "7466", "--patience", "0", "--watch", "1",
                          made.url)
    with running:
        running.wait_reports(1)
        before = len(asked.requests)
        eventually(lambda: len(asked.requests) >= before + 4, "two more rounds")
        running.end()


def test_nothing_in_the_router_is_changed(router, checker, report):
    asked = router()
    report(checker(asked))
    assert asked.maps() == [] and asked.table == {}


def test_a_silent_router_costs_no_time(home, router, checker):
    """The checker answers at once. With a wait for the router no report would take less than 250
    ms; half of the way there is far from both."""
    router(alter=gateways.silent)
    made = checker(entry=OPEN)

    def took(*arguments):
        ended = verify("--json", "--ports", "7466", made.url, *arguments, inside=home.provider)
        assert ended.status == 0, ended
        return ended.report["duration_ms"]
    silent, unasked = [], []

    def is_as_quick():
        silent.append(took())
        unasked.append(took("--no-router"))
        return min(silent) < (min(unasked) + 250) / 2
    eventually(is_as_quick, "it is as quick as without a router", within=30)
