# SPDX-License-Identifier: MIT
"""Starting, stopping, and everything an operator does in between."""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess

import pytest

from harness import targets
from harness.hammer import Hammer
from harness.http import Connection, check_body
from harness.service import BINARY, replace, run
from harness.tls import make_pair, tls_settings, trusting
from harness.waiting import PATIENCE, eventually, sooner_than

JSON = ("Content-Type", "application/json")
WORKERS = pytest.mark.parametrize("workers", [1, 4])


class LongCheck:
    """long_check(service): a connection with a check of ports that are silent. It takes
    PORT_CHECK_TIMEOUT; release() lets the ports refuse, which ends it soon."""

    def __init__(self, packet_filter, ports, later):
        self.packet_filter, self.ports, self.later = packet_filter, ports, later

    def __call__(self, service):
        connection = self.later.enter_context(service.connect())
        running = service.metric("checks_running")
        connection.request("POST", "/check-ports", [JSON], check_body(self.ports))
        eventually(lambda: service.metric("checks_running") > running, "the check runs")
        return connection

    def hold(self):
        self.packet_filter.rule(self.ports, "drop")

    def release(self):
        self.packet_filter.clear()


@pytest.fixture
def long_check(packet_filter, silent_ports, later):
    return LongCheck(packet_filter, silent_ports(3), later)


def assert_none_open(reply):
    assert reply.status == 200, reply
    assert reply.json()["message"] == "Successfully verified 0 out of 3 ports"


# --- the command line ---------------------------------------------------------------------


def test_help_names_every_setting_and_exits_0(tmp_path):
    ended = run("--help", directory=tmp_path)

    assert (ended.returncode, ended.stderr) == (0, "")
    for option in ("--env-file FILE", "--check-config", "-h, --help", "-V, --version"):
        assert option in ended.stdout
    assert run("-h", directory=tmp_path).stdout == ended.stdout
    lines = run("--check-config", directory=tmp_path).stdout.splitlines()
    names = [re.search(r"PORT_CHECK\w+", line).group() for line in lines]
    assert len(names) > 15
    assert set(names) == set(re.findall(r"PORT_CHECK\w+", ended.stdout))


def test_version_is_one_line(tmp_path):
    ended = run("--version", directory=tmp_path)

    assert ended.returncode == 0
    assert re.fullmatch(r"port-checker \d+\.\d+\.\d+\n", ended.stdout)
    assert run("-V", directory=tmp_path).stdout == ended.stdout


@pytest.mark.parametrize("arguments, message", [
    (["--nonsense"], "unknown option --nonsense"),
    (["--env-fiel", "x"], "unknown option --env-fiel; did you mean --env-file?"),
    (["-x"], "unknown option -x"),
    (["extra"], 'unexpected argument "extra"; give settings in the environment or in a file'),
    (["--check-config", "extra"],
     'unexpected argument "extra"; give settings in the environment or in a file'),
    (["--env-file"], "--env-file needs a value, for example --env-file /etc/port-checker.env"),
    (["--env-file="],
     '"": --env-file must be the name of a file, for example /etc/port-checker.env'),
    (["--env-file", "a", "--env-file", "b"], "--env-file may be given only once"),
    (["--help=yes"], "--help takes no value"),
])
def test_wrong_arguments_exit_2(tmp_path, arguments, message):
    ended = run(*arguments, directory=tmp_path)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"port-checker: {message}\nTry: port-checker --help\n"


@pytest.mark.parametrize("option", ["--help", "--version", "--check-config"])
def test_output_that_cannot_be_written_is_no_success(tmp_path, option):
    with open("/dev/full", "w", encoding="ascii") as full:
        ended = subprocess.run([BINARY, option], stdout=full, stderr=subprocess.PIPE, text=True,
                               cwd=tmp_path, timeout=20 * PATIENCE)

    assert ended.returncode == 1
    assert ended.stderr == "port-checker: standard output: No space left on device\n"


def test_check_config_prints_what_would_be_in_force(tmp_path):
    (tmp_path / ".env").write_text("PORT_CHECKER_PORT=1234\nPORT_CHECK_RETRIES=2\n")
    ended = run("--check-config", directory=tmp_path, PORT_CHECK_RETRIES="3")

    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert "PORT_CHECKER_PORT=1234" in lines
    assert "PORT_CHECK_RETRIES=3" in lines, "the environment wins over the file"
    assert "PORT_CHECKER_TARGETS=auto" in lines


