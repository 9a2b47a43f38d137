# SPDX-License-Identifier: MIT
"""The forms of a report: lines in a pipe, a table on a terminal, JSON, a file; and the look
from this machine outward."""
import errno
import fcntl
import json
import os
import pathlib
import pty
import re
import socket
import struct
import subprocess
import termios
import threading

import jsonschema
import pytest

import stub as stubs
from harness import network
from harness.service import environment
from harness.waiting import PATIENCE
from program import BINARY, NOT_OK, OK, SYSTEM, UNKNOWN, verify

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs/verifier-report.schema.json").read_text())

GOOD = {"accessible": True, "error": None}
SILENT = {"accessible": False, "error": "Connection timed out"}


def to_50847(port):
    return GOOD if port <= 50847 else SILENT


# --- lines ----------------------------------------------------------------------------

def test_equal_neighbours_are_one_line(stub):
    checker = stub(stubs.fixed(to_50847))
    ended = verify(checker.url)
    assert ended.status == OK
    assert re.sub(r"in \d+\.\d s", "in N s", ended.out).splitlines() == [
        "ipv4 address 127.0.0.1",
        f"ipv4 checker {checker.url}: answered in N s, from this machine, not from the internet",
        "ipv4 7466 good: listener not verified",
        "ipv4 50800-50847 good: listener not verified",
        "ipv4 50848-50900 filtered: blocked by a firewall",
        "ipv4 why: ports 7466,50800-50847 are reachable, but what answers could not "
        "be verified: the checker does not support proofs",
        "ipv4 do: to make sure that this machine answers, use a checker that supports proofs",
        "ipv4 why: no answer from ports 50848-50900, only from 7466,50800-50847: a firewall "
        "blocks them",
        "ipv4 do: allow TCP ports 50848-50900 from any address in the firewall of 127.0.0.1 "
        "and of every router in front of it",
        "ipv4 49 of 102 ports reachable; 53 are blocked by a firewall",
        "ipv4 advertise: 7466,50800-50847",
    ]
    assert ended.err == ""


def test_a_range_that_leads_to_one_port_is_three_lines(stub):
    def entry(port):
        proof = {"proof": "match"} if port == 7466 else {"proof": "other_port", "proof_port": 7466}
        return {**GOOD, "state": "open", "rtt_ms": 1, **proof}
    ended = verify(stub(stubs.fixed(entry)).url)
    assert ended.status == NOT_OK
    assert ended.lines[2:] == [
        "ipv4 7466 good",
        "ipv4 50800-50900 open: leads to port 7466",
        "ipv4 why: a rule of this machine, or a router or proxy in front of it, redirects ports "
        "50800-50900 to port 7466",
        "ipv4 do: remove the rule or the forward that redirects ports 50800-50900 there",
        "ipv4 1 of 102 ports reachable; 101 are forwarded to another port",
        "ipv4 advertise: 7466",
    ]


def test_ports_without_a_verdict_are_one_group(stub):
    with socket.create_server(("127.0.0.1", 50850)):  # one port is bound otherwise than all
        ended = verify(stub(lambda request: stubs.Answer(500)).url)
    assert ended.status == UNKNOWN
    assert ended.lines[2:] == [
        "ipv4 why: no checker answered: could not check ports 7466,50800-50900",
        "ipv4 do: try again later, or use another checker",
    ]


def test_what_reports_no_path_does_not_answer(stub):
    no_path = {"accessible": False, "error": "No route to host"}
    ended = verify(stub(stubs.fixed(lambda port: no_path if port == 7466 else SILENT)).url)
    assert "ipv4 why: no answer from ports 50800-50900: a firewall blocks them" in ended.lines
    ended = verify("--ports", "7466,50800",
                   stub(stubs.fixed(lambda port: GOOD if port == 7466 else SILENT)).url)
    assert ("ipv4 why: no answer from port 50800, only from 7466: a firewall blocks it"
            in ended.lines)


def test_a_closed_standard_output(stub):
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run([BINARY, "--ports", "50800", stub(stubs.fixed(GOOD)).url],
                           env=environment({}), stdout=write, stderr=subprocess.PIPE,
                           text=True, timeout=60 * PATIENCE)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (
        SYSTEM, "port-verifier: standard output: Broken pipe\n")


# --- on a terminal --------------------------------------------------------------------

