#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""run.py quick|full [--only TEXT,...] [--tools NAME,...] [--scale FACTOR]: the laboratory."""
import argparse
import asyncio
import json
import os
import pathlib
import platform
import sys
import time

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.append(str(TOP / "tests"))

import page  # noqa: E402
from harness import netns  # noqa: E402
from report import print_goals, print_record  # noqa: E402
from runner import Laboratory  # noqa: E402
from scenarios import table  # noqa: E402


def parse_arguments():
    parser = argparse.ArgumentParser(prog="./dev lab", description=__doc__.split(": ")[1])
    parser.add_argument("mode", choices=("quick", "full"), nargs="?", default="quick")
    parser.add_argument("--only", default="", help="scenarios whose name holds one of these")
    parser.add_argument("--tools", default="", help="ask only these tools")
    parser.add_argument("--scale", type=float, default=1.0, help="times as many addresses")
    parser.add_argument("--list", action="store_true", help="list the scenarios and end")
    return parser.parse_args()


def words(text):
    return [word.strip() for word in text.split(",") if word.strip()]


def main():
    arguments = parse_arguments()
    scenarios = [s for s in table()
                 if not arguments.only or any(w in s.name for w in words(arguments.only))]
    if arguments.list:
        for scenario in scenarios:
            print(f"{scenario.name:20} {scenario.title}")
        return 0
    reason = netns.why_not()
    if reason:
        print(f"lab: skipped: {reason}", file=sys.stderr)
        return 0

    build = pathlib.Path(os.environ.get("BUILD_DIR", TOP / "build"))
    folder = build / "lab"
    laboratory = Laboratory(arguments.mode, build, folder, print_record,
                            tools=words(arguments.tools), scale=arguments.scale)
    start = time.monotonic()
    try:
        records = asyncio.run(laboratory.run(scenarios))
    except KeyboardInterrupt:
        return 130
    finished = {
        "mode": arguments.mode, "records": records, "date": time.strftime("%Y-%m-%d"),
        "seconds": time.monotonic() - start, "kernel": platform.release().split("-")[0],
        "processors": len(os.sched_getaffinity(0)), "command": " ".join(sys.argv[1:]),
    }
    is_part = arguments.only or arguments.tools or arguments.scale != 1
    name = "part" if is_part else arguments.mode
    (folder / f"{name}.json").write_text(json.dumps(finished, indent=1))
    page.write(finished, TOP / "docs" if name == "full" else folder)
    print_goals(records)
    print(f"\n{len(records)} scenarios in {finished['seconds']:.0f} s; raw results in {folder}")
    return 1 if any(record["failed"] for record in records) else 0


if __name__ == "__main__":
    sys.exit(main())
