# SPDX-License-Identifier: MIT
"""Who may check which addresses, and how many ports, tested from outside."""
import math
import pathlib
import time

import pytest

from harness import network
from harness.http import check_body
from harness.service import Service, kept
from harness.waiting import eventually

JSON = ("Content-Type", "application/json")

# Only the operator may have this address probed: a loopback address other than the
# caller's.
OTHER = "127.0.0.77"

LAN = "192.168.55.1"
PUBLIC = "11.22.33.44"
PUBLIC_6 = "2a01:77::1"


def asks(service, target=OTHER, **more):
    """The status of a check of one port of `target`."""
    return service.check([1], target, **more).status


def assert_refused(reply, caller, target, *hints):
    """A refusal names both addresses and the setting that would allow the check."""
    assert reply.status == 403, reply
    assert reply.json()["code"] == "target_not_allowed"
    detail = reply.json()["detail"]
    assert detail.startswith(f"{caller} may not have {target} checked: "), detail
    for hint in hints:
        assert hint in detail, detail


def assert_unknown(reply):
    """The caller is unknown, and the refusal names both remedies."""
    assert (reply.status, reply.json()["code"]) == (403, "caller_unknown"), reply
    for cure in "PORT_CHECKER_TRUSTED_PROXIES", "http://localhost":
        assert cure in reply.json()["detail"]


# --- the four values ----------------------------------------------------------------------


def test_auto_lets_the_operator_name_any_unicast_address(start):
    service = start()

    for target in ("127.0.0.1", OTHER, "::1"):
        assert asks(service, target) == 200


def test_auto_lets_others_name_only_themselves(start, add_address):
    service = start(PORT_CHECKER_HOST="0.0.0.0")
    caller, other = add_address(LAN), add_address("192.168.55.2")
    from_there = {"source": caller, "host": caller}

    assert asks(service, caller, **from_there) == 200
    assert asks(service, f"::ffff:{caller}", **from_there) == 200
    for target in (other, "127.0.0.1"):
        assert_refused(service.check([1], target, **from_there), caller, target,
                       "PORT_CHECKER_TARGETS=any")


def test_a_real_neighbour_is_judged_by_its_own_address(start, machine):
    service = start(PORT_CHECKER_HOST="0.0.0.0")
    (near, far, _), _ = machine.NETS

    def ask(target):
        return machine.call(service.check, [1], target, host=near)

    assert machine.call(service.get, "/ip", host=near).json() == {"ip": far, "family": 4}
    assert ask(far).json()["results"]["1"]["error"] == "Connection refused"
    assert_refused(ask(near), far, near, "PORT_CHECKER_TARGETS=any")
    assert_refused(ask("127.0.0.1"), far, "127.0.0.1", "PORT_CHECKER_TARGETS=any")


def test_a_real_neighbour_over_ipv6(start, machine):
    service = start(PORT_CHECKER_HOST="::")
    _, (near, far, _) = machine.NETS

    def ask(target):
        return machine.call(service.check, [1], target, host=near)

    assert machine.call(service.get, "/ip", host=near).json() == {"ip": far, "family": 6}
    assert ask(far).json()["results"]["1"]["error"] == "Connection refused"
    assert_refused(ask(near), far, near)
    assert_refused(ask("::1"), far, "::1")


def test_caller_makes_no_exception_for_the_operator(start):
    service = start(PORT_CHECKER_TARGETS="caller")

    assert asks(service, "127.0.0.1") == 200
    assert_refused(service.check([1], OTHER), "127.0.0.1", OTHER,
                   "PORT_CHECKER_TARGETS=any", "PORT_CHECKER_TARGETS=auto")


def test_public_takes_global_addresses_of_others_only(start, machine):
    service = start(PORT_CHECKER_TARGETS="public")
    near, far = "11.22.33.1", PUBLIC
    machine.add_net(near, far, 24)
    machine.add_net("2a01:77::2", PUBLIC_6, 64)

    assert asks(service, far) == 200
    assert asks(service, PUBLIC_6) == 200
    assert_refused(service.check([1], near), "127.0.0.1", near, "own machine")
    near = "2a01:77::2"
    assert_refused(service.check([1], near), "127.0.0.1", near, "own machine")
    for target in ("127.0.0.1", machine.NETS[0][1], "10.0.0.1", "::1", "fd77::2",
                   "2001:db8::1", "100.64.0.1", "198.51.100.7"):
        assert_refused(service.check([1], target), "127.0.0.1", target,
                       "PORT_CHECKER_TARGETS=any")


