# SPDX-License-Identifier: MIT
"""A steady load that notices every fault."""
import threading

from harness.waiting import PATIENCE, eventually


class Hammer:
    """Clients that send requests all the time; every one must be answered. With `is_keeping`,
    they keep a connection until a reply says that it ends, and use it every 50 ms."""

    def __init__(self, service, threads=4, is_keeping=False):
        self.service = service
        self.is_keeping = is_keeping
        self.stop = threading.Event()
        self.failures = []
        self.served = [0] * threads
        self.threads = [threading.Thread(target=self._strike, args=(i,), daemon=True)
                        for i in range(threads)]

    def _use(self, index):
        """Requests on one connection, until it ends or the hammer stops."""
        with self.service.connect() as connection:
            is_kept = True
            while is_kept and not self.stop.is_set():
                reply = connection.exchange("GET", "/health")
                if reply.status != 200:
                    self.failures.append(reply)
                self.served[index] += 1
                is_kept = self.is_keeping and reply.header("Connection") != "close"
                if is_kept:
                    self.stop.wait(0.05)

    def _strike(self, index):
        while not self.stop.is_set():
            try:
                self._use(index)
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