def test_check_config_takes_a_named_file_in_place_of_env(tmp_path):
    (tmp_path / ".env").write_text("PORT_CHECKER_PORT=1\n")
    (tmp_path / "other").write_text("export PORT_CHECKER_PORT='2'\n")
    ended = run("--env-file", "other", "--check-config", directory=tmp_path)

    assert "PORT_CHECKER_PORT=2" in ended.stdout.splitlines()


def test_empty_means_not_set(tmp_path):
    (tmp_path / ".env").write_text("PORT_CHECKER_PORT=1234\n")
    ended = run("--check-config", directory=tmp_path, PORT_CHECKER_PORT="")

    assert "PORT_CHECKER_PORT=1234" in ended.stdout.splitlines()


def test_an_unknown_setting_is_a_warning_with_the_nearest_name(tmp_path):
    ended = run("--check-config", directory=tmp_path, PORT_CHECKER_TARGET="any")

    assert ended.returncode == 0
    assert ("unknown setting PORT_CHECKER_TARGET (from the environment); did you mean "
            "PORT_CHECKER_TARGETS?") in ended.stderr


def test_a_warning_is_in_the_form_of_the_log(start):
    service = start(PORT_CHECKER_LOG_FORMAT="json", PORT_CHECKER_TARGET="any")

    lines = [json.loads(line) for line in service.stderr().splitlines()]
    assert [line["event"] for line in lines] == ["settings", "ready"]
    assert "PORT_CHECKER_TARGETS" in lines[0]["message"]


# --- wrong settings -----------------------------------------------------------------------

WRONG = [
    ("PORT_CHECKER_HOST", "localhost", "an IPv4 or IPv6 address"),
    ("PORT_CHECKER_HOST", "[::1]", "an IPv4 or IPv6 address"),
    ("PORT_CHECKER_PORT", "65536", "0 to 65535"),
    ("PORT_CHECKER_PORT", "http", "0 to 65535"),
    ("PORT_CHECKER_PORT", "-1", "0 to 65535"),
    ("PORT_CHECKER_DEBUG", "maybe", "true, false, 1, 0, yes, no, on or off"),
    ("PORT_CHECK_TIMEOUT", "0.4", "0.5 to 20 seconds"),
    ("PORT_CHECK_TIMEOUT", "20.1", "0.5 to 20 seconds"),
    ("PORT_CHECK_TIMEOUT", "soon", "0.5 to 20 seconds"),
    ("PORT_CHECK_TIMEOUT", "nan", "0.5 to 20 seconds"),
    ("PORT_CHECK_RETRIES", "0", "1 to 4"),
    ("PORT_CHECK_RETRIES", "5", "1 to 4"),
    ("PORT_CHECK_RETRY_DELAY", "5.1", "0 to 5 seconds"),
    ("PORT_CHECKER_WORKERS", "0", "1 to 256"),
    ("PORT_CHECKER_TARGETS", "everyone", "auto, caller, public or any"),
    ("PORT_CHECKER_TRUSTED_PROXIES", "10.0.0.0/33", "networks such as"),
    ("PORT_CHECKER_TRUSTED_PROXIES", "proxy", "networks such as"),
    ("PORT_CHECKER_MAX_PORTS", "0", "1 to 65535"),
    ("PORT_CHECKER_MAX_PROBES", "0", "1 to 1000000"),
    ("PORT_CHECKER_MAX_CONNECTIONS", "0", "1 to 1000000"),
    ("PORT_CHECKER_MAX_CONNECTIONS_PER_CALLER", "x", "1 to 1000000"),
    ("PORT_CHECKER_RATE", "fast", "20/s, 1200/min or 72000/h"),
    ("PORT_CHECKER_RATE", "-1/s", "20/s, 1200/min or 72000/h"),
    ("PORT_CHECKER_METRICS_FROM", "everywhere", "networks such as"),
    ("PORT_CHECKER_CORS_ORIGINS", "example.org", "origins such as"),
    ("PORT_CHECKER_LOG_FORMAT", "xml", "text or json"),
]


@pytest.mark.parametrize("name, value, accepted", WRONG)
def test_a_wrong_setting_stops_the_start_with_one_line(tmp_path, name, value, accepted):
    ended = run(directory=tmp_path, **{name: value})

    assert ended.returncode == 2
    line, = ended.stderr.splitlines()
    assert f'{name}="{value}"' in line and accepted in line
    assert run("--check-config", directory=tmp_path, **{name: value}).returncode == 2


