# SPDX-License-Identifier: MIT
"""Fixtures of the tests in which a router forwards ports."""
import pytest

from harness import homes
from world import World


@pytest.fixture
def world(namespaces, later, start):
    """world(protocol, ..., between=None, OPTION=value): a home whose router's daemon speaks
    these protocols; without any, the router has no daemon. The options are the daemon's."""
    if homes.find_daemon() is None:
        pytest.skip("miniupnpd is missing: run the tests with ./dev")
    def make(*protocols, between=None, **options):
        home = homes.Home(later, between=between)
        service = start(inside=home.internet, PORT_CHECKER_HOST="::",
                        PORT_CHECKER_TARGETS="caller")
        made = World(later, home, service)
        if protocols:
            made.start_daemon(*protocols, **options)
        return made
    return make
