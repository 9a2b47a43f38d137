# SPDX-License-Identifier: MIT
"""The log as an operator has it: how much a client can write into it, a standard error that takes
nothing, and the journal."""
import concurrent.futures
import contextlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import time
import tty

import pytest

from harness.http import Connection, check_body
from harness.service import (
    BINARY,
    USUAL,
    children_of,
    environment,
    parse_line,
    refuse_reports,
)
from harness.waiting import PATIENCE, eventually

JSON = ("Content-Type", "application/json")

# Refused, without a cost.
BAD = b"POST /check-ports HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"
NO_PORTS = check_body([])
EMPTY = (b"POST /check-ports HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
         b"Content-Length: %d\r\n\r\n%s" % (len(NO_PORTS), NO_PORTS))


# --- lines that cost nothing --------------------------------------------------------------


def flood(service, request, status, connections=4, rounds=6, each=200):
    """Sends rounds * connections * each requests, through all workers."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(service.connect()) for _ in range(connections)]
        for _ in range(rounds):
            for client in clients:
                client.send(request * each)
            for client in clients:
                for _ in range(each):
                    assert client.reply().status == status
    return rounds * connections * each


def suppressed(service):
    return sum(int(event["suppressed"]) for event in service.events("log_suppressed"))


@pytest.mark.parametrize("request_bytes, status", [(BAD, 422), (EMPTY, 200)])
def test_requests_without_a_cost_write_a_hundred_lines_a_second(start, request_bytes, status):
    service = start(PORT_CHECKER_WORKERS=4)
    begun = time.monotonic()
    sent = flood(service, request_bytes, status)
    eventually(lambda: len(service.events("check")) + suppressed(service) == sent,
               "each line is there or counted")
    seconds = time.monotonic() - begun

    assert 100 <= len(service.events("check")) <= 100 * (seconds + 1)
    assert len(service.events("log_suppressed")) <= seconds + 1
    assert service.metric("log_lines_lost_total", "suppressed") == suppressed(service)
    assert service.metric("log_lines_lost_total", "dropped") == 0


def test_a_second_has_at_most_a_hundred_lines(start):
    """No window of one second has more, wherever it begins."""
    service = start(PORT_CHECKER_LOG_FORMAT="json")
    ended = time.monotonic() + 2.5
    while time.monotonic() < ended:
        flood(service, BAD, 422, rounds=1)
    times = [event["time"] for event in service.events("check")]
    stamps = [float(text[17:23]) + 60 * int(text[14:16]) for text in times]
    stamps = [(stamp - stamps[0] + 60) % 3600 for stamp in stamps]

    assert len(stamps) >= 200
    # A line has its time before it is admitted, and a busy machine may hold up each worker between
    # the two.
    stamps.sort()
    for first, beyond in zip(stamps, stamps[100 + int(USUAL["PORT_CHECKER_WORKERS"]):]):
        assert beyond - first >= 0.9


def test_checks_that_cost_something_are_always_logged(start, closed_port):
    service, port = start(), closed_port()
    flood(service, BAD, 422, rounds=1)
    before = len(service.events("check"))
    body = check_body([port])
    with service.connect() as client:
        for _ in range(300):
            assert client.exchange("POST", "/check-ports", [JSON], body).status == 200

    eventually(lambda: sum("closed" in event for event in service.events("check")) == 300,
               "300 lines")
    assert before < 300


def test_a_check_that_gets_its_budget_back_costs_nothing(start, silent_ports):
    """Its client leaves before the first port is tried."""
    service, ports = start(PORT_CHECKER_MAX_PROBES=1, PORT_CHECKER_WORKERS=1), silent_ports(2)
    count = 300
    begun = time.monotonic()
    with service.connect() as busy:
        busy.request("POST", "/check-ports", [JSON], check_body(ports[:1]))
        eventually(lambda: service.metric("probes_in_flight") == 1, "the only socket is in use")
        for _ in range(count):
            with service.connect() as client:
                client.request("POST", "/check-ports", [JSON], check_body(ports[1:]))
        eventually(lambda: service.metric("checks_abandoned_total") == count, "all have left")
        left = service.events("check")
        seconds = time.monotonic() - begun

    assert len(left) <= 100 * (seconds + 1)
    eventually(lambda: len(service.events("check")) + suppressed(service) == count + 1,
               "each line is there or counted")


# --- a standard error that takes nothing ---------------------------------------------------


class Piped:
    """A service with another standard error than a file of the tests."""

    def __init__(self, stderr, stop_reading=None, preexec=None, **settings):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        settings = {**USUAL, "PORT_CHECKER_PORT": self.port, **settings}
        self.process = subprocess.Popen([BINARY, "--env-file", "/dev/null"],
                                        env=environment(settings), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=stderr,
                                        preexec_fn=preexec)
        eventually(self.answers, "it answers")

    def answers(self):
        try:
            return self.get("/health").status == 200
        except OSError:
            assert self.process.poll() is None
            return False

    def connect(self):
        return Connection(("127.0.0.1", self.port))

    def get(self, path):
        with self.connect() as client:
            return client.exchange("GET", path)

    def lost(self, reason):
        name = f'port_checker_log_lines_lost_total{{reason="{reason}"}} '
        return int(self.get("/metrics").body.decode().split(name)[1].split("\n")[0])

    def checks(self, count):
        """Each writes a line."""
        with self.connect() as client:
            for _ in range(count):
                reply = client.exchange("POST", "/check-ports", [JSON], check_body([9]))
                assert reply.status == 200

    def until_lines_are_lost(self):
        while self.lost("dropped") == 0:
            self.checks(200)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=10 * PATIENCE) == 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def read_lines(descriptor):
    """Everything until the end, as fields; every line is whole."""
    data = b""
    with contextlib.suppress(OSError):  # EIO: the end of a terminal
        while piece := os.read(descriptor, 1 << 16):
            data += piece
    text = data.decode()
    refuse_reports(0, text)
    lines = text.split("\n")
    assert lines.pop() == "" and all(line.startswith("time=") for line in lines)
    return [parse_line(line) for line in lines]


def pipe():
    return os.pipe()


def stream_socket():
    """As the journal's."""
    near, far = socket.socketpair()
    return near.detach(), far.detach()


