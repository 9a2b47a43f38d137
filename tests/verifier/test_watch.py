# SPDX-License-Identifier: MIT
"""--watch: what counts as a change, how it is reported, and how it ends."""
import contextlib
import datetime
import json
import re
import socket
import threading
import time

import pytest

import stub as stubs
from harness.waiting import PATIENCE, eventually, sooner_than
from program import OK, Running, ports_of

GOOD = {"accessible": True, "error": None}
REFUSED = {"accessible": False, "error": "Connection refused"}
PORTS = "50800-50801"


class World:
    """A checker whose answers the test changes while port-verifier runs."""

    def __init__(self, stub):
        self.ip = "127.0.0.1"
        self.bad = set()
        self.bad_once = []  # sets, each of one of the next rounds
        self.is_broken = False
        self.checker = stub(self._answer)
        self.url = self.checker.url

    def _answer(self, request):
        if self.is_broken:
            return stubs.Answer(503)
        if request.path == "/ip":
            return stubs.Answer(200, {"ip": self.ip, "family": 4})
        bad = self.bad | (self.bad_once.pop() if self.bad_once else set())
        return stubs.results(request, lambda ip, port: REFUSED if port in bad else GOOD)

    def wait_rounds(self, more):
        """Waits until `more` further rounds have begun."""
        wanted = len(self.checker.requests) + 2 * more
        eventually(lambda: len(self.checker.requests) >= wanted, f"{more} rounds", 30)


@pytest.fixture(scope="module", autouse=True)
def hourly():
    """A run whose next round comes in an hour, and whose public address has changed. It begins with
    the first test: what happens after a minute happens beside the others."""
    with contextlib.ExitStack() as stack:
        world = World(lambda answer: stack.enter_context(stubs.Stub(answer)))
        running = stack.enter_context(Running("--json", "--ports", "50898-50899", "--watch", "1h",
                                              "--confirm", "100ms", world.url))
        running.wait_reports(1)
        world.ip = "192.0.2.9"
        yield running


@pytest.fixture
def world(stub):
    return World(stub)


@pytest.fixture
def watching(later, world):
    def start(*arguments, patience="0"):
        return later.enter_context(
            Running("--json", "--ports", PORTS, "--watch", "1s", "--confirm", "300ms",
                    "--patience", patience, *arguments, world.url))
    return start


def advertised(report):
    return report["families"][0]["advertise"]


def test_a_change_is_reported_when_two_rounds_saw_it(world, watching, tmp_path):
    path, told = tmp_path / "report.json", tmp_path / "told"
    running = watching("--output", path, "--on-change", f"cat >> {told}", patience="45s")
    assert advertised(running.wait_reports(1)[0]) == [50800, 50801]
    assert advertised(json.loads(path.read_text())) == [50800, 50801]
    assert not told.exists()  # the first state is no change

    world.bad = {50801}
    assert advertised(running.wait_reports(2)[1]) == [50800]
    assert advertised(json.loads(path.read_text())) == [50800]
    report = json.loads(eventually(lambda: told.exists() and told.read_text(), "the command"))
    assert report == running.reports[1]

    world.wait_rounds(2)
    assert len(running.reports) == 2  # nothing new is told
    ended = running.end()
    assert ended.status == OK
    assert ended.err == "port-verifier: results have changed; checking again in 0.3 s\n"


def test_what_one_round_saw_is_not_reported(world, watching, tmp_path):
    path = tmp_path / "report.json"
    running = watching("--output", path)
    running.wait_reports(1)
    rounds = len(world.checker.posts())
    world.bad_once.append({50800})
    eventually(lambda: "checking again" in running.err_path.read_text(), "a suspicion", 20)
    eventually(lambda: len(world.checker.posts()) >= rounds + 3, "two more rounds", 20)
    assert len(running.reports) == 1
    assert advertised(json.loads(path.read_text())) == [50800, 50801]
    assert running.end().status == OK


