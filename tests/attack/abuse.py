# SPDX-License-Identifier: MIT
"""Abuse: who can make the checker send a SYN, to what, and how many. The service stands in a network
without a way out; packet filter rules on its side count every SYN that it sends. Each request names
a port of its own, so that every SYN belongs to one request.

What is right comes from the tables below, which follow docs/policy.md, not from the program."""
import collections
import contextlib
import dataclasses
import ipaddress
import itertools
import json
import random
import threading
import time
import urllib.parse

from attack.record import Record, attack
from harness import network
from harness.http import check_body
from harness.service import Service, kept

SYNS_MAX = 14  # that a silent port needs: docs/decisions/0006
VALUES = "auto", "caller", "public", "any"

# --- the network --------------------------------------------------------------------------

NEAR_4, FAR_4, PROXY = "192.168.77.1", "192.168.77.2", "192.168.77.3"
NEAR_6, FAR_6 = "fd77::1", "fd77::2"
OUR_GLOBAL_4, FAR_GLOBAL_4 = "11.22.33.1", "11.22.33.44"
OUR_GLOBAL_6, FAR_GLOBAL_6 = "2a01:77::1", "2a01:77::2"

# Routes to itself for all addresses: every target answers, with a reset unless a port is open.
FAR_ROUTES = """
address add 192.168.77.3/24 dev far0
address add fd77::3/64 dev far0 nodad
route add local 0.0.0.0/0 dev lo table main
route add local ::/0 dev lo table main
"""

# A second network, a link between two routers, a single address, and a network that is routed to
# the checker itself.
NEAR_ADDRESSES = """
address add 10.9.0.1/16 broadcast 10.9.255.255 dev near0
address add 10.9.0.2/16 broadcast 10.9.200.200 dev near0
address add 10.8.0.0/31 dev near0
address add 10.7.0.1 peer 10.7.0.2/32 broadcast 10.7.0.9 dev near0
route add local 2a01:99::/64 dev near0
route add default via 192.168.77.2
route add ::/0 via fd77::2
"""

COUNTERS = """
table inet watch {{
  set ipv4 {{ type ipv4_addr . inet_service; size 65535; flags dynamic; counter; }}
  set ipv6 {{ type ipv6_addr . inet_service; size 65535; flags dynamic; counter; }}
  counter others {{ }}
  chain leaving {{
    type filter hook output priority -300;
    tcp dport {port} accept
    tcp flags & (syn | ack) == syn meta nfproto ipv4 update @ipv4 {{ ip daddr . tcp dport }}
    tcp flags & (syn | ack) == syn meta nfproto ipv6 update @ipv6 {{ ip6 daddr . tcp dport }}
    meta l4proto {{ udp, udplite, sctp, dccp }} counter name others
  }}
}}
"""


class Cable(network.Machine):
    """The checker here, and on the other end of a cable a machine that has all other addresses."""

    def __init__(self):
        super().__init__()
        for near, far, prefix in ((OUR_GLOBAL_4, FAR_GLOBAL_4, 24),
                                  (OUR_GLOBAL_6, FAR_GLOBAL_6, 64)):
            self.add_net(near, far, prefix)
        self.ip(FAR_ROUTES)
        network.command("ip", "-batch", "-", text=NEAR_ADDRESSES)


class Watch:
    """Counts the SYNs that leave this namespace, except those to the service."""

    def __init__(self, service):
        network.command("nft", "-f", "-", text=COUNTERS.format(port=service.port))

    def syns(self):
        """{port: {address: SYNs}}"""
        found = collections.defaultdict(dict)
        for name in "ipv4", "ipv6":
            text = network.command("nft", "--json", "list", "set", "inet", "watch", name)
            for item in json.loads(text)["nftables"][-1]["set"].get("elem", ()):
                address, port = item["elem"]["val"]["concat"]
                found[port][address] = item["elem"]["counter"]["packets"]
        return found

    def others(self):
        text = network.command("nft", "--json", "list", "counter", "inet", "watch", "others")
        return json.loads(text)["nftables"][-1]["counter"]["packets"]

    def close(self):
        network.command("nft", "delete", "table", "inet", "watch")


