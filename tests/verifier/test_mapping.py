# SPDX-License-Identifier: MIT
"""--map: ports are forwarded in the router before the checkers are asked, kept so, and removed."""
import contextlib
import datetime
import json
import pathlib
import re
import signal
import stat
import time

import pytest

import home as homes
import stub as stubs
from harness import gateway as gateways
from harness.gateway import NATPMP, PCP
from harness.waiting import SANITIZER, eventually, sooner_than
from home import CHECKER, CHECKER6, PROVIDER, PROVIDER6, PUBLIC
from program import NOT_OK, OK, SYSTEM, USAGE, Running, cause_of, ports_of, verify

ROUTER, ROUTER6 = "192.168.50.1", "2001:db8:50::1"
TIMED_OUT = {"accessible": False, "error": "Connection timed out"}
OPEN = {"accessible": True, "error": None}
PORTS = "7466,50800-50803"
ALL = [7466, 50800, 50801, 50802, 50803]


@pytest.fixture
def home(namespaces, later):
    made = homes.Home(later)
    made.rules()
    return made


@pytest.fixture
def router(home, later):
    """router(...): the router answers like this Gateway."""
    def make(address=ROUTER, **manner):
        return later.enter_context(contextlib.closing(
            gateways.Gateway(address, inside=home.router, **manner)))
    return make


class Outside:
    """A checker that reaches what `gateways` forward at the moment it is asked, unless `is_cut`."""

    def __init__(self, home, stub, gateways, address):
        self.gateways = gateways
        self.is_cut = False
        with home.checker:
            self.stub = stub(stubs.fixed(self._entry), address=address)
        self.url = self.stub.url

    def _entry(self, port):
        tables = [list(gateway.table.values()) for gateway in self.gateways]
        is_open = any(mapping.outer == port for table in tables for mapping in table)
        return OPEN if is_open and not self.is_cut else TIMED_OUT


@pytest.fixture
def outside(home, stub):
    return lambda *gateways, address=CHECKER: Outside(home, stub, gateways, address)


@pytest.fixture
def mapped(home):
    """mapped(checker, ...): a run of the provider with --map, to its end."""
    def run(made, *arguments, json=True, ports=PORTS, **options):
        form = ["--json"] if json else []
        return verify(*form, "--ports", ports, "--patience", "0", "--map", made.url, *arguments,
                      inside=home.provider, **options)
    return run


@pytest.fixture
def running(home, later):
    """running(checker, ...): the same in the background."""
    def start(made, *arguments, ports=PORTS):
        with home.provider:
            return later.enter_context(Running(
                "--json", "--ports", ports, "--patience", "0", "--map", made.url, *arguments))
    return start


@pytest.fixture
def watching(running):
    """watching(checker, ...): it has had its first round, and the next one is far away."""
    def start(made, *arguments, every="1h", **options):
        begun = running(made, "--watch", every, "--confirm", "100ms", *arguments, **options)
        begun.wait_reports(1)
        return begun
    return start


def events(begun, word):
    """The lines on standard error with this word."""
    return [line for line in begun.err_path.read_text().splitlines() if word in line]


def holds(gateway):
    return sorted(mapping.outer for mapping in gateway.table.values())


# --- once ---------------------------------------------------------------------------------

ROUTERS = {
    "both": ({}, "PCP"),
    "PCP": ({"protocols": [PCP]}, "PCP"),
    "NAT-PMP": ({"protocols": [NATPMP]}, "NAT-PMP"),
    "slow": ({"delay": 1.2}, "PCP"),
    "strangers": ({"alter": lambda request, reply: [*gateways.garbage(request, reply), reply]},
                  "PCP"),
    "PCP without mappings": ({"map_result": {PCP: gateways.PCP_UNSUPPORTED_OPCODE}}, "NAT-PMP"),
}


