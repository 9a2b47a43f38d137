# SPDX-License-Identifier: MIT
"""Receipts of the service, read with PyJWT and jose as docs/receipts.md shows it."""
import json
import os
import pathlib
import re
import stat
import subprocess
import sys
import time

import jwt
import pytest

from harness import receipts
from harness.http import check_body
from harness.service import run
from harness.stream import Stream, ask
from harness.waiting import PATIENCE
from test_openapi import TOKEN, proving

TOP = pathlib.Path(__file__).resolve().parents[2]
KEYS = "/.well-known/jwks.json"


@pytest.fixture
def giving(start, tmp_path):
    return start(**receipts.settings(tmp_path))


def receipt_of(service, ports, **more):
    reply = service.post(check_body(ports, token=TOKEN, receipt=True, **more))
    assert reply.status == 200, reply
    return reply.json()["receipt"]


def key_set(service):
    return json.loads(service.get(KEYS).body)


def key_ids(service):
    return [key["kid"] for key in key_set(service)["keys"]]


def verified(service, receipt):
    """The claims, after PyJWT has verified the receipt with the keys that the service announces."""
    keys = {key.key_id: key.key for key in jwt.PyJWKSet.from_dict(key_set(service)).keys}
    kid = jwt.get_unverified_header(receipt)["kid"]
    return jwt.decode(receipt, keys[kid], algorithms=["EdDSA"], issuer=receipts.ISSUER)


# --- what they say ------------------------------------------------------------------------


def test_a_receipt_says_what_the_reply_says(giving, closed_port):
    before = int(time.time())
    with proving() as (proved, led_away, other, *_):
        ports = sorted([proved, led_away, other])
        closed = closed_port()
        body = check_body([other, closed, proved, led_away], details=True, token=TOKEN,
                          receipt=True)
        reply = giving.post(body).json()
    said = verified(giving, reply["receipt"])

    assert list(reply) == ["success", "results", "message", "receipt"]
    assert receipts.part(reply["receipt"], 0) == {
        "alg": "EdDSA", "typ": "port-receipt+jwt", "kid": key_ids(giving)[0]}
    assert before <= said["iat"] <= time.time() and said["exp"] == said["iat"] + 3600
    assert said["iss"] == receipts.ISSUER and said["sub"] == "127.0.0.1"
    assert "for" not in said
    assert ports_of(said["open"]) == ports
    assert (said["closed"], said["proved"]) == (str(closed), str(proved))
    assert (said["filtered"], said["unreachable"], said["limited"]) == ("", "", "")
    assert said["vantages"] == []


def ports_of(text):
    found = []
    for part in text.split(",") if text else []:
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def test_without_details_the_listener_is_proved_all_the_same(giving):
    with proving() as (proved, *_):
        reply = giving.post(check_body([proved], token=TOKEN, receipt=True)).json()

    assert reply["results"] == {str(proved): {"accessible": True, "error": None}}
    assert verified(giving, reply["receipt"])["proved"] == str(proved)


@pytest.mark.parametrize("text", ["node-0x1f3a", 'a "b" \\ c', "~" * 128])
def test_the_receipt_has_the_text_of_the_asker(giving, closed_port, text):
    receipt = receipt_of(giving, [closed_port()], **{"for": text})

    assert verified(giving, receipt)["for"] == text


def test_the_last_line_of_a_stream_has_it(giving, closed_port):
    port = closed_port()
    with giving.connect() as connection:
        lines = Stream(ask(connection, [port], token=TOKEN, receipt=True)).lines()

    assert [list(line) for line in lines] == [["port", "accessible", "error"],
                                              ["success", "message", "receipt"]]
    assert verified(giving, lines[-1]["receipt"])["closed"] == str(port)


def test_many_ports_fit_into_a_receipt(giving):
    """Listed from the last to the first, no two adjacent ones: the longest text, and most work.
    The serving process does it inside its sandbox."""
    ports = list(range(65535, 63487, -2))
    said = verified(giving, receipt_of(giving, ports))

    judged = [port for name in ("open", "closed") for port in ports_of(said[name])]
    assert sorted(judged) == ports[::-1]
    assert giving.metric("receipts_total") == 1


def test_without_a_wish_the_reply_is_as_before(giving, start, closed_port):
    without = start()
    port = closed_port()
    for more in ({}, {"details": True}, {"details": True, "token": TOKEN}, {"receipt": False},
                 {"for": "x"}):
        body = check_body([port], **more)
        replies = [re.sub(rb'"rtt_ms": [\d.]+', b'"rtt_ms": 0', service.post(body).body)
                   for service in (giving, without)]
        assert replies[0] == replies[1] and b"receipt" not in replies[0]


