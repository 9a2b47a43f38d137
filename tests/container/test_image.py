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
    assert "sandbox=full" in podman("logs", container) + subprocess.run(
        [*PODMAN, "logs", container], capture_output=True, text=True).stderr
    podman("run", "--rm", *OPTIONS, IMAGE, "--check-sandbox")


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
