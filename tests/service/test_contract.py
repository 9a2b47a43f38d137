# SPDX-License-Identifier: MIT
"""The wire contract, byte by byte: what clients in production rely on."""
import json
import re
import time

import pytest

from harness import targets
from harness.http import check_body, chunked
from harness.waiting import PATIENCE

JSON = ("Content-Type", "application/json")

INTEGER = ("value is not a valid integer", "type_error.integer")
RANGE = ("Invalid port range: write it as first-last, both 1-65535, first not above last",
         "value_error")
ADDRESS = ("value is not a valid IPv4 or IPv6 address: write one such as 203.0.113.7 or "
           "2001:db8::7, no name, port, brackets or zone", "value_error")
MISSING = ("field required", "value_error.missing")
NOT_JSON = ("value is not a valid dict: send JSON with Content-Type: application/json",
            "type_error.dict")


def fault(loc, told):
    return {"loc": ["body", *loc], "msg": told[0], "type": told[1]}


def invalid_port(number):
    return (f"Invalid port number: {number}", "value_error")


def assert_faults(reply, *faults):
    """The whole body, byte by byte, including spacing and the order of members."""
    assert reply.status == 422, reply
    assert reply.header("Content-Type") == "application/json"
    assert reply.body.decode() == json.dumps({"detail": list(faults)})


def entry(is_open):
    return {"accessible": is_open, "error": None if is_open else "Connection refused"}


# --- a check ------------------------------------------------------------------------------


def test_a_check_is_answered_with_exactly_the_keys_of_the_contract(
        shared, open_port, closed_port):
    first, second, third = open_port(), open_port(), closed_port()
    reply = shared.check([first, second, third])

    assert reply.status == 200
    assert reply.header("Content-Type") == "application/json"
    assert reply.body.decode() == json.dumps({
        "success": True,
        "results": {first: entry(True), second: entry(True), third: entry(False)},
        "message": "Successfully verified 2 out of 3 ports",
    })


def test_no_open_port_is_no_success_and_still_a_200(shared, closed_port):
    port = closed_port()
    reply = shared.check([port])

    assert reply.status == 200
    assert reply.body.decode() == json.dumps({
        "success": False,
        "results": {port: entry(False)},
        "message": "Successfully verified 0 out of 1 ports",
    })


def test_an_empty_list_is_answered_at_once(shared):
    reply = shared.check([])

    assert reply.status == 200
    assert reply.body.decode() == json.dumps({
        "success": False, "results": {},
        "message": "Successfully verified 0 out of 0 ports",
    })


def test_results_keep_the_order_in_which_ports_were_first_listed(shared, open_port):
    here = open_port()
    asked = [9, 65535, here, "200-203", 7, 202, "8", 1, 203, 204]
    results = shared.check(asked).json()["results"]

    expected = [9, 65535, here, 200, 201, 202, 203, 7, 8, 1, 204]
    assert list(results) == [str(port) for port in expected]


def test_a_port_listed_twice_is_probed_shown_and_counted_once(start, open_port):
    service, port = start(), open_port()
    before = service.metric("probe_attempts_total")
    reply = service.check([port, str(port), port, float(port), f"{port}-{port}"])

    assert reply.json() == {
        "success": True, "results": {str(port): entry(True)},
        "message": "Successfully verified 1 out of 1 ports",
    }
    assert service.metric("probe_attempts_total") == before + 1


@pytest.mark.parametrize("written", ["20000", "20000.0", "2e4", "2.0e+4", '"20000"',
                                     '"20000-20000"'])
def test_a_port_may_be_written_as(shared, written):
    body = f'{{"provider_ip": "127.0.0.1", "ports": [{written}]}}'.encode()

    assert list(shared.post(body).json()["results"]) == ["20000"]


def test_leading_zeros_make_no_other_port(shared):
    assert list(shared.check(["00080", 80, "080-0081"]).json()["results"]) == ["80", "81"]


def test_the_whole_range_of_ports_can_be_asked_about(shared):
    results = shared.check(["1-3", "65533-65535"]).json()["results"]

    assert list(results) == ["1", "2", "3", "65533", "65534", "65535"]


def test_1024_ports_are_one_request(shared):
    reply = shared.check(["1-1024", 1, "5-80"])

    assert reply.json()["message"] == "Successfully verified 0 out of 1024 ports"
    assert len(reply.json()["results"]) == 1024


