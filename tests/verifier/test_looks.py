# SPDX-License-Identifier: MIT
"""Further looks at ports that a checker did not reach, and questions in pieces."""
import contextlib
import functools
import re
import socket
import time

import pytest

import home as homes
import stub as stubs
from home import PROVIDER, forward
from program import OK, Running, cause_of, ports_of, verify as verify_once

GOOD = {"accessible": True, "error": None}
SILENT = {"accessible": False, "error": "Connection timed out"}
REFUSED = {"accessible": False, "error": "Connection refused"}
LIMITED = {**SILENT, "state": "limited"}
PORTS = "7466,50800-50802"
ALL = [7466, 50800, 50801, 50802]

verify = functools.partial(verify_once, patience=None)


class Changing:
    """A checker with one table of verdicts a question: {port: entry}, GOOD without one."""

    def __init__(self, stub, *tables, limit=None):
        self.tables = list(tables)
        self.limit = limit
        self.checker = stub(stubs.telling(self._check))
        self.url = self.checker.url

    def _check(self, request):
        table = self.tables[min(len(self.asked()), len(self.tables)) - 1]
        answer = {"success": True, "message": "",
                  "results": {str(port): table.get(port, GOOD) for port in request.json["ports"]}}
        if self.limit:
            answer["limit"] = self.limit
        return stubs.Answer(200, answer)

    def asked(self):
        return [request.json["ports"] for request in self.checker.posts()]


class Patient:
    """A run whose checker reports a limit, and the times of its questions."""

    def __init__(self, stack):
        self.times = []
        self.checker = Changing(lambda answer: stack.enter_context(stubs.Stub(answer)),
                                dict.fromkeys((20002, 20003, 20004), LIMITED), {},
                                limit={"answered": 1, "rate": 0.0})
        check = self.checker.checker.answer

        def noting(request):
            if request.method == "POST":
                self.times.append(time.monotonic())
            return check(request)
        self.checker.checker.answer = noting
        self.running = stack.enter_context(Running("--json", "--ports", "20001-20004",
                                                   self.checker.url))


@pytest.fixture(scope="module", autouse=True)
def patient():
    """It begins with the first test, and waits beside the others."""
    with contextlib.ExitStack() as stack:
        yield Patient(stack)


@pytest.mark.parametrize("entry", [SILENT, REFUSED, {**SILENT, "error": "No route to host"}],
                         ids=["filtered", "closed", "unreachable"])
def test_a_second_look_finds_what_the_first_one_missed(stub, entry):
    checker = Changing(stub, {50801: entry}, {})
    ended = verify("--json", "--ports", PORTS, checker.url)
    assert checker.asked() == [ALL, [50801]]  # that port alone
    family = ended.family()
    assert family["advertise"] == ALL
    assert ports_of(family)[50801]["verdicts"][0]["looks"] == 2
    assert ports_of(family)[50800]["verdicts"][0]["looks"] == 1


def test_a_second_look_confirms(stub):
    checker = Changing(stub, {50801: SILENT})
    ended = verify("--json", "--ports", PORTS, checker.url)
    assert checker.asked() == [ALL, [50801]]  # and there is no third
    assert ports_of(ended.family())[50801]["cause"] == "not_forwarded"


def test_without_patience_there_is_one_look(stub):
    checker = Changing(stub, {50801: SILENT}, {})
    ended = verify("--json", "--ports", PORTS, "--patience", "0", checker.url)
    assert checker.asked() == [ALL]
    assert ended.family()["advertise"] == [7466, 50800, 50802]


def test_a_port_that_is_not_held_here_is_looked_at_once(stub, later):
    later.enter_context(socket.create_server(("0.0.0.0", 50801)))
    checker = Changing(stub, {50801: SILENT}, {})
    verify("--json", "--ports", PORTS, checker.url)
    assert checker.asked() == [ALL]


