# SPDX-License-Identifier: MIT
"""The table of scenarios: a network, ports with their true state, the tools and how many
addresses each of them gets, and the goals of this service."""
from dataclasses import dataclass

from ports import KINDS, REJECTS_V4, REJECTS_V6

MIXED = (("accepting", 61), ("closed", 20), ("dropped", 21))
ANSWERING = (("accepting", 61), ("closed", 20))

SERVICE, FAST, CAREFUL, PLAIN = "port-checker", "nmap -T4", "nmap careful", "plain rule"
MASSCAN = "masscan"


@dataclass(frozen=True)
class Link:
    """One direction of the relay; the fields are those of relay.c."""

    delay_us: int = 0
    jitter_us: int = 0
    reordered: int = 0  # of a million, as are all shares
    lost: int = 0
    good_ms: int = 0
    bad_ms: int = 0
    bad_lost: int = 0
    under_way: int = 0

    def text(self):
        return ",".join(str(getattr(self, name)) for name in self.__dataclass_fields__)


@dataclass(frozen=True)
class Goal:
    """metrics[name] of this service is at most `limit`."""

    name: str
    limit: float
    row: str  # of the table of goals


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    ports: tuple = MIXED          # (kind, how many)
    quick: tuple = ()             # (tool, addresses); none = not in this mode
    full: tuple = ()
    goals: tuple = ()
    path: str = "veth"            # or "relay"
    family: int = 4
    place: str = "targets"        # or one of the addresses in runner.PLACES
    syn_loss: int = 0             # of a thousand, by the router, towards the targets
    links: tuple = (Link(), Link())
    icmp_limits: bool = False     # as the kernel has them; else none
    synproxy: bool = False
    sysctls: tuple = ()           # (name, value) in the checker's namespace
    settings: tuple = ()          # (name, value) of this service
    orders: tuple = ()            # (seconds after the start of a batch, order)
    fault: str = ""               # the checker's own trouble: one of faults.FAULTS
    repeat: int = 1               # checks of each address at once
    concurrency: int = 12         # addresses at a time
    rounds: int = 2
    alone: bool = True            # else side by side with others: no figure of time matters

    def numbers(self):
        return [port for kind, count in self.ports for port in KINDS[kind].ports(count)]

    def rounds_of(self, mode):
        return 1 if mode == "quick" else self.rounds

    def plan(self, mode):
        return dict(self.quick if mode == "quick" else self.full)


def relayed(rtt_ms, lost=0, **more):
    link = Link(delay_us=rtt_ms * 500, lost=lost, **more)
    return (link, link)


def losses():
    """The mixed case at several losses; two of them are rows of the goals."""
    limits = {0: (1.3, 0), 50: (2.0, 0), 200: (3.0, 1)}
    for loss in (0, 10, 50, 100, 200):
        percent = f"{loss / 10:g}%"
        goals = ()
        if loss in limits:
            seconds, wrong = limits[loss]
            row = "mixed, " + (f"{percent} of SYNs lost" if loss else "no loss")
            goals = (Goal("whole_t95", seconds, row), Goal("false_negatives", wrong, row))
            if loss == 0:
                goals += (Goal("not_right", 0, row),
                          Goal("syns_open", 1.3, "SYNs per port"),
                          Goal("syns_closed", 1.3, "SYNs per port"),
                          Goal("syns_filtered", 6, "SYNs per port"))
        yield Scenario(
            name=f"mixed-{percent[:-1]}", title=f"61 open, 20 closed, 21 dropped; {percent} "
            "of SYNs lost", syn_loss=loss, goals=goals,
            quick={0: ((SERVICE, 16), (FAST, 4), (PLAIN, 4)), 50: ((SERVICE, 24), (FAST, 4)),
                   200: ((SERVICE, 24),)}.get(loss, ()),
            full=((SERVICE, 52), (FAST, 16), (CAREFUL, 8), (PLAIN, 12), (MASSCAN, 4)))


def round_trips():
    for rtt in (20, 80, 250, 600):
        row = f"RTT {rtt} ms, 10% lost each way"
        yield Scenario(
            name=f"rtt-{rtt}", title=f"61 open, 20 closed; relay, RTT {rtt} ms, 10% lost "
            "each way", ports=ANSWERING, path="relay", links=relayed(rtt, 100000),
            quick=((SERVICE, 16),) if rtt in (80, 600) else (),
            full=((SERVICE, 52), (FAST, 16), (PLAIN, 12), (MASSCAN, 2)),
            goals=(Goal("missed", 1, row), Goal("open_t95", 3 * rtt / 1000 + 1.2, row)))


