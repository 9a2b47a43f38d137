# SPDX-License-Identifier: MIT
"""Compares docs/openapi.json with the service in both directions: every answer is described, and
everything described is answered."""
import contextlib
import hmac
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import defaultdict

import jsonschema
import pytest

from harness import receipts
from harness.http import check_body
from harness.waiting import PATIENCE
from test_crowd import ask, until_first_line

TOP = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = json.loads((TOP / "docs/openapi.json").read_text())
RESOLVER = jsonschema.RefResolver.from_schema(DOCUMENT)
METHODS = ("get", "post")
OPERATIONS = {(method.upper(), path): item[method]
              for path, item in DOCUMENT["paths"].items()
              for method in METHODS if method in item}

JSON_BODY = ("Content-Type", "application/json")
FORM_BODY = ("Content-Type", "application/x-www-form-urlencoded")
ORIGIN = ("Origin", "https://a.example")
KEYS = "/.well-known/jwks.json"
TOKEN = "00112233445566778899aabbccddeeff"
CORS = {"PORT_CHECKER_CORS_ORIGINS": "https://a.example"}

# What replies may contain without being promised by this API.
PLAIN_HEADERS = {"date", "server", "connection", "cache-control", "content-type",
                 "content-length", "transfer-encoding", "content-encoding",
                 "content-security-policy", "x-content-type-options", "referrer-policy",
                 "cross-origin-opener-policy"}


def resolve(node):
    while "$ref" in node:
        node = RESOLVER.resolve(node["$ref"])[1]
    return node


def conforms(value, schema):
    validator = jsonschema.Draft202012Validator(schema, resolver=RESOLVER)
    faults = [f"{'/'.join(map(str, fault.absolute_path))}: {fault.message}"
              for fault in validator.iter_errors(value)]
    assert not faults, (faults, value)


def is_valid(value, schema):
    return jsonschema.Draft202012Validator(schema, resolver=RESOLVER).is_valid(value)


def values_of(reply, name):
    return [value for key, value in reply.headers if key == name.lower()]


def request_of(method, path):
    """Plausible headers and a body for the operation. A form from another origin is refused."""
    if (method, path) == ("POST", "/check-ports"):
        return [JSON_BODY, ORIGIN], check_body([1])
    if (method, path) == ("POST", "/"):
        return [FORM_BODY], b"ports=1"
    if (method, path) == ("GET", "/check-ports"):
        return [ORIGIN, ("Sec-Fetch-Site", "none")], None
    return [ORIGIN], None


def target_of(method, path):
    return path + ("?ports=1" if (method, path) == ("GET", "/check-ports") else "")


# --- collecting answers -------------------------------------------------------------------


class Answers:
    def __init__(self):
        self.replies = defaultdict(list)  # of (method, path, status)

    def add(self, method, path, reply):
        self.replies[(method, path, str(reply.status))].append(reply)
        return reply

    def ask(self, service, method, path, headers=(), body=None, query=None, **more):
        usual, usual_body = request_of(method, path)
        target = target_of(method, path) if query is None else path + query
        with service.connect(**more) as connection:
            reply = connection.exchange(method, target, [*usual, *headers],
                                        usual_body if body is None else body)
        return self.add(method, path, reply)

    def ask_all(self, service, expected, headers=(), body=None, **more):
        for method, path in OPERATIONS:
            reply = self.ask(service, method, path, headers, body, **more)
            assert reply.status == expected, (method, path, reply)


def usual_answers(answers, start, keys):
    service = start(**CORS, **keys)
    for method, path in OPERATIONS:
        answers.ask(service, method, path)
    for body in (b"", b"{", b"[]", b"{}", check_body(1), check_body(["x", 0, "9-1"]),
                 check_body([1], provider_ip=1), check_body([1], details=1),
                 check_body([1], "x")):
        assert answers.ask(service, "POST", "/check-ports", body=body).status == 422
    for query in "?ports=x", "?ports=0,1-,%&ports":
        assert answers.ask(service, "GET", "/check-ports", query=query).status == 422
    for query in "", "?port=1":
        assert answers.ask(service, "GET", "/check-ports", query=query).status == 405
    for path in ("/", "/docs", "/openapi.json"):
        tag = answers.ask(service, "GET", path).header("ETag")
        assert answers.ask(service, "GET", path, [("If-None-Match", tag)]).status == 304
    answers.ask(service, "POST", "/", body=b"ports=0")
    answers.ask_all(service, 400, [("Content-Length", "1"), ("Content-Length", "2")], b"")
    answers.ask_all(service, 413, [("Content-Length", "70000")], b"")
    answers.ask(service, "POST", "/", [ORIGIN, ("Content-Length", "70000")], b"")
    for path, origin in ("/check-ports", []), ("/", [ORIGIN]):
        headers = [*origin, ("Content-Encoding", "gzip")]
        assert answers.ask(service, "POST", path, headers).status == 415
    answers.ask_all(service, 431, [("X-Long", "x" * 9000)])