def test_public_excludes_networks_that_are_routed_to_the_machine_itself(start, machine):
    """IPv6 does not let a socket bind such an address, nor the anycast address of a router."""
    service = start(PORT_CHECKER_TARGETS="public")
    machine.add_net("2a01:77::1", "2a01:77::2", 64)
    network.command("ip", "route", "add", "local", "2a01:99::/64", "dev", machine.NEAR)
    forwarding = pathlib.Path("/proc/sys/net/ipv6/conf/all/forwarding")
    before = forwarding.read_text()
    forwarding.write_text("1")
    try:
        for target in "2a01:99::5", "2a01:77::":
            assert_refused(service.check([1], target), "127.0.0.1", target, "own machine")
    finally:
        forwarding.write_text(before)
    assert asks(service, "2a01:77::2") == 200


def test_any_takes_any_unicast_address_from_anybody(start, add_address):
    service = start(PORT_CHECKER_TARGETS="any", PORT_CHECKER_HOST="0.0.0.0")
    add_address(LAN)

    for target in (LAN, "127.0.0.1", "::1", OTHER):
        assert asks(service, target, source=LAN, host=LAN) == 200


def test_a_mapped_target_is_probed_as_ipv4(start, open_port):
    service, port = start(), open_port(OTHER)

    assert service.verdicts([port], f"::ffff:{OTHER}") == {port: "open"}
    assert service.wait_event("check")["target"] == OTHER


def test_a_mapped_caller_is_itself(start, add_address):
    service = start(PORT_CHECKER_HOST="::")
    caller = add_address(LAN)
    from_there = {"source": caller, "host": caller}

    assert service.get("/ip", **from_there).json() == {"ip": caller, "family": 4}
    assert asks(service, caller, **from_there) == 200
    assert asks(service, f"::ffff:{caller}", **from_there) == 200
    assert asks(service, "127.0.0.1", **from_there) == 403


def test_the_operator_stays_one_on_a_dual_stack_socket(start):
    service = start(PORT_CHECKER_HOST="::")

    assert asks(service, OTHER, host="127.0.0.1") == 200
    assert asks(service, OTHER, host="::1") == 200


# --- the operator, clause by clause -------------------------------------------------------


def test_the_operator_may_come_from_any_loopback_address(start):
    service = start(PORT_CHECKER_HOST="0.0.0.0")

    assert asks(service, source="127.9.9.9", host="127.4.4.4") == 200


def test_a_loopback_peer_that_talks_to_another_address_is_not_the_operator(
        start, add_address):
    service = start(PORT_CHECKER_HOST="0.0.0.0")
    add_address(LAN)

    headers = [("Host", "localhost")]

    assert asks(service, source="127.0.0.1", host=LAN, headers=headers) == 403


def test_a_peer_that_is_not_loopback_is_not_the_operator(start, add_address):
    service = start(PORT_CHECKER_HOST="0.0.0.0")
    add_address(LAN)
    headers = [("Host", "localhost")]

    assert asks(service, source=LAN, host="127.0.0.1", headers=headers) == 403
    assert asks(service, source=LAN, host=LAN, headers=headers) == 403


@pytest.mark.parametrize("host", [
    "localhost", "LOCALHOST", "localhost:80", "localhost:7466", "127.0.0.1", "127.9.8.7:1",
    "[::1]", "[::1]:7466", "[0:0:0:0:0:0:0:1]",
])
def test_a_host_of_the_operator(shared, host):
    assert asks(shared, headers=[("Host", host)]) == 200


@pytest.mark.parametrize("host", [
    "", "example.org", "localhost.example.org", "localhost.", "127.0.0.1.example.org",
    "192.168.1.1", "0.0.0.0", "[::]", "::1", "[127.0.0.1]", "localhost:", "localhost:x",
    "localhost:0", "localhost:65536", "localhost@example.org", "127.1", "2130706433",
    "[::1]x", "[::1", "localhost, localhost", "user@localhost", "myhost:7466", "127.0.1.1",
])
def test_a_host_that_is_not_the_operators(shared, host):
    assert asks(shared, headers=[("Host", host)]) in (400, 403)


def test_two_hosts_are_not_the_operators(shared):
    assert asks(shared, headers=[("Host", "localhost")] * 2) in (400, 403)


