# SPDX-License-Identifier: MIT
"""HTTP/1.1 over a plain socket: the bytes sent are exactly those in the test."""
import json
import select
import socket
import struct

from harness.waiting import PATIENCE

CRLF = b"\r\n"


def authority_of(address):
    """A socket's address as it is written in a URL."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Reply:
    def __init__(self, version, status, headers, body):
        self.version = version
        self.status = status
        self.headers = headers  # (name in lower case, value), in order
        self.body = body

    def header(self, name):
        """The value of a header that occurs at most once, or None."""
        values = [value for key, value in self.headers if key == name.lower()]
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    def json(self):
        assert self.header("Content-Type") == "application/json", self
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.version} {self.status} {self.headers} {self.body[:2000]!r}>"


class Connection:
    """One connection. Replies are read one by one, whatever pieces they arrive in."""

    def __init__(self, address, source=None, timeout=15.0, context=None):
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.address = address
        self.received = b""
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self.socket.settimeout(timeout * PATIENCE)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if source:
                self.socket.bind((source, 0))
            self.socket.connect(address)
            if context:
                self.socket = context.wrap_socket(self.socket)
        except BaseException:
            self.socket.close()
            raise

    def send(self, data):
        self.socket.sendall(data)

    def request(self, method, path, headers=(), body=None, version="HTTP/1.1", host=True):
        """Sends a request; adds Host and Content-Length unless they are given."""
        headers = [(name, str(value)) for name, value in headers]
        names = {name.lower() for name, _ in headers}
        if host and "host" not in names:
            headers.insert(0, ("Host", authority_of(self.address)))
        if body is not None and not names & {"content-length", "transfer-encoding"}:
            headers.append(("Content-Length", str(len(body))))
        lines = [f"{method} {path} {version}"]
        lines += [f"{name}: {value}" for name, value in headers]
        head = "\r\n".join(lines).encode("latin-1") + CRLF + CRLF
        self.send(head + (body or b""))

    def _fill(self):
        data = self.socket.recv(65536)
        self.received += data
        return bool(data)

    def _until(self, mark):
        while mark not in self.received:
            if not self._fill():
                raise EOFError(f"closed after {self.received!r}")
        found, self.received = self.received.split(mark, 1)
        return found

    def _exactly(self, count):
        while len(self.received) < count:
            if not self._fill():
                raise EOFError(f"closed after {len(self.received)} of {count} bytes")
        found, self.received = self.received[:count], self.received[count:]
        return found

    def reply(self, method="GET"):
        """Reads the next reply; a 100 (Continue) counts as a reply."""
        lines = self._until(CRLF + CRLF).decode("latin-1").split("\r\n")
        version, status, _ = lines[0].split(" ", 2)
        headers = []
        for line in lines[1:]:
            name, value = line.split(":", 1)
            headers.append((name.lower(), value.strip()))
        reply = Reply(version, int(status), headers, b"")
        if method != "HEAD" and reply.status >= 200 and reply.status not in (204, 304):
            length = reply.header("Content-Length")
            assert length is not None, reply
            reply.body = self._exactly(int(length))
        return reply

    def head(self):
        """The lines of the next head, in lower case."""
        return self._until(CRLF + CRLF).decode("latin-1").lower().split("\r\n")

    def exchange(self, method, path, *arguments, **options):
        self.request(method, path, *arguments, **options)
        return self.reply(method)

    def has_more(self):
        """Whether unread bytes have arrived; does not wait."""
        return bool(self.received or select.select([self.socket], [], [], 0)[0])

    def rest(self):
        """All bytes until the other side ends; a reset counts as an end."""
        try:
            while self._fill():
                pass
        except ConnectionResetError:
            pass
        rest, self.received = self.received, b""
        return rest

    def is_ended(self):
        """Waits for the end of the connection; no byte may arrive before it."""
        return self.rest() == b""

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Closes with a RST."""
        linger = struct.pack("ii", 1, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.socket.close()

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def chunked(*pieces):
    """A body in the chunked encoding of HTTP/1.1."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return body + b"0\r\n\r\n"


def check_body(ports, provider_ip="127.0.0.1", **more):
    return json.dumps({"provider_ip": provider_ip, "ports": ports, **more}).encode()
