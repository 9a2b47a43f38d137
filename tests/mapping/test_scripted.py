# SPDX-License-Identifier: MIT
"""--map with routers that answer as the test tells them to."""
import contextlib
import socket
import struct
import time

from harness.gateway import ANNOUNCE_PORT, NATPMP, PCP, garbage, silent
from harness.homes import OTHER, PROVIDER, ROUTER
from harness.targets import listener
from harness.together import together
from harness.waiting import eventually
from verifier.program import verify
from world import PORTS, causes_of, good_of, mapped_of, states_of

MANY = "7466,50800-50900"
FORWARDS = {port: (PROVIDER, port) for port in PORTS}
EACH = together("protocol", [PCP, NATPMP])


def only_of_maps(change):
    """Alters replies to requests for a mapping."""
    return lambda request, reply: change(request, reply) if request.is_map else [reply]


def other_nonce(_, reply):
    return [reply[:24] + bytes(byte ^ 0xFF for byte in reply[24:36]) + reply[36:]]


def other_inner_port(request, reply):
    at = 40 if request.protocol == PCP else 8
    (port,) = struct.unpack_from("!H", reply, at)
    return [reply[:at] + struct.pack("!H", port ^ 1) + reply[at + 2:]]


@together("protocol, change", [
    (PCP, other_nonce), (PCP, other_inner_port), (PCP, silent),
    (NATPMP, other_inner_port), (NATPMP, silent)])
def test_a_false_answer_is_none(world, protocol, change):
    one = world()
    one.start_gateway(protocols=(protocol,), alter=only_of_maps(change))
    family = one.verify("--map")
    assert set(states_of(family).values()) == {"silent"}
    assert family["router"]["mapping"]["mapped"] == 0


@together("protocol, change", [
    (PCP, other_nonce), (PCP, other_inner_port), (PCP, garbage),
    (NATPMP, other_inner_port), (NATPMP, garbage)])
def test_false_answers_do_not_hide_the_true_one(world, protocol, change):
    one = world()
    gateway = one.start_gateway(protocols=(protocol,), alter=only_of_maps(
        lambda request, reply: [*change(request, reply), reply]))
    family = one.verify("--map")
    assert good_of(family) == PORTS
    assert gateway.table == {}


@together("sender", [(ROUTER, 5352), ("192.168.50.4", 5351)])
def test_answers_of_another_sender_are_ignored(world, sender):
    one = world()
    one.home.router.ip("addr add 192.168.50.4/24 dev lan\n")
    one.start_gateway(sender=sender)
    family = one.verify("--map")
    assert good_of(family) == []
    assert family["router"]["outer_ip"] is None
    assert family["router"]["mapping"]["error"] == "no_router"


@EACH
def test_another_port_is_given_back(world, protocol):
    one = world()
    gateway = one.start_gateway(protocols=(protocol,), taken={50801})
    family = one.verify("--map")
    assert good_of(family) == [7466, 50800, 50802]
    assert mapped_of(family)[50801]["state"] == "other_port"
    assert gateway.table == {}


@EACH
def test_the_router_takes_32(world, protocol):
    one = world()
    gateway = one.start_gateway(protocols=(protocol,), table_max=32)
    family = one.verify("--map", "--required", "7466,50900", ports=MANY)
    assert len(good_of(family)) == 32 and {7466, 50900} <= set(good_of(family))
    states = list(states_of(family).values())
    assert (states.count("mapped"), states.count("full")) == (32, 70)
    mapping = family["router"]["mapping"]
    assert (mapping["mapped"], mapping["asked"]) == (32, 102)
    assert gateway.table == {}


@EACH
def test_a_slow_router(world, protocol):
    one = world()
    gateway = one.start_gateway(protocols=(protocol,), delay=2)
    # Its answers are waited for 2.5 s.
    eventually(lambda: good_of(one.verify("--map")) == PORTS, "its answers come in time")
    assert gateway.table == {}


def test_a_router_that_says_nothing(world):
    one = world()
    one.start_gateway(alter=silent)
    family = one.verify("--map")
    assert good_of(family) == []
    assert {entry["state"] for entry in family["router"]["protocols"]
            if entry["protocol"] in (PCP, NATPMP)} == {"silent"}
    assert family["router"]["mapping"]["error"] == "no_router"