@contextlib.contextmanager
def watched(**settings):
    """(cable, service, watch) of a service with these settings."""
    usual = {"PORT_CHECKER_HOST": "::", "PORT_CHECKER_TRUSTED_PROXIES": PROXY}
    with contextlib.closing(Cable()) as cable, \
            kept(Service({**usual, **settings})) as service:
        service.wait_ready()
        with contextlib.closing(Watch(service)) as watch:
            yield cable, service, watch


# --- the matrix: who asks -----------------------------------------------------------------

OPERATOR, UNKNOWN = "operator", "unknown"


@dataclasses.dataclass
class Caller:
    """Asks from `source` at `host`; `who` is what the policy calls it: an address, or one of the two
    above."""
    source: str
    host: str
    who: str
    headers: tuple = ()
    version: str = "HTTP/1.1"

    @property
    def address(self):
        """None if the caller has no address of its own."""
        if self.who == OPERATOR:
            return self.source
        return None if self.who == UNKNOWN else self.who

    @property
    def is_far(self):
        return self.source not in (self.host, NEAR_4, NEAR_6) and self.source[:3] not in ("127", "::1")

    def ask(self, cable, service, method, path, headers, body=None):
        place = cable if self.is_far else contextlib.nullcontext()
        with place, service.connect(self.source, self.host) as connection:
            connection.request(method, path, (*headers, *self.headers), body,
                               version=self.version)
            return connection.reply(method)


def named(who, *headers):
    """What the trusted proxy says."""
    return Caller(PROXY, NEAR_4, who, headers)


VICTIM, VICTIM_6 = "9.9.9.9", "2620:fe::fe"

CALLERS = (
    Caller(FAR_4, NEAR_4, FAR_4),
    Caller(FAR_GLOBAL_4, OUR_GLOBAL_4, FAR_GLOBAL_4),
    Caller(FAR_6, NEAR_6, FAR_6),
    Caller(FAR_GLOBAL_6, OUR_GLOBAL_6, FAR_GLOBAL_6),
    # headers of callers that are not trusted
    Caller(FAR_4, NEAR_4, FAR_4, (("X-Forwarded-For", VICTIM),)),
    Caller(FAR_6, NEAR_6, FAR_6, (("Forwarded", f'for="[{VICTIM_6}]"'),)),
    Caller(FAR_4, NEAR_4, FAR_4, (("X-Real-IP", VICTIM), ("X-Client-IP", VICTIM))),
    Caller(FAR_4, NEAR_4, FAR_4, (("Host", "127.0.0.1"),)),
    Caller(FAR_4, NEAR_4, FAR_4, (("Host", "localhost"), ("X-Forwarded-For", "127.0.0.1"))),
    # the checker's own machine
    Caller("127.0.0.1", "127.0.0.1", OPERATOR),
    Caller("::1", "::1", OPERATOR),
    Caller("127.0.0.1", "127.0.0.1", UNKNOWN, (("X-Forwarded-For", VICTIM),)),
    Caller("127.0.0.1", "127.0.0.1", UNKNOWN, (("Forwarded", "for=9.9.9.9"),)),
    Caller("127.0.0.1", "127.0.0.1", UNKNOWN, (("CF-Connecting-IP", VICTIM),)),
    Caller("127.0.0.1", "127.0.0.1", UNKNOWN, (("Host", "checker.example"),)),
    Caller("127.0.0.1", "127.0.0.1", UNKNOWN, version="HTTP/1.0"),
    Caller("127.0.0.1", NEAR_4, UNKNOWN, (("Host", "localhost"),)),
    Caller(NEAR_4, NEAR_4, NEAR_4),
    Caller(NEAR_4, NEAR_4, UNKNOWN, (("Via", "1.1 proxy"),)),
    # what the trusted proxy says
    named(VICTIM, ("X-Forwarded-For", VICTIM)),
    named(VICTIM, ("X-Forwarded-For", f"::ffff:{VICTIM}")),
    named(VICTIM, ("X-Forwarded-For", f"10.0.0.1, {VICTIM}")),
    named(VICTIM, ("X-Forwarded-For", "10.0.0.1"), ("X-Forwarded-For", f"{VICTIM}:1234")),
    named(VICTIM, ("X-Forwarded-For", f"{VICTIM}, {PROXY}")),
    named(VICTIM, ("X-Forwarded-For", VICTIM), ("Forwarded", "for=8.8.8.8")),
    named(VICTIM_6, ("Forwarded", f'for="[{VICTIM_6}]:80";proto=https')),
    named("192.168.77.255", ("X-Forwarded-For", "192.168.77.255")),
    named("64:ff9b::909:909", ("X-Forwarded-For", f"64:ff9b::{VICTIM}")),
    named(UNKNOWN),
    named(UNKNOWN, ("X-Forwarded-For", "")),
    named(UNKNOWN, ("X-Forwarded-For", f"{VICTIM}, unknown")),
    named(UNKNOWN, ("X-Forwarded-For", f"{VICTIM}, fe80::1%eth0")),
    named(UNKNOWN, ("X-Forwarded-For", "127.0.0.1")),
    named(UNKNOWN, ("X-Forwarded-For", "::ffff:127.0.0.1")),
    named(UNKNOWN, ("X-Forwarded-For", "64:ff9b::127.0.0.1")),
    named(UNKNOWN, ("X-Forwarded-For", "224.0.0.1")),
    named(UNKNOWN, ("Forwarded", "for=_hidden")),
    named(UNKNOWN, ("X-Forwarded-For", "x"), ("Forwarded", f"for={VICTIM}")),
    # another proxy's word counts for nothing
    Caller(FAR_4, NEAR_4, FAR_4, (("X-Forwarded-For", PROXY),)),
)

