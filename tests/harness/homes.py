# SPDX-License-Identifier: MIT
"""Homes whose router can be asked to forward ports.

    internet 45.12.7.1 ----+---- [outer router 45.12.7.7 | NET.1] ----+---- router ---- LAN
             2a02:99::1                                             192.168.50.1  192.168.50.0/24
                                                                    2a02:50::1    2a02:50::/64
    on the LAN: the provider (.2, ::2) and another machine (.3, ::3)

Without an outer router, the router itself has 45.12.7.7 and 2a02:99::7, and IPv6 is routed.
With one, the router has NET.2 and there is no IPv6. The addresses are taken for public ones:
daemons do not forward at documentation addresses. They exist in these namespaces only.

From outside, nothing passes a router unless a rule or its daemon (miniupnpd) forwards it."""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

from harness.netns import Namespace
from harness.waiting import eventually

CHECKER, PUBLIC, SECOND_PUBLIC = "45.12.7.1", "45.12.7.7", "45.12.7.8"
CHECKER6 = "2a02:99::1"
ROUTER, PROVIDER, OTHER = "192.168.50.1", "192.168.50.2", "192.168.50.3"
ROUTER6, PROVIDER6, OTHER6 = "2a02:50::1", "2a02:50::2", "2a02:50::3"
ROUTER_LINK = "fe80::1"
PRIVATE, CARRIER = "10.9.9", "100.64.9"  # networks between two routers

TOP = pathlib.Path(__file__).resolve().parents[2]
UNPACKED = TOP / ".build-daemons/usr/sbin/miniupnpd"
PCP, NATPMP, UPNP = "PCP", "NAT-PMP", "UPnP"
ALL = (PCP, NATPMP, UPNP)
GATEWAY_PORT, SSDP_PORT, HTTP_PORT = 5351, 1900, 5000

# miniupnpd fills the chains with its name; `own` is for rules of the user.
RULES = """
table inet filter {
  chain input {
    type filter hook input priority 0;
    iifname "wan" ct state established,related accept
    iifname "wan" meta l4proto { tcp, udp } drop
    jump spoken
  }
  chain spoken { }
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    iifname "lan" accept
    meta l4proto icmpv6 accept
    jump own
    jump miniupnpd
  }
  chain own { }
  chain miniupnpd { }
  chain prerouting {
    type nat hook prerouting priority dstnat;
    jump own_nat
    jump prerouting_miniupnpd
  }
  chain own_nat { }
  chain prerouting_miniupnpd { }
  chain postrouting {
    type nat hook postrouting priority srcnat;
    jump postrouting_miniupnpd
    oifname "wan" meta nfproto ipv4 masquerade
  }
  chain postrouting_miniupnpd { }
}
"""


