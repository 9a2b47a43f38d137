# SPDX-License-Identifier: MIT
"""Waits for conditions instead of sleeping."""
import contextlib
import os
import time

SANITIZER = os.environ.get("SANITIZER", "")

# All timeouts are multiplied by this. Only a failing test waits for them, so they are
# generous: the machine may be busy, and a sanitizer makes everything several times slower.
# No claim about the programs depends on them: see sooner_than().
PATIENCE = 12 if SANITIZER else 3


def eventually(condition, what, within=10.0):
    """Calls `condition` until it returns something true, and returns that."""
    end = time.monotonic() + within * PATIENCE
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {within * PATIENCE:g} s: {what}")
        time.sleep(0.005)


def soon(seconds, action, before=None):
    """Calls `before` and then `action` until `action` takes less than `seconds`, and returns what it
    returned then. A fault delays it that long each time; a busy machine does not."""
    def attempt():
        if before:
            before()
        begun = time.monotonic()
        answer = action()
        return [answer] if time.monotonic() - begun < seconds else None
    return eventually(attempt, f"it takes less than {seconds:g} s", within=10 * seconds)[0]


@contextlib.contextmanager
def sooner_than(seconds):
    """What happens inside takes less than `seconds`. Pass the time that a failure would take at
    least, even on an idle machine; any other limit would only measure how busy the machine is."""
    begun = time.monotonic()
    yield
    took = time.monotonic() - begun
    assert took < seconds, f"{took:.2f} s, which is not sooner than {seconds:g} s"
