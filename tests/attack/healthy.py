# SPDX-License-Identifier: MIT
"""The client that must not suffer: it checks an open port and a closed one and asks for /health, in
a loop, and verifies every answer."""
import contextlib
import threading
import time

from harness import targets
from harness.http import Connection, check_body

JSON = ("Content-Type", "application/json")
NO_ANSWER = (OSError, EOFError)  # of a connection that was closed


class Blamed(AssertionError):
    """A verdict that is wrong."""


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0


class Target:
    """An open and a closed port of one address."""

    def __init__(self, address="127.0.0.1"):
        self.address = address
        self.listener = targets.listener(address, backlog=1024)
        self.bound = targets.closed(address)
        self.open = targets.port_of(self.listener)
        self.closed = targets.port_of(self.bound)
        self.right = {str(self.open): (True, None),
                      str(self.closed): (False, "Connection refused")}

    def body(self, **more):
        return check_body([self.open, self.closed], self.address, **more)

    def judge(self, results, is_whole=True):
        """Refuses any wrong verdict; `is_whole`: both must be there."""
        found = {port: (one["accessible"], one["error"]) for port, one in results.items()}
        for port, verdict in found.items():
            if verdict != self.right.get(port):
                raise Blamed(f"{port}: {verdict}, not {self.right.get(port)}")
        if is_whole and len(found) != len(self.right):
            raise Blamed(f"{len(found)} of {len(self.right)} verdicts")

    def close(self):
        self.listener.close()
        self.bound.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def is_refusal(reply):
    """A clean 5xx or 429."""
    return (reply.status >= 500 or reply.status == 429) and reply.json()["detail"]


class Healthy:
    """Asks until its `with` block ends. `does_reconnect`: each round on a new connection; otherwise
    on one, which is opened at once and opened again when it was closed."""

    def __init__(self, service, target, does_reconnect=True, pause=0.002, source=None):
        self.address, self.context = service.address, service.context
        self.target, self.pause, self.source = target, pause, source
        self.does_reconnect = does_reconnect
        self.seconds = []  # of the rounds that were answered in full
        self.refused = 0  # rounds with a 5xx
        self.unanswered = 0  # rounds whose connection was closed or not accepted
        self.blamed = []
        self.broken = []  # what must never happen, Blamed aside
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.connection = None if does_reconnect else self.connect()

    def connect(self):
        return Connection(self.address, source=self.source, context=self.context)

    def exchange(self, *request):
        """On a new connection if there is none that is open."""
        connection, self.connection = self.connection or self.connect(), None
        try:
            reply = connection.exchange(*request)
        except BaseException:
            connection.close()
            raise
        if reply.header("Connection") == "close":
            connection.close()
        else:
            self.connection = connection
        return reply

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    def round(self):
        """Whether all three were answered with a 200."""
        reply = self.exchange("POST", "/check-ports", [JSON], self.target.body())
        if reply.status == 200:
            self.target.judge(reply.json()["results"])
        health = self.exchange("GET", "/health")
        if health.status == 200:
            assert health.json() == {"status": "ok"}, health
        for one in reply, health:
            assert one.status == 200 or is_refusal(one), f"unexpected: {one}"
        if self.does_reconnect:
            self.close()
        return reply.status == 200 and health.status == 200

    def run(self):
        while not self.is_over.is_set():
            begun = time.monotonic()
            try:
                if self.round():
                    self.seconds.append(time.monotonic() - begun)
                else:
                    self.refused += 1
            except NO_ANSWER:
                self.unanswered += 1
            except Blamed as error:
                self.blamed.append(str(error))
            except Exception as error:
                self.broken.append(repr(error))
            self.is_over.wait(self.pause)

    @property
    def rounds(self):
        return len(self.seconds)

    @property
    def failed(self):
        return self.refused + self.unanswered

    def p99_ms(self):
        return percentile(self.seconds, 0.99) * 1000

    def verify(self):
        """Refuses what must never happen."""
        assert not self.blamed, f"{len(self.blamed)} blamed on a target: {self.blamed[0]}"
        assert not self.broken, self.broken[0]

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()
        self.close()


class Watcher(Healthy):
    """Asks only for /health, always on the same connection."""

    def __init__(self, service, source=None):
        super().__init__(service, None, does_reconnect=False, source=source)

    def round(self):
        health = self.exchange("GET", "/health")
        assert health.status == 200 and health.json() == {"status": "ok"}, health
        return True

    def __str__(self):
        return (f"/health p99 {self.p99_ms():.1f} ms, {self.failed} of "
                f"{self.rounds + self.failed:,} unanswered")


@contextlib.contextmanager
def beside(service, target, clients=1, **options):
    """Healthy clients, as long as the block lasts."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Healthy(service, target, **options)) for _ in range(clients)]


class Sum:
    """Of several healthy clients, after their end."""

    def __init__(self, clients):
        for client in clients:
            client.verify()
        self.seconds = [second for client in clients for second in client.seconds]
        self.failed = sum(client.failed for client in clients)

    def p99_ms(self):
        return percentile(self.seconds, 0.99) * 1000

    def __str__(self):
        return (f"healthy p99 {self.p99_ms():.1f} ms; {self.failed} of "
                f"{len(self.seconds) + self.failed:,} rounds unanswered")
