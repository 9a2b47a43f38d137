# SPDX-License-Identifier: MIT
"""Starting the service: the command line, settings, the address, the log."""
import json
import re
import signal
import subprocess

import pytest

from harness import targets
from harness.service import BINARY, run
from harness.waiting import PATIENCE

WORKERS = pytest.mark.parametrize("workers", [1, 4])


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
