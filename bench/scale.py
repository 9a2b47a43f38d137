#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Plays providers that have their ports checked: through two fronts and three vantage points, all
with their default limits, in network namespaces of this machine. Multiplies what it has measured,
and writes docs/scale.md if it has played them all."""
import argparse
import asyncio
import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import selectors
import socket
import statistics
import sys
import threading
import time
import urllib.request

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parent / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "vantage")]

import report  # noqa: E402
import scale_page  # noqa: E402
import stage  # noqa: E402
from harness import nats  # noqa: E402
from harness.service import Service, kept  # noqa: E402
from harness.waiting import eventually  # noqa: E402
from laboratory import NETWORKS, PLACES, Networks  # noqa: E402

PORTS = [7466, *range(50800, 50901)]
PORTS_NFT = "{ 7466, 50800-50900 }"
FRONTS = {"gw-1": 8001, "gw-2": 8002}
FRONT_HOST = NETWORKS["gw"] + ".2"
HUB = NETWORKS["gw"] + ".1"  # where nats-server listens
MONITOR = 8222
# Providers by what their ports do: their network, their share, the most checks per second. A silent
# port is waited for, and a proof is a whole connection that this program serves, so fewer of these
# fit at a time. The first kind is played before all, and not counted.
KINDS = {"open": ("10.64", 0.75, 1.0), "proved": ("10.67", 0.05, 0.2),
         "closed": ("10.65", 0.18, 1.0), "filtered": ("10.66", 0.02, 0.2)}
TOKEN = "00112233445566778899aabbccddeeff"
TRIAL = 40  # providers that are not counted, before the first kind
AT_REST = 500  # entries of connection tracking that others may have left
REST_SECONDS = 30
DEFAULTS = {"PORT_CHECK_TIMEOUT": None, "PORT_CHECKER_RATE": None, "PORT_CHECKER_WORKERS": "1"}


class Monitored(nats.Nats):
    def configuration(self):
        return super().configuration() + f'http: "127.0.0.1:{MONITOR}"\n'

    def traffic(self):
        """Messages and bytes, in and out, since its start."""
        url = f"http://127.0.0.1:{MONITOR}/varz"
        with self.inside, urllib.request.urlopen(url, timeout=10) as reply:
            told = json.load(reply)
        return {name: told[name] for name in ("in_msgs", "out_msgs", "in_bytes", "out_bytes")}


class Listeners:
    """Prove themselves, as those of port-verifier do."""

    def __init__(self, listeners):
        self.selector = selectors.DefaultSelector()
        for listener in listeners:
            listener.setblocking(False)
            port = listener.getsockname()[1]
            proof = hmac.new(TOKEN.encode(), str(port).encode(), hashlib.sha256).hexdigest()
            self.selector.register(listener, selectors.EVENT_READ,
                                   f"golem-port-verifier 1 {port} {proof}\n".encode())
        self.wake, woken = socket.socketpair()
        self.selector.register(woken, selectors.EVENT_READ, None)
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while True:
            for key, _ in self.selector.select():
                if key.data is None:
                    return
                with contextlib.suppress(OSError):  # none left, or reset already
                    while True:
                        connection, _ = key.fileobj.accept()
                        with connection:
                            connection.send(key.data)

    def close(self):
        self.wake.send(b"x")
        self.thread.join()
        self.selector.close()


class Stage:
    """Networks, providers, nats-server, vantage points and fronts."""

    def __init__(self, stack):
        self.stack = stack
        self.networks = stack.enter_context(contextlib.closing(Networks()))
        self.providers = self.networks.spaces["target"]
        self.prepare_providers()
        for name in ("gw", *PLACES):
            self.count_packets(self.networks.spaces[name])
        with self.networks.router:
            self.server = stack.enter_context(contextlib.closing(Monitored(HUB)))
        self.server.inside = self.networks.router
        keys = {name: self.server.key(name, "--place", name) for name in PLACES}
        keys.update({name: self.server.key(name, "--front", name) for name in FRONTS})
        with self.networks.router:
            self.server.start()
        self.points = {name: self.service(name, keys[name], PORT_CHECKER_VANTAGE=name,
                                          PORT_CHECKER_VANTAGE_TARGETS="any") for name in PLACES}
        self.fronts = [self.service("gw", keys[name], PORT_CHECKER_FRONT=name,
                                    PORT_CHECKER_HOST=FRONT_HOST, PORT_CHECKER_PORT=str(port),
                                    PORT_CHECKER_VANTAGES=",".join(PLACES))
                       for name, port in FRONTS.items()]

    def service(self, space, key, **settings):
        with self.networks.spaces[space]:
            one = self.stack.enter_context(kept(Service(
                {**DEFAULTS, **self.server.settings(key), **settings})))
        return one.wait_ready()

    def prepare_providers(self):
        """Every address of their networks answers, with the same listeners."""
        space = self.providers
        for net, _, _ in KINDS.values():
            self.networks.router.ip(f"route add {net}.0.0/16 via {NETWORKS['target']}.2\n")
            space.ip(f"route add local {net}.0.0/16 dev lo\n")
        space.sysctl("net.ipv4.ip_local_port_range", "20000 45000")
        space.sysctl("net.core.somaxconn", 4096)
        space.sysctl("net.ipv4.tcp_max_syn_backlog", 65536)
        space.nft("table ip providers {\nchain input {\ntype filter hook input priority 0;\n"
                  f"ip daddr {KINDS['closed'][0]}.0.0/16 tcp dport {PORTS_NFT} "
                  "reject with tcp reset\n"
                  f"ip daddr {KINDS['filtered'][0]}.0.0/16 tcp dport {PORTS_NFT} drop\n}}\n}}\n")
        with space:
            listeners = [self.stack.enter_context(
                socket.create_server(("0.0.0.0", port), backlog=4096)) for port in PORTS]
        self.stack.enter_context(contextlib.closing(Listeners(listeners)))

    @staticmethod
    def count_packets(space):
        """What it sends to the ports, SYNs apart; and, as behind a stateful firewall, connections
        are tracked."""
        space.nft("table ip scale {\ncounter syns { }\ncounter sent { }\nchain output {\n"
                  "type filter hook output priority 0;\nct state invalid accept\n"
                  f"tcp dport {PORTS_NFT} counter name sent\n"
                  f"tcp dport {PORTS_NFT} tcp flags & (syn | ack) == syn counter name syns\n"
                  "}\n}\n")

    def packets(self, name):
        text = self.networks.spaces[name].run("nft", "-j", "list", "counters", "table", "ip",
                                              "scale")
        found = {entry["counter"]["name"]: entry["counter"]
                 for entry in json.loads(text)["nftables"] if "counter" in entry}
        return {"syns": found["syns"]["packets"], "bytes": found["sent"]["bytes"]}

    def tracked(self, name):
        """Entries of connection tracking."""
        return int(self.networks.spaces[name].sysctl("net.netfilter.nf_conntrack_count"))

    def reading(self):
        """Everything that is counted, at this moment."""
        seconds = stage.processor_seconds
        return {"front": sum(seconds(front.pid) for front in self.fronts),
                "place": sum(seconds(point.pid) for point in self.points.values()),
                "nats": seconds(self.server.process.pid),
                "own_syns": self.packets("gw")["syns"], "own_bytes": self.packets("gw")["bytes"],
                "place_syns": sum(self.packets(name)["syns"] for name in PLACES),
                **self.server.traffic()}


# --- providers --------------------------------------------------------------------------

def address_of(kind, number):
    return f"{KINDS[kind][0]}.{number // 250 + 1}.{number % 250 + 1}"


def faults_of(reply, kind):
    """Verdicts that are wrong, of the quorum and of the places; places that gave none; and whether
    that left the quorum without a verdict."""
    results = reply["results"].values()
    wanted = ("open", "match") if kind == "proved" else (kind, None)
    wrong = sum(result["state"] not in (wanted[0], "limited") for result in results)
    undecided = any(result["state"] == "limited" for result in results)
    missing = set()
    for result in results:
        for name, place in result["vantages"].items():
            if place["state"] in ("missing", "limited"):
                missing.add(name)
            else:
                wrong += (place["state"], place.get("proof")) != wanted
    return wrong, len(missing), undecided


async def verify(kind, number, results):
    """One provider has its own ports checked from its own address."""
    address = address_of(kind, number)
    body = json.dumps({"provider_ip": address, "ports": [7466, "50800-50900"], "details": True,
                       **({"token": TOKEN} if kind == "proved" else {})})
    begun = time.perf_counter()
    reader, writer = await asyncio.open_connection(
        FRONT_HOST, list(FRONTS.values())[number % len(FRONTS)], local_addr=(address, 0))
    writer.write(f"POST /check-ports HTTP/1.1\r\nHost: {FRONT_HOST}\r\nConnection: close\r\n"
                 f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
                 .encode())
    head, _, content = (await reader.read(-1)).partition(b"\r\n\r\n")
    took = time.perf_counter() - begun
    writer.close()
    if head.startswith(b"HTTP/1.1 503"):
        return  # too busy: a provider would ask another checker
    if not head.startswith(b"HTTP/1.1 200"):
        raise stage.Trouble(f"{address}: {head.splitlines()[0]!r} {content[:200]!r}")
    results.append((took, *faults_of(json.loads(content), kind), len(head) + len(content)))


async def play(kind, numbers, rate, watch):
    """All of them, so many a second, whether the last ones are done or not."""
    results, tasks, begun = [], [], time.perf_counter()
    for count, number in enumerate(numbers):
        await asyncio.sleep(max(0, begun + count / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(verify(kind, number, results)))
        if count % max(1, int(rate / 4)) == 0:
            watch()
    await asyncio.gather(*tasks)
    watch()
    return results, time.perf_counter() - begun


def measure(made, kind, count, rate):
    """The figures of one kind; those with a name in COSTS are of one check."""
    def all_of(numbers, watch):
        with made.providers:
            return asyncio.run(play(kind, numbers, rate, watch))
    tracked = []

    def watch():
        tracked.append(made.tracked(PLACES[0]))
    if kind == "open":
        all_of(range(count, count + TRIAL), lambda: None)
    eventually(lambda: made.tracked(PLACES[0]) < AT_REST, "old entries end", REST_SECONDS)
    before = made.reading()
    results, took = all_of(range(count), watch)
    done = len(results)
    spent = {name: (value - before[name]) / done for name, value in made.reading().items()}
    times = sorted(taken for taken, *_ in results)
    return {"kind": kind, "checks": done, "busy": count - done, "rate": count / took,
            "p50": times[len(times) // 2], "p99": times[len(times) * 99 // 100],
            "wrong": sum(wrong for _, wrong, *_ in results),
            "missing": sum(missing for _, _, missing, *_ in results),
            "undecided": sum(undecided for *_, undecided, _ in results),
            "reply_bytes": sum(size for *_, size in results) / done,
            "tracked_most": max(tracked),
            "tracked_usual": statistics.median(tracked[len(tracked) // 2:]), **spent}


def parse_arguments():
    parser = argparse.ArgumentParser(prog="./dev scale", description=__doc__.split(":")[0] + ".")
    parser.add_argument("--providers", type=int, default=10000,
                        help="how many (10000); fewer write no page")
    parser.add_argument("--rate", type=float, default=30, help="checks a second (30)")
    return parser.parse_args()


def main():
    options = parse_arguments()
    load = os.getloadavg()[0]
    stage.stop_on_signals()
    stage.raise_descriptor_limit()
    if os.geteuid() != 0 or not nats.program():
        sys.exit("scale: needs root, or a user namespace in which it is root, and nats-server")
    with contextlib.ExitStack() as stack:
        made = Stage(stack)
        figures = []
        for kind, (_, share, slower) in KINDS.items():
            count, rate = int(options.providers * share), options.rate * slower
            print(f"scale: {count} providers with {kind} ports, {rate:g} a second",
                  file=sys.stderr)
            figures.append(measure(made, kind, count, rate))
        memory = {"front": max(stage.peak_mib(front.pid) for front in made.fronts),
                  "place": max(stage.peak_mib(point.pid) for point in made.points.values()),
                  "nats": stage.peak_mib(made.server.process.pid)}
    page = scale_page.page(figures, memory, options,
                           {**report.machine(), "Load": f"{load:.2f}"})
    print(page)
    if options.providers >= 10000:
        (HERE.parent / "docs/scale.md").write_text(page)
    return 1 if any(figure["wrong"] for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
