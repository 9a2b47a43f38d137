# SPDX-License-Identifier: MIT
"""port-verifier-upnp and routers that a test plays, in a home of the test's own."""
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest

from harness.service import BUILD_DIR, environment
from harness.together import at_once
from harness.upnp_router import FIREWALL, Home, IP_CONNECTION, Router, answer
from harness.waiting import PATIENCE, SANITIZER, eventually

BINARY = BUILD_DIR / "port-verifier-upnp"
LOCAL, GATEWAY, NEIGHBOUR = "192.168.50.2", "192.168.50.1", "192.168.50.3"
LOCAL_6, GATEWAY_6, NEIGHBOUR_6 = "2001:db8:50::2", "2001:db8:50::1", "2001:db8:50::3"
PORTS = [7466, *range(50800, 50901)]

pytestmark = pytest.mark.skipif(not BINARY.exists(), reason="port-verifier-upnp is not built")


@pytest.fixture
def home(namespaces, later):
    return later.enter_context(contextlib.closing(Home()))


def maker_of_routers(home, later):
    def make(address=GATEWAY, inside=home.router, **manner):
        return later.enter_context(contextlib.closing(Router(inside, address, **manner)))
    return make


@pytest.fixture
def router(home, later):
    """router(manner...): the home's router."""
    return maker_of_routers(home, later)


@pytest.fixture
def in_homes(namespaces):
    """in_homes(check, cases): check(home, router, case) for all cases at the same time, each in a
    home of its own, since a search in vain takes seconds."""
    def in_a_home(check, case):
        with contextlib.ExitStack() as later:
            home = later.enter_context(contextlib.closing(Home()))
            check(home, maker_of_routers(home, later), case)
    return lambda check, cases: at_once(lambda case: in_a_home(check, case), cases)


def request(what="map", ports=(7466, 50800, 50801), **members):
    return {"do": what, "family": 4, "local": LOCAL, "gateway": GATEWAY, "lease": 3600,
            "is_renewal": False, "deadline_ms": 50000,
            "ports": [port if isinstance(port, list) else [port, port] for port in ports], **members}


def request_6(what="map", **members):
    return request(what, **{"family": 6, "local": LOCAL_6, "gateway": GATEWAY_6, **members})


def run(home, asked, status=0):
    """The router's line, the lines of the ports, the end; None: missing."""
    with home.home:
        ended = subprocess.run([BINARY], input=json.dumps(asked) + "\n", text=True,
                               capture_output=True, env=environment({}), timeout=100)
    assert (ended.returncode, ended.stderr) == (status, "")
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    first = lines.pop(0) if lines and "router" in lines[0] else None
    last = lines.pop()["end"] if lines and "end" in lines[-1] else None
    return first, lines, last


def mapped(port, lease=3600, **members):
    return {"port": port, "result": 0, "lease": lease, **members}


# --- mapping ----------------------------------------------------------------------------


def test_it_maps_all_ports(home, router):
    upnp = router()
    first, lines, end = run(home, request(ports=PORTS))
    assert first == {"router": f"{upnp.url}/description.xml", "connected": True,
                     "outer": "45.12.7.7", "ignored": 0}
    assert lines == [mapped(port) for port in PORTS]
    assert end == "done"
    assert upnp.table == {port: {"client": LOCAL, "inner": port, "lease": 3600,
                                 "description": "port-verifier"} for port in PORTS}
    assert {action for action, _ in upnp.actions} == {
        "GetStatusInfo", "GetExternalIPAddress", "AddPortMapping", "GetSpecificPortMappingEntry"}


def test_the_outer_port_may_be_another_one(home, router):
    upnp = router()
    _, lines, _ = run(home, request(ports=[[20000, 7466]]))
    assert lines == [mapped(7466)]
    assert upnp.table[20000]["inner"] == 7466


def test_without_a_gateway_it_asks_a_router_on_the_link(home, router):
    upnp = router(NEIGHBOUR, home.neighbour)
    _, lines, end = run(home, request(gateway=None))
    assert (len(lines), end, len(upnp.table)) == (3, "done", 3)


def test_a_search_may_be_lost(home, router):
    router(ignore=4)
    assert run(home, request())[2] == "done"


def test_without_a_router_it_says_so(home):
    assert run(home, request()) == ({"router": None, "ignored": 0}, [], "no_router")


def test_a_router_may_be_disconnected(home, router):
    upnp = router(is_connected=False)
    first, lines, end = run(home, request())
    assert first == {"router": f"{upnp.url}/description.xml", "connected": False, "ignored": 0}
    assert (lines, end, upnp.table) == ([], "not_connected", {})