def test_http_1_0_is_not_the_operators(shared):
    body = check_body([1], OTHER)
    assert_unknown(shared.post(body, [JSON, ("Host", "localhost")], version="HTTP/1.0"))


@pytest.mark.parametrize("header", [
    ("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-For", ""), ("x-forwarded-host", "a"),
    ("X-Forwarded-Proto", "https"), ("X-Forwarded-Whatever", "1"),
    ("Forwarded", "for=127.0.0.1"), ("X-Real-IP", "127.0.0.1"), ("Via", "1.1 proxy"),
    ("via", ""), ("CF-Connecting-IP", "127.0.0.1"), ("CF-Connecting-IPv6", "::1"),
    ("True-Client-IP", "127.0.0.1"), ("X-Client-IP", "127.0.0.1"), ("Cdn-Loop", "a"),
    ("Fly-Client-IP", "127.0.0.1"), ("DO-Connecting-IP", "127.0.0.1"),
])
def test_a_trace_of_a_proxy_takes_the_operators_rights(shared, header):
    for target in "127.0.0.1", OTHER:
        assert_unknown(shared.check([1], target, headers=[header]))


def test_a_header_that_only_looks_like_a_proxys_takes_nothing(shared):
    for header in (("X-Forwarded", "1"), ("X-Forward-For", "1"), ("Viaduct", "1"),
                   ("Client", "1"), ("X-Request-ID", "1"), ("CFO", "1")):
        assert asks(shared, headers=[header]) == 200


def test_an_origin_must_equal_the_host(shared):
    host = "localhost:%d" % shared.port
    for origin in (f"http://{host}", f"HTTP://{host.upper()}"):
        assert asks(shared, headers=[("Host", host), ("Origin", origin)]) == 200


@pytest.mark.parametrize("origin", [
    "http://example.org", "null", "", "http://localhost", "http://localhost:1",
    "https://localhost:{port}", "http://127.0.0.1:{port}", "localhost:{port}",
    "http://localhost:{port}/", "http://localhost:{port}.example.org",
    "http://[::1]:{port}",
    "http://localhost:{port} http://localhost:{port}",
])
def test_another_origin_takes_the_operators_rights(shared, origin):
    headers = [("Host", f"localhost:{shared.port}"),
               ("Origin", origin.format(port=shared.port))]

    assert asks(shared, headers=headers) == 403


@pytest.mark.parametrize("site, status", [
    ("same-origin", 200), ("none", 200), ("cross-site", 403), ("same-site", 403),
    ("", 403), ("None", 403), ("none, none", 403),
])
def test_sec_fetch_site(shared, site, status):
    assert asks(shared, headers=[("Sec-Fetch-Site", site)]) == status


def test_a_trusted_proxy_on_loopback_is_not_the_operator(start):
    service = start(PORT_CHECKER_TRUSTED_PROXIES="127.0.0.1")

    assert_unknown(service.check([1], "127.0.0.1"))
    assert asks(service, source="127.0.0.2") == 200, "another loopback peer still is"


# --- X-Forwarded-For ----------------------------------------------------------------------


def caller_of(service, *lines, **more):
    reply = service.get("/ip", [("X-Forwarded-For", line) for line in lines], **more)
    return reply.json()["ip"] if reply.status == 200 else reply.json()["code"]


@pytest.fixture(scope="module")
def behind():
    """A service behind trusted proxies: 127.0.0.1, 10.0.0.0/8 and fd00::/8."""
    settings = {"PORT_CHECKER_TRUSTED_PROXIES": "127.0.0.1 10.0.0.0/8, fd00::/8"}
    with kept(Service(settings)) as service:
        yield service.wait_ready()


