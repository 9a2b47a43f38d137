# SPDX-License-Identifier: MIT
"""port-verifier, and the page without JavaScript, at a front with vantage points around a real
nats-server."""
import contextlib
import re
import urllib.parse

import pytest

from harness import nats, receipts
from harness.service import BINARY as SERVICE
from harness.waiting import eventually
from program import OK, ports_of, verify

pytestmark = pytest.mark.skipif(b"libnats.so" not in SERVICE.read_bytes(),
                                reason="a build without libnats")


FORM = [("Content-Type", "application/x-www-form-urlencoded")]


@pytest.fixture
def front(own_network, start, later, tmp_path):
    """A front, "gw", that expects eu-1, which answers, and us-1, which is not connected."""
    if not nats.program():
        pytest.skip("no nats-server")
    server = later.enter_context(contextlib.closing(nats.Nats()))
    keys = {"gw": server.key("gw", "--front", "gw"), "eu-1": server.key("eu-1", "--place", "eu-1")}
    server.start()
    place = start(**server.settings(keys["eu-1"]), PORT_CHECKER_VANTAGE="eu-1",
                  PORT_CHECKER_VANTAGE_TARGETS="any")
    made = start(**server.settings(keys["gw"]), PORT_CHECKER_FRONT="gw",
                 PORT_CHECKER_VANTAGES="eu-1,us-1", **receipts.settings(tmp_path))
    for service in place, made:
        eventually(lambda: [line for line in service.events("nats")
                            if line["message"].startswith("connected")], "it is connected")
    return made


def test_every_place_is_named_in_the_report(front):
    ended = verify("--json", "--ports", "7466,50800", front.url)
    assert ended.status == OK, ended
    family = ended.family()
    assert family["checkers"][0]["quorum"] == {"needed": 2, "places": 3}
    for port in ports_of(family).values():
        places = port["verdicts"][0]["vantages"]
        assert {name: (place.get("proof"), place.get("reason")) for name, place in places.items()} == {
            "gw": ("match", None), "eu-1": ("match", None), "us-1": (None, "no_responders")}
        assert port["cause"] == "good" and port["proved"] is True

    ended = verify("--ports", "7466,50800", front.url)
    assert re.fullmatch(r"ipv4 checker .*; places: gw and eu-1; missing: us-1 \(no responders\)",
                        ended.lines[1]), ended
    assert ended.lines[2] == "ipv4 7466 good, reached by 2 of 3: no verdict from us-1"


def test_a_receipt_names_the_places_that_counted(front, tmp_path):
    path = tmp_path / "receipts.txt"
    ended = verify("--receipt", path, "--ports", "7466,50800", front.url)
    assert ended.status == OK, ended
    ended = verify("receipt", path, "--jwks", f"{front.url}/.well-known/jwks.json", "--issuer",
                   "https://checker.example", lan=False)
    assert ended.status == OK, ended
    assert ended.lines[0].startswith("valid: https://checker.example about 127.0.0.1, ")
    assert ended.lines[1:4] == ["  open         7466,50800", "  proved       7466,50800",
                                "  seen from    gw,eu-1"]


def test_the_page_without_javascript_names_them(front, open_port):
    port = open_port()
    body = urllib.parse.urlencode({"provider_ip": "127.0.0.1", "ports": port}).encode()
    with front.connect() as connection:
        reply = connection.exchange("POST", "/", FORM, body)
    assert reply.status == 200, reply
    page = reply.body.decode()
    assert re.search(r"gw open (under )?[0-9.]+ ms, eu-1 open (under )?[0-9.]+ ms, us-1 missing \(no responders\)</span>",
                     page), page
