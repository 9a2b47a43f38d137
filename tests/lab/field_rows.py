# SPDX-License-Identifier: MIT
"""The table of situations in the field: a host of lab_field_host, what its ports truly are,
and what this service has to say about them."""
from dataclasses import dataclass, field

from ports import CLOSED, FILTERED, OPEN, UNREACHABLE

LIMITED = "limited"
WANTED = (7466, *range(50800, 50901))  # what a provider asks about
FEW = (7466, 50817, 50842, 50863, 50891)


@dataclass(frozen=True)
class Row:
    name: str
    title: str
    host: tuple = ()          # words for lab_field_host, without the ports
    ports: tuple = WANTED     # in the order of the request
    truth: dict = field(default_factory=dict)  # port -> its true state; the others are open
    special: tuple = ()       # words "ports=..." for what is neither open, closed nor silent
    runs: int = 20
    quick: int = 0            # runs of the quick version; 0: not in it
    at_once: int = 10         # runs side by side
    is_one_host: bool = False  # all runs ask about one address
    sysctls: tuple = ()       # (name, value) of the checker's namespace
    settings: tuple = ()      # (name, value) of this service
    nft: str = ""             # rules of the checker's namespace
    # What must be, of this service:
    wrong: int = 0            # at most so many wrong verdicts in all runs together
    wrong_per_run: int = 0    # ... and in addition so many in each
    limited: bool = False     # "limited" is right, but for what is open of the first four
    opens: int = 0            # at least so many found open in a run,
    share: float = 1.0        # in this share of the runs
    seconds: float = 0.0      # the longest run, 0: as long as a request may take
    syns: int = 0             # the most SYNs in a run, 0: any number
    today: str = ""           # what was measured before the controls

    def truth_of(self, port):
        return self.truth.get(port, OPEN)

    def accepts(self, port, state):
        truth = self.truth_of(port)
        is_needed = truth == OPEN and port in self.ports[:4]
        return state == truth or (self.limited and state == LIMITED and not is_needed)

    def words(self):
        """What lab_field_host is told."""
        yield from self.host
        for state, kind in ((OPEN, "open"), (FILTERED, "silent")):
            ports = [str(port) for port in self.ports if self.truth_of(port) == state]
            if ports:
                yield f"ports={','.join(ports)}:{kind}"
        yield from self.special


def others(ports, state):
    return {port: state for port in WANTED if port not in ports}


def ms(seconds):
    return round(seconds * 1000)


def limits():
    yield Row("limit-10", "10 SYN/s, burst 5, the rest dropped", ("limit=600,5,drop",),
              opens=102, seconds=18, quick=2, today="56 filtered")
    yield Row("limit-1", "1 SYN/s, burst 5, the rest dropped", ("limit=60,5,drop",),
              limited=True, opens=18, quick=2, today="96 filtered")
    yield Row("limit-1-ten", "1 SYN/s, burst 5, ten ports", ("limit=60,5,drop",),
              ports=WANTED[:10], opens=10, seconds=8, quick=2)
    yield Row("limit-10-few", "10 SYN/s, burst 5, 5 ports open, 97 filtered",
              ("limit=600,5,drop",), truth=others(FEW, FILTERED), limited=True, opens=5,
              share=0.95, wrong=1, syns=250, quick=2, runs=40, at_once=20,
              today="all 102 filtered")
    yield Row("limit-25-reset", "25 SYN/s, burst 50, the rest reset", ("limit=1500,50,reset",),
              opens=102, quick=2, today="52 closed")
    yield Row("limit-10-icmp", "10 SYN/s, burst 5, the rest administratively prohibited",
              ("limit=600,5,3/13",), opens=102, seconds=18)
    yield Row("connlimit-20", "20 connections at a time, the rest reset",
              ("connections=20,reset",), opens=102, quick=2, today="60-80 closed")
    yield Row("connlimit-20-rtt", "the same, RTT 40 ms",
              ("connections=20,reset", "rtt_us=40000"), opens=102)
    yield Row("connlimit-20-drop", "20 connections at a time, the rest dropped",
              ("connections=20,drop", "rtt_us=40000"), opens=102)
    for name, action in (("", "3/3"), ("-reset", "reset"), ("-drop", "drop")):
        yield Row(f"ufw-limit{name}", f"`ufw limit`: 6 in 30 s, then {action}",
                  (f"recent=6,30,{action}",), limited=True, opens=4, quick=2 * (not name),
                  today="97 closed" if action != "drop" else "97 filtered")


def bans():
    for count in (5, 20, 90):
        yield Row(f"scan-{count}", f"banned for 60 s after {count} ports in 10 s, dropped",
                  (f"scan={count},60000,10000,drop",), limited=True, opens=4,
                  quick=2 * (count == 20), today="the rest filtered")
    yield Row("scan-20-reset", "banned for 60 s after 20 ports in 10 s, reset",
              ("scan=20,60000,10000,reset",), limited=True, opens=4, quick=2,
              today="the rest closed")
    yield Row("scan-20-renew", "banned for 20 s after 20 ports, each SYN prolongs it",
              ("scan=20,20000,10000,drop,renew",), limited=True, opens=4)
    yield Row("scan-closed-10", "banned after 10 closed ports of 20; 82 open",
              ("scan_closed=10,60000,10000,drop",), limited=True, opens=4,
              truth={port: CLOSED for port in WANTED[40:60]})