@pytest.mark.parametrize("name", ROUTERS)
def test_what_the_router_forwards_is_proved_and_removed(name, router, outside, mapped):
    manner, protocol = ROUTERS[name]
    gateway = router(**manner)
    ended = mapped(outside(gateway))
    family = ended.family()
    assert ended.status == OK and family["advertise"] == ALL, ended
    assert family["router"]["mapping"] == {"protocol": protocol, "mapped": 5, "asked": 5,
                                           "lease": 3600, "kept": False, "error": None}
    for port in family["ports"]:
        expires = datetime.datetime.fromisoformat(
            port["mapped"].pop("expires").replace("Z", "+00:00")).timestamp()
        assert 3500 <= expires - time.time() <= 3601
        assert port["mapped"] == {"state": "mapped", "result": None, "given": None,
                                  "held_by": None}
    assert gateway.table == {} and ended.err == ""


def test_over_ipv6_the_router_opens_its_packet_filter(router, outside, mapped):
    gateway = router(ROUTER6)
    ended = mapped(outside(gateway, address=CHECKER6))
    family = ended.family(6)
    assert ended.status == OK and family["advertise"] == ALL, ended
    assert family["router"]["mapping"]["mapped"] == 5
    assert {request.sender[0] for request in gateway.maps()} == {PROVIDER6}
    assert gateway.table == {}


def test_a_router_with_a_link_local_address_maps_to_the_global_one(home, router, outside,
                                                                    mapped):
    home.router.ip("addr add fe80::1/64 dev lan nodad\n")
    home.provider.ip("route del ::/0\nroute add ::/0 via fe80::1 dev eth0\n")
    with home.router:
        gateway = router("fe80::1%lan")
    assert mapped(outside(gateway, address=CHECKER6)).family(6)["advertise"] == ALL
    assert {request.sender[0] for request in gateway.maps()} == {PROVIDER6}


def test_required_ports_come_first(router, outside, mapped):
    gateway = router(table_max=2)
    ended = mapped(outside(gateway), "--required", "50802-50803")
    assert [request.outer for request in gateway.maps()[:2]] == [50802, 50803]
    assert ended.status == NOT_OK and ended.family()["advertise"] == [50802, 50803]


def test_the_outer_port_may_be_another_one(router, outside, mapped):
    gateway = router()
    family = mapped(outside(gateway), ports="17466:7466,50800").family()
    assert family["advertise"] == [17466, 50800]
    first = {(request.inner, request.outer) for request in gateway.maps() if request.lifetime}
    assert first == {(7466, 17466), (50800, 50800)}


def test_only_ports_that_are_ours_or_named_are_mapped(home, router, outside, mapped, later):
    gateway = router()
    for port in (7466, 50800, 50801):
        sock = later.enter_context(home.provider.socket())
        sock.bind(("0.0.0.0", port))
        sock.listen()
    family = mapped(outside(gateway), "--in-use", "50801").family()
    asked = {request.inner for request in gateway.maps()}
    assert asked == {7466, 50801, 50802, 50803}
    assert ports_of(family)[50800]["mapped"] is None
    assert family["router"]["mapping"]["asked"] == 4
    assert cause_of(family, 50800)["cause"] == "not_forwarded"


def test_a_public_ipv4_address_needs_no_mapping(home, outside, later):
    home.router.ip(f"route add default via {CHECKER}\n")
    gateway = later.enter_context(contextlib.closing(
        gateways.Gateway(CHECKER, inside=home.checker)))
    ended = verify("--json", "--ports", PORTS, "--patience", "0", "--map",
                   outside(gateway).url, inside=home.router)
    assert ended.family()["router"] is None and gateway.requests == []


def test_without_map_nothing_is_mapped(router, outside, home):
    gateway = router()
    family = verify("--json", "--ports", PORTS, "--patience", "0", outside(gateway).url,
                    inside=home.provider).family()
    assert family["router"]["mapping"] is None and gateway.maps() == []
    assert all(port["mapped"] is None for port in family["ports"])


# --- what the report says -----------------------------------------------------------------

def test_the_text_tells_how_many_are_mapped(router, outside, mapped):
    ended = mapped(outside(router()), json=False)
    assert ended.lines[2] == (f"ipv4 router {ROUTER} (PCP, NAT-PMP): outer address {PUBLIC}, "
                              "5 of 5 ports mapped")
    assert ended.lines[-1] == "ipv4 advertise: 7466,50800-50803"


