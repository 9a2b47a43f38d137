# SPDX-License-Identifier: MIT
"""From where a checker looks, whether it can know this machine, and outer and inner ports."""
import contextlib

import pytest

import home as homes
import stub as stubs
from harness import netns
from home import CHECKER, PROVIDER, PUBLIC, forward
from program import NOT_OK, OK, UNKNOWN, cause_of, ports_of, verify

GOOD = {"accessible": True, "error": None}
PORTS = "7466,50800"


# --- vantage --------------------------------------------------------------------------

def test_a_checker_on_this_machine_proves_nothing_about_the_internet(start):
    service = start()
    ended = verify("--json", "--ports", PORTS, service.url, lan=False)
    assert ended.status == NOT_OK, ended
    family = ended.family()
    assert family["checkers"][0]["vantage"] == "this machine"
    assert family["advertise"] == []
    cause = cause_of(family, 50800)
    assert (cause["cause"], cause["label"]) == ("inside_only", "open: seen from this machine only")
    assert cause["text"] == (
        "ports 7466,50800 are reachable from this machine, on which the checker runs too; that "
        "proves nothing about the internet")
    text = verify("--ports", PORTS, service.url, lan=False)
    assert any(line.endswith(", from this machine, not from the internet")
               for line in text.lines), text
    assert "ipv4 0 of 2 ports reachable; 2 are seen from inside only" in text.lines

    ended = verify("--json", "--ports", PORTS, service.url, lan=True)
    assert ended.status == OK and ended.family()["advertise"] == [7466, 50800]
    assert ended.family()["checkers"][0]["vantage"] == "this machine"


@pytest.fixture
def make_home(namespaces, later):
    return lambda **options: homes.Home(later, **options)


def service_on(place, start, host, **settings):
    return start(inside=place, PORT_CHECKER_HOST=host, PORT_CHECKER_TARGETS="caller", **settings)


def test_a_checker_in_this_network(make_home, start):
    home = make_home()
    home.rules()
    inner = service_on(home.other, start, homes.OTHER)
    ended = verify("--json", "--ports", PORTS, inner.url, inside=home.provider)
    assert ended.status == NOT_OK, ended
    assert ended.family()["checkers"][0]["vantage"] == "this network"
    assert {port["cause"] for port in ended.family()["ports"]} == {"inside_only"}
    ended = verify("--json", "--ports", PORTS, inner.url, inside=home.provider, lan=True)
    assert ended.status == OK and ended.family()["advertise"] == [7466, 50800]


def test_a_checker_on_the_internet_counts_more_than_one_in_this_network(make_home, start):
    home = make_home()
    home.rules(forward("7466"))
    inner = service_on(home.other, start, homes.OTHER)
    outer = service_on(home.checker, start, CHECKER)
    ended = verify("--json", "--ports", PORTS, inner.url, outer.url, inside=home.provider)
    family = ended.family()
    assert [checker["vantage"] for checker in family["checkers"]] == ["this network", "internet"]
    assert family["advertise"] == [7466]
    assert ports_of(family)[50800]["cause"] == "not_forwarded"
    assert family["signs"] == ["address_differs", "private_address"] and family["ip"] == PUBLIC


def test_a_7466_held_by_a_checker_is_not_the_providers(start):
    service = start(PORT_CHECKER_PORT="7466")
    family = verify("--json", "--ports", PORTS, service.url).family()
    assert ports_of(family)[7466]["listener"] == "in_use"
    assert family["advertise"] == [50800]


# --- who asks -------------------------------------------------------------------------

def telling_address(ip, check):
    return lambda request: (stubs.Answer(200, {"ip": ip, "family": 4}) if request.path == "/ip"
                            else check(request))


@pytest.fixture
def apart(namespaces, later):
    """apart(answer): the URL of a stub at 203.0.113.1, and the place of a provider, .9."""
    def make(answer):
        checker, provider = (later.enter_context(contextlib.closing(netns.Namespace(name)))
                             for name in ("checker", "provider"))
        for place in (checker, provider):
            place.ip("link set lo up\n")
        homes.Home._cable(checker, "eth0", provider, "eth0")
        checker.ip("addr add 203.0.113.1/24 dev eth0\naddr add 203.0.113.2/24 dev eth0\n")
        provider.ip("addr add 203.0.113.9/24 dev eth0\n")
        with checker:
            stub = later.enter_context(stubs.Stub(answer, address="203.0.113.1"))
        return stub, provider
    return make


