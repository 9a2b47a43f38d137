# SPDX-License-Identifier: MIT
"""A front and vantage points around a real nats-server: with TLS, keys and the permissions of
contrib/nats, and in the whole sandbox."""
import contextlib
import os
import pathlib
import re
import signal
import time

import pytest

from harness import nats, receipts
from harness.http import check_body
from harness.places import connected, states
from harness.service import BINARY, run
from harness.stream import STREAM, Stream, ask as ask_stream
from harness.waiting import SANITIZER, eventually, soon
from test_openapi import DOCUMENT, TOKEN, conforms, proving
from test_receipts import ports_of, verified

pytestmark = pytest.mark.skipif(b"libnats.so" not in BINARY.read_bytes(),
                                reason="a build without libnats")

WAIT = 3  # seconds: GATHER_WAIT_SECONDS
SCHEMAS = DOCUMENT["components"]["schemas"]


@pytest.fixture
def server(own_network):
    if not nats.program():
        pytest.skip("no nats-server")
    with contextlib.closing(nats.Nats()) as made:
        yield made


class World:
    """One front and its vantage points, started when they are first named."""

    def __init__(self, server, start):
        self.server, self.start = server, start
        self.keys = {name: server.key(name, *arguments) for name, arguments in {
            "gw": ("--front", "gw"), "eu-1": ("--place", "eu-1"),
            "us-1": ("--place", "us-1")}.items()}

    def front(self, key="gw", **settings):
        return self.start(**{**self.server.settings(self.keys[key]), "PORT_CHECKER_FRONT": "gw",
                             "PORT_CHECKER_VANTAGES": "eu-1", **settings})

    def place(self, name="eu-1", **settings):
        service = self.start(**{**self.server.settings(self.keys[name]),
                                "PORT_CHECKER_VANTAGE": name,
                                "PORT_CHECKER_VANTAGE_TARGETS": "any", **settings})
        if self.server.process:
            connected(service)
        return service


@pytest.fixture
def world(server, start):
    return World(server, start)


@contextlib.contextmanager
def stopped(pid):
    """All threads of the process stand still inside."""
    def states_of_threads():
        return {path.read_text().rpartition(")")[2].split()[0]
                for path in pathlib.Path(f"/proc/{pid}/task").glob("*/stat")}
    os.kill(pid, signal.SIGSTOP)
    try:
        eventually(lambda: states_of_threads() == {"T"}, "it has stopped")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def ask(front, port, **more):
    """The whole reply to a check of one port, and what it says about that port."""
    reply = front.check([port], details=True, **more)
    assert reply.status == 200, reply
    conforms(reply.json(), SCHEMAS["CheckReply"])
    return reply.json(), reply.json()["results"][str(port)]


def answered(front, port, wanted):
    """Waits until the places say that, and returns the reply."""
    def is_wanted():
        body, result = ask(front, port)
        return states(result) == wanted and body
    return eventually(is_wanted, f"the places say {wanted}")


# --- what a check says ---------------------------------------------------------------------

def test_two_places_answer_one_request_by_name(world, open_port, closed_port):
    world.server.start()
    place, front = world.place(), world.front()
    connected(front)
    port, other = open_port(), closed_port()
    body, result = ask(front, port)
    assert states(result) == {"gw": "open", "eu-1": "open"}
    assert body["quorum"] == {"needed": 1, "places": 2}
    assert result["vantages"]["eu-1"]["rtt_ms"] > 0
    result = ask(front, other)[1]
    assert states(result) == {"gw": "closed", "eu-1": "closed"}
    assert result["vantages"]["eu-1"]["error"] == "Connection refused"
    job = place.wait_event("job", 2)
    assert (job["front"], job["target"], job["closed"]) == ("gw", "127.0.0.1", "1")
    if not SANITIZER:
        assert {place.ready["sandbox"], front.ready["sandbox"]} == {"full"}