def verdicts(answers, start, open_port, packet_filter, keys):
    packet_filter.rule(["20000-20004"], "drop")
    packet_filter.rule([20005], "reject with icmp type host-unreachable")
    service = start(**CORS, **keys)
    ports = [open_port(), "20000-20006"]
    for details in (False, True):
        body = check_body(ports, details=details)
        answers.ask(service, "POST", "/check-ports", body=body)
    query = f"?ports={ports[0]}&ports=20000%2d20006"
    for accept in "application/json", "text/plain":
        answers.ask(service, "GET", "/check-ports", [("Accept", accept)], query=query)
    with proving() as listeners:
        body = check_body([*listeners, 20006], details=True, token=TOKEN, receipt=True)
        answers.ask(service, "POST", "/check-ports", body=body)


@contextlib.contextmanager
def proving():
    """Ports of listeners that prove themselves, give a wrong proof, hang up, and send nothing."""
    def line_of(port):
        mac = hmac.new(TOKEN.encode(), str(port).encode(), "sha256").hexdigest()
        return f"golem-port-verifier 1 {port} {mac}\n".encode()

    def talk(server, line):
        with contextlib.suppress(OSError), contextlib.ExitStack() as held:
            while True:
                connection = held.enter_context(server.accept()[0])
                if line is not None:
                    with connection:
                        connection.sendall(line)

    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(5)]
    ports = [server.getsockname()[1] for server in servers]
    lines = (line_of(ports[0]), line_of(ports[0]), b"SSH-2.0-x\r\n", b"", None)
    for server, line in zip(servers, lines):
        threading.Thread(target=talk, args=(server, line), daemon=True).start()
    yield ports
    for server in servers:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def refusals(answers, start):
    service = start(PORT_CHECKER_TRUSTED_PROXIES="127.0.0.2",
                    PORT_CHECKER_METRICS_FROM="10.0.0.0/8", **CORS)
    for path in "/ip", "/check-ports":
        assert answers.ask(service, "GET", path, [("Via", "1.1 proxy")]).status == 403
    assert answers.ask(service, "GET", "/metrics").status == 403
    assert answers.ask(service, "GET", KEYS).status == 404
    unlisted = start(PORT_CHECKER_TRUSTED_PROXIES="127.0.0.2")
    for one, forwarded_for in (service, "fe80::1"), (unlisted, "203.0.113.7"):
        headers = [("X-Forwarded-For", forwarded_for), ("Sec-Fetch-Site", "cross-site")]
        assert answers.ask(one, "GET", "/check-ports", headers,
                           source="127.0.0.2").status == 403
    for method, path, body in (("POST", "/check-ports", check_body([1], "224.0.0.1")),
                               ("POST", "/", b"ports=1&provider_ip=224.0.0.1")):
        assert answers.ask(service, method, path, body=body).status == 403
    for targets in "caller", "public", "any":
        answers.ask(start(PORT_CHECKER_TARGETS=targets, **CORS), "GET", "/limits")


def limits(answers, start, silent_ports):
    service = start(PORT_CHECKER_RATE="1/min", PORT_CHECKER_MAX_PORTS=1, **CORS)
    answers.ask(service, "POST", "/check-ports")
    for method, path in ("POST", "/check-ports"), ("GET", "/check-ports"), ("POST", "/"):
        reply = answers.ask(service, method, path)
        assert (reply.status, int(reply.header("Retry-After")) > 50) == (429, True)

    service = start(PORT_CHECKER_MAX_CONNECTIONS_PER_CALLER=1, **CORS)
    with service.connect() as held:
        assert held.exchange("GET", "/health").status == 200
        answers.ask_all(service, 429)
    service = start(PORT_CHECKER_MAX_CONNECTIONS=8, PORT_CHECK_TIMEOUT=20, **CORS)
    ports = silent_ports(1000)
    with contextlib.ExitStack() as held:
        busy = [held.enter_context(ask(service, f"127.0.{n}.1", ports)) for n in range(1, 9)]
        for connection in busy:
            until_first_line(connection)
        answers.ask_all(service, 503)