def terminal():
    """Raw, so that the line ends stay as they are."""
    near, far = os.openpty()
    tty.setraw(far)
    return near, far


@pytest.mark.parametrize("make", [pipe, stream_socket, terminal])
def test_a_reader_that_stops_stops_only_the_log(make):
    reader, writer = make()
    with Piped(writer, PORT_CHECKER_WORKERS=1) as service, \
            concurrent.futures.ThreadPoolExecutor() as pool:
        os.close(writer)
        service.until_lines_are_lost()
        for _ in range(50):
            assert service.get("/health").status == 200
        dropped = service.lost("dropped")

        reading = pool.submit(read_lines, reader)
        service.checks(3)
        service.stop()
        events = reading.result()
    os.close(reader)

    gaps = [int(event["dropped"]) for event in events if event["event"] == "log_dropped"]
    assert sum(gaps) >= dropped > 0
    assert events[-1]["event"] == "stopped"


def test_no_other_process_gets_a_non_blocking_descriptor():
    """The flags belong to the open file, which a shell shares."""
    reader, writer = os.pipe()
    with Piped(writer) as service:
        assert os.get_blocking(writer)
        service.stop()
    os.close(reader)
    os.close(writer)


def test_a_descriptor_that_another_process_made_non_blocking():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with Piped(writer, PORT_CHECKER_WORKERS=1) as service, \
            concurrent.futures.ThreadPoolExecutor() as pool:
        os.close(writer)
        service.until_lines_are_lost()
        reading = pool.submit(read_lines, reader)
        service.stop()
        events = reading.result()
    os.close(reader)

    assert "log_dropped" in [event["event"] for event in events]


def test_it_ends_although_nothing_reads():
    reader, writer = os.pipe()
    with Piped(writer, PORT_CHECKER_WORKERS=1) as service:
        os.close(writer)
        service.until_lines_are_lost()
        service.stop()
    os.close(reader)


def test_a_reader_that_has_gone():
    reader, writer = os.pipe()
    with Piped(writer, preexec=lambda: signal.signal(signal.SIGPIPE, signal.SIG_DFL)) as service:
        os.close(writer)
        os.close(reader)
        service.checks(5)
        assert service.get("/health").status == 200
        service.stop()


