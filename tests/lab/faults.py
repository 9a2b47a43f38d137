# SPDX-License-Identifier: MIT
"""The checker's own problems. Each begins before the tools start, ends after them, and may be
cleared in between. They do not affect ctl0, over which the tools are controlled."""
import os
import subprocess

DROP = """table inet fault {{
    chain output {{
        type filter hook output priority 0;
        oifname {{ "up0", "far0" }} {rule}
    }}
}}"""
SYN = "tcp flags & (syn|ack) == syn"


class Fault:
    descriptors = None  # limit for the tools

    def __init__(self, topology):
        self.checker = topology.checker

    def enter(self):
        pass

    def heal(self):
        pass

    def leave(self):
        self.heal()


class Descriptors(Fault):
    descriptors = 64


class Ephemeral(Fault):
    def enter(self):
        name = "net.ipv4.ip_local_port_range"
        self.before = self.checker.sysctl(name)
        self.checker.sysctl(name, "40000 40009")

    def heal(self):
        self.checker.sysctl("net.ipv4.ip_local_port_range", self.before)


class Filter(Fault):
    rule = ""

    def enter(self):
        self.checker.nft(DROP.format(rule=self.rule))
        self.is_entered = True

    def heal(self):
        if self.is_entered:
            self.checker.nft("delete table inet fault\n")
            self.is_entered = False


class Conntrack(Filter):
    rule = "ct count over 50 drop"


class OutputDrop(Filter):
    rule = f"{SYN} drop"


class OutputDropSome(Filter):
    rule = f"{SYN} tcp dport & 1 == 1 drop"


class NoIPv6(Fault):
    def enter(self):
        self.checker.sysctl("net.ipv6.conf.all.disable_ipv6", 1)

    # Addresses and routes are gone for good: the namespaces are used for nothing else after.


class Busy(Fault):
    def enter(self):
        self.burners = [subprocess.Popen(["sh", "-c", "while :; do :; done"])
                        for _ in range(2 * len(os.sched_getaffinity(0)))]

    def heal(self):
        for burner in self.burners:
            burner.kill()
            burner.wait()
        self.burners = []


FAULTS = {
    "": Fault,
    "descriptors": Descriptors,
    "ephemeral": Ephemeral,
    "conntrack": Conntrack,
    "output-drop": OutputDrop,
    "output-drop-some": OutputDropSome,
    "output-drop-2s": OutputDrop,
    "no-ipv6": NoIPv6,
    "busy": Busy,
}
