# SPDX-License-Identifier: MIT
"""Clients that attack by their number. Each function runs in processes of its own and is one
process's share of an attack: it opens what it opens, reports that it has begun, and goes on until
the attack is over. What it returns are counts, which are added up."""
import collections
import contextlib
import functools
import multiprocessing
import queue
import selectors
import socket
import ssl
import struct
import time
import traceback

from harness.http import check_body
from harness.tls import first_flight

LEAVE_WITH_RESET = struct.pack("ii", 1, 0)  # SO_LINGER
PER_SOURCE = 40  # connections of one address; the default limit is 64
STEP = 100       # connections that a process opens at a time
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"

fork = multiprocessing.get_context("fork")


def sources(number, count):
    """Addresses for process `number`, each in a /24 of its own."""
    return [f"127.{1 + number * 16 + n // 250}.{n % 250 + 1}.1" for n in range(count)]


class Crowd:
    """`count` processes that run `function(crowd, number, *arguments)`."""

    def __init__(self, function, count, *arguments):
        self.begun = fork.Semaphore(0)
        self.over = fork.Event()
        self.counts = fork.Queue()
        self.processes = [
            fork.Process(target=self._run, args=(function, number, arguments), daemon=True)
            for number in range(count)]

    def _run(self, function, number, arguments):
        try:
            self.counts.put(function(self, number, *arguments))
        except BaseException:
            traceback.print_exc()
            raise

    def is_over(self):
        return self.over.is_set()

    def __enter__(self):
        for process in self.processes:
            process.start()
        return self

    def wait_begun(self, seconds=60):
        for _ in self.processes:
            assert self.begun.acquire(timeout=seconds), "the attack did not begin"

    def end(self):
        """Ends the attack and returns the sums of the counts; "broken" are processes that do not
        end by themselves."""
        self.over.set()
        total = collections.Counter()
        for _ in self.processes:
            try:
                total.update(self.counts.get(timeout=30))
            except queue.Empty:
                total["broken"] += 1
        return total

    def __exit__(self, *_):
        self.over.set()
        for process in self.processes:
            process.join(10)
            if process.is_alive():
                process.kill()
                process.join()


# --- what is sent -------------------------------------------------------------------------

def silent_check(source):
    """A check of one port of this address, which does not answer."""
    body = check_body([SILENT_PORT], source)
    return (b"POST /check-ports HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)) + body


SILENT_PORT = 20000

@functools.cache
def hello():
    """The same for all: the attacker computes nothing."""
    return first_flight(ssl.create_default_context())


# The first bytes of a connection, by its number and address.
SPEECHES = {
    "nothing or a request": lambda number, source: (b"", HEALTH)[number % 2],
    "a check": lambda number, source: silent_check(source),
    "a hello": lambda number, source: hello(),
}


# --- what they do -------------------------------------------------------------------------

def begin_connection(address, source):
    sock = socket.socket()
    sock.bind((source, 0))
    sock.setblocking(False)
    sock.connect_ex(address)
    return sock


class Held:
    """Connections that are opened, say something, and stay. With `asks_again`, a reply is followed
    by the next request."""

    def __init__(self, address, asks_again):
        self.address = address
        self.asks_again = asks_again
        self.selector = selectors.DefaultSelector()
        self.speeches = {}  # of each socket
        self.gone = []  # source and speech of each that has ended
        self.connected = self.ended = self.replies = 0

    def open(self, source, speech):
        sock = begin_connection(self.address, source)
        self.speeches[sock] = source, speech
        self.selector.register(sock, selectors.EVENT_WRITE)

    def turn(self, seconds):
        for key, events in self.selector.select(seconds):
            try:
                if events & selectors.EVENT_READ:
                    self.hear(key.fileobj)
                else:
                    self.speak_first(key.fileobj)
            except OSError:
                self.forget(key.fileobj)

    def speak_first(self, sock):
        sock.send(self.speeches[sock][1])
        self.connected += 1
        self.selector.modify(sock, selectors.EVENT_READ)

    def hear(self, sock):
        if not sock.recv(4096):
            raise ConnectionResetError
        self.replies += 1
        if self.asks_again:
            sock.send(self.speeches[sock][1])

    def forget(self, sock):
        self.ended += 1
        self.selector.unregister(sock)
        self.gone.append(self.speeches.pop(sock))
        sock.close()

    def reopen(self, most):
        for source, speech in self.gone[:most]:
            self.open(source, speech)
        del self.gone[:most]

    def close(self):
        for sock in self.speeches:
            sock.close()
        self.selector.close()


def hold(crowd, number, address, count, speech, asks_again=False):
    """Opens `count` connections, at most STEP at a time, and again each one that has ended."""
    say = SPEECHES[speech]
    places = sources(number, -(-count // PER_SOURCE))
    with contextlib.closing(Held(address, asks_again)) as held:
        until = time.monotonic() + 30
        for n in range(count):
            source = places[n % len(places)]
            held.open(source, say(n, source))
            while n + 1 - held.connected - held.ended >= STEP and time.monotonic() < until:
                held.turn(0.01)
        while held.connected + held.ended < count and time.monotonic() < until:
            held.turn(0.01)
        crowd.begun.release()
        while not crowd.is_over():
            held.turn(0.05)
            held.reopen(STEP)
        return {"connected": held.connected, "replies": held.replies}


def paced(crowd, rate):
    """Counts up, `rate` times a second; what was missed is made up for. 0 = without a pause."""
    begun, count = time.monotonic(), 0
    while not crowd.is_over():
        if rate:
            time.sleep(max(0, begun + count / rate - time.monotonic()))
        yield count
        count += 1


def churn(crowd, number, address, rate):
    """A new connection for each request, `rate` times a second."""
    places = sources(number, 250)
    crowd.begun.release()
    begun, count, failed = time.monotonic(), 0, 0
    for count in paced(crowd, rate):
        try:
            with socket.create_connection(address, 10, (places[count % 250], 0)) as sock:
                sock.sendall(HEALTH)
                failed += not sock.recv(4096).startswith(b"HTTP/1.1 200 ")
        except OSError:
            failed += 1
    return {"requests": count, "failed": failed,
            "a minute": round(60 * count / (time.monotonic() - begun))}


def say_hello_and_reset(crowd, number, address, waits):
    """The first message of a TLS handshake, and a reset: `waits` for the server's answer."""
    flight = first_flight(ssl.create_default_context())
    places = sources(number, 250)
    crowd.begun.release()
    begun, count = time.monotonic(), 0
    for count in paced(crowd, 0):
        with contextlib.suppress(OSError), \
                socket.create_connection(address, 10, (places[count % 250], 0)) as sock:
            sock.sendall(flight)
            if waits:
                sock.recv(65536)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LEAVE_WITH_RESET)
    return {"hellos": count, "a second": round(count / (time.monotonic() - begun))}
