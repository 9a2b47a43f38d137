# SPDX-License-Identifier: MIT
"""The documents of port-verifier: manual, completion, examples, build."""
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
PAGE = BUILD_DIR / "port-verifier.1"
PROGRAMS = ["port-checker", "port-verifier"]
GUIDE = (ROOT / "docs/provider-integration.md").read_text()


def options(program="port-verifier"):
    """All options of --help, in its order: (letter, name)."""
    out = verify("--help", binary=BUILD_DIR / program).out
    found = re.findall(r"^  (?:-(\w), |    )--([a-z0-9-]+)", out, re.MULTILINE)
    assert len(found) > 3
    return found


def names(program="port-verifier"):
    return sorted(f"--{name}" for _, name in options(program))


def test_help_fits_a_screen():
    lines = verify("--help").lines
    assert len(lines) <= 31 and max(map(len, lines)) <= 80


def test_the_version_is_printed():
    assert re.fullmatch(r"port-verifier \d+\.\d+\.\d+\n", verify("--version").out)


def test_the_manual_is_clean_and_has_every_option():
    lint = subprocess.run(["mandoc", "-Tlint", "-Wwarning", PAGE], capture_output=True, text=True)
    assert (lint.stdout, lint.returncode) == ("", 0)
    page = PAGE.read_text().replace("\\-", "-")
    assert '\n.Os "Golem Port Checker"\n' in page
    for letter, name in options():
        assert f".It {f'Fl {letter} , ' if letter else ''}Fl -{name}" in page, name


def test_no_path_of_a_checker_is_taken_for_its_url():
    page = PAGE.read_text().replace("\\-", "-")
    for path in set(json.loads((ROOT / "docs/openapi.json").read_text())["paths"]) - {"/"}:
        ended = verify(f"http://127.0.0.1:1/golem{path}")
        assert ended.status == USAGE and f"URL without {path}\n" in ended.err, ended
        assert path in page.split(), path


def complete(*words, program="port-verifier"):
    """What bash offers for the last of these words."""
    script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
              '"_${COMP_WORDS[0]/-/_}"; printf "%s\\n" "${COMPREPLY[@]}"')
    ended = subprocess.run(["bash", "-c", script, "bash", BUILD_DIR / f"{program}.bash", program,
                            *words],
                           env=environment({"PORT_VERIFIER_SERVERS": "http://a,http://b"}),
                           capture_output=True, text=True, check=True)
    return ended.stdout.split()


def test_completion_has_every_option():
    assert sorted(complete("--")) == names()
    assert sorted(complete("--", program="port-checker")) == names("port-checker")
    assert {"probe", "verify", "http://a", "http://b"} <= set(complete(""))
    assert complete("--watch", "") == ["10m", "1h", "1d"]
    assert complete("-p", "508") == ["50800-50900"]
    assert "--watch" in complete("verify", "--") and "--watch" not in complete("probe", "--")
    assert "--ipv6" in complete("probe", "--") and "verify" not in complete("probe", "")


def test_completion_offers_files(tmp_path):
    (tmp_path / "ca.pem").touch()
    assert complete("--ca", f"{tmp_path}/c") == [f"{tmp_path}/ca.pem"]
    assert complete("-o", f"{tmp_path}/c") == [f"{tmp_path}/ca.pem"]
    assert complete("--env-file", f"{tmp_path}/c", program="port-checker") == [
        f"{tmp_path}/ca.pem"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_zsh_reads_its_completion(program, tmp_path):
    """With stand-ins for the functions of zsh, which print their arguments."""
    path = BUILD_DIR / f"_{program}"
    assert path.read_text().startswith(f"#compdef {program}\n")
    script = ('_arguments() { print -rl -- "$@" }\nautoload -Uz $1\n'
              'words=($1 "$@[2,-1]")\n$1')
    def told(*words):
        return subprocess.run(["zsh", "-f", "-c", f"fpath=({BUILD_DIR} $fpath)\n{script}", "zsh",
                               f"_{program}", *words], capture_output=True, text=True, check=True,
                              cwd=tmp_path).stdout
    found = told()
    for letter, name in options(program):
        assert re.search(rf"(?m)--{name}=?\[", found), name
        assert not letter or re.search(rf"(?m)-{letter}\+?\[", found), letter
    if program == "port-verifier":
        assert "--watch=[" in told("verify", "-") and "--watch=[" not in told("probe", "-")


def fish_offers(line, program, home, **settings):
    script = f"source {BUILD_DIR}/{program}.fish; complete -C {json.dumps(line)}"
    ended = subprocess.run(["fish", "--no-config", "-c", script],
                           env=environment({"HOME": home, **settings}),
                           capture_output=True, text=True, check=True)
    return [row.split("\t")[0] for row in ended.stdout.splitlines()]


@pytest.mark.parametrize("program", PROGRAMS)
def test_fish_offers_every_option(program, tmp_path):
    assert sorted(fish_offers(f"{program} --", program, tmp_path)) == names(program)
    if program == "port-verifier":
        assert {"verify", "probe", "http://a", "http://b"} <= set(fish_offers(
            f"{program} ", program, tmp_path, PORT_VERIFIER_SERVERS="http://a,http://b"))
        assert "--watch" not in fish_offers(f"{program} probe --", program, tmp_path)
        assert set(fish_offers(f"{program} --watch ", program, tmp_path)) == {"10m", "1h", "1d"}


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
    program = bin_dir / "port-verifier"  # the checker is on loopback, which takes --lan
    program.write_text(f'#!/bin/sh\nexec {BINARY} "$@" --lan\n')
    program.chmod(0o755)
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
    if name == "ask.sh":  # another program has bound one of the ports
        later.enter_context(socket.create_server(("127.0.0.1", 7466)))
    assert run_example(name, tmp_path, checker) == EXPECTED[name]


LASTING = ["watch.sh", "map.sh"]


@pytest.mark.parametrize("name", LASTING)
def test_an_example_that_goes_on(start, tmp_path, name):
    checker = start().url
    process = subprocess.Popen([*words_of(name, tmp_path)], cwd=tmp_path,
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
    assert set(EXAMPLES) == {*EXPECTED, *LASTING}


def test_what_is_installed(tmp_path):
    plan = json.loads((BUILD_DIR / "meson-info/intro-install_plan.json").read_text())
    found = {row["destination"] for kind in plan.values() for row in kind.values()}
    assert {"{bindir}/port-verifier", "{mandir}/man1/port-verifier.1",
            "{datadir}/bash-completion/completions/port-verifier.bash",
            "{datadir}/zsh/site-functions/_port-checker",
            "{datadir}/fish/vendor_completions.d/port-verifier.fish",
            "{datadir}/doc/port-verifier/mapping.md",
            "{datadir}/doc/port-verifier/provider-integration.md"} <= found
