# SPDX-License-Identifier: MIT
"""The two processes of the service: what the one that serves has given up, and how they end."""
import contextlib
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess

import pytest

from harness.http import check_body
from harness.service import BINARY, BUILD_DIR, OTHER_USER, Service, for_all_users, run
from harness.waiting import PATIENCE, SANITIZER, eventually

LAYERS = ["user", "capabilities", "privileges", "memory", "files", "calls"]
# A sanitizer reads files and makes system calls of its own.
HOLDING = [layer for layer in LAYERS if not SANITIZER or layer not in ("files", "calls")]
EXTENT = "partial" if SANITIZER else "full"
STRICTEST = "auto" if SANITIZER else "require"
NO_CAPABILITIES = "0" * 16


def status_of(pid):
    """The fields of /proc/PID/status."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def is_alive(pid):
    try:
        return status_of(pid)["State"][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_free(address):
    with socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(address)
        except OSError:
            return False
    return True


@pytest.fixture
def as_root(own_network):
    """Skips where these tests do not run as root."""


@pytest.fixture
def unprivileged(as_root, tmp_path, monkeypatch):
    """A command that executes its arguments as nobody; that user can enter the folder, but perhaps
    not the checkout, where the thread sanitizer would look for its list."""
    os.chmod(tmp_path, 0o755)
    options = os.environ.get("TSAN_OPTIONS", "")
    for path in re.findall("suppressions=([^:]+)", options):
        copy = shutil.copy(path, tmp_path)
        os.chmod(copy, 0o644)
        monkeypatch.setenv("TSAN_OPTIONS", options.replace(path, os.path.basename(copy)))
    return ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


# --- what it has given up -----------------------------------------------------------------


def assert_confined(service):
    status = status_of(service.pid)
    assert status["NoNewPrivs"] == "1"
    assert [status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == \
        [NO_CAPABILITIES] * 4
    assert status["Seccomp"] == ("0" if SANITIZER else "2")
    assert service.ready["sandbox"] == EXTENT
    limits = pathlib.Path(f"/proc/{service.pid}/limits").read_text()
    assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)
    # A process that cannot be dumped belongs to root in /proc, whatever its user is.
    assert os.stat(f"/proc/{service.pid}/mem").st_uid == 0
    return status


def test_started_as_root_it_serves_as_another_user(as_root, start):
    service = start(PORT_CHECKER_SANDBOX=STRICTEST)
    status = assert_confined(service)
    entry = pwd.getpwnam(OTHER_USER)

    assert status["Uid"].split() == [str(entry.pw_uid)] * 4
    assert status["Gid"].split() == [str(entry.pw_gid)] * 4
    assert status["Groups"] == ""
    assert status["CapBnd"] == NO_CAPABILITIES
    parent = status_of(service.process.pid)
    assert parent["Uid"].split() == ["0"] * 4, "the main process stays what it was"
    assert (parent["Seccomp"], parent["NoNewPrivs"], parent["Threads"]) == ("0", "0", "1")


def test_started_by_another_user_it_stays_that_user(unprivileged, start, later, tmp_path):
    binary, = later.enter_context(for_all_users(BINARY))
    service = start(directory=tmp_path, wrapper=unprivileged, binary=binary,
                    PORT_CHECKER_SANDBOX=STRICTEST)
    assert_confined(service)

    for pid in (service.pid, service.process.pid):
        assert status_of(pid)["Uid"].split() == ["65534"] * 4
    assert service.check([9]).status == 200
    service.signal(signal.SIGHUP)
    service.wait_ready(2)
    assert_confined(service)
    assert service.get("/metrics").status == 200


@pytest.mark.heavy  # not with a sanitizer: see LACKING
def test_without_capabilities_it_need_not_drop_any(unprivileged, start, later, tmp_path):
    """The filter of a systemd unit may forbid capset()."""
    binary, lacking = later.enter_context(for_all_users(BINARY, BUILD_DIR / "tests/lacking"))
    service = start(directory=tmp_path, wrapper=[*unprivileged, lacking, "capset"],
                    binary=binary, PORT_CHECKER_SANDBOX="require")

    assert service.ready["sandbox"] == "full"
    assert service.check([9]).status == 200


def open_files(pid):
    names = set()
    for path in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed since
            names.add(os.readlink(path))
    return names


def test_it_holds_no_file_of_the_disk(as_root, start):
    service = start()
    service.check([9])
    names = open_files(service.pid)

    allowed = re.compile(r"/dev/null|socket:|pipe:|anon_inode:|/proc/|" + re.escape(service.log.name))
    assert [name for name in names if not allowed.match(name)] == []


def test_off_is_without_any_layer(start):
    service = start(PORT_CHECKER_SANDBOX="off")
    status = status_of(service.pid)

    assert service.ready["sandbox"] == "off"
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("0", "0")
    assert status["Uid"].split() == [str(os.geteuid())] * 4


def test_every_generation_is_confined_anew(start):
    service = start()
    for count in range(2, 20):  # a process can have at most 16 Landlock layers
        service.signal(signal.SIGHUP)
        service.wait_ready(count)

    assert_confined(service)
    assert service.check([9]).status == 200


def test_the_key_and_a_low_port_need_only_the_main_process(as_root, start, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir(mode=0o700)
    cert, key = secret / "cert.pem", secret / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=test",
                    "-keyout", key, "-out", cert], check=True, capture_output=True)
    service = start(PORT_CHECKER_PORT=443, PORT_CHECKER_TLS_CERT=cert,
                    PORT_CHECKER_TLS_KEY=key)
    service.signal(signal.SIGHUP)

    assert service.wait_ready(2).ready["tls"] == "true"
    assert not any(str(secret) in name for name in open_files(service.pid))


def test_without_a_user_of_its_own_it_warns(as_root, start):
    service = start(PORT_CHECKER_USER=None)
    users = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall()}
    wanted = "port-checker" if "port-checker" in users else OTHER_USER

    assert status_of(service.pid)["Uid"].split()[0] == str(users[wanted])
    warnings = [line["message"] for line in service.events("sandbox")]
    assert ["PORT_CHECKER_USER" in line for line in warnings] == \
        ([] if wanted == "port-checker" else [True])


@pytest.mark.parametrize("arguments", [[], ["--check-config"], ["--check-sandbox"]])
def test_a_user_that_does_not_exist_stops_the_start(as_root, tmp_path, arguments):
    ended = run(*arguments, directory=tmp_path, PORT_CHECKER_USER="no-such-user",
                PORT_CHECKER_PORT="0")

    assert ended.returncode == 2
    line, = ended.stderr.replace('\\"', '"').splitlines()
    assert 'PORT_CHECKER_USER="no-such-user"' in line and "accepted: a user" in line


# --- what the kernel has ------------------------------------------------------------------


def findings(ended):
    """{layer: (state, the rest of its line)} of --check-sandbox."""
    _, *lines, sum_line = ended.stdout.splitlines()
    lines = [line.split(maxsplit=2) for line in lines]
    assert [words[0] for words in lines] == LAYERS
    count = [state for _, state, _ in lines].count("holds")
    assert sum_line == f"{count} of {len(LAYERS)} layers hold."
    return {layer: (state, rest) for layer, state, rest in lines}


def holding(ended):
    return [layer for layer, (state, _) in findings(ended).items() if state == "holds"]


def test_every_layer_is_tried(tmp_path):
    ended = run("--check-sandbox", directory=tmp_path, PORT_CHECKER_USER=OTHER_USER)
    found = findings(ended)

    assert holding(ended) == HOLDING
    assert ended.returncode == (1 if SANITIZER else 0)
    if SANITIZER:
        assert found["calls"][1].endswith("a sanitizer makes system calls of its own")
        return
    for denied in ("open a file", "create a file", "execute a program"):
        assert denied in found["files"][1]
    for denied in ("open a file", "execute a program", "fork", "trace a process", "listen",
                   "open a packet socket", "open an MPTCP socket", "execute memory",
                   "signal other processes"):
        assert denied in found["calls"][1]


def test_every_layer_is_tried_by_another_user(unprivileged, tmp_path):
    ended = subprocess.run([*unprivileged, BINARY, "--check-sandbox"], cwd=tmp_path, text=True,
                           capture_output=True, timeout=20 * PATIENCE, check=False)

    assert holding(ended) == HOLDING
    assert "not started as root" in ended.stdout


def test_a_layer_that_does_not_hold_is_found(as_root, tmp_path):
    """The user root can become root: the trial of that layer must fail."""
    ended = run("--check-sandbox", directory=tmp_path, PORT_CHECKER_USER="root")

    assert findings(ended)["user"][0] == "FAILS"
    assert "it can become root" in findings(ended)["user"][1]
    assert ended.returncode == 1


LACKING = pytest.mark.parametrize("name, layer", [("landlock", "files"), ("seccomp", "calls")])


def on_lacking(name):
    return [BUILD_DIR / "tests/lacking", name]


@pytest.mark.heavy  # not with a sanitizer, whose build lacks these layers itself
@LACKING
def test_a_layer_that_the_kernel_lacks_is_passed_over(start, tmp_path, name, layer):
    ended = run("--check-sandbox", directory=tmp_path, wrapper=on_lacking(name),
                PORT_CHECKER_USER=OTHER_USER)
    assert findings(ended)[layer][0] == "lacking"
    assert holding(ended) == [one for one in LAYERS if one != layer]
    assert ended.returncode == 1

    service = start(wrapper=on_lacking(name))
    assert service.ready["sandbox"] == "partial"
    warning, = service.events("sandbox")
    assert f'layer "{layer}"' in warning["message"]
    assert service.check([9]).status == 200


@pytest.mark.heavy  # not with a sanitizer, whose build lacks these layers itself
@LACKING
def test_require_is_not_content_with_less(start, tmp_path, name, layer):
    for arguments in ([], ["--check-config"]):
        ended = run(*arguments, directory=tmp_path, wrapper=on_lacking(name),
                    PORT_CHECKER_SANDBOX="require", PORT_CHECKER_PORT="0",
                    PORT_CHECKER_USER=OTHER_USER)
        assert ended.returncode == 1
        line, = ended.stderr.splitlines()
        assert f'the layer "{layer}" does not hold' in line.replace('\\"', '"')

    service = start(wrapper=on_lacking(name), env_file="")
    service.env_file.write_text("PORT_CHECKER_SANDBOX=require\n")
    service.signal(signal.SIGHUP)
    assert f'"{layer}"' in service.wait_event("reload_refused")["reason"]
    assert service.get("/health").status == 200


# --- how they end -------------------------------------------------------------------------


@pytest.fixture
def doomed():
    """doomed(NAME=value, ...): a service that the test kills."""
    services = []

    def begin(**settings):
        services.append(Service(settings))
        return services[-1].wait_ready()
    yield begin
    for service in services:
        service.discard()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT, signal.SIGSYS])
def test_without_its_child_the_service_ends(doomed, number):
    service = doomed()
    address, pid = service.address, service.pid
    os.kill(pid, number)

    assert service.wait() == 1
    failed, = service.events("failed")
    assert f"signal {number:d} " in failed["message"] and str(pid) in failed["message"]
    assert ("sandbox" in failed["message"]) == (number == signal.SIGSYS)
    assert service.events("stopped") == []
    assert is_free(address)


def test_without_the_main_process_the_child_ends(doomed):
    service = doomed()
    os.kill(service.process.pid, signal.SIGKILL)
    service.process.wait()

    eventually(lambda: not is_alive(service.pid), "the child has ended")
    eventually(lambda: is_free(service.address), "the address is free")


def test_without_the_main_process_no_generation_stays(doomed, silent_ports):
    service = doomed(PORT_CHECK_TIMEOUT=20)
    first = service.pid
    with service.connect() as connection:
        connection.request("POST", "/check-ports", [("Content-Type", "application/json")],
                           check_body(silent_ports(3)))
        eventually(lambda: service.metric("checks_running") == 1, "the check runs")
        service.signal(signal.SIGHUP)
        service.wait_ready(2)
        assert sorted(service.children()) == sorted([first, service.pid])
        os.kill(service.process.pid, signal.SIGKILL)
        service.process.wait()
        eventually(lambda: not is_alive(first) and not is_alive(service.pid), "both ended")


def test_a_predecessor_that_dies_does_no_harm(start, silent_ports):
    service = start(PORT_CHECK_TIMEOUT=20)
    first = service.pid
    with service.connect() as connection:
        connection.request("POST", "/check-ports", [("Content-Type", "application/json")],
                           check_body(silent_ports(3)))
        eventually(lambda: service.metric("checks_running") == 1, "the check runs")
        service.signal(signal.SIGHUP)
        service.wait_ready(2)
        os.kill(first, signal.SIGKILL)
        assert str(first) in service.wait_event("failed")["message"]
        assert connection.is_ended()
    assert service.get("/health").status == 200
    service.signal(signal.SIGHUP)
    service.wait_ready(3)


def test_signals_to_all_processes_drain_once(start, silent_ports):
    """A terminal and some supervisors send a signal to both processes."""
    service = start(PORT_CHECK_TIMEOUT=4)
    with service.connect() as connection:
        connection.request("POST", "/check-ports", [("Content-Type", "application/json")],
                           check_body(silent_ports(3)))
        eventually(lambda: service.metric("checks_running") == 1, "the check runs")
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            os.kill(service.pid, number)
        service.signal(signal.SIGTERM)
        assert connection.reply().status == 200
    assert service.wait() == 0


@pytest.mark.parametrize("make", [os.pipe, socket.socketpair])
def test_the_log_may_be_a_pipe_or_a_socket(tmp_path, make):
    """The journal is a socket."""
    ends = make()
    mine, theirs = (end if isinstance(end, int) else end.detach() for end in ends)
    log = open(mine, encoding="utf-8")
    process = subprocess.Popen(
        [BINARY], cwd=tmp_path, stderr=theirs, stdin=subprocess.DEVNULL,
        env={"PORT_CHECKER_HOST": "127.0.0.1", "PORT_CHECKER_PORT": "0"})
    os.close(theirs)
    try:
        ready = next(line for line in log if "event=ready" in line)
        assert f"sandbox={EXTENT}" in ready
        process.send_signal(signal.SIGTERM)
        assert any("event=stopped" in line for line in log)
        assert process.wait(10 * PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        log.close()
