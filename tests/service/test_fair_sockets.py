# SPDX-License-Identifier: MIT
"""Few sockets, and callers that want them all. tests/attack/fair_sockets.py has the whole attack."""
import contextlib

import pytest

from attack import fair_sockets
from harness.service import Service, kept
from harness.waiting import PATIENCE


@pytest.fixture
def callers(own_network):
    with contextlib.closing(fair_sockets.Callers()) as callers:
        yield callers


@pytest.mark.parametrize("workers", [1, 2])
def test_callers_that_hold_all_sockets_do_not_delay_a_newcomer(callers, workers):
    settings = {**fair_sockets.SETTINGS,
                "PORT_CHECKER_WORKERS": workers,
                "PORT_CHECKER_MAX_PROBES": 256}
    with kept(Service(settings)) as service:
        service.wait_ready()
        times, _ = fair_sockets.attack(service, callers, count=14, seconds=6)
    # A port of the others holds its socket for five seconds, PORT_CHECK_TIMEOUT.
    assert fair_sockets.percentile(times, 99) < 1000 * PATIENCE, sorted(times)[-20:]
