# SPDX-License-Identifier: MIT
"""The module for the provider software, with the real service and with checkers that know only
the plain contract."""
import ast
import asyncio
import contextlib
import dataclasses
import errno
import inspect
import json
import os
import re
import socket
import ssl
import subprocess
import threading

import pytest

import dropin
import home as homes
import stub as stubs
from dropin import SOURCE, ask
from harness.service import BUILD_DIR
from harness.targets import closed, listener, port_of
from harness.waiting import eventually, sooner_than
from home import CHECKER, CHECKER6, OTHER, PROVIDER, PUBLIC, forward
from stub import Answer, fixed, plain, results, strict, telling

PORTS = [7466, 50800, 50801, 50802]
GOOD = {"accessible": True, "error": None}
REFUSED = {"accessible": False, "error": "Connection refused"}


@pytest.fixture
def make_home(namespaces, later):
    return lambda **options: homes.Home(later, **options)


@pytest.fixture
def service(start):
    """service(home): a checker there, for both families."""
    return lambda home: start(inside=home.checker, PORT_CHECKER_HOST="::",
                              PORT_CHECKER_TARGETS="caller")


def urls(service):
    return [f"http://{CHECKER}:{service.port}", f"http://[{CHECKER6}]:{service.port}"]


def program(folder, version="port-verifier 0.1.0", report="", status=0):
    """A folder for PATH with a stand-in for port-verifier."""
    path = folder / "port-verifier"
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "{version}" && exit\n'
                    f"echo '{report}'\nexit {status}\n")
    path.chmod(0o755)
    return folder


# --- its form -----------------------------------------------------------------------------

def test_names_and_types_are_those_of_the_original():
    module = dropin.load()
    def fields(kind):
        return [(field.name, field.default) for field in dataclasses.fields(kind)]
    missing = dataclasses.MISSING
    assert fields(module.ServerAttempt) == [("server", missing), ("success", missing),
                                            ("error", None)]
    assert fields(module.PortVerificationResult) == [
        ("port", missing), ("accessible", missing), ("error", None), ("verified_by", None),
        ("attempts", None)]
    made = inspect.signature(module.PortVerifier).parameters
    assert list(made) == ["port_check_servers", "discovery_port"]
    assert made["discovery_port"].default == 7466
    assert inspect.isasyncgenfunction(module.PortVerifier.verify_local_binding)
    for name in ("verify_external_access", "verify_ports"):
        method = getattr(module.PortVerifier, name)
        assert inspect.iscoroutinefunction(method)
        assert list(inspect.signature(method).parameters) == ["self", "ports"]
    assert module.logger.name == "port_verifier"


def test_it_is_python_3_8():
    tree = ast.parse(SOURCE.read_text(), feature_version=(3, 8))
    imported = {name.name.split(".")[0] for node in ast.walk(tree)
                if isinstance(node, ast.Import) for name in node.names}
    assert not imported & {"os", "signal", "fcntl", "multiprocessing", "aiohttp", "requests"}
    # What came with 3.9 and later.
    named = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not named & {"to_thread", "timeout_at", "TaskGroup", "Runner", "removeprefix",
                        "removesuffix"}