def test_a_port_that_another_checker_reached_needs_no_second_look(stub):
    checker, other = Changing(stub, {50801: SILENT}, {}), Changing(stub, {})
    verify("--json", "--ports", PORTS, checker.url, other.url)
    assert checker.asked() == other.asked() == [ALL]
    verify("--json", "--ports", PORTS, "--quorum", "2", checker.url, other.url)
    assert checker.asked() == [ALL, ALL]  # the second table, which has no gap


def test_of_an_address_that_is_silent_only_a_sample_is_looked_at_again(stub):
    ports = [7466, *range(50800, 50901)]
    checker = Changing(stub, dict.fromkeys(ports, SILENT))
    ended = verify("--json", "--required", "50850", checker.url)
    assert checker.asked() == [[50850, *(port for port in ports if port != 50850)],
                               [50850, 7466, 50800, 50801]]
    assert {port["cause"] for port in ended.family()["ports"]} == {"no_way_in"}


def test_if_the_sample_answers_the_rest_is_looked_at_too(stub):
    ports = [7466, *range(50800, 50901)]
    checker = Changing(stub, dict.fromkeys(ports, SILENT), {})
    ended = verify("--json", checker.url)
    assert [len(asked) for asked in checker.asked()] == [102, 4, 98]
    assert ended.family()["advertise"] == ports


def test_ports_that_a_limit_hides_are_looked_at_in_smaller_pieces(stub):
    """Refusals while others are open, and less of them in the next look."""
    late = range(50820, 50840)
    checker = Changing(stub, {port: REFUSED for port in late},
                       {port: REFUSED for port in range(50830, 50840)}, {})
    ended = verify("--json", "--ports", "50800-50839", checker.url)
    assert [len(asked) for asked in checker.asked()] == [40, 20, 10]
    assert ended.family()["advertise"] == list(range(50800, 50840))


def test_a_limited_port_is_no_missing_forward(stub):
    checker = Changing(stub, {50801: LIMITED, 50802: LIMITED}, limit={"answered": 2, "rate": 0.0})
    begun = time.monotonic()
    ended = verify("--json", "--ports", PORTS, "--patience", "20s", checker.url)
    assert time.monotonic() - begun < 20  # 35 s of quiet do not fit: it does not wait at all
    assert checker.asked() == [ALL]
    assert ended.status == OK
    family = ended.family()
    assert family["advertise"] == [7466, 50800]
    assert family["checkers"][0]["limit"] == {"answered": 2, "rate": 0.0}
    cause = cause_of(family, 50801)
    assert (cause["cause"], cause["ports"]) == ("limited", "50801-50802")
    assert cause["text"] == (
        "could not judge ports 50801-50802: the address stopped answering the checker (2 ports "
        "were judged before), as under a rate limit, scan protection or a ban")
    assert cause["remedy"].startswith(
        "allow the checker's address 127.0.0.1 in the flood and scan protection of 127.0.0.1 ")
    assert "forward" not in cause["remedy"]


def test_a_checker_that_fails_in_the_second_look_has_answered(stub):
    first = Changing(stub, {50801: SILENT})
    check = first.checker.answer

    def once(request):
        return stubs.Answer(500) if len(first.checker.posts()) > 1 else check(request)
    first.checker.answer = once
    ended = verify("--json", "--ports", PORTS, first.url)
    family = ended.family()
    assert len(first.asked()) == 2
    assert (family["checkers"][0]["answered"], family["checkers"][0]["message"]) == (True, None)
    assert family["advertise"] == [7466, 50800, 50802]


# --- pieces ---------------------------------------------------------------------------

