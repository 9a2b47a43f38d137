# SPDX-License-Identifier: MIT
"""A booted Debian for the tests of the packages."""
import contextlib

import pytest

import machine


@pytest.fixture
def debian(request):
    """A new machine without our packages; a parameter: system calls that it has as well."""
    booted = machine.Machine(getattr(request, "param", ""))
    with contextlib.ExitStack() as stack:
        stack.callback(booted.stop)
        yield booted


@pytest.fixture
def installed(debian):
    """A new machine where port-checker is installed and runs."""
    debian.install(machine.PACKAGES, "port-checker")
    return debian
