# SPDX-License-Identifier: MIT
"""A front, three vantage points, each in a network of its own with a nats-server, and a target:

    gw     10.50.1.2 ---+        +--- 10.50.3.2  eu-1
    target 10.50.2.2 ---+ router +--- 10.50.4.2  us-1
                                 +--- 10.50.5.2  ap-1

The three servers are one cluster. Every network is a namespace, and none leads out of them."""
import contextlib

from harness.nats import Cluster
from harness.netns import Namespace
from harness.places import connected

PLACES = "eu-1", "us-1", "ap-1"
NETWORKS = {name: f"10.50.{number}" for number, name in enumerate(("gw", "target", *PLACES), 1)}
TARGET = NETWORKS["target"] + ".2"


class Networks:
    def __init__(self):
        self.stack = contextlib.ExitStack()
        self.router = self.space("router")
        self.spaces = {name: self.space(name) for name in NETWORKS}
        self.router.ip("link set lo up\n")
        self.router.sysctl("net.ipv4.ip_forward", 1)
        for name, net in NETWORKS.items():
            space = self.spaces[name]
            self.router.ip(f"link add {name} type veth peer name up0 netns {space.path}\n"
                           f"link set {name} up\naddress add {net}.1/24 dev {name}\n")
            space.ip(f"link set lo up\nlink set up0 up\naddress add {net}.2/24 dev up0\n"
                     f"route add default via {net}.1\n")
        self.router.nft("table ip lab {\nchain forward {\n"
                        "type filter hook forward priority 0;\n}\n}\n")

    def space(self, name):
        space = Namespace(name)
        self.stack.callback(space.close)
        return space

    def drop(self, rule):
        """What the router no longer forwards, such as `ip saddr 10.50.3.0/24`."""
        self.router.nft(f"add rule ip lab forward {rule} drop\n")

    def partition(self, name):
        self.drop(f"iifname {name}")
        self.drop(f"oifname {name}")

    def heal(self):
        self.router.nft("flush chain ip lab forward\n")

    def close(self):
        self.stack.close()


class World:
    """What runs in the networks. Every place is connected to the server of its own network first,
    and the front to that of eu-1."""

    def __init__(self, networks, start):
        self.networks, self.start = networks, start
        self.cluster = Cluster({NETWORKS[name] + ".2": networks.spaces[name]
                                for name in PLACES})
        self.servers = dict(zip(PLACES, self.cluster.members))
        self.keys = {name: self.cluster.key(name, "--place", name) for name in PLACES}
        self.keys["gw"] = self.cluster.key("gw", "--front", "gw")

    def servers_from(self, name):
        """All of them, that one first."""
        return sorted(self.servers.values(), key=lambda server: server is not self.servers[name])

    def place(self, name, key=None, servers=None, **settings):
        return self.start(inside=self.networks.spaces[name], **{
            **self.cluster.settings(key or self.keys[name], servers or self.servers_from(name)),
            "PORT_CHECKER_VANTAGE": name, "PORT_CHECKER_VANTAGE_TARGETS": "any", **settings})

    def front(self, key="gw", servers=None, **settings):
        return self.start(**{
            **self.cluster.settings(self.keys[key], servers or self.servers_from("eu-1")),
            "PORT_CHECKER_FRONT": "gw", "PORT_CHECKER_VANTAGES": ",".join(PLACES), **settings})

    def open(self, *names):
        """Servers, these places and the front; every place has been heard by the front's server.
        Returns the front and the places."""
        self.cluster.start()
        front = self.front()
        places = [self.place(name) for name in names]
        for service in front, *places:
            connected(service)
        return front, *places

    def server_of(self, service):
        """The server that it has connected to."""
        url = connected(service)[-1]["message"].split()[-1]
        return next(server for server in self.servers.values() if server.url == url)
