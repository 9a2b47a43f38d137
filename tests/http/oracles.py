# SPDX-License-Identifier: MIT
"""How other parsers read a stream of bytes: h11, Node's, nginx's and HAProxy's.

Each gets many streams at once and returns a View of each. The proxies run in front of a
Backend that records what they send.
"""
import asyncio
import contextlib
import json
import re
import socket
import subprocess
import threading
from collections import defaultdict
from dataclasses import dataclass, field

import h11

from harness import proxies
from harness.waiting import PATIENCE

WAIT = 3  # seconds until a proxy gives up waiting for the rest of a request
ANSWER = 10  # and for an answer to one whose rest has not come
PATIENT = 30 * PATIENCE

# How a stream ends.
REFUSED = "refused"  # with an error
ENDED = "ended"  # after a request, as this asked for
WAITS = "waits"  # inside of a request
IDLE = "idle"  # between two


@dataclass(frozen=True)
class Seen:
    method: str
    target: str
    host: str
    body: bytes


@dataclass
class View:
    requests: list = field(default_factory=list)
    ending: str = IDLE
    why: str = ""


# --- h11 ----------------------------------------------------------------------------------


def answer(connection, method):
    """Answers as a server without routes would, and continues with the next request."""
    status = 200 if method != "CONNECT" else 405
    connection.send(h11.Response(status_code=status, headers=[("Content-Length", "0")]))
    connection.send(h11.EndOfMessage())
    if connection.our_state is h11.MUST_CLOSE:
        return False
    connection.start_next_cycle()
    return True


def h11_view(stream):
    view, connection = View(), h11.Connection(h11.SERVER)
    connection.receive_data(stream)
    request, body = None, b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                request, body = event, b""
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                method = request.method.decode()
                host = dict(request.headers).get(b"host", b"").decode("latin-1")
                target = request.target.decode("latin-1")
                view.requests.append(Seen(method, target, host, body))
                request = None
                if not answer(connection, method):
                    view.ending = ENDED
                    return view
            elif event is h11.NEED_DATA:
                is_inside = request or connection.trailing_data[0]
                view.ending = WAITS if is_inside else IDLE
                return view
            else:
                raise AssertionError(event)
    except h11.RemoteProtocolError as error:
        view.ending, view.why = REFUSED, str(error)
        return view


def ask_h11(streams):
    return [h11_view(stream) for stream in streams]


# --- clients ------------------------------------------------------------------------------


def client_of(number):
    """The address of the client that sends a stream. Its view is looked up by this address."""
    return f"127.1.{number // 256}.{number % 256}"


def converse(address, streams, is_half_closed):
    """Sends each stream on a connection of its own, all open at once. Returns the answers."""
    with contextlib.ExitStack() as stack:
        clients = []
        for number, stream in enumerate(streams):
            client = stack.enter_context(socket.create_connection(
                address, PATIENT, (client_of(number), 0)))
            clients.append(client)
            with contextlib.suppress(ConnectionError):
                client.sendall(stream)
                if is_half_closed:
                    client.shutdown(socket.SHUT_WR)
        return [read_all(client) for client in clients]


def read_all(client):
    pieces = []
    with contextlib.suppress(ConnectionError):
        while piece := client.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)


def statuses(text):
    codes = re.findall(rb"HTTP/1\.[01] (\d{3})[ \r]", text)
    return [int(code) for code in codes if code >= b"200"]


# --- Node ---------------------------------------------------------------------------------


