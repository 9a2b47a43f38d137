# SPDX-License-Identifier: MIT
"""From answers to figures."""
import math
from collections import Counter, defaultdict

from ports import CLOSED, FILTERED, KINDS, OPEN, STATES, UNJUDGED, kind_of


def percentile(values, share):
    """Nearest rank; None of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def confusion(answers):
    """truth -> state -> how many; and how many were right, wrong, unjudged."""
    counts = defaultdict(Counter)
    verdicts = Counter()
    for answer in answers:
        for port, (state, _) in answer.ports.items():
            kind = kind_of(port)
            counts[kind.truth][state] += 1
            if state == UNJUDGED:
                verdicts["unjudged"] += kind.truth != UNJUDGED
            elif state in kind.accepted:
                verdicts["right"] += 1
            else:
                verdicts["wrong"] += 1
                verdicts["false_negatives"] += kind.truth == OPEN
                verdicts["false_positives"] += state == OPEN
                verdicts["missed"] += kind.truth in (OPEN, CLOSED) and state == FILTERED
    return counts, verdicts


def metrics(answers, syns):
    """The figures of one tool in one scenario; `syns`: kind -> SYNs that left for it."""
    counts, verdicts = confusion(answers)
    figures = {
        "checks": len(answers),
        "pairs": sum(len(answer.ports) for answer in answers),
        "confusion": {truth: dict(row) for truth, row in counts.items()},
        **{name: verdicts[name] for name in ("right", "wrong", "unjudged", "false_negatives",
                                             "false_positives", "missed")},
        "not_right": verdicts["wrong"] + verdicts["unjudged"],
        "open_pairs": sum(counts[OPEN].values()),
        "closed_pairs": sum(counts[CLOSED].values()),
        "whole_t50": percentile([answer.seconds for answer in answers], 0.50),
        "whole_t95": percentile([answer.seconds for answer in answers], 0.95),
        "cpu_ms": 1000 * sum(answer.cpu for answer in answers),
        "troubles": dict(Counter(answer.trouble for answer in answers if answer.trouble)),
    }
    add_times(figures, answers)
    add_syns(figures, answers, syns)
    return figures


def add_times(figures, answers):
    """Time to verdict by true state: from the port's first SYN if the tool reports it, else the
    time of the complete answer."""
    times = defaultdict(list)
    own = 0
    for answer in answers:
        for port, (state, ms) in answer.ports.items():
            if state == UNJUDGED:
                continue
            own += ms is not None
            times[kind_of(port).truth].append(answer.seconds if ms is None else ms / 1000)
    figures["times_are"] = "of ports" if own else "of whole answers"
    for truth in STATES:
        figures[f"{truth}_t50"] = percentile(times[truth], 0.50)
        figures[f"{truth}_t95"] = percentile(times[truth], 0.95)


def add_syns(figures, answers, syns):
    pairs, sent = Counter(), Counter()
    for answer in answers:
        for port in answer.ports:
            pairs[kind_of(port).truth] += 1
    for name, count in syns.items():
        sent[KINDS[name].truth] += count
    for truth in STATES:
        figures[f"syns_{truth}"] = sent[truth] / pairs[truth] if pairs[truth] else None


def wrong_ports(answers, lost, limit=20):
    """Examples, for people; `lost`: (address, port) -> packets dropped on the way."""
    found = []
    for answer in answers:
        for port, (state, _) in sorted(answer.ports.items()):
            kind = kind_of(port)
            if state != UNJUDGED and state not in kind.accepted:
                count = lost.get((answer.address, str(port)), 0)
                found.append(f"{answer.address} {port} ({kind.name}): {state}"
                             + (f", {count} packets lost" if count else ""))
    return found[:limit]