@pytest.mark.parametrize("outer", ["45.12.7.7", "192.168.1.7", "100.64.0.7"])
def test_the_outer_address_is_told(home, router, outer):
    router(outer=outer)
    first, lines, _ = run(home, request())
    assert (first["outer"], len(lines)) == (outer, 3)


@pytest.mark.parametrize("outer", ["0.0.0.0", "", "2001:db8::1", "a.example"])
def test_a_router_without_an_outer_address_is_not_connected(home, router, outer):
    """So says miniupnpd if that address is not public: its state is "Connected" all the same."""
    router(outer=outer)
    first, lines, end = run(home, request())
    assert (first["connected"], lines, end) == (False, [], "not_connected")


def test_a_router_that_does_not_tell_its_outer_address_is_asked(home, router):
    router(results={"GetExternalIPAddress": 501})
    first, lines, end = run(home, request())
    assert ("outer" in first, len(lines), end) == (False, 3, "done")


def test_a_router_that_has_lost_its_connection_removes(home, router):
    upnp = router()
    run(home, request())
    upnp.manner.is_connected = False
    first, lines, end = run(home, request("remove"))
    assert (first["connected"], end, upnp.table) == (False, "done", {})
    assert lines == [{"port": port, "result": 0} for port in (7466, 50800, 50801)]


# --- who is asked -----------------------------------------------------------------------


@pytest.mark.parametrize("asked, address", [(request, NEIGHBOUR), (request_6, NEIGHBOUR_6)])
def test_other_machines_that_say_that_they_are_routers_are_ignored(home, router, asked, address):
    neighbour = router(address, home.neighbour)
    assert run(home, asked()) == ({"router": None, "ignored": 1}, [], "no_router")
    assert neighbour.searches > 0
    assert neighbour.paths == []


def test_the_router_is_found_beside_them(home, router):
    neighbour = router(NEIGHBOUR, home.neighbour)
    upnp = router(ignore=4)
    first, lines, end = run(home, request())
    assert (first["ignored"], len(lines), end) == (1, 3, "done")
    assert (neighbour.paths, len(upnp.table)) == ([], 3)


def test_a_description_of_another_machine_is_not_fetched(in_homes):
    def check(home, router, location):
        neighbour = router(NEIGHBOUR, home.neighbour, ignore=1000)
        upnp = router(location=(location % neighbour.port if "%d" in location else location) or " ")
        assert run(home, request())[2] == "no_router"
        assert upnp.searches > 0
        assert (upnp.paths, neighbour.paths) == ([], [])
    in_homes(check, [
        "http://192.168.50.3:%d/description.xml", "http://192.168.50.1@192.168.50.3:%d/",
        "http://neighbour.example:%d/", "https://192.168.50.1:%d/", "http://192.168.50.1\"", "",
        "http://[::ffff:192.168.50.3]:%d/", "x" * 200])


def test_a_router_that_leads_elsewhere_is_not_followed(in_homes):
    def check(home, router, where):
        neighbour = router(NEIGHBOUR, home.neighbour, ignore=1000)
        manner = {
            "control": {"control": f"{neighbour.url}/control"},
            "base": {"base": f"<URLBase>{neighbour.url}</URLBase>"},
            "redirect": {"description": lambda connection: answer(
                connection, "302 Found", b"", f"Location: {neighbour.url}/description.xml")}}
        upnp = router(**manner[where])
        assert run(home, request())[2] == "no_router"
        assert len(upnp.paths) == 1
        assert neighbour.paths == []
    in_homes(check, ["control", "base", "redirect"])


# --- what routers refuse ----------------------------------------------------------------


def test_the_machine_that_has_the_port_is_named(home, router):
    upnp = router()
    entry = {"client": NEIGHBOUR, "inner": 50800, "lease": 0, "description": "other"}
    upnp.table[50800] = dict(entry)
    _, lines, end = run(home, request())
    assert lines == [mapped(7466), {"port": 50800, "result": 718, "holder": NEIGHBOUR},
                     mapped(50801)]
    assert end == "done"
    assert upnp.table[50800] == entry


def test_a_mapping_of_ours_is_made_again_where_it_cannot_be_renewed(home, router):
    upnp = router(renews=False)
    assert run(home, request())[1] == [mapped(port) for port in (7466, 50800, 50801)]
    for entry in upnp.table.values():
        entry["lease"] = 5
    _, lines, _ = run(home, request(is_renewal=True))
    assert lines == [mapped(port) for port in (7466, 50800, 50801)]
    assert [entry["lease"] for entry in upnp.table.values()] == [3600] * 3


