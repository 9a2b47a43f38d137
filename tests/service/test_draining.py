# SPDX-License-Identifier: MIT
"""Stopping and reloading the service: what clients notice, and what they do not."""
import contextlib
import os
import shutil
import signal
import socket

import pytest

from harness import targets
from harness.hammer import Hammer
from harness.http import Connection, check_body
from harness.service import BINARY, replace
from harness.waiting import SANITIZER, eventually, sooner_than

RELOADS = 20 if SANITIZER else 50
WORKERS = pytest.mark.parametrize("workers", [1, 4])


# A silent host is judged after 4 seconds; a check of a port that refuses lasts 15 with these.
LASTING = {"PORT_CHECK_TIMEOUT": 20, "PORT_CHECK_RETRIES": 4, "PORT_CHECK_RETRY_DELAY": 5}


@pytest.fixture
def lasting_check(later, closed_port):
    """lasting_check(service): a connection with such a check, which is running."""
    def begin(service):
        connection = later.enter_context(service.connect())
        connection.request("POST", "/check-ports", [("Content-Type", "application/json")],
                           check_body([closed_port()]))
        eventually(lambda: service.metric("checks_running") == 1, "the check runs")
        return connection
    return begin


# --- draining -----------------------------------------------------------------------------


@WORKERS
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_checks_finish_and_takes_no_new_ones(
        start, long_check, workers, number):
    service = start(PORT_CHECK_TIMEOUT=20, PORT_CHECKER_WORKERS=workers)
    running = [long_check(service) for _ in range(4)]
    service.signal(number)
    service.wait_draining()

    health = service.get("/health")
    assert (health.status, health.body) == (503, b'{"status": "draining"}')
    refused = service.check([1])
    assert (refused.status, refused.json()["code"]) == (503, "draining")
    assert int(refused.header("Retry-After")) > 0
    assert service.post(b"{").status == 503
    long_check.release()
    for connection in running:
        long_check.assert_none_open(connection.reply())
        assert connection.is_ended()
    assert service.wait() == 0
    assert service.events("stopped")


def test_without_checks_it_ends_at_once(start):
    service = start(PORT_CHECKER_WORKERS=4)
    with service.connect() as connection:
        assert connection.exchange("GET", "/health").status == 200
        with sooner_than(9):  # otherwise it would be kept open for 10 seconds
            service.signal(signal.SIGTERM)
            assert service.wait() == 0
        assert connection.is_ended()


def test_a_second_signal_ends_it_at_once(start, lasting_check):
    service = start(**LASTING)
    connection = lasting_check(service)
    service.signal(signal.SIGTERM)
    service.wait_event("draining")
    service.signal(signal.SIGTERM)

    assert service.wait() == 0
    assert connection.is_ended(), "without a reply"


def test_a_signal_of_a_terminal_is_not_needed_twice_when_clients_left(start, long_check):
    service = start(PORT_CHECK_TIMEOUT=20)
    with sooner_than(19):  # its check
        long_check(service).close()
        service.signal(signal.SIGTERM)
        assert service.wait() == 0


# --- reloading ----------------------------------------------------------------------------


@WORKERS
def test_sighup_takes_new_settings_and_no_client_notices(start, long_check, workers):
    settings = f"PORT_CHECK_TIMEOUT=1\nPORT_CHECKER_WORKERS={workers}\n"
    service = start(PORT_CHECK_TIMEOUT=None, PORT_CHECKER_WORKERS=None,
                    env_file=settings + "PORT_CHECKER_MAX_PORTS=3\n")
    port = service.port
    assert service.check(["1-4"]).status == 422
    with Hammer(service) as hammer:
        hammer.more(20)
        running = long_check(service)
        service.env_file.write_text(settings + "PORT_CHECKER_MAX_PORTS=4\n")
        service.signal(signal.SIGHUP)
        long_check.assert_none_open(running.reply())
        service.wait_ready(2)
        hammer.more(20)

    assert hammer.failures == []
    assert service.port == port, "port 0 stays what it became"
    assert service.process.poll() is None
    assert service.check(["1-4"]).status == 200, "the new settings are in force"


