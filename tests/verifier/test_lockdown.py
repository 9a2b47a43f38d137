# SPDX-License-Identifier: MIT
"""What port-verifier gives up, and the helpers that execute programs."""
import os
import pathlib
import signal

import pytest

import stub as stubs
from harness.waiting import SANITIZER, eventually
from program import Running

FILTERED = "0" if SANITIZER else "2"  # a sanitizer makes system calls of its own


def field(pid, name):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.split()[1]
    raise AssertionError(name)


def is_gone(pid):
    try:
        return field(pid, "State") == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def children(pid):
    return [int(child) for child in
            pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def watching(stub, later):
    """watching(ARGUMENT...): a port-verifier after its first round, and a function that turns a
    verdict around."""
    state = {"accessible": True, "error": None}
    checker = stub(lambda request: stubs.Answer(200, {"ip": "127.0.0.1", "family": 4})
                   if request.path == "/ip" else
                   stubs.results(request, lambda ip, port: dict(state)))

    def change():
        state.update(accessible=False, error="Connection refused")

    def begin(*arguments):
        running = later.enter_context(Running(
            "--json", "--ports", "50800", "--watch", "1s", "--confirm", "300ms", *arguments,
            checker.url))
        running.wait_reports(1)
        return running, change
    return begin


def test_it_gives_up_privileges_and_has_a_helper_only_where_it_needs_one(watching):
    running, _ = watching()
    pid = running.process.pid

    assert (field(pid, "NoNewPrivs"), field(pid, "Seccomp")) == ("1", FILTERED)
    # Root's reads the packet filter.
    assert len(children(pid)) == (1 if os.geteuid() == 0 else 0)
    assert running.end().status == 0


def test_the_helper_keeps_what_the_command_may_need(watching, tmp_path):
    """A command such as sudo needs new privileges. Every signal has its default action."""
    told = tmp_path / "told"
    running, change = watching(
        "--on-change", f"grep -E 'NoNewPrivs|Seccomp:|SigBlk' /proc/self/status > {told}")
    helper = children(running.process.pid)[0]
    assert (field(helper, "NoNewPrivs"), field(helper, "Seccomp")) == ("0", "0")
    change()
    text = eventually(lambda: told.exists() and told.read_text(), "the command")

    assert [int(line.split()[1], 16) for line in text.splitlines()] == [0, 0, 0]
    assert running.end().status == 0
    eventually(lambda: is_gone(helper), "the helper has ended")


def test_the_helper_does_not_outlive_a_killed_verifier(watching):
    running, _ = watching("--on-change", "true")
    helper = children(running.process.pid)[0]
    os.kill(helper, signal.SIGTERM)  # what a terminal or a supervisor sends to all
    assert not is_gone(helper)
    running.process.kill()
    running.process.wait()

    eventually(lambda: is_gone(helper), "the helper has ended")


def test_without_its_helper_it_goes_on_and_says_so(watching):
    running, change = watching("--on-change", "true")
    helper = children(running.process.pid)[0]
    os.kill(helper, signal.SIGKILL)
    eventually(lambda: "starting the --on-change command" in running.err_path.read_text(),
               "the complaint", 20)
    change()

    assert len(running.wait_reports(2)) == 2
    assert running.end().status == 0