# --- the matrix: for what -----------------------------------------------------------------

# Kinds of targets: what the four values allow to others than the target itself.
NEVER, INVALID = "never", "invalid"
GLOBAL, OURS, REST = "global", "ours", "rest"  # OURS is global too

TARGETS = {
    # the callers
    FAR_4: REST, FAR_6: REST, FAR_GLOBAL_4: GLOBAL, FAR_GLOBAL_6: GLOBAL,
    VICTIM: GLOBAL, VICTIM_6: GLOBAL, PROXY: REST,
    # the checker's machine
    "127.0.0.1": REST, "127.0.0.77": REST, "::1": REST,
    NEAR_4: REST, NEAR_6: REST, OUR_GLOBAL_4: OURS, OUR_GLOBAL_6: OURS,
    "2a01:99::5": OURS,
    "10.8.0.0": REST, "10.8.0.1": REST, "10.7.0.2": REST,
    # no host's
    "0.0.0.0": NEVER, "0.1.2.3": NEVER, "::": NEVER, "255.255.255.255": NEVER,
    "240.0.0.1": NEVER, "224.0.0.1": NEVER, "239.255.255.250": NEVER, "ff02::1": NEVER,
    "ff0e::1": NEVER, "fe80::1": NEVER, "::9.9.9.9": NEVER,
    # broadcast addresses of the checker's own networks
    "192.168.77.255": NEVER, "11.22.33.255": NEVER, "10.9.255.255": NEVER,
    "10.9.200.200": NEVER, "10.7.0.9": NEVER,
    # unicast, but not of the whole internet
    "169.254.169.254": REST, "10.1.2.3": REST, "172.31.0.1": REST, "192.168.1.1": REST,
    "100.64.0.1": REST, "192.0.2.1": REST, "198.51.100.7": REST, "203.0.113.9": REST,
    "198.18.0.1": REST, "192.88.99.1": REST, "2001:db8::1": REST, "3fff::1": REST,
    "fc00::1": REST, "fec0::1": REST, "100::1": REST, "2001::1": REST, "5f00::1": REST,
    "64:ff9b:1::1": REST,
    # IPv4 in IPv6: judged as that IPv4 address
    "::ffff:9.9.9.9": GLOBAL, "::ffff:127.0.0.77": REST, "::ffff:224.0.0.1": NEVER,
    "::ffff:192.168.77.255": NEVER, "::ffff:11.22.33.1": OURS, "64:ff9b::9.9.9.9": GLOBAL,
    "64:ff9b::192.168.1.1": REST, "64:ff9b::255.255.255.255": NEVER,
    "64:ff9b::11.22.33.1": OURS, "64:ff9b::192.168.77.255": NEVER, "2002:909:909::1": GLOBAL,
    "2002:a00:1::1": REST, "2002:e000:1::1": NEVER, "2002:b16:2101::1": OURS,
    # not addresses
    "localhost": INVALID, "checker.example": INVALID, "127.1": INVALID, "2130706433": INVALID,
    "0x7f000001": INVALID, "0177.0.0.1": INVALID, "127.0.0.1:80": INVALID, "[::1]": INVALID,
    "fe80::1%near0": INVALID, "::1%lo": INVALID, "127.0.0.1/32": INVALID, "": INVALID,
    "127.0.0.1\0": INVALID, "１２７.0.0.1": INVALID,
}


