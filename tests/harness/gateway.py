# SPDX-License-Identifier: MIT
"""A router that speaks NAT-PMP (RFC 6886) and PCP (RFC 6887) as a test wants. It only answers: it
forwards nothing. What it does to a reply is a function: see `alter`."""
import contextlib
import heapq
import ipaddress
import itertools
import os
import selectors
import socket
import struct
import threading
import time

from harness.targets import family_of

PORT = 5351
ANNOUNCE_PORT = 5350
SO_TIMESTAMPNS = 35  # Linux: each datagram has the time at which it came
NATPMP, PCP = "NAT-PMP", "PCP"
VERSIONS = {0: NATPMP, 2: PCP}
ADDRESS, ANNOUNCE, NATPMP_MAP_TCP, PCP_MAP = 0, 0, 2, 1
REST = 0.05  # seconds without a request
SUCCESS, UNSUPPORTED_VERSION, NOT_AUTHORIZED = 0, 1, 2
NATPMP_NETWORK_FAILURE, NATPMP_NO_RESOURCES, NATPMP_UNSUPPORTED_OPCODE = 3, 4, 5
PCP_UNSUPPORTED_OPCODE, PCP_NO_RESOURCES = 4, 8


class Request:
    """A datagram. `lifetime`, `inner`, `outer` and `nonce` are those of a request for a mapping."""

    def __init__(self, data, sender):
        self.data = data
        self.sender = sender
        self.protocol = VERSIONS.get(data[0])
        self.opcode = data[1]
        self.lifetime = self.inner = self.outer = self.nonce = None
        if self.is_map and self.protocol == NATPMP:
            self.inner, self.outer, self.lifetime = struct.unpack("!4xHHI", data)
        elif self.is_map:
            (self.lifetime,) = struct.unpack_from("!I", data, 4)
            self.nonce, self.inner, self.outer = struct.unpack_from("!12s4xHH", data, 24)

    @property
    def is_map(self):
        return (self.protocol == NATPMP and self.opcode == NATPMP_MAP_TCP
                or self.protocol == PCP and self.opcode == PCP_MAP)


class Mapping:
    def __init__(self, client, inner, outer, nonce):
        self.client = client  # its address
        self.inner = inner
        self.outer = outer
        self.nonce = nonce


def packed16(address):
    """16 bytes, as in PCP: IPv4 is mapped into IPv6."""
    address = ipaddress.ip_address(address)
    return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed


# --- what a gateway may do to its replies: see Gateway.alter ------------------------------

def silent(request, reply):
    return []


def garbage(request, reply):
    """Noise of many lengths, and replies that are almost right."""
    longer = reply + b"\0\0\0\0\0"
    return [b"", b"\0", b"\0\x80", b"\xff" * 12, bytes(1100), request.data, reply[:-1], longer,
            bytes([7]) + reply[1:], reply[:1] + bytes([request.opcode]) + reply[2:],
            reply[:1] + bytes([0x80 | 9]) + reply[2:]]


