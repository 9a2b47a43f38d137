# SPDX-License-Identifier: MIT
"""Containers listen on port 7466 of a network of the tests' own."""
import pytest

from harness import network


@pytest.fixture(scope="module", autouse=True)
def own():
    if not network.is_own():
        pytest.skip("needs root and a network namespace of its own")