def test_a_mapping_to_us_that_another_program_made_is_left_alone(home, router):
    upnp = router(renews=False)
    entry = {"client": LOCAL, "inner": 7466, "lease": 0, "description": "by hand"}
    upnp.table[7466] = dict(entry)
    _, lines, _ = run(home, request(ports=[7466, 50800]))
    assert lines == [mapped(7466, lease=0, is_foreign=True), mapped(50800)]
    assert upnp.table[7466] == entry


@pytest.mark.parametrize("code", [725, 402, 501])
def test_a_router_without_leases_makes_permanent_mappings(home, router, code):
    upnp = router(lease_refusal=code)
    _, lines, _ = run(home, request())
    assert lines == [mapped(port, lease=0) for port in (7466, 50800, 50801)]
    assert [action for action, _ in upnp.actions].count("AddPortMapping") == 4


def test_a_router_without_permanent_mappings_is_never_asked_for_one(home, router):
    upnp = router(permanent_refusal=501)
    assert run(home, request())[1] == [mapped(port) for port in (7466, 50800, 50801)]
    assert len(upnp.table) == 3


def test_a_shorter_lease_is_told(home, router):
    router(lease_max=120)
    assert run(home, request())[1] == [mapped(port, lease=120) for port in (7466, 50800, 50801)]


def test_a_router_that_does_not_tell_its_entries_is_believed(home, router):
    router(tells_entries=False)
    assert run(home, request())[1] == [mapped(port) for port in (7466, 50800, 50801)]


def test_a_refusal_of_one_port_does_not_end_the_others(home, router):
    router(results={50800: 606})
    assert run(home, request())[1] == [mapped(7466), {"port": 50800, "result": 606},
                                       mapped(50801)]


def test_a_full_table_is_not_asked_for_more(home, router):
    upnp = router(table_max=32)
    _, lines, end = run(home, request(ports=PORTS))
    assert lines == [*(mapped(port) for port in PORTS[:32]),
                     *({"port": port, "result": 728} for port in PORTS[32:])]
    assert end == "done"
    assert [action for action, _ in upnp.actions].count("AddPortMapping") == 33


def test_success_for_another_machine_is_not_believed(home, router):
    upnp = router(results={"AddPortMapping": b"<x/>"})
    upnp.table[7466] = {"client": NEIGHBOUR, "inner": 7466, "lease": 0, "description": ""}
    assert run(home, request(ports=[7466]))[1] == [
        {"port": 7466, "result": 718, "holder": NEIGHBOUR}]


# --- keeping and removing ---------------------------------------------------------------


def test_a_renewal_notices_that_the_router_has_forgotten(home, router):
    upnp = router()
    assert run(home, request(is_renewal=True))[1] == [
        mapped(7466, was_gone=True), mapped(50800), mapped(50801)]
    assert run(home, request(is_renewal=True))[1] == [
        mapped(port) for port in (7466, 50800, 50801)]
    assert len(upnp.table) == 3


def test_only_mappings_to_us_are_removed(home, router):
    upnp = router()
    run(home, request())
    upnp.table[50800]["client"] = NEIGHBOUR
    del upnp.table[50801]
    _, lines, end = run(home, request("remove"))
    assert lines == [{"port": port, "result": 0} for port in (7466, 50800, 50801)]
    assert (end, list(upnp.table)) == ("done", [50800])


def test_a_refused_removal_is_told(home, router):
    upnp = router(results={"DeletePortMapping": 606})
    run(home, request())
    assert run(home, request("remove"))[1] == [
        {"port": port, "result": 606} for port in (7466, 50800, 50801)]
    assert len(upnp.table) == 3


# --- pinholes ---------------------------------------------------------------------------


def test_pinholes_are_made_renewed_and_removed(home, router):
    upnp = router(GATEWAY_6)
    _, lines, end = run(home, request_6())
    assert lines == [mapped(port, pinhole=number)
                     for number, port in enumerate((7466, 50800, 50801), 1)]
    assert end == "done"
    assert upnp.pinholes[1] == {"client": LOCAL_6, "port": 7466, "protocol": "6", "lease": 3600}

    del upnp.pinholes[2]
    known = [[7466, 7466, 1], [50800, 50800, 2], [50801, 50801, 3]]
    _, lines, _ = run(home, request_6(ports=known, lease=1800, is_renewal=True))
    assert lines == [mapped(7466, 1800, pinhole=1),
                     mapped(50800, 1800, was_gone=True, pinhole=4),
                     mapped(50801, 1800, pinhole=3)]
    assert {entry["lease"] for entry in upnp.pinholes.values()} == {1800}

    # Without its number a pinhole is found all the same.
    _, lines, end = run(home, request_6("remove", ports=[[7466, 7466, 1], 50800, [50801, 50801, 3]]))
    assert lines == [{"port": port, "result": 0} for port in (7466, 50800, 50801)]
    assert (end, upnp.pinholes) == ("done", {})