class Gateway:
    """Answers at `address` in the namespace `inside` until it is closed.

    protocols  those that it speaks; it answers the other one as the RFCs say
    outer      its IPv4 address on the other side
    result     of questions for the address (NAT-PMP) and of ANNOUNCE (PCP): a number, or one for
               each protocol, as in {NATPMP: 3}
    map_result the same of requests for a mapping; 0: as it is
    alter      called with a Request and its reply; returns the datagrams to send
    delay      of each reply, seconds
    sender     (address, port) from which it answers, if not its own
    mute       protocols in which requests for a mapping are ignored
    table_max, lease_max, taken  mappings that it has room for, seconds that it grants, and outer
               ports that others have, for which it gives the next free one

    All may be changed while it runs. `requests` has what came, `answered` counts those whose reply
    was sent, or was withheld by `alter`; `slowest` is the longest time from a request to its reply,
    without the delay; `table` has the mappings by (client, inner port)."""

    def __init__(self, address="192.168.50.1", inside=None, port=PORT, protocols=(NATPMP, PCP),
                 outer="203.0.113.7", result=SUCCESS, map_result=SUCCESS, alter=None, delay=0,
                 sender=None, mute=(), table_max=256, lease_max=3600, taken=()):
        self.protocols = protocols
        self.outer = outer
        self.result = result
        self.map_result = map_result
        self.alter = alter or (lambda request, reply: [reply])
        self.delay = delay
        self.mute = mute
        self.table_max = table_max
        self.lease_max = lease_max
        self.taken = set(taken)
        self.table = {}
        self.forget_requests()
        self.failure = None
        self.began = time.monotonic()
        self.inside = inside
        self.address = address
        self.socket = self._bound(address, port)
        self.answering = self._bound(*sender) if sender else self.socket
        self.has_replied = False
        self.late = []  # heap of (when, number, when it came, datagrams, receiver)
        self.numbers = itertools.count()
        self.wake, self.woken = os.pipe()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _bound(self, address, port):
        make = self.inside.socket if self.inside else socket.socket
        sock = make(family_of(address), socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.bind(socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM)[0][4])
        return sock

    # --- what a test does with it ---------------------------------------------------------

    @property
    def port(self):
        return self.socket.getsockname()[1]

    @property
    def epoch(self):
        return int(time.monotonic() - self.began)

    def age(self, seconds):
        """Its table is `seconds` older than it was."""
        self.began -= seconds

    def restart(self):
        """It has forgotten all mappings, and its epoch begins anew."""
        self.table = {}
        self.began = time.monotonic()

    def forget_requests(self):
        self.requests = []
        self.answered = 0
        self.slowest = 0

    def maps(self, protocol=None):
        """The requests for a mapping or its removal that have come."""
        return [request for request in list(self.requests)
                if request.is_map and protocol in (None, request.protocol)]

    def announce(self, protocol=NATPMP, interface=None):
        """Tells all on the link its epoch, and over NAT-PMP its outer address."""
        is_6 = ":" in self.address
        group = "ff02::1" if is_6 else "224.0.0.1"
        if protocol == NATPMP:
            data = struct.pack("!BBHI4s", 0, 128, 0, self.epoch, self._outer4())
        else:
            data = struct.pack("!BBBBII12x", 2, 128, 0, 0, 0, self.epoch)
        if is_6:
            with self.inside:
                index = socket.if_nametoindex(interface)
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        else:
            self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                                   socket.inet_aton(self.address))
        self.socket.sendto(data, (group, ANNOUNCE_PORT))

    def close(self):
        os.write(self.woken, b"x")
        self.thread.join()
        for sock in {self.socket, self.answering}:
            sock.close()
        os.close(self.wake)
        os.close(self.woken)
        if self.failure:
            raise self.failure

    # --- its thread -----------------------------------------------------------------------

    def _run(self):
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self.socket, selectors.EVENT_READ)
                selector.register(self.wake, selectors.EVENT_READ)
                while not self._turn(selector):
                    pass
        except Exception as error:  # of a test's own function: close() raises it
            self.failure = error

    def _turn(self, selector):
        """Returns whether it is over."""
        now = time.monotonic()
        pause = REST if self.has_replied else None
        timeout = max(self.late[0][0] - now, 0) if self.late else pause
        ready = {key.fileobj for key, _ in selector.select(timeout)}
        if self.wake in ready:
            return True
        if self.socket in ready:
            self._take_all()
        elif not self.late and self.has_replied:
            self.has_replied = False
            self.rested()
        while self.late and self.late[0][0] <= time.monotonic():
            _, _, came, parts, receiver = heapq.heappop(self.late)
            for part in parts:
                self.answering.sendto(part, receiver)
            self.slowest = max(self.slowest, time.time() - came - self.delay)
            self.answered += 1
            self.has_replied = True
        return False

    def granted(self):
        """Called when all requests that have come are in the table, before their replies."""

    def rested(self):
        """Called when all replies have been sent and no request has come for a moment: whoever asks
        for much at once gets its replies first."""

    def _take_all(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                self._take()
        self.granted()

    def _take(self):
        data, extra, _, sender = self.socket.recvmsg(2048, 64, socket.MSG_DONTWAIT)
        seconds, nanoseconds = struct.unpack("qq", extra[0][2])
        came = seconds + nanoseconds / 1e9
        request = Request(data, sender)
        self.requests.append(request)
        reply = self._answer(request)
        when = time.monotonic() + self.delay
        parts = self.alter(request, reply) if reply else []
        heapq.heappush(self.late, (when, next(self.numbers), came, parts, sender))

    def _answer(self, request):
        """The reply of an honest router; None if it has none."""
        if request.is_map and request.protocol in self.mute:
            return None
        if request.protocol not in self.protocols:
            return self._other_version(request)
        if request.protocol == NATPMP:
            return self._answer_natpmp(request)
        return self._answer_pcp(request)

    def _other_version(self, request):
        """RFC 6886, section 3.5; RFC 6887, section 9."""
        if NATPMP in self.protocols:
            return struct.pack("!BBHI", 0, 128 | request.opcode, UNSUPPORTED_VERSION, self.epoch)
        if PCP in self.protocols:
            return struct.pack("!BBBBII12x", 2, 128 | request.opcode, 0, UNSUPPORTED_VERSION, 0,
                               self.epoch)
        return None

    def _outer4(self):
        return socket.inet_aton(self.outer)

    def _result(self, results, protocol):
        return results.get(protocol, SUCCESS) if isinstance(results, dict) else results

    def _answer_natpmp(self, request):
        if request.opcode == ADDRESS:
            result = self._result(self.result, NATPMP)
            outer = self._outer4() if result == SUCCESS else bytes(4)
            return struct.pack("!BBHI4s", 0, 128, result, self.epoch, outer)
        if not request.is_map:
            return struct.pack("!BBHI", 0, 128 | request.opcode, NATPMP_UNSUPPORTED_OPCODE,
                               self.epoch)
        result, outer, lifetime = self._map(request, NATPMP_NO_RESOURCES)
        return struct.pack("!BBHIHHI", 0, 128 | request.opcode, result, self.epoch, request.inner,
                           outer, lifetime)

    def _answer_pcp(self, request):
        def head(result, lifetime=0):
            return struct.pack("!BBBBII12x", 2, 128 | request.opcode, 0, result, lifetime,
                               self.epoch)
        if request.opcode == ANNOUNCE:
            return head(self._result(self.result, PCP))
        if not request.is_map:
            return head(PCP_UNSUPPORTED_OPCODE, 1800)
        result, outer, lifetime = self._map(request, PCP_NO_RESOURCES)
        body = bytearray(request.data[24:60])
        if result == SUCCESS:
            struct.pack_into("!H", body, 18, outer)
            is_6 = ":" in request.sender[0]
            body[20:36] = packed16(request.sender[0] if is_6 else self.outer)
        return head(result, lifetime if result == SUCCESS else 30) + body

    def _map(self, request, full):
        """Returns the result, the outer port and the lifetime."""
        key = (request.sender[0], request.inner)
        held = self.table.get(key)
        result = self._result(self.map_result, request.protocol)
        if result != SUCCESS:
            return result, 0, 0
        if held and held.nonce != request.nonce:
            return NOT_AUTHORIZED, 0, 0
        if request.lifetime == 0:
            self.table.pop(key, None)
            return SUCCESS, 0, 0
        if not held:
            if len(self.table) >= self.table_max:
                return full, 0, 0
            others = self.taken | {mapping.outer for mapping in self.table.values()}
            outer = request.outer or request.inner
            while outer in others:
                outer += 1
            held = Mapping(request.sender[0], request.inner, outer, request.nonce)
            self.table[key] = held
        return SUCCESS, held.outer, min(request.lifetime, self.lease_max)
