# SPDX-License-Identifier: MIT
"""What is left in the router when port-verifier ends."""
import os
import pathlib
import select
import signal
import subprocess

from harness.homes import ALL, PCP, PROVIDER, UPNP
from harness.service import environment
from harness.together import together
from harness.waiting import PATIENCE, eventually
from verifier.program import BINARY
from world import PORTS, good_of, states_of

EACH = together("protocol", ALL)
FORWARDS = {port: (PROVIDER, port) for port in PORTS}


@EACH
@together("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_removes_everything(world, protocol, number):
    one = world(protocol)
    with one.mapped() as running:
        assert good_of(running.reports[0]["families"][0]) == PORTS
        assert one.daemon.forwards() == FORWARDS
        running.process.send_signal(number)
        running.wait()
    assert one.daemon.is_empty()


class OnTerminal:
    """A port-verifier that keeps ports mapped, alone on a terminal of its own."""

    def __init__(self, one, *before):
        self.keyboard, terminal = os.openpty()
        words = [*before, BINARY, "--map", "--watch", "1h", "--ports", "7466", one.urls[4]]
        with one.home.provider:
            self.process = subprocess.Popen(
                ["setsid", "--ctty", *words], stdin=terminal, stdout=terminal, stderr=terminal,
                env=environment({"TERM": "vt100"}))
        os.close(terminal)

    def read_until(self, wanted):
        shown = b""
        while wanted not in shown:
            assert select.select([self.keyboard], [], [], 10 * PATIENCE)[0], shown
            shown += os.read(self.keyboard, 4096)

    def close(self):
        os.close(self.keyboard)

    def discard(self):
        self.process.kill()
        self.process.wait()


@EACH
def test_a_terminal_that_is_closed(world, protocol):
    """The kernel signals SIGHUP, and nothing can be written any more."""
    one = world(protocol)
    running = OnTerminal(one)
    one.later.callback(running.discard)
    running.read_until(b"port reachable")
    assert one.daemon.forwards() == {7466: (PROVIDER, 7466)}
    running.close()
    running.process.wait(timeout=30 * PATIENCE)
    assert one.daemon.is_empty()


def test_nohup(world):
    """The mappings are kept after the terminal is closed."""
    one = world(PCP)
    running = OnTerminal(one, "sh", "-c", "trap '' HUP; exec \"$@\"", "sh")
    one.later.callback(running.discard)
    running.read_until(b"port reachable")
    running.close()
    running.process.send_signal(signal.SIGHUP)
    one.daemon.restart()
    # It may have announced its first start after the mapping, less than 10 seconds ago.
    eventually(one.daemon.forwards, "mapped anew", within=30)
    running.process.terminate()
    running.process.wait(timeout=30 * PATIENCE)
    assert one.daemon.is_empty()


def test_hangups_do_not_cut_the_removal_short(world):
    """A shell and the kernel both signal it; systemd sends it after SIGTERM."""
    one = world(UPNP)
    with one.mapped() as running:
        os.kill(one.daemon.pid, signal.SIGSTOP)
        running.process.send_signal(signal.SIGHUP)
        eventually(lambda: find_program(running.process.pid), "the removal")
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
            running.process.send_signal(number)
        os.kill(one.daemon.pid, signal.SIGCONT)
        running.wait()
    assert one.daemon.is_empty()


def children(pid):
    text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in text.split()]


def find_program(pid):
    """port-verifier-upnp, which a helper of this port-verifier runs."""
    return next((child for helper in children(pid) for child in children(helper)), None)


def test_a_signal_to_all_processes(world):
    """As from a terminal, or from systemd, which looks for further ones until it finds none."""
    one = world(UPNP)
    with one.mapped() as running:
        os.kill(one.daemon.pid, signal.SIGSTOP)
        running.process.send_signal(signal.SIGTERM)
        program = eventually(lambda: find_program(running.process.pid), "the removal")
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            os.kill(program, number)
        os.kill(one.daemon.pid, signal.SIGCONT)
        running.wait()
    assert one.daemon.is_empty()


def test_a_signal_while_ports_are_being_mapped(world):
    one = world(PCP)
    running = one.watch("--map", ports="7466,50800-50900")
    eventually(one.daemon.forwards, "the first forward")
    running.end()
    assert one.daemon.is_empty()


@EACH
def test_map_keep(world, protocol):
    one = world(protocol)
    family = one.verify("--map", "--map-keep")
    assert good_of(family) == PORTS and family["router"]["mapping"]["kept"] is True
    assert one.daemon.forwards() == FORWARDS


def test_map_keep_and_a_signal(world):
    one = world(PCP)
    with one.mapped("--map-keep") as running:
        running.end()
    eventually(lambda: one.daemon.forwards() == FORWARDS, "also what a busy router maps late")


def test_the_state_file_lets_the_next_run_remove(world, tmp_path):
    """PCP: a mapping belongs to the nonce that made it."""
    one = world(PCP)
    state = ("--state", tmp_path / "state")
    assert good_of(one.verify("--map", "--map-keep", *state)) == PORTS
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o600
    family = one.verify("--map", *state)
    assert good_of(family) == PORTS and set(states_of(family).values()) == {"mapped"}
    assert one.daemon.is_empty()


@together("protocol", [PCP, UPNP])
def test_pinholes_are_removed(world, protocol):
    one = world(protocol)
    with one.mapped(family=6) as running:
        assert one.daemon.pinholes() == PORTS
        running.end()
    assert one.daemon.is_empty()


def test_a_dead_router_does_not_hold_up_the_end(world):
    """It says which mappings stay, and until when."""
    one = world(PCP)
    with one.mapped() as running:
        one.daemon.stop()
        ended = running.end()
    assert one.daemon.forwards() == FORWARDS
    assert "7466" in ended.err
