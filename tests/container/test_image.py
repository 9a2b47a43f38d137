# SPDX-License-Identifier: MIT
"""The image that ./dev container has built, run by podman and runc with the host's network, which
here is a namespace of the tests' own."""
import json
import os
import pathlib
import subprocess

import pytest

from harness import network
from harness.http import Connection
from harness.targets import listener, port_of
from harness.waiting import eventually

STORE = pathlib.Path(os.environ["IMAGE_STORE"])
PODMAN = ["podman", "--root", STORE / "storage", "--runroot", STORE / "run",
          "--storage-driver", "vfs", "--runtime", "runc", "--cgroup-manager", "cgroupfs"]
# Containers inside of containers are often limited to these.
OPTIONS = ["--network", "host", "--ulimit", "nofile=1024:1024",
           "--ulimit", "nproc=1000:1000"]
IMAGE = "localhost/port-checker"
CALLER = "192.168.55.1"


def podman(*words, status=0):
    ended = subprocess.run([*PODMAN, *words], capture_output=True, text=True, timeout=120)
    assert ended.returncode == status, ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def container():
    if not network.is_own():
        pytest.skip("needs root and a network namespace of its own")
    address = network.Address(CALLER)
    name = podman("run", "--detach", *OPTIONS, IMAGE).strip()
    try:
        def is_up():
            try:
                Connection(("127.0.0.1", 7466)).close()
            except ConnectionRefusedError:
                return False
            return True
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
