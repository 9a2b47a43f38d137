# SPDX-License-Identifier: MIT
"""The number of a port alone determines its behaviour, which is the same on every target address.

A kind is one row: first number, how many there are, its true state. `accepted` are the
verdicts that are right: a port whose refusal is rate limited may also look filtered.
"""
from dataclasses import dataclass

OPEN, CLOSED, FILTERED, UNREACHABLE = "open", "closed", "filtered", "unreachable"
UNJUDGED = "no verdict"  # the tool reported that it could not judge the port
STATES = (OPEN, CLOSED, FILTERED, UNREACHABLE)


@dataclass(frozen=True)
class Kind:
    name: str
    first: int
    count: int
    truth: str
    also: tuple = ()

    @property
    def last(self):
        return self.first + self.count - 1

    @property
    def accepted(self):
        return (self.truth, *self.also)

    def ports(self, count):
        assert count <= self.count, self.name
        return list(range(self.first, self.first + count))


# What nft's reject can send, and what the port then is: a port-unreachable is a refusal.
REJECTS_V4 = (
    ("net-unreachable", UNREACHABLE),
    ("host-unreachable", UNREACHABLE),
    ("prot-unreachable", UNREACHABLE),
    ("port-unreachable", CLOSED),
    ("net-prohibited", UNREACHABLE),
    ("host-prohibited", UNREACHABLE),
    ("admin-prohibited", UNREACHABLE),
)
REJECTS_V6 = (
    ("no-route", UNREACHABLE),
    ("admin-prohibited", UNREACHABLE),
    ("addr-unreachable", UNREACHABLE),
    ("port-unreachable", CLOSED),
    ("policy-fail", UNREACHABLE),
    ("reject-route", UNREACHABLE),
)

KINDS = {kind.name: kind for kind in (
    Kind("accepting", 10000, 200, OPEN),
    Kind("closed", 11000, 1000, CLOSED),
    Kind("dropped", 12000, 200, FILTERED),
    Kind("resets", 13000, 20, OPEN),        # accepts, then resets
    Kind("tarpit", 13100, 20, OPEN),        # accepts, never reads, a window of almost nothing
    Kind("full", 13200, 20, FILTERED),      # the accept queue is full and stays so
    Kind("drained", 13300, 20, OPEN),       # full at first, emptied later
    Kind("proxied", 13400, 20, OPEN),       # a SYN proxy answers in front of a listener
    Kind("reset-by-filter", 13500, 20, CLOSED),
    Kind("limited-closed", 14000, 1000, CLOSED),    # resets: 200 a second for each address
    Kind("limited-reject", 15000, 200, CLOSED, (FILTERED,)),  # ICMP as the kernel limits it
    *(Kind(f"v4 {name}", 16000 + 100 * row, 20, truth)
      for row, (name, truth) in enumerate(REJECTS_V4)),
    *(Kind(f"v6 {name}", 17000 + 100 * row, 20, truth)
      for row, (name, truth) in enumerate(REJECTS_V6)),
    # Whole addresses: there the address tells, not the port.
    Kind("dead-host", 18000, 102, UNREACHABLE),
    Kind("dead-route", 18200, 102, UNREACHABLE),
    Kind("no-route", 18400, 102, UNJUDGED),
)}


def kind_of(port):
    for kind in KINDS.values():
        if kind.first <= port <= kind.last:
            return kind
    raise KeyError(port)