@EACH
@together("result", [2, 3])
def test_a_router_that_refuses(world, protocol, result):
    one = world()
    one.start_gateway(protocols=(protocol,), map_result=result)
    family = one.verify("--map")
    assert set(states_of(family).values()) == {"refused"}
    assert mapped_of(family)[7466]["result"]
    assert set(causes_of(family).values()).isdisjoint({"no_way_in", "not_forwarded"})


@EACH
@together("lease", [1])
def test_leases_that_are_too_short(world, protocol, lease):
    """They are not renewed without end; the router is asked once, and once to remove each."""
    one = world()
    gateway = one.start_gateway(protocols=(protocol,), lease_max=lease)
    running = one.watch("--map")
    running.wait_reports(1, within=30)
    one.wait_proved()
    family = running.reports[0]["families"][0]
    assert set(states_of(family).values()) == {"short_lease"}
    assert {(request.inner, request.lifetime > 0) for request in gateway.maps()} == {
        (port, True) for port in PORTS}
    # A request that is repeated, since the answer was late, comes from the same socket.
    assert len({request.sender for request in gateway.maps()}) == len(PORTS)
    running.end()
    assert gateway.table == {}


def test_the_text_on_leases_that_are_too_short(world):
    one = world()
    one.start_upnp(lease_max=1, outer="45.12.7.9")
    ended = verify("--map", "--patience", "0", "--ports", "7466,50800", one.urls[4],
                   inside=one.home.provider)
    assert "7466,50800: forwarded for 1 s at a time, which is too short" in ended.out


@EACH
def test_an_epoch_that_went_back(world, protocol):
    """The router announces its restart, and has forgotten everything."""
    one = world()
    gateway = one.start_gateway(protocols=(protocol,))
    gateway.age(1000)
    with one.mapped() as running:
        gateway.restart()
        gateway.announce(protocol)
        eventually(lambda: gateway.forwards == FORWARDS, "mapped anew", within=30)
        one.wait_proved()
        assert good_of(running.reports[-1]["families"][0]) == PORTS
        running.end()
    assert gateway.table == {}


@EACH
def test_a_restart_without_an_announcement(world, protocol):
    one = world()
    gateway = one.start_gateway(protocols=(protocol,))
    gateway.age(1000)
    with one.mapped() as running:
        gateway.restart()
        eventually(lambda: gateway.forwards == FORWARDS, "mapped anew", within=60)
        running.end()
    assert gateway.table == {}


@EACH
def test_a_restart_before_the_first_check(world, protocol):
    """The router had just started, so its epoch does not show it, and it announces nothing."""
    one = world()
    restarts = []

    def restart_once(request, reply):
        if len(gateway.table) == len(PORTS) and not restarts:
            restarts.append(request)
            gateway.restart()
        return [reply]
    gateway = one.start_gateway(protocols=(protocol,), alter=restart_once)
    with one.mapped() as running:
        eventually(lambda: gateway.forwards == FORWARDS, "mapped anew", within=30)
        one.wait_proved()
        running.end()
    assert restarts and gateway.table == {}


@contextlib.contextmanager
def used(one, port):
    """Another program of the provider's machine uses it."""
    with contextlib.ExitStack() as later:
        with one.home.provider:
            later.enter_context(listener(PROVIDER, port))
        yield


def test_a_port_that_becomes_free_while_the_router_says_nothing(world):
    one = world()
    gateway = one.start_gateway(protocols=(PCP,), alter=only_of_maps(silent))
    with used(one, 50802):
        running = one.watch("--map")
        running.wait_reports(1, within=30)
    gateway.forget_requests()
    eventually(lambda: 50802 in [request.inner for request in gateway.maps()], "it is asked for",
               within=60)
    running.end()


def test_a_signal_while_a_further_port_is_added(world):
    """A router that answers slowly has not been asked again for most of them then."""
    one = world()
    gateway = one.start_gateway(protocols=(PCP,))
    with used(one, 50830):
        running = one.watch("--map", ports="7466,50800-50830")
        running.wait_reports(1, within=30)
    assert len(gateway.table) == 31
    gateway.forget_requests()
    gateway.delay = 1.5
    eventually(gateway.maps, "the first request", within=60)
    running.process.terminate()
    gateway.delay = 0
    running.wait()
    assert gateway.table == {}


# --- which protocol -----------------------------------------------------------------------

def protocol_of(family):
    return family["router"]["mapping"]["protocol"]


def changes_of(router):
    return [action for action, _ in router.actions if not action.startswith("Get")]