REFUSALS = {
    # the router: state, code, given, what the text says, the label, why, what to do
    "taken": (
        {"taken": ALL}, "other_port", "SUCCESS",
        "used by another machine or by the router itself", "not forwarded: taken",
        "the router does not forward port 50803 to this machine, because another machine or the "
        "router itself uses it",
        "in the router, remove the port forward of port 50803 to another machine, or stop the "
        "program there that asked for it; or use other ports (--ports)"),
    "full": (
        {"table_max": 4}, "full", "NO_RESOURCES",
        "the table of the router is full (NO_RESOURCES)",
        "not forwarded: table of the router full",
        "the router forwards 4 of 5 ports and has no room for port 50803 (NO_RESOURCES)",
        f"in the router, forward TCP port 50803 to {PROVIDER} (same port number) by hand, or "
        "remove mappings that are not needed there"),
    "forbidden": (
        {"map_result": gateways.NOT_AUTHORIZED}, "refused", "NOT_AUTHORIZED",
        "refused by the router, which has to allow this machine to map ports (NOT_AUTHORIZED)",
        "not forwarded: refused by the router",
        "the router refuses to forward port 50803 (NOT_AUTHORIZED)",
        f"in the router, allow this machine ({PROVIDER}) to map ports (PCP, NAT-PMP or UPnP; "
        "some routers have this setting for each machine); or in the router, forward TCP port 50803 to "
        f"{PROVIDER} (same port number) by hand"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_why_the_router_does_not_forward(name, router, outside, mapped):
    manner, state, result, reason, label, why, remedy = REFUSALS[name]
    gateway = router(**manner)
    made = outside(gateway)
    alone = {"ports": "50803"} if name != "full" else {}
    ended = mapped(made, **alone)
    family = ended.family()
    port = ports_of(family)[50803]
    assert (port["good"], port["cause"]) == (False, "mapping_refused"), ended
    assert (port["mapped"]["state"], port["mapped"]["result"]) == (state, result)
    cause = cause_of(family, 50803)
    assert (cause["label"], cause["text"], cause["remedy"]) == (label, why, remedy)
    assert holds(gateway) == []
    text = mapped(made, json=False, **alone).out
    assert f"ipv4 not mapped 50803: {reason}\n" in text


def test_over_ipv6_a_refusal_is_about_the_packet_filter(router, outside, mapped):
    made = outside(router(ROUTER6, map_result=gateways.NOT_AUTHORIZED), address=CHECKER6)
    cause = cause_of(mapped(made, ports="50803").family(6), 50803)
    assert cause["label"] == "not opened: refused by the router"
    assert cause["text"] == "the router refuses to open port 50803 (NOT_AUTHORIZED)"
    assert cause["remedy"].endswith(
        f"in the router, allow TCP port 50803 to {PROVIDER6} (same port number) by hand")


def test_a_port_given_instead_is_told(router, outside, mapped):
    gateway = router(taken=[50803])
    port = ports_of(mapped(outside(gateway)).family())[50803]
    assert port["mapped"] == {"state": "other_port", "result": "SUCCESS", "given": 50804,
                              "held_by": None, "expires": None}


def test_a_table_of_32_entries(router, outside, mapped):
    ended = mapped(outside(router(table_max=32)), ports="7466,50800-50900", json=False)
    assert f"outer address {PUBLIC}, 32 of 102 ports mapped" in ended.lines[2]
    assert "ipv4 not mapped 50831-50900: the table of the router is full (NO_RESOURCES)" \
        in ended.lines
    assert ended.lines[-1] == "ipv4 advertise: 7466,50800-50830"


VAIN = {
    "the same address": ({}, ", but no connections arrive here: another router in front of it, a "
                         "firewall or the internet provider blocks them", "allow TCP ports"),
    "private": ({"outer": "10.1.2.3"}, ", but its outer address is 10.1.2.3, which is private: a "
                f"second router is in front of it (the checker sees {PUBLIC})",
                "the router 192.168.50.1 is behind a second router"),
    "another one": ({"outer": "45.12.7.7", "protocols": [PCP]},  # told with the mapping
                    f" at 45.12.7.7, but the checker sees {PUBLIC}: a VPN, a second uplink or "
                    "another router is in between", "if the router has a VPN or a second uplink"),
    "carrier": ({"outer": "100.64.0.2"}, ", but the internet provider uses carrier-grade NAT (the "
                f"outer address of the router 192.168.50.1 is 100.64.0.2, and the checker sees "
                f"{PUBLIC})", "a port forward cannot help"),
}


@pytest.mark.parametrize("name", VAIN)
def test_the_router_says_forwarded_and_nothing_arrives(name, router, outside, mapped):
    manner, why, remedy = VAIN[name]
    made = outside(router(**manner))
    made.is_cut = True
    family = mapped(made).family()
    cause = family["causes"][0]
    assert cause["cause"] == "mapped_no_way_in"
    assert cause["text"] == f"the router says that it forwards ports {PORTS}{why}"
    assert cause["remedy"].startswith(remedy)
    assert all(port["mapped"]["state"] == "mapped" for port in family["ports"])


def test_a_port_that_is_reached_is_good_whatever_the_router_says(router, outside, mapped, stub,
                                                                 home):
    router(map_result=gateways.NOT_AUTHORIZED)
    with home.checker:
        made = stub(stubs.fixed(OPEN), address=CHECKER)
    family = mapped(made).family()
    assert family["advertise"] == ALL
    assert {port["cause"] for port in family["ports"]} == {"unproved"}
    assert {port["mapped"]["state"] for port in family["ports"]} == {"refused"}


def test_a_router_that_answers_nothing_fails_no_check(router, outside, mapped):
    gateway = router(alter=gateways.silent)
    ended = mapped(outside(gateway))
    family = ended.family()
    assert family["known"] and ended.status == NOT_OK
    assert family["router"]["mapping"]["error"] in ("upnp_missing", "no_router")
    assert all(port["mapped"] is None for port in family["ports"])
    assert {port["cause"] for port in family["ports"]} == {"no_way_in"}


def test_without_a_gateway_the_check_goes_on(home, outside, mapped):
    home.provider.ip(f"route del default\nroute add {CHECKER}/32 via {ROUTER}\n")
    ended = mapped(outside(), json=False)
    assert ended.status == NOT_OK
    assert ended.lines[2] == ("ipv4 no router to map the ports: this machine has no default "
                              "gateway")


def test_a_router_that_falls_silent_in_between(router, outside, mapped):
    gateway = router()
    gateway.alter = lambda request, reply: [] if request.inner == 50802 else [reply]
    ended = mapped(outside(gateway))
    states = {number: port["mapped"]["state"] for number, port in ports_of(ended.family()).items()}
    assert states == {**dict.fromkeys(ALL, "mapped"), 50802: "silent"}
    assert re.fullmatch(r"port-verifier: 1 port may still be forwarded by the router "
                        r"192\.168\.50\.1, until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d: "
                        r"50802\n", ended.err)


# --- the end ------------------------------------------------------------------------------

def test_map_keep_leaves_the_mappings(router, outside, mapped):
    gateway = router()
    ended = mapped(outside(gateway), "--map-keep")
    assert holds(gateway) == ALL and ended.err == ""
    assert ended.family()["router"]["mapping"]["kept"] is True


def test_the_state_file_lets_the_next_run_remove(router, outside, mapped, tmp_path):
    gateway, state = router(), tmp_path / "state"
    made = outside(gateway)
    mapped(made, "--map-keep", "--state", state)
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    kept = json.loads(state.read_text())
    assert kept == {"version": 1, "nonce": gateway.maps()[0].nonce.hex()}
    assert holds(gateway) == ALL
    ended = mapped(made, "--state", state)
    assert ended.status == OK and holds(gateway) == []
    assert json.loads(state.read_text()) == kept
    # With another nonce, the router does not let the mappings be changed.
    mapped(made, "--map-keep", "--state", state)
    ended = mapped(made)
    assert {port["mapped"]["result"] for port in ended.family()["ports"]} == {"NOT_AUTHORIZED"}


BAD_STATES = {
    "empty": ("", "this is not a state file of port-verifier"),
    "text": ("7466", "this is not a state file of port-verifier"),
    "long": ('{"version": 1, "nonce": "' + "00" * 12 + '"}' + " " * 4096,
             "this is not a state file of port-verifier"),
    "newer": ('{"version": 2, "nonce": "' + "00" * 12 + '"}', '"version" must be 1'),
    "short": ('{"version": 1, "nonce": "00"}', '"nonce" must be 24 hexadecimal digits'),
    "number": ('{"version": 1, "nonce": 7}', '"nonce" must be 24 hexadecimal digits'),
}


@pytest.mark.parametrize("name", BAD_STATES)
def test_a_bad_state_file_is_an_error(name, tmp_path):
    text, what = BAD_STATES[name]
    path = tmp_path / "state"
    path.write_text(text)
    ended = verify("--map", "--state", path, "http://127.0.0.1:1")
    assert (ended.status, ended.err) == (USAGE, f"port-verifier: --state: {path}: {what}\n")
    assert path.read_text() == text


def test_a_state_file_that_cannot_be_created_is_an_error(tmp_path):
    path = tmp_path / "missing" / "state"
    ended = verify("--map", "--state", path, "http://127.0.0.1:1")
    assert (ended.status, ended.err) == (
        SYSTEM, f"port-verifier: --state: {path}: No such file or directory\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_removes_what_was_mapped(number, router, outside, running):
    gateway = router()
    gateway.alter = lambda request, reply: [] if request.inner == 50803 else [reply]
    begun = running(outside(gateway))  # waits for the last answer
    eventually(lambda: len(gateway.table) == 5, "mappings")
    gateway.alter = lambda request, reply: [reply]
    begun.process.send_signal(number)
    ended = begun.wait()
    assert (ended.status, ended.out, ended.err) == (-number, "", "")
    assert gateway.table == {}


def test_a_second_signal_ends_it_at_once(router, outside, running):
    gateway = router()
    gateway.alter = lambda request, reply: [] if request.inner == 50803 else [reply]
    begun = running(outside(gateway))
    eventually(lambda: len(gateway.table) == 5, "mappings")
    gateway.alter = gateways.silent
    begun.process.send_signal(signal.SIGTERM)
    eventually(lambda: any(request.lifetime == 0 for request in gateway.maps()), "removals")
    with sooner_than(1.9):  # what a silent router takes otherwise
        begun.process.send_signal(signal.SIGTERM)
        ended = begun.wait()
    assert ended.status == -signal.SIGTERM
    assert "ports may still be forwarded by the router" in ended.err


def test_map_and_no_router_exclude_each_other():
    ended = verify("--map", "--no-router", "http://127.0.0.1:1")
    assert (ended.status, ended.lines) == (USAGE, [])
    assert "--map and --no-router cannot be combined" in ended.err


def test_two_ports_that_lead_to_one_cannot_be_mapped():
    ended = verify("--map", "--ports", "7466,17466:7466", "http://127.0.0.1:1")
    assert ended.status == USAGE
    assert "--map: ports 7466 and 17466 both lead to port 7466 of this machine" in ended.err


# --- while it watches ---------------------------------------------------------------------

def test_a_restart_of_the_router_is_an_event(router, outside, watching):
    gateway = router()
    gateway.age(1000)
    made = outside(gateway)
    begun = watching(made)
    asked = len(made.stub.posts())
    gateway.restart()
    gateway.announce(PCP)
    eventually(lambda: holds(gateway) == ALL, "mappings")
    eventually(lambda: len(made.stub.posts()) > asked, "another round")
    assert events(begun, "router") == [
        f"port-verifier: the router {ROUTER} has lost its port mappings, as after a restart; it "
        "forwards 5 of 5 ports (IPv4) now; checking again"]
    assert begun.end().status == OK
    assert gateway.table == {}


def test_an_announcement_with_a_fitting_epoch_is_an_event_once(router, outside, watching):
    """As of miniupnpd with system_uptime=yes, which repeats it."""
    gateway = router()
    begun = watching(outside(gateway))
    gateway.table = {}
    for _ in range(3):
        gateway.announce(PCP)
    eventually(lambda: holds(gateway) == ALL, "mappings")
    eventually(lambda: events(begun, "announces itself"), "the event")
    begun.end()
    assert len(events(begun, "router")) == 1


def test_another_outer_address_is_an_event(router, outside, watching):
    gateway = router()
    made = outside(gateway)
    begun = watching(made)
    asked = len(made.stub.posts())
    gateway.outer = "203.0.113.99"
    gateway.announce(PCP)
    eventually(lambda: len(made.stub.posts()) > asked, "another round")
    assert events(begun, "router") == [
        f"port-verifier: the router {ROUTER} has the new outer address 203.0.113.99; it forwards "
        "5 of 5 ports (IPv4) now; checking again"]
    begun.end()


def test_mappings_that_the_router_withdraws_are_an_event(router, outside, watching):
    gateway = router(lease_max=2)
    begun = watching(outside(gateway), every="2s")
    gateway.map_result = gateways.NOT_AUTHORIZED
    gateway.table = {}
    eventually(lambda: events(begun, "it forwards 0 of 5 ports"), "the event", 20)
    family = begun.wait_reports(2, 30)[-1]["families"][0]
    assert {port["cause"] for port in family["ports"]} == {"mapping_refused"}
    begun.end()


def test_leases_are_renewed(router, outside, watching):
    gateway = router(lease_max=2)
    made = outside(gateway)
    begun = watching(made, every="1s")
    first = len(gateway.maps())
    eventually(lambda: len(gateway.maps()) >= first + 15, "three renewals of five ports", 20)
    assert len(begun.reports) == 1 and begun.end().err == ""


def test_a_mapped_port_that_is_not_reached_any_more_is_asked_for_again(router, outside,
                                                                      watching):
    gateway = router()
    begun = watching(outside(gateway), every="1s")
    asked = len(gateway.maps())
    gateway.table = {}  # without a word
    eventually(lambda: len(gateway.maps()) >= asked + 5, "new requests", 20)
    eventually(lambda: holds(gateway) == ALL, "mappings")
    begun.end()


def test_ports_that_become_ours_later_are_mapped_too(home, router, outside, watching):
    gateway = router()
    with home.provider.socket() as sock:
        sock.bind(("0.0.0.0", 50801))
        sock.listen()
        begun = watching(outside(gateway), every="1s")
        assert holds(gateway) == [7466, 50800, 50802, 50803]
    assert begun.wait_reports(2)[-1]["families"][0]["advertise"] == ALL
    assert holds(gateway) == ALL
    assert {request.nonce for request in gateway.maps()} == {gateway.maps()[0].nonce}
    begun.end()
    assert gateway.table == {}


def test_ports_that_are_rented_out_stay_mapped(home, router, outside, watching):
    gateway = router()
    made = outside(gateway)
    begun = watching(made, every="1s")

    def rent():
        sock = home.provider.socket()
        with contextlib.suppress(OSError):
            sock.bind(("0.0.0.0", 50801))
            sock.listen()
            return sock
        sock.close()
        return None
    with eventually(rent, "the port between two rounds"):
        seen = len(made.stub.posts())
        eventually(lambda: len(made.stub.posts()) >= seen + 2, "two rounds", 20)
        assert holds(gateway) == ALL
    begun.end()


def test_a_router_that_comes_back_is_found_by_its_announcement(router, outside, watching):
    gateway = router(alter=gateways.silent)
    made = outside(gateway)
    begun = watching(made)
    asked = len(made.stub.posts())
    gateway.alter = lambda request, reply: [reply]
    gateway.announce(PCP)
    eventually(lambda: holds(gateway) == ALL, "mappings")
    eventually(lambda: len(made.stub.posts()) > asked, "another round")
    assert events(begun, "router")[-1] == (
        f"port-verifier: the router {ROUTER} has changed what it forwards; it forwards 5 of 5 "
        "ports (IPv4) now; checking again")
    assert begun.wait_reports(2)[-1]["families"][0]["advertise"] == ALL
    begun.end()
    assert gateway.table == {}


def test_it_needs_little_and_gives_up_the_rest(router, outside, watching):
    begun = watching(outside(router()), ports="7466,50800-50900")
    status = pathlib.Path(f"/proc/{begun.process.pid}/status").read_text()
    peak = int(re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE).group(1))
    if not SANITIZER:
        assert re.search(r"^Seccomp:\s+2$", status, re.MULTILINE)
        assert peak < 12 * 1024
    begun.end()
