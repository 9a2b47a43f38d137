#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""run.py [NAME...]: runs all attacks, or these. Without names it writes docs/reliability.md. The
exit status is 1 if one does not end within its limit."""
import argparse
import dataclasses
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time
import traceback

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[0] = str(TOP / "tests")

from attack.page import page, write_page  # noqa: E402
from attack.record import Record, find_all  # noqa: E402
from harness import netns  # noqa: E402

SECONDS = 20 * 60  # for all of them

# A network and a process namespace of its own: nothing that it starts outlives it.
APART = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c",
         'ip link set lo up && exec "$@"', "sh"]


def parse_arguments():
    parser = argparse.ArgumentParser(prog="./dev attack", description=__doc__.split(": ")[1])
    parser.add_argument("names", metavar="NAME", nargs="*")
    parser.add_argument("--list", action="store_true", help="list the attacks and end")
    parser.add_argument("--result", help=argparse.SUPPRESS)  # this process runs one
    return parser.parse_args()


def say(text):
    print(text, file=sys.stderr, flush=True)


# --- in the process of one attack ---------------------------------------------------------

def run_here(found, path):
    """An assertion that fails ends the attack; the figure is its text."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        record = found.function()
    except Exception as error:
        traceback.print_exc()
        text = (str(error) or type(error).__name__).splitlines()[0]
        record = Record(f"failed: {text[:200]}", False)
    path.write_text(json.dumps(dataclasses.asdict(record)))


# --- in the runner ------------------------------------------------------------------------

def run_apart(found, seconds, path):
    path.unlink(missing_ok=True)
    words = [*APART, sys.executable, __file__, "--result", str(path), found.name]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    try:
        process.wait(max(seconds, 0))
    except subprocess.TimeoutExpired:
        return Record("did not end in time", False)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)  # and with it the whole namespace
            process.wait()
    if not path.exists():
        return Record(f"failed: exit status {process.returncode}", False)
    return Record(**json.loads(path.read_text()))


def run_all(attacks, folder):
    results = []
    ending = time.monotonic() + SECONDS
    for number, found in enumerate(attacks, 1):
        say(f"attack: {number} of {len(attacks)}: {found.name}")
        begun = time.monotonic()
        record = run_apart(found, ending - begun, folder / f"{found.name}.json")
        results.append((found, record))
        print(f"{'holds' if record.holds else 'FAILS'}  {found.name}: {record.figure}"
              f" (limit: {found.limit}; {time.monotonic() - begun:.0f} s)", flush=True)
        if record.notes:
            print(f"       {record.notes}", flush=True)
    return results


def main():
    arguments = parse_arguments()
    attacks = find_all()
    if arguments.list:
        for found in attacks:
            print(f"{found.section:7} {found.name:24} {found.title}")
        return 0
    unknown = set(arguments.names) - {found.name for found in attacks}
    if unknown:
        say(f"attack: unknown: {' '.join(sorted(unknown))} (see './dev attack --list')")
        return 2
    chosen = [found for found in attacks if found.name in (arguments.names or [found.name])]
    if arguments.result:
        run_here(chosen[0], pathlib.Path(arguments.result))
        return 0
    reason = netns.why_not()
    if reason:
        say(f"attack: {reason}")
        return 2

    folder = pathlib.Path(os.environ.get("BUILD_DIR", TOP / "build")) / "attack"
    folder.mkdir(exist_ok=True)
    begun = time.monotonic()
    results = run_all(chosen, folder)
    if not arguments.names:
        date = time.strftime("%Y-%m-%d, %H:%M UTC", time.gmtime())
        write_page(page(results, date, time.monotonic() - begun))
    failed = [found.name for found, record in results if not record.holds]
    print(f"\n{len(results) - len(failed)} of {len(results)} attacks end within their limit"
          + (f"; not: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