def bad_links():
    row = "other links"
    yield Scenario(
        name="bursts", title="relay, RTT 80 ms, bursts: 200 ms of 80% loss every 2 s",
        path="relay", links=relayed(80, good_ms=2000, bad_ms=200, bad_lost=800000),
        quick=((SERVICE, 8),), full=((SERVICE, 52), (FAST, 16), (PLAIN, 12)),
        goals=(Goal("false_negatives", 1, row),))
    yield Scenario(
        name="jitter", title="relay, RTT 80 ± 60 ms, 2% reordered, 1% lost each way",
        path="relay", links=relayed(80, 10000, jitter_us=30000, reordered=20000),
        quick=((SERVICE, 8),), full=((SERVICE, 52), (FAST, 16), (PLAIN, 12)),
        goals=(Goal("false_negatives", 0, row), Goal("missed", 0, row)))
    there, back = Link(delay_us=40000), Link(delay_us=40000, lost=200000)
    yield Scenario(
        name="lossy-return", title="relay, RTT 80 ms, 20% lost on the return path only",
        path="relay", links=(there, back), alone=False,
        full=((SERVICE, 52), (FAST, 16), (PLAIN, 12)),
        goals=(Goal("false_negatives", 1, row),))
    for linear in (0, 4):
        yield Scenario(
            name=f"linear-{linear}", title=f"mixed, 20% of SYNs lost, tcp_syn_linear_timeouts "
            f"{linear}", syn_loss=200, sysctls=(("net.ipv4.tcp_syn_linear_timeouts", linear),),
            full=((SERVICE, 52), (PLAIN, 8)), alone=False,
            goals=(Goal("false_negatives", 1, row),))
    yield Scenario(
        name="mixed-v6", title="61 open, 20 closed, 21 dropped; IPv6, no loss", family=6,
        quick=((SERVICE, 8),), full=((SERVICE, 16), (FAST, 8), (PLAIN, 8)),
        goals=(Goal("whole_t95", 1.3, row), Goal("not_right", 0, row)))


def silent():
    yield Scenario(
        name="silent", title="102 dropped ports only", ports=(("dropped", 102),),
        concurrency=4, quick=((SERVICE, 4),),
        full=((SERVICE, 24), (FAST, 8), (CAREFUL, 4), (PLAIN, 8), (MASSCAN, 2)),
        goals=(Goal("whole_t95", 4.5, "silent host"), Goal("not_right", 0, "silent host")))
    yield Scenario(
        name="many-silent", title="102 dropped ports only, 12 such addresses at once",
        ports=(("dropped", 102),), concurrency=12, full=((SERVICE, 36),),
        goals=(Goal("not_right", 0, "silent host"),))


def icmp():
    for path in ("veth", "relay"):
        for family, rows in ((4, REJECTS_V4), (6, REJECTS_V6)):
            goal = Goal("not_right", 0, "all ICMP errors")
            yield Scenario(
                name=f"icmp-{path}-v{family}", title=f"all ICMP errors, {path}, IPv{family}",
                ports=(("accepting", 2), ("closed", 2), ("reset-by-filter", 2),
                       *((f"v{family} {name}", 2) for name, _ in rows)),
                path=path, family=family, links=relayed(20), goals=(goal,), alone=False,
                quick=((SERVICE, 4), (PLAIN, 2)),
                full=((SERVICE, 16), (FAST, 4), (PLAIN, 8)))
            yield Scenario(
                name=f"icmp-only-{path}-v{family}", title=f"ICMP errors only, {path}, "
                f"IPv{family}", ports=tuple((f"v{family} {name}", 4) for name, _ in rows),
                path=path, family=family, links=relayed(20), goals=(goal,), alone=False,
                quick=((SERVICE, 4),), full=((SERVICE, 16), (FAST, 4), (PLAIN, 8)))


def places():
    row = "missing hosts and routes"
    for family in (4, 6):
        # When the router gives an address up, it answers all SYNs that wait in one moment, from a
        # socket of the kernel with room for about 159 errors; the others are never sent. At 10
        # ports, one address at a time, there are at most 120 SYNs.
        for place, title, ports, at_a_time, goal in (
                ("dead-link", "no host has this address on the checker's own link", 20, 4,
                 "wrong"),
                ("dead-host", "no host has this address on the target's link", 10, 1,
                 "not_right")):
            yield Scenario(
                name=f"{place}-v{family}", title=f"{title}, IPv{family}", place=place,
                family=family, ports=(("dead-host", ports),), concurrency=at_a_time, rounds=1,
                quick=((SERVICE, 2),) if family == 4 else (),
                full=((SERVICE, 4), (FAST, 4), (PLAIN, 4)), goals=(Goal(goal, 0, row),),
                alone=False)
        # Two ports only: such errors are always limited to 5 at once, then 1 per second.
        for path in ("veth", "relay"):
            yield Scenario(
                name=f"dead-route-{path}-v{family}", title="the router has no route, "
                f"{path}, IPv{family}", path=path, family=family, place="dead-route",
                ports=(("dead-route", 2),), links=relayed(20), rounds=1, alone=False,
                quick=((SERVICE, 1),) if family == 4 else (),
                full=((SERVICE, 1),), goals=(Goal("not_right", 0, row),))


