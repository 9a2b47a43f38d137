# SPDX-License-Identifier: MIT
"""The network around the service: packet filters, addresses, and other machines. Everything happens
in a network namespace of the tests' own, in which at first only loopback exists, and each helper
undoes what it did."""
import collections
import os
import pathlib
import shutil
import subprocess

from harness.netns import Namespace


def is_own():
    """Whether this is a namespace of our own, where our rules can do no harm."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        return False
    up = command("ip", "-oneline", "link", "show", "up").splitlines()
    return [line.split(": ")[1] for line in up] == ["lo"]


def command(*words, text=None):
    ended = subprocess.run(words, input=text, text=True, capture_output=True)
    assert ended.returncode == 0, f"{' '.join(words)}: {ended.stderr}"
    return ended.stdout


TcpSocket = collections.namedtuple("TcpSocket", "local_port remote_port state inode")
SYN_SENT = "02"


def tcp_sockets(pid):
    """All IPv4 sockets in the network of that process; the inode is "0" for sockets that no process
    holds."""
    found = []
    for line in pathlib.Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        ports = [int(address.split(":")[1], 16) for address in fields[1:3]]
        found.append(TcpSocket(*ports, state=fields[3], inode=fields[9]))
    return found


class Filter:
    """An nft table with one input chain; `inside` is a Machine or here."""

    def __init__(self, inside=None):
        self.inside = inside
        self._nft("add table inet tests\n"
                  "add chain inet tests input { type filter hook input priority 0; }\n")

    def _nft(self, text):
        if self.inside:
            self.inside.nft(text)
        else:
            command("nft", "-f", "-", text=text)

    def rule(self, ports, verdict):
        """What happens to SYNs for these ports: `drop`, `reject with ...`."""
        names = ", ".join(str(port) for port in ports)
        self._nft(f"add rule inet tests input tcp dport {{ {names} }} {verdict}\n")

    def clear(self):
        self._nft("flush chain inet tests input\n")

    def close(self):
        self._nft("delete table inet tests\n")


class Address:
    """An additional loopback address, for as long as this object lives."""

    def __init__(self, address):
        self.words = (f"{address}/{128 if ':' in address else 32}", "dev", "lo")
        extra = ("nodad",) if ":" in address else ()
        command("ip", "address", "add", *self.words, *extra)

    def close(self):
        command("ip", "address", "del", *self.words)


class Machine(Namespace):
    """Another machine, connected to ours by a cable (veth)."""

    NEAR, FAR = "near0", "far0"
    NETS = (("192.168.77.1", "192.168.77.2", 24), ("fd77::1", "fd77::2", 64))

    def __init__(self):
        super().__init__("machine")
        command("ip", "link", "add", self.NEAR, "type", "veth",
                "peer", "name", self.FAR, "netns", self.path)
        command("ip", "link", "set", self.NEAR, "up")
        self.ip(f"link set lo up\nlink set {self.FAR} up\n")
        for net in self.NETS:
            self.add_net(*net)
        for name in "net.ipv4.icmp_ratelimit", "net.ipv6.icmp.ratelimit":
            self.sysctl(name, 0)

    def add_net(self, near, far, prefix):
        """Adds one more address to each end of the cable."""
        extra = ("nodad",) if ":" in near else ()
        command("ip", "address", "add", f"{near}/{prefix}", "dev", self.NEAR, *extra)
        self.run("ip", "address", "add", f"{far}/{prefix}", "dev", self.FAR, *extra)

    def call(self, function, *arguments, **options):
        """Calls `function` as if on that machine; its sockets stay there."""
        with self:
            return function(*arguments, **options)

    def close(self):
        command("ip", "link", "del", self.NEAR)
        super().close()