@pytest.mark.parametrize("ip", ["172.17.0.1", "127.0.0.1", "203.0.113.1", "100.64.0.1"])
def test_a_checker_that_cannot_know_us_has_failed(apart, ip):
    stub, provider = apart(telling_address(ip, stubs.fixed({**GOOD, "accessible": False})))
    ended = verify("--json", "--ports", PORTS, stub.url, inside=provider)
    assert ended.status == UNKNOWN, ended
    family = ended.family()
    told = family["checkers"][0]
    assert (told["answered"], told["error"]) == (False, "caller_unknown")
    assert told["message"].startswith(
        f"it cannot know the address of this machine: it sees {ip}, so a proxy")
    assert family["ip"] is None and not stub.posts()
    assert "--ip" not in cause_of(family, 7466)["remedy"]


def test_a_plain_checker_is_not_asked_about_an_inner_address(make_home, later):
    """It has no GET /ip, and on the internet nothing has the address of this machine."""
    home = make_home()
    home.rules(forward("7466"))
    with home.checker:
        plain = later.enter_context(stubs.Stub(
            lambda request: stubs.NOT_FOUND if request.path == "/ip"
            else stubs.results(request, lambda ip, port: GOOD), address=CHECKER))
    ended = verify("--json", "--ports", PORTS, plain.url, inside=home.provider)
    assert ended.status == UNKNOWN, ended
    assert ended.family()["checkers"][0]["error"] == "no_address" and not plain.posts()
    assert "--ip" in cause_of(ended.family(), 7466)["remedy"]
    ended = verify("--json", "--ports", PORTS, "--ip", PUBLIC, plain.url, inside=home.provider)
    assert ended.status == OK and ended.family()["advertise"] == [7466, 50800]


def test_a_proxy_with_a_public_address_is_not_this_machine(apart):
    """Nothing proves that the address is ours, and ours needs no translation."""
    stub, provider = apart(telling_address(
        "203.0.113.2", stubs.fixed({"accessible": False, "error": "Connection refused"})))
    ended = verify("--json", "--ports", PORTS, stub.url, inside=provider)
    assert ended.status == UNKNOWN, ended
    assert ended.family()["checkers"][0]["error"] == "caller_unknown"


def test_a_service_that_says_so_itself(stub):
    checker = stub(lambda request: stubs.Answer(
        403, {"detail": "declare the proxy", "code": "caller_unknown"}))
    told = verify("--json", "--ports", PORTS, checker.url).family()["checkers"][0]
    assert told["error"] == "caller_unknown"
    assert told["message"] == (
        "it cannot know the address of this machine: status 403: declare the proxy")


def test_the_address_of_such_a_checker_never_becomes_ours(make_home, start):
    home = make_home()
    home.rules(forward("{ 7466, 50800 }"))
    outer = service_on(home.checker, start, CHECKER)
    with home.checker:
        hidden = stubs.Stub(telling_address("172.17.0.1", stubs.fixed(GOOD)), address=CHECKER)
    with hidden:
        for urls in ([outer.url, hidden.url], [hidden.url, outer.url]):
            ended = verify("--json", "--ports", PORTS, *urls, inside=home.provider)
            assert ended.status == OK, ended
            assert ended.family()["ip"] == PUBLIC
            assert "addresses_disagree" in ended.family()["signs"]
        text = verify("--ports", PORTS, hidden.url, outer.url, inside=home.provider)
    assert (f"ipv4 checkers see different addresses of this machine: 172.17.0.1 ({hidden.url}), "
            f"{PUBLIC} ({outer.url})") in text.lines, text


# --- an address that changes ----------------------------------------------------------