def test_without_details_the_reply_is_as_ever(world, open_port):
    world.server.start()
    world.place()
    front = world.front()
    connected(front)
    port = open_port()
    assert front.check([port]).json() == {
        "success": True, "results": {str(port): {"accessible": True, "error": None}},
        "message": "Successfully verified 1 out of 1 ports"}


def test_a_stream_names_the_places_in_each_line(world, open_port, closed_port):
    world.server.start()
    world.place()
    front = world.front()
    connected(front)
    ports = [open_port(), closed_port()]
    with front.connect() as connection:
        connection.request("POST", "/check-ports", STREAM,
                                check_body(ports, details=True))
        *lines, last = Stream(connection).lines()
    for line in lines:
        conforms(line, SCHEMAS["PortLine"])
    conforms(last, SCHEMAS["LastLine"])
    assert {line["port"]: states(line) for line in lines} == {
        ports[0]: {"gw": "open", "eu-1": "open"}, ports[1]: {"gw": "closed", "eu-1": "closed"}}
    assert last["quorum"] == {"needed": 1, "places": 2}


def test_the_proof_is_shown_per_place(world, open_port):
    world.server.start()
    world.place()
    front = world.front()
    connected(front)
    port = open_port()
    body = check_body([port], details=True, token="00112233445566778899aabbccddeeff")
    places = front.post(body).json()["results"][str(port)]["vantages"]
    assert {name: place["proof"] for name, place in places.items()} == {
        "gw": "silent", "eu-1": "silent"}


# --- too few places ------------------------------------------------------------------------

@pytest.fixture
def lacking(world):
    """A front that needs three places, and has two."""
    world.server.start()
    world.place()
    front = world.front(PORT_CHECKER_VANTAGES="eu-1,us-1,ap-1", PORT_CHECKER_QUORUM=3)
    connected(front)
    return front


def test_missing_places_leave_a_port_without_a_verdict(lacking, open_port, closed_port):
    body, result = ask(lacking, open_port())
    assert states(result) == {"gw": "open", "eu-1": "open", "us-1": "no_responders",
                              "ap-1": "no_responders"}
    assert (result["state"], result["accessible"]) == ("limited", False)
    assert ask(lacking, closed_port())[1]["state"] == "closed"


def test_without_details_it_is_not_reported_as_the_targets_trouble(lacking, open_port, closed_port):
    port, closed = open_port(), closed_port()
    reply = lacking.check([port, closed])
    assert (reply.status, reply.json()["code"]) == (503, "checker_fault"), reply
    assert reply.json()["detail"] == (
        "this checker has no verdict from its places us-1, ap-1, and the others are too few: "
        "try again later, or use another checker")
    assert reply.header("Retry-After") == "5"
    reply = lacking.check([closed])
    assert reply.json()["results"][str(closed)]["error"] == "Connection refused"
    with lacking.connect() as connection:
        *lines, last = Stream(ask_stream(connection, [port, closed])).lines()
    assert [(line["port"], line["error"]) for line in lines] == [(closed, "Connection refused")]
    assert last["code"] == "checker_fault" and "success" not in last


# --- receipts ------------------------------------------------------------------------------

def receipt_about(front, ports, **more):
    """What the receipt of a check says, and the reply."""
    reply = front.post(check_body(ports, details=True, token=TOKEN, receipt=True, **more))
    assert reply.status == 200, reply
    conforms(reply.json(), SCHEMAS["CheckReply"])
    return verified(front, reply.json()["receipt"]), reply.json()


def test_a_receipt_names_the_places_whose_verdicts_counted(world, tmp_path, closed_port):
    world.server.start()
    world.place()
    front = world.front(PORT_CHECKER_VANTAGES="eu-1,us-1", **receipts.settings(tmp_path))
    connected(front)
    closed = closed_port()
    with proving() as (proved, _, silent, *_):
        said, body = receipt_about(front, [proved, silent, closed])
    assert states(body["results"][str(proved)]) == {"gw": "open", "eu-1": "open",
                                                    "us-1": "no_responders"}
    assert said["vantages"] == ["gw", "eu-1"]
    assert ports_of(said["open"]) == sorted([proved, silent])
    assert (said["closed"], said["proved"]) == (str(closed), str(proved))


