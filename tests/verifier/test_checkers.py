# SPDX-License-Identifier: MIT
"""How port-verifier handles checkers: ours, plain ones, and those that fail."""
import json
import os
import re
import socket
import threading

import pytest

import stub as stubs
from harness import network
from harness.waiting import eventually
from program import NOT_OK, OK, UNKNOWN, USAGE, Running, cause_of, ports_of, verify

PORTS = "7466,50800-50802"
GOOD = {"accessible": True, "error": None}
REFUSED = {"accessible": False, "error": "Connection refused"}


# --- ours -----------------------------------------------------------------------------

def test_our_checker_proves_every_port(start):
    ended = verify("--json", start().url)
    assert ended.status == OK, ended
    family = ended.family()
    assert family["ip"] == family["local_ip"] == "127.0.0.1"
    assert family["advertise"] == [7466, *range(50800, 50901)]
    assert family["causes"] == []
    assert family["checkers"][0]["proof"] is True
    for port in family["ports"]:
        assert port["proved"] and port["accepted"] >= 1 and port["cause"] == "good", port


def test_ipv6_is_asked_and_reported_apart(start):
    four = start(PORT_CHECKER_HOST="127.0.0.1")
    six = start(PORT_CHECKER_HOST="::1")
    ended = verify("--json", "--ports", PORTS, four.url, six.url)
    assert ended.status == OK, ended
    assert [family["family"] for family in ended.report["families"]] == [4, 6]
    assert ended.family(6)["ip"] == "::1"
    assert ended.family(6)["advertise"] == ended.family(4)["advertise"] == [7466, 50800, 50801,
                                                                        50802]


def test_one_good_family_is_enough(start, stub):
    six = start(PORT_CHECKER_HOST="::1")
    four = stub(stubs.fixed(REFUSED))
    ended = verify("--json", "--ports", PORTS, four.url, six.url)
    assert ended.status == OK, ended
    assert ended.family(4)["ok"] is False and ended.family(6)["ok"] is True


# --- the request ----------------------------------------------------------------------

def test_both_requests_use_one_connection(stub):
    checker = stub(stubs.fixed(GOOD))
    assert verify("--ports", PORTS, checker.url).status == OK
    address, question = checker.requests
    assert (address.method, address.path) == ("GET", "/ip")
    assert (question.method, question.path) == ("POST", "/check-ports")
    assert address.client == question.client
    body = question.json
    assert body["provider_ip"] == "127.0.0.1"
    assert body["ports"] == [7466, 50800, 50801, 50802]  # ranges are an extension
    assert body["details"] is True
    assert re.fullmatch("[0-9a-f]{32}", body["token"])


def test_every_run_has_a_token_of_its_own(stub):
    checker = stub(stubs.fixed(GOOD))
    for _ in range(2):
        verify("--ports", PORTS, checker.url)
    one, other = (request.json["token"] for request in checker.posts())
    assert one != other


def test_a_named_address_is_not_asked_for(stub):
    checker = stub(stubs.fixed(GOOD))
    ended = verify("--json", "--ip", "192.0.2.7", "--ports", PORTS, checker.url)
    assert ended.family()["ip"] == "192.0.2.7"
    assert [request.path for request in checker.requests] == ["/check-ports"]
    assert checker.requests[0].json["provider_ip"] == "192.0.2.7"


def test_proxies_of_the_environment_are_not_used(stub):
    checker = stub(stubs.fixed(GOOD))
    ended = verify("--ports", PORTS, checker.url, http_proxy="http://127.0.0.1:9",
                   ALL_PROXY="http://127.0.0.1:9")
    assert ended.status == OK, ended


def test_checkers_from_the_environment(stub):
    one, other = stub(stubs.fixed(GOOD)), stub(stubs.fixed(GOOD))
    ended = verify("--json", "--ports", PORTS,
                   PORT_VERIFIER_SERVERS=f" {one.url}/, {other.url} {one.url}")
    assert [checker["url"] for checker in ended.family()["checkers"]] == [one.url, other.url]


def test_without_a_checker_it_says_so():
    ended = verify()
    assert ended.status == USAGE and ended.out == ""
    assert "no checker given; example: port-verifier checker.example\n" in ended.err


