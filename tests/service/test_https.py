# SPDX-License-Identifier: MIT
"""The service over HTTPS."""
import contextlib
import signal
import socket
import ssl
import subprocess

import pytest

from harness.http import Connection, check_body
from harness.service import run
from harness.tls import make_pair, tls_settings, trusting
from harness.waiting import eventually, sooner_than

JSON = ("Content-Type", "application/json")
WORKERS = pytest.mark.parametrize("workers", [1, 4])


@pytest.fixture
def start_tls(start, tmp_path):
    """start_tls(NAME=value, ...): a service over HTTPS; its clients verify the certificate."""
    def start_it(**settings):
        cert, key = make_pair(tmp_path, "own")
        service = start(**tls_settings(cert, key), **settings)
        service.context = trusting(cert)
        return service
    return start_it


@WORKERS
def test_https(start_tls, open_port, workers):
    service = start_tls(PORT_CHECKER_WORKERS=workers)
    port = open_port()

    assert service.ready["tls"] == "true"
    for _ in range(10):
        assert service.get("/health").body == b'{"status": "ok"}'
        assert service.check([port, 9]).json()["message"].endswith("1 out of 2 ports")
    with service.connect() as connection:
        assert connection.socket.version() in ("TLSv1.2", "TLSv1.3")
        for _ in range(10):
            reply = connection.exchange("POST", "/check-ports", [JSON], check_body([port]))
            assert reply.json()["success"] is True


def test_https_refuses_like_http(start_tls):
    service = start_tls()

    assert service.get("/nowhere").status == 404
    assert service.post(b"{").status == 422
    assert service.post(b" " * 70000).status == 413
    assert service.check([1], "0.0.0.0").status == 403


REQUESTS = {
    200: ("GET", "/health", [], None), 204: ("OPTIONS", "/check-ports", [("Origin", "https://a.example"),
                                      ("Access-Control-Request-Method", "POST")], None),
    308: ("GET", "/docs/", [], None), 403: ("POST", "/check-ports", [JSON], check_body([1], "0.0.0.0")),
    404: ("GET", "/nowhere", [], None), 405: ("PUT", "/health", [], None),
    413: ("POST", "/check-ports", [JSON], b" " * 70000),
    415: ("POST", "/check-ports", [JSON, ("Content-Encoding", "gzip")], b"{}"),
    422: ("POST", "/check-ports", [JSON], b"{"), 400: ("GET", "no slash", [], None),
}


@pytest.mark.parametrize("is_tls", [True, False], ids=["https", "http"])
def test_every_reply_over_tls_has_hsts(start, start_tls, closed_port, is_tls):
    service = (start_tls if is_tls else start)(PORT_CHECKER_CORS_ORIGINS="https://a.example")
    port = closed_port()
    stream = ("POST", "/check-ports", [JSON, ("Accept", "application/x-ndjson")],
              check_body([port]))
    for status, (method, path, headers, body) in [(200, stream), *REQUESTS.items()]:
        with service.connect() as client:
            client.request(method, path, headers, body)
            head = client.head()
        lines = [line for line in head if line.startswith("strict-transport-security:")]
        assert head[0].startswith(f"http/1.1 {status} ")
        assert lines == (["strict-transport-security: max-age=31536000"] if is_tls else [])


def test_the_operators_own_page_over_https(start_tls):
    service = start_tls()
    host = ("Host", f"localhost:{service.port}")

    for scheme, status in (("https", 200), ("http", 403)):
        origin = ("Origin", f"{scheme}://localhost:{service.port}")
        assert service.check([1], "127.0.0.77", headers=[host, origin]).status == status


