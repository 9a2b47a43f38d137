# SPDX-License-Identifier: MIT
"""--receipt, and the command that verifies receipts."""
import json
import os
import pathlib
import re
import socket
import time

import jwt
import pytest

import stub as stubs
from harness import receipts, tls
from harness.waiting import eventually
from program import NOT_OK, OK, SYSTEM, UNKNOWN, USAGE, Running, verify

NO_RECEIPT = 5
KEYS = "/.well-known/jwks.json"
PORTS = "7466,50800-50803"


@pytest.fixture
def giving(start, tmp_path):
    return start(**receipts.settings(tmp_path))


@pytest.fixture
def jwks(giving, tmp_path):
    path = tmp_path / "jwks.json"
    path.write_bytes(giving.get(KEYS).body)
    return path


@pytest.fixture
def signed(jwks, tmp_path):
    """signed(header={...}, claim=value, ...): a file with a receipt that the key of `giving` has
    signed; None leaves a claim out."""
    key = (tmp_path / "receipt-key.pem").read_text()
    kid = json.loads(jwks.read_text())["keys"][0]["kid"]

    def make(header=(), **claims):
        now = int(time.time())
        lists = dict.fromkeys(("closed", "filtered", "unreachable", "limited"), "")
        said = {"iss": receipts.ISSUER, "iat": now, "exp": now + 3600, "sub": "203.0.113.7",
                "open": "7466", **lists, "proved": "7466", "vantages": [], **claims}
        said = {name: value for name, value in said.items() if value is not None}
        text = jwt.encode(said, key, algorithm="EdDSA",
                          headers={"typ": "port-receipt+jwt", "kid": kid, **dict(header)})
        path = tmp_path / "signed.txt"
        path.write_text(text + "\n")
        return path
    return make


# --- asking for receipts ------------------------------------------------------------------


def test_a_receipt_is_written_and_verified(giving, tmp_path, jwks):
    path = tmp_path / "receipts.txt"
    asked = verify(giving.url, "-p", PORTS, "--receipt", path, "--for", 'node "1" \\')
    read = verify("receipt", path, "--jwks", jwks, "--for", 'node "1" \\', "--issuer",
                  receipts.ISSUER, lan=False)

    receipt, = path.read_text().split()
    said = receipts.part(receipt, 1)
    assert (asked.status, asked.err) == (OK, "")
    assert (said["sub"], said["open"], said["proved"]) == ("127.0.0.1", PORTS, PORTS)
    assert (read.status, read.err) == (OK, "")
    assert re.fullmatch(rf"valid: {receipts.ISSUER} about 127\.0\.0\.1, from "
                        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
                        read.lines[0])
    assert [line.split(maxsplit=1) for line in read.lines[1:]] == [
        ["for", 'node "1" \\'], ["open", PORTS], ["proved", PORTS],
        ["key", receipts.part(receipt, 0)["kid"]]]


def test_the_report_is_the_same_with_and_without(giving, tmp_path):
    def report(*more):
        ended = verify(giving.url, "-p", PORTS, "--json", *more)
        return re.sub(r'"(time|\w+_ms)": ("[^"]*"|[\d.]+)', r'"\1": 0', ended.out)

    assert report() == report("--receipt", tmp_path / "receipts.txt")


def test_each_checker_gives_its_own(start, giving, tmp_path, jwks):
    """The third one gives none; the verdicts of all count."""
    (tmp_path / "b").mkdir()
    other = start(**receipts.settings(tmp_path / "b", "https://b.example"))
    mute = start()
    path = tmp_path / "receipts.txt"
    asked = verify(giving.url, other.url, mute.url, "-p", PORTS, "--receipt", path, "--quorum", 3)

    issuers = [receipts.part(text, 1)["iss"] for text in path.read_text().split()]
    assert (asked.status, issuers) == (OK, [receipts.ISSUER, "https://b.example"])
    assert asked.err == (f"port-verifier: {mute.url}: no receipt: this checker gives no receipts "
                         "(PORT_CHECKER_RECEIPT_KEY is not set): leave out receipt, or use "
                         "another checker\n")
    read = verify("receipt", path, "--jwks", jwks, lan=False)
    assert read.status == NOT_OK
    assert [line for line in read.lines if not line.startswith(" ")][1] == \
        "refused: the key set has no key with its kid"


