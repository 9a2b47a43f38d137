# SPDX-License-Identifier: MIT
"""A steady load that notices every fault."""
import threading

from harness.waiting import PATIENCE, eventually


class Hammer:
    """Clients that send requests all the time; every one must be answered."""

    def __init__(self, service, threads=4):
        self.service = service
        self.stop = threading.Event()
        self.failures = []
        self.served = [0] * threads
        self.threads = [threading.Thread(target=self._strike, args=(i,), daemon=True)
                        for i in range(threads)]

    def _strike(self, index):
        while not self.stop.is_set():
            try:
                reply = self.service.get("/health")
                if reply.status != 200:
                    self.failures.append(reply)
            except (OSError, EOFError) as error:
                self.failures.append(error)
            self.served[index] += 1

    def more(self, count):
        """Waits until every client has been served that often again."""
        goals = [served + count for served in self.served]
        eventually(lambda: all(map(int.__ge__, self.served, goals)), "clients are served")

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join(20 * PATIENCE)
