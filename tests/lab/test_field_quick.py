# SPDX-License-Identifier: MIT
"""The situations of the field as tests: one for each row, all of them side by side."""
import asyncio
import os
import pathlib

import pytest

from field import run_rows
from field_rows import table

SLACK = 2  # seconds: here the machine may be busy with other things
LANES = 12
QUICK = [row for row in table() if row.quick]


@pytest.fixture(scope="session")
def results(namespaces):
    if not os.path.exists("/dev/net/tun"):
        pytest.skip("no TUN devices")
    build = pathlib.Path(os.environ.get("BUILD_DIR", "build")).resolve()
    return asyncio.run(run_rows(QUICK, build, lanes=LANES, quick=True))


@pytest.mark.parametrize("row", QUICK, ids=lambda row: row.name)
def test_row(results, row):
    assert not list(results[row.name].failures(SLACK)), row.title
