# SPDX-License-Identifier: MIT
"""Programs exchanged under load, and the end of the main process. The figures are printed with
`./dev package test -s -k under_load`, for docs/packages.md."""
import json
import pathlib
import subprocess

import pytest

from machine import NEXT, PACKAGES, package
from test_packages import append, make_key

HERE = pathlib.Path(__file__).parent
EXCHANGES = 10
LOAD_SECONDS = 600  # at most
PER_SECOND = 200


class Load:
    """Runs beside the machine, in its network."""

    def __init__(self, debian, form):
        self.process = subprocess.Popen(
            [*debian.inside("--net"), "/usr/bin/python3", HERE / "load.py", str(LOAD_SECONDS),
             "7466", form],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "started\n"

    def end(self):
        said, _ = self.process.communicate(timeout=60)
        return json.loads(said)


def versions(debian):
    return [line["version"] for line in debian.ready_lines()]


def prepare(debian, form):
    """Checks without limits, and both versions' programs."""
    lines = ["PORT_CHECKER_RATE=0"]
    if form == "tls":
        cert, key = make_key(debian, "load")
        lines += [f"PORT_CHECKER_TLS_CERT={cert}", f"PORT_CHECKER_TLS_KEY={key}"]
    append(debian, "\n".join(lines))
    debian.run("systemctl", "restart", "port-checker")
    for number, folder in enumerate((NEXT, PACKAGES)):
        debian.run("dpkg", "--extract", package(folder, "port-checker"), f"/programs-{number}")


@pytest.mark.parametrize("form", ["plain", "tls"])
def test_exchanged_programs_lose_no_request_under_load(installed, form):
    prepare(installed, form)
    pid = installed.main_pid()
    started = len(versions(installed))
    load = Load(installed, form)
    for number in range(EXCHANGES):
        installed.shell(f"cp /programs-{number % 2}/usr/bin/port-checker /usr/bin/new;"
                        " mv /usr/bin/new /usr/bin/port-checker;"
                        " systemctl reload port-checker")
    for number in range(EXCHANGES):
        installed.install((NEXT, PACKAGES)[number % 2], "port-checker")
    result = load.end()
    print(f"\n{form}: {2 * EXCHANGES} exchanges: {json.dumps(result)}")

    assert result["failures"] == []
    assert result["requests"] > 0.9 * PER_SECOND * result["seconds"]
    assert installed.main_pid() == pid and installed.show("port-checker", "NRestarts") == "0"
    # Each exchange was one.
    seen = versions(installed)[started - 1:]
    assert len(seen) == 2 * EXCHANGES + 1
    assert all(before != after for before, after in zip(seen, seen[1:])), seen


@pytest.mark.parametrize("unit", ["service", "socket"])
def test_a_killed_main_process_is_restarted_at_once_under_load(installed, unit):
    if unit == "socket":
        installed.shell("systemctl stop port-checker; systemctl start port-checker.socket")
        installed.ask()
    pid = installed.main_pid()
    asked = subprocess.run(
        [*installed.inside("--net"), "/usr/bin/python3", HERE / "outage.py", "7466"],
        input=str(host_pid(installed, pid)), capture_output=True, text=True, timeout=60,
        check=True)
    print(f"\nkill -9, with the {unit}: {asked.stdout.strip()}")
    result = json.loads(asked.stdout)
    assert installed.main_pid() not in (0, pid)
    assert result["ms"] < 1000
    # systemd's socket accepts; connections that the killed process had accepted are lost.
    assert unit == "service" or result["failed"] <= 2


def host_pid(debian, pid):
    """The number of the machine's process `pid` here."""
    for status in pathlib.Path("/proc").glob("[0-9]*/status"):
        try:
            lines = status.read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        numbers = [line.split()[1:] for line in lines if line.startswith("NSpid:")][0]
        if numbers[1:] == [str(pid)] and is_inside(debian, numbers[0]):
            return int(numbers[0])
    raise AssertionError(f"no process {pid}")


def is_inside(debian, pid):
    def space(number):
        return pathlib.Path(f"/proc/{number}/ns/pid").readlink()
    return space(pid) == space(debian.leader)