# --- who gets one -------------------------------------------------------------------------


def test_a_receipt_is_only_for_the_own_address(start, tmp_path, closed_port):
    service = start(PORT_CHECKER_TARGETS="any", **receipts.settings(tmp_path))
    port = closed_port()
    body = check_body([port], "127.0.0.9", token=TOKEN, receipt=True)
    reply = service.post(body)

    assert (reply.status, reply.json()) == (403, {
        "detail": "receipts are only for your own address: name 127.0.0.1 in provider_ip instead "
                  "of 127.0.0.9, or leave out receipt",
        "code": "receipt_not_allowed"})
    assert service.metric("refusals_total", "receipt_not_allowed") == 1
    assert service.metric("probe_attempts_total") == 0
    assert service.post(check_body([port], "127.0.0.9")).status == 200


def test_an_unknown_caller_gets_none(start, tmp_path):
    service = start(**receipts.settings(tmp_path))
    for ports in [1], []:
        body = check_body(ports, token=TOKEN, receipt=True)
        reply = service.post(body, [("Content-Type", "application/json"), ("Via", "1.1 proxy")])
        assert reply.status == (403 if ports else 422)
        assert b'"receipt":' not in reply.body


def test_a_checker_without_a_key_says_so(shared):
    reply = shared.post(check_body([1], token=TOKEN, receipt=True))

    assert (reply.status, reply.json()["detail"]) == (422, [{
        "loc": ["body", "receipt"],
        "msg": "this checker gives no receipts (PORT_CHECKER_RECEIPT_KEY is not set): leave out "
               "receipt, or use another checker",
        "type": "value_error"}])
    assert shared.get(KEYS).status == 404


def test_a_check_that_cannot_be_finished_gets_none(start, tmp_path):
    service = start(PORT_CHECKER_HOST="::1", PORT_CHECKER_TRUSTED_PROXIES="::1",
                    **receipts.settings(tmp_path))
    caller = "2001:db8::1"  # there is no route to it
    headers = [("Content-Type", "application/json"), ("X-Forwarded-For", caller)]
    reply = service.post(check_body([1], caller, token=TOKEN, receipt=True), headers)

    assert (reply.status, reply.json()["code"]) == (503, "checker_fault")
    assert set(reply.json()) == {"detail", "code"}


def test_a_client_that_leaves_gets_none(giving, silent_ports):
    body = check_body(silent_ports(5), token=TOKEN, receipt=True)
    with giving.connect() as connection:
        connection.request("POST", "/check-ports", [("Content-Type", "application/json")], body)
        while giving.metric("checks_running") == 0:
            pass
    giving.at_rest()

    assert giving.metric("receipts_total") == 0


# --- keys ---------------------------------------------------------------------------------


def test_the_keys_may_be_kept_and_pages_may_read_them(start, tmp_path):
    service = start(PORT_CHECKER_CORS_ORIGINS="https://a.example", **receipts.settings(tmp_path))
    reply = service.get(KEYS, [("Origin", "https://a.example")])
    preflight = service.exchange("OPTIONS", KEYS, [("Origin", "https://a.example"),
                                                   ("Access-Control-Request-Method", "GET")])

    assert reply.header("Content-Type") == "application/jwk-set+json"
    assert reply.header("Cache-Control") == "public, max-age=3600"
    for one in reply, preflight:
        assert one.header("Access-Control-Allow-Origin") == "https://a.example"
    assert (preflight.status, preflight.header("Access-Control-Allow-Methods")) == (204, "GET")


def test_a_change_of_keys_leaves_no_receipt_without_its_key(start, tmp_path, closed_port):
    """As docs/receipts.md describes it: every receipt can be verified with any key set that was
    served since its key was announced."""
    names = "old.pem", "new.pem"
    old, new = (receipts.new_key(tmp_path, name) for name in names)
    issuer = f"PORT_CHECKER_RECEIPT_ISSUER={receipts.ISSUER}\n"
    first, second = "PORT_CHECKER_RECEIPT_KEY", "PORT_CHECKER_RECEIPT_OTHER_KEY"
    steps = [f"{first}={old}\n", f"{first}={old}\n{second}={new}\n",
             f"{first}={new}\n{second}={old}\n", f"{first}={new}\n"]
    service = start(env_file=issuer + steps[0])
    seen = []
    for number, text in enumerate(steps):
        if number > 0:
            service.env_file.write_text(issuer + text)
            service.signal(1)
            service.wait_ready(number + 1)
        seen.append((key_ids(service), receipt_of(service, [closed_port()])))
        verified(service, seen[-1][1])

    ids = [kids for kids, _ in seen]
    signers = [receipts.part(receipt, 0)["kid"] for _, receipt in seen]
    assert signers == [ids[0][0], ids[0][0], ids[3][0], ids[3][0]]
    assert ids[1] == [ids[0][0], ids[3][0]] and ids[2] == ids[1][::-1]


