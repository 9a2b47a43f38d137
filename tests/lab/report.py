# SPDX-License-Identifier: MIT
"""The figures as people read them: on the terminal, in docs/laboratory.md, as plots."""


def number(value, digits=2):
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.{digits}f}"
    return str(value)


def matrix(confusion):
    """`open 976 open 3 filtered; closed ...`"""
    return "; ".join(
        f"{truth}: " + ", ".join(f"{count} {state}" for state, count in sorted(row.items()))
        for truth, row in confusion.items())


def times(name):
    """The median and the 95th percentile, if there are any."""
    def cell(_, figures):
        values = [figures[f"{name}_t50"], figures[f"{name}_t95"]]
        return "-" if values[1] is None else " / ".join(number(value) for value in values)
    return cell


COLUMNS = (
    ("tool", lambda n, f: n),
    ("ports", lambda n, f: number(f["pairs"])),
    ("wrong", lambda n, f: number(f["wrong"])),
    ("open missed", lambda n, f: number(f["false_negatives"])),
    ("false filtered", lambda n, f: number(f["missed"])),
    ("no verdict", lambda n, f: number(f["unjudged"])),
    ("total", times("whole")),
    ("open", times("open")),
    ("closed", times("closed")),
    ("filtered", times("filtered")),
    ("unreach.", times("unreachable")),
    ("SYNs o/c/f/u", lambda n, f: "/".join(number(f[f"syns_{s}"], 1) for s in
                                           ("open", "closed", "filtered", "unreachable"))),
    ("CPU µs/port", lambda n, f: number(1000 * f["cpu_ms"] / max(1, f["pairs"]), 0)),
)


def print_record(record):
    print(f"\n{record['name']}: {record['title']}")
    if record["skipped"]:
        print(f"  skipped: {record['skipped']}")
        return
    for name, why in record["failed"].items():
        print(f"  FAILED: {name}: {why}")
    rows = [[title for title, _ in COLUMNS]]
    rows += [[cell(name, figures) for _, cell in COLUMNS]
             for name, figures in record["tools"].items()]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    for row in rows:
        print("  " + "  ".join(text.rjust(width) if i else text.ljust(width)
                               for i, (text, width) in enumerate(zip(row, widths))))
    for name, figures in record["tools"].items():
        if figures["wrong"] or figures["troubles"]:
            print(f"    {name}: {matrix(figures['confusion'])}")
            for trouble, count in figures["troubles"].items():
                print(f"    {name}: {count} x {trouble}")
            for example in figures["examples"][:3]:
                print(f"    {name}: {example}")
    for goal in record["goals"]:
        print("  " + goal_text(goal))


def goal_text(goal):
    said = {True: "met", False: "NOT MET", None: "not measured"}[goal["holds"]]
    return f"{said}: {goal['metric']} {number(goal['value'])} (at most {number(goal['limit'])})"


def print_goals(records):
    print("\nGoals")
    for record in records:
        for name in record["failed"]:
            print(f"  FAILED: {name} in {record['name']}")
        for goal in record["goals"]:
            print(f"  {goal['row']:38} {record['name']:20} {goal_text(goal)}")