def on_terminal(*arguments, columns=80, until=None, **settings):
    """The exit status and the output; `until` is called with the output whenever it grows."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    lan = () if "probe" in arguments else ("--lan",)  # checkers on loopback count
    process = subprocess.Popen([BINARY, *arguments, *lan], env=environment(settings), stdin=slave,
                               stdout=slave, stderr=slave)
    os.close(slave)
    data = b""
    while True:
        try:
            piece = os.read(master, 4096)
        except OSError as error:
            assert error.errno == errno.EIO  # the other end is closed
            break
        data += piece
        if until:
            until(data.decode())
    os.close(master)
    return process.wait(timeout=60 * PATIENCE), data.decode().replace("\r\n", "\n")


def screen(text):
    """What remains visible: no colours, no erased lines."""
    text = re.sub(r"\r\x1b\[K[^\r\n]*(?=\r\x1b\[K)", "", text)
    return re.sub(r"\x1b\[[0-9;]*[mK]|\r", "", text)


def test_a_terminal_shows_progress_and_a_table(stub):
    release = threading.Event()

    def check(request):
        assert release.wait(30 * PATIENCE)
        return stubs.results(request, lambda ip, port: to_50847(port))

    def until_told(text):
        if "0 of 1 answers, 0 of 102 ports" in text:
            release.set()
    checker = stub(stubs.telling(check))
    status, text = on_terminal(checker.url, TERM="xterm", until=until_told)
    assert status == OK
    assert release.is_set()
    assert "\x1b[32mgood: listener not verified\x1b[0m" in text
    assert "\x1b[31mfiltered: blocked by a firewall\x1b[0m" in text
    lines = screen(text).splitlines()
    assert lines[0] == "IPv4, 127.0.0.1"
    assert "  7466         good: listener not verified" in lines
    assert "  50800-50847  good: listener not verified" in lines
    assert "  50848-50900  filtered: blocked by a firewall" in lines
    assert lines[-1] == "  advertise: 7466,50800-50847"
    assert not any(" of 1 answers" in line for line in lines)


def kept_waiting():
    """A checker that answers after the terminal has shown the answer of another."""
    release = threading.Event()

    def answer(request):
        release.wait(30 * PATIENCE)
        return stubs.fixed(GOOD)(request)

    def until_told(text):
        if "1 of 2 answers" in text:
            release.set()
    return answer, until_told


def progress_lines(text):
    return re.findall(r"\r\x1b\[K([^\r\n]+)", text)


@pytest.mark.parametrize("columns", [40, 80])
def test_progress_names_whom_it_waits_for(stub, columns):
    check, until_told = kept_waiting()
    quick, slow = stub(stubs.fixed(GOOD)), stub(check)
    _, text = on_terminal("--ports", "50800", quick.url, slow.url, columns=columns,
                          until=until_told, TERM="xterm")
    lines = progress_lines(text)
    told = f" s: 1 of 2 answers, 1 of 1 ports, waiting for 127.0.0.1:{slow.port}"
    assert any(told[:columns - 4] == line[3:] for line in lines), lines
    assert not any("waiting" in line for line in lines if "0 of 2 answers" in line)


def test_progress_names_the_family_that_is_missing(stub):
    check, until_told = kept_waiting()
    slow = stub(check)  # and no listener on ::1
    _, text = on_terminal("--ports", "50800", f"http://localhost:{slow.port}",
                          until=until_told, TERM="xterm")
    told = f" 1 of 2 answers, 0 of 1 ports, waiting for localhost:{slow.port} over IPv4"
    assert any(line.endswith(told) for line in progress_lines(text)), text


@pytest.mark.parametrize("settings", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colours_where_they_are_not_wanted(stub, settings):
    _, text = on_terminal("--ports", "50800", stub(stubs.fixed(GOOD)).url,
                          **{"TERM": "xterm", **settings})
    assert "\x1b[3" not in text and "\x1b[1m" not in text
    if "TERM" in settings:  # such a terminal erases no lines, either
        assert "\x1b" not in text


def test_an_empty_no_color_is_none(stub):
    _, text = on_terminal("--ports", "50800", stub(stubs.fixed(GOOD)).url, TERM="xterm",
                          NO_COLOR="")
    assert "\x1b[32m" in text


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_sentences_are_wrapped_at_the_edge(stub, columns):
    _, text = on_terminal("--ports", "50800-50801", stub(stubs.fixed(SILENT)).url,
                          columns=columns, TERM="xterm")
    sentences = screen(text).split("why: ")[1].splitlines()
    assert len(sentences) > 2
    assert all(len(line) <= columns for line in sentences[1:])


@pytest.mark.parametrize("columns", [30, 80, 120])
def test_a_long_reason_is_wrapped_too(stub, columns):
    reason = "this checker does not look at that address for you: ask about your own " * 2
    failing = stub(lambda request: stubs.Answer(403, {"detail": reason})
                   if request.path != "/ip" else stubs.NOT_FOUND)
    _, text = on_terminal("--ports", "50800", failing.url, columns=columns, TERM="xterm")
    assert "\x1b[33mfailed:\x1b[0m" in text
    lines = screen(text).split("address unknown\n")[-1].split("  why: ")[0].splitlines()
    lines = [line for line in lines if not line.startswith("IPv4,")]
    assert all(len(line) <= columns for line in lines) and len(lines) > 1
    assert lines[0].startswith("  checker") and lines[1].startswith("    ")
    assert " ".join(line.strip() for line in lines) == (
        f"checker {failing.url}: failed: status 403: {reason}".strip())


# --- JSON -----------------------------------------------------------------------------

def validate(report):
    jsonschema.Draft202012Validator(SCHEMA).validate(report)


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_report_fits_the_schema(stub, start):
    ours = start().url
    failing = stub(lambda request: stubs.Answer(429, {"detail": "x"}, {"Retry-After": "3"}))
    mixed = stub(stubs.fixed(to_50847))
    for urls in [ours], [failing.url], [mixed.url], [ours, failing.url, mixed.url]:
        ended = verify("--json", *urls)
        assert len(ended.lines) == 1
        validate(ended.report)
    validate(verify("probe", "--json", "127.0.0.1", "1-3").report)


def test_the_schema_describes_every_member_and_refuses_others(start):
    report = verify("--json", "--ports", "50800", start().url).report
    validate(report)

    def objects(value):
        if isinstance(value, dict):
            yield value
            for member in value.values():
                yield from objects(member)
        elif isinstance(value, list):
            for member in value:
                yield from objects(member)
    for found in list(objects(report)):
        for name in list(found):
            kept = found.pop(name)
            with pytest.raises(jsonschema.ValidationError):
                validate(report)
            found[name] = kept
        found["surplus"] = 1
        with pytest.raises(jsonschema.ValidationError):
            validate(report)
        del found["surplus"]
    validate(report)


def test_status_in_json_is_the_exit_status(stub):
    words = {OK: "ok", NOT_OK: "not_ok", UNKNOWN: "unknown"}
    for answer, status in ((stubs.fixed(GOOD), OK), (stubs.fixed(SILENT), NOT_OK),
                           (lambda request: stubs.Answer(500), UNKNOWN)):
        ended = verify("--json", stub(answer).url)
        assert (ended.status, ended.report["status"]) == (status, words[status])


# --- the file -------------------------------------------------------------------------

def test_the_file_is_replaced_not_rewritten(stub, tmp_path):
    path = tmp_path / "report.json"
    path.write_text("old")
    path.chmod(0o640)
    with open(path, encoding="ascii") as old:
        ended = verify("--output", path, "--ports", "50800", stub(stubs.fixed(GOOD)).url)
        assert ended.status == OK and ended.out.startswith("ipv4 address")
        assert old.read() == "old"  # who had it open has it whole
    validate(json.loads(path.read_text()))
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(stub, tmp_path):
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text("old")
    link.symlink_to(real)
    verify("--output", link, "--ports", "50800", stub(stubs.fixed(GOOD)).url)
    assert link.is_symlink() and json.loads(real.read_text())["status"] == "ok"


def test_a_device_is_written_to(stub, tmp_path):
    ended = verify("--output", "/dev/stderr", "--ports", "50800", stub(stubs.fixed(GOOD)).url)
    assert json.loads(ended.err)["status"] == "ok"


def test_a_file_that_cannot_be_written(stub, tmp_path):
    path = tmp_path / "none/report.json"
    checker = stub(stubs.fixed(GOOD))
    ended = verify("--output", path, "--ports", "50800", checker.url)
    assert (ended.status, ended.err) == (
        SYSTEM, f"port-verifier: --output {path}: No such file or directory\n")
    assert ended.out == "" and checker.requests == []  # known before any checker is asked

    ended = verify("--output", tmp_path, "--ports", "50800", checker.url)
    assert (ended.status, ended.err) == (
        SYSTEM, f"port-verifier: --output {tmp_path}: Is a directory\n")


def test_a_file_that_cannot_be_written_any_more(stub, tmp_path):
    path = tmp_path / "folder/report.json"
    path.parent.mkdir()
    checker = stub(stubs.telling(lambda request: path.parent.rmdir() or
                                 stubs.fixed(GOOD)(request)))
    ended = verify("--output", path, "--ports", "50800", checker.url)
    assert (ended.status, ended.err) == (
        SYSTEM, f"port-verifier: {path}: No such file or directory\n")
    assert ended.lines[-1] == "ipv4 advertise: 50800"  # it is printed all the same


# --- outward --------------------------------------------------------------------------

def test_probe_looks_from_here_outward():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        ports = sorted([server.getsockname()[1], closed.getsockname()[1]])
        text = ",".join(map(str, ports))
        ended = verify("probe", "127.0.0.1", text)
        states = {server.getsockname()[1]: "open",
                  closed.getsockname()[1]: "closed: Connection refused"}
        assert ended.status == OK
        assert ended.lines[0] == "ipv4 address 127.0.0.1"
        for port, line in zip(ports, ended.lines[1:]):
            assert re.fullmatch(rf"ipv4 {port} {states[port]}, \d+\.\d(-\d+\.\d)? ms", line)
        assert ended.lines[3:] == [f"ipv4 open: {server.getsockname()[1]}"]
        assert verify("probe", "-q", "127.0.0.1", text).out == f"{server.getsockname()[1]}\n"
        ended = verify("probe", "--json", "--required", text, "127.0.0.1", text)
        assert ended.status == NOT_OK
        assert ended.report["kind"] == "probe"


def test_probe_reports_its_own_errors_apart_from_the_targets(namespace):
    nowhere = namespace("nowhere")
    ended = verify("probe", "--json", "203.0.113.9", "80", inside=nowhere)
    assert ended.status == UNKNOWN, ended
    told = ended.family()["checkers"][0]
    assert told["error"] == "internal" and told["message"]
    ended = verify("probe", "203.0.113.9", "80", inside=nowhere)
    assert ended.lines == ["ipv4 address 203.0.113.9", f"ipv4 could not probe: {told['message']}"]


def test_probe_of_a_name_checks_both_families(tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 home.example\n::1 home.example\n")
    before = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', hosts)
    if not network.is_own():
        pytest.skip("would change the machine's names")

    def probe(*words):
        return verify("probe", *words, before=before)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ended = probe("home.example", port)
        assert ended.status == OK, ended
        assert [line for line in ended.lines if "address" in line or "open:" in line] == [
            "ipv4 address 127.0.0.1", f"ipv4 open: {port}",
            "ipv6 address ::1", "ipv6 open: none"]
        assert probe("-6", "home.example", port).status == NOT_OK
        assert probe("-q", "home.example", port).out == f"ipv4 {port}\nipv6 \n"
        validate(probe("--json", "home.example", port).report)


def test_probe_of_a_name_that_is_not_known():
    if not network.is_own():
        pytest.skip("would ask the machine's name servers")
    ended = verify("probe", "home.invalid", "80")
    assert (ended.status, ended.out) == (SYSTEM, "")
    assert ended.err.startswith('port-verifier: cannot resolve "home.invalid": ')


def test_probe_shows_what_an_icmp_error_means_and_who_sent_it(namespace):
    """Port 81 is rejected by the target, port 82 by the router before it."""
    here, router, there = (namespace(name) for name in ("here", "router", "there"))
    for number, (one, other) in enumerate([(here, router), (router, there)], 1):
        one.ip(f"link add right type veth peer name left netns {other.path}\n"
               f"address add 10.0.{number}.1/24 dev right\nlink set right up\n")
        other.ip(f"address add 10.0.{number}.2/24 dev left\nlink set left up\n")
    here.ip("route add 10.0.2.0/24 via 10.0.1.2\n")
    there.ip("route add 10.0.1.0/24 via 10.0.2.1\n")
    router.sysctl("net.ipv4.ip_forward", 1)
    for net, hook, port in (there, "input", 81), (router, "forward", 82):
        net.nft(f"table inet f {{ chain c {{ type filter hook {hook} priority 0; tcp dport "
                f"{port} reject with icmp type host-prohibited; }}\n}}")

    ended = verify("probe", "10.0.2.2", "81-82", inside=here)
    assert ended.lines[1:] == [
        "ipv4 81 unreachable: No route to host "
        "(host administratively prohibited, sent by the target)",
        "ipv4 82 unreachable: No route to host "
        "(host administratively prohibited, not sent by the target)",
        "ipv4 open: none"]
    report = verify("probe", "--json", "10.0.2.2", "81-83", inside=here).report
    validate(report)
    meaning = "host administratively prohibited"
    assert [port["verdicts"][0]["icmp"] for port in report["families"][0]["ports"]] == [
        {"meaning": meaning, "from": "target"}, {"meaning": meaning, "from": "path"}, None]


def test_probe_of_silence(namespace):
    net = namespace("silence")
    net.nft("table inet f { chain i { type filter hook input priority 0; tcp dport 81-82 drop; }\n}")
    ended = verify("probe", "--timeout", "500ms", "127.0.0.1", "81-82", inside=net)
    assert ended.status == NOT_OK
    assert ended.lines[1:] == ["ipv4 81-82 filtered: Connection timed out", "ipv4 open: none"]