def test_a_receipt_of_the_own_verdict_alone_names_the_own_place(world, tmp_path, open_port):
    front = world.front(**receipts.settings(tmp_path))
    port = open_port()
    said, body = receipt_about(front, [port])
    assert states(body["results"][str(port)]) == {"gw": "open", "eu-1": "not_connected"}
    assert (said["open"], said["vantages"]) == (str(port), ["gw"])


def test_the_last_line_of_a_stream_has_quorum_and_receipt(world, tmp_path, closed_port):
    world.server.start()
    world.place()
    front = world.front(**receipts.settings(tmp_path))
    connected(front)
    port = closed_port()
    with front.connect() as connection:
        *_, last = Stream(ask_stream(connection, [port], details=True, token=TOKEN,
                                     receipt=True)).lines()
    conforms(last, SCHEMAS["LastLine"])
    said = verified(front, last["receipt"])
    assert last["quorum"] == {"needed": 1, "places": 2}
    assert (said["closed"], said["vantages"]) == (str(port), ["gw", "eu-1"])


# --- what a vantage point refuses ----------------------------------------------------------

def test_a_vantage_point_probes_public_addresses_only(world, open_port):
    world.server.start()
    place = world.place(PORT_CHECKER_VANTAGE_TARGETS="public")
    front = world.front()
    connected(front)
    body, result = ask(front, open_port())
    assert states(result) == {"gw": "open", "eu-1": "refused: target"}
    assert result["accessible"]
    assert place.wait_event("job")["refused"] == "target"


def test_it_has_a_budget_for_each_target(world, open_port):
    world.server.start()
    world.place(PORT_CHECKER_RATE="2/h", PORT_CHECKER_MAX_PORTS="2")
    front = world.front()
    connected(front)
    port = open_port()
    said = [states(ask(front, port)[1])["eu-1"] for _ in range(4)]
    assert said == ["open", "open", "refused: budget", "refused: budget"]


def test_it_has_a_limit_of_ports(world, open_port, closed_port):
    world.server.start()
    world.place(PORT_CHECKER_MAX_PORTS="1")
    front = world.front()
    connected(front)
    ports = [open_port(), closed_port()]
    results = front.check(ports, details=True).json()["results"]
    assert states(results[str(ports[0])]) == {"gw": "open", "eu-1": "refused: ports"}


def test_a_job_ends_with_its_client(world, silent_ports):
    world.server.start()
    place = world.place(PORT_CHECK_TIMEOUT="20")
    front = world.front(PORT_CHECK_TIMEOUT="20")
    connected(front)
    with front.connect() as connection:
        connection.request("POST", "/check-ports", [("Content-Type", "application/json")],
                                check_body(silent_ports(3)))
        # Not by its sockets: the front's, to the same ports, are in the same network.
        eventually(lambda: place.metric("probes_in_flight"), "the place probes")
    assert place.wait_event("job")["reason"] == "cancelled"
    assert front.wait_event("check")["reason"] == "client_left"


def test_a_caller_pays_for_its_ports_at_each_place(world, open_port):
    world.server.start()
    world.place()
    front = world.front(PORT_CHECKER_RATE="4/h", PORT_CHECKER_MAX_PORTS="2")
    connected(front)
    port = open_port()
    assert [front.check([port]).status for _ in range(3)] == [200, 200, 429]
    assert front.metric("budget_denials_total", "caller") == 1


