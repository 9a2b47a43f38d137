# SPDX-License-Identifier: MIT
"""Fixtures of the tests of boundaries: our server, and what the other parsers see."""
import pathlib
import resource
import ssl
import subprocess
import threading

import pytest

import oracles
import us
from corpus import CASES

HERE = pathlib.Path(__file__).parent
STREAMS = [case.stream for case in CASES]


def pytest_configure():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@pytest.fixture(scope="session")
def pem(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pem")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-subj", "/CN=localhost", "-days", "2", "-keyout", key, "-out", cert],
        check=True, capture_output=True)
    return cert, key


@pytest.fixture(scope="session")
def client_context():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest.fixture
def plain():
    with us.serving() as server:
        yield server


@pytest.fixture
def tls(pem, client_context):
    with us.serving(*pem) as server:
        server.context = client_context
        yield server


@pytest.fixture(scope="session")
def views(tmp_path_factory):
    """{oracle: a View of each case}; all are asked at once, as the proxies mostly wait."""
    found = {}

    def ask(kind, function, *arguments):
        found[kind] = function(*arguments)

    jobs = [
        ("h11", oracles.ask_h11, STREAMS),
        ("Node", oracles.ask_node, STREAMS, HERE / "oracle.js"),
        ("nginx", oracles.ask_proxy, "nginx", STREAMS, tmp_path_factory.mktemp("nginx")),
        ("HAProxy", oracles.ask_proxy, "haproxy", STREAMS,
         tmp_path_factory.mktemp("haproxy")),
    ]
    threads = [threading.Thread(target=ask, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(jobs), f"only these answered: {sorted(found)}"
    return found
