# SPDX-License-Identifier: MIT
"""docs/reliability.md: the record of a full run."""
import os
import pathlib
import platform
import re
import textwrap

from attack.record import SECTIONS

PATH = pathlib.Path(__file__).resolve().parent.parent.parent / "docs/reliability.md"
FUZZING = pathlib.Path(__file__).with_name("fuzzing.md")

HEAD = ["attack", "figure", "limit", "holds", "command", "date"]

INTRODUCTION = textwrap.fill("""
Each attack starts a service of its own in a network namespace that has no way out, and checks every
answer. A *healthy client* repeats three requests beside it: a check of an open port, a check of a
closed port, and `GET /health`. A verdict is *blamed on a target* if it calls the open port anything
but open, or the closed port anything but closed; a 503 is not a verdict. *p99* is the 99th
percentile of the times that such a round took. A short form of each attack is part of `./dev test`.
""".strip(), 100, break_on_hyphens=False)


def cells(found, record, date):
    word = "yes" if record.holds else "**no**"
    return [found.title, record.figure, found.limit, word, f"`./dev attack {found.name}`", date]


def table(head, lines):
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |"
                     for line in (head, ["---"] * len(head), *lines))


def section(name, results, date):
    own = [(found, record) for found, record in results if found.section == name]
    if not own:
        return ""
    text = f"\n## {name}\n\n" + table(HEAD, [cells(*pair, date) for pair in own]) + "\n"
    notes = [f"- `{found.name}`: {record.notes}" for found, record in own if record.notes]
    return text + ("\n" + "\n".join(notes) + "\n" if notes else "")


def machine():
    cpu = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    name = cpu.group(1) if cpu else platform.machine()
    return f"{name}, {len(os.sched_getaffinity(0))} cores; Linux {platform.release().split('-')[0]}"


def page(results, date, seconds):
    held = sum(record.holds for _, record in results)
    return f"""# Reliability

What happens when `port-checker` is attacked, overloaded or short of resources. `./dev attack` generates this page; do not edit it.

- Date: {date}
- Command: `./dev attack`
- Machine: {machine()}
- Duration: {seconds / 60:.0f} minutes
- {held} of {len(results)} attacks end within their limit.

{INTRODUCTION}
""" + "".join(section(name, results, date) for name in SECTIONS) + "\n" + FUZZING.read_text()


# --- the file -----------------------------------------------------------------------------

def section_of(text, name):
    """That section of a page, "" if it has none."""
    found = re.search(rf"^## {name}\n.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found.group() if found else ""


def write_page(text):
    """The soak, which is a run of its own, keeps its section."""
    before = PATH.read_text() if PATH.exists() else ""
    soak = section_of(before, "Soak")
    PATH.write_text(text + ("\n" + soak if soak else ""))


def write_section(name, body):
    """Replaces one section, which becomes the last one."""
    before = PATH.read_text() if PATH.exists() else "# Reliability\n"
    rest = before.replace(section_of(before, name), "") if section_of(before, name) else before
    PATH.write_text(f"{rest.rstrip()}\n\n## {name}\n\n{body}")