def test_details_add_state_and_round_trip_to_each_port(shared, open_port, closed_port):
    here, gone = open_port(), closed_port()
    results = shared.check([here, gone], details=True).json()["results"]

    for port in (here, gone):
        assert list(results[str(port)]) == ["accessible", "error", "state", "rtt_ms", "icmp"]
    assert results[str(here)]["state"] == "open"
    assert results[str(gone)]["state"] == "closed"
    for port in (here, gone):
        assert 0 <= results[str(port)]["rtt_ms"] < 1000 * PATIENCE


def test_a_silent_port_has_no_round_trip(shared, silent_ports):
    port, = silent_ports(1)
    results = shared.check([port], details=True).json()["results"]

    assert results[str(port)] == {"accessible": False, "error": "Connection timed out",
                                  "state": "filtered", "rtt_ms": None, "icmp": None}


def test_details_that_are_false_add_nothing(shared, closed_port):
    port = closed_port()
    results = shared.check([port], details=False).json()["results"]

    assert results == {str(port): entry(False)}


def test_unknown_members_are_ignored(shared, closed_port):
    port = closed_port()
    plain = shared.check([port])
    body = check_body([port], hello=[1, {"a": None}], Ports=[1], PROVIDER_IP="::")

    assert shared.post(body).body == plain.body


def test_the_last_of_two_members_with_one_name_counts(shared):
    body = b'''{"provider_ip": "no", "ports": [1], "details": 7,
                "ports": [2, 3], "provider_ip": "127.0.0.1", "details": false}'''

    assert list(shared.post(body).json()["results"]) == ["2", "3"]


def test_a_byte_order_mark_is_skipped(shared):
    reply = shared.post(b"\xef\xbb\xbf" + check_body([1]))

    assert reply.status == 200


@pytest.mark.parametrize("kind", [
    None, "application/json", "application/json; charset=utf-8",
    "application/json;charset=latin-1", "APPLICATION/Json", "application/problem+json",
    "application/vnd.api+json; x=y",
])
def test_json_may_come_as_content_type(shared, kind):
    headers = [("Content-Type", kind)] if kind else []

    assert shared.post(check_body([1]), headers).status == 200


@pytest.mark.parametrize("kind", [
    "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
    "text/json", "application/jsonp", "application/json, text/plain", "application/+json",
    "application/", "json", "application/json/plain", "text/plain; application/json",
])
def test_other_content_types_are_no_json(shared, kind):
    reply = shared.post(check_body([1]), [("Content-Type", kind)])

    assert_faults(reply, fault([], NOT_JSON))


def test_two_content_types_are_no_json(shared):
    reply = shared.post(check_body([1]), [JSON, ("Content-Type", "text/plain")])

    assert_faults(reply, fault([], NOT_JSON))


@pytest.mark.parametrize("address", ["::1", "::ffff:127.0.0.1", "127.8.9.10", "0:0::1",
                                     "::FFFF:7f00:1", "::ffff:127.0.0.1"])
def test_addresses_of_both_families_are_taken(shared, address):
    assert shared.check([1], address).status == 200


# --- 422 ----------------------------------------------------------------------------------


@pytest.mark.parametrize("body, loc, told", [
    (b"", [], MISSING),
    (b"null", [], MISSING),
    (b" null ", [], MISSING),
    (b"\xef\xbb\xbfnull", [], MISSING),
    (b"[]", [], ("value is not a valid dict", "type_error.dict")),
    (b"7", [], ("value is not a valid dict", "type_error.dict")),
    (b'"text"', [], ("value is not a valid dict", "type_error.dict")),
    (b"true", [], ("value is not a valid dict", "type_error.dict")),
])
def test_a_body_that_is_no_object(shared, body, loc, told):
    assert_faults(shared.post(body), fault(loc, told))


def test_no_body_at_all(shared):
    assert_faults(shared.exchange("POST", "/check-ports"), fault([], MISSING))


@pytest.mark.parametrize("body, offset, message", [
    (b"{", 1, "string or '}' expected near end of file"),
    (b"nope", 4, "invalid token near 'nope'"),
    (b'{"a" 1}', 6, "':' expected near '1'"),
    (b'{"a": 1,}', 9, "string or '}' expected near '}'"),
    (b"[1", 2, "']' expected near end of file"),
    (b"{} {}", 4, "end of file expected near '{'"),
    (b"\xef\xbb\xbf{} {}", 7, "end of file expected near '{'"),
    (b"9223372036854775808", 19, "too big integer near '9223372036854775808'"),
    (b"-9223372036854775809", 20, "too big negative integer near '-9223372036854775809'"),
    (b"123456789012345678901", 21, "too big integer"),
    (b'"\\ud800"', 8, "invalid Unicode '\\uD800' near '\"\\ud800\"'"),
])
def test_a_body_that_is_not_json_says_where(shared, body, offset, message):
    assert_faults(shared.post(body), fault([offset], (message, "value_error.jsondecode")))


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["no mark", "mark"])
@pytest.mark.parametrize("encoding", ["UTF-16LE", "UTF-16BE", "UTF-32LE", "UTF-32BE"])
def test_a_body_in_another_encoding_is_told_which(shared, encoding, mark):
    body = (mark + '{"provider_ip": "127.0.0.1", "ports": [1]}').encode(encoding)

    assert_faults(shared.post(body), fault(
        [0], (f"the body is encoded as {encoding}: send it as UTF-8",
              "value_error.jsondecode")))