def changing(*addresses):
    """Sees another address in each request, and checks the address that it sees only."""
    left = list(addresses)

    def answer(request):
        ip = left.pop(0) if len(left) > 1 else left[0]
        if request.path == "/ip":
            return stubs.Answer(200, {"ip": ip, "family": 4})
        if request.json["provider_ip"] != ip:
            return stubs.Answer(403, {"detail": "not yours", "code": "target_not_allowed"})
        return stubs.results(request, lambda ip, port: GOOD)
    return answer


def test_an_address_that_has_changed_is_asked_for_once_more(stub):
    ended = verify("--json", "--ports", PORTS, stub(changing("192.0.2.1", "192.0.2.2")).url)
    assert ended.status == OK, ended
    assert ended.family()["ip"] == "192.0.2.2"


def test_an_address_that_alternates_with_every_request_is_named(stub):
    """As of a router that takes its uplinks in turn: GET /ip always leaves through the first."""
    def answer(request):
        if request.path == "/ip":
            return stubs.Answer(200, {"ip": "192.0.2.1", "family": 4})
        return stubs.Answer(403, {"detail": "192.0.2.2 may not have 192.0.2.1 checked: a caller may "
                                  "name only its own address.", "code": "target_not_allowed"})
    ended = verify("--json", "--ports", PORTS, stub(answer).url)
    assert ended.status == UNKNOWN, ended
    assert ended.family()["checkers"][0]["message"] == (
        "the address of this machine alternates between 192.0.2.2 and 192.0.2.1")
    assert "--source" in cause_of(ended.family(), 7466)["remedy"]


def test_an_address_that_alternates_is_named(stub):
    checker = stub(changing("192.0.2.1", "192.0.2.2", "192.0.2.2", "192.0.2.1"))
    ended = verify("--json", "--ports", PORTS, checker.url)
    assert ended.status == UNKNOWN, ended
    assert ended.family()["checkers"][0]["message"] == (
        "the address of this machine alternates between 192.0.2.1 and 192.0.2.2")


# --- outer and inner ports, and the address to ask from -------------------------------

def test_an_outer_port_leads_to_an_inner_one(make_home, start):
    home = make_home()
    home.rules(forward("17466", f"{PROVIDER}:7466") + forward("17467", f"{PROVIDER}:7468") +
               forward("50800"))
    url = service_on(home.checker, start, CHECKER).url
    ended = verify("--json", "--ports", "17466:7466,17467:7467,17468:7468,50800", url,
                   inside=home.provider)
    assert ended.status == OK, ended
    assert ended.report["required"] == [17466]  # it leads to 7466
    family = ended.family()
    ports = ports_of(family)
    assert family["advertise"] == [17466, 50800]
    assert (ports[17466]["inner"], ports[17466]["proved"]) == (7466, True)
    assert (ports[17467]["cause"], ports[17467]["leads_to"]) == ("other_port", 7468)
    assert cause_of(family, 17468)["remedy"].startswith(
        f"in the router, forward TCP port 17468 to port 7468 of {PROVIDER}, or, ")


def test_an_own_address_is_asked_from(make_home, start):
    home = make_home()
    home.rules()
    home.checker.ip("addr add 203.0.113.2/24 dev eth0\n")
    url = service_on(home.router, start, PUBLIC).url
    for words in (["--ip", "203.0.113.2"], ["--source", "203.0.113.2"]):
        home.router.nft("table inet filter { chain input { }\n}\nflush chain inet filter input\n")
        ended = verify("--json", "--ports", PORTS, *words, url, inside=home.checker)
        assert ended.status == OK, ended
        assert ended.family()["ip"] == ended.family()["local_ip"] == "203.0.113.2"
    ended = verify("--json", "--ports", PORTS, "--source", "eth0", url, inside=home.checker)
    assert ended.status == OK and ended.family()["ip"] == CHECKER, ended


@pytest.mark.parametrize("source", ["203.0.113.77", "nosuch0"])
def test_a_source_that_is_not_there(stub, source):
    ended = verify("--json", "--ports", PORTS, "--source", source, stub(stubs.fixed(GOOD)).url)
    assert ended.status == UNKNOWN, ended
    assert ended.family()["checkers"][0]["error"] == "no_connection"
    assert "--source" in ended.family()["checkers"][0]["message"]