def test_a_wrong_setting_of_the_file_says_where_it_stands(tmp_path):
    (tmp_path / ".env").write_text("PORT_CHECK_TIMEOUT=soon\n")
    ended = run(directory=tmp_path)

    assert ended.returncode == 2
    line, = ended.stderr.splitlines()
    assert 'PORT_CHECK_TIMEOUT="soon"' in line and ".env" in line


def test_a_line_of_the_file_that_cannot_be_parsed_stops_the_start(tmp_path):
    (tmp_path / ".env").write_text("PORT_CHECKER_PORT=0\nA='never closed\n")
    ended = run(directory=tmp_path)

    assert ended.returncode == 2
    line, = ended.stderr.splitlines()
    assert ".env" in line and "2" in line


def test_an_unreadable_file_stops_the_start(tmp_path):
    (tmp_path / ".env").mkdir()
    ended = run(directory=tmp_path)

    assert ended.returncode == 2
    line, = ended.stderr.splitlines()
    assert ".env" in line


def test_a_named_file_must_be_there(tmp_path):
    ended = run("--env-file", "nowhere.env", directory=tmp_path)

    assert ended.returncode == 2
    line, = ended.stderr.splitlines()
    assert "nowhere.env" in line and "No such file" in line


# --- the address --------------------------------------------------------------------------


def run_on(directory, host, port, workers=1):
    return run(directory=directory, PORT_CHECKER_HOST=host, PORT_CHECKER_PORT=str(port),
               PORT_CHECKER_WORKERS=str(workers))