@pytest.mark.parametrize("body", [
    b" ", b"\xef\xbb\xbf", b"{'provider_ip': 1}", b"NaN", b"-",
    b"1e999", b'{"a": 01}', b'{"a": .5}', b'{"a": "\xff"}', b'{"a": "\x00"}', b"\x00",
    b'{"provider_ip": "127.0.0.1", "ports": [1]} // comment',
    b'{"provider_ip": "127.0.0.1", "ports": [184467440737095516160]}',
])
def test_other_bodies_that_are_not_json(shared, body):
    reply = shared.post(body)

    assert reply.status == 422, reply
    told, = reply.json()["detail"]
    assert set(told) == {"loc", "msg", "type"}
    assert told["type"] == "value_error.jsondecode"
    assert told["loc"][0] == "body" and 0 <= told["loc"][1] <= len(body)
    assert told["msg"]


@pytest.mark.parametrize("body, missing", [
    (b"{}", ["provider_ip", "ports"]),
    (b'{"provider_ip": null, "ports": null}', ["provider_ip", "ports"]),
    (b'{"ports": []}', ["provider_ip"]),
    (b'{"provider_ip": "127.0.0.1"}', ["ports"]),
    (b'{"provider_ip": "127.0.0.1", "ports": null}', ["ports"]),
    (b'{"provider_ip": "127.0.0.1", "PORTS": []}', ["ports"]),
])
def test_what_is_missing_is_named(shared, body, missing):
    assert_faults(shared.post(body), *[fault([name], MISSING) for name in missing])


@pytest.mark.parametrize("ports", ["1", "{}", '"1-2"', "true", "1.5", '{"0": 1}'])
def test_ports_that_are_no_list(shared, ports):
    body = f'{{"provider_ip": "127.0.0.1", "ports": {ports}}}'.encode()

    assert_faults(shared.post(body),
                  fault(["ports"], ("value is not a valid list", "type_error.list")))


@pytest.mark.parametrize("element, told", [
    ("true", INTEGER), ("false", INTEGER), ("null", INTEGER), ("20000.5", INTEGER),
    ("1e-3", INTEGER), ("[]", INTEGER), ("[1]", INTEGER), ("{}", INTEGER),
    ('""', INTEGER), ('"+80"', INTEGER), ('"0x50"', INTEGER), ('" 80"', INTEGER),
    ('"80 "', INTEGER), ('"80.0"', INTEGER), ('"8e1"', INTEGER), ('"000080"', INTEGER),
    ('"http"', INTEGER), ('"80\\u0000"', INTEGER), ('"\\u0668\\u0660"', INTEGER),
    ('"8_0"', INTEGER), ('"-80"', INTEGER),
    ('"1-"', RANGE), ('"1-2-3"', RANGE), ('"1 - 2"', RANGE), ('"2-1"', RANGE),
    ('"0-1"', RANGE), ('"1-65536"', RANGE), ('"1--2"', RANGE), ('"a-b"', RANGE),
    ('"1-+2"', RANGE), ('"1-2\\u0000"', RANGE), ('"1-99999999999999999999"', RANGE),
    ("0", invalid_port(0)), ("-1", invalid_port(-1)), ("65536", invalid_port(65536)),
    ("-0", invalid_port(0)), ("65536.0", invalid_port(65536)), ('"0"', invalid_port(0)),
    ('"99999"', invalid_port(99999)), ("1e5", invalid_port(100000)),
    ("9223372036854775807", invalid_port(9223372036854775807)),
    ("-9223372036854775808", invalid_port(-9223372036854775808)),
])
def test_an_element_that_is_no_port(shared, element, told):
    body = f'{{"provider_ip": "127.0.0.1", "ports": [1, {element}]}}'.encode()

    assert_faults(shared.post(body), fault(["ports", 1], told))


@pytest.mark.parametrize("ports", [["1-1025"], list(range(1, 1026)), ["1-65535"],
                                   ["1-1024", 1025], ["2-1025", "1-1"]])
