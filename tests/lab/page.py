#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""page.py RESULTS FOLDER: docs/laboratory.md and its two plots from the raw results."""
import json
import pathlib
import sys

from plot import Axis, chart
from report import COLUMNS, matrix, number

LOSSES = (0, 1, 5, 10, 20)  # percent: the scenarios mixed-0 ... mixed-20
SERVICE = "port-checker"

UNITS = {"whole_t95": "s to the complete reply, 95th percentile",
         "open_t95": "s to the verdict, 95th percentile",
         "false_negatives": "open ports missed", "wrong": "wrong verdicts",
         "missed": "falsely filtered ports",
         "not_right": "wrong or missing verdicts", "syns_open": "SYNs per open port",
         "syns_closed": "SYNs per closed port", "syns_filtered": "SYNs per dropped port"}

METHOD = """\
How accurate and how fast verdicts are, compared with other tools. `./dev lab full` writes this page;
`quick` has smaller counts and fewer tools. Everything runs in network namespaces: a checker, a router, and targets that cover whole networks of private
addresses. The tools take turns at the same scenario, and each round starts with another tool. Each
turn uses addresses that no tool has probed before. The slowest tools run only in every second
round.

- **wrong**: wrong verdicts. **open missed**: open ports reported as anything else.
  **false filtered**: open or closed ports reported as filtered. **no verdict**: the tool reported
  that it could not judge the port (here: a 503). 0 failures in *n* trials mean a rate below 3/*n*
  (95% confidence). In the `fault-` scenarios the checker itself has the problem, so every wrong
  verdict blames the target.
- **total**: time from the request to the complete reply, as the client sees it, with as many
  addresses at a time as the scenario says. **open**, **closed**, **filtered**, **unreach.**:
  time to verdict by true state. This service and the plain rule report it for each port, from
  its first SYN; nmap and masscan report only complete results, so the total is shown instead.
  Median / 95th percentile, in seconds.
- **SYNs**: SYNs that left the machine for each open / closed / filtered / unreachable port,
  including retransmissions, counted by the packet filter. **CPU**: processor time of the tool
  per port, in microseconds. This service logs every verdict meanwhile.
- nmap has no state "unreachable"; its "filtered" is split by the reason that it gives. *nmap
  careful* is `-T3 --max-retries 10 --initial-rtt-timeout 1s --min-rtt-timeout 1s
  --max-scan-delay 0`. *plain rule*: three attempts of 5 s, 1 s apart, all ports at once.
- masscan bypasses the kernel, sends one SYN per port, and reports open and closed; a port without
  an answer counts as filtered here. It does not handle loss, "unreachable", or its own problems. It
  runs at its default of 100 SYNs per second, with `--wait 2 --show closed`, one address at a time:
  its receive ring holds 32 packets, and it sends the SYNs of a tenth of a second at once. At 1,000
  per second, the answers of a target this close arrived faster than it read them, and it lost up to
  61 of 81; on a busy machine it lost a few at 200 and 300. It also exits only when another packet
  arrives, so one is sent to it ten times a second.
"""


def figures_of(records, loss, tool):
    record = records.get(f"mixed-{loss}")
    return record["tools"].get(tool) if record else None


def tools_of(records):
    names = []
    for loss in LOSSES:
        record = records.get(f"mixed-{loss}")
        names += [name for name in (record["tools"] if record else ()) if name not in names]
    return names


def front(records):
    """Missed open ports and time. A hollow mark means none, drawn at the bound 3/n."""
    series = {}
    for tool in tools_of(records):
        points = []
        for loss in LOSSES:
            figures = figures_of(records, loss, tool)
            if figures and figures["open_pairs"]:
                failures, count = figures["false_negatives"], figures["open_pairs"]
                points.append((figures["whole_t95"], (failures or 3) / count, not failures,
                               f"{loss}%"))
        series[tool] = points
    across = Axis("time to the complete reply, 95th percentile (s)", 1, 60,
                  tuple((value, str(value)) for value in (1, 2, 5, 10, 20, 50)))
    up = Axis("open ports missed", 1e-4, 1,
              ((1e-4, "0.01%"), (1e-3, "0.1%"), (1e-2, "1%"), (1e-1, "10%"), (1, "100%")))
    return chart("Accuracy and time: 0 to 20% of SYNs lost", across, up, series,
                 ("hollow: none missed,", "drawn at 3/n"))