def test_upnp_does_not_wait_for_pcp_longer_than_a_second(world):
    """What answers later than that is not used, and mapped in neither protocol twice."""
    one = world()
    gateway, router = one.start_gateway(delay=2.4), one.start_upnp()
    family = one.verify("--map")
    assert protocol_of(family) == "UPnP" and good_of(family) == PORTS
    assert gateway.maps() == [] and router.table == {}


def test_upnp_does_not_wait_for_a_router_that_refuses(world):
    one = world()
    router = one.start_upnp()

    def took():
        begun = time.monotonic()
        family = one.verify("--map")
        assert protocol_of(family) == "UPnP" and good_of(family) == PORTS
        return time.monotonic() - begun
    quick = min(took() for _ in range(3))
    one.home.router.nft("add rule inet filter spoken udp dport 5351 drop\n")
    silent = took()
    assert silent > 1 and quick < silent
    assert router.table == {}


def test_pcp_that_answers_within_a_second_is_preferred(world):
    """The search has found the router by then, and has changed nothing in it. A machine that holds
    an answer up until after that second proves nothing."""
    one = world()
    gateway, router = one.start_gateway(delay=0.5), one.start_upnp()

    def preferred():
        router.forget()
        family = one.verify("--map")
        return protocol_of(family) == PCP and family
    family = eventually(preferred, "PCP is preferred", within=30)
    assert good_of(family) == PORTS
    assert router.searches > 0 and changes_of(router) == []
    assert gateway.table == {}


def test_pcp_that_answers_at_once_keeps_upnp_out_of_it(world):
    """The search begins when no answer has come for 250 ms."""
    one = world()
    one.start_gateway()
    router = one.start_upnp()

    def is_kept_out():
        router.forget()
        return protocol_of(one.verify("--map")) == PCP and router.searches == 0
    eventually(is_kept_out, "no search", within=30)


def test_a_router_without_a_connection_while_pcp_says_nothing(world):
    one = world()
    one.start_gateway(alter=silent)
    one.start_upnp(is_connected=False)
    family = one.verify("--map")
    assert set(states_of(family).values()) == {"not_connected"}
    assert family["router"]["mapping"]["error"] == "not_connected"


def test_a_signal_during_the_search(world):
    one = world()
    gateway, router = one.start_gateway(alter=silent), one.start_upnp(ignore=1000)
    running = one.watch("--map")
    eventually(lambda: router.searches, "the search")
    running.process.terminate()
    router.manner.ignore = 0
    ended = running.wait()
    assert changes_of(router) == [] and gateway.maps() == []
    assert "may still be" not in ended.err


# --- routers that do not map in a protocol that they speak --------------------------------

def test_nat_pmp_where_pcp_answers_no_request_for_a_mapping(world):
    one = world()
    gateway, router = one.start_gateway(mute=(PCP,)), one.start_upnp()
    family = one.verify("--map")
    assert protocol_of(family) == NATPMP and good_of(family) == PORTS
    assert len(gateway.maps(PCP)) > 0 and router.searches == 0
    assert set(states_of(family).values()) == {"mapped"} and gateway.table == {}


@together("spoken", [(PCP,), (NATPMP,), (PCP, NATPMP)])
def test_upnp_where_no_other_answers_a_request_for_a_mapping(world, spoken):
    one = world()
    gateway = one.start_gateway(protocols=spoken, mute=(PCP, NATPMP))
    router = one.start_upnp()
    family = one.verify("--map")
    assert protocol_of(family) == "UPnP" and good_of(family) == PORTS
    assert {request.protocol for request in gateway.maps()} == set(spoken)
    assert router.table == {}


def test_pcp_again_where_nothing_answers_a_request_for_a_mapping(world):
    """What the router says later counts."""
    one = world()
    gateway = one.start_gateway(mute=(PCP, NATPMP))
    running = one.watch("--map", watch="1h")
    running.wait_reports(1, within=60)
    family = running.reports[0]["families"][0]
    assert protocol_of(family) == PCP and set(states_of(family).values()) == {"silent"}
    gateway.mute = ()
    eventually(lambda: gateway.forwards == FORWARDS, "mapped after all", within=90)
    running.end()
    assert gateway.table == {}


def test_pcp_that_ends_while_ports_are_mapped(world):
    """The router says at a renewal that it has no mappings."""
    one = world()
    gateway, router = one.start_gateway(protocols=(PCP,), lease_max=4), one.start_upnp()
    with one.mapped(watch="1h") as running:
        gateway.map_result = 4  # UNSUPP_OPCODE
        eventually(lambda: sorted(router.table) == PORTS, "mapped over UPnP", within=60)
        running.end()
    assert router.table == {}