def test_more_distinct_ports_than_allowed(shared, ports):
    told = ("too many ports: at most 1024 different ones may be asked for at once",
            "value_error")

    assert_faults(shared.check(ports), fault(["ports"], told))


def test_max_ports_counts_distinct_ports_only(start):
    service = start(PORT_CHECKER_MAX_PORTS=2)
    told = ("too many ports: at most 2 different ones may be asked for at once",
            "value_error")

    assert service.check([1, 2, 1, "1-2"]).status == 200
    assert_faults(service.check([1, 2, 1, 3]), fault(["ports"], told))


@pytest.mark.parametrize("address", [
    "", "localhost", "example.org", "1", "127.1", "127.0.0", "0177.0.0.1", "127.0.0.01",
    "0x7f.0.0.1", "2130706433", "127.0.0.1.", "127.0.0.1 ", " 127.0.0.1", "127.0.0.1:80",
    "127.0.0.1/32", "[::1]", "::1%lo", "fe80::1%eth0", ":::1", "1::2::3", "12345::", "::g",
    "127.0.0.256", "127.0.0.1\0", "\u0661\u0662\u0667.0.0.1", "1:2:3:4:5:6:7:8:9",
    "::ffff:127.1", "1" * 5000,
])
def test_a_text_that_is_no_address(shared, address):
    assert_faults(shared.check([1], address), fault(["provider_ip"], ADDRESS))


@pytest.mark.parametrize("value", [1, 2130706433, True, ["127.0.0.1"], {"ip": "127.0.0.1"}])
def test_an_address_that_is_no_text(shared, value):
    told = ("str type expected", "type_error.str")

    assert_faults(shared.check([1], value), fault(["provider_ip"], told))


@pytest.mark.parametrize("value", [0, 1, "true", "", [], None])
def test_details_that_are_no_boolean(shared, value):
    told = ("value could not be parsed to a boolean", "type_error.bool")
    body = check_body([1], details=value)

    assert_faults(shared.post(body), fault(["details"], told))


def test_all_faults_are_told_in_order(shared):
    reply = shared.check([0, "x", 5, "9-8"], "nowhere", details="yes")
    told = reply.json()["detail"]

    assert [one["loc"][1:] for one in told] == [
        ["provider_ip"], ["ports", 0], ["ports", 1], ["ports", 3], ["details"]]


def test_reading_stops_at_the_20th_fault(shared):
    faults = [fault(["ports", i], invalid_port(0)) for i in range(20)]

    assert_faults(shared.check([0] * 20), *faults)
    assert_faults(shared.check([0] * 21), *faults)
    assert_faults(shared.check([0] * 10000, details="yes"), *faults)


# --- other refusals -----------------------------------------------------------------------


NEVER = [
    "0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "ff02::1", "fe80::1", "febf::1", "::ffff:0.0.0.0", "::ffff:224.0.0.1", "::7f00:1",
    "64:ff9b::e000:1", "2002:e000:1::",
]


@pytest.mark.parametrize("setting", ["auto", "caller", "public", "any"])
def test_some_addresses_are_never_probed(start, setting):
    service = start(PORT_CHECKER_TARGETS=setting)
    for address in NEVER:
        reply = service.check([1], address)

        assert reply.status == 403, (address, reply)
        assert list(reply.json()) == ["detail", "code"]
        assert reply.json()["code"] == "target_not_allowed"
    assert service.metric("probe_attempts_total") == 0


@pytest.mark.parametrize("path", ["/index.html", "/nowhere", "/check-ports/x", "/Health",
                                  "//health",
                                  "/health//", "/check-ports%2f", "/health/../ip", "*"])
def test_an_unknown_path_is_a_404(shared, path):
    reply = shared.get(path)

    assert reply.status == 404, reply
    assert reply.body == b'{"detail": "Not Found"}'


@pytest.mark.parametrize("path, root", [
    ("/nowhere", "./"), ("/a/b/c", "./../../"), ("/" * 2000, "./" + "../" * 1999)])
def test_an_unknown_path_is_a_page_to_a_browser(shared, path, root):
    accept = [("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")]
    with shared.connect() as connection:
        get = connection.exchange("GET", path, accept)
        head = connection.exchange("HEAD", path, accept)
        assert get.status == head.status == 404
        assert get.header("Content-Type") == "text/html; charset=utf-8"
        assert f'href="{root}style.css"'.encode() in get.body
        assert head.header("Content-Length") == str(len(get.body)) and head.body == b""
        assert connection.exchange("GET", "/health").status == 200


