# SPDX-License-Identifier: MIT
"""Whom the service in a container takes for the caller; docs/container.md has the table."""
import pytest

from engine import IMAGE, LIMITS, podman
from harness import network
from harness.http import Connection
from harness.waiting import eventually

NEAR, FAR, _ = network.Machine.NETS[0]


@pytest.mark.parametrize("kind, caller", [
    ("host", FAR),
    ("bridge", FAR),  # of root: only the destination is translated
    ("slirp4netns", "10.0.2.100"),  # as for other users: all clients are one
])
def test_who_calls_depends_on_the_network(later, kind, caller):
    machine = network.Machine()
    later.callback(machine.close)
    name = podman("run", "--detach", *LIMITS, "--network", kind,
                  *([] if kind == "host" else ["--publish", "7466:7466"]), IMAGE).strip()
    later.callback(podman, "rm", "--force", "--time", "10", name)

    def asked():
        try:
            with machine, Connection((NEAR, 7466)) as client:
                return client.exchange("GET", "/ip").json()["ip"]
        except (ConnectionError, EOFError):
            return None
    assert eventually(asked, "the container answers the other machine") == caller