@WORKERS
def test_many_reloads_under_load(start, workers):
    """The main process stays, each child ends once its successor serves, and no request fails."""
    service = start(PORT_CHECKER_WORKERS=workers)
    pids = {service.pid}
    with Hammer(service) as hammer:
        for count in range(2, RELOADS + 2):
            service.signal(signal.SIGHUP)
            pids.add(service.wait_ready(count).pid)
            hammer.more(2)

    assert hammer.failures == []
    assert len(pids) == RELOADS + 1 and service.process.pid not in pids
    eventually(lambda: service.children() == [service.pid], "the predecessors have ended")


def test_a_reload_may_change_the_number_of_workers(start):
    service = start(PORT_CHECKER_WORKERS=None, env_file="PORT_CHECKER_WORKERS=4\n")
    with Hammer(service) as hammer:
        for count, workers in enumerate((1, 3, 2), 2):
            service.env_file.write_text(f"PORT_CHECKER_WORKERS={workers}\n")
            service.signal(signal.SIGHUP)
            assert service.wait_ready(count).ready["workers"] == str(workers)
            hammer.more(10)

    assert hammer.failures == []


def test_descriptors_do_not_pile_up_over_reloads(start):
    service = start(PORT_CHECKER_WORKERS=4)
    before = service.at_rest()[0], service.descriptors_of_parent()
    for count in range(2, 8):
        service.signal(signal.SIGHUP)
        service.wait_ready(count)

    assert service.at_rest()[0] == before[0]
    eventually(lambda: service.descriptors_of_parent() == before[1], "the parent closed them")


@pytest.mark.parametrize("text", ["PORT_CHECKER_MAX_PORTS=none\n", "A='never closed\n",
                                  "PORT_CHECKER_TLS_CERT=nowhere\n"])
def test_a_bad_new_configuration_changes_nothing(start, text):
    service = start(env_file="PORT_CHECKER_MAX_PORTS=3\n")
    service.env_file.write_text(text)
    service.signal(signal.SIGHUP)

    service.wait_event("reload_refused")
    assert service.check(["1-4"]).status == 422
    assert service.check(["1-3"]).status == 200
    assert len(service.events("ready")) == 1

    service.env_file.write_text("PORT_CHECKER_MAX_PORTS=4\n")
    service.signal(signal.SIGHUP)
    service.wait_ready(2)
    assert service.check(["1-4"]).status == 200


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_refused_reload_says_why_in_the_form_of_the_log(start, form):
    """One line and no other: the output of a refused program may contain warnings, which are
    dropped."""
    service = start(PORT_CHECKER_LOG_FORMAT=form, env_file="")
    service.env_file.write_text("PORT_CHECKER_TARGET=any\nPORT_CHECKER_MAX_PORTS=none\n")
    service.signal(signal.SIGHUP)

    refused = service.wait_event("reload_refused")
    assert refused["reason"].startswith('PORT_CHECKER_MAX_PORTS="none" (from .env)')
    lines = service.stderr().splitlines()
    assert len(lines) == len(service.events()) == 3, lines
    assert all(line.startswith("{") == (form == "json") for line in lines)


@pytest.fixture
def moving(start):
    """A service whose address is set in its .env; move() changes it and reloads."""
    def on(**settings):
        text = "".join(f"PORT_CHECKER_{name}={value}\n" for name, value in settings.items())
        service = start(PORT_CHECKER_HOST=None, PORT_CHECKER_PORT=None, env_file=text)

        def move(**settings):
            service.env_file.write_text(
                "".join(f"PORT_CHECKER_{name}={value}\n" for name, value in settings.items()))
            service.signal(signal.SIGHUP)
        return service, move
    return on


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return targets.port_of(sock)