def test_the_reference_leads_away_from_a_folder_of_its_name(shared):
    reply = shared.get("/docs/")

    assert reply.status == 308
    assert reply.header("Location") == "../docs"


@pytest.mark.parametrize("path, allow, methods", [
    ("/check-ports", "POST", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "post"]),
    ("/health", "GET, HEAD", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"]),
    ("/ip", "GET, HEAD", ["POST", "OPTIONS"]),
    ("/metrics/", "GET, HEAD", ["POST", "OPTIONS"]),
])
def test_another_method_is_a_405_that_says_what_is_allowed(shared, path, allow, methods):
    for method in methods:
        reply = shared.exchange(method, path)

        assert reply.status == 405, (method, reply)
        assert reply.header("Allow") == allow
        assert method == "HEAD" or reply.json() == {"detail": "Method Not Allowed"}


def padded(size):
    body = check_body([1])
    return body + b" " * (size - len(body))


def test_a_body_of_64_kib_is_read(shared):
    assert shared.post(padded(65536)).status == 200


@pytest.mark.parametrize("size", [65537, 100_000, 10 << 20])
def test_a_larger_body_is_a_413(shared, size):
    reply = shared.post(padded(size))

    assert reply.status == 413, reply
    assert list(reply.json()) == ["detail", "code"]
    assert reply.json()["code"] == "body_too_large"
    assert "64 KiB" in reply.json()["detail"]


def test_a_larger_body_in_chunks_is_a_413(shared):
    with shared.connect() as connection:
        connection.request("POST", "/check-ports", [JSON, ("Transfer-Encoding", "chunked")])
        connection.send(chunked(*[b" " * 1000] * 66))

        assert connection.reply().status == 413


def test_a_larger_body_is_refused_before_it_is_sent(shared):
    with shared.connect() as connection:
        connection.request("POST", "/check-ports", [
            JSON, ("Content-Length", 1 << 30), ("Expect", "100-continue")])

        assert connection.reply().status == 413


@pytest.mark.parametrize("path", ["/health", "/ip", "/"])
def test_a_body_where_none_is_wanted_is_held_to_the_same_limit(shared, path):
    with shared.connect() as connection:
        for size, status in [(2, 200), (65536, 200), (65537, 413)]:
            connection.request("GET", path, body=b" " * size)
            assert connection.reply().status == status


def test_a_get_with_a_body_is_refused_or_read_over_but_never_misread(shared):
    with shared.connect() as connection:
        inner = b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"
        connection.request("GET", "/health", body=inner)
        statuses = [connection.reply().status]
        connection.half_close()

        assert statuses in ([200], [413])
        assert b"404" not in connection.rest()


@pytest.mark.parametrize("headers", [
    [("X-Long", "x" * 8192)],
    [(f"X-{i}", "y" * 80) for i in range(100)],
])
def test_headers_beyond_8_kib_are_a_431(shared, headers):
    reply = shared.get("/health", headers)

    assert reply.status == 431, reply
    assert reply.json()["code"] == "headers_too_large"


def test_headers_of_almost_8_kib_are_fine(shared):
    assert shared.get("/health", [("X-Long", "x" * 7900)]).status == 200


def test_a_request_line_beyond_8_kib_is_refused(shared):
    assert shared.get("/health?" + "x" * 9000).status in (414, 431)


# --- the small routes, and HTTP -----------------------------------------------------------


def test_health(shared):
    reply = shared.get("/health")

    assert (reply.status, reply.body) == (200, b'{"status": "ok"}')
    assert reply.header("Content-Type") == "application/json"


def test_ip_is_the_caller(shared):
    reply = shared.get("/ip")

    assert (reply.status, reply.body) == (200, b'{"ip": "127.0.0.1", "family": 4}')
    assert shared.get("/ip", source="127.0.0.9").json()["ip"] == "127.0.0.9"


def test_ip_over_ipv6(start):
    service = start(PORT_CHECKER_HOST="::1")

    assert service.get("/ip").body == b'{"ip": "::1", "family": 6}'


def test_ip_of_a_mapped_caller_is_ipv4(start):
    service = start(PORT_CHECKER_HOST="::")

    assert service.get("/ip", host="127.0.0.1").json() == {"ip": "127.0.0.1", "family": 4}


@pytest.mark.parametrize("path", ["/health", "/ip", "/metrics", "/health?x=/y", "/ip?"])
def test_a_slash_at_the_end_makes_no_difference(shared, path):
    name, mark, query = path.partition("?")

    assert shared.get(name + "/" + mark + query).status == 200
    assert shared.get(path).status == 200


