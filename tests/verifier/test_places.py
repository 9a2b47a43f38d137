# SPDX-License-Identifier: MIT
"""Checkers that probe from several places (vantage points)."""
import json
import pathlib
import re

import jsonschema

import stub as stubs
from harness.waiting import eventually
from program import NOT_OK, OK, UNKNOWN, Running, cause_of, ports_of, verify

SCHEMA = json.loads((pathlib.Path(__file__).resolve().parents[2] /
                     "docs/verifier-report.schema.json").read_text())
PORTS = "7466,50800-50803"
QUORUM = {"needed": 2, "places": 3}

SAID = {
    "open": {"state": "open", "rtt_ms": 12.3, "proof": None},
    "filtered": {"state": "filtered", "rtt_ms": None, "proof": None,
                 "error": "Connection timed out"},
    "closed": {"state": "closed", "rtt_ms": 0.5, "proof": None, "error": "Connection refused"},
    "missing": {"state": "missing", "reason": "no_answer"},
    "unplugged": {"state": "missing", "reason": "not_connected"},
}
MERGED = {
    "open": {"accessible": True, "error": None, "state": "open", "rtt_ms": 12.3},
    "filtered": {"accessible": False, "error": "Connection timed out", "state": "filtered"},
    "closed": {"accessible": False, "error": "Connection refused", "state": "closed"},
    "limited": {"accessible": False, "error": "Connection timed out", "state": "limited"},
}


def placed(merged, **places):
    """A result: what the checker says, and what each of its places says; "_" is "-"."""
    return {**MERGED[merged],
            "vantages": {name.replace("_", "-"): SAID[word] for name, word in places.items()}}


def checker_of(entries, quorum=QUORUM):
    """A checker with places; `entries` makes a result from a port, or is one."""
    def answer(request):
        made = stubs.results(request, lambda ip, port: entries(port)
                             if callable(entries) else entries)
        body = {**json.loads(made.body), "quorum": quorum}
        return stubs.Answer(200, body)
    return stubs.telling(answer)


def streaming(entries, quorum=QUORUM):
    """The same, in lines."""
    def answer(request):
        lines = [{"port": port, **entries(port)} for port in request.json["ports"]]
        lines.append({"success": True, "message": "x", "quorum": quorum})
        body = "".join(json.dumps(line) + "\n" for line in lines)
        return stubs.Answer(200, body.encode(), kind="application/x-ndjson")
    return stubs.telling(answer)


def lines_of(ended):
    return [re.sub(r"in \d+\.\d s", "in N s", line) for line in ended.lines]


FILTER = ("look for a country filter or an address blocklist in the router, in the firewall of "
          "127.0.0.1 and at the internet provider, and allow {} from any address; if there is no "
          "such filter, the route from {} is broken: try again later, and report it to the "
          "internet provider")


def mixed(port):
    if port == 7466:
        return placed("open", eu_1="open", us_1="open", ap_1="open")
    if port <= 50801:
        return placed("open", eu_1="open", us_1="filtered", ap_1="open")
    return placed("filtered", eu_1="open", us_1="filtered", ap_1="closed")


def test_places_that_disagree_are_named(stub):
    checker = stub(checker_of(mixed))
    ended = verify("--ports", PORTS, "--patience", "0", checker.url)
    assert ended.status == OK, ended
    assert lines_of(ended) == [
        "ipv4 address 127.0.0.1",
        f"ipv4 checker {checker.url}: answered in N s, from this machine, not from the internet; "
        "places: eu-1, us-1 and ap-1",
        "ipv4 7466 good: listener not verified",
        "ipv4 50800-50801 good, reached by 2 of 3: not from us-1",
        "ipv4 50802-50803 open: to some places only, reached by 1 of 3: not from us-1 and ap-1",
        "ipv4 why: port 7466 is reachable, but what answers could not be verified: the checker "
        "does not support proofs",
        "ipv4 do: to make sure that this machine answers, use a checker that supports proofs",
        "ipv4 why: ports 50800-50801 are reachable from eu-1 and ap-1, but not from us-1: a "
        "geographic filter or a routing problem",
        "ipv4 do: " + FILTER.format("ports 50800-50801", "us-1"),
        "ipv4 why: ports 50802-50803 are reachable from eu-1, but not from us-1 and ap-1: a "
        "geographic filter or a routing problem",
        "ipv4 do: " + FILTER.format("ports 50802-50803", "us-1 and ap-1"),
        "ipv4 3 of 5 ports reachable; 2 are reachable from some places only",
        "ipv4 advertise: 7466,50800-50801",
    ]


