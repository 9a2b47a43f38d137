# SPDX-License-Identifier: MIT
"""Network namespaces without names: each is a descriptor of this process and vanishes with
it, however it ends. Nothing here touches the namespace in which the tests are started.
"""
import contextlib
import ctypes
import fcntl
import os
import pathlib
import socket
import struct
import subprocess

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000

libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Namespace:
    """`with namespace:` moves this thread into it; what is started or opened there stays there."""

    def __init__(self, name):
        self.name = name
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            checked(libc.unshare(CLONE_NEWNET))
            self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            checked(libc.setns(home, CLONE_NEWNET))
            os.close(home)
        self.homes = []
        # Otherwise a link-local address sends no neighbour solicitations for its first
        # second or two, and the first packets to new addresses are lost.
        for name in "all", "default":
            self.sysctl(f"net.ipv6.conf.{name}.accept_dad", 0)

    @property
    def path(self):
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    def __enter__(self):
        self.homes.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        checked(libc.setns(self.fd, CLONE_NEWNET))
        return self

    def __exit__(self, *_):
        home = self.homes.pop()
        checked(libc.setns(home, CLONE_NEWNET))
        os.close(home)

    def close(self):
        os.close(self.fd)

    def run(self, *words, text=None):
        with self:
            ended = subprocess.run(words, input=text, text=True, capture_output=True)
        if ended.returncode != 0:
            raise RuntimeError(f"{self.name}: {' '.join(words)}: {ended.stderr.strip()}")
        return ended.stdout

    def ip(self, lines):
        """Runs many `ip` commands at once, one per line."""
        self.run("ip", "-batch", "-", text=lines)

    def nft(self, text):
        self.run("nft", "-f", "-", text=text)

    def sysctl(self, name, value=None):
        path = pathlib.Path("/proc/sys") / name.replace(".", "/")
        with self:
            if value is not None:
                path.write_text(str(value))
            return path.read_text().strip()

    def socket(self, *arguments):
        with self:
            return socket.socket(*arguments)

    def tun(self, name):
        """A TUN device here; it exists as long as the returned descriptor is open."""
        with self:
            device = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
            wish = struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI)
            fcntl.ioctl(device, TUNSETIFF, wish)
        return device


class Borrowed(Namespace):
    """That of a process, which lives longer than this."""

    def __init__(self, name, pid):
        self.name = name
        self.fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.homes = []


def why_not():
    """Why namespaces cannot be created here; None if they can."""
    if os.geteuid() != 0:
        return "takes root, or a user namespace in which it is root"
    for tool in ("ip", "nft"):
        if subprocess.run(["sh", "-c", f"command -v {tool}"], capture_output=True).returncode:
            return f"{tool} is missing"
    try:
        with contextlib.closing(Namespace("trial")) as trial:
            trial.ip("link set lo up\n")
            trial.nft("table inet trial { }\n"
                      "table netdev trial { chain out {\n"
                      'type filter hook egress device "lo" priority 0;\n}\n}\n')
    except (OSError, RuntimeError) as error:
        return f"cannot create a network namespace: {error}"
    return None