def test_a_slash_at_the_end_of_a_check_makes_no_difference(shared):
    reply = shared.exchange("POST", "/check-ports/", [JSON], check_body([1]))

    assert reply.status == 200


@pytest.mark.parametrize("path", ["/health", "/ip", "/nowhere"])
def test_head_is_get_without_the_body(shared, path):
    with shared.connect() as connection:
        get = connection.exchange("GET", path)
        head = connection.exchange("HEAD", path)

        assert head.status == get.status
        assert head.header("Content-Length") == str(len(get.body))
        assert head.header("Content-Type") == get.header("Content-Type")
        assert connection.exchange("GET", "/health").status == 200


def test_every_reply_names_the_server(shared):
    pattern = re.compile(r"port-checker/\d+\.\d+\.\d+")
    replies = [shared.get("/health"), shared.get("/nowhere"), shared.check([1]),
               shared.post(b"{"), shared.check([1], "0.0.0.0"),
               shared.exchange("PUT", "/ip"),
               shared.get("/health", [("X", "x" * 9000)]), shared.post(b" " * 70000)]

    assert [r.status for r in replies] == [200, 404, 200, 422, 403, 405, 431, 413]
    for reply in replies:
        assert pattern.fullmatch(reply.header("Server")), reply


def test_every_error_of_ours_has_a_detail(shared):
    for reply in (shared.get("/x"), shared.exchange("PUT", "/ip"), shared.post(b"x"),
                  shared.check([1], "::"), shared.post(b" " * 70000),
                  shared.get("/health", [("Content-Length", "1")] * 2)):
        assert reply.status >= 400 and reply.json()["detail"], reply


def test_a_connection_is_kept_and_used_again(shared, closed_port):
    port = closed_port()
    with shared.connect() as connection:
        for _ in range(20):
            assert connection.exchange("GET", "/health").status == 200
            reply = connection.exchange("POST", "/check-ports", [JSON], check_body([port]))
            assert reply.status == 200


def test_pipelined_requests_are_answered_in_their_order(shared, silent_ports, open_port):
    silent, here = silent_ports(1)[0], open_port()
    with shared.connect() as connection:
        connection.request("POST", "/check-ports", [JSON], check_body([silent]))
        connection.request("GET", "/ip")
        connection.request("POST", "/check-ports", [JSON], check_body([here]))
        connection.request("GET", "/nowhere")

        assert list(connection.reply().json()["results"]) == [str(silent)]
        assert connection.reply().json()["ip"] == "127.0.0.1"
        assert list(connection.reply().json()["results"]) == [str(here)]
        assert connection.reply().status == 404


def test_connection_close_is_obeyed(shared):
    with shared.connect() as connection:
        reply = connection.exchange("GET", "/health", [("Connection", "close")])

        assert reply.header("Connection").lower() == "close"
        assert connection.is_ended()


def test_http_1_0_is_answered_and_closed(shared):
    with shared.connect() as connection:
        reply = connection.exchange("GET", "/health", version="HTTP/1.0", host=False)

        assert (reply.status, reply.body) == (200, b'{"status": "ok"}')
        assert connection.is_ended()


def test_a_check_over_http_1_0_as_a_proxy_speaks_it(start, open_port, add_address):
    service = start(PORT_CHECKER_TRUSTED_PROXIES="127.0.0.1")
    caller = add_address("192.168.55.1")
    port = open_port(caller)
    with service.connect() as connection:
        reply = connection.exchange(
            "POST", "/check-ports", [JSON, ("X-Forwarded-For", caller)],
            check_body([port], caller), version="HTTP/1.0")

        assert reply.json()["success"] is True
        assert connection.is_ended()


def test_a_body_in_chunks(shared, open_port):
    port = open_port()
    body = check_body([port])
    with shared.connect() as connection:
        for cut in range(1, len(body), 7):
            connection.request("POST", "/check-ports",
                               [JSON, ("Transfer-Encoding", "chunked")])
            connection.send(chunked(body[:cut], body[cut:]))
            assert connection.reply().json()["success"] is True


def test_expect_continue_is_answered_before_the_body(shared, open_port):
    body = check_body([open_port()])
    with shared.connect() as connection:
        connection.request("POST", "/check-ports", [
            JSON, ("Expect", "100-continue"), ("Content-Length", len(body))])
        assert connection.reply().status == 100
        connection.send(body)

        assert connection.reply().json()["success"] is True


def test_a_request_may_come_byte_by_byte(shared, open_port):
    body = check_body([open_port()])
    head = f"POST /check-ports HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    with shared.connect() as connection:
        for byte in head.encode() + body:
            connection.send(bytes([byte]))

        assert connection.reply().json()["success"] is True