# --- the plain contract ---------------------------------------------------------------

@pytest.mark.parametrize("answer", [stubs.plain, stubs.strict])
def test_the_plain_contract_is_enough_but_proves_nothing(stub, answer):
    checker = stub(answer)
    ended = verify("--json", "--ports", PORTS, checker.url)
    assert ended.status == OK, ended
    family = ended.family()
    assert family["ip"] == "127.0.0.1"  # our end of the connection
    assert family["advertise"] == [7466, 50800, 50801, 50802]
    assert not any(port["proved"] for port in family["ports"])
    cause = cause_of(family, 50801)
    assert cause["cause"] == "unproved" and cause["ports"] == PORTS
    assert cause["text"].endswith("the checker does not support proofs")
    assert family["checkers"][0]["plain"] is (answer is stubs.strict)
    if answer is stubs.strict:
        assert set(checker.posts()[-1].json) == {"provider_ip", "ports"}


def test_an_address_that_one_checker_reports_is_used_for_another(stub):
    mute = stub(lambda request: stubs.NOT_FOUND if request.path == "/ip"
                else stubs.results(request, lambda ip, port: GOOD))
    telling = stub(lambda request: stubs.Answer(200, {"ip": "198.51.100.9", "family": 4})
                   if request.path == "/ip"
                   else stubs.results(request, lambda ip, port: GOOD))
    ended = verify("--json", "--ports", PORTS, mute.url, telling.url)
    assert ended.status == OK, ended
    assert mute.posts()[0].json["provider_ip"] == "198.51.100.9"
    assert ended.family()["signs"] == ["address_differs"]


def test_states_are_read_from_the_words_of_the_plain_contract(stub):
    words = {50800: "Connection refused", 50801: "Connection timed out",
             50802: "No route to host"}
    checker = stub(stubs.fixed(lambda port: {"accessible": port == 7466,
                                             "error": words.get(port)}))
    ended = verify("--json", "--ports", PORTS, checker.url)
    assert ended.status == NOT_OK, ended
    states = {number: port["state"] for number, port in ports_of(ended.family()).items()}
    assert states == {7466: "open", 50800: "closed", 50801: "filtered", 50802: "unreachable"}
    assert cause_of(ended.family(), 50802)["text"] == (
        "the network reports that port 50802 is unreachable: No route to host")


def test_a_stream_is_understood(stub):
    def check(request):
        assert request.path == "/check-ports"
        lines = [{"port": port, "accessible": True, "error": None, "state": "open",
                  "rtt_ms": 1.0, "proof": "match"} for port in reversed(request.json["ports"])]
        lines.append({"success": True, "message": "x"})
        text = "".join(json.dumps(line) + "\n" for line in lines)
        return stubs.Answer(200, text.encode(), kind="application/x-ndjson")
    ended = verify("--json", "--ports", PORTS, stub(stubs.telling(check)).url)
    assert ended.status == OK, ended
    assert all(port["proved"] for port in ended.family()["ports"])


# --- a checker that is newer than this program ----------------------------------------

POSTPONED = {"accessible": False, "error": "Connection timed out", "state": "postponed"}
OTHERWISE = {**GOOD, "state": "open", "proof": "notarized"}


@pytest.mark.parametrize("entry", [POSTPONED, OTHERWISE], ids=["state", "proof"])
def test_an_unknown_word_is_no_verdict_for_that_port_only(stub, entry):
    checker = stub(stubs.fixed(lambda port: entry if port == 50801 else GOOD))
    ended = verify("--json", "--ports", PORTS, checker.url)
    assert ended.status == OK, ended
    family = ended.family()
    assert family["checkers"][0]["answered"] is True
    assert family["advertise"] == [7466, 50800, 50802]
    port = ports_of(family)[50801]
    assert (port["cause"], port["state"], port["good"]) == ("unknown", None, False)
    assert port["verdicts"] == []
    assert cause_of(family, 50801)["text"].startswith("could not check port 50801: ")
    assert cause_of(family, 50801)["remedy"] == "use a newer port-verifier, or another checker"
    text = verify("--ports", PORTS, checker.url)
    assert "ipv4 50801 not checked" in text.lines, text
    assert "ipv4 3 of 4 ports reachable; 1 is not checked" in text.lines, text


