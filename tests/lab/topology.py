# SPDX-License-Identifier: MIT
"""checker - router - targets, and a control namespace from which the checker is controlled.

    control -ctl0- checker -up0----- veth -----up0- router -down0- targets
                          -far0- TUN relay TUN -near0-

The cable (veth) and the relay lead to the same target namespace, where every address of four
whole networks answers. All addresses are private, and none of them leads out of the namespaces
created here.
"""
import ipaddress
import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys

from harness.netns import Namespace
from ports import KINDS, REJECTS_V4, REJECTS_V6

HERE = pathlib.Path(__file__).resolve().parent

CHECKER_CONTROL = "10.9.0.1"
DEAD_LINK = {4: "10.1.0.%d", 6: "fd01::dead:%x"}      # the checker's own link: no such host
DEAD_HOST = {4: "10.2.0.%d", 6: "fd02::dead:%x"}      # behind the router: no such host
DEAD_ROUTE = {4: "10.72.0.%d", 6: "fd72::%x"}         # the router knows no way
DEAD_ROUTE_RELAY = {4: "10.73.0.%d", 6: "fd73::%x"}
DEAD_GATEWAY = {4: "10.70.0.%d", 6: "fd70::%x"}       # through a gateway that is not there
NO_ROUTE = {4: "10.80.0.%d", 6: "fd80::%x"}           # the checker knows no way
TARGETS = {("veth", 4): "10.66.0.0/16", ("veth", 6): "fd66::/64",
           ("relay", 4): "10.77.0.0/16", ("relay", 6): "fd77::/64"}


def port_range(kind):
    return f"{kind.first}-{kind.last}"