def own_trouble(answers, start, keys):
    service = start(PORT_CHECKER_TARGETS="any", **CORS, **keys)
    body = check_body([1], "127.0.0.9", token=TOKEN, receipt=True)
    assert answers.ask(service, "POST", "/check-ports", body=body).status == 403
    body = check_body([1], "2001:db8::1")
    assert answers.ask(service, "POST", "/check-ports", body=body).status == 503
    form = b"ports=1&provider_ip=2001:db8::1"
    assert answers.ask(service, "POST", "/", body=form).status == 503


def draining(answers, start, packet_filter, silent_ports):
    service = start(PORT_CHECK_TIMEOUT=20, **CORS)
    with service.connect() as running:
        running.request("POST", "/check-ports", [JSON_BODY], check_body(silent_ports(1)))
        while service.metric("checks_running") == 0:
            pass
        service.signal(signal.SIGTERM)
        service.wait_draining()
        for method, path in (("GET", "/health"), ("POST", "/check-ports"),
                             ("GET", "/check-ports"), ("POST", "/")):
            assert answers.ask(service, method, path).status == 503
        packet_filter.clear()
        assert running.reply().status == 200
    service.wait()


def slow_requests(answers, start):
    """All at the same time: each takes the 10 seconds allowed for a head or a body."""
    service = start(**CORS)
    waiting = []
    for method, path in OPERATIONS:
        for rest in "", "Transfer-Encoding: chunked\r\n\r\n":
            connection = service.connect(timeout=30)
            connection.send(f"{method} {target_of(method, path)} HTTP/1.1\r\nHost: x\r\n"
                            f"{': '.join(ORIGIN)}\r\n{rest}".encode())
            waiting.append((method, path, connection))
    for method, path, connection in waiting:
        reply = answers.add(method, path, connection.reply())
        assert reply.status == 408, (method, path, reply)
        connection.close()


@pytest.fixture
def answers(start, open_port, packet_filter, silent_ports, tmp_path):
    """All of them, created once for all tests."""
    if not ANSWERS.replies:
        found = Answers()
        keys = receipts.settings(tmp_path)
        usual_answers(found, start, keys)
        verdicts(found, start, open_port, packet_filter, keys)
        refusals(found, start)
        limits(found, start, silent_ports)
        own_trouble(found, start, keys)
        packet_filter.clear()
        draining(found, start, packet_filter, silent_ports)
        slow_requests(found, start)
        ANSWERS.replies.update(found.replies)
    return ANSWERS


ANSWERS = Answers()


def bodies(answers):
    """Every JSON body and every list of lines received, as (value, schema)."""
    for (method, path, status), replies in answers.replies.items():
        for reply in replies:
            media = (reply.header("Content-Type") or "").split(";")[0]
            is_json = media in ("application/json", "application/jwk-set+json")
            if not is_json and media != "text/plain" or not reply.body:
                continue
            schema = resolve(OPERATIONS[(method, path)]["responses"][status])[
                "content"][media]["schema"]
            yield json.loads(reply.body) if is_json else reply.body.decode(), schema


# --- what is answered is described --------------------------------------------------------


def test_every_answer_is_described(answers):
    for (method, path, status), replies in answers.replies.items():
        responses = OPERATIONS[(method, path)]["responses"]
        assert status in responses, (method, path, replies[0])
        response = resolve(responses[status])
        for reply in replies:
            media = (reply.header("Content-Type") or "").split(";")[0]
            if reply.body:
                assert media in response["content"], (method, path, reply)
            named = {name.lower() for name in response.get("headers", {})}
            extra = {name for name, _ in reply.headers} - named - PLAIN_HEADERS
            assert not extra, (method, path, reply)
            for name, header in response.get("headers", {}).items():
                for value in values_of(reply, name):
                    conforms(value, resolve(header)["schema"])


def test_every_body_is_what_its_schema_says(answers):
    count = 0
    for value, schema in bodies(answers):
        conforms(value, schema)
        count += 1
    assert count > 80