class Home:
    def __init__(self, stack, between=None, provider=None):
        """`between` is PRIVATE or CARRIER: there is an outer router. `provider` is the
        namespace of a machine that exists."""
        def namespace(name):
            return stack.enter_context(contextlib.closing(Namespace(name)))
        self.internet, self.router = namespace("internet"), namespace("router")
        self.provider, self.other = provider or namespace("provider"), namespace("other")
        self.outer = namespace("outer") if between else None
        for place in self.places():
            place.ip("link set lo up\n")
            place.sysctl("net.ipv4.icmp_ratelimit", 0)
            place.sysctl("net.ipv6.icmp.ratelimit", 0)
        for router in self.routers():
            router.sysctl("net.ipv4.ip_forward", 1)
            router.sysctl("net.ipv6.conf.all.forwarding", 1)
            router.nft(RULES)
        self._join_lan()
        self._join_internet(between)
        # What these connect to must not take the ports that are to be bound.
        self.provider.sysctl("net.ipv4.ip_local_reserved_ports", "7466,50800-50900")

    def routers(self):
        return [self.router] + ([self.outer] if self.outer else [])

    def places(self):
        return [self.internet, self.provider, self.other, *self.routers()]

    @staticmethod
    def _cable(one, name, other, other_name):
        one.ip(f"link add {name} type veth peer name {other_name} netns {other.path}\n"
               f"link set {name} up\n")
        other.ip(f"link set {other_name} up\n")

    def _join_lan(self):
        self.router.ip("link add lan type bridge mcast_snooping 0\nlink set lan up\n"
                       f"addr add {ROUTER}/24 dev lan\n"
                       f"addr add {ROUTER6}/64 dev lan nodad\n"
                       f"addr add {ROUTER_LINK}/64 dev lan nodad\n")
        for place, address, address6 in ((self.provider, PROVIDER, PROVIDER6),
                                         (self.other, OTHER, OTHER6)):
            port = f"to-{place.name}"
            self._cable(self.router, port, place, "eth0")
            self.router.ip(f"link set {port} master lan\n")
            place.ip(f"addr add {address}/24 dev eth0\n"
                     f"addr add {address6}/64 dev eth0 nodad\n"
                     f"route add default via {ROUTER}\n"
                     f"route add ::/0 via {ROUTER_LINK} dev eth0\n")

    def _join_internet(self, between):
        outermost = self.outer or self.router
        self._cable(outermost, "wan", self.internet, "eth0")
        outermost.ip(f"addr add {PUBLIC}/24 dev wan\nroute add default via {CHECKER}\n")
        self.internet.ip(f"addr add {CHECKER}/24 dev eth0\n")
        if self.outer:
            self._cable(self.router, "wan", self.outer, "lan")
            self.outer.ip(f"addr add {between}.1/24 dev lan\n")
            self.router.ip(f"addr add {between}.2/24 dev wan\n"
                           f"route add default via {between}.1\n")
        else:
            self.router.ip("addr add 2a02:99::7/64 dev wan nodad\n"
                           f"route add ::/0 via {CHECKER6}\n")
            self.internet.ip(f"addr add {CHECKER6}/64 dev eth0 nodad\n"
                             "route add 2a02:50::/64 via 2a02:99::7\n")

    def forward(self, ports, to=PROVIDER, router=None):
        """A forward in the (inner) router, as its user makes it."""
        (router or self.router).nft(
            f'add rule inet filter own_nat iifname "wan" meta nfproto ipv4 tcp dport '
            f"{{ {ports} }} dnat ip to {to}\n"
            f'add rule inet filter own iifname "wan" ip daddr {to} tcp dport {{ {ports} }} '
            "accept\n")

    def set_forwards(self, forwards):
        """Exactly these, {outer port: (address, inner port)}: for routers that tests play."""
        rules = "flush chain inet filter own\nflush chain inet filter own_nat\n"
        for outer, (address, inner) in forwards.items():
            rules += ('add rule inet filter own_nat iifname "wan" meta nfproto ipv4 '
                      f"tcp dport {outer} dnat ip to {address}:{inner}\n"
                      f'add rule inet filter own iifname "wan" ip daddr {address} '
                      f"tcp dport {inner} accept\n")
        self.router.nft(rules)

    def unplug(self):
        """The provider's cable, at the router."""
        self.router.ip(f"link set to-{self.provider.name} down\n")

    def plug_in(self):
        self.router.ip(f"link set to-{self.provider.name} up\n")

    def move(self):
        """The router gets another public address."""
        self.router.ip(f"addr del {PUBLIC}/24 dev wan\n"
                       f"addr add {SECOND_PUBLIC}/24 dev wan\n"
                       f"route add default via {CHECKER}\n")


# --- the router's daemon ------------------------------------------------------------------

CONFIG = """
ext_ifname=wan
listening_ip=lan
http_port={http_port}
enable_natpmp={natpmp}
enable_upnp={upnp}
secure_mode=yes
ipv6_disable=no
uuid=00000000-0000-0000-0000-000000000001
lease_file={folder}/leases
upnp_table_name=filter
upnp_nat_table_name=filter
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
{options}
allow {allowed} 192.168.50.0/24 {allowed}
deny 0-65535 0.0.0.0/0 0-65535
"""