# --- other origins ------------------------------------------------------------------------

SITE = "https://example.org"


def test_without_cors_no_page_of_another_site_is_let_in(shared):
    reply = shared.get("/ip", [("Origin", SITE)])

    assert reply.header("Access-Control-Allow-Origin") is None
    assert shared.exchange("OPTIONS", "/ip", [("Origin", SITE)]).status == 405


def test_a_listed_origin_may_read_replies_and_errors(start):
    service = start(PORT_CHECKER_CORS_ORIGINS=f"https://other.net {SITE}")
    origin = ("Origin", SITE)

    for reply in (service.get("/health", [origin]), service.get("/ip", [origin]),
                  service.check([1], headers=[origin]), service.post(b"x", [origin])):
        assert reply.header("Access-Control-Allow-Origin") == SITE, reply
        assert reply.header("Vary") == "Origin"
        assert reply.header("Access-Control-Expose-Headers") == "Retry-After"


def test_a_listed_origin_learns_why_no_handler_answered(start):
    service = start(PORT_CHECKER_CORS_ORIGINS=SITE)
    origin = ("Origin", SITE)
    large = ("Content-Length", "65537")

    for reply, status in ((service.get("/nowhere", [origin]), 404),
                          (service.get("/check-ports", [origin]), 405),
                          (service.exchange("POST", "/check-ports", [origin, large]), 413)):
        assert reply.status == status
        assert reply.header("Access-Control-Allow-Origin") == SITE
        assert reply.header("Vary") == "Origin"
    reply = service.get("/nowhere", [("Origin", "https://other.net")])
    assert reply.header("Access-Control-Allow-Origin") is None
    assert reply.header("Vary") == "Origin"


def test_what_a_document_depends_on_is_one_line(start):
    service = start(PORT_CHECKER_CORS_ORIGINS=SITE)

    for headers in ([], [("Origin", SITE)]):
        reply = service.get("/openapi.json", headers)
        assert reply.header("Vary") == "Origin, Accept-Encoding"
    assert service.get("/docs").header("Vary") == "Accept-Encoding"


@pytest.mark.parametrize("origin", ["http://example.org", "https://example.org:444", "null",
                                    "https://EXAMPLE.org", "https://example.org.evil.net"])
def test_an_origin_that_is_not_listed_may_not(start, origin):
    service = start(PORT_CHECKER_CORS_ORIGINS=SITE)
    reply = service.get("/ip", [("Origin", origin)])

    assert reply.json()["code"] == "caller_unknown"
    assert reply.header("Access-Control-Allow-Origin") is None
    assert reply.header("Vary") == "Origin"