def ends():
    row = "queues and limits"
    yield Scenario(
        name="odd-servers", title="resets after accept, tarpit, SYN proxy, refused by a filter",
        ports=(("accepting", 5), ("resets", 20), ("tarpit", 20), ("proxied", 20),
               ("closed", 5), ("reset-by-filter", 20)), synproxy=True, alone=False,
        quick=((SERVICE, 4), (PLAIN, 2)),
        full=((SERVICE, 16), (FAST, 8), (PLAIN, 8), (MASSCAN, 2)),
        goals=(Goal("not_right", 0, "odd servers"),))
    # No goal: with other ports answering, silence is judged after 1.2 s (docs/decisions/0006),
    # before such a queue is drained. Until then, nothing on the wire distinguishes it from a filter.
    yield Scenario(
        name="full-drained", title="accept queue full for 2 s, then drained; other ports of "
        "the host answer", ports=(("accepting", 20), ("closed", 10), ("drained", 20)),
        orders=((0.0, "fill"), (2.0, "drain")), rounds=1, alone=False,
        quick=((SERVICE, 8), (PLAIN, 2)), full=((SERVICE, 8), (FAST, 4), (PLAIN, 8)))
    yield Scenario(
        name="full-drained-alone", title="accept queue full for 2 s, then drained; no other "
        "ports", ports=(("drained", 20),), orders=((0.0, "fill"), (2.0, "drain")), rounds=1,
        alone=False,
        quick=((SERVICE, 8),), full=((SERVICE, 8), (FAST, 4), (PLAIN, 8)),
        goals=(Goal("missed", 0, row),))
    yield Scenario(
        name="full-for-ever", title="accept queue full, never drained: counts as filtered",
        ports=(("accepting", 20), ("closed", 10), ("full", 20)), orders=((0.0, "fill"),),
        rounds=1, alone=False, full=((SERVICE, 8), (FAST, 4), (PLAIN, 8), (MASSCAN, 2)),
        quick=((SERVICE, 4),), goals=(Goal("not_right", 0, row),))
    yield Scenario(
        name="reset-limit", title="1,000 closed ports, resets limited to 200/s",
        ports=(("accepting", 20), ("limited-closed", 1000)), rounds=1, alone=False,
        concurrency=2,
        quick=((SERVICE, 2),), full=((SERVICE, 6), (FAST, 2), (PLAIN, 2), (MASSCAN, 2)),
        goals=(Goal("missed", 0, row),))
    yield Scenario(
        name="icmp-limit", title="200 ports rejected with port-unreachable, rate-limited by the "
        "kernel; other ports must not be affected",
        ports=(("accepting", 61), ("closed", 20), ("limited-reject", 200)), icmp_limits=True,
        rounds=1, alone=False, quick=((SERVICE, 4),),
        full=((SERVICE, 16), (FAST, 2), (PLAIN, 4)),
        goals=(Goal("not_right", 0, row),))


def faults():
    row = "local faults"

    def fault(name, title, **more):
        settings = dict(ports=MIXED, rounds=1, concurrency=2, fault=name, alone=False,
                        quick=((SERVICE, 2),), full=((SERVICE, 4), (FAST, 2), (PLAIN, 2)))
        return Scenario(name=f"fault-{name}", title=title,
                        goals=(Goal("wrong", 0, row),), **{**settings, **more})

    yield fault("descriptors", "64 file descriptors")
    yield fault("ephemeral", "10 ephemeral ports, 40 checks of one port at once, RTT 600 ms",
                path="relay", links=relayed(600), ports=(("accepting", 1),), repeat=40,
                concurrency=40)
    # Silent ports hold their entries, so none are left for the others.
    yield fault("conntrack", "50 connection tracking entries",
                ports=(("accepting", 61), ("closed", 20), ("dropped", 102)))
    yield fault("output-drop", "the checker's own firewall drops every SYN")
    yield fault("output-drop-some", "the checker's own firewall drops SYNs to every "
                "second port")
    yield fault("output-drop-2s", "the checker's own firewall drops every SYN for 2 s",
                orders=((2.0, "heal"),))
    yield fault("no-route", "the checker has no route", fault="", place="no-route",
                ports=(("no-route", 20),))
    yield fault("dead-gateway", "the checker's gateway is dead", fault="", place="dead-gateway",
                ports=(("no-route", 20),))
    yield fault("no-ipv6", "the checker has no IPv6", family=6)
    yield fault("stop", "checker stopped for 3 s during the check, PORT_CHECK_TIMEOUT 2 s, "
                "RTT 250 ms",
                fault="", path="relay", links=relayed(250),
                settings=(("PORT_CHECK_TIMEOUT", "2"),),
                orders=((0.15, "stop"), (3.15, "continue")))
    yield fault("busy", "both processors busy, RTT 80 ms", path="relay", links=relayed(80),
                alone=True, quick=((SERVICE, 4),), full=((SERVICE, 8), (FAST, 2), (PLAIN, 4)))


def table():
    scenarios = [*losses(), *silent(), *round_trips(), *bad_links(), *faults(), *icmp(),
                 *places(), *ends()]
    assert len({scenario.name for scenario in scenarios}) == len(scenarios)
    return scenarios