@pytest.mark.parametrize("lines, caller", [
    (["203.0.113.7"], "203.0.113.7"),
    (["203.0.113.7:51234"], "203.0.113.7"),
    (["[2001:db8::7]:51234, 10.1.1.1:80"], "2001:db8::7"),
    (["[2001:db8::7]"], "2001:db8::7"),
    (["203.0.113.7, 10.1.1.1"], "203.0.113.7"),
    (["203.0.113.7,10.1.1.1,\t10.2.2.2 "], "203.0.113.7"),
    (["1.1.1.1, 203.0.113.7"], "203.0.113.7"),
    (["1.1.1.1, 203.0.113.7, 10.1.1.1"], "203.0.113.7"),
    (["1.1.1.1", "203.0.113.7"], "203.0.113.7"),
    (["203.0.113.7", "10.1.1.1"], "203.0.113.7"),
    (["10.9.9.9, 10.1.1.1"], "10.9.9.9"),
    (["nonsense, 203.0.113.7"], "203.0.113.7"),
    (["::ffff:203.0.113.7"], "203.0.113.7"),
    (["203.0.113.7, ::ffff:10.1.1.1"], "203.0.113.7"),
    (["2001:db8::7, fd00::1"], "2001:db8::7"),
])
def test_the_caller_is_read_from_the_right_past_trusted_proxies(behind, lines, caller):
    assert caller_of(behind, *lines) == caller


@pytest.mark.parametrize("lines", [
    [], [""], ["unknown"], ["203.0.113.7:"], ["[2001:db8::7"], ["203.0.113.7,"],
    ["127.0.0.2"], ["203.0.113.7, ::1"], ["0.0.0.0"], ["224.0.0.1"],
    ["203.0.113.7, , 10.1.1.1"], ["203.0.113.7", ""], ["203.0.113.7, unknown, 10.1.1.1"],
    ["203.0.113.07"], ["for=203.0.113.7"], ["203.0.113.7;10.1.1.1"], ["10.1.1.1 10.1.1.2"],
])
def test_a_malformed_element_on_the_way_is_refused(behind, lines):
    assert caller_of(behind, *lines) == "caller_unknown"
    headers = [("X-Forwarded-For", line) for line in lines]
    assert_unknown(behind.check([1], "203.0.113.7", headers=headers))
    assert_unknown(behind.check([1], "127.0.0.1", headers=headers))


def test_x_forwarded_for_of_a_stranger_is_not_read(start, machine):
    service = start(PORT_CHECKER_HOST="0.0.0.0", PORT_CHECKER_TRUSTED_PROXIES="127.0.0.1")
    (near, far, _), _ = machine.NETS
    for line in ("203.0.113.7", "nonsense"):
        assert machine.call(caller_of, service, line, host=near) == far


def test_forwarded_is_read_where_it_is_the_only_one(behind):
    def ask(*headers):
        reply = behind.get("/ip", headers)
        return reply.json()["ip"] if reply.status == 200 else reply.json()["code"]

    assert ask(("Forwarded", 'for="[2001:db8::7]:80";proto=https, for=10.1.1.1')) == "2001:db8::7"
    assert ask(("Forwarded", "for=203.0.113.7"), ("Forwarded", "for=10.1.1.1")) == "203.0.113.7"
    assert ask(("Forwarded", "for=_hidden")) == "caller_unknown"
    both = ("Forwarded", "for=203.0.113.7"), ("X-Forwarded-For", "203.0.113.8")
    assert ask(*both) == "203.0.113.8"


def test_no_other_header_is_read(behind):
    headers = [("X-Real-IP", "203.0.113.7"), ("CF-Connecting-IP", "203.0.113.7"),
               ("True-Client-IP", "203.0.113.7")]

    assert_unknown(behind.get("/ip", headers))


def test_a_forwarded_caller_may_name_itself_and_nobody_else(behind, add_address):
    caller = add_address(LAN)
    forwarded = [("X-Forwarded-For", caller)]

    assert asks(behind, caller, headers=forwarded) == 200
    for target in ("127.0.0.1", OTHER):
        assert_refused(behind.check([1], target, headers=forwarded), caller, target)


# --- metrics ------------------------------------------------------------------------------


def test_metrics_are_for_loopback_unless_said_otherwise(start, add_address):
    service = start(PORT_CHECKER_HOST="0.0.0.0")
    add_address(LAN)

    assert service.get("/metrics").status == 200
    reply = service.get("/metrics", source=LAN, host=LAN)
    assert (reply.status, reply.json()["code"]) == (403, "metrics_not_allowed")
    assert reply.json()["detail"] == (
        "only the addresses in PORT_CHECKER_METRICS_FROM may read the metrics: "
        f"{LAN} is not one of them")