def test_the_report_has_what_the_checker_says(stub):
    for make in checker_of, streaming:
        ended = verify("--json", "--ports", PORTS, "--patience", "0", stub(make(mixed)).url)
        assert ended.status == OK, ended
        jsonschema.validate(ended.report, SCHEMA)
        family = ended.family()
        assert family["checkers"][0]["quorum"] == QUORUM
        ports = ports_of(family)
        assert list(ports[50801]["verdicts"][0]["vantages"].items()) == [
            ("eu-1", {**SAID["open"], "error": None, "proof_port": None}),
            ("us-1", {**SAID["filtered"], "proof_port": None}),
            ("ap-1", {**SAID["open"], "error": None, "proof_port": None}),
        ]
        assert [(port["cause"], port["good"], port["state"]) for port in ports.values()] == [
            ("unproved", True, "open"), ("places_disagree", True, "open"),
            ("places_disagree", True, "open"), ("places_disagree", False, "filtered"),
            ("places_disagree", False, "filtered")]
        assert cause_of(family, 50802)["ports"] == "50802-50803"
        assert family["advertise"] == [7466, 50800, 50801]


def test_a_missing_place_is_named_and_changes_nothing(stub):
    entry = placed("open", eu_1="open", us_1="missing", ap_1="open")
    checker = stub(checker_of(entry))
    ended = verify("--ports", PORTS, checker.url)
    assert ended.status == OK, ended
    assert lines_of(ended)[1:3] == [
        f"ipv4 checker {checker.url}: answered in N s, from this machine, not from the internet; "
        "places: eu-1 and ap-1; missing: us-1 (no answer)",
        "ipv4 7466 good: listener not verified, reached by 2 of 3: no verdict from us-1",
    ]
    family = verify("--json", "--ports", PORTS, checker.url).family()
    assert {port["cause"] for port in family["ports"]} == {"unproved"}
    assert family["ports"][0]["verdicts"][0]["vantages"]["us-1"] == SAID["missing"]


def test_places_that_are_missing_are_not_the_fault_of_the_ports(stub):
    entry = placed("limited", eu_1="open", us_1="missing", ap_1="unplugged")
    checker = stub(checker_of(entry))
    ended = verify("--ports", PORTS, "--patience", "6", checker.url)
    assert ended.status == UNKNOWN, ended
    assert lines_of(ended)[1:] == [
        f"ipv4 checker {checker.url}: answered in N s, from this machine, not from the internet; "
        "places: eu-1; missing: us-1 (no answer), ap-1 (not connected)",
        "ipv4 why: could not judge ports 7466,50800-50803: the checker has no verdict from its "
        "places us-1 and ap-1, and the other places are too few",
        "ipv4 do: try again later, or use another checker; no change of a forward or a firewall "
        "follows from this",
    ]
    assert len(checker.posts()) >= 2  # the second look came at once, not after a ban


def test_missing_places_withdraw_nothing(stub, later):
    """With --watch: the checker answers, but without a verdict."""
    said = {"entry": placed("open", eu_1="open", us_1="open", ap_1="open")}
    checker = stub(checker_of(lambda port: said["entry"]))
    running = later.enter_context(Running("--json", "--ports", "7466", "--watch", "1s", "--confirm",
                                          "300ms", "--patience", "0", checker.url))
    running.wait_reports(1)
    said["entry"] = placed("limited", eu_1="open", us_1="missing", ap_1="missing")
    told = (f"port-verifier: checker {checker.url}: no verdict, because too few of its places "
            "answered\nport-verifier: no checker answered; keeping the last confirmed report\n")
    eventually(lambda: told in running.err_path.read_text(), "a notice", 20)
    assert len(running.reports) == 1
    running.end()


def test_missing_places_withdraw_no_single_port(stub, later):
    """With --watch: the checker decides on 7466 alone. What it decides on 50801 counts."""
    everywhere = placed("open", eu_1="open", us_1="open", ap_1="open")
    said = dict.fromkeys((7466, 50800, 50801, 50802), everywhere)
    checker = stub(checker_of(lambda port: said[port]))
    running = later.enter_context(Running("--json", "--ports", "7466,50800-50802", "--watch", "1s",
                                          "--confirm", "300ms", "--patience", "0", checker.url))
    running.wait_reports(1)
    said[50800] = placed("limited", eu_1="open", us_1="missing", ap_1="missing")
    said[50802] = placed("limited", eu_1="open", us_1="closed", ap_1="missing")
    told = ("port-verifier: no verdict on 50800,50802 over IPv4, because too few places of the "
            "checkers answered; keeping the last confirmed one\n")
    eventually(lambda: told in running.err_path.read_text(), "a notice", 20)
    assert len(running.reports) == 1
    said[50801] = placed("closed", eu_1="closed", us_1="closed", ap_1="missing")
    family = running.wait_reports(2)[1]["families"][0]
    jsonschema.validate(running.reports[1], SCHEMA)
    assert family["ok"] and family["advertise"] == [7466, 50800, 50802]
    assert [(port["good"], port["state"], port["cause"]) for port in family["ports"]] == [
        (True, "open", "unproved"), (True, "limited", "limited"), (False, "closed", "refused"),
        (True, "limited", "limited")]
    assert cause_of(family, 50800)["label"] == (
        "good: kept from an earlier verdict, reached by 1 of 3: no verdict from us-1 and ap-1")
    said[50800] = placed("limited", eu_1="open", us_1="closed", ap_1="missing")
    said[50802] = placed("closed", eu_1="closed", us_1="closed", ap_1="missing")
    assert running.wait_reports(3)[2]["families"][0]["advertise"] == [7466, 50800]
    assert running.err_path.read_text().count(told) == 1
    running.end()