def test_another_checker_may_know_the_port(stub):
    newer = stub(stubs.fixed(lambda port: POSTPONED if port == 50801 else GOOD))
    ended = verify("--json", "--ports", PORTS, newer.url, stub(stubs.fixed(GOOD)).url)
    assert ended.family()["advertise"] == [7466, 50800, 50801, 50802]
    verdicts = ports_of(ended.family())[50801]["verdicts"]
    assert [verdict["checker"] for verdict in verdicts] == [1]


def test_a_reply_of_unknown_words_only_is_no_answer(stub):
    ended = verify("--json", "--ports", PORTS, stub(stubs.fixed(POSTPONED)).url)
    assert ended.status == UNKNOWN, ended
    told = ended.family()["checkers"][0]
    assert (told["answered"], told["error"]) == (False, "nonsense")
    assert told["message"] == ("invalid reply: its states and proofs are unknown to this "
                               "version of port-verifier")
    assert cause_of(ended.family(), 7466)["remedy"] == (
        "use a newer port-verifier, or another checker")


# --- those that fail ------------------------------------------------------------------

FAILURES = {
    "500": (stubs.Answer(500, b"oops", kind="text/plain"), "server_error", "status 500"),
    "503 with words": (stubs.Answer(503, {"detail": "too busy"}, {"Retry-After": "7"}),
                       "server_error", "status 503, retry after 7 s: too busy"),
    "429": (stubs.Answer(429, {"detail": "too many ports"}, {"Retry-After": "30"}),
            "rate_limited", "status 429, retry after 30 s: too many ports"),
    "403": (stubs.Answer(403, {"detail": "not yours"}), "refused", "status 403: not yours"),
    "redirect": (stubs.Answer(302, b"", {"Location": "https://127.0.0.1:1/check-ports"}),
                 "refused", "status 302, a redirect: use https://127.0.0.1:1 instead"),
    "redirect to a login": (
        stubs.Answer(302, b"", {"Location": "/login?for=/check-ports"}), "refused",
        "status 302, a redirect to http://127.0.0.1:"),
    "304": (stubs.Answer(304), "refused", "status 304"),
    "404": (stubs.NOT_FOUND, "refused", "status 404: there is no port checker at this URL"),
    "422": (stubs.Answer(422, {"detail": [{"msg": "no"}]}), "refused", "status 422: no"),
    "half a body": (stubs.Answer(200, b'{"success": true, "resu', length=1000), "broken_off",
                    "the reply is incomplete or not HTTP: "),
    "a page": (stubs.Answer(200, b"<html>", kind="text/html"), "nonsense",
               "it is a web site, not a port checker"),
    "no JSON": (stubs.Answer(200, b"hello", kind="text/plain"), "nonsense",
                "invalid reply: not JSON: "),
    "wrong JSON": (stubs.Answer(200, {"results": {"7466": {"accessible": "yes"}}}), "nonsense",
                   "invalid reply: the verdict for port 7466 cannot be read"),
    "a port left out": (stubs.Answer(200, {"results": {"7466": GOOD}}), "nonsense",
                        "invalid reply: no verdict for 3 ports, including 50800"),
    "a stream that ends in trouble": (
        stubs.Answer(200, b'{"port": 7466, "accessible": true, "error": null}\n'
                     b'{"detail": "too busy", "code": "overloaded"}\n',
                     kind="application/x-ndjson"),
        "server_error", "the checker could not check all ports: too busy"),
    "a stream that ends early": (
        stubs.Answer(200, b'{"port": 7466, "accessible": true, "error": null}\n',
                     kind="application/x-ndjson"),
        "nonsense", "invalid reply: the stream ended early"),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", "broken_off", "the reply is incomplete or not HTTP: "),
    "too long": (stubs.Answer(200, b" " * 13_000_000), "nonsense", "the reply is larger than "),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_checker_that_fails_is_named_with_its_reason(stub, name):
    answer, error, message = FAILURES[name]
    checker = stub(stubs.telling(lambda request: answer))
    ended = verify("--json", "--ports", PORTS, checker.url)
    assert ended.status == UNKNOWN, ended
    family = ended.family()
    assert family["known"] is False and family["advertise"] == []
    told = family["checkers"][0]
    assert (told["answered"], told["error"]) == (False, error), told
    assert told["message"].startswith(message), told
    for port in family["ports"]:  # never "closed"
        assert (port["cause"], port["state"], port["good"]) == ("unknown", None, False)
    assert cause_of(family, 7466)["text"] == (
        "no checker answered: could not check ports 7466,50800-50802")


def test_a_checker_that_fails_does_not_count_against_a_port(stub, start):
    broken = stub(lambda request: stubs.Answer(500))
    ended = verify("--ports", PORTS, broken.url, start().url)
    assert ended.status == OK, ended
    assert f"ipv4 checker {broken.url}: failed: status 500" in ended.lines
    assert "ipv4 advertise: 7466,50800-50802" in ended.lines


def test_a_redirect_of_everything_is_one_not_a_missing_address(stub):
    checker = stub(lambda request: stubs.Answer(
        301, b"", {"Location": f"https://checker.example/base{request.path}"}))
    for more in ((), ("--ip", "127.0.0.1")):
        told = verify("--json", *more, checker.url).family()["checkers"][0]
        assert told["message"] == (
            "status 301, a redirect: use https://checker.example/base instead")


def test_a_plain_checker_may_redirect_what_it_does_not_know(stub):
    def answer(request):
        if request.path == "/ip":
            return stubs.Answer(302, b"", {"Location": "https://checker.example/login"})
        return stubs.plain(request)
    ended = verify("--json", "--ports", PORTS, stub(answer).url)
    assert ended.status == OK, ended
    assert ended.family()["advertise"] == [7466, 50800, 50801, 50802]


def test_a_redirect_that_leads_elsewhere_is_named_without_its_query(stub):
    checker = stub(stubs.telling(lambda request: FAILURES["redirect to a login"][0]))
    told = verify("--json", "--ports", PORTS, checker.url).family()["checkers"][0]
    assert told["message"] == f"status 302, a redirect to {checker.url}/login"


@pytest.mark.parametrize("answer, begin", [
    (stubs.Answer(301, b"", {"Location": f"http://a.example/{'x' * 400}/check-ports"}),
     "status 301, a redirect: use http://a.example/xxx"),
    (stubs.Answer(503, {"detail": "x" * 400}), "status 503: xxx"),
])
def test_a_reason_that_is_too_long_shows_its_cut(stub, answer, begin):
    checker = stub(stubs.telling(lambda request: answer))
    message = verify("--json", checker.url).family()["checkers"][0]["message"]
    assert message.startswith(begin) and message.endswith("xxx..."), message


def test_retry_after_is_in_the_json(stub):
    checker = stub(lambda request: FAILURES["429"][0])
    told = verify("--json", checker.url).family()["checkers"][0]
    assert (told["status"], told["retry_after"]) == (429, 30)


@pytest.mark.parametrize("path", ["/ip", "/check-ports"])
def test_a_checker_that_is_too_slow(stub, path):
    release = threading.Event()

    def answer(request):
        if request.path == path:
            release.wait(60)
        return stubs.fixed(GOOD)(request)
    checker = stub(answer)
    try:
        ended = verify("--json", "--timeout", "300ms", "--ports", PORTS, checker.url)
    finally:
        release.set()
    assert ended.status == UNKNOWN, ended
    told = ended.family()["checkers"][0]
    assert (told["error"], told["message"]) == ("timeout", "timed out while waiting for the answer")
    # What answered before its probes may have been banned for them.
    remedy = ended.family()["causes"][0]["remedy"]
    assert ("scan protection" in remedy) == (path == "/check-ports"), remedy


def test_a_refused_connection_is_reported(later):
    sock = later.enter_context(socket.socket())
    sock.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{sock.getsockname()[1]}"
    told = verify("--json", "--ports", PORTS, url).family()["checkers"][0]
    assert (told["error"], told["message"]) == ("no_connection",
                                               "could not connect: Connection refused")


def test_a_host_name_that_does_not_exist():
    if not network.is_own():
        pytest.skip("would ask the machine's name servers")
    ended = verify("--json", "--ports", PORTS, "http://checker.invalid")
    assert ended.status == UNKNOWN, ended
    told = [checker for family in ended.report["families"] for checker in family["checkers"]]
    assert [checker["error"] for checker in told] == ["no_name"]


def test_a_certificate_of_an_unknown_ca(stub, tmp_path):
    context, maker = stubs.server_context(tmp_path)
    checker = stub(stubs.fixed(GOOD), context=context)
    told = verify("--json", "--ports", PORTS, checker.url).family()["checkers"][0]
    assert told["error"] == "tls" and told["message"].startswith("TLS: "), told
    assert told["message"].endswith(
        "its certificate is not signed by a CA that this machine trusts")
    assert checker.requests == []

    ended = verify("--json", "--ports", PORTS, "--ca", maker, checker.url)
    assert ended.status == OK, ended


@pytest.mark.parametrize("options, message, remedy", [
    ({}, "its certificate is not signed by a CA that this machine trusts",
     "if you trust the issuer of the certificate, pass the issuer's certificate with --ca"),
    ({"last_year": 2021}, "its certificate has expired", "check the clock"),
    ({"first_year": 2048}, "its certificate is not valid yet", "check the clock"),
    ({"name": "DNS:checker.example"}, "its certificate is for another host name",
     "use the host name of the certificate in the URL"),
])
def test_what_is_wrong_with_a_certificate(stub, tmp_path, options, message, remedy):
    context, maker = stubs.server_context(tmp_path, **options)
    trusted = ("--ca", maker) if options else ()
    family = verify("--json", "--ports", PORTS, *trusted,
                  stub(stubs.fixed(GOOD), context=context).url).family()
    told = family["checkers"][0]
    assert (told["error"], told["message"]) == ("tls", f"TLS: {message}")
    assert cause_of(family, 7466)["remedy"].startswith(remedy)


def test_a_file_without_certificates_is_refused(tmp_path):
    path = tmp_path / "ca.pem"
    for text in ("", "hello\n", "-----BEGIN CERTIFICATE-----\nhello\n"):
        path.write_text(text)
        ended = verify("--ca", path, "https://127.0.0.1:1")
        assert ended.status == USAGE, ended
        assert "--ca must be a file of CA certificates in PEM format (no certificate can be " \
            "read), for example /" in ended.err


def test_a_file_that_can_be_read_only_once_is_refused(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    ended = verify("--ca", path, "https://127.0.0.1:1")
    assert ended.status == USAGE, ended
    assert "in PEM format (not a regular file), for example /" in ended.err


@pytest.mark.parametrize("lose", [
    lambda path: path.unlink(),
    lambda path: path.write_text("-----BEGIN CERTIFICATE-----\nhello\n"),
], ids=["gone", "broken"])
def test_certificates_to_trust_that_are_lost_meanwhile(stub, tmp_path, later, lose):
    context, maker = stubs.server_context(tmp_path)
    checker = stub(stubs.telling(lambda request: stubs.Answer(500)), context=context)
    path = tmp_path / "report.json"
    running = later.enter_context(Running("--json", "--ports", PORTS, "--watch", "1s",
                                          "--output", path, "--ca", maker, checker.url))
    assert running.wait_reports(1)[0]["families"][0]["checkers"][0]["status"] == 500
    lose(maker)

    def family():
        family = json.loads(path.read_text())["families"][0]
        return family if family["checkers"][0]["error"] == "tls" else None
    family = eventually(family, "another reason", 20)
    assert family["checkers"][0]["message"] == "TLS: the CA certificates cannot be read"
    assert cause_of(family, 7466)["remedy"] == (
        "pass a file of CA certificates (PEM) with --ca, or install the package "
        "ca-certificates")
    running.end()


def test_https_where_http_is_spoken(stub):
    url = stub(stubs.fixed(GOOD)).url.replace("http:", "https:")
    family = verify("--json", "--ports", PORTS, url).family()
    told = family["checkers"][0]
    assert (told["error"], told["message"]) == (
        "tls", f"this port does not serve HTTPS: use {url.replace('https:', 'http:')}")
    assert cause_of(family, 7466)["remedy"].startswith("check whether the checker serves HTTP instead of HTTPS")


def test_http_where_our_checker_serves_https(start, tmp_path):
    _, certificate = stubs.server_context(tmp_path)
    checker = start(PORT_CHECKER_TLS_CERT=certificate, PORT_CHECKER_TLS_KEY=tmp_path / "key.pem")
    host = checker.url.partition("://")[2]
    told = verify("--json", "--ports", PORTS, f"http://{host}").family()["checkers"][0]
    assert (told["error"], told["status"]) == ("refused", 400)
    assert told["message"] == f"this port serves HTTPS: use https://{host}"


@pytest.mark.parametrize("page", [
    b"<center>The plain HTTP request was sent to HTTPS port</center>",
    b"You're speaking plain HTTP to an SSL-enabled server port.<br />",
    b"Client sent an HTTP request to an HTTPS server.\n",
], ids=["nginx", "Apache", "Go"])
def test_http_where_others_serve_https(stub, page):
    checker = stub(lambda request: stubs.Answer(400, page, kind="text/html"))
    told = verify("--json", "--ports", PORTS, checker.url).family()["checkers"][0]
    assert told["message"] == (
        f"this port serves HTTPS: use {checker.url.replace('http:', 'https:')}")
    assert len(checker.requests) == 1  # it is known at once


# --- bare hosts -----------------------------------------------------------------------

def bare(checker):
    return checker.url.partition("://")[2]


def answered_in_time(*arguments):
    """A run in which HTTPS was spoken within the 3 seconds of a guess: repeated until it is."""
    def run():
        ended = verify(*arguments)
        return None if "timed out" in ended.out else ended
    return eventually(run, "an answer over HTTPS")


def test_a_bare_host_is_asked_over_http_where_https_is_not_spoken(start):
    checker = start()
    ended = verify("--json", "--ports", PORTS, bare(checker))
    assert ended.status == OK, ended
    assert ended.family()["checkers"][0]["url"] == checker.url


def test_a_bare_host_is_asked_over_https_first(stub, tmp_path):
    context, maker = stubs.server_context(tmp_path)
    checker = stub(stubs.fixed(GOOD), context=context)
    ended = answered_in_time("--json", "--ports", PORTS, "--ca", maker, bare(checker))
    assert ended.status == OK, ended
    assert ended.family()["checkers"][0]["url"] == checker.url
    assert {request.path for request in checker.requests} == {"/ip", "/check-ports"}


def test_a_bare_host_is_asked_first_where_it_answered_before(stub, later, tmp_path):
    checker = stub(stubs.fixed(GOOD))
    connections = []
    accept = checker.server.get_request

    def counted():
        connections.append(len(checker.posts()))
        return accept()
    checker.server.get_request = counted
    running = later.enter_context(Running("--json", "--ports", PORTS, "--watch", "1s",
                                          bare(checker)))
    eventually(lambda: len(checker.posts()) >= 4, "four rounds", 20)
    running.end()
    # The first round tries HTTPS; each later one opens a single connection.
    assert connections[:5] == [0, 0, 1, 2, 3]


def test_a_checker_over_https_that_refuses_is_not_asked_over_http(stub, tmp_path):
    context, maker = stubs.server_context(tmp_path)
    checker = stub(stubs.telling(lambda request: FAILURES["403"][0]), context=context)
    ended = answered_in_time("--json", "--ports", PORTS, "--ca", maker, bare(checker))
    told = ended.family()["checkers"][0]
    assert (told["url"], told["message"]) == (checker.url, "status 403: not yours")


def test_a_bare_host_without_a_checker_has_both_reasons(stub, later):
    site = stub(lambda request: stubs.Answer(200, b"<html>", kind="text/html"))
    host = bare(site)
    told = verify("--json", "--ports", PORTS, host).family()["checkers"][0]
    assert (told["url"], told["error"]) == (site.url, "nonsense")
    assert told["message"] == (
        f"it is a web site, not a port checker; https://{host}: this port does not serve "
        f"HTTPS: use http://{host}")

    sock = later.enter_context(socket.socket())
    sock.bind(("127.0.0.1", 0))
    host = f"127.0.0.1:{sock.getsockname()[1]}"
    told = verify("--json", "--ports", PORTS, host).family()["checkers"][0]
    assert (told["url"], told["error"]) == (f"https://{host}", "no_connection")
    assert told["message"].count("Connection refused") == 2


def test_both_families_of_a_bare_name_are_one_checker(start):
    checker = start(PORT_CHECKER_HOST="127.0.0.1")
    ended = verify("--json", "--ports", PORTS, f"localhost:{checker.port}")
    assert ended.status == OK, ended
    assert ended.family(4)["checkers"][0]["url"] == f"http://localhost:{checker.port}"
    assert ended.family(6)["checkers"][0]["error"] == "no_connection"


# --- the list alone -------------------------------------------------------------------

def test_quiet_prints_the_list_alone(start):
    four = start(PORT_CHECKER_HOST="127.0.0.1")
    six = start(PORT_CHECKER_HOST="::1")
    assert verify("-q", "-p", PORTS, four.url).out == "7466,50800-50802\n"
    assert verify("-q", "-p", PORTS, six.url, four.url).out == "7466,50800-50802\n"
    ended = verify("-4q", "-p", "50800", six.url, four.url)
    assert (ended.status, ended.out, ended.err) == (OK, "50800\n", "")


def test_quiet_names_the_families_if_their_lists_differ(start, stub):
    six = start(PORT_CHECKER_HOST="::1")
    four = stub(stubs.fixed(lambda port: REFUSED if port == 50801 else GOOD))
    ended = verify("-q", "-p", PORTS, four.url, six.url)
    assert (ended.status, ended.err) == (OK, "")
    assert ended.out == "ipv4 7466,50800,50802\nipv6 7466,50800-50802\n"
    assert verify("-4q", "-p", PORTS, four.url, six.url).out == "7466,50800,50802\n"
    closed = stub(stubs.fixed(REFUSED))
    assert verify("-q", "-p", PORTS, closed.url, six.url).out == (
        "ipv4 \nipv6 7466,50800-50802\n")


def test_quiet_leaves_out_a_family_that_no_checker_answered_for(start, stub):
    broken = stub(lambda request: stubs.Answer(500))
    ended = verify("-q", "-p", PORTS, broken.url, start(PORT_CHECKER_HOST="::1").url)
    assert (ended.status, ended.out) == (OK, "7466,50800-50802\n")
    assert ended.err == f"port-verifier: {broken.url}: status 500\n"


def test_quiet_names_what_failed_on_standard_error(stub):
    ended = verify("-q", "-p", PORTS, stub(stubs.fixed(REFUSED)).url)
    assert (ended.status, ended.out, ended.err) == (NOT_OK, "\n", "")
    broken = stub(lambda request: stubs.Answer(500))
    ended = verify("-q", "-p", PORTS, broken.url)
    assert (ended.status, ended.out) == (UNKNOWN, "\n")
    assert ended.err == f"port-verifier: {broken.url}: status 500\n"


LATER = "try again later, or use another checker"
IS_CHECKER = f"check that the URL is that of a port checker; if it is, {LATER}"
REMEDIES = {
    "500": LATER,
    "429": "try again after the time that the checker asks for, or use another checker",
    "403": "follow the checker's advice, or use another checker",
    "redirect": "use the URL that the checker redirects to",
    "redirect to a login": IS_CHECKER,
    "304": IS_CHECKER,
    "404": "check the URL: it must be the one that serves /check-ports, without that path",
    "422": "follow the checker's advice, or use another checker",
    "no JSON": IS_CHECKER,
}


@pytest.mark.parametrize("name", REMEDIES)
def test_what_to_do_follows_from_the_reason(stub, name):
    checker = stub(stubs.telling(lambda request: FAILURES[name][0]))
    family = verify("--json", "--ports", PORTS, checker.url).family()
    assert cause_of(family, 7466)["remedy"] == REMEDIES[name]


def test_a_named_address_that_is_refused(stub):
    checker = stub(stubs.telling(lambda request: FAILURES["403"][0]))
    family = verify("--json", "--ports", PORTS, "--ip", "192.0.2.7", checker.url).family()
    assert cause_of(family, 7466)["remedy"] == (
        "this checker does not check that address for this machine: leave out --ip, or use "
        "another checker")


def test_each_remedy_names_the_checkers_it_is_for(stub):
    busy, other_busy, wrong = (stub(stubs.telling(lambda request, name=name: FAILURES[name][0]))
                               for name in ("500", "500", "404"))
    family = verify("--json", "--ports", PORTS, busy.url, wrong.url, other_busy.url).family()
    assert cause_of(family, 7466)["remedy"] == (
        f"{busy.url}, {other_busy.url}: {LATER}; {wrong.url}: {REMEDIES['404']}")


def test_words_of_a_checker_cannot_reach_the_terminal(stub):
    entry = {"accessible": False, "error": "\x1b]0;owned\x07\u009b31m"}
    ended = verify("--ports", PORTS, stub(stubs.fixed(entry)).url)
    assert "unreachable: ?]0;owned?" in ended.out
    assert not re.search(r"[^\x20-\x7e\n]", ended.out)


# --- several --------------------------------------------------------------------------

def test_a_quorum_needs_more_than_one(stub):
    good, bad = stub(stubs.fixed(GOOD)), stub(stubs.fixed(REFUSED))
    assert verify("--ports", PORTS, good.url, bad.url).status == OK

    ended = verify("--json", "--ports", PORTS, "--quorum", "2", good.url, bad.url)
    assert ended.status == NOT_OK, ended
    cause = cause_of(ended.family(), 7466)
    assert cause["cause"] == "no_quorum"
    assert cause["text"] == ("1 of 2 checkers reached ports 7466,50800-50802, but 2 are "
                             f"required; not reached by {bad.url}")
    assert cause["remedy"].startswith("a firewall may admit only some networks: allow TCP ports")


def test_ports_that_different_checkers_miss_are_separate_groups(stub):
    one = stub(stubs.fixed(lambda port: REFUSED if port == 50800 else GOOD))
    other = stub(stubs.fixed(lambda port: REFUSED if port == 50801 else GOOD))
    family = verify("--json", "--ports", PORTS, "--quorum", "2", one.url, other.url).family()
    for port, checker in ((50800, one), (50801, other)):
        assert cause_of(family, port)["text"] == (
            f"1 of 2 checkers reached port {port}, but 2 are required; not reached by "
            f"{checker.url}")


def test_a_quorum_that_too_few_answer_for(stub):
    broken = stub(lambda request: stubs.Answer(500))
    family = verify("--json", "--ports", PORTS, "--quorum", "2", stub(stubs.fixed(GOOD)).url,
                  broken.url).family()
    cause = cause_of(family, 7466)
    assert cause["text"] == (
        "1 of 1 checkers reached ports 7466,50800-50802, but 2 are required")
    assert cause["remedy"] == "try again later, or add more checkers"


def test_proof_says_where_a_forward_leads(stub):
    entry = {**GOOD, "state": "open", "rtt_ms": 1, "proof": "other_port", "proof_port": 50810}
    ended = verify("--json", "--ports", "50800,50810",
                   stub(stubs.fixed(lambda port: entry if port == 50800 else GOOD)).url)
    port = ports_of(ended.family())[50800]
    assert (port["good"], port["cause"], port["leads_to"]) == (False, "other_port", 50810)


def test_required_ports_decide(stub):
    checker = stub(stubs.fixed(lambda port: GOOD if port == 50800 else REFUSED))
    assert verify("--ports", PORTS, checker.url).status == NOT_OK
    assert verify("--ports", PORTS, "--required", "50800", checker.url).status == NOT_OK
    assert verify("--ports", PORTS, "--required", "", checker.url).status == OK
    assert verify("--ports", "50800", "--required", "50800", checker.url).status == OK