def test_pinholes_are_refused_in_the_routers_words(home, router):
    upnp = router(GATEWAY_6, results={7466: 703}, table_max=1)
    _, lines, _ = run(home, request_6(ports=[7466, [20000, 50800], 50801, 50802, 50803]))
    assert lines == [{"port": 7466, "result": 703}, {"port": 50800, "result": 724},
                     mapped(50801, pinhole=1), {"port": 50802, "result": 701},
                     {"port": 50803, "result": 701}]
    assert [action for action, _ in upnp.actions].count("AddPinhole") == 3


def test_the_router_may_be_known_by_its_link_local_address(home, router):
    upnp = router(GATEWAY_6)
    text = home.router.run("ip", "-6", "-oneline", "address", "show", "dev", "br0", "scope", "link")
    address = text.split()[3].split("/")[0]
    assert run(home, request_6(gateway=address))[2] == "done"
    assert len(upnp.pinholes) == 3


@pytest.mark.parametrize("asked, address, services", [
    (request, GATEWAY, (FIREWALL,)), (request_6, GATEWAY_6, (IP_CONNECTION,))])
def test_a_router_without_the_service_is_none(home, router, asked, address, services):
    router(address, services=services)
    assert run(home, asked())[2] == "no_router"


# --- hostile routers --------------------------------------------------------------------