def test_plain_http_at_an_https_port_is_told(start_tls):
    """The log has the peer without its IPv6 mapping."""
    service = start_tls(PORT_CHECKER_HOST="::")
    with Connection(("127.0.0.1", service.port)) as connection:
        connection.send(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        reply = connection.reply()
        assert (reply.status, reply.header("Connection")) == (400, "close")
        assert reply.json()["code"] == "bad_framing"
        assert "https://" in reply.json()["detail"]
        assert connection.is_ended()

    line = service.wait_event("wrong_protocol")
    assert (line["peer"], line["spoken"]) == ("127.0.0.1", "plain HTTP on an HTTPS port")
    assert service.get("/health").status == 200
    assert len(service.events("wrong_protocol")) == 1


def test_a_client_that_leaves_over_https_cancels_its_check(start_tls, long_check):
    service = start_tls(PORT_CHECK_TIMEOUT=20)
    long_check(service).close()

    eventually(lambda: service.metric("checks_running") == 0, "the check is cancelled")
    assert service.metric("checks_abandoned_total") == 1


def test_half_a_record_and_the_end(start_tls):
    """Bytes that arrive together with the end must not hide it."""
    service = start_tls()
    clients = [service.connect() for _ in range(16)]
    with sooner_than(9):  # otherwise the service would wait 10 seconds for the rest of the head
        for client in clients:
            socket.socket.sendall(client.socket, b"\x17\x03\x03\x01\x00" + b"x" * 99)
            client.half_close()
        for client in clients:
            client.rest()  # TLS tickets, which stay encrypted, and the end
    for client in clients:
        client.close()


def test_draining_and_reloading_over_https(start_tls, long_check):
    service = start_tls(PORT_CHECK_TIMEOUT=20)
    running = long_check(service)
    service.signal(signal.SIGHUP)
    service.wait_event("reload")
    long_check.release()
    long_check.assert_none_open(running.reply())
    service.wait_ready(2)

    long_check.hold()
    running = long_check(service)
    service.signal(signal.SIGTERM)
    service.wait_draining()
    long_check.release()
    long_check.assert_none_open(running.reply())
    assert service.wait() == 0


def versions_and_ciphers(service):
    """What the service agrees to, of some that a client could want."""
    wishes = {"1.3": (ssl.TLSVersion.TLSv1_3, "DEFAULT"),
              "1.2": (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-GCM-SHA256"),
              "1.2 with CBC": (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA")}
    agreed = []
    for wish, (version, ciphers) in wishes.items():
        service.context.minimum_version = ssl.TLSVersion.TLSv1_2
        service.context.maximum_version = version
        service.context.minimum_version = version
        service.context.set_ciphers(ciphers)
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            assert service.get("/health").status == 200
            agreed.append(wish)
    return agreed


@pytest.mark.parametrize("priority, agreed", [
    ("", ["1.3", "1.2"]),
    ("NORMAL:-VERS-ALL:+VERS-TLS1.3", ["1.3"]),
    ("NORMAL:-VERS-ALL:+VERS-TLS1.2", ["1.2", "1.2 with CBC"]),
])
def test_the_priority_string_replaces_the_built_in_one(start_tls, priority, agreed):
    assert versions_and_ciphers(start_tls(PORT_CHECKER_TLS_PRIORITY=priority)) == agreed


def test_a_reload_changes_the_priority_string(start_tls):
    def reload_with(priority):
        service.env_file.write_text(f"PORT_CHECKER_TLS_PRIORITY={priority}\n")
        service.signal(signal.SIGHUP)

    service = start_tls(env_file="")
    assert versions_and_ciphers(service) == ["1.3", "1.2"]
    reload_with("NORMAL:-VERS-ALL:+VERS-TLS1.3")
    service.wait_ready(2)
    assert versions_and_ciphers(service) == ["1.3"]
    reload_with("NORMAL:+NOTHING")
    refused = service.wait_event("reload_refused")
    assert "PORT_CHECKER_TLS_PRIORITY" in refused["reason"]
    assert versions_and_ciphers(service) == ["1.3"]


@pytest.mark.parametrize("priority, at", [
    ("nonsense", 1), ("NORMAL:+NOTHING", 8), ("NORMAL:%NOTHING:-VERS-ALL", 8), ("NONE", 1)])
@pytest.mark.parametrize("has_tls", [True, False], ids=["https", "http"])
def test_an_invalid_priority_string_stops_the_start_with_one_line(
        tmp_path, priority, at, has_tls):
    pair = make_pair(tmp_path, "own") if has_tls else ("", "")
    for arguments in ((), ("--check-config",)):
        ended = run(*arguments, directory=tmp_path, PORT_CHECKER_PORT="0",
                    PORT_CHECKER_TLS_PRIORITY=priority, **tls_settings(*pair))

        assert ended.returncode == 2, ended
        line, = ended.stderr.splitlines()
        assert f'PORT_CHECKER_TLS_PRIORITY="{priority}"' in line.replace('\\"', '"')
        assert f"at character {at}; an example: NORMAL:-VERS-ALL:+VERS-TLS1.3" in line


@pytest.mark.parametrize("priority, reason", [
    ("NORMAL:-CIPHER-ALL", "No "),
    ("NORMAL:-VERS-ALL", "No "),
    ("NORMAL:-VERS-ALL:+VERS-DTLS1.2", "no client can agree on it"),
    ("NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+RSA", "no client can agree on it"),
    ("NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+ECDHE-RSA", "no client can agree on it"),
    ("NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+ANON-ECDH", "no client can agree on it"),
    ("NORMAL:-SIGN-ALL:+SIGN-RSA-SHA256", "no client can agree on it"),
    ("NORMAL:-GROUP-ALL", "no client can agree on it"),
])
def test_a_priority_string_that_no_client_can_use(start_tls, tmp_path, priority, reason):
    """The key of the certificate is an ECDSA key."""
    ended = run("--check-config", directory=tmp_path, PORT_CHECKER_PORT="0",
                PORT_CHECKER_TLS_PRIORITY=priority, **tls_settings(*make_pair(tmp_path, "own")))
    assert ended.returncode == 2, ended
    line, = ended.stderr.splitlines()
    assert f'PORT_CHECKER_TLS_PRIORITY="{priority}"' in line.replace('\\"', '"')
    assert reason in line and "an example: NORMAL:-VERS-ALL:+VERS-TLS1.3" in line

    service = start_tls(env_file="")
    service.env_file.write_text(f"PORT_CHECKER_TLS_PRIORITY={priority}\n")
    service.signal(signal.SIGHUP)
    assert "PORT_CHECKER_TLS_PRIORITY" in service.wait_event("reload_refused")["reason"]
    assert service.get("/health").status == 200


@pytest.mark.parametrize("kind", [
    ("-newkey", "rsa:2048", "-addext", "keyUsage=critical,keyEncipherment"),
    ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-addext",
     "keyUsage=critical,keyAgreement"),
])
def test_a_certificate_that_no_client_can_use_stops_the_start(tmp_path, kind):
    """TLS with forward secrecy takes a key that may sign."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-nodes", "-subj", "/CN=localhost", "-days", "2",
                    "-keyout", key, "-out", cert, *kind], check=True, capture_output=True)
    ended = run("--check-config", directory=tmp_path, PORT_CHECKER_PORT="0",
                **tls_settings(cert, key))

    assert ended.returncode == 2, ended
    line, = ended.stderr.splitlines()
    assert f'PORT_CHECKER_TLS_CERT="{cert}"'[:100] in line and "that may sign" in line


def test_bad_certificates_stop_the_start_with_one_line(tmp_path):
    cert, key = make_pair(tmp_path, "one")
    _, other_key = make_pair(tmp_path, "other")
    garbage = tmp_path / "garbage"
    garbage.write_text("no PEM")
    for pair in ((cert, other_key), (garbage, key), (cert, garbage), (key, cert),
                 (tmp_path / "nowhere", key), (cert, tmp_path / "nowhere"), (cert, ""),
                 ("", key), (tmp_path, key)):
        for arguments in ((), ("--check-config",)):
            ended = run(*arguments, directory=tmp_path, PORT_CHECKER_PORT="0",
                        **tls_settings(*pair))

            assert ended.returncode == 2, (pair, ended)
            line, = ended.stderr.splitlines()
            assert "PORT_CHECKER_TLS_" in line, pair