def time_by_loss(records):
    series = {}
    for tool in tools_of(records):
        series[tool] = [(loss, figures["whole_t95"], False, "") for loss in LOSSES
                        if (figures := figures_of(records, loss, tool))]
    across = Axis("SYNs lost (%)", 0, 20, tuple((loss, f"{loss}%") for loss in LOSSES), False)
    up = Axis("time to the complete reply, 95th percentile (s)", 1, 100,
              tuple((value, str(value)) for value in (1, 2, 5, 10, 20, 50, 100)))
    return chart("Time by loss: 61 open, 20 closed, 21 dropped ports", across, up,
                 series)


def bound(goal):
    """`no wrong verdicts`, `at most 1 open port missed`, `at most 1.30 s to ...`"""
    unit = UNITS[goal["metric"]]
    if goal["limit"] == 0:
        return f"no {unit}"
    return f"at most {number(goal['limit'])} {unit.replace('ports', 'port') if goal['limit'] == 1 else unit}"


def goal_rows(records):
    yield "| goal | scenario | limit | measured | sample | |"
    yield "|---|---|---|---|---|---|"
    for record in records.values():
        figures = record["tools"].get(SERVICE, {})
        for goal in record["goals"]:
            holds = {True: "met", False: "**not met**", None: "not measured"}
            yield (f"| {goal['row']} | {record['name']} | {bound(goal)} | {number(goal['value'])} | "
                   f"{size_of(goal['metric'], figures)} | {holds[goal['holds']]} |")


def size_of(metric, figures):
    """The size of the sample, and the bound on the rate if it has no failures."""
    if metric == "whole_t95":
        return f"{figures.get('checks', 0)} checks"
    pairs = {truth: sum(row.values()) for truth, row in figures.get("confusion", {}).items()}
    tried = {"false_negatives": ("open",), "open_t95": ("open",), "syns_open": ("open",),
             "syns_closed": ("closed",), "syns_filtered": ("filtered",),
             "missed": ("open", "closed")}.get(metric, tuple(pairs))
    count = sum(pairs.get(truth, 0) for truth in tried)
    if metric in ("wrong", "missed", "false_negatives", "not_right") and count > 3:
        if figures.get(metric) == 0:
            return f"{count} ports (rate below {3 / count:.1g})"
    return f"{count} ports"


def scenario_rows(record):
    yield f"### {record['name']}"
    yield record["title"] + "."
    yield ""
    if record["skipped"]:
        yield f"Skipped: {record['skipped']}."
        return
    for name, why in record["failed"].items():
        yield f"**Failed**: {name}: {why}."
        yield ""
    yield "| " + " | ".join(title for title, _ in COLUMNS) + " |"
    yield "|" + "---|" * len(COLUMNS)
    for name, figures in record["tools"].items():
        yield "| " + " | ".join(cell(name, figures) for _, cell in COLUMNS) + " |"
    yield ""
    for name, figures in record["tools"].items():
        said = "".join(f"; {count} x \"{trouble}\""
                       for trouble, count in figures["troubles"].items())
        yield f"- {name}: {matrix(figures['confusion'])}{said}"
    if record.get("relay"):
        dropped = sum(way["dropped"] for way in record["relay"].values())
        passed = sum(way["passed"] for way in record["relay"].values())
        yield f"- the relay dropped {dropped} of {dropped + passed} packets"
    if record.get("unsent_icmp"):
        yield f"- the router's kernel could not send {record['unsent_icmp']} ICMP errors"


def page(results):
    records = {record["name"]: record for record in results["records"]}
    goals = [goal for record in records.values() for goal in record["goals"]]
    held = sum(goal["holds"] is True for goal in goals)
    lines = [
        "# The laboratory", "",
        f"{results['date']}, Linux {results['kernel']}, {results['processors']} processors, "
        f"{results['seconds'] / 60:.0f} minutes, `./dev lab {results['command']}`. "
        f"{held} of {len(goals)} goals are met.", "",
        METHOD,
        "![Missed open ports and time](laboratory-front.svg)", "",
        "![Time by loss](laboratory-time.svg)", "",
        "## Goals", "", *goal_rows(records), "",
        "## Scenarios", ""]
    for record in records.values():
        lines += [*scenario_rows(record), ""]
    return "\n".join(lines)


def write(results, folder):
    folder = pathlib.Path(folder)
    records = {record["name"]: record for record in results["records"]}
    (folder / "laboratory.md").write_text(page(results))
    (folder / "laboratory-front.svg").write_text(front(records))
    (folder / "laboratory-time.svg").write_text(time_by_loss(records))


if __name__ == "__main__":
    write(json.loads(pathlib.Path(sys.argv[1]).read_text()), sys.argv[2])
