# SPDX-License-Identifier: MIT
"""The quick laboratory as tests: one for each goal of each scenario."""
import asyncio
import os
import pathlib

import pytest

from report import print_record
from runner import Laboratory
from scenarios import table

# ./dev lab judges the time goals exactly; here the machine may be busy with other work. For a
# host that answers, three times the goal is still less than the time to judge a silent host.
SLACK = 3

QUICK = [scenario for scenario in table() if scenario.plan("quick")]
GOALS = [(scenario, goal) for scenario in QUICK for goal in scenario.goals]


@pytest.fixture(scope="session")
def records(namespaces):
    build = pathlib.Path(os.environ.get("BUILD_DIR", "build")).resolve()
    laboratory = Laboratory("quick", build, build / "lab", print_record,
                            tools=["port-checker"])
    return {record["name"]: record for record in asyncio.run(laboratory.run(QUICK))}


@pytest.mark.parametrize(("scenario", "goal"), GOALS,
                         ids=[f"{scenario.name}-{goal.name}" for scenario, goal in GOALS])
def test_goal(records, scenario, goal):
    record = records[scenario.name]
    if record["skipped"]:
        pytest.skip(record["skipped"])
    assert not record["failed"]
    figures = record["tools"]["port-checker"]
    limit = goal.limit * (SLACK if goal.name.endswith("_t95") else 1)
    assert figures[goal.name] <= limit, f"{scenario.title}: {figures['examples']}"
