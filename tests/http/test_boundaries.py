# SPDX-License-Identifier: MIT
"""Where a request ends: our view, however the bytes arrive, compared with those of four others.

The rule: if any of them would see another boundary, we refuse the request and close. If one
refuses what we accept, or accepts what we refuse, docs/http.md says so and why.
"""
import asyncio
import os
import pathlib
import random
import re

import pytest

import oracles
import us
from corpus import CASES, HEAD, MARKED, NEXT, WAIT

DOC = pathlib.Path(__file__).parents[2] / "docs" / "http.md"
SEED = os.environ.get("SEED", str(random.randrange(10**9)))
HEAVY = pytest.mark.heavy


def shown(text):
    return repr(text) if len(text) <= 300 else f"{text[:200]!r}... ({len(text)} bytes)"


def listed(faults):
    """The message of a failure: how many faults, and the first of them."""
    return f"{len(faults)} of {len(CASES)}, SEED={SEED}:\n" + "\n".join(faults[:25])


# --- our answers --------------------------------------------------------------------------


def fault(case, answer):
    """What is wrong with our answer to a case, or None."""
    wanted = [*case.replies, MARKED] if case.then == NEXT else list(case.replies)
    try:
        found, is_last = us.replies(answer, wanted)
    except us.Odd as odd:
        return str(odd)
    if found != wanted:
        return f"wanted {told(wanted)}, got {told(found)}"
    if case.then != WAIT and not is_last:
        return "the last reply does not say that the connection ends"
    return None


def told(replies):
    return [reply[:30] if isinstance(reply, bytes) else reply for reply in replies]


@pytest.mark.parametrize("cut", [us.whole, pytest.param(us.byte_by_byte, marks=HEAVY),
                                 pytest.param(us.at_random, marks=HEAVY)])
@pytest.mark.parametrize("transport", ["plain", "tls"])
def test_our_answers(request, transport, cut):
    server = request.getfixturevalue(transport)
    answers = us.ask(server, CASES, cut, SEED)
    faults = [(case, fault(case, answer)) for case, answer in zip(CASES, answers)]
    faults = [f"{case}\n  {shown(case.data)}\n  {text}" for case, text in faults if text]
    assert not faults, listed(faults)


# --- the rule -----------------------------------------------------------------------------


def conflict(case, view):
    """How the boundaries of a view differ from ours where we have not closed, or None."""
    theirs = [seen.body for seen in view.requests]
    ours = case.bodies
    for number, (our_body, their_body) in enumerate(zip(ours, theirs), 1):
        if our_body != their_body:
            return f"body {number}: {shown(our_body)} to us, {shown(their_body)} to them"
    if len(theirs) < len(ours) and view.ending not in (oracles.REFUSED, oracles.ENDED):
        return f"we see request {len(theirs) + 1}, they do not: {view.ending}"
    if len(theirs) > len(ours) and case.then == WAIT:
        return f"they see request {len(theirs)}, we wait"
    return None


@pytest.mark.heavy
@pytest.mark.parametrize("oracle", ["h11", "Node", "nginx", "HAProxy"])
def test_no_other_boundary_is_seen(views, oracle):
    faults = []
    for case, view in zip(CASES, views[oracle]):
        text = conflict(case, view)
        if text:
            faults.append(f"{case}\n  {shown(case.data)}\n  {text}\n  {view}")
    assert not faults, listed(faults)


# --- the table ----------------------------------------------------------------------------


def word(case, view):
    """A view of a case, in the words of the table."""
    before = len(case.replies) - case.is_refused
    count = len(view.requests)
    if case.is_refused and count > before:
        is_sane = view.requests[-1].body == MARKED or view.ending == oracles.ENDED
        return "accepts" if is_sane else "misreads"
    if not case.is_refused and count >= len(case.bodies):
        return "accepts" if count == len(case.bodies) else "continues"
    return {oracles.REFUSED: "refuses", oracles.ENDED: "closes"}.get(view.ending, "waits")


def seen_words(views):
    """{group: {oracle: words}}, and {group: our word}."""
    theirs, ours = {}, {}
    for oracle in views:
        for case, view in zip(CASES, views[oracle]):
            words = theirs.setdefault(case.group, {}).setdefault(oracle, set())
            words.add(word(case, view))
            ours.setdefault(case.group,
                            set()).add("refuses" if case.is_refused else "accepts")
    return theirs, ours


def documented():
    """{group: {oracle: words}} of the table under the heading of differences."""
    text = DOC.read_text().partition("\n## Where other parsers differ\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")]
            for line in text.splitlines() if line.startswith("|")]
    titles, _, *rows = rows
    assert titles == ["request", "this server", "h11", "Node", "nginx", "HAProxy", "why"]
    assert all(len(row) == len(titles) and row[-1] for row in rows)
    return {row[0]: {title: set(re.split(" or ", cell)) for title, cell in zip(titles[1:-1],
                                                                         row[1:-1])}
            for row in rows}


@pytest.mark.heavy
def test_the_table_of_differences(views):
    theirs, ours = seen_words(views)
    table = documented()
    assert table.keys() <= theirs.keys(), "rows that no case belongs to"
    faults = []
    for group, words in theirs.items():
        row = table.get(group) or {"this server": ours[group],
                                   **{oracle: ours[group] for oracle in words}}
        if row["this server"] != ours[group]:
            faults.append(f"{group}: we {ours[group]}, the table says {row['this server']}")
        faults += [f"{group}: {oracle} {found}, the table says {row[oracle]}"
                   for oracle, found in words.items() if not found <= row[oracle]]
    assert not faults, "\n".join(faults)


# --- behind real proxies ------------------------------------------------------------------


@pytest.mark.heavy
@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_we_see_what_a_proxy_sent(plain, later, tmp_path, kind):
    """Through a proxy that shares its connections among clients, we answer each request
    separately, with its own body."""
    relay = oracles.Relay(plain.address[1])
    later.callback(relay.close)
    proxy = oracles.proxies.Proxy(kind, tmp_path, relay.port, oracles.TEMPLATES[kind])
    later.callback(proxy.close)
    oracles.converse(proxy.address, [case.stream for case in CASES], is_half_closed=False)

    faults, count = [], 0
    for sent, answered in relay.pairs:
        requests, left = asyncio.run(oracles.read_requests(sent))
        count += len(requests)
        text = unanswered(requests, left, answered)
        if text:
            faults.append(f"{text}\n  sent {shown(bytes(sent))}\n"
                          f"  got {shown(bytes(answered))}")
    assert not faults, listed(faults)
    assert count > len(CASES), "the proxy passes requests on"
    assert plain.stats()["handled"] <= count


def unanswered(requests, left, answered):
    """How our answers on a proxy's connection differ from its requests, or None."""
    wanted = [HEAD if seen.method == "HEAD" else seen.body if seen.method == "POST"
              else None
              for seen in requests]
    try:
        found, _ = us.replies(bytes(answered), wanted)
    except us.Odd as odd:
        return str(odd)
    if len(found) > len(requests) + bool(left):
        return f"{len(found)} replies to {len(requests)} requests"
    for seen, reply in zip(requests, found):
        if seen.method == "POST" and isinstance(reply, bytes) and reply != seen.body:
            return f"another body than {shown(seen.body)}"
    return None
