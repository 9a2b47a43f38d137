# SPDX-License-Identifier: MIT
"""A provider at home: network namespaces, connected as in the field.

    checker 203.0.113.1 --+-- [carrier 203.0.113.7 | 100.64.0.1] --+-- router -- LAN
            2001:db8:99::1                                             192.168.50.0/24
                                                                       2001:db8:50::/64
    on the LAN: the provider (.2, ::2) and another machine (.3, ::3)

Without a carrier the router itself has 203.0.113.7. IPv4 is masqueraded, IPv6 is routed.
"""
import contextlib

from harness.netns import Namespace

CHECKER, PUBLIC = "203.0.113.1", "203.0.113.7"
CHECKER6 = "2001:db8:99::1"
PROVIDER, OTHER = "192.168.50.2", "192.168.50.3"
PROVIDER6 = "2001:db8:50::2"
CARRIER, ROUTER_BEHIND = "100.64.0.1", "100.64.0.2"

MASQUERADE = """
table ip nat {
  chain dstnat { type nat hook prerouting priority dstnat; %s }
  chain srcnat { type nat hook postrouting priority srcnat; oifname "wan" masquerade; }
}
table inet filter {
  chain input {
    type filter hook input priority 0;
    iifname "wan" ct state established,related accept
    iifname "wan" meta l4proto { tcp, udp } drop
  }
  chain forward { type filter hook forward priority 0; %s }
}
"""


class Home:
    def __init__(self, stack, has_carrier=False):
        def namespace(name):
            return stack.enter_context(contextlib.closing(Namespace(name)))
        self.checker, self.router = namespace("checker"), namespace("router")
        self.provider, self.other = namespace("provider"), namespace("other")
        self.carrier = namespace("carrier") if has_carrier else None
        for place in self.places():
            place.ip("link set lo up\n")
            place.sysctl("net.ipv4.ip_forward", 1)
            place.sysctl("net.ipv6.conf.all.forwarding", 1)
            place.sysctl("net.ipv4.icmp_ratelimit", 0)
            place.sysctl("net.ipv6.icmp.ratelimit", 0)
        self._join_lan()
        if has_carrier:
            self._join_carrier()
        else:
            self._cable(self.router, "wan", self.checker, "eth0")
            self.router.ip(f"addr add {PUBLIC}/24 dev wan\n")
        self.checker.ip(f"addr add {CHECKER}/24 dev eth0\n")
        if not has_carrier:
            self.router.ip("addr add 2001:db8:99::7/64 dev wan nodad\n")
            self.checker.ip(f"addr add {CHECKER6}/64 dev eth0 nodad\n"
                            "route add 2001:db8:50::/64 via 2001:db8:99::7\n")

    def places(self):
        every = (self.checker, self.router, self.provider, self.other, self.carrier)
        return [place for place in every if place]

    @staticmethod
    def _cable(one, name, other, other_name):
        one.ip(f"link add {name} type veth peer name {other_name} netns {other.path}\n"
               f"link set {name} up\n")
        other.ip(f"link set {other_name} up\n")

    def _join_lan(self):
        self.router.ip("link add lan type bridge\nlink set lan up\n"
                       "addr add 192.168.50.1/24 dev lan\n"
                       "addr add 2001:db8:50::1/64 dev lan nodad\n")
        for number, place in ((2, self.provider), (3, self.other)):
            self._cable(self.router, f"port{number}", place, "eth0")
            self.router.ip(f"link set port{number} master lan\n")
            place.ip(f"addr add 192.168.50.{number}/24 dev eth0\n"
                     f"addr add 2001:db8:50::{number}/64 dev eth0 nodad\n"
                     "route add default via 192.168.50.1\n"
                     "route add ::/0 via 2001:db8:50::1\n")

    def _join_carrier(self):
        self._cable(self.router, "wan", self.carrier, "inner")
        self._cable(self.carrier, "wan", self.checker, "eth0")
        self.router.ip(f"addr add {ROUTER_BEHIND}/10 dev wan\n"
                       f"route add default via {CARRIER}\n")
        self.carrier.ip(f"addr add {CARRIER}/10 dev inner\naddr add {PUBLIC}/24 dev wan\n")
        self.carrier.nft(MASQUERADE % ("", ""))

    def rules(self, forwards="", filters=""):
        """Sets the port forwards and the packet filter of the router."""
        self.router.nft(MASQUERADE % (forwards, filters))


def forward(ports, to=PROVIDER):
    return f'iifname "wan" tcp dport {ports} dnat to {to}; '