def canonical(text):
    address = ipaddress.ip_address(text)
    return str(getattr(address, "ipv4_mapped", None) or address)


def is_allowed(value, caller, kind, is_own):
    """docs/policy.md for a caller that is known, and an address that can be a host's."""
    if value == "any":
        return True
    if value == "public":
        return kind == GLOBAL
    return is_own or value == "auto" and caller.who == OPERATOR


def right_answer(value, caller, target):
    """(status, the address that may get SYNs or None)"""
    kind = TARGETS[target]
    if kind == INVALID:
        return 422, None
    address = canonical(target)
    if (caller.who == UNKNOWN or kind == NEVER
            or not is_allowed(value, caller, kind, address == caller.address)):
        return 403, None
    return 200, address


# --- the matrix: how ----------------------------------------------------------------------

JSON = ("Content-Type", "application/json")


def by_post(target, port):
    return "POST", "/check-ports", [JSON], check_body([port], target)


def by_stream(target, port):
    return ("POST", "/check-ports", [JSON, ("Accept", "application/x-ndjson")],
            check_body([f"{port}-{port}"], target, details=True))


def by_proof(target, port):
    """The last of two members with one name counts."""
    body = check_body([port], target, details=True, token="0123456789abcdef" * 2)
    return "POST", "/check-ports", [JSON], b'{"provider_ip": "127.0.0.1", ' + body[1:]


def by_query(_, port):
    return "GET", f"/check-ports?ports={port}&provider_ip=127.0.0.1", [], None


def by_text(_, port):
    return "GET", f"/check-ports?ports={port}", [("Accept", "text/plain")], None


def by_form(target, port):
    form = urllib.parse.urlencode({"provider_ip": target, "ports": port})
    return ("POST", "/", [("Content-Type", "application/x-www-form-urlencoded")], form.encode())


def by_head(_, port):
    return "HEAD", f"/check-ports?ports={port}", [], None


WAYS = by_post, by_stream, by_proof, by_form
OWN_WAYS = by_query, by_text, by_head  # a caller can name only itself


def cells():
    """(caller, target, way); a target of None is the caller's own address."""
    for caller, target, way in itertools.product(CALLERS, TARGETS, WAYS):
        if way is not by_form or TARGETS[target] != INVALID:  # people may write addresses loosely
            yield caller, target, way
    yield from itertools.product(CALLERS, [None], OWN_WAYS)


def right_own_answer(value, caller):
    """The same for a way that names no target."""
    if caller.who == UNKNOWN:
        return 403, None
    kinds = [kind for text, kind in TARGETS.items()
             if kind != INVALID and canonical(text) == caller.address]
    assert kinds, caller
    is_right = kinds[0] != NEVER and is_allowed(value, caller, kinds[0], True)
    return (200, caller.address) if is_right else (403, None)


def asked(cable, service, caller, target, way, port):
    """The status; a stream has it in its head."""
    method, path, headers, body = way(target, port)
    if way is not by_stream:
        return caller.ask(cable, service, method, path, headers, body).status
    place = cable if caller.is_far else contextlib.nullcontext()
    with place, service.connect(caller.source, caller.host) as connection:
        connection.request(method, path, (*headers, *caller.headers), body,
                           version=caller.version)
        reply = connection._until(b"\r\n\r\n")
        if b"chunked" in reply:
            connection._until(b"\r\n0\r\n\r\n")
        return int(reply[9:12])