class Small:
    """A checker that takes a few ports at a time, and so many in all until it is asked again."""

    def __init__(self, stub, most, budget=None, retry_after=1):
        self.most, self.left, self.retry_after = most, budget, retry_after
        self.checker = stub(stubs.telling(self._check))
        self.url = self.checker.url

    def _check(self, request):
        if request.path == "/limits":
            return stubs.Answer(200, {"targets": "own", "max_ports": self.most})
        ports = request.json["ports"]
        if len(ports) > self.most:
            return stubs.Answer(422, {"detail": [{"msg": "too many ports"}]})
        if self.left is not None and len(ports) > self.left:
            self.left = 1000
            return stubs.Answer(429, {"detail": "too many ports"},
                                {"Retry-After": str(self.retry_after)})
        if self.left is not None:
            self.left -= len(ports)
        return stubs.results(request, lambda ip, port: GOOD)


def test_more_ports_than_a_checker_takes_are_asked_in_pieces(stub):
    small = Small(stub, most=40)
    ended = verify("--json", "--required", "50900", small.url)
    assert ended.status == OK, ended
    asked = [request.json["ports"] for request in small.checker.posts()]
    assert [len(ports) for ports in asked] == [102, 40, 40, 22]
    assert asked[1][:2] == [50900, 7466]  # the required one first
    assert ended.family()["advertise"] == [7466, *range(50800, 50901)]
    assert all(request.json["details"] for request in small.checker.posts())  # not plainly


def test_a_budget_is_respected(stub):
    small = Small(stub, most=60, budget=60)
    begun = time.monotonic()
    ended = verify("--json", small.url)
    assert time.monotonic() - begun >= 1
    assert ended.family()["advertise"] == [7466, *range(50800, 50901)]


def test_what_a_budget_leaves_out_is_not_judged(stub):
    small = Small(stub, most=60, budget=60, retry_after=300)
    ended = verify("--json", small.url)
    family = ended.family()
    assert ended.status == OK and family["advertise"] == [7466, *range(50800, 50859)]
    assert family["checkers"][0]["message"] == "status 429, retry after 300 s: too many ports"
    cause = cause_of(family, 50900)
    assert (cause["cause"], cause["ports"]) == ("unknown", "50859-50900")
    assert cause["text"] == (
        "could not check ports 50859-50900: the checker did not take them in time: status 429, "
        "retry after 300 s: too many ports")


# --- real protections -----------------------------------------------------------------

@pytest.fixture
def flat(namespaces, later):
    return homes.Home(later)


CONNECTIONS = """
table inet protection {
  set c {
    type ipv4_addr; flags dynamic; size 65535;
  }
  chain in {
    type filter hook prerouting priority -150; iifname "wan"
    tcp dport { 7466, 50800-50900 } tcp flags & (fin|syn|rst|ack) == syn add @c { \
      ip saddr ct count over 20 } drop
  }
}
"""


def test_a_limit_on_connections_hides_no_port(flat, start):
    """With a real checker: nothing is called a missing forward."""
    flat.rules(forward("{ 7466, 50800-50900 }", PROVIDER))
    flat.router.nft(CONNECTIONS)
    service = start(inside=flat.checker, PORT_CHECKER_HOST=homes.CHECKER,
                    PORT_CHECKER_TARGETS="caller")
    family = verify("--json", service.url, inside=flat.provider, within=120).family()
    assert not {port["cause"] for port in family["ports"]} - {"good", "limited"}
    assert ports_of(family)[7466]["good"]


def test_the_progress_tells_of_a_second_look(stub):
    from test_report import on_terminal
    checker = Changing(stub, {50801: SILENT})
    _, text = on_terminal("--ports", PORTS, checker.url, TERM="xterm")
    assert re.search(r"4 of 4 ports, checking 1 port again in \d s", text), text


# --- after half a minute --------------------------------------------------------------

def test_a_limited_address_is_left_alone_first(patient):
    family = patient.running.wait(within=60).family()
    # one at a time, and another 35 s are too long
    assert patient.checker.asked() == [[20001, 20002, 20003, 20004], [20002]]
    assert 35 <= patient.times[1] - patient.times[0]
    assert family["advertise"] == [20001, 20002]
    assert cause_of(family, 20003)["cause"] == "limited"