def test_each_family_has_its_own(start, tmp_path):
    service = start(PORT_CHECKER_HOST="::", **receipts.settings(tmp_path))
    path = tmp_path / "receipts.txt"
    asked = verify(f"http://localhost:{service.port}", "-p", PORTS, "--receipt", path)

    subjects = {receipts.part(text, 1)["sub"] for text in path.read_text().split()}
    assert (asked.status, subjects) == (OK, {"127.0.0.1", "::1"})


def test_each_piece_has_its_own(start, tmp_path, jwks):
    """If a checker takes fewer ports at a time than there are."""
    keys = json.loads(jwks.read_text())
    service = start(PORT_CHECKER_MAX_PORTS=2, PORT_CHECKER_RECEIPT_ISSUER=receipts.ISSUER,
                    PORT_CHECKER_RECEIPT_KEY=tmp_path / "receipt-key.pem")
    path = tmp_path / "receipts.txt"
    asked = verify(service.url, "-p", PORTS, "--receipt", path)
    read = verify("receipt", path, "--jwks", jwks, lan=False)

    lists = [receipts.part(text, 1)["open"] for text in path.read_text().split()]
    assert len(keys["keys"]) == 1
    assert (asked.status, read.status) == (OK, OK)
    assert lists == ["7466,50800", "50801-50802", "50803"]


def test_without_any_receipt_the_file_stays_and_the_status_says_it(start, stub, tmp_path):
    path = tmp_path / "receipts.txt"
    path.write_text("old\n")
    mute = start()
    plain = stub(stubs.plain)
    for checker, why in ((mute, "this checker gives no receipts"),
                         (plain, "this checker does not know receipts")):
        ended = verify(checker.url, "-p", PORTS, "--receipt", path, "--ip", "127.0.0.1")
        assert ended.status == NO_RECEIPT, ended
        assert f"{checker.url}: no receipt: {why}" in ended.err
        assert path.read_text() == "old\n"


def test_a_strict_checker_is_asked_without(stub, tmp_path):
    """One that refuses members that it does not know."""
    checker = stub(stubs.strict)
    ended = verify(checker.url, "-p", PORTS, "--receipt", tmp_path / "r", "--ip", "127.0.0.1")

    assert ended.status == NO_RECEIPT
    assert "no receipt: " in ended.err


def test_a_checker_that_gives_none_about_an_address_is_asked_without(giving, tmp_path):
    """--ip names an address that the operator may have checked, but that is not the caller's."""
    ended = verify(giving.url, "-p", PORTS, "--receipt", tmp_path / "r", "--ip", "127.0.0.5")

    assert ended.status == NO_RECEIPT and "advertise" in ended.out
    assert ended.err == (f"port-verifier: {giving.url}: no receipt: receipts are only for your own "
                         "address: name 127.0.0.1 in provider_ip instead of 127.0.0.5, or leave "
                         "out receipt\n")


UNKNOWN_RECEIPT = "no receipt: this checker does not know receipts"


@pytest.mark.parametrize("change, complaint", [
    (lambda receipt: "x", "no receipt: its receipt is wrong: it is not three base64url parts"),
    (lambda receipt: receipt.replace(".", "..", 1), "no receipt: its receipt is wrong: it is not"),
    (lambda receipt: receipt + "=", UNKNOWN_RECEIPT), (lambda receipt: 7, UNKNOWN_RECEIPT),
    (lambda receipt: "A" * (2 << 20), UNKNOWN_RECEIPT),
], ids=["word", "dots", "padding", "number", "huge"])
def test_a_wrong_receipt_is_not_written(giving, stub, tmp_path, change, complaint):
    """A checker that gives nonsense in place of a receipt."""
    def answer(request):
        if request.method == "GET":
            reply = giving.get(request.path)
            return stubs.Answer(reply.status, reply.body)
        reply = giving.post(request.body)
        body = json.loads(reply.body)
        body["receipt"] = change(body["receipt"])
        return stubs.Answer(reply.status, body)

    path = tmp_path / "receipts.txt"
    checker = stub(answer)
    ended = verify(checker.url, "-p", PORTS, "--receipt", path)

    assert ended.status == NO_RECEIPT and not path.exists(), ended
    assert complaint in ended.err


