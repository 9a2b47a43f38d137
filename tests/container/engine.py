# SPDX-License-Identifier: MIT
"""podman and runc with the image that ./dev container has built."""
import os
import pathlib
import subprocess

from harness.http import Connection

STORE = pathlib.Path(os.environ["IMAGE_STORE"])
PODMAN = ["podman", "--root", STORE / "storage", "--runroot", STORE / "run",
          "--storage-driver", "vfs", "--runtime", "runc", "--cgroup-manager", "cgroupfs"]
# Containers inside of containers are often limited to these.
LIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]
OPTIONS = ["--network", "host", *LIMITS]
IMAGE = "localhost/port-checker"


def podman(*words, status=0):
    ended = subprocess.run([*PODMAN, *words], capture_output=True, text=True, timeout=120)
    assert ended.returncode == status, ended.stderr
    return ended.stdout


def is_up():
    try:
        Connection(("127.0.0.1", 7466)).close()
    except ConnectionRefusedError:
        return False
    return True