def test_a_public_key_can_be_announced(start, tmp_path):
    new = receipts.new_key(tmp_path, "new.pem")
    public = tmp_path / "public.pem"
    subprocess.run(["openssl", "pkey", "-in", new, "-pubout", "-out", public], check=True,
                   timeout=20 * PATIENCE)
    service = start(PORT_CHECKER_RECEIPT_OTHER_KEY=public, **receipts.settings(tmp_path))

    assert len(set(key_ids(service))) == 2
    assert b'"d"' not in service.get(KEYS).body


def test_the_key_is_not_needed_after_the_start(start, tmp_path, closed_port):
    """Its file may be unreadable for the serving process, and gone."""
    settings = receipts.settings(tmp_path)
    service = start(**settings)
    os.unlink(settings["PORT_CHECKER_RECEIPT_KEY"])

    verified(service, receipt_of(service, [closed_port()]))
    service.signal(1)
    assert "receipt-key.pem" in service.wait_event("reload_refused")["reason"]
    verified(service, receipt_of(service, [closed_port()]))


def test_openssl_s_keys_are_keys(start, tmp_path, closed_port):
    path = tmp_path / "key.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", path], check=True,
                   timeout=20 * PATIENCE)
    service = start(PORT_CHECKER_RECEIPT_KEY=path, PORT_CHECKER_RECEIPT_ISSUER=receipts.ISSUER)

    verified(service, receipt_of(service, [closed_port()]))


def test_a_new_key_is_written_for_its_owner_only_and_overwrites_nothing(tmp_path):
    umask = os.umask(0)
    try:
        made = run("--new-receipt-key", "key.pem", directory=tmp_path)
    finally:
        os.umask(umask)
    path = tmp_path / "key.pem"
    text = path.read_text()
    again = run("--new-receipt-key", "key.pem", directory=tmp_path)
    (tmp_path / "link").symlink_to("nowhere")
    linked = run("--new-receipt-key", "link", directory=tmp_path)
    nowhere = run("--new-receipt-key", "no/key.pem", directory=tmp_path)

    assert re.fullmatch(r"key\.pem has a new key with the id [\w-]{43}\n", made.stdout)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (again.returncode, again.stderr) == (
        2, "port-checker: key.pem exists, and is not overwritten: name a new file\n")
    assert path.read_text() == text and (linked.returncode, nowhere.returncode) == (2, 1)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["key.pem", "link"]


@pytest.mark.parametrize("more, complaint", [
    ({"PORT_CHECKER_RECEIPT_ISSUER": None}, "PORT_CHECKER_RECEIPT_ISSUER is not set, but"),
    ({"PORT_CHECKER_RECEIPT_KEY": None}, "PORT_CHECKER_RECEIPT_KEY is not set, but"),
    ({"PORT_CHECKER_RECEIPT_KEY": "nowhere"},
     "PORT_CHECKER_RECEIPT_KEY: nowhere: No such file or directory"),
    ({"PORT_CHECKER_RECEIPT_KEY": "rsa.pem"},
     'PORT_CHECKER_RECEIPT_KEY="rsa.pem": it must be an unencrypted Ed25519 private key in PEM: '
     "it is a key of another algorithm (RSA)"),
    ({"PORT_CHECKER_RECEIPT_KEY": "public.pem"},
     'PORT_CHECKER_RECEIPT_KEY="public.pem": it must be an unencrypted Ed25519 private key in '
     "PEM: it is a public key"),
    ({"PORT_CHECKER_RECEIPT_OTHER_KEY": "rsa.pem"},
     'PORT_CHECKER_RECEIPT_OTHER_KEY="rsa.pem": it must be an unencrypted Ed25519 private or '
     "public key in PEM"),
    ({"PORT_CHECKER_RECEIPT_ISSUER": "checker.example"},
     'PORT_CHECKER_RECEIPT_ISSUER="checker.example" (from the environment) is not valid'),
    ({"PORT_CHECKER_RECEIPT_ISSUER": "https://checker.example/"}, "(leave out the trailing slash)"),
])
def test_what_makes_no_sense_stops_the_start(tmp_path, more, complaint):
    settings = {**receipts.settings(tmp_path), **more}
    for words in (["genpkey", "-algorithm", "rsa", "-out", "rsa.pem"],
                  ["pkey", "-in", "receipt-key.pem", "-pubout", "-out", "public.pem"]):
        subprocess.run(["openssl", *words], cwd=tmp_path, check=True, capture_output=True,
                       timeout=60 * PATIENCE)
    settings = {name: value for name, value in settings.items() if value is not None}
    ended = run("--check-config", directory=tmp_path, **settings)

    assert ended.returncode == 2 and complaint in ended.stderr, ended.stderr


