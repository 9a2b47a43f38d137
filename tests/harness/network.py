# SPDX-License-Identifier: MIT
"""The network around the service: packet filters, addresses, machines behind a cable.

All of it happens in a network namespace of the tests' own, where at first nothing but
loopback exists, and is taken away again by whoever made it.
"""
import concurrent.futures
import ctypes
import os
import shutil
import subprocess

CLONE_NEWNET = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)


def is_own():
    """Whether this is a namespace of our own, so that no rule of ours can hurt."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        return False
    up = command("ip", "-oneline", "link", "show", "up").splitlines()
    return [line.split(": ")[1] for line in up] == ["lo"]


def has_filter():
    return shutil.which("nft") is not None


def command(*words, text=None, descriptors=()):
    ended = subprocess.run(words, input=text, text=True, capture_output=True,
                           pass_fds=descriptors)
    assert ended.returncode == 0, f"{' '.join(words)}: {ended.stderr}"
    return ended.stdout


class Filter:
    """A table of nft with one chain for what comes in; `inside` a Machine or here."""

    def __init__(self, inside=None):
        self.inside = inside
        self._nft("add table inet tests\n"
                  "add chain inet tests input { type filter hook input priority 0; }\n")

    def _nft(self, text):
        words = ("nft", "-f", "-")
        if self.inside:
            self.inside.command(*words, text=text)
        else:
            command(*words, text=text)

    def rule(self, ports, verdict):
        """What happens to SYNs for these ports: `drop`, `reject with ...`."""
        names = ", ".join(str(port) for port in ports)
        self._nft(f"add rule inet tests input tcp dport {{ {names} }} {verdict}\n")

    def clear(self):
        self._nft("flush chain inet tests input\n")

    def close(self):
        self._nft("delete table inet tests\n")


class Address:
    """A further address on loopback, for as long as this lives."""

    def __init__(self, address):
        self.words = (f"{address}/{128 if ':' in address else 32}", "dev", "lo")
        extra = ("nodad",) if ":" in address else ()
        command("ip", "address", "add", *self.words, *extra)

    def close(self):
        command("ip", "address", "del", *self.words)


class Machine:
    """Another machine: a namespace without a name, joined to ours by a cable (veth). It
    vanishes with its last descriptor."""

    NEAR, FAR = "near0", "far0"
    NETS = (("192.168.77.1", "192.168.77.2", 24), ("fd77::1", "fd77::2", 64))

    def __init__(self):
        self.namespace = self._thread(self._make)
        path = f"/proc/{os.getpid()}/fd/{self.namespace}"
        command("ip", "link", "add", self.NEAR, "type", "veth",
                "peer", "name", self.FAR, "netns", path)
        self.command("ip", "link", "set", "lo", "up")
        command("ip", "link", "set", self.NEAR, "up")
        self.command("ip", "link", "set", self.FAR, "up")
        for net in self.NETS:
            self.add_net(*net)
        for family in "ipv4/icmp_ratelimit", "ipv6/icmp/ratelimit":
            self.run(self._write, f"/proc/sys/net/{family}", "0")

    @staticmethod
    def _write(path, text):
        with open(path, "w", encoding="ascii") as file:
            file.write(text)

    @staticmethod
    def _make():
        assert libc.unshare(CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    @staticmethod
    def _thread(function, *arguments, **options):
        """In a thread of its own, for a thread that changed its namespace is spoilt."""
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            return thread.submit(function, *arguments, **options).result()

    def add_net(self, near, far, prefix):
        """Gives both ends of the cable one more address."""
        extra = ("nodad",) if ":" in near else ()
        command("ip", "address", "add", f"{near}/{prefix}", "dev", self.NEAR, *extra)
        self.command("ip", "address", "add", f"{far}/{prefix}", "dev", self.FAR, *extra)

    def run(self, function, *arguments, **options):
        """Calls `function` as if on that machine: its sockets stay there."""
        def enter():
            assert libc.setns(self.namespace, CLONE_NEWNET) == 0
            return function(*arguments, **options)
        return self._thread(enter)

    def command(self, *words, text=None):
        path = f"/proc/{os.getpid()}/fd/{self.namespace}"
        return command("nsenter", f"--net={path}", *words, text=text)

    def close(self):
        command("ip", "link", "del", self.NEAR)
        os.close(self.namespace)
