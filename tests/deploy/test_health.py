# SPDX-License-Identifier: MIT
"""port-checker --check-health, which the container image runs."""
import socket
import threading

import pytest

from fronts import NAME, make_certificate
from harness.service import run
from harness.targets import closed, port_of


def ask(tmp_path, **settings):
    return run("--check-health", directory=tmp_path, **settings)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::", "::1"])
@pytest.mark.parametrize("has_tls", [False, True])
def test_a_service_is_healthy(start, tmp_path, host, has_tls):
    settings = {"PORT_CHECKER_HOST": host, "PORT_CHECKER_PORT": 7466}
    if has_tls:
        live = make_certificate(tmp_path / NAME)
        settings["PORT_CHECKER_TLS_CERT"] = live / "fullchain.pem"
        settings["PORT_CHECKER_TLS_KEY"] = live / "privkey.pem"
    start(**settings)
    ended = ask(tmp_path, **settings)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_where_nothing_listens_is_no_health(tmp_path, later):
    port = port_of(later.enter_context(closed()))
    ended = ask(tmp_path, PORT_CHECKER_PORT=port)
    assert ended.returncode == 1
    assert ended.stderr == "port-checker: cannot connect to the service: Connection refused\n"


def test_a_stranger_on_the_port_is_no_health(tmp_path, later):
    listener = later.enter_context(socket.create_server(("127.0.0.1", 0)))
    listener.settimeout(10)

    def talk():
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            return
        with connection:
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
    thread = threading.Thread(target=talk)
    thread.start()
    later.callback(thread.join)
    ended = ask(tmp_path, PORT_CHECKER_PORT=port_of(listener))
    assert (ended.returncode, "status 200" in ended.stderr) == (1, True)


def test_the_port_must_be_known(tmp_path):
    ended = ask(tmp_path, PORT_CHECKER_PORT=0)
    assert (ended.returncode, "PORT_CHECKER_PORT" in ended.stderr) == (2, True)