def test_a_receipt_about_another_address_or_for_another_is_not_written(stub, signed, giving,
                                                                       tmp_path):
    for claims, why in (({}, "its sub is another address"),
                        ({"sub": "127.0.0.1", "for": "x"}, "it was made for something else (for)"),
                        ({"sub": "127.0.0.1", "exp": int(time.time()) - 1, "iat": 1},
                         "it has expired")):
        def answer(request):
            reply = giving.get(request.path) if request.method == "GET" else \
                giving.post(request.body)
            body = json.loads(reply.body)
            if "receipt" in body:
                body["receipt"] = signed(**claims).read_text().strip()
            return stubs.Answer(reply.status, body)

        ended = verify(stub(answer).url, "-p", PORTS, "--receipt", tmp_path / "r")
        assert ended.status == NO_RECEIPT and f"its receipt is wrong: {why}" in ended.err, ended


def test_the_file_is_tried_before_anything_is_checked(giving, tmp_path):
    ended = verify(giving.url, "-p", PORTS, "--receipt", tmp_path / "no/r")

    assert ended.status == SYSTEM and ended.out == ""
    assert ended.err.startswith("port-verifier: --receipt ")
    assert giving.metric("probe_attempts_total") == 0


def test_watching_replaces_the_file_after_each_round(giving, later, tmp_path):
    path = tmp_path / "receipts.txt"
    running = later.enter_context(Running("--watch", "1s", giving.url, "-p", PORTS, "--receipt",
                                          path))
    first = eventually(lambda: path.exists() and path.read_text(), "the first receipt", 20)
    second = eventually(lambda: path.read_text() != first and path.read_text(), "a newer one", 20)
    ended = running.end()

    assert (ended.status, ended.err) == (OK, "")
    times = [receipts.part(text, 1)["iat"] for text in (first, second)]
    assert times[0] < times[1] and len(second.split()) == 1


def test_a_port_that_is_reached_late_has_a_newer_receipt(giving, stub, tmp_path):
    """The first answer says that a port is filtered; when it is looked at again, it is open."""
    posts = []

    def answer(request):
        if request.method == "GET":
            reply = giving.get(request.path)
            return stubs.Answer(reply.status, reply.body)
        posts.append(request.json)
        reply = giving.post(request.body)
        body = json.loads(reply.body)
        if len(posts) == 1:
            body["results"]["7466"] = {"accessible": False, "error": "Connection timed out",
                                       "state": "filtered", "rtt_ms": None, "icmp": None}
        return stubs.Answer(reply.status, body)

    path = tmp_path / "receipts.txt"
    ended = verify(stub(answer).url, "-p", PORTS, "--receipt", path, patience=None)

    assert ended.status == OK and [post["receipt"] for post in posts] == [True, True]
    assert [receipts.part(text, 1)["open"] for text in path.read_text().split()] == \
        [PORTS, "7466"]


# --- verifying ----------------------------------------------------------------------------


def test_without_keys_it_is_read_and_not_verified(signed):
    ended = verify("receipt", signed(), lan=False)

    assert ended.status == NO_RECEIPT
    assert ended.lines[0].startswith(f"not verified: {receipts.ISSUER} about 203.0.113.7, from ")
    assert "give the keys of an issuer that you trust with --jwks" in ended.err