def test_a_wrong_body_would_be_noticed():
    schema = {"$ref": "#/components/schemas/CheckReply"}
    good = {"success": True, "results": {"1": {"accessible": True, "error": None}},
            "message": "Successfully verified 1 out of 1 ports"}
    conforms(good, schema)
    port = {"accessible": True, "error": None}
    for wrong in ({**good, "more": 1}, {"success": True, "results": {}},
                  {**good, "message": "ok"},
                  {**good, "results": {"1": {"accessible": True}}},
                  {**good, "results": {"1": {**port, "state": "open"}}},
                  {**good, "results": {"0": port}}):
        assert not is_valid(wrong, schema), wrong


def test_an_unknown_path_and_a_wrong_method_are_as_described(start):
    service = start()
    schema = {"$ref": "#/components/schemas/Plain"}
    for method, path, status in (("GET", "/nowhere", 404), ("PUT", "/ip", 405),
                                 ("GET", "/check-ports", 405)):
        reply = service.exchange(method, path)
        assert reply.status == status
        conforms(reply.json(), schema)


def test_every_route_is_described_or_a_file_of_the_page():
    table = (TOP / "src/api/routes.c").read_text()
    routes = set(re.findall(r'\{"(GET|POST)",\s*"([^"?]+)', table))
    files = {route for route in routes if re.search(r"\.(js|css|svg|ico)$", route[1])}
    assert len(files) == 10
    assert routes - files == set(OPERATIONS)


def test_every_code_and_type_of_the_source_is_described():
    source = (TOP / "src/api/problem.h").read_text()
    codes = set(re.findall(r'CODED\(\w+, \w+,\s+"(\w+)"', source))
    types = set(re.findall(r'X\(\w+, "([\w.]+)", "', source))
    schemas = DOCUMENT["components"]["schemas"]
    assert codes == set(schemas["Problem"]["properties"]["code"]["enum"])
    assert types == set(schemas["Fault"]["properties"]["type"]["enum"])
    for sentence in re.findall(r'PLAIN\(\w+, \w+,\s+"([^"]+)"', source):
        assert sentence in schemas["Plain"]["properties"]["detail"]["enum"]


def test_the_version_is_that_of_the_build():
    version, = re.findall(r"version: '(\d+\.\d+\.\d+)',", (TOP / "meson.build").read_text())
    assert DOCUMENT["info"]["version"] == version


# --- what is described is answered --------------------------------------------------------


def test_every_status_of_every_operation_was_answered(answers):
    described = {(method, path, status) for (method, path), operation in OPERATIONS.items()
                 for status in operation["responses"]}
    assert described == set(answers.replies)


def test_every_header_that_is_described_came(answers):
    for (method, path, status), replies in answers.replies.items():
        response = resolve(OPERATIONS[(method, path)]["responses"][status])
        for name in response.get("headers", {}):
            assert any(values_of(reply, name) for reply in replies), (method, path, status)


def known_values(schema):
    """An open list is one, too: it may grow, but what it has must come."""
    return schema.get("enum", schema.get("x-extensible-enum", ()))


def walk(value, schema, seen):
    """Records which members and which enumeration values occurred."""
    name = schema.get("$ref", "").rpartition("/")[2]
    schema = resolve(schema)
    for part in schema.get("oneOf", ()):
        if is_valid(value, part):
            walk(value, part, seen)
    if name and known_values(schema):
        seen.add((name, value))
    if isinstance(value, dict):
        for key, member in value.items():
            others = schema.get("additionalProperties")
            inner = schema.get("properties", {}).get(key, others)
            if not isinstance(inner, dict):
                continue
            seen.add((name, key))
            if "enum" in inner:
                seen.add((name, key, member))
            walk(member, inner, seen)
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for item in value:
            walk(item, schema["items"], seen)


# Members of requests, and what only a stream has; other tests cover those.
NOT_IN_BODIES = {"CheckRequest", "Form", "PortLine", "LastLine", "Plain"}
OF_PLACES = {"Places", "PlaceVerdict", "MissingPlace", "Quorum"}


def test_every_member_and_every_value_came(answers):
    seen = set()
    for value, schema in bodies(answers):
        walk(value, schema, seen)

    promised = set()
    for name, schema in DOCUMENT["components"]["schemas"].items():
        if name in NOT_IN_BODIES | OF_PLACES:
            continue
        promised |= {(name, value) for value in known_values(schema)}
        for key, member in schema.get("properties", {}).items():
            promised.add((name, key))
            promised |= {(name, key, value) for value in member.get("enum", ())}
    # Other tests cover IPv6 callers, addresses that stop answering (test_limited), ICMP
    # errors from the path (test_verdicts), the timeout of a whole check, and several places
    # (test_vantage).
    assert promised - seen <= {("Caller", "family", 6), ("State", "limited"),
                               ("CheckReply", "limit"), ("Limit", "answered"),
                               ("Limit", "rate"), ("Icmp", "from", "path"),
                               ("CheckReply", "quorum"), ("Verdict", "vantages")}


