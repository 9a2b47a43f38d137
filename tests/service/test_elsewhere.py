# SPDX-License-Identifier: MIT
"""./dev on a system without dpkg continues with what pkg-config finds, or names what is missing. No
program of the build runs, so that these tests are the same with a sanitizer."""
import os
import pathlib
import subprocess

import pytest

pytestmark = pytest.mark.heavy

TOP = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def without_dpkg(tmp_path):
    """The environment of a system with every command except dpkg-query."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for place in reversed(os.environ["PATH"].split(":")):
        for command in pathlib.Path(place or ".").glob("*"):
            link = folder / command.name
            link.unlink(missing_ok=True)
            link.symlink_to(command)
    (folder / "dpkg-query").unlink()
    return {**os.environ, "PATH": str(folder)}


def packages_build():
    script = f"eval \"$(sed -n '/^packages_/,/)$/p' {TOP}/dev)\"; echo ${{packages_build[*]}}"
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True,
                          check=True).stdout.split()


def test_with_everything_there_it_goes_on_and_says_what_it_cannot_look_for(without_dpkg):
    packages = packages_build()
    assert "libgnutls28-dev" in packages
    ended = subprocess.run([TOP / "tools/find_needs", *packages], env=without_dpkg,
                           capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")

    ended = subprocess.run([TOP / "tools/find_needs", *packages, "shellcheck"], env=without_dpkg,
                           capture_output=True, text=True, check=False)
    assert ended.returncode == 0
    assert ended.stderr == "not checked; the packages in Debian are: shellcheck\n"


def test_what_is_missing_is_named_for_pkg_config_and_three_systems(without_dpkg, tmp_path):
    without_dpkg["PKG_CONFIG_LIBDIR"] = str(tmp_path)
    ended = subprocess.run([TOP / "dev", "build"], env=without_dpkg, capture_output=True,
                           text=True, check=False)
    assert ended.returncode == 1
    rows = [line.split() for line in ended.stderr.splitlines()]
    assert ["gnutls", "libgnutls28-dev", "gnutls-devel", "gnutls-dev"] in rows
    assert "gcc" not in ended.stderr
    assert ended.stderr.splitlines()[-1] == "dev: install what is missing, then run this again"