def matrix_of(value, part):
    """Asks every `part`-th cell in a random order; returns (cells, allowed, SYNs, what is wrong)."""
    chosen = list(cells())[::part]
    random.Random(value).shuffle(chosen)
    wrong = []
    with watched(PORT_CHECKER_TARGETS=value, PORT_CHECKER_RATE=0) as (cable, service, watch):
        ports = (port for port in range(1000, 65536) if port != service.port)
        rights = {}
        for caller, target, way in chosen:
            port = next(ports)
            cell = f"{value}: {caller} asks for {target!r} {way.__name__}"
            status, address = (right_own_answer(value, caller) if target is None
                               else right_answer(value, caller, target))
            rights[port] = cell, address
            found = asked(cable, service, caller, target, way, port)
            if found != status:
                wrong.append(f"{cell}: {found}, not {status}")
        syns = watch.syns()
        for port in rights.keys() | syns.keys():
            cell, address = rights.get(port, (f"{value}: no request", None))
            found = syns.get(port, {})
            if set(found) != ({address} if address else set()):
                wrong.append(f"{cell}: SYNs {found}, not to {address}")
            elif address and not 1 <= found[address] <= SYNS_MAX:
                wrong.append(f"{cell}: {found[address]} SYNs")
        if watch.others():
            wrong.append(f"{value}: {watch.others()} packets that are not TCP")
    allowed = sum(1 for _, address in rights.values() if address)
    return len(chosen), allowed, sum(sum(found.values()) for found in syns.values()), wrong


@attack("Abuse", "policy-matrix", "no SYN that the policy forbids, none to another address")
def policy_matrix(values=VALUES, part=1):
    """Every value of PORT_CHECKER_TARGETS, caller, target and way of asking."""
    total, allowed, syns, wrong = 0, 0, 0, []
    for value in values:
        found = matrix_of(value, part)
        total, allowed, syns = total + found[0], allowed + found[1], syns + found[2]
        wrong += found[3]
    return Record(f"{total} requests, {allowed} allowed, {syns} SYNs for them, "
                  f"{len(wrong)} cells wrong", not wrong, "; ".join(wrong[:8]))


# --- SYNs and budgets ---------------------------------------------------------------------

RATE, BURST = 10, 100  # ports a second, and at once
SILENT_FROM = 40000  # from this port on, the other machine is silent

SILENCE = """
table inet silence {
  chain in {
    type filter hook prerouting priority -300;
    tcp dport 40000-59999 tcp flags & (syn | ack) == syn drop
  }
}
"""


@dataclasses.dataclass
class Check:
    """One request: who pays for it, and the ports it names."""
    caller: str
    target: str
    ports: list
    status: int = 0  # 0: the client left