def test_keys_may_come_from_a_url(giving, signed, stub):
    path = signed()
    ended = verify("receipt", path, "--jwks", giving.url + KEYS, "--issuer", receipts.ISSUER,
                   lan=False)
    assert (ended.status, ended.err) == (OK, "")

    six = verify("receipt", path, "-6", "--jwks", giving.url + KEYS, lan=False)
    assert six.status == UNKNOWN

    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}{KEYS}"
        gone = verify("receipt", path, "--jwks", url, lan=False)
    assert (gone.status, gone.out) == (UNKNOWN, "")
    assert gone.err == f"port-verifier: --jwks {url}: no answer: Connection refused\n"

    for answer, why in ((stubs.NOT_FOUND, "it answered with status 404"),
                        (stubs.Answer(302, b"", [("Location", giving.url + KEYS)]),
                         "it answered with status 302"),
                        (stubs.Answer(200, []), "no key set: it is not a JSON object"),
                        (stubs.Answer(200, b"x" * (70 << 10)), "no key set: ")):
        checker = stub(lambda request, answer=answer: answer)
        ended = verify("receipt", path, "--jwks", checker.url, lan=False)
        assert (ended.status, ended.out) == (UNKNOWN, "")
        assert f"port-verifier: --jwks {checker.url}: {why}" in ended.err


def test_the_keys_of_an_issuer_are_good_for_that_issuer_alone(giving, signed):
    own = signed(iss=giving.url)
    assert verify("receipt", own, "--jwks", giving.url + KEYS, lan=False).status == OK
    assert reason(signed(), giving.url + KEYS) == ("refused", "issuer")


def test_a_url_with_https_needs_a_certificate_that_is_trusted(start, tmp_path):
    cert, key = tls.make_pair(tmp_path, "checker")
    service = start(**tls.tls_settings(cert, key), **receipts.settings(tmp_path))
    service.context = tls.trusting(cert)
    keys = service.url + KEYS
    path = tmp_path / "r"
    assert verify(service.url, "-p", PORTS, "--receipt", path, "--ca", cert).status == OK
    trusting = verify("receipt", path, "--jwks", keys, "--ca", cert, "--issuer",
                      receipts.ISSUER, lan=False)
    doubting = verify("receipt", path, "--jwks", keys, lan=False)

    assert trusting.status == OK
    assert (doubting.status, doubting.out) == (UNKNOWN, "") and "certificate" in doubting.err


def reason(path, jwks, *more):
    ended = verify("receipt", path, "--jwks", jwks, "--json", *more, lan=False)
    entry, = json.loads(ended.out)["receipts"]
    assert ended.status == (OK if entry["status"] == "valid" else NOT_OK)
    return entry["status"], entry["code"]


def test_each_fault_has_its_reason(signed, jwks, tmp_path):
    now = int(time.time())
    rows = [
        ({}, ("valid", None)),
        ({"header": {"typ": "JWT"}}, ("refused", "type")),
        ({"header": {"kid": "other"}}, ("refused", "key_unknown")),
        ({"header": {"crit": ["exp"]}}, ("refused", "critical")),
        ({"exp": now}, ("expired", "expired")),
        ({"iat": now - 7200, "exp": now - 3600}, ("expired", "expired")),
        ({"iat": now + 300}, ("refused", "early")),
        ({"exp": None}, ("refused", "claim")),
        ({"sub": "checker.example"}, ("refused", "claim")),
        ({"open": "80,80"}, ("refused", "claim")),
        ({"proved": "1"}, ("refused", "claim")),
        ({"for": "a\nb"}, ("refused", "claim")),
        ({"for": "\u001b[31m"}, ("refused", "claim")),
    ]
    for change, wanted in rows:
        if change == {"exp": now}:
            change = {"exp": now, "iat": now - 1}
        assert reason(signed(**change), jwks) == wanted, change

    assert reason(signed(**{"for": "a"}), jwks, "--for", "b") == ("refused", "for")
    assert reason(signed(), jwks, "--for", "b") == ("refused", "for")
    assert reason(signed(), jwks, "--issuer", "https://b.example") == ("refused", "issuer")

    receipt = signed().read_text().strip()
    header, claims, signature = receipt.split(".")
    none = jwt.encode(receipts.part(receipt, 1), None, algorithm="none",
                      headers={"typ": "port-receipt+jwt", "kid": receipts.part(receipt, 0)["kid"]})
    path = tmp_path / "changed.txt"
    for text, code in ((none, "algorithm"), (f"{header}.{claims}.", "signature"),
                       (f"{header}.{claims[::-1]}.{signature}", None),
                       (f"{header}=.{claims}.{signature}", "form"),
                       (f"{header}.{claims}", "form"), ("\0", "form"), ("\xff", "form"),
                       ("A" * ((1 << 20) + 1), "too_long")):
        path.write_text(text, encoding="latin-1")
        status, found = reason(path, jwks)
        assert status == "refused" and found == (code or found), text[:80]