# As nft prints the rules of miniupnpd, which names few fields of the packet.
FORWARD = re.compile(r"dport (\d+)\b.* dnat (?:ip )?to ([\d.]+):(\d+)")
PINHOLE = re.compile(r"(?=.*(?:ip6 daddr |@nh,192,128 ))(?=.*dport (\d+)\b)")

# It would write to this machine's log, and ask this machine's minissdpd.
HIDDEN = """
mount -t tmpfs none /run
[ ! -e /dev/log ] || mount --bind /dev/null /dev/log
[ ! -e /dev/console ] || mount --bind /dev/null /dev/console
exec "$@"
"""


def find_daemon():
    """None if there is none: ./dev unpacks it."""
    return str(UNPACKED) if UNPACKED.exists() else shutil.which("miniupnpd")


class Daemon:
    """miniupnpd in the router of a home. `options` are lines of its configuration."""

    CHAINS = ("miniupnpd", "prerouting_miniupnpd", "postrouting_miniupnpd")

    def __init__(self, home, folder, protocols=ALL, allowed="1024-65535", **options):
        self.router = home.router
        self.folder = pathlib.Path(folder)
        self.protocols = protocols
        self.pid = None
        options = {"min_lifetime": 60, "max_lifetime": 3600, "system_uptime": "no", **options}
        lines = "\n".join(f"{name}={value}" for name, value in options.items())
        is_natpmp = PCP in protocols or NATPMP in protocols
        text = CONFIG.format(natpmp="yes" if is_natpmp else "no", allowed=allowed,
                             upnp="yes" if UPNP in protocols else "no", folder=folder,
                             http_port=HTTP_PORT, options=lines)
        (self.folder / "conf").write_text(text)
        self.start()
        self.speak_only(*protocols)

    def speak_only(self, *protocols):
        """From now on."""
        rules = "flush chain inet filter spoken\n"
        # The first byte of a request is the version: 0 in NAT-PMP, 2 in PCP.
        for protocol, version in ((NATPMP, 0), (PCP, 2)):
            if protocol not in protocols:
                rules += ("add rule inet filter spoken udp dport "
                          f"{GATEWAY_PORT} @th,64,8 {version} drop\n")
        self.router.nft(rules)

    def start(self):
        words = (find_daemon(), "-f", self.folder / "conf", "-P", self.folder / "pid")
        with self.router:
            subprocess.run(["unshare", "--mount", "sh", "-ec", HIDDEN, "sh", *words],
                           check=True, stdin=subprocess.DEVNULL)
        self.pid = eventually(self._written_pid, "miniupnpd writes its pid")
        eventually(self.is_ready, "miniupnpd listens")

    def _written_pid(self):
        path = self.folder / "pid"
        return int(path.read_text() or 0) if path.exists() else None

    def is_ready(self):
        wanted = set()
        if UPNP in self.protocols:
            wanted |= {("udp", SSDP_PORT), ("udp6", SSDP_PORT), ("tcp6", HTTP_PORT)}
        if PCP in self.protocols or NATPMP in self.protocols:
            wanted |= {("udp", GATEWAY_PORT), ("udp6", GATEWAY_PORT)}
        return wanted <= set(self._bound())

    def _bound(self):
        for kind in "udp", "udp6", "tcp6":
            with self.router:
                lines = pathlib.Path(f"/proc/thread-self/net/{kind}").read_text().splitlines()
            for line in lines[1:]:
                yield kind, int(line.split()[1].rpartition(":")[2], 16)

    def is_running(self):
        try:
            stat = pathlib.Path(f"/proc/{self.pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):  # it ended before the file was read
            return False
        return stat.rpartition(")")[2].split()[0] != "Z"

    def stop(self):
        if self.pid and self.is_running():
            os.kill(self.pid, signal.SIGTERM)
            eventually(lambda: not self.is_running(), "miniupnpd ends")
            with contextlib.suppress(ChildProcessError):  # it is ours if we are pid 1
                os.waitpid(self.pid, 0)
        self.pid = None

    def forget(self):
        """What a router that starts again has lost. The daemon must not run."""
        self.router.nft("".join(f"flush chain inet filter {chain}\n" for chain in self.CHAINS))
        for name in "leases", "pid":
            (self.folder / name).unlink(missing_ok=True)

    def restart(self):
        self.stop()
        self.forget()
        self.start()

    def forwards(self):
        """{outer port: (address, inner port)}."""
        found = {}
        for rule in self._rules("prerouting_miniupnpd"):
            outer, address, inner = FORWARD.search(rule).groups()
            found[int(outer)] = (address, int(inner))
        return found

    def pinholes(self):
        """The ports at which IPv6 is let in."""
        found = [PINHOLE.search(rule) for rule in self._rules("miniupnpd")]
        return sorted(int(match.group(1)) for match in found if match)

    def rule_count(self):
        return sum(len(self._rules(chain)) for chain in self.CHAINS)

    def _rules(self, chain):
        text = self.router.run("nft", "list", "chain", "inet", "filter", chain)
        return [line.strip() for line in text.splitlines() if 'iif "wan"' in line]

    def leases(self):
        """Lines of its lease file."""
        path = self.folder / "leases"
        return path.read_text().splitlines() if path.exists() else []

    def is_empty(self):
        """It forwards nothing and remembers nothing."""
        return not self.rule_count() and not self.leases()


class Grants(threading.Thread):
    """Sees what the router of a home grants the provider over NAT-PMP or PCP. `times` is {inner
    port: when}."""

    ALL_PROTOCOLS, HEADERS = 3, 14 + 20 + 8  # of Ethernet, IPv4, UDP

    def __init__(self, home):
        super().__init__()
        self.times = {}
        self.is_over = False
        self.socket = home.router.socket(socket.AF_PACKET, socket.SOCK_RAW,
                                         socket.htons(self.ALL_PROTOCOLS))
        self.socket.bind(("lan", self.ALL_PROTOCOLS))
        self.socket.settimeout(0.1)
        self.start()

    def run(self):
        while not self.is_over:
            with contextlib.suppress(TimeoutError):
                frame, (_, _, kind, *_) = self.socket.recvfrom(256)
                if kind == socket.PACKET_OUTGOING:
                    self._see(frame)

    def _see(self, frame):
        is_ours = (frame[23:24] == bytes([socket.IPPROTO_UDP])
                   and frame[30:34] == socket.inet_aton(PROVIDER)
                   and frame[34:36] == struct.pack("!H", GATEWAY_PORT))
        reply = frame[self.HEADERS:]
        if not is_ours or len(reply) < 16:
            return
        if reply[:4] == bytes([0, 130, 0, 0]):
            port, _, lifetime = struct.unpack_from("!HHI", reply, 8)
        elif reply[:2] == bytes([2, 0x81]) and reply[3] == 0:
            (lifetime,), (port,) = (struct.unpack_from(form, reply, at)
                                    for form, at in (("!I", 4), ("!H", 40)))
        else:
            return
        if lifetime:
            self.times.setdefault(port, []).append(time.monotonic())

    def close(self):
        self.is_over = True
        self.join()
        self.socket.close()


# --- the other machine --------------------------------------------------------------------

def hold(place, ports, lease=3600):
    """The machine there lets its router forward these ports, by NAT-PMP."""
    with place.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((ROUTER, GATEWAY_PORT))
        for port in ports:
            request = struct.pack("!BBHHHI", 0, 2, 0, port, port, lease)
            _, operation, result, _, _, given, _ = eventually(
                lambda: _exchange(sock, request, port), "an answer by NAT-PMP")
            assert (operation, result, given) == (130, 0, port)


def _exchange(sock, request, port):
    sock.settimeout(1)
    sock.send(request)
    with contextlib.suppress(TimeoutError, ConnectionRefusedError):
        reply = struct.unpack("!BBHIHHI", sock.recv(16))
        if reply[4] == port:
            return reply
    return None
