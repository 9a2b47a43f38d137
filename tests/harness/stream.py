# SPDX-License-Identifier: MIT
"""A check whose verdicts come line by line."""
import json

from harness.http import check_body

STREAM = [("Content-Type", "application/json"), ("Accept", "application/x-ndjson")]


class Stream:
    """The reply to a request that was sent, line by line."""

    def __init__(self, connection, version="HTTP/1.1"):
        self.connection = connection
        head = connection._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        self.status = int(head[0].split(" ")[1])
        self.headers = {name.lower(): value.strip()
                        for name, value in (line.split(":", 1) for line in head[1:])}
        self.is_chunked = self.headers.get("transfer-encoding") == "chunked"
        self.rest = b""
        self.is_ended = False

    def _more(self):
        if not self.is_chunked:
            if not self.connection._fill():
                self.is_ended = True
            data, self.connection.received = self.connection.received, b""
            return data
        size = int(self.connection._until(b"\r\n"), 16)
        data = self.connection._exactly(size)
        assert self.connection._exactly(2) == b"\r\n"
        self.is_ended = size == 0
        return data

    def line(self):
        """The next line, or None at the end."""
        while b"\n" not in self.rest:
            if self.is_ended:
                assert self.rest == b""
                return None
            self.rest += self._more()
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line)

    def lines(self):
        return list(iter(self.line, None))


def ask(connection, ports, version="HTTP/1.1", headers=(), provider_ip="127.0.0.1", **more):
    body = check_body(ports, provider_ip, **more)
    connection.request("POST", "/check-ports", [*STREAM, *headers], body, version=version)
    return connection