def test_the_guide_installs_it(tmp_path):
    """In an environment with a package of that name; and its table has the real defaults."""
    guide = (SOURCE.parent / "README.md").read_text()
    network = tmp_path / "provider/network"
    network.mkdir(parents=True)
    (network / "port_verifier.py").write_text("original")
    commands = re.search(r"```sh\n(.*?)```", guide, re.DOTALL).group(1)
    subprocess.run(["sh", "-eu", "-c", commands], cwd=SOURCE.parent, check=True,
                   env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert (network / "port_verifier.py").read_bytes() == SOURCE.read_bytes()
    assert (network / "port_verifier.py.original").read_text() == "original"

    rows = re.findall(r"^\| `(\w+)` \| `(.+?)` \|", guide, re.MULTILINE)
    verifier = dropin.load().PortVerifier
    public = {name: value for name, value in vars(verifier).items()
              if not name.startswith("_") and not callable(value)}
    assert {name: ast.literal_eval(value) for name, value in rows} == public


def test_windows(monkeypatch):
    """The branches for Windows, as far as another system can show them."""
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", -5, raising=False)
    monkeypatch.setattr(errno, "WSAEADDRINUSE", 10048, raising=False)
    monkeypatch.setattr(errno, "WSAEACCES", 10013, raising=False)
    module = dropin.load()
    assert not hasattr(module, "resource") and module._has_descriptors(10**6)
    assert {10048, 10013, errno.EACCES} <= module.IN_USE
    options = []

    class Socket:
        def __init__(self, family, _):
            self.family = family

        def setsockopt(self, _, name, value):
            options.append((self.family, name, value))

        def bind(self, address):
            raise PermissionError(errno.EACCES, "denied")

        def setblocking(self, _):
            pass

        def close(self):
            options.append("closed")

    monkeypatch.setattr(module.socket, "socket", Socket)
    held = module._Listeners()
    asyncio_free(held.open(4, [50800], True))
    assert options == [(socket.AF_INET, -5, 1), "closed"]
    assert held.in_use == {50800}


def asyncio_free(coroutine):
    """Runs a coroutine that starts nothing; an event loop would need real sockets."""
    loop = asyncio.events.AbstractEventLoop()
    asyncio._set_running_loop(loop)
    try:
        with pytest.raises(StopIteration):
            coroutine.send(None)
    finally:
        asyncio._set_running_loop(None)


# --- with the service ---------------------------------------------------------------------

def test_on_this_machine(start):
    service = start()
    asked = ask([service.url], PORTS)
    assert asked.good == PORTS and "nothing about the internet" in asked.log
    for result in asked.results.values():
        assert result["verified_by"] == service.url and result["error"] is None
        assert result["attempts"] == [{"server": service.url, "success": True, "error": None}]
    assert asked.by_family == {4: asked.results}


def test_a_whole_range(start):
    """As the provider software calls it; 202 listeners."""
    ports = [7466, *range(50800, 50900)]
    assert ask([start(PORT_CHECKER_HOST="::").url.replace("[::1]", "127.0.0.1")],
               ports).good == ports


def test_behind_a_router(make_home, service):
    """Each way in which a port can be dead, and who answers instead."""
    home = make_home()
    home.rules(forward("{ 7466, 50800-50802, 50805 }")
               + forward("50803", OTHER) + forward("50804", f"{PROVIDER}:50805"))
    home.provider.nft("table inet f {\nchain in {\ntype filter hook input priority 0\n"
                      "tcp dport 50801 drop\n}\n}\n")
    ports = [7466, *range(50800, 50807)]
    with home.other:
        neighbour = listener(OTHER, 50803)
    with home.provider:
        holder = listener("0.0.0.0", 50802)
    server = urls(service(home))[0]
    with neighbour, holder:
        asked = ask([server], ports, inside=home.provider)
    assert asked.good == [7466, 50800, 50805]
    assert asked.errors() == {
        7466: None, 50800: None, 50801: "Connection timed out",
        50802: "Port 50802: another program uses it",
        50803: "Another program or machine answered",
        50804: "A port forward leads to port 50805 of this machine",
        50805: None, 50806: "Connection timed out"}
    assert "WARNING port_verifier another program uses 50802\n" in asked.log


def test_a_port_that_the_packet_filter_rejects(make_home, service):
    home = make_home()
    home.rules(forward("50800-50801"))
    home.provider.nft("table inet f {\nchain in {\ntype filter hook input priority 0\n"
                      "tcp dport 50800 reject with tcp reset\n}\n}\n")
    asked = ask([urls(service(home))[0]], [50800, 50801], inside=home.provider)
    assert asked.errors() == {50800: "Connection refused", 50801: None}


def test_both_families(make_home, service):
    """The result speaks of IPv4; each family has its own as well."""
    home = make_home()
    home.rules(forward("50800-50801"))
    home.provider.nft("table ip6 f {\nchain in {\ntype filter hook input priority 0\n"
                      "tcp dport 50801 drop\n}\n}\n")
    asked = ask(urls(service(home)), [50800, 50801, 50802], inside=home.provider)
    assert asked.good == asked.good_of(4) == [50800, 50801]
    assert asked.good_of(6) == [50800, 50802]


def test_only_ipv6(make_home, service):
    home = make_home()
    server = urls(service(home))[1]
    asked = ask([server], [7466, 50800], inside=home.provider)
    assert asked.good == [7466, 50800] and list(asked.by_family) == [6]
    assert asked.results[50800]["verified_by"] == server
    refused = ask([server], [50800], inside=home.provider, families=[4])
    assert f"{server}: {CHECKER6} has no IPv4 address" in refused.error


def test_too_few_descriptors_to_listen_on_both_families(make_home, service):
    """Then IPv6, where nothing listens, is not checked: a refusal would say nothing."""
    home = make_home()
    home.rules(forward("50800"))
    both = urls(service(home))
    asked = ask(both, [50800], inside=home.provider, descriptors=90)
    assert asked.good == [50800] and list(asked.by_family) == [4]
    assert "too few descriptors" in asked.log
    only = ask(both[1:], [50800], inside=home.provider, descriptors=90)
    assert only.error and not only.by_family
    # With enough of them, and without listeners.
    assert list(ask(both, [50800], inside=home.provider, descriptors=200).by_family) == [4, 6]
    status = ask(both, [50800], "verify_external_access", inside=home.provider, descriptors=90)
    assert status.errors() == {50800: "Connection refused"}


# --- local ports --------------------------------------------------------------------------

def test_the_discovery_port_in_use_is_our_own(start):
    service = start()
    with listener("0.0.0.0", 7466), listener("0.0.0.0", 50801):
        assert ask([], PORTS, "verify_local_binding").bound == [7466, 50800, 50802]
        assert ask([service.url], PORTS).good == [7466, 50800, 50802]
        only = ask([service.url], [50801])
    assert only.errors() == {50801: "Port 50801: another program uses it"}
    assert not ask([service.url], [50801], "verify_external_access").good


def test_without_listeners_an_open_port_needs_no_proof(start):
    """As the `status` command of the provider software asks, beside the running provider."""
    service = start()
    with listener("0.0.0.0", 7466):
        asked = ask([service.url], [7466, 50800], "verify_external_access")
    assert asked.good == [7466]
    assert asked.errors()[50800] == "Connection refused"


def test_a_port_is_free_again_at_once():
    """Although a connection that this side closed first is still in TIME-WAIT."""
    module = dropin.load()

    def connect():
        client = socket.create_connection(("127.0.0.1", 50800), timeout=10)
        assert client.recv(100).startswith(b"golem-port-verifier 1 50800 ")
        return client

    async def both():
        binding = module.PortVerifier([]).verify_local_binding([50800])
        async with contextlib.aclosing(binding):
            await binding.__anext__()
            client = await asyncio.to_thread(connect)
        with client:
            assert client.recv(1) == b""
        again = module.PortVerifier([]).verify_local_binding([50800])
        async with contextlib.aclosing(again):
            return await again.__anext__()

    assert asyncio.run(both()) == {50800}


def test_no_ports_need_no_checker():
    assert ask(["http://127.0.0.1:1"], []).results == {}


def test_a_cancelled_check_leaves_nothing_behind(stub):
    """The ports are free at once, and no thread waits for the checker."""
    module, asked, release = dropin.load(), threading.Event(), threading.Event()

    def stall(_):
        asked.set()
        release.wait(30)
        return stubs.NOT_FOUND

    async def run(url):
        module.PortVerifier.program = None
        task = asyncio.create_task(module.PortVerifier([url]).verify_ports(PORTS))
        await asyncio.to_thread(asked.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for port in PORTS:
            listener("0.0.0.0", port).close()

    checker = stub(stall)
    with sooner_than(20):
        asyncio.run(run(checker.url))  # waits for its threads
    release.set()


# --- old checkers -------------------------------------------------------------------------

def old(status):
    """Refuses what it does not know with this status, has no /ip, and probes for real."""
    def answer(request):
        if request.path != "/check-ports":
            return stubs.NOT_FOUND
        is_plain = (set(request.json) == {"provider_ip", "ports"}
                    and all(isinstance(port, int) for port in request.json["ports"]))
        return results(request) if is_plain else Answer(status, {"detail": "unknown field"})
    return answer


@pytest.mark.parametrize("status", [400, 422])
def test_an_old_checker_is_asked_again_without_extensions(stub, status):
    checker = stub(old(status))
    with listener("0.0.0.0", 50801), closed("0.0.0.0", 50803):
        asked = ask([checker.url], [*PORTS, 50803])
    assert asked.good == [7466, 50800, 50802]
    full, bare = [request.json for request in checker.posts()]
    assert full["ports"] == [7466, 50800, 50802] and full["details"] is True
    assert bare == {"provider_ip": "127.0.0.1", "ports": [7466, 50800, 50802]}


def test_ranges_are_asked_and_expanded(stub):
    checker = stub(old(422))
    assert ask([checker.url], [50802, 50801, 7466, 50800]).good == [50802, 50801, 7466, 50800]
    full, bare = [request.json for request in checker.posts()]
    assert full["ports"] == [7466, "50800-50802"] and len(full["token"]) == 32
    assert bare["ports"] == PORTS


@pytest.mark.parametrize("answer", [plain, strict])
def test_a_single_port_of_an_old_checker(stub, answer):
    """One that ignores unknown members answers at once, without details."""
    checker = stub(answer)
    assert ask([checker.url], [7466]).good == [7466]
    assert len(checker.posts()) == (1 if answer is plain else 2)


def test_the_address_comes_from_the_newer_checker(make_home, service, later):
    """The old one has no /ip, and behind a router nothing else tells the address."""
    home = make_home()
    home.rules(forward("50800"))
    with home.checker:
        checker = later.enter_context(stubs.Stub(old(422), address=CHECKER))
    new = urls(service(home))[0]
    asked = ask([new, checker.url], [50800], inside=home.provider)
    assert checker.posts()[-1].json["provider_ip"] == PUBLIC and asked.good == [50800]
    assert [attempt["success"] for attempt in asked.results[50800]["attempts"]] == [True, True]


def test_behind_a_router_an_old_checker_is_not_asked_about_an_inner_address(make_home, later):
    home = make_home()
    home.rules(forward("50800"))
    with home.checker:
        checker = later.enter_context(stubs.Stub(old(422), address=CHECKER))
    asked = ask([checker.url], [50800], inside=home.provider)
    assert not checker.posts()
    assert "public_ip" in asked.results[50800]["attempts"][0]["error"]
    asked = ask([checker.url], [50800], inside=home.provider, public_ip=PUBLIC)
    assert asked.good == [50800]


def test_the_address_is_set_or_asked_for(stub, later):
    service = later.enter_context(stubs.Stub(lambda request: Answer(200, b"127.0.0.9\n")))
    checker = stub(old(422))
    assert ask([checker.url], [50800], public_ip="127.0.0.8").good == [50800]
    assert checker.posts()[-1].json["provider_ip"] == "127.0.0.8"
    module = dropin.load()
    verifier = module.PortVerifier([checker.url])
    verifier.address_service = service.url
    assert asyncio.run(verifier._get_public_ip()) == "127.0.0.9"


# --- checkers that fail or err ------------------------------------------------------------

def test_no_checker_answers(stub):
    """No port is accessible; the error of each says why, and the attempts are there."""
    with closed() as port:
        down = f"http://127.0.0.1:{port_of(port)}"
        busy = stub(telling(lambda request: Answer(503, {"detail": "try later"})))
        asked = ask([down, busy.url, "nonsense"], PORTS)
    assert asked.error == (f"No port checker answered: {down}: Connection refused; "
                           f"{busy.url}: HTTP status 503: try later; "
                           "nonsense: not a URL such as http://checker.example:7466")
    assert set(asked.results) == set(PORTS) and asked.good == []
    for result in asked.results.values():
        assert [attempt["server"] for attempt in result["attempts"]] == [down, busy.url, "nonsense"]
        assert not any(attempt["success"] for attempt in result["attempts"])


def test_one_checker_is_down(start):
    service = start()
    with closed() as port:
        down = f"http://127.0.0.1:{port_of(port)}"
        asked = ask([down, service.url], [50800])
    assert asked.good == [50800]
    assert asked.results[50800]["verified_by"] == service.url
    assert [(attempt["server"], attempt["success"], attempt["error"])
            for attempt in asked.results[50800]["attempts"]] == [
        (down, False, "Connection refused"), (service.url, True, None)]


def answered_in_time(action):
    """What `action` returns once port 50800 is good: with a short time limit, a busy machine may
    hold up the checker that works for longer than that."""
    def attempt():
        asked = action()
        return asked if asked.good == [50800] else None
    return eventually(attempt, "the checker that works is heard", within=30)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_checker_that_stalls(start, scheme):
    """It accepts and says nothing, in HTTP and in the handshake of TLS."""
    service = start()
    with listener() as mute:
        stalled = f"{scheme}://127.0.0.1:{port_of(mute)}"

        def attempt():
            with sooner_than(50):
                return ask([stalled, service.url], [50800], timeout=1, within=60)
        asked = answered_in_time(attempt)
    assert asked.results[50800]["attempts"][0]["error"].startswith("no ")


def test_a_checker_behind_a_firewall_that_drops(make_home, service):
    """The next checker is asked after the time limit; here the same one over IPv6."""
    home = make_home()
    home.checker.nft("table ip f {\nchain in {\ntype filter hook input priority 0\n"
                     "tcp dport != 1 ct state new drop\n}\n}\n")
    servers = urls(service(home))
    asked = answered_in_time(lambda: ask(servers, [50800], inside=home.provider, timeout=2))
    assert list(asked.by_family) == [6]
    dropped = ask(servers[:1], [50800], inside=home.provider, timeout=2)
    assert re.search(r"203.0.113.1:\d+: no (connection: timed out|answer within 2 seconds)",
                     dropped.error)


@pytest.mark.parametrize("answer", [
    b"\x00 no HTTP\r\n", Answer(200, b"[" * 100_000), Answer(200, {"results": [1]}),
    Answer(200, b" " * (1 << 21)), Answer(302, b"", {"Location": "http://127.0.0.1:1/"}),
    Answer(200, {"results": {}}, length=1000)], ids=range(6))
def test_a_checker_that_answers_nonsense(stub, answer):
    checker = stub(telling(lambda _: answer))
    assert ask([checker.url], [50800]).error.startswith(
        f"No port checker answered: {checker.url}: ")


def test_odd_entries_are_no_verdict(stub):
    """Words of newer checkers, and entries of the wrong type."""
    entries = {"50800": dict(GOOD, state="limited"), "50801": dict(GOOD, state=["x"]),
               "50802": dict(GOOD, state="open", proof="blessed"), "50803": 5, "x": GOOD,
               "9" * 6000: GOOD, "7466": dict(GOOD, state="open", proof=None)}
    checker = stub(telling(lambda _: Answer(200, {"results": entries})))
    asked = ask([checker.url], [*PORTS, 50803])
    assert asked.good == [7466]
    assert all(error.startswith("No verdict") for error in asked.errors().values() if error)


def test_one_of_two_checkers_says_closed(start, stub):
    """A port counts as soon as one checker reached it, as in the original."""
    service, wrong = start(), stub(fixed(REFUSED))
    asked = ask([wrong.url, service.url], [50800])
    assert asked.good == [50800] and asked.results[50800]["verified_by"] == service.url
    both = ask([wrong.url, service.url], [50800], quorum=2)
    assert both.errors() == {50800: "Checkers that reached it: 1, required: 2; the others: "
                                    "Connection refused"}


def test_one_of_two_checkers_says_open(make_home, service, later):
    """It ignores ranges and members that it does not know. Its claim counts without proofs,
    unless the other saw another machine answer, or two checkers are required."""
    home = make_home()
    home.rules(forward("50800", OTHER) + forward("50802"))
    with home.other:
        neighbour = listener(OTHER, 50800)
    with home.checker:
        wrong = later.enter_context(stubs.Stub(fixed(GOOD), address=CHECKER))
    servers = [wrong.url, urls(service(home))[0]]
    with neighbour:
        asked = ask(servers, [50800, 50801, 50802], inside=home.provider)
        both = ask(servers, [50800, 50801, 50802], inside=home.provider, quorum=2)
    assert asked.good == [50801, 50802]
    assert asked.errors()[50800] == "Another program or machine answered"
    assert both.good == [50802]


def test_a_proof_that_was_not_sent_is_refused(stub):
    """No connection arrived, so that the checker cannot have read the line."""
    checker = stub(fixed(dict(GOOD, state="open", proof="match")))
    asked = ask([checker.url], [50800])
    assert asked.errors() == {
        50800: "No verdict: the checker claims a proof that this machine did not send"}


@pytest.mark.parametrize("second, is_good", [("match", True), ("silent", False)])
def test_a_lost_proof_is_asked_for_once_more(stub, second, is_good):
    proofs = []

    def entry(ip, port):
        with socket.create_connection((ip, port), timeout=10) as sock:
            sock.recv(1)
        proofs.append(second if proofs else "silent")
        return dict(GOOD, state="open", proof=proofs[-1])

    checker = stub(telling(lambda request: results(request, entry)))
    asked = ask([checker.url], [50800])
    assert bool(asked.good) == is_good and len(proofs) == 2
    assert is_good or "proof did not reach" in asked.errors()[50800]


def test_tls(start, stub, tmp_path, monkeypatch):
    context, certificate = stubs.server_context(tmp_path)
    checker = stub(telling(plain), context=context)
    assert "CERTIFICATE_VERIFY_FAILED" in ask([checker.url], [7466]).error
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert ssl.get_default_verify_paths().cafile == str(certificate)
    assert ask([checker.url], [7466]).good == [7466]


# --- port-verifier ------------------------------------------------------------------------

def test_port_verifier_does_the_work_if_it_is_installed(make_home, service):
    home = make_home()
    home.rules(forward("{ 7466, 50800-50802 }"))
    server = urls(service(home))[0]
    with home.provider:
        ours, holder = listener("0.0.0.0", 7466), listener("0.0.0.0", 50802)
    with ours, holder:
        asked = ask([server], [7466, 50800, 50801, 50802, 50803], inside=home.provider,
                    path=BUILD_DIR)
    assert asked.good == [7466, 50800, 50801]
    assert asked.results[50800]["verified_by"] == server
    assert asked.results[50800]["attempts"] == [
        {"server": server, "success": True, "error": None}]
    assert asked.errors()[50802].startswith("Port 50802: ")
    assert asked.errors()[50803] and "forward TCP port 50803 to" in asked.log
    assert "answered over IPv4" not in asked.log  # this module asked no checker


def test_port_verifier_and_checkers_on_this_machine(start):
    """Development: the module counts them without port-verifier too."""
    asked = ask([start().url], [50800], path=BUILD_DIR)
    assert asked.good == [50800] and "nothing about the internet" in asked.log


def test_port_verifier_without_an_answer():
    with closed() as port:
        down = f"http://127.0.0.1:{port_of(port)}"
        asked = ask([down], [50800], path=BUILD_DIR)
    assert asked.error.startswith(f"No port checker answered: {down}: ")


@pytest.mark.parametrize("options", [
    {"version": "port-verifier 0.0.9"}, {"version": "something else"}, {"status": 4},
    {"report": json.dumps({"version": 3, "families": []})}, {"report": "no JSON"},
    {"report": json.dumps({"version": 2})}], ids=range(6))
def test_a_port_verifier_that_cannot_be_used(start, tmp_path, options):
    """Too old, not it, failed, a newer report, no report."""
    asked = ask([start().url], [50800], path=program(tmp_path, **options))
    assert asked.good == [50800] and "answered over IPv4" in asked.log


def test_a_port_verifier_that_hangs_is_ended(start, tmp_path):
    path = program(tmp_path)
    (path / "port-verifier").write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "port-verifier 9.0.0" && exit\n'
        f"echo $$ >{tmp_path}/pid\nexec /usr/bin/sleep 300\n")
    module = dropin.load()

    async def run():
        task = asyncio.create_task(module._run([str(path / "port-verifier"), "x"], 100))
        await asyncio.to_thread(eventually, lambda: (tmp_path / "pid").exists(), "its start")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await module._run([str(path / "port-verifier"), "x"], 0.2)

    with sooner_than(60):
        status, _, said = asyncio.run(run())
    assert status is None and "did not end within 0.2 seconds" in said