def test_a_refusal_of_metrics_names_a_proxy_that_nobody_declared(start, machine):
    (near, far, _), _ = machine.NETS
    service = start(PORT_CHECKER_HOST="0.0.0.0", PORT_CHECKER_METRICS_FROM=far)
    reply = machine.call(service.get, "/metrics", [("X-Forwarded-For", "203.0.113.7")],
                         host=near)

    assert reply.json()["code"] == "metrics_not_allowed"
    assert f"{far} is a proxy" in reply.json()["detail"]
    assert_unknown(service.get("/metrics", [("X-Forwarded-For", "203.0.113.7")]))


def test_a_trusted_proxy_is_named_only_to_those_who_may_read_the_metrics(start):
    service = start(PORT_CHECKER_TRUSTED_PROXIES="127.0.0.1",
                    PORT_CHECKER_METRICS_FROM="203.0.113.7")
    stranger = service.get("/metrics", [("X-Forwarded-For", "203.0.113.8")])
    insider = service.get("/metrics", [("X-Forwarded-For", "203.0.113.7")])

    assert (stranger.status, insider.status) == (403, 403)
    assert stranger.json()["detail"].endswith(": 203.0.113.8 is not one of them")
    assert insider.json()["detail"].endswith(": the proxy 127.0.0.1 is not one of them")


def test_metrics_are_refused_with_the_reason_when_the_caller_cannot_be_read(behind):
    reply = behind.get("/metrics", [("X-Forwarded-For", "nonsense")])

    assert_unknown(reply)


def test_metrics_from_says_who_may_read_them(start, add_address):
    service = start(PORT_CHECKER_HOST="0.0.0.0",
                    PORT_CHECKER_METRICS_FROM="192.168.55.0/24")
    add_address(LAN)

    assert service.get("/metrics", source=LAN, host=LAN).status == 200
    assert service.get("/metrics").status == 403


@pytest.mark.parametrize("header", [("X-Forwarded-For", "127.0.0.1"), ("Via", "1.1 a")])
def test_metrics_are_not_given_through_a_proxy_that_nobody_declared(shared, header):
    assert shared.get("/metrics", [header]).status == 403


def test_metrics_through_a_trusted_proxy_depend_on_the_caller(start):
    service = start(PORT_CHECKER_TRUSTED_PROXIES="127.0.0.1",
                    PORT_CHECKER_METRICS_FROM="127.0.0.1 203.0.113.7")

    assert service.get("/metrics", [("X-Forwarded-For", "203.0.113.7")]).status == 200
    assert service.get("/metrics", [("X-Forwarded-For", "203.0.113.8")]).status == 403


# --- GET asks about the caller ------------------------------------------------------------


def test_a_get_asks_about_the_caller_under_the_same_policy(start, machine):
    service = start(PORT_CHECKER_HOST="0.0.0.0")
    (near, far, _), _ = machine.NETS
    reply = machine.call(service.get, "/check-ports?ports=1&provider_ip=127.0.0.1", host=near)
    assert reply.json()["results"]["1"]["error"] == "Connection refused"
    assert service.wait_event("check")["target"] == far

    service = start(PORT_CHECKER_TARGETS="public")
    assert_refused(service.get("/check-ports?ports=1"), "127.0.0.1", "127.0.0.1",
                   "PORT_CHECKER_TARGETS=any")


def test_a_get_behind_a_trusted_proxy_asks_about_whom_the_proxy_names(
        start, add_address):
    service = start(PORT_CHECKER_TRUSTED_PROXIES="127.0.0.0/8")

    def ask(name):
        return service.get("/check-ports?ports=1", [("X-Forwarded-For", name)])

    assert ask(add_address(LAN)).status == 200
    assert service.wait_event("check")["target"] == LAN
    assert_refused(ask("fe80::1"), "fe80::1", "fe80::1")
    assert_unknown(ask("me"))


@pytest.mark.parametrize("headers", [
    [("Sec-Fetch-Site", "cross-site")], [("Sec-Fetch-Site", "same-site")],
    [("Origin", "https://evil.example")], [("Origin", "null")]])
def test_a_check_of_another_site_is_refused_before_anything_is_sent(
        start, machine, headers):
    service = start(PORT_CHECKER_HOST="0.0.0.0")
    (near, far, _), _ = machine.NETS
    for method, path, body in (("GET", "/check-ports?ports=1", None),
                               ("POST", "/check-ports", check_body([1], far))):
        reply = machine.call(service.exchange, method, path, [JSON, *headers], body, host=near)
        assert (reply.status, reply.json()["code"]) == (403, "other_site")
        assert_unknown(service.exchange(method, path, [JSON, *headers], body))
    assert service.metric("probe_attempts_total") == 0
    own = f"http://127.0.0.1:{service.port}"
    for mine in [("Sec-Fetch-Site", "same-origin")], [("Sec-Fetch-Site", "none")], []:
        assert service.get("/check-ports?ports=1", mine).status == 200
    assert service.get("/check-ports?ports=1",
                       [("Host", own[7:]), ("Origin", own)]).status == 200