def test_a_second_look_replaces_what_places_said(stub):
    looks = []

    def entry(port):
        if len(looks) == 0:
            return placed("filtered", eu_1="open", us_1="filtered", ap_1="filtered")
        return placed("open", eu_1="open", us_1="open", sa_1="missing")

    answer = checker_of(entry)

    def counting(request):
        made = answer(request)
        looks.extend([1] * (request.method == "POST"))
        return made
    ended = verify("--json", "--ports", "7466", stub(counting).url, patience=None)
    assert ended.status == OK, ended
    verdict = ended.family()["ports"][0]["verdicts"][0]
    assert verdict["looks"] == 2
    assert {name: place["state"] for name, place in verdict["vantages"].items()} == {
        "eu-1": "open", "us-1": "open", "sa-1": "missing"}


def test_proofs_of_places_name_ports_of_this_machine(stub):
    def proved(**proof):
        return {"state": "open", "rtt_ms": 1, **proof}
    ours = {"proof": "other_port", "proof_port": 7466}
    entry = {**MERGED["open"], **ours, "vantages": {
        "eu-1": proved(**ours), "us-1": proved(proof="match"), "ap-1": proved(proof="other_port")}}
    ended = verify("--json", "--ports", "17466:7466", stub(checker_of(entry)).url)
    assert ended.status == OK, ended
    jsonschema.validate(ended.report, SCHEMA)
    port = ended.family()["ports"][0]
    assert {name: (place["proof"], place["proof_port"])
            for name, place in port["verdicts"][0]["vantages"].items()} == {
        "eu-1": ("match", None), "us-1": ("other_port", 17466), "ap-1": ("other_port", None)}
    assert port["cause"] == "places_disagree" and port["proved"] is True
    assert cause_of(ended.family(), 17466)["text"] == (
        "port 17466 is reachable from eu-1, but not from us-1 and ap-1: a geographic filter or a "
        "routing problem")


def test_the_quorum_counts_checkers_not_places(stub):
    entry = placed("open", eu_1="open", us_1="open", ap_1="open")
    one, other = stub(checker_of(entry)), stub(checker_of(entry))
    dead = stub(lambda request: stubs.Answer(500))
    ended = verify("--json", "--ports", "7466", "--quorum", "2", one.url, dead.url)
    assert ended.status == NOT_OK and ended.family()["causes"][0]["cause"] == "no_quorum", ended
    assert verify("--ports", "7466", "--quorum", "2", one.url, other.url).status == OK


def test_a_checker_without_places_is_reported_as_before(stub):
    ended = verify("--json", "--ports", "7466", stub(stubs.fixed(MERGED["open"])).url)
    jsonschema.validate(ended.report, SCHEMA)
    assert ended.family()["checkers"][0]["quorum"] is None
    assert ended.family()["ports"][0]["verdicts"][0]["vantages"] is None


def test_words_of_a_newer_version_are_no_verdict_of_that_place(stub):
    entry = {**MERGED["open"], "vantages": {"eu-1": SAID["open"], "us-1": {"state": "postponed"}}}
    ended = verify("--json", "--ports", "7466", stub(checker_of(entry)).url)
    assert ended.status == OK, ended
    jsonschema.validate(ended.report, SCHEMA)
    port = ended.family()["ports"][0]
    assert (port["cause"], port["verdicts"][0]["vantages"]["us-1"]["state"]) == (
        "unproved", "postponed")
    assert cause_of(ended.family(), 7466)["label"].endswith(
        "reached by 1 of 2: no verdict from us-1")


def test_places_that_make_no_sense_spoil_the_reply(stub):
    for places in ([], {"EU": SAID["open"]}, {"eu-1": {}}, {"eu-1": {**SAID["open"], "error": "x"}}):
        ended = verify("--json", "--ports", "7466",
                       stub(checker_of({**MERGED["open"], "vantages": places})).url)
        assert ended.status == UNKNOWN, ended
        assert ended.family()["checkers"][0]["message"] == (
            "invalid reply: the verdict for port 7466 cannot be read")


def test_many_ports_at_many_places_are_taken(stub):
    names = [f"a-place-with-a-long-name-{i:02}" for i in range(16)]
    entry = {**MERGED["open"], "vantages": {name: SAID["filtered"] if i % 4 else SAID["open"]
                                            for i, name in enumerate(names)}}
    ended = verify("--json", "--ports", "20000-24095", "--required", "20000",
                   stub(checker_of(entry, {"needed": 4, "places": 16})).url)
    assert ended.status == OK, ended.err
    family = ended.family()
    assert len(family["ports"]) == 4096
    assert all(list(port["verdicts"][0]["vantages"]) == names for port in family["ports"])
    assert len(family["causes"]) == 1