class Payers:
    """Callers that ask, all at once, for ever new ports of their own and of one victim."""

    def __init__(self, cable, service):
        self.cable, self.service = cable, service
        self.lock = threading.Lock()
        self.closed = iter(range(1000, 32000))
        self.silent = iter(range(SILENT_FROM, 60000))
        self.checks = []
        self.failures = []

    def connect(self, caller):
        with self.lock, self.cable if caller.is_far else contextlib.nullcontext():
            return self.service.connect(caller.source, caller.host, timeout=30)

    def new_check(self, dice, payer, target):
        with self.lock:
            source = self.silent if dice.random() < 0.3 else self.closed
            ports = list(itertools.islice(source, dice.choice((1, 1, 3, 20, 60))))
            self.checks.append(Check(payer, target, ports))
            return self.checks[-1]

    def leave(self, dice, connection):
        """In the middle of the check, or before it begins."""
        time.sleep(dice.choice((0, 0.002, 0.02, 0.5)))
        if dice.random() < 0.5:
            connection.reset()
        else:
            connection.half_close()
            connection.rest()

    def ask(self, dice, caller, payer):
        way = dice.choice((post_all, post_all, query_all))
        own = caller.address or caller.source
        target = own if way is query_all or dice.random() < 0.3 else VICTIM
        check = self.new_check(dice, payer, target)
        method, path, headers, body = way(target, check.ports)
        with self.connect(caller) as connection:
            connection.request(method, path, (*headers, *caller.headers), body)
            if dice.random() < 0.3:
                self.leave(dice, connection)
            else:
                check.status = connection.reply(method).status

    def run(self, number, ending):
        try:
            dice = random.Random(number)
            while time.monotonic() < ending:
                self.ask(dice, *PAYERS[number])
        except (OSError, EOFError, AssertionError) as error:
            self.failures.append(f"{PAYERS[number][1]}: {error!r}")

    def run_all(self, seconds):
        ending = time.monotonic() + seconds
        threads = [threading.Thread(target=self.run, args=(number, ending))
                   for number in range(len(PAYERS))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def post_all(target, ports):
    return "POST", "/check-ports", [JSON], check_body(ports, target)


def query_all(_, ports):
    return "GET", "/check-ports?ports=" + ",".join(map(str, ports)), [], None


# (caller, who pays): the two of one /64 pay together, the operator like others
PAYERS = (
    (Caller(FAR_4, NEAR_4, FAR_4), "one"),
    (Caller(FAR_GLOBAL_6, OUR_GLOBAL_6, FAR_GLOBAL_6), "two"),
    (Caller("2a01:77::dead:1", OUR_GLOBAL_6, "2a01:77::dead:1"), "two"),
    (Caller("127.0.0.1", "127.0.0.1", OPERATOR), "operator"),
    *((named(f"8.8.4.{n}", ("X-Forwarded-For", f"8.8.4.{n}")), f"named {n}")
      for n in range(1, 9)),
)


def budget_faults(payers, syns, seconds):
    """What is wrong with the SYNs that were counted: per payer, per target, per check."""
    most = BURST + RATE * seconds + 1
    by_payer, by_target = collections.Counter(), collections.Counter()
    wrong = []
    for check in payers.checks:
        tried = [port for port in check.ports if port in syns]
        by_payer[check.caller] += len(tried)
        if check.target == VICTIM:
            by_target[check.target] += len(tried)
        if check.status == 200 and len(tried) < len(check.ports):
            wrong.append(f"{len(check.ports) - len(tried)} ports charged and not tried")
        if check.status not in (0, 200) and tried:
            wrong.append(f"{len(tried)} ports tried after a {check.status}")
        if any(set(syns[port]) != {check.target} for port in tried):
            wrong.append(f"SYNs to another address than {check.target}")
    for name, count in (*by_payer.items(), *by_target.items()):
        if count > most:
            wrong.append(f"{name}: {count} ports with SYNs, at most {most:.0f} are paid for")
    return wrong


@attack("Abuse", "syns-and-budgets", "no port without a charge; 14 SYNs for each on average")
def syns_and_budgets(seconds=20, syns_max=SYNS_MAX):
    """Callers that ask for more than their budget, that leave during a check, and that share a
    victim, each beside checks of its own address."""
    settings = {"PORT_CHECKER_TARGETS": "any", "PORT_CHECKER_RATE": f"{RATE}/s",
                "PORT_CHECKER_MAX_PORTS": BURST, "PORT_CHECK_TIMEOUT": None}
    with watched(**settings) as (cable, service, watch):
        cable.nft(SILENCE)
        cable.run("ip", "address", "add", "2a01:77::dead:1/64", "dev", cable.FAR, "nodad")
        payers = Payers(cable, service)
        begun = time.monotonic()
        denied, turns = 0, 0
        while not denied and turns < 10:  # in one turn, a busy machine may ask for too little
            payers.run_all(seconds)
            denied = sum(check.status == 429 for check in payers.checks)
            turns += 1
        service.at_rest()
        syns = watch.syns()
        wrong = payers.failures + budget_faults(payers, syns, time.monotonic() - begun)
    silent = [sum(found.values()) for port, found in syns.items() if port >= SILENT_FROM]
    average = sum(silent) / max(len(silent), 1)
    if average > syns_max or not silent:
        wrong.append(f"{average:.1f} SYNs to each of {len(silent)} silent ports")
    if not denied:
        wrong.append("no request was too expensive")
    return Record(f"{len(payers.checks)} checks, {denied} of them denied; {len(syns)} ports got SYNs, "
                  f"silent ones {average:.1f} on average and {max(silent, default=0)} at most",
                  not wrong, "; ".join(wrong[:8]))