def test_star_opens_the_checker_to_pages_but_not_the_operators_machine(start, machine):
    service = start(PORT_CHECKER_HOST="0.0.0.0", PORT_CHECKER_CORS_ORIGINS="*")
    (near, far, _), _ = machine.NETS
    page = [("Origin", "https://a.example"), ("Sec-Fetch-Site", "cross-site")]

    assert machine.call(asks, service, far, headers=page, host=near) == 200
    assert_unknown(service.check([1], headers=page))


@pytest.mark.parametrize("more, status", [
    ([], 200), ([("X-Forwarded-Host", "a.example")], 200),
    ([("X-Forwarded-Host", "b.example")], 403), ([("Sec-Fetch-Site", "cross-site")], 403)])
def test_behind_a_trusted_proxy_the_origin_is_compared_with_the_forwarded_host(
        behind, add_address, more, status):
    headers = [("X-Forwarded-For", add_address(LAN)), ("Origin", "https://a.example"), *more]

    assert asks(behind, LAN, headers=headers) == status


# --- unknown callers ----------------------------------------------------------------------


STRANGERS = {
    "a bare tunnel": {"headers": [("Host", "checker.example")]},
    "the machine's own name": {"headers": [("Host", "myhost")]},
    "a page of another site": {"headers": [("Origin", "http://evil.example")]},
    "a proxy's header": {"headers": [("X-Forwarded-For", "203.0.113.7")]},
    "HTTP/1.0": {"version": "HTTP/1.0"},
}


@pytest.mark.parametrize("targets", ["auto", "caller", "public", "any"])
def test_a_stranger_on_loopback_gets_what_needs_no_caller(start, targets):
    service = start(PORT_CHECKER_TARGETS=targets)
    for stranger in STRANGERS.values():
        assert_unknown(service.check([service.port], **{"headers": [], **stranger}))
        for path in "/check-ports?ports=1", "/ip", "/metrics":
            assert_unknown(service.exchange("GET", path, **stranger))
        assert service.exchange("POST", "/", body=b"ports=1", **stranger).status == 403
        for path in "/", "/docs", "/openapi.json", "/limits", "/health":
            assert service.exchange("GET", path, **stranger).status == 200
    assert service.metric("probe_attempts_total") == 0
    assert service.metric("refusals_total", "caller_unknown") == 5 * len(STRANGERS)


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_a_stranger_learns_what_is_wrong_and_an_empty_list_stays_empty(start, stranger):
    service = start()
    reply = service.check([], **{"headers": [], **stranger})

    assert (reply.status, reply.json()["results"]) == (200, {})
    assert service.check(["x"], **{"headers": [], **stranger}).status == 422
    assert_unknown(service.check([service.port], **{"headers": [], **stranger}))


def test_the_log_warns_of_strangers_once_for_all_workers(start):
    service = start(PORT_CHECKER_WORKERS=4)
    for _ in range(40):
        assert_unknown(service.get("/ip", [("Host", "checker.example")]))

    warning = service.wait_event("caller_unknown")
    assert (warning["level"], warning["peer"], warning["reason"], warning["host"]) == (
        "warning", "127.0.0.1", "loopback", "checker.example")
    assert "PORT_CHECKER_TRUSTED_PROXIES" in warning["message"]
    assert len(service.events("caller_unknown")) == 1


# --- budgets ------------------------------------------------------------------------------


def assert_rate_limited(reply):
    assert reply.status == 429, reply
    assert list(reply.json()) == ["detail", "code"]
    assert reply.json()["code"] == "rate_limited"
    return reply.header("Retry-After")


def test_a_burst_is_as_large_as_max_ports_and_the_operator_is_charged_too(start):
    service = start(PORT_CHECKER_RATE="1/h", PORT_CHECKER_MAX_PORTS=100)

    assert service.check(["1-60"]).status == 200
    retry_after = assert_rate_limited(service.check(["1-60"]))
    assert 20 * 3600 - 60 <= int(retry_after) <= 20 * 3600
    assert service.check(["1-40"]).status == 200, "all or nothing: nothing was taken"
    assert 3600 - 60 <= int(assert_rate_limited(service.check([1]))) <= 3600


