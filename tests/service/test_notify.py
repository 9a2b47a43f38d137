# SPDX-License-Identifier: MIT
"""What systemd is told: sd_notify, from outside."""
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import struct
import time

import pytest

from harness.http import check_body
from harness.service import BINARY, Service, kept, replace
from harness.waiting import PATIENCE, SANITIZER, eventually

JSON = ("Content-Type", "application/json")
SO_PASSCRED, SCM_CREDENTIALS = 16, 2
SO_TIMESTAMPNS = 35
INTERVAL = 0.4  # of the watchdog
LONG_INTERVAL = 2 if SANITIZER else 1


class Manager:
    """The end of the socket at which systemd listens."""

    def __init__(self, name):
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_PASSCRED, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        self.senders = set()
        self.sent = 0  # when the last message was sent, in seconds

    def message(self, within=10.0):
        """The next one, as a dictionary; None if there is none in time."""
        self.socket.settimeout(within * PATIENCE)
        try:
            data, extra, _, _ = self.socket.recvmsg(4096, 256)
        except TimeoutError:
            return None
        for level, kind, value in extra:
            if (level, kind) == (socket.SOL_SOCKET, SCM_CREDENTIALS):
                self.senders.add(struct.unpack("3i", value)[0])
            elif (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
                seconds, ns = struct.unpack("2q", value)
                self.sent = seconds + ns / 1e9
        return dict(line.split("=", 1) for line in data.decode().splitlines())

    def expect(self, *names):
        """Reads until a message has one of these names; no message may name another state, except
        a sign of life."""
        while True:
            message = self.message()
            assert message, f"no {names}"
            if set(names) & set(message):
                return message
            assert "WATCHDOG" in message, message

    def forget(self):
        """Drops what has arrived."""
        self.socket.setblocking(False)
        try:
            while True:
                self.socket.recv(4096)
        except BlockingIOError:
            pass

    def close(self):
        self.socket.close()


@pytest.fixture(params=["path", "abstract"])
def any_manager(request, tmp_path, later):
    manager = Manager(str(tmp_path / "notify") if request.param == "path"
                      else f"@checker-test-{os.getpid()}")
    later.callback(manager.close)
    return manager


@pytest.fixture
def manager(tmp_path, later):
    manager = Manager(str(tmp_path / "notify"))
    later.callback(manager.close)
    return manager


def wait_ready(service, manager, count=1):
    service.wait_ready(count)
    return manager.expect("READY")


def test_ready_reloading_stopping(any_manager, start):
    manager = any_manager
    service = start(NOTIFY_SOCKET=manager.name)
    ready = manager.message()
    assert ready["READY"] == "1"
    assert f"port {service.port}" in ready["STATUS"]

    for count in (2, 3):
        before = time.monotonic_ns() // 1000
        service.signal(signal.SIGHUP)
        reloading = manager.message()
        assert reloading["RELOADING"] == "1"
        assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
        ready = manager.message()
        assert ready["READY"] == "1"
        service.wait_ready(count)

    service.signal(signal.SIGTERM)
    assert manager.message()["STOPPING"] == "1"
    assert service.wait() == 0
    assert manager.senders == {service.process.pid}, "systemd believes the main process only"


def test_a_refused_reload_ends_with_ready(manager, start):
    service = start(NOTIFY_SOCKET=manager.name, env_file="PORT_CHECKER_MAX_PORTS=3\n")
    manager.expect("READY")
    for text in ("PORT_CHECKER_MAX_PORTS=none\n", "PORT_CHECKER_MAX_PORTS=0\n"):
        service.env_file.write_text(text)
        service.signal(signal.SIGHUP)
        assert manager.message()["RELOADING"] == "1"
        ready = manager.message()
        assert ready["READY"] == "1"
        assert "refused" in ready["STATUS"]

    service.env_file.write_text("")
    service.signal(signal.SIGHUP)
    assert manager.message()["RELOADING"] == "1"
    ready = manager.message()
    assert ready["READY"] == "1" and "refused" not in ready["STATUS"]


def test_a_reload_during_a_reload(manager, start, silent_ports):
    """The second one has to wait for the end of the first one's predecessor."""
    service = start(NOTIFY_SOCKET=manager.name, PORT_CHECK_TIMEOUT=1.5)
    manager.expect("READY")
    with service.connect() as connection:
        connection.request("POST", "/check-ports", [JSON], check_body(silent_ports(3)))
        eventually(lambda: service.metric("checks_running") == 1, "the check runs")
        service.signal(signal.SIGHUP)
        assert "RELOADING" in manager.message()
        assert "READY" in manager.message()
        service.signal(signal.SIGHUP)
        assert "RELOADING" in manager.message()
        assert connection.reply().status == 200
    assert "READY" in manager.message()
    service.wait_ready(3)


def test_a_child_that_dies_ends_the_service(manager, later):
    service = Service({"NOTIFY_SOCKET": manager.name})
    later.callback(service.discard)
    wait_ready(service, manager)
    os.kill(service.pid, signal.SIGKILL)

    assert "STOPPING" in manager.message()
    assert service.wait() == 1


@pytest.mark.parametrize("name", ["/nowhere/notify", "nowhere", "vsock:2:1"])
def test_a_socket_that_does_not_work_is_a_warning(start, name):
    service = start(NOTIFY_SOCKET=name)
    service.signal(signal.SIGHUP)
    service.wait_ready(2)

    warnings = service.events("notify")
    assert warnings and all(line["level"] == "warning" for line in warnings)
    assert all("NOTIFY_SOCKET" in line["message"] for line in warnings)
    assert service.get("/health").status == 200


def test_a_manager_that_does_not_read_blocks_nothing(manager, start):
    service = start(NOTIFY_SOCKET=manager.name)
    filler = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    filler.setblocking(False)
    with filler, pytest.raises(BlockingIOError):
        while True:
            filler.sendto(b"x", manager.name)
    service.signal(signal.SIGHUP)
    service.wait_ready(2)

    assert service.events("notify")
    manager.forget()
    service.signal(signal.SIGHUP)
    assert "RELOADING" in manager.message()


def test_other_programs_do_not_see_the_variables(manager, tmp_path, later):
    """What a reload asks first is another program; what it executes is the service again."""
    binary, seen = tmp_path / "port-checker", tmp_path / "seen"
    shutil.copy(BINARY, binary)
    service = later.enter_context(kept(Service(
        {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "60000000"}, directory=tmp_path,
        binary=binary)))
    wait_ready(service, manager)
    replace(binary, lambda new: new.write_text(f"#!/bin/sh\nenv > {seen}\nexit 1\n"))
    service.signal(signal.SIGHUP)
    manager.expect("RELOADING")
    manager.expect("READY")

    names = {line.partition("=")[0] for line in seen.read_text().splitlines()}
    assert "PORT_CHECKER_PORT" in names
    assert not names & {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}


# --- the watchdog -------------------------------------------------------------------------


@pytest.fixture
def watched(manager, start):
    """watched(NAME=value, ...): a ready service with a watchdog."""
    def begin(interval=INTERVAL, **settings):
        service = start(NOTIFY_SOCKET=manager.name, WATCHDOG_USEC=int(interval * 1e6),
                        **settings)
        manager.expect("READY")
        return service
    return begin


def assert_alive(manager, count=4):
    for _ in range(count):
        assert manager.expect("WATCHDOG") == {"WATCHDOG": "1"}


def is_quiet(service):
    """No thread of both processes has anything to do."""
    stats = [f"/proc/{pid}/task/{thread}/stat" for pid in (service.process.pid, service.pid)
             for thread in threads_of(pid)]
    states = {pathlib.Path(stat).read_text().rpartition(")")[2].split()[0] for stat in stats}
    return states <= set("STt")


def assert_no_sign(manager, service):
    """What was on its way when the stop began has arrived by now, and nothing follows."""
    eventually(lambda: is_quiet(service), "nothing is on its way")
    time.sleep(INTERVAL)
    manager.forget()
    manager.socket.settimeout(2 * INTERVAL)
    with pytest.raises(TimeoutError):
        manager.socket.recv(4096)


@pytest.mark.parametrize("workers", [1, 4])
def test_an_idle_service_gives_signs_of_life_in_time(manager, watched, workers):
    """At half of the interval, not more often; and on average sooner than systemd would act. A busy
    machine may hold a sign up: some signs in a row are in time."""
    watched(LONG_INTERVAL, PORT_CHECKER_WORKERS=workers)
    times = []

    def are_in_time():
        assert_alive(manager, 1)
        times.append(manager.sent)
        return any(4 * LONG_INTERVAL / 2 * 0.9 < after - before < 4 * LONG_INTERVAL
                   for before, after in zip(times, times[4:]))
    eventually(are_in_time, "five signs in time")


def test_over_reloads_also_refused_ones(manager, watched):
    service = watched(env_file="")
    for count in (2, 3):
        service.signal(signal.SIGHUP)
        manager.expect("RELOADING")
        manager.expect("READY")
        service.wait_ready(count)
        assert_alive(manager)
    service.env_file.write_text("PORT_CHECKER_MAX_PORTS=none\n")
    service.signal(signal.SIGHUP)
    manager.expect("RELOADING")
    manager.expect("READY")
    assert_alive(manager)


def test_while_draining(manager, watched, silent_ports):
    service = watched(PORT_CHECK_TIMEOUT=5 * INTERVAL)
    with service.connect() as connection:
        connection.request("POST", "/check-ports", [JSON], check_body(silent_ports(3)))
        eventually(lambda: service.metric("checks_running") == 1, "the check runs")
        service.signal(signal.SIGTERM)
        manager.expect("STOPPING")
        assert_alive(manager, 2)
        assert connection.reply().status == 200


def test_a_child_that_is_stopped_gives_no_sign(manager, watched):
    service = watched()
    assert_alive(manager)
    os.kill(service.pid, signal.SIGSTOP)
    try:
        assert_no_sign(manager, service)
    finally:
        os.kill(service.pid, signal.SIGCONT)
    assert_alive(manager)


class Tracer:
    """Stops one thread of a process."""
    SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
    WALL = 0x40000000  # __WALL: also threads

    def __init__(self, thread):
        self.thread = thread
        self.libc = ctypes.CDLL(None, use_errno=True)

    def _ptrace(self, request):
        if self.libc.ptrace(request, self.thread, None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    def __enter__(self):
        self._ptrace(self.SEIZE)
        self._ptrace(self.INTERRUPT)
        os.waitpid(self.thread, self.WALL)

    def __exit__(self, *_):
        self._ptrace(self.DETACH)


def threads_of(pid):
    return sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))


@pytest.mark.parametrize("which", [0, -1, -3])
def test_one_thread_that_is_blocked_is_enough(manager, watched, own_network, which):
    """The main thread, the last worker, or the first of three."""
    service = watched(PORT_CHECKER_WORKERS=3)
    assert_alive(manager)
    with Tracer(threads_of(service.pid)[which]):
        assert_no_sign(manager, service)
    assert_alive(manager)


@pytest.mark.parametrize("settings", [
    {"WATCHDOG_USEC": 0}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": 100000, "WATCHDOG_PID": 1},
    {"WATCHDOG_USEC": 2**64 - 1}])
def test_without_a_watchdog_there_are_no_signs(manager, start, settings):
    start(NOTIFY_SOCKET=manager.name, **settings)
    assert "READY" in manager.message()
    manager.socket.settimeout(0.5)
    with pytest.raises(TimeoutError):
        manager.socket.recv(4096)
