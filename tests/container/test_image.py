# SPDX-License-Identifier: MIT
"""The image that ./dev container has built, run by podman and runc with the host's network, which
here is a namespace of the tests' own."""
import json
import os
import pathlib
import subprocess

import pytest

from engine import IMAGE, OPTIONS, PODMAN, is_up, podman
from harness import network
from harness.http import Connection
from harness.targets import listener, port_of
from harness.waiting import eventually

CALLER = "192.168.55.1"


def log(container):
    return subprocess.run([*PODMAN, "logs", container], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=True).stdout


@pytest.fixture(scope="module")
def container(own):
    address = network.Address(CALLER)
    name = podman("run", "--detach", *OPTIONS, IMAGE).strip()
    try:
        eventually(is_up, "the container serves")
        yield name
    finally:
        podman("rm", "--force", "--time", "10", name)
        address.close()


def test_the_container_is_healthy(container):
    podman("healthcheck", "run", container)
    with Connection(("127.0.0.1", 7466)) as connection:
        assert connection.exchange("GET", "/health").json() == {"status": "ok"}


def test_the_caller_is_the_client_and_has_its_own_address_checked(container):
    with listener(CALLER) as target, Connection(("127.0.0.1", 7466), CALLER) as client:
        assert client.exchange("GET", "/ip").json()["ip"] == CALLER
        for address, status in (CALLER, 200), ("127.0.0.1", 403):
            body = json.dumps({"provider_ip": address, "ports": [port_of(target)]}).encode()
            reply = client.exchange("POST", "/check-ports",
                                    [("Content-Type", "application/json")], body)
            assert reply.status == status
            assert status == 403 or reply.json()["success"]


def test_it_runs_without_rights_and_confined(container):
    pid = podman("inspect", "--format", "{{.State.Pid}}", container).strip()
    status = dict(line.split(":\t", 1) for line in
                  pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    assert status["Uid"].split() == ["65532"] * 4
    assert int(status["CapEff"], 16) == 0
    assert "sandbox=full" in log(container)
    podman("run", "--rm", *OPTIONS, IMAGE, "--check-sandbox")


def test_a_reload_reads_mounted_files_again(own, tmp_path):
    """A key that belongs to the user in the container, as docs/container.md says."""
    key = tmp_path / "key.pem"
    for number in range(2):
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out",
                        tmp_path / f"{number}.pem"], check=True)
    key.write_bytes((tmp_path / "0.pem").read_bytes())
    os.chown(key, 65532, 65532)
    key.chmod(0o400)
    name = podman("run", "--detach", *OPTIONS, "-v", f"{key}:/key.pem:ro",
                  "-e", "PORT_CHECKER_PORT=7467", "-e", "PORT_CHECKER_RECEIPT_KEY=/key.pem",
                  "-e", "PORT_CHECKER_RECEIPT_ISSUER=https://checker.example", IMAGE).strip()

    def keys():
        with Connection(("127.0.0.1", 7467)) as connection:
            return connection.exchange("GET", "/.well-known/jwks.json").body

    def is_ready(times):
        return log(name).count("event=ready") == times
    try:
        eventually(lambda: is_ready(1), "it serves")
        first = keys()
        key.write_bytes((tmp_path / "1.pem").read_bytes())
        podman("kill", "--signal", "HUP", name)
        eventually(lambda: is_ready(2), "it serves again")
        assert b"Ed25519" in first and b"Ed25519" in keys() and keys() != first
    finally:
        podman("rm", "--force", "--time", "10", name)


def test_nothing_else_is_in_the_image():
    root = pathlib.Path(podman("image", "mount", IMAGE).strip())
    try:
        programs = [str(path.relative_to(root)) for path in root.rglob("*")
                    if path.is_file() and os.access(path, os.X_OK) and ".so" not in path.name]
    finally:
        podman("image", "umount", IMAGE)
    assert programs == ["usr/bin/port-checker"]


def test_an_unhealthy_container_is_seen(container):
    """Without a service on that port."""
    podman("run", "--rm", *OPTIONS, "-e", "PORT_CHECKER_PORT=1", IMAGE, "--check-health",
           status=1)