def test_retry_after_is_exact(start):
    """In whole seconds, rounded up, for what is missing at the time of the request."""
    service = start(PORT_CHECKER_RATE="20/min", PORT_CHECKER_MAX_PORTS=2)

    before_charge = time.monotonic()
    assert service.check([1, 2]).status == 200
    after_charge = time.monotonic()
    for ports, seconds in (([1, 2], 6), ([1], 3)):
        before = time.monotonic()
        retry_after = int(assert_rate_limited(service.check(ports)))
        most = seconds - (before - after_charge)
        least = seconds - (time.monotonic() - before_charge)
        assert math.ceil(least) <= retry_after <= math.ceil(most)
    time.sleep(retry_after)
    assert service.check([1]).status == 200


def test_an_empty_list_and_a_refusal_cost_nothing(start):
    service = start(PORT_CHECKER_RATE="1/h", PORT_CHECKER_MAX_PORTS=2)

    for _ in range(5):
        assert service.check([]).status == 200
        assert service.check([1, 2], "224.0.0.1").status == 403
        assert service.check([0, 1]).status == 422
    assert service.check([1, 2]).status == 200


def test_a_get_is_charged_as_a_post_is(start):
    service = start(PORT_CHECKER_RATE="10/min", PORT_CHECKER_MAX_PORTS=10)

    assert service.get("/check-ports?ports=1-6").status == 200
    assert service.exchange("HEAD", "/check-ports?ports=7-10").status == 200
    assert_rate_limited(service.get("/check-ports?ports=1"))
    assert_rate_limited(service.check([1]))


def test_callers_have_budgets_of_their_own(start):
    service = start(PORT_CHECKER_RATE="1/h", PORT_CHECKER_MAX_PORTS=2)

    for source in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
        assert service.check([1, 2], source, source=source).status == 200
        assert_rate_limited(service.check([1], source, source=source))


def test_one_ipv6_network_is_one_caller(start, add_address):
    service = start(PORT_CHECKER_HOST="::", PORT_CHECKER_RATE="1/h",
                    PORT_CHECKER_MAX_PORTS=2)
    add_address("fd55::1"), add_address("fd55::2"), add_address("fd55:0:0:1::1")

    assert asks(service, "fd55::1", source="fd55::1") == 200
    assert asks(service, "fd55::2", source="fd55::2") == 200
    assert asks(service, "fd55::1", source="fd55::1") == 429
    assert asks(service, "fd55:0:0:1::1", source="fd55:0:0:1::1") == 200


def test_what_strangers_spend_on_an_address_is_not_its_owners(start):
    service = start(PORT_CHECKER_TARGETS="any", PORT_CHECKER_RATE="1/h",
                    PORT_CHECKER_MAX_PORTS=2)
    owner = "127.0.0.99"

    assert service.check([1, 2], owner, source="127.0.0.2").status == 200
    reply = service.check([1], owner, source="127.0.0.3")
    assert_rate_limited(reply)
    assert owner in reply.json()["detail"]
    assert service.check([1, 2], owner, source=owner).status == 200
    assert asks(service, "127.0.0.98", source="127.0.0.3") == 200, "it had spent nothing"


def test_silent_ports_of_a_strangers_address_cost_it_five(start, silent_ports):
    """Not the caller, and not the owner of the address."""
    service = start(PORT_CHECKER_TARGETS="any", PORT_CHECKER_RATE="1/min",
                    PORT_CHECKER_MAX_PORTS=20)
    owner, ports = "127.0.0.99", silent_ports(6)

    assert service.check(ports, owner, source="127.0.0.2").status == 200
    reply = service.check([1], owner, source="127.0.0.3")
    assert_rate_limited(reply)  # 6 x 5 of the 20 are spent: 11 until the next port
    assert 60 * 10 < int(reply.header("Retry-After")) <= 60 * 11
    assert service.check(ports + list(range(1, 15)), owner, source=owner).status == 200
    assert service.check(["1-14"], "127.0.0.98", source="127.0.0.2").status == 200