def test_lines_of_a_stream_are_what_their_schema_says(start, open_port, closed_port, tmp_path):
    service = start(**receipts.settings(tmp_path))
    ports = [open_port(), closed_port()]
    for more in ({}, {"details": True}, {"details": True, "token": TOKEN},
                 {"details": True, "token": TOKEN, "receipt": True}):
        seen = set()
        lines = subprocess.run(
            ["curl", "-sN", f"http://127.0.0.1:{service.port}/check-ports", "-H",
             "Content-Type: application/json", "-H", "Accept: application/x-ndjson", "-d",
             check_body(ports, **more).decode()],
            capture_output=True, check=True, timeout=30 * PATIENCE).stdout.splitlines()
        assert len(lines) == 3
        for line in map(json.loads, lines):
            conforms(line, {"$ref": "#/components/schemas/StreamLine"})
            walk(line, {"$ref": "#/components/schemas/StreamLine"}, seen)
        members = {key for name, key, *_ in seen if name in ("PortLine", "LastLine")}
        wanted = {"port", "accessible", "error", "success", "message"}
        if "details" in more:
            wanted |= {"state", "rtt_ms", "icmp"}
        if "token" in more:
            wanted.add("proof")
        if "receipt" in more:
            wanted.add("receipt")
        assert members == wanted


# --- examples -----------------------------------------------------------------------------


def contents():
    for operation in OPERATIONS.values():
        yield from operation.get("requestBody", {}).get("content", {}).values()
        for response in operation["responses"].values():
            yield from resolve(response).get("content", {}).values()


def test_every_example_is_what_its_schema_says():
    count = 0
    for content in contents():
        for example in content.get("examples", {}).values():
            conforms(example["value"], content["schema"])
            count += 1
    assert count > 40


def test_every_json_answer_and_every_request_has_an_example():
    for (method, path), operation in OPERATIONS.items():
        for response in operation["responses"].values():
            for media, content in resolve(response).get("content", {}).items():
                if media == "application/json" and path not in ("/", "/openapi.json"):
                    assert content.get("examples"), (method, path, response)
        for content in operation.get("requestBody", {}).get("content", {}).values():
            assert content["examples"]


GOOD = {"provider_ip": "127.0.0.1", "ports": [1]}


@pytest.mark.parametrize("body", [
    {}, {"provider_ip": "127.0.0.1"}, {"ports": [1]}, [], "x", {**GOOD, "provider_ip": 1},
    *({**GOOD, "ports": ports} for ports in (
        1, "1", [0], [65536], [-1], [True], [None], [[1]], [1.5], ["x"], ["123456"], ["1-"],
        ["+1"], ["0"], ["65536"], ["0-1"], ["1-65536"],
        [], [1], [65535], ["1"], ["65535"], ["007"], ["1-3"], ["00001-00002"],
        [1, "2", "3-4"], [1.0])),
    *({**GOOD, "details": details} for details in (1, None, "yes", True, False)),
    *({**GOOD, "details": True, "token": token}
      for token in (TOKEN, TOKEN.upper(), TOKEN[1:], TOKEN + "0", "", None, 1)),
    {**GOOD, "unknown": {}},
], ids=json.dumps)
def test_requests_are_judged_by_the_service_as_by_the_schema(shared, body):
    is_good = is_valid(body, {"$ref": "#/components/schemas/CheckRequest"})

    assert shared.post(json.dumps(body).encode()).status == (200 if is_good else 422)


def test_receipts_are_judged_by_the_service_as_by_the_schema(start, tmp_path):
    service = start(**receipts.settings(tmp_path))
    for more in ({"receipt": False}, {"receipt": 1}, {"receipt": None}, {"receipt": True},
                 {"receipt": True, "token": TOKEN}, {"receipt": True, "token": "x"},
                 {"receipt": True, "token": TOKEN, "ports": []},
                 *({"receipt": True, "token": TOKEN, "for": value}
                   for value in ("", "x", "~ ", "\u00e4", "\t", 7, None, "x" * 128, "x" * 129))):
        body = {**GOOD, **more}
        is_good = is_valid(body, {"$ref": "#/components/schemas/CheckRequest"})
        reply = service.post(json.dumps(body).encode())
        assert reply.status == (200 if is_good else 422), (body, reply)


