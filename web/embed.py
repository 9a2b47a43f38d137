#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns the files of the page into C arrays that end with a NUL, for api/pages.c to include.

    embed.py FILE... > web_files.def

The same input gives the same output, byte for byte.
"""
import pathlib
import sys

HEAD = """\
/* SPDX-License-Identifier: MIT
 *
 * Made by web/embed.py from the files of web/ and docs/: change those, not this.
 */
"""
BYTES_A_LINE = 24


def array(name, data):
    yield f"static const unsigned char {name}[] = {{"
    for at in range(0, len(data), BYTES_A_LINE):
        yield "".join(f"{byte}," for byte in data[at:at + BYTES_A_LINE])
    yield "};"


def main():
    rows = []
    print(HEAD)
    for number, path in enumerate(map(pathlib.Path, sys.argv[1:])):
        print("\n".join(array(f"file_{number}", path.read_bytes() + b"\0")))
        rows.append(f'    {{"{path.name}", file_{number}, sizeof file_{number} - 1}},')
    print("static const struct embedded embedded_files[] = {")
    print("\n".join(rows))
    print("};")


main()