def endless(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<root>")
    with contextlib.suppress(OSError):
        while True:
            connection.sendall(b"<a>" * 20000)


def slow(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    with contextlib.suppress(OSError):
        while True:
            connection.sendall(b" ")
            time.sleep(0.1)


def huge(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2147483647\r\n\r\n<root>")
    slow(connection)


# What becomes of it is a status: the deadline, or the end of memory or processor time.
ENDS = {0, -signal.SIGALRM, -signal.SIGXCPU, -signal.SIGSEGV, -signal.SIGABRT}


@pytest.mark.parametrize("description", [endless, slow, huge], ids=lambda f: f.__name__)
def test_a_description_without_an_end_is_cut_off(home, router, description):
    router(description=description)
    begun = time.monotonic()
    with home.home:
        process = subprocess.Popen([BINARY], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   env=environment({}))
    process.stdin.write(json.dumps(request(deadline_ms=3000)).encode() + b"\n")
    process.stdin.close()
    peak = 0
    while process.poll() is None:
        with contextlib.suppress(OSError, IndexError):
            text = pathlib.Path(f"/proc/{process.pid}/status").read_text()
            peak = max(peak, int(text.split("VmHWM:")[1].split()[0]))
        time.sleep(0.01)
        assert time.monotonic() - begun < 60 * PATIENCE
    said = process.stdout.read()
    process.stdout.close()
    assert process.returncode in ENDS
    assert b'"done"' not in said
    if not SANITIZER:
        assert peak < 66 << 10  # KiB


def test_a_description_that_makes_no_sense_is_none(in_homes):
    bodies = {
        "empty": b"", "zeros": b"\0" * 5000, "brackets": b"<" * 100000, "deep": b"<a>" * 100000,
        "long": b"<root>" + b"<a b='" + b"x" * 100000,
        "types": b"<serviceType>" + b"urn:schemas-upnp-org:service:WANIPConnection:1" * 1000}

    def check(home, router, name):
        upnp = router(description=lambda connection: answer(connection, "200 OK", bodies[name]))
        assert run(home, request())[2] == "no_router"
        assert upnp.paths
    in_homes(check, list(bodies))


@pytest.mark.parametrize("body", [b"", b"<" * 100000, b"<errorCode>70000</errorCode>",
                                  b"<errorCode>-5</errorCode>", b"<errorCode>x</errorCode>"],
                         ids=["empty", "brackets", "large", "negative", "word"])
def test_answers_that_make_no_sense_map_nothing_or_are_no_error(home, router, body):
    """The library takes an answer without an error code for success, as for the reply of a good
    router: the entry of the first port is read back then."""
    router(results={"AddPortMapping": body})
    _, lines, end = run(home, request())
    assert end == "done"
    for line in lines:
        assert line["result"] in (None, 0)


# --- the sandbox ------------------------------------------------------------------------


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line.split(":")[0]: line.split(":", 1)[1].split() for line in lines}


@pytest.fixture
def hanging(home, router, later):
    """A program that waits for its router: with a socket as standard input, and that socket."""
    router(delay=30)
    ours, theirs = socket.socketpair()
    later.callback(ours.close)
    with home.home, theirs:
        process = subprocess.Popen([BINARY], stdin=theirs, stdout=theirs, env=environment({}))
    later.callback(process.wait)
    later.callback(process.kill)
    ours.sendall(json.dumps(request(deadline_ms=50000)).encode() + b"\n")
    eventually(lambda: status_of(process.pid)["NoNewPrivs"] == ["1"], "the sandbox")
    return process, ours


def test_it_has_no_privileges(hanging):
    process, _ = hanging
    state = eventually(lambda: SANITIZER or status_of(process.pid)["Seccomp"] == ["2"],
                       "the filter") and status_of(process.pid)
    if os.geteuid() == 0:
        assert (state["Uid"], state["Gid"]) == (["65534"] * 4, ["65534"] * 4)
        assert state["Groups"] == []
    assert [state[name] for name in ("CapPrm", "CapEff", "CapInh", "NoNewPrivs")] == [
        ["0" * 16], ["0" * 16], ["0" * 16], ["1"]]
    limits = pathlib.Path(f"/proc/{process.pid}/limits").read_text()
    soft = {line[:26].strip(): line[26:].split()[0] for line in limits.splitlines()[1:]}
    assert (soft["Max core file size"], soft["Max open files"], soft["Max cpu time"]) == (
        "0", "16", "5")
    if not SANITIZER:
        assert soft["Max address space"] == str(64 << 20)


def test_it_ends_when_its_reader_is_gone(hanging):
    process, ours = hanging
    ours.close()
    assert process.wait(10 * PATIENCE) == 1


def test_it_ends_at_its_deadline(home, router):
    router(delay=30)
    with home.home:
        ended = subprocess.run([BINARY], input=json.dumps(request(deadline_ms=500)) + "\n",
                               text=True, capture_output=True, env=environment({}),
                               timeout=20 * PATIENCE)
    assert (ended.returncode, ended.stdout) == (-signal.SIGALRM, "")


INVALID = [
    b"\n", b"{}\n", b"[]\n", b"{", b"x" * 40000, json.dumps(request("steal")).encode() + b"\n",
    json.dumps(request(family=5)).encode() + b"\n",
    json.dumps(request(local="::1")).encode() + b"\n",
    json.dumps(request(gateway="gateway.example")).encode() + b"\n",
    json.dumps(request(lease=0)).encode() + b"\n",
    json.dumps(request(deadline_ms=60001)).encode() + b"\n",
    json.dumps(request(is_renewal=1)).encode() + b"\n",
    json.dumps(request(ports=[])).encode() + b"\n",
    json.dumps(request(ports=[[0, 1]])).encode() + b"\n",
    json.dumps(request(ports=[[1, 65536]])).encode() + b"\n",
    json.dumps(request(ports=[[1, 1, 1, 1]])).encode() + b"\n",
    json.dumps(request(ports=[1] * 1025)).encode() + b"\n"]


@pytest.mark.parametrize("line", INVALID, ids=range(len(INVALID)))
def test_an_invalid_request_is_refused(line):
    ended = subprocess.run([BINARY], input=line, capture_output=True, env=environment({}),
                           timeout=20 * PATIENCE)
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr.startswith(b"port-verifier-upnp: ")


def test_a_local_address_that_this_machine_does_not_have_is_an_error(home):
    with home.home:
        ended = subprocess.run([BINARY], input=json.dumps(request(local="192.168.50.77")) + "\n",
                               text=True, capture_output=True, env=environment({}),
                               timeout=20 * PATIENCE)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "local address" in ended.stderr


def test_version_and_arguments():
    ended = subprocess.run([BINARY, "--version"], capture_output=True, text=True,
                           env=environment({}))
    assert ended.returncode == 0
    assert ended.stdout.startswith("port-verifier-upnp ")
    ended = subprocess.run([BINARY, "--help"], capture_output=True, text=True,
                           env=environment({}))
    assert (ended.returncode, ended.stdout) == (2, "")