@WORKERS
@pytest.mark.parametrize("first, second", [
    ("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "0.0.0.0"),
    ("::", "127.0.0.1"), ("127.0.0.1", "::"), ("::1", "::1"),
])
def test_a_second_instance_on_the_same_port_fails(start, tmp_path, workers, first, second):
    service = start(PORT_CHECKER_HOST=first, PORT_CHECKER_WORKERS=workers)
    ended = run_on(tmp_path, second, service.port, workers)

    assert ended.returncode == 1
    line, = ended.stderr.splitlines()
    assert "Address already in use" in line and str(service.port) in line
    assert "set another PORT_CHECKER_PORT" in line
    assert service.get("/health").status == 200


def test_a_port_of_another_program_is_in_use(tmp_path, later):
    sock = later.enter_context(targets.listener())
    ended = run_on(tmp_path, "127.0.0.1", targets.port_of(sock))

    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_an_address_that_is_not_ours_fails(tmp_path, host):
    ended = run_on(tmp_path, host, 0)

    assert ended.returncode == 1
    line, = ended.stderr.splitlines()
    assert "Cannot assign requested address" in line and host in line
    assert "set PORT_CHECKER_HOST to an address of this machine" in line


def test_a_small_limit_of_connections_is_kept(start):
    service = start(PORT_CHECKER_MAX_CONNECTIONS=1)

    assert service.ready["connections"] == "1"
    assert service.get("/health").status == 200


def test_a_port_that_was_just_left_can_be_taken_again(start):
    service = start()
    port = service.port
    with service.connect() as connection:
        assert connection.exchange("GET", "/health").status == 200
        service.stop()

    assert start(PORT_CHECKER_PORT=port).port == port


@WORKERS
def test_port_0_is_a_free_one_and_the_ready_line_names_it(start, workers):
    one, two = start(PORT_CHECKER_WORKERS=workers), start(PORT_CHECKER_WORKERS=workers)

    assert one.port != two.port
    assert one.ready["workers"] == str(workers)
    for _ in range(20):
        assert one.get("/health").status == two.get("/health").status == 200


def test_the_ready_line_comes_once_and_when_it_is_true(start):
    for _ in range(5):
        service = start(PORT_CHECKER_HOST="::1", PORT_CHECKER_WORKERS=4)

        assert service.get("/health").status == 200
        assert len(service.events("ready")) == 1
        assert service.ready["address"] == "::1"
        assert service.ready["tls"] == "false"


# --- the log ------------------------------------------------------------------------------


def test_one_line_a_check_with_all_that_an_operator_asks(start, open_port, silent_ports):
    service = start()
    ports = [open_port(), 9, *silent_ports(2)]
    assert service.check(ports).status == 200
    service.wait_event("check")
    line, = service.events("check")

    assert line["caller"] == line["target"] == "127.0.0.1"
    assert [line[name] for name in ("ports", "open", "closed", "filtered", "unreachable",
                                    "limited")] == ["4", "1", "1", "2", "0", "0"]
    assert "limit_rate" not in line
    assert 500 <= float(line["ms"]) < 5000 * PATIENCE
    assert service.events("verdict") == []


def test_a_refused_check_is_one_line_that_says_why(start):
    service = start(PORT_CHECKER_RATE="1/h", PORT_CHECKER_MAX_PORTS=1,
                    PORT_CHECKER_WORKERS=1)
    for ask in (lambda: service.post(b"{"), lambda: service.check([1], "0.0.0.0"),
                lambda: service.check([1]), lambda: service.check([1])):
        ask()
    service.wait_event("check", 4)
    lines = service.events("check")

    assert [line.get("status") for line in lines] == ["422", "403", None, "429"]
    assert [line.get("reason") for line in lines] == \
        ["invalid_body", "never_allowed", None, "caller_budget"]


def test_debug_tells_each_port(start, open_port):
    service = start(PORT_CHECKER_DEBUG="yes")
    port = open_port()
    service.check([port, 9])

    service.wait_event("verdict", 2)
    lines = service.events("verdict")
    assert {(line["port"], line["state"]) for line in lines} == \
        {(str(port), "open"), ("9", "closed")}


def test_json_lines_parse(start):
    service = start(PORT_CHECKER_LOG_FORMAT="json", PORT_CHECKER_DEBUG="1")
    service.check([9])
    service.check([9], "::1")
    service.signal(signal.SIGTERM)
    service.wait()
    lines = service.stderr().splitlines()

    assert len(lines) >= 6
    events = [json.loads(line) for line in lines]
    for event in events:
        assert {"time", "level", "event"} <= set(event)
    check = [event for event in events if event["event"] == "check"]
    # Each worker writes its own lines, so their order is not defined.
    assert sorted(one["target"] for one in check) == ["127.0.0.1", "::1"]
    assert check[0]["ports"] == 1 and isinstance(check[0]["ms"], float)


def test_nothing_of_a_request_can_forge_a_line(start):
    service = start()
    service.post(b'{"provider_ip": "x\\nevent=forged", "ports": [1]}')
    service.get("/health\tevent=forged", [("X", "event=forged")])
    service.check([1], headers=[("X-Forwarded-For", "event=forged")])
    service.wait_event("check", 2)

    assert "forged" not in service.stderr()


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
        assert_none_open(connection.reply())
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


def test_a_second_signal_ends_it_at_once(start, long_check):
    service = start(PORT_CHECK_TIMEOUT=20)
    connection = long_check(service)
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
        assert_none_open(running.reply())
        service.wait_ready(2)
        hammer.more(20)

    assert hammer.failures == []
    assert service.port == port, "port 0 stays what it became"
    assert service.process.poll() is None
    assert service.check(["1-4"]).status == 200, "the new settings are in force"


@WORKERS
def test_fifty_reloads_under_load(start, workers):
    """The main process stays, each child ends once its successor serves, and no request fails."""
    service = start(PORT_CHECKER_WORKERS=workers)
    pids = {service.pid}
    with Hammer(service) as hammer:
        for count in range(2, 52):
            service.signal(signal.SIGHUP)
            pids.add(service.wait_ready(count).pid)
            hammer.more(2)

    assert hammer.failures == []
    assert len(pids) == 51 and service.process.pid not in pids
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
    assert_none_open(running.reply())
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


def test_in_debug_a_long_check_does_not_hold_up_a_reload(start, long_check):
    service = start(PORT_CHECKER_DEBUG="true", PORT_CHECK_TIMEOUT=20)
    running = long_check(service)
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


# --- HTTPS --------------------------------------------------------------------------------


@pytest.fixture
def start_tls(start, tmp_path):
    """start_tls(NAME=value, ...): a service over HTTPS; its clients verify the certificate."""
    def start_it(**settings):
        cert, key = make_pair(tmp_path, "own")
        service = start(**tls_settings(cert, key), **settings)
        service.context = trusting(cert)
        return service
    return start_it


@WORKERS
def test_https(start_tls, open_port, workers):
    service = start_tls(PORT_CHECKER_WORKERS=workers)
    port = open_port()

    assert service.ready["tls"] == "true"
    for _ in range(10):
        assert service.get("/health").body == b'{"status": "ok"}'
        assert service.check([port, 9]).json()["message"].endswith("1 out of 2 ports")
    with service.connect() as connection:
        assert connection.socket.version() in ("TLSv1.2", "TLSv1.3")
        for _ in range(10):
            reply = connection.exchange("POST", "/check-ports", [JSON], check_body([port]))
            assert reply.json()["success"] is True


def test_https_refuses_like_http(start_tls):
    service = start_tls()

    assert service.get("/nowhere").status == 404
    assert service.post(b"{").status == 422
    assert service.post(b" " * 70000).status == 413
    assert service.check([1], "0.0.0.0").status == 403


REQUESTS = {
    200: ("GET", "/health", [], None), 204: ("OPTIONS", "/check-ports", [("Origin", "https://a.example"),
                                      ("Access-Control-Request-Method", "POST")], None),
    308: ("GET", "/docs/", [], None), 403: ("POST", "/check-ports", [JSON], check_body([1], "0.0.0.0")),
    404: ("GET", "/nowhere", [], None), 405: ("PUT", "/health", [], None),
    413: ("POST", "/check-ports", [JSON], b" " * 70000),
    415: ("POST", "/check-ports", [JSON, ("Content-Encoding", "gzip")], b"{}"),
    422: ("POST", "/check-ports", [JSON], b"{"), 400: ("GET", "no slash", [], None),
}


@pytest.mark.parametrize("is_tls", [True, False], ids=["https", "http"])
def test_every_reply_over_tls_has_hsts(start, start_tls, closed_port, is_tls):
    service = (start_tls if is_tls else start)(PORT_CHECKER_CORS_ORIGINS="https://a.example")
    port = closed_port()
    stream = ("POST", "/check-ports", [JSON, ("Accept", "application/x-ndjson")],
              check_body([port]))
    for status, (method, path, headers, body) in [(200, stream), *REQUESTS.items()]:
        with service.connect() as client:
            client.request(method, path, headers, body)
            head = client.head()
        lines = [line for line in head if line.startswith("strict-transport-security:")]
        assert head[0].startswith(f"http/1.1 {status} ")
        assert lines == (["strict-transport-security: max-age=31536000"] if is_tls else [])


def test_the_operators_own_page_over_https(start_tls):
    service = start_tls()
    host = ("Host", f"localhost:{service.port}")

    for scheme, status in (("https", 200), ("http", 403)):
        origin = ("Origin", f"{scheme}://localhost:{service.port}")
        assert service.check([1], "127.0.0.77", headers=[host, origin]).status == status


def test_plain_http_at_an_https_port_is_told(start_tls):
    """The log has the peer without its IPv6 mapping."""
    service = start_tls(PORT_CHECKER_HOST="::")
    with Connection(("127.0.0.1", service.port)) as connection:
        connection.send(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        reply = connection.reply()
        assert (reply.status, reply.header("Connection")) == (400, "close")
        assert reply.json()["code"] == "bad_framing"
        assert "https://" in reply.json()["detail"]
        assert connection.is_ended()

    line = service.wait_event("wrong_protocol")
    assert (line["peer"], line["spoken"]) == ("127.0.0.1", "plain HTTP on an HTTPS port")
    assert service.get("/health").status == 200
    assert len(service.events("wrong_protocol")) == 1


def test_a_client_that_leaves_over_https_cancels_its_check(start_tls, long_check):
    service = start_tls(PORT_CHECK_TIMEOUT=20)
    long_check(service).close()

    eventually(lambda: service.metric("checks_running") == 0, "the check is cancelled")
    assert service.metric("checks_abandoned_total") == 1


def test_half_a_record_and_the_end(start_tls):
    """Bytes that arrive together with the end must not hide it."""
    service = start_tls()
    clients = [service.connect() for _ in range(16)]
    with sooner_than(9):  # otherwise the service would wait 10 seconds for the rest of the head
        for client in clients:
            socket.socket.sendall(client.socket, b"\x17\x03\x03\x01\x00" + b"x" * 99)
            client.half_close()
        for client in clients:
            client.rest()  # TLS tickets, which stay encrypted, and the end
    for client in clients:
        client.close()


def test_draining_and_reloading_over_https(start_tls, long_check):
    service = start_tls(PORT_CHECK_TIMEOUT=20)
    running = long_check(service)
    service.signal(signal.SIGHUP)
    service.wait_event("reload")
    long_check.release()
    assert_none_open(running.reply())
    service.wait_ready(2)

    long_check.hold()
    running = long_check(service)
    service.signal(signal.SIGTERM)
    service.wait_draining()
    long_check.release()
    assert_none_open(running.reply())
    assert service.wait() == 0


def versions_and_ciphers(service):
    """What the service agrees to, of some that a client could want."""
    wishes = {"1.3": (ssl.TLSVersion.TLSv1_3, "DEFAULT"),
              "1.2": (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-GCM-SHA256"),
              "1.2 with CBC": (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA")}
    agreed = []
    for wish, (version, ciphers) in wishes.items():
        service.context.minimum_version = ssl.TLSVersion.TLSv1_2
        service.context.maximum_version = version
        service.context.minimum_version = version
        service.context.set_ciphers(ciphers)
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            assert service.get("/health").status == 200
            agreed.append(wish)
    return agreed


@pytest.mark.parametrize("priority, agreed", [
    ("", ["1.3", "1.2"]),
    ("NORMAL:-VERS-ALL:+VERS-TLS1.3", ["1.3"]),
    ("NORMAL:-VERS-ALL:+VERS-TLS1.2", ["1.2", "1.2 with CBC"]),
])
def test_the_priority_string_replaces_the_built_in_one(start_tls, priority, agreed):
    assert versions_and_ciphers(start_tls(PORT_CHECKER_TLS_PRIORITY=priority)) == agreed


def test_a_reload_changes_the_priority_string(start_tls):
    def reload_with(priority):
        service.env_file.write_text(f"PORT_CHECKER_TLS_PRIORITY={priority}\n")
        service.signal(signal.SIGHUP)

    service = start_tls(env_file="")
    assert versions_and_ciphers(service) == ["1.3", "1.2"]
    reload_with("NORMAL:-VERS-ALL:+VERS-TLS1.3")
    service.wait_ready(2)
    assert versions_and_ciphers(service) == ["1.3"]
    reload_with("NORMAL:+NOTHING")
    refused = service.wait_event("reload_refused")
    assert "PORT_CHECKER_TLS_PRIORITY" in refused["reason"]
    assert versions_and_ciphers(service) == ["1.3"]


@pytest.mark.parametrize("priority, at", [
    ("nonsense", 1), ("NORMAL:+NOTHING", 8), ("NORMAL:%NOTHING:-VERS-ALL", 8), ("NONE", 1)])
@pytest.mark.parametrize("has_tls", [True, False], ids=["https", "http"])
def test_an_invalid_priority_string_stops_the_start_with_one_line(
        tmp_path, priority, at, has_tls):
    pair = make_pair(tmp_path, "own") if has_tls else ("", "")
    for arguments in ((), ("--check-config",)):
        ended = run(*arguments, directory=tmp_path, PORT_CHECKER_PORT="0",
                    PORT_CHECKER_TLS_PRIORITY=priority, **tls_settings(*pair))

        assert ended.returncode == 2, ended
        line, = ended.stderr.splitlines()
        assert f'PORT_CHECKER_TLS_PRIORITY="{priority}"' in line.replace('\\"', '"')
        assert f"at character {at}; an example: NORMAL:-VERS-ALL:+VERS-TLS1.3" in line


def test_bad_certificates_stop_the_start_with_one_line(tmp_path):
    cert, key = make_pair(tmp_path, "one")
    _, other_key = make_pair(tmp_path, "other")
    garbage = tmp_path / "garbage"
    garbage.write_text("no PEM")
    for pair in ((cert, other_key), (garbage, key), (cert, garbage), (key, cert),
                 (tmp_path / "nowhere", key), (cert, tmp_path / "nowhere"), (cert, ""),
                 ("", key), (tmp_path, key)):
        for arguments in ((), ("--check-config",)):
            ended = run(*arguments, directory=tmp_path, PORT_CHECKER_PORT="0",
                        **tls_settings(*pair))

            assert ended.returncode == 2, (pair, ended)
            line, = ended.stderr.splitlines()
            assert "PORT_CHECKER_TLS_" in line, pair
