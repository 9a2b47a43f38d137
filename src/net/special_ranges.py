#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns special_ranges.txt into the C table special_ranges.def.

    special_ranges.py special_ranges.txt > special_ranges.def

The same input gives the same output, byte for byte. Rows come out with the longest
prefix first within a family, so that the first row that covers an address is the most
specific one. A row that makes no sense stops the build with its line number.
"""

import ipaddress
import sys

LISTS = {"ipv4": (4,), "ipv6": (6,), "ours": (4, 6)}
IS_GLOBAL = {"yes": True, "no": False, "n-a": False}
SCOPES = ("global", "private", "carrier", "link", "zone", "loopback", "multicast",
          "reserved", "special")

HEAD = """\
/* SPDX-License-Identifier: MIT
 *
 * Made from special_ranges.txt by special_ranges.py: change that, not this.
 *
 * SPECIAL_RANGE(family, scope, high, low, high mask, low mask): the 128 bits of an IPv6
 * address, or an IPv4 address in the highest 32 of them. Per family from the longest prefix
 * to the shortest; the last row of a family covers all of it.
 */
"""


def parse_row(line):
    """One row as (network, scope, comment)."""
    fields = [field.strip() for field in line.split("|")]
    if len(fields) != 6 or not all(fields):
        raise ValueError(
            "expected: list | block | globally reachable | scope | reference | name")

    origin, block, reachable, scope, reference, name = fields
    network = ipaddress.ip_network(block)  # refuses bits beyond the prefix
    if network.version not in LISTS.get(origin, ()):
        raise ValueError(f"{block} does not belong to the list {origin!r}")
    if "/" not in block:
        raise ValueError(f"{block} has no prefix length")
    if reachable not in IS_GLOBAL:
        raise ValueError(f"globally reachable is yes, no or n-a, not {reachable!r}")
    if scope not in SCOPES:
        raise ValueError(f"{scope!r} is not a scope")
    if IS_GLOBAL[reachable] != (scope == "global"):
        raise ValueError(f"globally reachable is {reachable}, but the scope is {scope}")
    comment = f"{block} {name} ({reference})".replace("*/", "")
    return network, scope, comment


def read_rows(path):
    """All rows by network, which no two may share."""
    rows = {}
    with open(path, encoding="ascii") as text:
        for number, line in enumerate(text, 1):
            if not line.strip() or line.startswith("#"):
                continue
            try:
                row = parse_row(line)
                if row[0] in rows:
                    raise ValueError(f"{row[0]} is there twice")
            except ValueError as fault:
                raise SystemExit(f"{path}:{number}: {fault}")
            rows[row[0]] = row

    for everything in ("0.0.0.0/0", "::/0"):
        if ipaddress.ip_network(everything) not in rows:
            raise SystemExit(f"{path}: no row for {everything}")
    return rows.values()


def format_halves(number, bits):
    """Two 64-bit constants, the number's `bits` in the highest places."""
    number <<= 128 - bits
    return ", ".join(f"UINT64_C(0x{half:x})" for half in divmod(number, 1 << 64))


def format_row(row):
    network, scope, comment = row
    bits = network.max_prefixlen
    family = "AF_INET" if network.version == 4 else "AF_INET6"
    return (
        f"/* {comment} */\n"
        f"SPECIAL_RANGE({family}, SCOPE_{scope.upper()},\n"
        f"              {format_halves(int(network.network_address), bits)},\n"
        f"              {format_halves(int(network.netmask), bits)})\n"
    )


def main(arguments):
    if len(arguments) != 1:
        raise SystemExit("usage: special_ranges.py INPUT")

    rows = sorted(
        read_rows(arguments[0]),
        key=lambda row: (row[0].version, -row[0].prefixlen, row[0].network_address),
    )
    sys.stdout.write(HEAD + "".join(format_row(row) for row in rows))


main(sys.argv[1:])