def test_a_full_disk(tmp_path):
    """Lines that were not written are counted, and the log goes on when there is room again."""
    path = tmp_path / "log"
    limit = 20_000
    with open(path, "ab") as log, Piped(
            log, PORT_CHECKER_WORKERS=1,
            PORT_CHECKER_SANDBOX="off",  # the limits of another user's process are fixed
            preexec=lambda: resource.setrlimit(
                resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))) as service:
        service.until_lines_are_lost()
        assert path.stat().st_size == limit
        assert service.get("/health").status == 200
        dropped = service.lost("dropped")
        for pid in (service.process.pid, *children_of(service.process.pid)):
            resource.prlimit(pid, resource.RLIMIT_FSIZE,
                             (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        eventually(lambda: b"event=log_dropped" in path.read_bytes(), "the notice")
        service.stop()

    lines = path.read_text().splitlines()
    assert all(line.startswith("time=") for line in lines)
    events = [parse_line(line) for line in lines]
    gap = [event for event in events if event["event"] == "log_dropped"]
    assert [int(event["dropped"]) for event in gap] == [dropped]


def test_without_a_standard_error_its_number_is_not_used_for_clients():
    with Piped(None, preexec=lambda: os.close(2)) as service:
        assert os.readlink(f"/proc/{service.process.pid}/fd/2") == "/dev/null"
        with service.connect() as client:
            reply = client.exchange("POST", "/check-ports", [JSON], check_body([9]))
            assert reply.status == 200 and not client.has_more()
        service.stop()


# --- the journal --------------------------------------------------------------------------


def journal_lines(log_format, is_journal=True, **settings):
    reader, writer = os.pipe()
    status = os.fstat(writer)
    inode = status.st_ino if is_journal else status.st_ino + 1
    with Piped(writer, JOURNAL_STREAM=f"{status.st_dev}:{inode}",
               PORT_CHECKER_LOG_FORMAT=log_format, PORT_CHECKER_HOSTT="x",
               **settings) as service:
        os.close(writer)
        service.checks(1)
        service.stop()
        with open(reader, encoding="utf-8") as text:
            return text.read().splitlines()


def test_the_journal_gets_priorities_and_no_time():
    lines = journal_lines("text", PORT_CHECKER_DEBUG="true")

    assert all(re.match(r"<[3-7]>level=\w+ event=\w+", line) for line in lines), lines
    priority = {line[1]: parse_line(line[3:])["level"] for line in lines}
    assert priority == {"4": "warning", "6": "info", "7": "debug"}
    assert not any("time=" in line for line in lines)


@pytest.mark.parametrize("arguments, settings", [
    ([], {"PORT_CHECKER_PORT": "x"}), (["--check-config"], {"PORT_CHECKER_PORT": "x"}),
    (["--nonsense"], {}), ([], {"PORT_CHECKER_HOST": "192.0.2.1"}),
    ([], {"PORT_CHECKER_TLS_CERT": "/nowhere", "PORT_CHECKER_TLS_KEY": "/nowhere"})])
def test_errors_at_the_start_have_their_priority(tmp_path, arguments, settings):
    path = tmp_path / "log"
    with open(path, "wb") as log:
        status = os.fstat(log.fileno())
        ended = subprocess.run(
            [BINARY, *arguments], cwd=tmp_path, stderr=log, stdin=subprocess.DEVNULL,
            timeout=20 * PATIENCE, check=False,
            env={"PORT_CHECKER_PORT": "0", "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}",
                 "PORT_CHECKER_HOSTT": "x", **settings})

    assert ended.returncode in (1, 2)
    lines = path.read_text().splitlines()
    errors = [line for line in lines if not line.startswith("<4>level=warning event=settings")]
    assert errors and all(line.startswith("<3>") for line in errors), lines


def test_the_journal_gets_priorities_before_json():
    lines = journal_lines("json")

    for line in lines:
        fields = json.loads(line[3:])
        assert line[:3] == {"warning": "<4>", "info": "<6>"}[fields["level"]]
        assert "time" not in fields and "event" in fields


def test_a_pipe_is_not_the_journal_because_a_parent_was_in_it():
    lines = journal_lines("text", is_journal=False)

    assert all(line.startswith("time=") for line in lines)
