# SPDX-License-Identifier: MIT
"""Waiting for a condition instead of for a time."""
import contextlib
import os
import time

SANITIZER = os.environ.get("SANITIZER", "")

# All limits of patience are multiplied by this. Only a test that fails waits for them, so
# they are generous: the machine may be busy with other things, and a sanitizer makes
# everything some times slower. No claim about the programs rests on them: see sooner_than().
PATIENCE = 12 if SANITIZER else 3


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


@contextlib.contextmanager
def sooner_than(seconds):
    """What happens inside is over before `seconds` have passed. These are the time that it
    would take at least if it went wrong, however idle the machine is; a limit of another
    kind would only measure how busy it is."""
    begun = time.monotonic()
    yield
    took = time.monotonic() - begun
    assert took < seconds, f"{took:.2f} s, which is not sooner than {seconds:g} s"
