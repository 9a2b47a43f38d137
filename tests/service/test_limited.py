# SPDX-License-Identifier: MIT
"""An address that stops answering: what every form of the answer says about it."""
from harness import targets
from harness.http import check_body
from harness.stream import STREAM, Stream
from harness.waiting import PATIENCE
from test_openapi import FORM_BODY, JSON_BODY, OPERATIONS, conforms

FIRST, COUNT = 30000, 60
PORTS = f"{FIRST}-{FIRST + COUNT - 1}"
ANSWERED = 6  # SYNs, before the packet filter drops all others

REPLY = {"$ref": "#/components/schemas/CheckReply"}
LINE = {"$ref": "#/components/schemas/StreamLine"}
PLAIN = OPERATIONS["GET", "/check-ports"]["responses"]["200"]["content"]["text/plain"]["schema"]


def assert_limited(results, limit):
    """`results`: {port: result}."""
    limited = [result for result in results.values() if result["state"] == "limited"]
    assert len(results) == COUNT
    assert {result["state"] for result in results.values()} <= {"open", "limited"}
    assert len(limited) >= COUNT - ANSWERED
    for result in limited:
        assert (result["accessible"], result["error"]) == (False, "Connection timed out")
        assert (result["rtt_ms"], result["icmp"]) == (None, None)
    # Ports that were judged later count as answered in the end, not before.
    assert 0 <= limit["answered"] <= COUNT - len(limited)
    assert limit["rate"] == 0.0


def test_every_form_of_the_answer_tells_of_the_limit(start, packet_filter, later):
    """At the same time, by one worker: each check takes the whole time that it has."""
    for port in range(FIRST, FIRST + COUNT):
        later.enter_context(targets.listener(port=port))
    packet_filter.rule([PORTS], "tcp flags & (syn | ack) == syn "
                                f"limit rate over 1/hour burst {ANSWERED} packets drop")
    service = start(PORT_CHECKER_WORKERS=1, PORT_CHECK_TIMEOUT=5, PORT_CHECKER_DEBUG="yes")
    details, stream, brief, plain, page = (
        later.enter_context(service.connect(timeout=60 * PATIENCE)) for _ in range(5))
    details.request("POST", "/check-ports", [JSON_BODY], check_body([PORTS], details=True))
    stream.request("POST", "/check-ports", STREAM, check_body([PORTS], details=True))
    brief.request("POST", "/check-ports", [JSON_BODY], check_body([PORTS]))
    plain.request("GET", f"/check-ports?ports={PORTS}", [("Accept", "text/plain")])
    page.request("POST", "/", [FORM_BODY], f"ports={PORTS}".encode())

    lines = Stream(stream).lines()
    for line in lines:
        conforms(line, LINE)
    assert_limited({line["port"]: line for line in lines[:-1]}, lines[-1]["limit"])

    reply = details.reply()
    conforms(reply.json(), REPLY)
    assert list(reply.json()) == ["success", "results", "message", "limit"]
    assert_limited(reply.json()["results"], reply.json()["limit"])

    reply = brief.reply().json()
    assert list(reply) == ["success", "results", "message"]
    for result in reply["results"].values():
        assert list(result) == ["accessible", "error"]
        assert result["error"] in (None, "Connection timed out")

    reply = plain.reply().body.decode()
    conforms(reply, PLAIN)
    assert f"{FIRST + COUNT - 1} limited: Connection timed out\n" in reply \
        or f"{FIRST + COUNT - 1} open\n" in reply
    assert reply.count(" limited: Connection timed out\n") >= COUNT - ANSWERED

    reply = page.reply().body.decode()
    assert "Incomplete: verdicts for " in reply and "do not advertise" not in reply
    assert "The address stopped answering " in reply
    assert 'data-state="limited"' in reply

    service.wait_event("check", 5)
    for line in service.events("check"):
        assert int(line["open"]) + int(line["limited"]) == COUNT
        assert (line["filtered"], line["limit_rate"]) == ("0", "0.0")
        assert int(line["limit_answered"]) <= ANSWERED
    limited = [line for line in service.events("verdict") if line["state"] == "limited"]
    assert len(limited) == sum(int(line["limited"]) for line in service.events("check"))
    assert service.metric("verdicts_total", "limited") == len(limited)
    assert service.metric("controls_total", "missed") > 0