def outages():
    for seconds in (1.2, 2, 3):
        yield Row(f"outage-{seconds}", f"the link dies for {seconds} s after 50 answers",
                  (f"outage=50,{ms(seconds)}",), opens=102, quick=2 * (seconds == 2),
                  today="52 filtered at 1.16 s")
    yield Row("outage-rtt", "the same for 2 s, RTT 40 ms",
              ("outage=50,2000", "rtt_us=40000"), opens=102)
    yield Row("down", "the host goes down after 50 answers", ("outage=50,600000",),
              limited=True, opens=50)
    for loss in (1, 5):
        yield Row(f"outages-{loss}", f"{loss}% loss each way, outages of 0.5-3 s",
                  (f"loss={loss * 10000}", "outages=4000,500,3000", "rtt_us=30000"), runs=60,
                  wrong=1, opens=101, at_once=15, quick=4, today="up to 60 of 6,120 filtered")


def unreachable():
    for seconds in (0.5, 1.5, 2.5, 3.5):
        yield Row(f"flap-{seconds}", f"host unreachable (3/1) for the first {seconds} s",
                  (f"flap={ms(seconds)},3/1",), opens=102, quick=2 * (seconds == 2.5),
                  today="all unreachable at 0.33 s")
    yield Row("flap-limited", "the same for 2 s, with one ICMP error a second",
              ("flap=2000,3/1", "icmps=60,6"), opens=102)
    yield Row("gone", "host unreachable for ever", ("flap=600000,3/1",),
              truth=others((), UNREACHABLE))
    yield Row("prohibited", "97 ports prohibited (3/13) by the target", ("icmp_from=target",),
              truth=others(FEW, UNREACHABLE), opens=5, seconds=1.5,
              special=("ports=" + ",".join(map(str, others(FEW, 0))) + ":icmp:3/13",))


def paths():
    yield Row("path-even", "the path of even source ports is dead", ("path=low,2,0",),
              opens=102, quick=2, today="all filtered")
    yield Row("path-odd", "the path of odd source ports is dead", ("path=low,2,1",), opens=102)
    yield Row("path-four", "one of four paths by the low bits is dead", ("path=low,4,2",),
              opens=102)
    yield Row("path-xor", "one of two paths by XOR hash (layer 3+4) is dead", ("path=xor,2,0",),
              opens=102, quick=2, today="all filtered of one parity")
    yield Row("path-hash", "one of two paths by a good hash is dead", ("path=hash,2,0",),
              opens=102, quick=2, today="5-8 filtered")


def slow():
    yield Row("slow-port", "one port answers after 1.5 s", special=("ports=50850:slow:1500",),
              opens=101, wrong_per_run=1, quick=2, today="1 filtered at 1.16 s")
    yield Row("full-queue", "one port's accept queue is full for 2 s",
              special=("ports=50850:queue:2000",), opens=101, wrong_per_run=1,
              today="1 filtered at 1.16 s")


# Makes the checker's resets slower than its SYNs: the reset of one worker may then follow the
# SYN that another worker sends from the same source port.
SLOW_RESETS = """
table inet slow {
    chain crawl {
%s    }
    chain out {
        type filter hook output priority 0;
        tcp flags & (syn|rst) == rst jump crawl
    }
}
""" % (40000 * "        ip id 1 ip ttl 3 ip length 7\n")


def source_ports():
    yield Row("two-workers", "two workers, 16 source ports, one open port, slow resets",
              ports=(50800,), opens=1, runs=4000, quick=1500, at_once=8, is_one_host=True,
              sysctls=(("net.ipv4.ip_local_port_range", "32768 32783"),),
              settings=(("PORT_CHECKER_WORKERS", "2"),), nft=SLOW_RESETS,
              today="up to 5% closed")


def as_before():
    """What held before and must go on holding."""
    mixed = {port: CLOSED for port in WANTED[61:81]} | {
        port: FILTERED for port in WANTED[81:]}
    yield Row("clean", "all open", opens=102, seconds=0.5, quick=4)
    yield Row("clean-rtt", "all open, RTT 40 ms", ("rtt_us=40000",), opens=102, seconds=0.8)
    yield Row("silent", "61 open, 20 closed, 21 silent", truth=mixed, opens=61, seconds=1.5,
              quick=4, today="1.16 s")
    yield Row("silent-one-open", "1 open, 101 silent", truth=others((7466,), FILTERED),
              opens=1, seconds=1.5, quick=2, today="1.8 s")
    yield Row("silent-host", "102 silent", truth=others((), FILTERED), seconds=5,
              today="4.3 s")
    yield Row("loss-5", "5% loss each way", ("loss=50000", "rtt_us=30000"), truth=mixed,
              opens=61, runs=60, at_once=15, quick=4)
    yield Row("loss-20", "20% loss each way", ("loss=200000", "rtt_us=30000"), truth=mixed,
              wrong=2, runs=60, at_once=15, limited=True, opens=61, share=0.95, quick=4)
    yield Row("loss-20-few", "20% loss each way, 5 open", ("loss=200000", "rtt_us=30000"),
              truth=others(FEW, FILTERED), wrong=1, runs=60, at_once=15, limited=True,
              opens=5, share=0.95)
    yield Row("resets-200", "600 closed ports, 200 resets a second", ("resets=200",),
              ports=(*FEW, *range(20000, 20600)), opens=5, quick=1,
              truth={port: CLOSED for port in range(20000, 20600)}, runs=6, at_once=2)


def table():
    rows = [*limits(), *bans(), *outages(), *unreachable(), *paths(), *slow(),
            *source_ports(), *as_before()]
    assert len({row.name for row in rows}) == len(rows)
    return rows