def ask_node(streams, script):
    """A stream's end is the connection's: Node then reports whether it waited for more."""
    with subprocess.Popen(["node", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as node:
        port = int(node.stdout.readline())
        answers = converse(("127.0.0.1", port), streams, is_half_closed=True)
        told = {}
        for _ in streams:
            line = json.loads(node.stdout.readline())
            told[line["client"]] = line
        node.stdin.close()
    return [node_view(told[client_of(number)], text) for number, text in enumerate(answers)]


def node_view(told, text):
    """Node answers a request without a Host by itself: that is not an event, but what follows is."""
    codes, errors = statuses(text), told["errors"]
    bad = [at for at, code in enumerate(codes) if code >= 400]
    seen = [Seen(*words, body.encode("latin-1")) for *words, body in told["requests"]]
    view = View(seen[:bad[0]] if bad and not errors else seen, why=f"{errors} {codes}")
    if errors == ["HPE_INVALID_EOF_STATE"]:
        view.ending = WAITS
    elif errors == ["HPE_CLOSED_CONNECTION"] or not (errors or bad or told["isRead"]):
        view.ending = ENDED
    elif errors or bad:
        view.ending = REFUSED
    return view


# --- proxies ------------------------------------------------------------------------------

# All clients share the connections to the backend, and bodies are passed on as they come.
NGINX = proxies.NGINX_HEAD + """
    client_header_timeout %(wait)ds;
    client_body_timeout %(wait)ds;
    keepalive_timeout %(wait)ds;
    upstream back {{ server 127.0.0.1:{upstream}; keepalive 4; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://back;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Case $remote_addr;
        }}
    }}
}}
""" % {"wait": WAIT}

HAPROXY = """
global
    maxconn 8192
defaults
    mode http
    backlog 4096
    timeout connect 5s
    timeout client %(wait)ds
    timeout server %(answer)ds
    timeout tunnel %(wait)ds
    timeout http-request %(wait)ds
    timeout http-keep-alive %(wait)ds
    option http-keep-alive
    http-reuse always
frontend front
    bind 127.0.0.1:{port}
    http-request set-header X-Case %%[src]
    default_backend back
backend back
    server back 127.0.0.1:{upstream}
""" % {"wait": WAIT, "answer": ANSWER}

TEMPLATES = {"nginx": NGINX, "haproxy": HAPROXY}


class Loop:
    """An asyncio loop in a thread, with one server on a port of its own."""

    def __init__(self, serve):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.server = self.call(asyncio.start_server(
            serve, "127.0.0.1", 0, limit=2**20, backlog=4096))
        self.port = self.server.sockets[0].getsockname()[1]

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENT)

    async def _end(self):
        self.server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def close(self):
        self.call(self._end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


async def read_request(reader):
    """One request as a proxy writes it: (Seen, address of the proxy's client)."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head[:-4].split("\r\n")
    method, target, _ = first.split(" ", 1)[0], *first.split(" ", 1)[1].rsplit(" ", 1)
    fields = {name.lower(): value.strip() for name,
              value in (line.split(":", 1) for line in lines)}
    body = b""
    if "transfer-encoding" in fields:
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass
    elif "content-length" in fields:
        body = await reader.readexactly(int(fields["content-length"]))
    return Seen(method, target, fields.get("host", ""), body), fields.get("x-case")


class Backend:
    """Answers every request, and records it by the address of the proxy's client."""

    def __init__(self):
        self.seen = defaultdict(list)
        self.loop = Loop(self._serve)
        self.port, self.close = self.loop.port, self.loop.close

    async def _serve(self, reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                seen, client = await read_request(reader)
                self.seen[client].append(seen)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
        writer.close()


def ask_proxy(kind, streams, folder):
    """A request that does not end: the proxy stops waiting for the rest."""
    with contextlib.closing(Backend()) as backend, contextlib.closing(
            proxies.Proxy(kind, folder, backend.port, TEMPLATES[kind])) as proxy:
        answers = converse(proxy.address, streams, is_half_closed=False)
        return [proxy_view(backend.seen[client_of(number)], text)
                for number, text in enumerate(answers)]


def proxy_view(seen, text):
    codes = statuses(text)
    view = View(seen, why=f"{codes}")
    if codes and codes[-1] >= 400 and codes[-1] not in (408, 504):
        view.ending = REFUSED
    elif seen and (not codes or codes[-1] == 200):
        view.ending = ENDED
    else:
        view.ending = WAITS
    return view


# --- in front of a real server ------------------------------------------------------------


class Relay:
    """Connects a proxy to a server, and records what each of them sends."""

    def __init__(self, port):
        self.upstream = port
        self.pairs = []
        self.loop = Loop(self._serve)
        self.port, self.close = self.loop.port, self.loop.close

    async def _serve(self, reader, writer):
        sent, answered = pair = bytearray(), bytearray()
        self.pairs.append(pair)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        await asyncio.gather(self._pass(reader, far_writer, sent),
                             self._pass(far_reader, writer, answered))

    @staticmethod
    async def _pass(reader, writer, kept):
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65536):
                kept += piece
                writer.write(piece)
                await writer.drain()
        writer.close()


async def read_requests(text):
    """What a proxy sent on one connection: whole requests, and what is left."""
    reader, found, left = asyncio.StreamReader(limit=2**20), [], bytes(text)
    reader.feed_data(left)
    reader.feed_eof()
    with contextlib.suppress(asyncio.IncompleteReadError):
        while True:
            found.append((await read_request(reader))[0])
            left = bytes(reader._buffer)
    return found, left
