# SPDX-License-Identifier: MIT
"""Faults of the machine below the service, beside healthy clients."""
import os
import signal
import time

from attack.record import Record, attack
from harness.service import Service


@attack("Faults", "kill-child", "the main process exits, with a line in the log")
def kill_child():
    """kill -9 of the serving process."""
    service = Service().wait_ready()
    try:
        begun = time.monotonic()
        os.kill(service.pid, signal.SIGKILL)
        status = service.wait()
        seconds = time.monotonic() - begun
        return Record(f"status {status} after {seconds * 1000:.0f} ms", holds=status != 0)
    finally:
        service.discard()