@pytest.mark.parametrize("new, reason", [
    (dict(HOST="127.0.0.1", PORT="{taken}"), "Address already in use: end the program"),
    (dict(HOST="0.0.0.0", PORT="{taken}"), "Address already in use: end the program"),
    (dict(HOST="192.0.2.1", PORT="{own}"), "Cannot assign requested address: set"),
])
def test_an_address_that_is_not_to_be_had_does_not_end_the_service(moving, new, reason):
    with targets.listener() as taken:
        service, move = moving(HOST="127.0.0.1", PORT=0)
        move(**{name: value.format(taken=targets.port_of(taken), own=service.port)
                for name, value in new.items()})
        refused = service.wait_event("reload_refused")

    assert reason in refused["reason"]
    assert service.get("/health").status == 200
    assert len(service.events("ready")) == 1


def test_a_neighbour_of_the_same_port_keeps_the_service_where_it_is(moving):
    # Not a port that the end of a client's connection may block at another address.
    service, move = moving(HOST="127.0.0.1", PORT=17466)
    with socket.socket() as taken:
        taken.bind(("127.0.0.2", service.port))
        taken.listen()
        move(HOST="0.0.0.0", PORT=service.port)
        refused = service.wait_event("reload_refused")
        assert "Address already in use" in refused["reason"]
        assert service.get("/health").status == 200

    service.signal(signal.SIGHUP)
    assert service.wait_ready(2).ready["address"] == "0.0.0.0"
    assert service.get("/health").status == 200


@pytest.mark.parametrize("own, wanted", [("127.0.0.2", "127.0.0.1"), ("::1", "127.0.0.1"),
                                         ("::1", "0.0.0.0"), ("127.0.0.1", "::1")])
def test_another_checker_of_the_same_port_keeps_the_service_where_it_is(
        start, moving, own, wanted):
    """Both run as the same user, so SO_REUSEPORT would allow both."""
    other = start(PORT_CHECKER_HOST=wanted)
    service, move = moving(HOST=own, PORT=other.port)
    move(HOST=wanted, PORT=other.port)
    refused = service.wait_event("reload_refused")

    assert "Address already in use: end the program" in refused["reason"]
    assert service.get("/health").status == other.get("/health").status == 200
    assert len(service.events("ready")) == 1


def test_a_reload_may_move_the_service(moving):
    service, move = moving(HOST="127.0.0.1", PORT=0)
    port = service.port
    for count, (host, port) in enumerate([("0.0.0.0", port), ("127.0.0.1", port),
                                          ("127.0.0.1", free_port()), ("::", 0)], 2):
        move(HOST=host, PORT=port)
        ready = service.wait_ready(count).ready
        assert ready["address"] == host
        assert port in (0, int(ready["port"]))
        assert service.get("/health").status == 200


def test_a_new_program_that_says_more_than_a_pipe_holds_is_heard_out(copied):
    service, binary = copied()
    text = "#!/bin/sh\nyes no | head -c 300000 >&2\necho never >&2\nexit 3\n"
    replace(binary, lambda new: new.write_text(text))
    service.signal(signal.SIGHUP)

    assert service.wait_event("reload_refused", within=60)["reason"] == "never"


@pytest.mark.parametrize("text, reason", [
    ("echo a warning >&2; kill -KILL $$", "signal 9; it said: a warning"),
    ("kill -KILL $$", "signal 9"),
    ("echo a fault >&2; exit 1", "a fault"),
    ("exit 7", "exit status 7"),
])
def test_how_a_new_program_ended_is_the_reason(copied, text, reason):
    service, binary = copied()
    replace(binary, lambda new: new.write_text(f"#!/bin/sh\n{text}\n"))
    service.signal(signal.SIGHUP)

    assert service.wait_event("reload_refused")["reason"] == reason


def test_a_new_program_inherits_no_signal_that_is_ignored(copied):
    service, binary = copied()
    text = "#!/bin/sh\ngrep -E 'Sig(Blk|Ign)' /proc/self/status | tr -s '\\n\\t' ' ' >&2\nexit 3\n"
    replace(binary, lambda new: new.write_text(text))
    service.signal(signal.SIGHUP)

    _, blocked, _, ignored = service.wait_event("reload_refused")["reason"].split()
    assert int(blocked, 16) == 0
    assert int(ignored, 16) & 1 << (signal.SIGPIPE - 1) == 0


def writer_of(fifo):
    """Its descriptor once it has a reader, else None."""
    with contextlib.suppress(OSError):
        return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    return None