def test_a_preflight_is_answered(start):
    service = start(PORT_CHECKER_CORS_ORIGINS=SITE)
    reply = service.exchange("OPTIONS", "/check-ports", [
        ("Origin", SITE), ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type")])

    assert reply.status == 204
    assert reply.header("Access-Control-Allow-Origin") == SITE
    assert reply.header("Access-Control-Allow-Methods") == "POST"
    assert reply.header("Access-Control-Allow-Headers") == "content-type"
    assert int(reply.header("Access-Control-Max-Age")) > 0


@pytest.mark.parametrize("path, methods", [
    ("/check-ports", "POST"), ("/check-ports?ports=80", "GET, POST"),
    ("/check-ports/?ports", "GET, POST"), ("/check-ports?port=80", "POST")])
def test_a_preflight_names_get_where_there_is_a_get(start, path, methods):
    service = start(PORT_CHECKER_CORS_ORIGINS=SITE)

    reply = service.exchange("OPTIONS", path, [
        ("Origin", SITE), ("Access-Control-Request-Method", "GET")])
    assert (reply.status, reply.header("Access-Control-Allow-Methods")) == (204, methods)

    reply = service.exchange("OPTIONS", path, [("Origin", "https://evil.example")])
    assert (reply.status, reply.header("Access-Control-Allow-Methods")) == (204, None)


def test_any_origin_may_when_the_star_is_set(start):
    service = start(PORT_CHECKER_CORS_ORIGINS="*")

    for headers in ([], [("Origin", SITE)]):
        reply = service.get("/ip", headers)
        assert reply.header("Access-Control-Allow-Origin") == "*"


def test_metrics_are_for_no_page(start):
    service = start(PORT_CHECKER_CORS_ORIGINS="*")

    reply = service.get("/metrics", [("Origin", SITE)])
    assert reply.header("Access-Control-Allow-Origin") is None
    assert service.exchange("OPTIONS", "/metrics", [("Origin", SITE)]).status == 405


# --- GET /check-ports ---------------------------------------------------------------------

QUERY = "/check-ports?ports="
PLAIN = ("Accept", "text/plain")


def test_a_get_is_answered_as_a_post_about_the_caller_s_own_address(
        shared, open_port, closed_port):
    ports = [open_port(), closed_port()]
    reply = shared.get(f"{QUERY}{ports[0]},{ports[1]}")

    assert reply.status == 200
    assert reply.header("Content-Type") == "application/json"
    assert reply.body == shared.check(ports).body
    for same in (f"{QUERY}{ports[0]}%2C{ports[1]}", f"{QUERY}{ports[0]}&ports={ports[1]}",
                 f"/check-ports/?x&ports={ports[0]}%2c{ports[1]},{ports[0]}",
                 f"http://localhost{QUERY}{ports[0]},{ports[1]}",
                 f"{QUERY}{ports[0]},{ports[1]}&details=true&provider_ip=192.0.2.7"):
        assert shared.get(same).body == reply.body, same
    assert shared.get(f"{QUERY}20000%2D20002").body == shared.check(["20000-20002"]).body


def test_a_get_with_plain_text_is_one_line_a_port(shared, open_port, closed_port):
    ports = [open_port(), closed_port()]
    target = f"{QUERY}{ports[0]},{ports[1]}"
    reply = shared.get(target, [PLAIN])

    assert reply.status == 200
    assert reply.header("Content-Type") == "text/plain; charset=utf-8"
    assert reply.body.decode() == f"{ports[0]} open\n{ports[1]} closed: Connection refused\n"
    both = "text/plain;q=0.9, application/json"
    assert shared.get(target, [("Accept", both)]).json()["success"] is True


@pytest.mark.parametrize("query, told", [
    ("", INTEGER), ("1,", INTEGER), ("x", INTEGER), ("1,+2", INTEGER), ("1%002", INTEGER),
    ("0", invalid_port(0)), ("65536", invalid_port(65536)), ("9-1", RANGE),
    ("1-1025", ("too many ports: at most 1024 different ones may be asked for at once",
                "value_error")),
    ("1%2", ("value is not percent-encoded: write two hexadecimal digits after every %",
             "value_error"))])
def test_a_bad_value_of_a_query_is_a_422(shared, query, told):
    for headers in [], [PLAIN]:
        assert_faults(shared.get(QUERY + query, headers),
                      {"loc": ["query", "ports"], "msg": told[0], "type": told[1]})


def test_a_query_without_ports_is_a_405(shared):
    for target in "/check-ports?", "/check-ports?port=1", "/check-ports?x=ports=1":
        for method in "GET", "HEAD", "PUT":
            reply = shared.exchange(method, target)
            assert (reply.status, reply.header("Allow")) == (405, "POST"), (method, target)
    reply = shared.exchange("PUT", QUERY + "1")
    assert (reply.status, reply.header("Allow")) == (405, "POST, GET, HEAD")


def test_a_head_is_a_get_without_its_body(shared, closed_port):
    target = f"{QUERY}{closed_port()}"
    get = shared.get(target)
    for headers, status in ([], 200), ([("Sec-Fetch-Site", "cross-site")], 403):
        head = shared.exchange("HEAD", target, headers)
        assert (head.status, head.body) == (status, b"")
    assert shared.exchange("HEAD", target).header("Content-Length") == str(len(get.body))
    assert shared.exchange("HEAD", QUERY + "0").status == 422


def test_a_post_needs_its_body_with_any_query(shared):
    reply = shared.exchange("POST", QUERY + "1", [JSON], b"{}")

    assert_faults(reply, fault(["provider_ip"], MISSING), fault(["ports"], MISSING))


# --- speed, as far as the contract promises it --------------------------------------------


def test_the_slowest_check_is_out_within_25_seconds_and_as_long_as_the_timeout(
        start, silent_ports):
    service = start(PORT_CHECK_TIMEOUT="0.7")
    ports = silent_ports(1000)
    begun = time.monotonic()
    reply = service.check(ports)
    took = time.monotonic() - begun

    assert reply.json()["message"] == "Successfully verified 0 out of 1000 ports"
    assert 0.7 <= took < 25


def test_half_open_probes_leave_the_application_alone(shared, later):
    sock = later.enter_context(targets.listener())
    port = targets.port_of(sock)

    for _ in range(50):
        assert shared.verdicts([port]) == {port: "open"}
    assert targets.accepted(sock) == 0