def test_what_a_changed_receipt_says_is_not_shown(signed, jwks):
    path = signed()
    receipt = path.read_text().strip()
    path.write_text(receipt[:-8] + "AAAAAAAA")
    for more in [], ["--json"]:
        ended = verify("receipt", path, "--jwks", jwks, *more, lan=False)
        assert ended.status == NOT_OK and "203.0.113.7" not in ended.out
    assert json.loads(ended.out)["receipts"][0]["receipt"] is None


def test_json_has_everything(signed, jwks):
    path = signed(vantages=["eu-1", "us-1"], closed="1-2", proved="", **{"for": "\"x\""})
    said = receipts.part(path.read_text().strip(), 1)
    ended = verify("receipt", path, "--jwks", jwks, "--json", lan=False)

    assert ended.status == OK and ended.out.count("\n") == 1
    entry, = json.loads(ended.out)["receipts"]
    moments = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(said[name]))
               for name in ("iat", "exp")]
    assert entry == {
        "status": "valid", "code": None, "message": None,
        "receipt": {"issuer": receipts.ISSUER,
                    "key": receipts.part(path.read_text().strip(), 0)["kid"],
                    "about": "203.0.113.7", "for": "\"x\"", "from": moments[0],
                    "until": moments[1], "open": "7466", "closed": "1-2", "filtered": "",
                    "unreachable": "", "limited": "", "proved": "", "vantages": ["eu-1", "us-1"]}}


def test_one_bad_receipt_in_a_file_is_enough(signed, jwks):
    path = signed()
    path.write_text(path.read_text() + "\r\nx\n" + path.read_text())
    ended = verify("receipt", path, "--jwks", jwks, lan=False)

    assert ended.status == NOT_OK
    assert [line.split(":")[0] for line in ended.lines if not line.startswith(" ")] == \
        ["valid", "refused", "valid"]


@pytest.mark.parametrize("text, complaint", [
    (None, "No such file or directory"), ("", "has no receipt"), (" \n", "has no receipt"),
    ("x\n" * 257, "has more than 256 receipts"),
])
def test_a_file_without_receipts_is_an_error(tmp_path, jwks, text, complaint):
    path = tmp_path / "r"
    if text is not None:
        path.write_text(text)
    ended = verify("receipt", path, "--jwks", jwks, lan=False)

    assert (ended.status, ended.out) == (SYSTEM, "") and complaint in ended.err


def test_a_file_of_keys_that_is_none_gives_no_keys(signed, tmp_path):
    path = signed()
    for text, status in (("{}", UNKNOWN), (None, SYSTEM)):
        keys = tmp_path / "keys"
        keys.unlink(missing_ok=True)
        if text:
            keys.write_text(text)
        ended = verify("receipt", path, "--jwks", keys, lan=False)
        assert (ended.status, ended.out) == (status, "")
        assert f"--jwks {keys}" in ended.err


def test_wrong_arguments(tmp_path):
    for words in (["receipt"], ["receipt", "a", "b"], ["receipt", "a", "--watch", "1h"]):
        assert verify(*words, lan=False).status == USAGE


def test_a_file_needs_no_network(signed, jwks, namespace):
    """In a namespace whose loopback is down as well, and from a pipe."""
    place = namespace("offline")
    place.ip("link set lo down\n")
    path = signed()
    assert verify("receipt", path, "--jwks", jwks, inside=place).status == OK

    pipe = pathlib.Path(path.parent / "pipe")
    os.mkfifo(pipe)
    if os.fork() == 0:
        pipe.write_text(path.read_text())
        os._exit(0)
    assert verify("receipt", pipe, "--jwks", jwks, lan=False).status == OK
    os.wait()