# --- announcements ------------------------------------------------------------------------

def test_a_router_that_announces_itself_while_it_is_asked(world):
    """It has just started, and the question is not repeated any more."""
    one = world()
    gateway = one.start_gateway(alter=silent)
    running = one.watch("--map", watch="1h")

    def is_asked_to_the_end():
        asked = [request.sender for request in list(gateway.requests)
                 if request.protocol == PCP]
        return any(asked.count(sender) == 4 for sender in asked)
    eventually(is_asked_to_the_end, "the last repetition")
    gateway.alter = lambda request, reply: [reply]
    gateway.announce(PCP)
    eventually(lambda: gateway.forwards == FORWARDS, "mapped", within=15)
    running.end()
    assert gateway.table == {}


@together("spoken, announced", [(PCP, NATPMP), (NATPMP, PCP)])
def test_an_announcement_in_the_other_protocol(world, spoken, announced):
    """The router has forgotten everything, and its epoch does not show it."""
    one = world()
    gateway = one.start_gateway(protocols=(spoken,))
    with one.mapped(watch="1h") as running:
        gateway.restart()
        gateway.announce(announced)
        eventually(lambda: gateway.forwards == FORWARDS, "mapped anew", within=30)
        running.end()
    assert gateway.table == {}


def test_an_announcement_where_upnp_is_used(world):
    one = world()
    gateway, router = one.start_gateway(mute=(PCP, NATPMP)), one.start_upnp()
    with one.mapped(watch="1h") as running:
        router.table.clear()
        gateway.announce(PCP)
        eventually(lambda: sorted(router.table) == PORTS, "mapped anew", within=30)
        running.end()
    assert router.table == {}


def test_another_program_has_the_port_of_announcements_for_a_while(world):
    one = world()
    gateway = one.start_gateway()
    with one.home.provider.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("0.0.0.0", ANNOUNCE_PORT))
        running = one.watch("--map")
        running.wait_reports(1, within=30)
    one.wait_proved()

    def is_heard():
        gateway.announce(PCP)
        return "announces itself" in running.err_path.read_text()
    eventually(is_heard, "an announcement", within=30)
    running.end()


# --- UPnP ---------------------------------------------------------------------------------

NOT_AUTHORIZED, PERMANENT_ONLY = 606, 725


def test_upnp_permanent_leases_only(world):
    """They are removed at the end all the same."""
    one = world()
    router = one.start_upnp(lease_refusal=PERMANENT_ONLY)
    family = one.verify("--map")
    assert good_of(family) == PORTS
    assert {mapping["expires"] for mapping in mapped_of(family).values()} == {None}
    assert family["router"]["mapping"]["lease"] is None
    assert router.table == {}


def test_upnp_permanent_leases_after_sigterm_and_kept(world):
    one = world()
    router = one.start_upnp(lease_refusal=PERMANENT_ONLY)
    with one.mapped() as running:
        assert {entry["client"] for entry in router.table.values()} == {PROVIDER}
        running.end()
    assert router.table == {}
    one.verify("--map", "--map-keep")
    assert sorted(router.table) == PORTS


def test_upnp_refuses(world):
    one = world()
    one.start_upnp(results={"AddPortMapping": NOT_AUTHORIZED})
    family = one.verify("--map")
    assert set(states_of(family).values()) == {"refused"}
    assert mapped_of(family)[7466]["result"]


def test_upnp_takes_32(world):
    one = world()
    router = one.start_upnp(table_max=32)
    family = one.verify("--map", ports=MANY)
    assert len(good_of(family)) == 32 and 7466 in good_of(family)
    states = list(states_of(family).values())
    assert (states.count("mapped"), states.count("full")) == (32, 70)
    assert router.table == {}


def test_upnp_held_by_another_machine(world):
    one = world()
    router = one.start_upnp()
    router.table[50801] = held = {"client": OTHER, "inner": 50801, "lease": 0,
                                  "description": ""}
    family = one.verify("--map")
    assert good_of(family) == [7466, 50800, 50802]
    assert mapped_of(family)[50801]["held_by"] == OTHER
    assert router.table == {50801: held}


def test_upnp_slow_answers(world):
    one = world()
    router = one.start_upnp(delay=0.5)
    assert good_of(one.verify("--map")) == PORTS
    assert router.table == {}