# --- the examples of docs/receipts.md -----------------------------------------------------


def example(name):
    page = (TOP / "docs/receipts.md").read_text()
    code, = re.findall(rf"<!-- receipt: {name} -->\n```\w+\n(.*?)```", page, re.DOTALL)
    assert len(code.splitlines()) == 5
    return code


def by_pyjwt(folder):
    code = example("PyJWT") + "print(json.dumps(said))\n"
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True,
                          text=True, timeout=30 * PATIENCE)


def by_jose(folder):
    """It finds the module in the folder above its own."""
    script = folder / "read.mjs"
    script.write_text(example("jose") + "console.log(JSON.stringify(said));\n")
    modules = folder / "node_modules"
    if not modules.exists():
        modules.symlink_to(TOP / "tests/receipts/node_modules")
    return subprocess.run(["node", script], cwd=folder, capture_output=True, text=True,
                          timeout=60 * PATIENCE)


LIBRARIES = [by_pyjwt, pytest.param(by_jose, marks=pytest.mark.heavy)]


@pytest.mark.parametrize("read", LIBRARIES)
def test_the_examples_accept_a_receipt_and_no_other(giving, tmp_path, closed_port, read):
    receipt = receipt_of(giving, [closed_port()], **{"for": "node-1"})
    header, claims, signature = receipt.split(".")
    changed = ("A" if claims[20] != "A" else "B").join((claims[:20], claims[21:]))
    (tmp_path / "jwks.json").write_bytes(giving.get(KEYS).body)
    public = json.loads(giving.get(KEYS).body)["keys"][0]
    wrong = [f"{header}.{changed}.{signature}", f"{header}.{claims}.", receipt[:-4] + "AAAA",
             *(jwt.encode(receipts.part(receipt, 1), key, algorithm=algorithm,
                          headers={"typ": "port-receipt+jwt", "kid": public["kid"]})
               for algorithm, key in (("none", None), ("HS256", public["x"])))]
    for text in wrong:
        (tmp_path / "receipts.txt").write_text(text + "\n")
        ended = read(tmp_path)
        assert ended.returncode != 0 and ended.stdout == "", (text, ended)

    (tmp_path / "receipts.txt").write_text(f"{receipt}\n{wrong[0]}\n")
    ended = read(tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout) == verified(giving, receipt)


@pytest.mark.parametrize("read", LIBRARIES)
def test_the_examples_refuse_other_issuers_types_and_times(giving, tmp_path, read):
    """Tokens that the key of this checker has signed, but that are not its receipts."""
    key = (tmp_path / "receipt-key.pem").read_text()
    head = {"typ": "port-receipt+jwt", "kid": key_ids(giving)[0]}
    now = int(time.time())
    good = {"iss": receipts.ISSUER, "iat": now, "exp": now + 60, "sub": "203.0.113.7"}
    (tmp_path / "jwks.json").write_bytes(giving.get(KEYS).body)
    rows = [(good, head, True), ({**good, "iss": "https://b.example"}, head, False),
            ({**good, "iat": now + 40, "exp": now + 3640}, head, True),  # a clock that is ahead
            ({**good, "exp": now - 120}, head, False), (good, {**head, "typ": "JWT"}, False),
            (good, {**head, "kid": "other"}, False)]
    for claims, header, is_good in rows:
        text = jwt.encode(claims, key, algorithm="EdDSA", headers=header)
        (tmp_path / "receipts.txt").write_text(text + "\n")
        assert (read(tmp_path).returncode == 0) == is_good, (claims, header)