def test_metrics_count_by_place_and_result(world, open_port):
    world.server.start()
    place = world.place(PORT_CHECKER_VANTAGE_TARGETS="public")
    front = world.front()
    connected(front)
    ask(front, open_port())
    assert front.metric("nats_connected") == place.metric("nats_connected") == 1
    assert front.metric("place_awaited", "eu-1") == 1
    assert front.metric("place_answers_total", "eu-1", "refused") == 1
    assert front.metric("place_answers_total", "eu-1", "answered") == 0
    assert place.metric("vantage_jobs_total", "target") == 1
    assert place.metric("vantage_jobs_total", "judged") == 0


@pytest.mark.parametrize("name, who", [("gw", "front"), ("eu-1", "place")])
def test_the_example_settings_are_accepted(tmp_path, name, who):
    """With the key that make-keys makes for that name."""
    text = (nats.CONFIGURATION.parent / f"{who}.env").read_text().replace(
        "nats.example.org", nats.HOST)
    assert text.count(f"/etc/port-checker/{name}.seed\n") == 1
    (tmp_path / f"{name}.seed").write_text(nats.new_key(name, f"--{who}", name)[0])
    (tmp_path / ".env").write_text(text.replace("/etc/port-checker", str(tmp_path)))
    ended = run("--check-config", directory=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert set(re.findall("^[A-Z].*", text, re.MULTILINE)) - set(
        ended.stdout.replace(str(tmp_path), "/etc/port-checker").splitlines()) == set()


# --- the server comes and goes -------------------------------------------------------------

def test_it_serves_without_the_server_and_connects_when_it_appears(world, open_port):
    place, front = world.place(), world.front()
    port = open_port()
    body, result = ask(front, port)
    assert states(result) == {"gw": "open", "eu-1": "not_connected"}
    assert body["quorum"] == {"needed": 1, "places": 2}
    world.server.start()
    connected(place)
    answered(front, port, {"gw": "open", "eu-1": "open"})


def test_the_server_is_killed_and_comes_back(world, open_port):
    world.server.start()
    place, front = world.place(), world.front()
    connected(front)
    port = open_port()

    def kill():
        if not world.server.process:
            count = len(connected(place))
            world.server.start()
            connected(place, count + 1)
        answered(front, port, {"gw": "open", "eu-1": "open"})
        world.server.kill()
    for _ in range(2):
        soon(WAIT, lambda: answered(front, port, {"gw": "open", "eu-1": "not_connected"}), kill)
    world.server.start()
    answered(front, port, {"gw": "open", "eu-1": "open"})
    assert not front.events("failed") and not place.events("failed")


def test_a_stopped_server_does_not_hold_a_check_back(world, open_port):
    """The connection is there, but nothing passes."""
    world.server.start()
    world.place()
    front = world.front()
    connected(front)
    port = open_port()
    with stopped(world.server.process.pid):
        said = [states(ask(front, port)[1])["eu-1"] for _ in range(3)]
        assert said == ["no_answer", "no_answer", "absent"]
    answered(front, port, {"gw": "open", "eu-1": "open"})


# --- places come and go --------------------------------------------------------------------

def test_nobody_is_there(world, open_port):
    world.server.start()
    front = world.front()
    connected(front)
    port = open_port()
    said = soon(WAIT, lambda: states(ask(front, port)[1]))
    assert said == {"gw": "open", "eu-1": "no_responders"}


@pytest.mark.parametrize("quorum, needed, state", [("", 14, "limited"), (2, 2, "open"),
                                                   (16, 16, "limited")])
def test_most_of_sixteen_places_are_absent(world, open_port, quorum, needed, state):
    absent = [f"p-{number}" for number in range(14)]
    world.server.start()
    world.place()
    front = world.front(PORT_CHECKER_VANTAGES=",".join(["eu-1", *absent]),
                        PORT_CHECKER_QUORUM=quorum)
    connected(front)
    port = open_port()
    for reason in "no_responders", "no_responders", "absent":
        body, result = soon(WAIT, lambda: ask(front, port))
        assert body["quorum"] == {"needed": needed, "places": 16}
        assert result["state"] == state and result["accessible"] == (state == "open")
        assert states(result) == {"gw": "open", "eu-1": "open", **dict.fromkeys(absent, reason)}
    assert front.check([port]).status == (200 if state == "open" else 503)


def test_a_place_that_hangs_is_waited_for_twice(world, open_port):
    world.server.start()
    place, front = world.place(), world.front()
    connected(front)
    port = open_port()
    with stopped(place.pid):
        begun = time.monotonic()
        assert [states(ask(front, port)[1])["eu-1"] for _ in range(2)] == ["no_answer"] * 2
        assert time.monotonic() - begun >= 2 * WAIT
        assert soon(WAIT, lambda: states(ask(front, port)[1]))["eu-1"] == "absent"
    answered(front, port, {"gw": "open", "eu-1": "open"})


def test_processes_of_one_name_share_a_place(world, open_port):
    world.server.start()
    places, front = [world.place(), world.place()], world.front()
    connected(front)
    port = open_port()
    asked = 0

    def both_have_worked():
        nonlocal asked
        asked += 1
        assert states(ask(front, port)[1]) == {"gw": "open", "eu-1": "open"}
        return all(place.events("job") for place in places)
    eventually(both_have_worked, "both get jobs")
    eventually(lambda: sum(len(place.events("job")) for place in places) == asked,
               "each check was a job of one of them")


def test_one_of_two_processes_is_killed(world, open_port):
    """No verdict is wrong, and none is missing."""
    world.server.start()
    victim, _ = world.place(), world.place()
    front = world.front()
    connected(front)
    port = open_port()
    assert states(ask(front, port)[1]) == {"gw": "open", "eu-1": "open"}
    victim.discard()
    said = [ask(front, port)[1] for _ in range(50)]
    assert all(result["accessible"] for result in said)
    assert {states(result)["eu-1"] for result in said} == {"open"}


def test_a_place_reloads_without_a_gap(world, open_port):
    world.server.start()
    place, front = world.place(), world.front()
    connected(front)
    port = open_port()
    place.process.send_signal(signal.SIGHUP)
    while len(place.events("ready")) < 2:
        assert states(ask(front, port)[1]) == {"gw": "open", "eu-1": "open"}
    place.wait_ready(2)
    assert states(ask(front, port)[1]) == {"gw": "open", "eu-1": "open"}


def test_names_that_were_heard_are_expected(world, open_port):
    world.server.start()
    front = world.start(**world.server.settings(world.keys["gw"]), PORT_CHECKER_FRONT="gw")
    connected(front)
    port = open_port()
    body, result = ask(front, port)
    assert "vantages" not in result and "quorum" not in body
    world.place("eu-1")
    answered(front, port, {"gw": "open", "eu-1": "open"})
    world.place("us-1")
    body = answered(front, port, {"gw": "open", "eu-1": "open", "us-1": "open"})
    assert body["quorum"] == {"needed": 2, "places": 3}


def test_a_service_is_front_and_place_at_once(world, open_port):
    key = world.server.key("both", "--front", "gw", "--place", "eu-1")
    world.server.start()
    both = world.start(**world.server.settings(key), PORT_CHECKER_FRONT="gw",
                       PORT_CHECKER_VANTAGE="eu-1", PORT_CHECKER_VANTAGE_TARGETS="any",
                       PORT_CHECKER_VANTAGES="eu-1,us-1")
    world.place("us-1")
    connected(both)
    assert states(ask(both, open_port())[1]) == {"eu-1": "open", "us-1": "open"}
    assert not both.events("job")


# --- keys and rights -----------------------------------------------------------------------

def test_a_key_that_the_server_does_not_know(world, open_port):
    world.keys["wrong"] = world.server.key("wrong", "--front", "gw", is_known=False)
    world.server.start()
    world.place()
    front = world.front("wrong")
    assert "Authorization" in front.wait_event("nats")["message"]
    assert states(ask(front, open_port())[1]) == {"gw": "open", "eu-1": "not_connected"}
    assert not [line for line in front.events("nats") if line["message"].startswith("connected")]


def test_a_reload_takes_another_key(world, open_port):
    """The operator replaces a key that the server does not know. A file that cannot be read, or has
    no key, changes nothing."""
    file = world.server.key("wrong", "--front", "gw", is_known=False)
    world.keys["wrong"] = file
    world.server.start()
    world.place()
    front = world.front("wrong")
    assert "Authorization" in front.wait_event("nats")["message"]
    right = world.keys["gw"].read_text()
    file.write_text(right)
    front.process.send_signal(signal.SIGHUP)
    connected(front)
    port = open_port()
    answered(front, port, {"gw": "open", "eu-1": "open"})
    for count, spoil in enumerate((lambda: file.write_text("SUABC\n"), file.unlink), 1):
        spoil()
        front.process.send_signal(signal.SIGHUP)
        eventually(lambda: len([line for line in front.events("reload_refused")
                                if "PORT_CHECKER_NATS_CREDENTIALS" in line["reason"]]) == count,
                   "the reload is refused")
        assert states(ask(front, port)[1]) == {"gw": "open", "eu-1": "open"}
    assert len(connected(front)) == 1


def test_a_front_without_rights(world, open_port):
    """It has the key of another front: it may not publish under this name."""
    world.keys["other"] = world.server.key("other", "--front", "other")
    world.server.start()
    place = world.place()
    front = world.front("other")
    connected(front)
    body, result = ask(front, open_port())
    assert result["accessible"]
    assert states(result)["eu-1"] == "no_answer"
    assert any("ermissions" in line["message"] for line in front.events("nats"))
    assert not place.events("job")


def test_a_place_without_the_right_to_its_name(world, open_port):
    world.server.start()
    front = world.front()
    intruder = world.start(**world.server.settings(world.keys["us-1"]),
                           PORT_CHECKER_VANTAGE="eu-1", PORT_CHECKER_VANTAGE_TARGETS="any")
    connected(front)
    connected(intruder)
    assert states(ask(front, open_port())[1])["eu-1"] == "no_responders"
    assert not intruder.events("job")


def test_a_server_with_a_foreign_certificate(world, server, open_port, tmp_path):
    world.server.start()
    nats.make_certificates(tmp_path)
    front = world.front(PORT_CHECKER_NATS_CA=tmp_path / "ca.pem")
    assert "ertificate" in front.wait_event("nats")["message"] or \
        "SSL" in front.wait_event("nats")["message"]
    assert states(ask(front, open_port())[1])["eu-1"] == "not_connected"


@pytest.mark.parametrize("setting", ["VANTAGE", "FRONT", "VANTAGES"])
def test_a_name_is_one_word_of_a_subject(setting, tmp_path):
    for name in "EU-1", "eu.1", "eu *", "eu>", "*", ".", "a" * 33, "\u00e9":
        ended = run("--check-config", directory=tmp_path, PORT_CHECKER_NATS_URL="nats://127.0.0.1",
                    **{"PORT_CHECKER_FRONT": "gw", f"PORT_CHECKER_{setting}": name})
        assert ended.returncode == 2 and f"PORT_CHECKER_{setting}=" in ended.stderr, ended


@pytest.mark.parametrize("content", ["", "SUABC\n", "-----BEGIN NATS USER JWT-----\nx\n"])
def test_a_file_without_a_key_stops_the_start(content, tmp_path):
    (tmp_path / "seed").write_text(content)
    ended = run("--check-config", directory=tmp_path, PORT_CHECKER_NATS_URL="nats://127.0.0.1",
                PORT_CHECKER_FRONT="gw", PORT_CHECKER_NATS_CREDENTIALS="seed",
                PORT_CHECKER_PORT="0")
    assert ended.returncode == 2
    assert "PORT_CHECKER_NATS_CREDENTIALS=\"seed\": it must contain the seed" in ended.stderr
