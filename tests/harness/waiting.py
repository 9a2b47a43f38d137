# SPDX-License-Identifier: MIT
"""Waiting for a condition instead of for a time."""
import os
import time

SANITIZER = os.environ.get("SANITIZER", "")

# A sanitizer makes everything some times slower; limits of patience follow.
PATIENCE = 4 if SANITIZER else 1


def eventually(condition, what, within=10.0):
    """Asks `condition` until it answers with something true, and returns that."""
    end = time.monotonic() + within * PATIENCE
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {within * PATIENCE:g} s: {what}")
        time.sleep(0.005)