def test_leaving_does_not_save_the_cost_of_silence(start, silent_ports):
    service = start(PORT_CHECKER_TARGETS="any", PORT_CHECKER_RATE="1/h",
                    PORT_CHECKER_MAX_PORTS=20, PORT_CHECK_TIMEOUT="20")
    owner, ports = "127.0.0.99", silent_ports(6)

    with service.connect(source="127.0.0.2") as connection:
        connection.request("POST", "/check-ports", [JSON], check_body(ports, owner))
        eventually(lambda: service.metric("probe_attempts_total") >= 6, "6 probes")
    eventually(lambda: service.metric("checks_running") == 0, "the check is cancelled")
    assert_rate_limited(service.check([1], owner, source="127.0.0.3"))


def test_all_workers_share_one_budget(start):
    service = start(PORT_CHECKER_RATE="1/h", PORT_CHECKER_MAX_PORTS=20,
                    PORT_CHECKER_WORKERS=4)
    statuses = [service.check([1]).status for _ in range(60)]

    assert statuses == [200] * 20 + [429] * 40


def test_ports_that_were_never_tried_are_given_back(start, silent_ports):
    ports = silent_ports(100)
    service = start(PORT_CHECKER_RATE="1/h", PORT_CHECKER_MAX_PORTS=100,
                    PORT_CHECKER_MAX_PROBES=10, PORT_CHECK_TIMEOUT="20",
                    PORT_CHECKER_WORKERS=1)
    with service.connect() as connection:
        connection.request("POST", "/check-ports", [JSON], check_body(ports))
        # eight ninths of the sockets, because it is the only caller
        eventually(lambda: service.metric("probes_in_flight") == 8, "8 probes")
    eventually(lambda: service.metric("checks_running") == 0, "the check is cancelled")

    tried = int(service.metric("probe_attempts_total"))
    assert 8 <= tried < 100
    assert service.check([f"1-{100 - tried}"]).status == 200
    assert_rate_limited(service.check([f"1-{tried}"]))


def test_a_check_without_a_route_costs_nothing(start, own_network):
    service = start(PORT_CHECKER_RATE="1/h", PORT_CHECKER_MAX_PORTS=2,
                    PORT_CHECKER_TARGETS="any")
    for _ in range(3):
        assert service.check([1, 2], "203.0.113.1").status == 503
    assert service.check([1, 2]).status == 200


def test_rate_0_is_no_limit(start):
    service = start(PORT_CHECKER_RATE="0", PORT_CHECKER_MAX_PORTS=500)

    for _ in range(5):
        assert service.check(["1-500"]).status == 200


def test_a_broadcast_address_of_an_own_network_is_never_checked(start, machine):
    service = start(PORT_CHECKER_TARGETS="any")
    reply = service.check([80], "192.168.77.255")

    assert (reply.status, reply.json()["code"]) == (403, "target_not_allowed")
    assert service.check([80], "192.168.77.2").status == 200


# --- many connections ---------------------------------------------------------------------


def open_until(service, status, count, source=None):
    """Opens connections; the first `count` are served, and the next one gets `status`."""
    opened = []
    for _ in range(count):
        connection = service.connect(source=source)
        opened.append(connection)
        assert connection.exchange("GET", "/health").status == 200
    with service.connect(source=source) as connection:
        connection.request("GET", "/health")
        reply = connection.reply()
        assert reply.status == status, reply
        assert reply.header("Retry-After") and reply.header("Connection") == "close"
        assert connection.is_ended()
    return opened, reply


def test_connections_of_one_caller_are_limited(start):
    service = start(PORT_CHECKER_MAX_CONNECTIONS_PER_CALLER=5)
    opened, reply = open_until(service, 429, 5)

    assert reply.json()["code"] == "rate_limited"
    assert service.get("/health", source="127.0.0.2").status == 200
    opened.pop().close()
    eventually(lambda: service.get("/health").status == 200, "one has become free")
    for connection in opened:
        assert connection.exchange("GET", "/health").status == 200
        connection.close()


def test_trusted_proxies_have_no_limit_of_their_own(start):
    service = start(PORT_CHECKER_MAX_CONNECTIONS_PER_CALLER=3,
                    PORT_CHECKER_MAX_CONNECTIONS=8,
                    PORT_CHECKER_TRUSTED_PROXIES="127.0.0.1")
    opened = [service.connect() for _ in range(8)]

    for _ in range(2):
        for connection in opened:
            assert connection.exchange("GET", "/health").status == 200
    for connection in opened:
        connection.close()