def test_the_second_look_comes_sooner_than_the_next_round(world, later):
    running = later.enter_context(Running("--json", "--ports", PORTS, "--watch", "5s",
                                          "--confirm", "200ms", "--patience", "0", world.url))
    running.wait_reports(1)
    world.bad = {50800}
    eventually(lambda: len(world.checker.posts()) > 1, "the round that sees it", 20)
    with sooner_than(4.5):  # the next round
        running.wait_reports(2)
    running.end()


def test_a_reader_sees_when_a_change_happened(world, later):
    running = later.enter_context(Running("--ports", PORTS, "--watch", "1s", "--confirm",
                                          "100ms", "--patience", "0", world.url, TZ="XST-05:45"))

    def times(count):
        found = re.findall("^time .*$", running.out_path.read_text(), re.MULTILINE)
        return found if len(found) == count else None
    first, = eventually(lambda: times(1), "the first state", 20)
    before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    world.bad = {50801}
    change = eventually(lambda: times(2), "the change", 20)[1]
    after = datetime.datetime.now(datetime.timezone.utc)
    ended = running.end()
    assert re.fullmatch(r"time \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+05:45", change)
    assert datetime.datetime.fromisoformat(first[5:]) <= before
    assert before <= datetime.datetime.fromisoformat(change[5:]) <= after
    assert ended.lines[0] == first
    assert all(re.match(r"(ipv4|time) ", line) for line in ended.lines)


def test_another_address_is_a_change(world, watching):
    running = watching()
    running.wait_reports(1)
    world.ip = "198.51.100.7"
    assert running.wait_reports(2)[1]["families"][0]["ip"] == "198.51.100.7"
    assert world.checker.posts()[-1].json["provider_ip"] == "198.51.100.7"
    clients = [request.client for request in world.checker.posts()]
    assert len(set(clients)) == len(clients)  # a connection of its own in every round
    running.end()


def test_an_outage_of_the_checker_withdraws_nothing(world, watching, tmp_path):
    path = tmp_path / "report.json"
    running = watching("--output", path)
    running.wait_reports(1)
    world.is_broken = True
    told = (f"port-verifier: checker {world.url}: status 503\n"
            "port-verifier: no checker answered; keeping the last confirmed report\n")
    eventually(lambda: told in running.err_path.read_text(), "a notice", 20)
    assert advertised(json.loads(path.read_text())) == [50800, 50801]
    seen = len(world.checker.requests)
    eventually(lambda: len(world.checker.requests) >= seen + 3, "three more rounds", 20)
    assert running.err_path.read_text() == told  # only once
    world.is_broken = False
    again = told + "port-verifier: the checkers answer again\n"
    eventually(lambda: running.err_path.read_text() == again, "the end", 20)
    assert len(running.reports) == 1
    running.end()


def test_an_outage_of_one_family_is_reported_and_withdraws_nothing(world, stub, watching,
                                                               tmp_path):
    path, broken = tmp_path / "report.json", threading.Event()
    good = stubs.fixed(GOOD)
    six = stub(lambda request: stubs.Answer(503) if broken.is_set() else good(request),
               address="::1")
    running = watching("--output", path, six.url)
    running.wait_reports(1)
    broken.set()
    eventually(lambda: "no checker answered over IPv6; keeping the last confirmed report\n"
               in running.err_path.read_text(), "a notice", 20)
    assert f"checker {six.url}: status 503\n" in running.err_path.read_text()
    assert [family["advertise"] for family in json.loads(path.read_text())["families"]] == [
        [50800, 50801], [50800, 50801]]
    world.bad = {50801}
    changed = running.wait_reports(2)[1]["families"]
    assert [family["advertise"] for family in changed] == [[50800], [50800, 50801]]
    assert "over IPv4" not in running.end().err


def test_an_outage_from_the_start_leaves_nothing_that_stands(world, watching):
    world.is_broken = True
    running = watching()
    assert running.wait_reports(1)[0]["families"][0]["known"] is False
    eventually(lambda: len(world.checker.requests) >= 4, "more rounds", 20)
    assert running.end().err == ""  # the report has told it