ELEMENT = OPERATIONS[("GET", "/check-ports")]["parameters"][0]["schema"]


@pytest.mark.parametrize("elements", [
    *([element] for element in (
        "", "0", "65536", "123456", "-1", "+1", "1.5", "true", "x", "1-", "0-1", "1-65536",
        "1", "65535", "007", "1-3", "00001-00002")),
    ["1", "2-3", "1"], ["1", "x"], [],
], ids=",".join)
def test_queries_are_judged_by_the_service_as_by_the_schema(shared, elements):
    reply = shared.get("/check-ports?ports=" + ",".join(elements))

    assert reply.status == (200 if is_valid(elements, ELEMENT) else 422)


SAMPLES = [(f"{method} {path}: {sample['label']}", sample["lang"], sample["source"])
           for (method, path), operation in OPERATIONS.items()
           for sample in operation.get("x-codeSamples", ())]


@pytest.mark.parametrize("lang, source", [row[1:] for row in SAMPLES],
                         ids=[row[0] for row in SAMPLES])
def test_the_samples_of_the_reference_run(start, tmp_path, lang, source):
    service = start(**receipts.settings(tmp_path))
    source = source.replace("http://localhost:7466", f"http://127.0.0.1:{service.port}")
    program = ["sh", "-c", source] if lang == "Shell" else [sys.executable, "-c", source]
    ended = subprocess.run(program, capture_output=True, text=True, check=True,
                           timeout=60 * PATIENCE)
    assert ended.stdout.strip() and not ended.stderr
    assert "detail" not in ended.stdout


def test_every_operation_for_programs_has_samples_in_curl_and_python():
    for (method, path), operation in OPERATIONS.items():
        if operation["tags"] != ["For people"]:
            samples = operation["x-codeSamples"]
            assert {sample["lang"] for sample in samples} == {"Shell", "Python"}


# --- the linters that others use ----------------------------------------------------------

LINTERS = TOP / "tests/openapi"


def linted(tool, *arguments):
    """What it printed, parsed as JSON."""
    environment = {**os.environ, "REDOCLY_TELEMETRY": "off",
                   "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    ended = subprocess.run(["node", LINTERS / "node_modules/.bin" / tool, "lint", *arguments],
                           capture_output=True, text=True, env=environment, cwd=LINTERS,
                           timeout=60 * PATIENCE)
    assert ended.stdout, ended.stderr
    return json.loads(ended.stdout)


def redocly(path):
    found = linted("redocly", "--config", "redocly.yaml", "--format", "json", path)
    return {problem["ruleId"] for problem in found["problems"]}


def spectral(path):
    found = linted("spectral", "--ruleset", "spectral.yaml", "--quiet", "--format", "json", path)
    return {problem["code"] for problem in found}


@pytest.mark.heavy
@pytest.mark.parametrize("lint, rule", [(redocly, "security-defined"),
                                        (spectral, "operation-tags")])
def test_linters_find_nothing_in_it_and_something_in_a_worse_one(lint, rule, tmp_path):
    worse = json.loads(json.dumps(DOCUMENT))
    del worse["security"], worse["paths"]["/ip"]["get"]["tags"]
    (tmp_path / "worse.json").write_text(json.dumps(worse))

    assert lint(TOP / "docs/openapi.json") == set()
    assert rule in lint(tmp_path / "worse.json")


# --- as it is served ----------------------------------------------------------------------


def test_it_is_served_as_it_stands(shared):
    reply = shared.get("/openapi.json")

    assert reply.body == (TOP / "docs/openapi.json").read_bytes()
    assert reply.header("Content-Type") == "application/json"


@pytest.mark.parametrize("path", [path for method, path in OPERATIONS if method == "GET"])
def test_head_is_answered_wherever_get_is(start, tmp_path, path):
    target = target_of("GET", path)
    with start(**receipts.settings(tmp_path)).connect() as connection:
        get = connection.exchange("GET", target)
        head = connection.exchange("HEAD", target)
        assert head.status == get.status == 200
        assert path == "/metrics" or head.header("Content-Length") == str(len(get.body))
        assert connection.exchange("GET", "/health").status == 200
