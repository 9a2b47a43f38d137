# SPDX-License-Identifier: MIT
"""Processes that are stopped or killed, and clocks that jump, beside healthy clients."""
import contextlib
import email.utils
import os
import random
import signal
import socket
import tempfile
import threading
import time

from attack.faults import faulty, verify_after
from attack.faulty_libc import FaultyLibc
from attack.healthy import JSON, Sum, Target, beside
from attack.record import Record, attack
from attack.tls import make_certificate
from harness import network
from harness.http import Connection
from harness.service import Service
from harness.waiting import eventually


@contextlib.contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


# --- stopped ------------------------------------------------------------------------------

def check_across_a_stop(service, machine, rules, far, seconds):
    """The target cannot be reached before and during the stop, and can after it: what passed while
    we slept says nothing about it. A 200 must tell it open."""
    with machine.call(Target, far) as target, service.connect() as connection:
        rules.rule([target.open, target.closed], "drop")
        connection.request("POST", "/check-ports", [JSON], target.body())
        eventually(lambda: service.metric("probes_in_flight") > 0, "SYNs are out")
        with stopped(service.pid):
            time.sleep(seconds)
            rules.clear()
        reply = connection.reply()
        assert reply.status in (200, 503), reply
        if reply.status == 200:
            target.judge(reply.json()["results"])
        return reply.status


@attack("Faults", "stop-child", "0 verdicts blamed on a target")
def stop_child(rounds=3, seconds=8, shorts=20):
    """SIGSTOP and SIGCONT of the serving process: for 8 s, in the middle of a check whose targets
    can be reached only afterwards, and 20 times for up to 1 s beside healthy clients"""
    numbers = random.Random(1)
    machine = network.Machine()
    rules = network.Filter(machine)
    far = machine.NETS[0][1]
    try:
        with faulty({"PORT_CHECK_TIMEOUT": 3}) as (service, target):
            answers = [check_across_a_stop(service, machine, rules, far, seconds)
                       for _ in range(rounds)]
            with beside(service, target, 2) as healthy, \
                    beside(service, target, 2, does_reconnect=False) as kept_open:
                for _ in range(shorts):
                    with stopped(service.pid):
                        time.sleep(numbers.random())
                    time.sleep(0.1)
            verify_after(service, target)
    finally:
        machine.close()
    total = Sum(healthy + kept_open)
    return Record(f"{answers.count(200)} of {rounds} checks across the stop right, "
                  f"{answers.count(503)} a 503; {total}; 0 verdicts blamed on a target",
                  holds=total.failed == 0)


@attack("Faults", "stop-parent", "0 healthy requests unanswered")
def stop_parent(seconds=5):
    """SIGSTOP of the main process for 5 s, with a reload requested meanwhile"""
    with faulty() as (service, target):
        with beside(service, target, 2) as healthy:
            with stopped(service.process.pid):
                service.signal(signal.SIGHUP)
                time.sleep(seconds)
            service.wait_ready(2)
            time.sleep(0.2)
        verify_after(service, target)
    total = Sum(healthy)
    return Record(str(total), holds=total.failed == 0)


# --- clocks -------------------------------------------------------------------------------

def silent_check(service, port):
    begun = time.monotonic()
    reply = service.check([port])
    seconds = time.monotonic() - begun
    assert reply.json()["results"][str(port)]["error"] == "Connection timed out", reply
    return seconds


def date_of(reply):
    return email.utils.parsedate_to_datetime(reply.header("Date")).timestamp()


@attack("Faults", "clock-steps", "0 requests unanswered; a silent port takes as long as usual")
def clock_steps(steps=(3600, -3600, 86400 * 365, -86400 * 365, 0.5, -0.5), timeout=2):
    """CLOCK_REALTIME steps forward and back, by up to a year, in the middle of checks"""
    rules = network.Filter()
    rules.rule([20000], "drop")
    durations = []
    try:
        with FaultyLibc() as libc, faulty({**libc.settings(), "PORT_CHECK_TIMEOUT": timeout}) as (
                service, target):
            now = 0
            with beside(service, target, 2) as healthy:
                eventually(lambda: all(one.rounds for one in healthy), "load")
                usual = max(silent_check(service, 20000) for _ in range(3))
                for step in steps:
                    timer = threading.Timer(timeout / 2, libc.shift, [now := now + step])
                    timer.start()
                    durations.append(silent_check(service, 20000))
                    timer.join()
                    date = date_of(service.get("/health"))
                    assert abs(date - time.time() - now) < 3, f"{date}, not {now} s away"
            libc.shift(0)
    finally:
        rules.close()
    total = Sum(healthy)
    return Record(f"{total}; a silent port {min(durations):.2f}-{max(durations):.2f} s, "
                  f"{usual:.2f} s without a step",
                  holds=total.failed == 0 and max(durations) < usual + timeout
                  and min(durations) > timeout - 0.25)


# --- killed -------------------------------------------------------------------------------

def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Supervisor:
    """Starts the service again as soon as its main process has ended, as systemd with RestartSec=0
    does."""

    def __init__(self, settings, context):
        self.settings = {"PORT_CHECKER_PORT": free_port(), **settings}
        self.address = ("127.0.0.1", self.settings["PORT_CHECKER_PORT"])
        self.context = context
        self.service = Service(self.settings).wait_ready()

    def answers(self):
        try:
            with Connection(self.address, context=self.context) as connection:
                return connection.exchange("GET", "/health").status == 200
        except (OSError, EOFError):
            return False

    def outage(self, pid):
        """Seconds from kill -9 of that process until /health answers again."""
        begun = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        self.service.process.wait(10)
        self.restart()
        while not self.answers():
            assert time.monotonic() < begun + 10, "it does not come back"
            if self.service.process.poll() is not None:  # the port was not free yet
                self.restart()
        seconds = time.monotonic() - begun
        self.service.wait_ready()
        return seconds

    def restart(self):
        self.service.discard()
        self.service = Service(self.settings)


def outages(which, rounds):
    """Of plain HTTP and of HTTPS, in milliseconds."""
    figures = {}
    with tempfile.TemporaryDirectory(prefix="tls-") as folder:
        for name, (settings, context) in {"HTTP": ({}, None),
                                          "HTTPS": make_certificate(folder)}.items():
            supervisor = Supervisor(settings, context)
            try:
                figures[name] = [supervisor.outage(which(supervisor.service)) * 1000
                                 for _ in range(rounds)]
                supervisor.service.stop()
            finally:
                supervisor.service.discard()
    text = "; ".join(f"{name}: median {sorted(values)[len(values) // 2]:.0f} ms, longest "
                     f"{max(values):.0f} ms" for name, values in figures.items())
    return Record(f"{rounds} of {rounds} times back; {text}",
                  holds=all(max(values) < 1000 for values in figures.values()))


@attack("Faults", "kill-child", "back within 1 s each time")
def kill_child(rounds=20):
    """kill -9 of the serving process, with a supervisor that restarts at once: the outage"""
    return outages(lambda service: service.pid, rounds)


@attack("Faults", "kill-parent", "back within 1 s each time")
def kill_parent(rounds=20):
    """kill -9 of the main process, with a supervisor that restarts at once: the outage"""
    return outages(lambda service: service.process.pid, rounds)