def test_a_port_that_is_taken_meanwhile_is_verified_without_being_bound(world, watching):
    running = watching("--in-use", "50800")
    assert ports_of(running.wait_reports(1)[0]["families"][0])[50800]["listener"] == "bound"

    def take():  # between rounds the ports are free
        sock = socket.socket()
        try:
            sock.bind(("0.0.0.0", 50800))
        except OSError:
            sock.close()
            return None
        sock.listen(8)
        return sock
    with eventually(take, "a moment between rounds", 20):
        world.bad = {50801}  # something to be told
        report = running.wait_reports(2)[1]
        assert ports_of(report["families"][0])[50800]["listener"] == "in_use"
        assert advertised(report) == [50800]
    running.end()


def test_a_command_that_fails_is_reported(world, watching):
    running = watching("--on-change", "exit 7")
    running.wait_reports(1)
    world.bad = {50800}
    eventually(lambda: "the --on-change command exited with status 7" in running.err_path.read_text(),
               "the complaint", 20)
    running.end()


def test_what_the_command_prints_is_not_mixed_into_the_reports(world, watching):
    running = watching("--on-change", "echo noise")
    running.wait_reports(1)
    world.bad = {50800}
    eventually(lambda: "noise" in running.err_path.read_text(), "the command", 20)
    assert len(running.wait_reports(2)) == 2
    running.end()


def test_it_ends_cleanly_in_the_middle_of_a_round(stub, later):
    asked, release = threading.Event(), threading.Event()

    def check(request):
        asked.set()
        release.wait(60 * PATIENCE)
        return stubs.results(request, lambda ip, port: GOOD)
    checker = stub(stubs.telling(check))
    try:
        running = later.enter_context(Running("--ports", PORTS, "--watch", "1h", checker.url))
        assert asked.wait(20 * PATIENCE)
        ended = running.end()
        assert (ended.status, ended.err) == (OK, "")
    finally:
        release.set()


def test_rounds_are_spread_by_a_tenth(stub, later):
    """A pause lasts at least nine tenths of the interval. tests/unit/test_watch.c shows that it
    lasts at most eleven tenths; here it may end late."""
    answered, pauses = [], []

    def check(request):
        asked = time.monotonic()
        if answered:
            pauses.append(asked - answered[-1])
        answer = stubs.results(request, lambda ip, port: GOOD)
        answered.append(time.monotonic())  # no pause has begun before this
        return answer
    checker = stub(stubs.telling(check))
    running = later.enter_context(Running("--ports", PORTS, "--watch", "1s", checker.url))
    eventually(lambda: len(pauses) >= 4, "four more rounds", 20)
    running.end()
    assert min(pauses) >= 0.9, pauses
    assert max(pauses) - min(pauses) > 0.001, pauses


# --- addresses that change ------------------------------------------------------------

def test_addresses_that_alternate_are_named_and_change_nothing(stub, later):
    """A router with two uplinks, of which one has the port forwards."""
    addresses = ["192.0.2.1", "192.0.2.2"]
    asked = []

    def answer(request):
        if request.path == "/ip":
            asked.append(addresses[len(asked) % 2])
            return stubs.Answer(200, {"ip": asked[-1], "family": 4})
        bad = request.json["provider_ip"] == addresses[1]
        return stubs.results(request, lambda ip, port: REFUSED if bad else GOOD)
    running = later.enter_context(Running("--json", "--ports", PORTS, "--watch", "1s", "--confirm",
                                          "100ms", "--patience", "0", stub(answer).url))
    eventually(lambda: len(asked) >= 8, "eight rounds", 40)
    reports = running.reports
    ended = running.end()
    assert [advertised(report) for report in reports] == [[50800, 50801]]
    assert ended.err.count("the public address alternates between ") == 1, ended


# --- after a minute -------------------------------------------------------------------

def test_a_new_address_starts_a_round(hourly):
    """The address is looked up every minute."""
    changed = hourly.wait_reports(2, within=90)[1]
    assert changed["families"][0]["ip"] == "192.0.2.9"
    assert ("port-verifier: the public address has changed to 192.0.2.9; checking again\n"
            in hourly.end().err)