class Topology:
    def __init__(self, relay_binary, folder):
        self.relay_binary, self.folder = relay_binary, pathlib.Path(folder)
        self.used = {}
        self.relay = None
        self.devices = None
        self.targets = None
        self.spaces = [Namespace(name) for name in ("control", "checker", "router", "targets")]
        self.control, self.checker, self.router, self.target = self.spaces
        try:
            self._cables()
            self._addresses()
            self._behaviour()
            self._counters()
            self._start_targets()
        except BaseException:
            self.close()
            raise

    def close(self):
        self.stop_relay()
        if self.targets:
            self.targets.stdin.close()
            self.targets.wait()
            self.targets.stdout.close()
            self.targets = None
        for device in self.devices or ():
            os.close(device)
        self.devices = None
        for space in self.spaces:
            space.close()
        self.spaces = []

    # --- making it --------------------------------------------------------------------

    def _cables(self):
        for space in self.spaces:
            space.ip("link set lo up\n")
            for name in ("net.ipv6.conf.default.accept_ra", "net.ipv4.conf.all.rp_filter",
                         "net.ipv4.conf.default.rp_filter"):
                space.sysctl(name, 0)
        for near, name, far, far_name in ((self.control, "ctl0", self.checker, "ctl0"),
                                          (self.checker, "up0", self.router, "up0"),
                                          (self.router, "down0", self.target, "in0")):
            near.ip(f"link add {name} type veth peer name {far_name} netns {far.path}\n"
                    f"link set {name} up\n")
            far.ip(f"link set {far_name} up\n")
        try:
            self.devices = (self.checker.tun("far0"), self.router.tun("near0"))
        except OSError:
            self.devices = None  # no TUN devices: what needs the relay is skipped
        if self.devices:
            for space, name in ((self.checker, "far0"), (self.router, "near0")):
                space.ip(f"link set {name} txqueuelen 20000\nlink set {name} up\n")

    def _addresses(self):
        self.control.ip("address add 10.9.0.2/24 dev ctl0\n")
        self.checker.ip("address add 10.9.0.1/24 dev ctl0\n"
                        "address add 10.1.0.1/24 dev up0\n"
                        "address add fd01::1/64 dev up0 nodad\n"
                        "route add 10.66.0.0/16 via 10.1.0.2\n"
                        "route add fd66::/64 via fd01::2\n"
                        "route add 10.2.0.0/24 via 10.1.0.2\n"
                        "route add fd02::/64 via fd01::2\n"
                        "route add 10.72.0.0/16 via 10.1.0.2\n"
                        "route add fd72::/64 via fd01::2\n"
                        "route add 10.70.0.0/16 via 10.1.0.99\n"
                        "route add fd70::/64 via fd01::99\n")
        self.router.ip("address add 10.1.0.2/24 dev up0\n"
                       "address add fd01::2/64 dev up0 nodad\n"
                       "address add 10.2.0.1/24 dev down0\n"
                       "address add fd02::1/64 dev down0 nodad\n"
                       + "".join(f"route add {net} via {'fd02::2' if ':' in net else '10.2.0.2'}\n"
                                 for net in TARGETS.values()))
        self.target.ip("address add 10.2.0.2/24 dev in0\n"
                       "address add fd02::2/64 dev in0 nodad\n"
                       "route add default via 10.2.0.1\n"
                       "route add default via fd02::1\n"
                       + "".join(f"route add local {net} dev lo\n" for net in TARGETS.values()))
        if self.devices:
            self.checker.ip("address add 10.3.0.1/32 dev far0\n"
                            "address add fd03::1/128 dev far0 nodad\n"
                            + "".join(f"route add {net} dev far0\n"
                                      for net in ("10.77.0.0/16", "fd77::/64", "10.73.0.0/16",
                                                  "fd73::/64")))
            self.router.ip("address add 10.3.0.2/32 dev near0\n"
                           "address add fd03::2/128 dev near0 nodad\n"
                           "route add 10.3.0.1/32 dev near0\n"
                           "route add fd03::1/128 dev near0\n")

    def _behaviour(self):
        for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            self.router.sysctl(name, 1)
        self.icmp_limits(False)
        self.target.sysctl("net.ipv4.ip_local_port_range", "40000 60000")
        self.target.sysctl("net.core.somaxconn", 4096)
        self.target.sysctl("net.ipv4.tcp_max_syn_backlog", 65536)
        self.target.sysctl("net.ipv4.tcp_syncookies", 0)
        rejects = "".join(
            f"meta nfproto ipv{family} tcp dport {port_range(KINDS[f'v{family} {name}'])} "
            f"reject with {icmp} type {name}\n"
            for family, icmp, rows in ((4, "icmp", REJECTS_V4), (6, "icmpv6", REJECTS_V6))
            for name, _ in rows)
        self.target.nft(f"""
            table inet lab {{
                set resets4 {{ type ipv4_addr; flags dynamic; size 65535; timeout 60s; }}
                set resets6 {{ type ipv6_addr; flags dynamic; size 65535; timeout 60s; }}
                chain input {{
                    type filter hook input priority 0;
                    tcp dport {port_range(KINDS["dropped"])} drop
                    tcp dport {port_range(KINDS["reset-by-filter"])} reject with tcp reset
                    tcp dport {port_range(KINDS["limited-reject"])} reject with icmpx port-unreachable
                    {rejects}
                }}
                chain output {{
                    type filter hook output priority 0;
                    tcp sport {port_range(KINDS["limited-closed"])} tcp flags & rst == rst jump limited
                }}
                chain limited {{
                    meta nfproto ipv4 update @resets4 {{ ip saddr limit rate over 200/second burst 200 packets }} drop
                    meta nfproto ipv6 update @resets6 {{ ip6 saddr limit rate over 200/second burst 200 packets }} drop
                }}
            }}""")

    def icmp_limits(self, on):
        """The kernel's own limits on ICMP: 1 per second to one destination, 1000 to all; or
        no limits."""
        for space in (self.router, self.target):
            space.sysctl("net.ipv4.icmp_msgs_per_sec", 1000 if on else 1000000)
            space.sysctl("net.ipv4.icmp_msgs_burst", 50 if on else 100000)
            space.sysctl("net.ipv4.icmp_ratelimit", 1000 if on else 0)
            space.sysctl("net.ipv6.icmp.ratelimit", 1000 if on else 0)

    def _counters(self):
        """SYNs that leave the checker, by the kind of their port, counted at a point that also sees
        those of a tool with its own TCP stack."""
        kinds = list(KINDS.values())
        declared = "".join(f'counter c{i} {{ }}\n' for i in range(len(kinds)))
        rules = "".join(f"tcp dport {port_range(kind)} counter name c{i} return\n"
                        for i, kind in enumerate(kinds))
        devices = ("up0", "far0") if self.devices else ("up0",)
        chains = "".join(f"""
                chain {device} {{
                    type filter hook egress device "{device}" priority 0;
                    tcp flags & (syn|ack) == syn jump count
                }}""" for device in devices)
        self.checker.nft(f"""
            table netdev lab {{
                {declared}
                chain count {{ {rules} }}
                {chains}
            }}""")

    def syns(self):
        """How many SYNs have left for each kind so far."""
        kinds = list(KINDS)
        text = self.checker.run("nft", "-j", "list", "counters", "table", "netdev", "lab")
        found = (entry["counter"] for entry in json.loads(text)["nftables"]
                 if "counter" in entry)
        return {kinds[int(counter["name"][1:])]: counter["packets"] for counter in found}

    def _start_targets(self):
        with self.target:
            self.targets = subprocess.Popen(
                [sys.executable, HERE / "targets.py"], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, text=True)
        if self.targets.stdout.readline() != "ready\n":
            raise RuntimeError("the targets did not start")

    def order(self, word):
        """An order to the targets, carried out when this returns."""
        self.targets.stdin.write(word + "\n")
        self.targets.stdin.flush()
        if self.targets.stdout.readline() != "done\n":
            raise RuntimeError(f"the targets did not {word}")

    # --- using it ---------------------------------------------------------------------

    def router_mac(self):
        """The router's, on the checker's link."""
        return json.loads(self.router.run("ip", "-json", "link", "show", "up0"))[0]["address"]

    def way_to(self, address):
        """The checker's route: "dev", "prefsrc" and more."""
        return json.loads(self.checker.run("ip", "-json", "route", "get", address))[0]

    def unsent_icmp(self):
        """How many ICMP errors the router's kernel could not send."""
        with self.router:
            old, new = (pathlib.Path(f"/proc/thread-self/net/{name}").read_text().splitlines()
                        for name in ("snmp", "snmp6"))
        names, values = (line.split() for line in old if line.startswith("Icmp:"))
        counts = dict(line.split() for line in new)
        return int(values[names.index("OutErrors")]) + int(counts["Icmp6OutErrors"])

    def fresh(self, path, family, count):
        """Target addresses that no tool has probed yet."""
        key = (path, family)
        network = ipaddress.ip_network(TARGETS[key])
        start = self.used.get(key, 1)
        self.used[key] = start + count
        return [str(network[start + i]) for i in range(count)]

    def start_relay(self, links, seed, log):
        """`links`: two texts in the form of relay.c."""
        self.stop_relay()
        descriptors = self.devices
        self.relay = subprocess.Popen(
            [self.relay_binary, *map(str, descriptors), log, str(seed), *links],
            pass_fds=descriptors, stdout=subprocess.PIPE, text=True)
        if self.relay.stdout.readline() != "ready\n":
            raise RuntimeError("the relay did not start")

    def stop_relay(self):
        """Its counts, or None if there was no relay."""
        if not self.relay:
            return None
        self.relay.send_signal(signal.SIGTERM)
        text = self.relay.communicate(timeout=10)[0]
        status, self.relay = self.relay.returncode, None
        if status != 0:
            raise RuntimeError(f"the relay ended with {status}")
        return json.loads(text)


def numbered(pattern, first, count):
    return [pattern % number for number in itertools.islice(itertools.count(first), count)]
