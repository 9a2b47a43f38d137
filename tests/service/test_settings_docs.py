# SPDX-License-Identifier: MIT
"""Documents generated from the table of settings, and texts that must agree with it."""
import os
import pathlib
import subprocess

import dotenv

from harness.waiting import PATIENCE

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD_DIR = pathlib.Path(os.environ.get("BUILD_DIR", "build"))
SETTINGS_DOC = BUILD_DIR / "settings_doc"


def settings_doc(argument, check=True):
    return subprocess.run(
        [SETTINGS_DOC, argument], capture_output=True, text=True, check=check,
        timeout=10 * PATIENCE
    )


def test_env_example_is_up_to_date():
    """After a change of settings.def: build/settings_doc example > .env.example"""
    assert (ROOT / ".env.example").read_text() == settings_doc("example").stdout


def test_env_example_sets_nothing():
    assert dotenv.dotenv_values(ROOT / ".env.example", interpolate=False) == {}


def test_the_page_of_settings_shows_the_table():
    """After a change of settings.def, put this there: build/settings_doc markdown"""
    assert settings_doc("markdown").stdout in (ROOT / "docs/settings.md").read_text()


def test_the_settings_of_the_unit_allow_callers_only_their_own_address():
    lines = settings_doc("unit").stdout.splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == \
        ["PORT_CHECKER_TARGETS=caller"]


def test_manual_page_is_clean_and_complete():
    page = BUILD_DIR / "port-checker.8"
    lint = subprocess.run(["mandoc", "-Tlint", "-Wwarning", page], capture_output=True, text=True,
                          timeout=10 * PATIENCE)
    assert (lint.stdout, lint.stderr, lint.returncode) == ("", "", 0)

    shown = subprocess.run(
        ["mandoc", "-Tascii", page], capture_output=True, text=True, check=True,
        timeout=10 * PATIENCE
    ).stdout
    plain = []
    for char in shown:  # bold and underlined text is overstruck
        if char == "\b":
            plain.pop()
        else:
            plain.append(char)
    assert "".join(plain).splitlines()[-1].startswith("Golem Port Checker ")
    for line in settings_doc("example").stdout.splitlines():
        if line.startswith("#PORT_"):
            assert line[1:].split("=")[0] in "".join(plain)


def test_a_page_without_a_place_for_the_settings_is_refused(tmp_path):
    page = tmp_path / "page"
    page.write_text(".Sh NAME\n")
    done = settings_doc(page, check=False)
    assert done.returncode == 1
    assert done.stderr == f"{page}: no line @SETTINGS@\n"