@pytest.fixture
def unanswered(later):
    """unanswered(service): a reload is in progress, and the new program waits for its .env."""
    def begin(service):
        service.env_file.unlink()
        os.mkfifo(service.env_file)
        service.signal(signal.SIGHUP)
        later.callback(os.close, eventually(lambda: writer_of(service.env_file), "it is read"))
    return begin


def test_a_new_program_that_does_not_answer_is_ended(start, unanswered):
    service = start(env_file="PORT_CHECKER_MAX_PORTS=3\n")
    unanswered(service)
    service.env_file.unlink()
    service.env_file.write_text("PORT_CHECKER_MAX_PORTS=4\n")
    service.signal(signal.SIGHUP)

    refused = service.wait_event("reload_refused", within=20)
    assert refused["reason"] == "no answer within 10 seconds"
    service.wait_ready(2)
    assert service.check(["1-4"]).status == 200, "what was asked for meanwhile"


def test_a_new_program_that_does_not_answer_does_not_keep_the_port(start, unanswered):
    service = start(env_file="")
    address = service.address
    unanswered(service)
    service.signal(signal.SIGTERM)

    assert service.wait() == 0
    with pytest.raises(ConnectionRefusedError):
        Connection(address)


def test_signals_while_a_reload_is_under_way(start, long_check):
    service = start(PORT_CHECK_TIMEOUT=20)
    running = long_check(service)
    for _ in range(5):
        service.signal(signal.SIGHUP)
    service.wait_event("reload")
    service.signal(signal.SIGTERM)
    service.wait_event("draining")

    long_check.release()
    long_check.assert_none_open(running.reply())
    assert service.wait() == 0
    assert len(service.events("stopped")) == 1


def test_an_idle_client_does_not_hold_up_a_reload(start):
    service = start()
    with service.connect() as idle:
        assert idle.exchange("GET", "/health").status == 200
        service.signal(signal.SIGHUP)
        service.wait_ready(2)

        assert idle.is_ended()


def test_half_a_request_does_not_hold_up_a_reload(start):
    service = start()
    with service.connect() as slow:
        slow.send(b"GET /heal")
        eventually(lambda: service.metric("http_connections_open") == 2, "it has come")
        with sooner_than(9):  # it has 10 seconds otherwise
            service.signal(signal.SIGHUP)
            service.wait_ready(2)

        assert b" 408 " in slow.rest()


def test_in_debug_a_new_env_file_is_taken_by_itself(start):
    service = start(PORT_CHECKER_DEBUG="true", env_file="PORT_CHECKER_MAX_PORTS=3\n")
    assert service.check(["1-4"]).status == 422
    service.env_file.write_text("PORT_CHECKER_MAX_PORTS=4\n")
    service.wait_ready(2)

    assert service.check(["1-4"]).status == 200


def test_in_debug_a_long_check_does_not_hold_up_a_reload(start, lasting_check):
    service = start(PORT_CHECKER_DEBUG="true", **LASTING)
    running = lasting_check(service)
    service.signal(signal.SIGHUP)
    service.wait_ready(2)

    assert running.is_ended()


def test_in_debug_a_new_binary_is_taken_by_itself(copied):
    service, binary = copied(PORT_CHECKER_DEBUG="true")
    with Hammer(service) as hammer:
        replace(binary, lambda new: shutil.copyfile(BINARY, new))
        service.wait_ready(2)
        hammer.more(10)

    assert hammer.failures == []


@pytest.mark.parametrize("text", ["", "no program", "#!/bin/sh\nexit 1\n"])
def test_a_binary_that_does_not_work_is_not_taken(copied, text):
    service, binary = copied(PORT_CHECKER_DEBUG="true")
    replace(binary, lambda new: new.write_text(text))
    service.wait_event("reload_refused")

    assert service.get("/health").status == 200
    replace(binary, lambda new: shutil.copyfile(BINARY, new))
    service.wait_ready(2)


def test_a_process_that_inherits_no_sockets_of_its_own_ignores_the_variables(start):
    service = start(LISTEN_PID="1", LISTEN_FDS="3")

    assert service.get("/health").status == 200
