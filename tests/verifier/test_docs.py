# SPDX-License-Identifier: MIT
"""What is written about port-verifier: the manual, the completion, the examples, the build."""
import json
import os
import pathlib
import re
import socket
import subprocess

import pytest

from harness.service import BUILD_DIR, SANITIZER_STATUS, environment
from harness.waiting import PATIENCE, eventually
from program import BINARY, USAGE, verify

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/port-verifier.1"
COMPLETION = ROOT / "packaging/port-verifier.bash-completion"
GUIDE = (ROOT / "docs/provider-integration.md").read_text()


def options():
    """All that --help knows."""
    return sorted(set(re.findall(r"--[a-z-]+", verify("--help").out)))


def test_help_fits_a_screen():
    lines = verify("--help").lines
    assert len(lines) <= 24 and max(map(len, lines)) <= 80


def test_the_version_is_told():
    assert re.fullmatch(r"port-verifier \d+\.\d+\.\d+\n", verify("--version").out)


def test_the_manual_is_clean_and_has_every_option():
    lint = subprocess.run(["mandoc", "-Tlint", "-Wwarning", PAGE], capture_output=True, text=True)
    assert (lint.stdout, lint.returncode) == ("", 0)
    page = PAGE.read_text().replace("\\-", "-")
    for option in options():
        assert f"Fl {option[1:]}" in page or f"| {option[1:]}" in page, option


def test_no_path_of_a_checker_is_taken_for_its_url():
    page = PAGE.read_text().replace("\\-", "-")
    for path in set(json.loads((ROOT / "docs/openapi.json").read_text())["paths"]) - {"/"}:
        ended = verify(f"http://127.0.0.1:1/golem{path}")
        assert ended.status == USAGE and f"wanted, without {path}\n" in ended.err, ended
        assert path in page.split(), path


def complete(*words):
    """What bash offers for the last of these words."""
    script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
              '_port_verifier; printf "%s\\n" "${COMPREPLY[@]}"')
    ended = subprocess.run(["bash", "-c", script, "bash", COMPLETION, "port-verifier", *words],
                           env=environment({"PORT_VERIFIER_SERVERS": "http://a,http://b"}),
                           capture_output=True, text=True, check=True)
    return ended.stdout.split()


def test_completion_has_every_option():
    assert sorted(complete("--")) == options()
    assert "probe" in complete("") and {"http://a", "http://b"} <= set(complete(""))
    assert complete("--watch", "") == ["10m", "1h", "1d"]
    assert "--watch" not in complete("probe", "--")


def test_completion_offers_files(tmp_path):
    (tmp_path / "ca.pem").touch()
    assert complete("--ca", f"{tmp_path}/c") == [f"{tmp_path}/ca.pem"]


def test_it_links_the_gnutls_build_of_libcurl():
    needed = subprocess.run(["ldd", BINARY], capture_output=True, text=True, check=True).stdout
    assert "libcurl-gnutls" in needed


# --- the examples of the guide --------------------------------------------------------

EXAMPLES = dict(re.findall(r"<!-- example: (\S+) -->\n```\w+\n(.*?)```", GUIDE, re.DOTALL))


def words_of(name, tmp_path):
    path = tmp_path / name
    path.write_text(EXAMPLES[name])
    if name.endswith(".py"):
        return ["/usr/bin/python3", path]
    return ["sh", path]


def surroundings(tmp_path, checker):
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    (bin_dir / "port-verifier").symlink_to(BINARY)
    more = {"PORT_VERIFIER_SERVERS": checker}
    return {**environment(more), "PATH": f"{bin_dir}:{os.environ['PATH']}"}


def run_example(name, tmp_path, checker):
    ended = subprocess.run(words_of(name, tmp_path), cwd=tmp_path, capture_output=True,
                           text=True, env=surroundings(tmp_path, checker),
                           timeout=60 * PATIENCE)
    assert ended.returncode not in (SANITIZER_STATUS,) and ended.returncode == 0, ended
    assert ended.stderr == "", ended
    return ended.stdout


ALL = [7466, *range(50800, 50901)]
EXPECTED = {
    "once.sh": "all required ports are reachable\n4 127.0.0.1 " + " ".join(map(str, ALL)) + "\n",
    "once.py": f"IPv4 127.0.0.1: advertise {ALL}\n",
    "ask.sh": '{"success": true, "results": {"7466": {"accessible": true, "error": null}, '
              '"50800": {"accessible": false, "error": "Connection refused"}}, '
              '"message": "Successfully verified 1 out of 2 ports"}',
    "ask.py": "7466 good\n50800 good\n",
    "prove.py": "7466 open match\n50800 open match\n",
}


@pytest.mark.parametrize("name", EXPECTED)
def test_an_example_does_what_it_says(start, tmp_path, name, later):
    checker = start().url
    if name == "ask.sh":  # somebody else has bound the ports: one of them
        later.enter_context(socket.create_server(("127.0.0.1", 7466)))
    assert run_example(name, tmp_path, checker) == EXPECTED[name]


def test_the_example_that_goes_on(start, tmp_path):
    checker = start().url
    process = subprocess.Popen([*words_of("watch.sh", tmp_path)], cwd=tmp_path,
                               env=surroundings(tmp_path, checker), stdout=subprocess.PIPE,
                               start_new_session=True)
    try:
        path = tmp_path / "ports.json"
        eventually(path.exists, "the file", 30)
        assert json.loads(path.read_text())["families"][0]["advertise"] == ALL
    finally:
        os.killpg(process.pid, 15)
        process.wait(timeout=30 * PATIENCE)
        process.stdout.close()


def test_no_example_is_left_out():
    assert set(EXAMPLES) == {*EXPECTED, "watch.sh"}


def test_what_is_installed(tmp_path):
    plan = json.loads((BUILD_DIR / "meson-info/intro-install_plan.json").read_text())
    found = {row["destination"] for kind in plan.values() for row in kind.values()}
    assert {"{bindir}/port-verifier", "{mandir}/man1/port-verifier.1",
            "{datadir}/bash-completion/completions/port-verifier",
            "{datadir}/doc/port-verifier/provider-integration.md"} <= found
