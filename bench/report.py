# SPDX-License-Identifier: MIT
"""The table of the benchmarks, for the screen and for docs/benchmarks.md."""
import datetime
import os
import pathlib
import re
import statistics
import textwrap


class Figure:
    """Several measurements of one thing; their median stands for it."""

    def __init__(self, values, unit, digits=0):
        self.values = list(values)
        self.median = statistics.median(self.values)
        self.unit = unit
        self.digits = digits

    def number(self, value):
        return f"{value:,.{self.digits}f}"

    def __str__(self):
        text = f"{self.number(self.median)} {self.unit}"
        if len(self.values) > 1:
            low, high = min(self.values), max(self.values)
            text += f" ({self.number(low)}-{self.number(high)})"
        return text


def ratio_of(ours, reference):
    """Median of the ratios of each round: a disturbance slows both contestants of its round."""
    return statistics.median(a / b for a, b in zip(ours.values, reference.values))


class Row:
    """The goal applies to the ratio, or without a reference to the figure itself. A row without a
    goal is for information only."""

    def __init__(self, work, ours, reference=None, at_least=None, at_most=None):
        self.work, self.ours, self.reference = work, ours, reference
        self.at_least, self.at_most = at_least, at_most
        self.ratio = reference and ratio_of(ours, reference)
        self.judged = self.ratio if reference else ours.median

    def goal(self):
        unit = "" if self.ratio is not None else " " + self.ours.unit
        if self.at_least is not None:
            return f"at least {self.at_least:g}{unit}"
        if self.at_most is not None:
            return f"at most {self.at_most:g}{unit}"
        return ""

    def holds(self):
        """None if there is no goal."""
        if self.at_least is not None:
            return self.judged >= self.at_least
        if self.at_most is not None:
            return self.judged <= self.at_most
        return None

    def cells(self):
        word = {None: "", True: "yes", False: "**no**"}[self.holds()]
        return [self.work, str(self.ours), str(self.reference or "-"),
                f"{self.ratio:.2f}" if self.ratio else "-", self.goal() or "-", word or "-"]


HEAD = ["work", "measured", "reference", "ratio", "goal", "met"]


def table(rows):
    lines = [HEAD, *[row.cells() for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |"
        for line in lines)


def verdict(rows):
    goals = [row for row in rows if row.holds() is not None]
    missed = [row.work for row in goals if not row.holds()]
    text = f"{len(goals) - len(missed)} of {len(goals)} goals are met."
    if missed:
        text += "\n\nNot met:\n\n" + "\n".join(f"- {work}" for work in missed)
    return text


def machine():
    cpu = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    system = os.uname()
    return {
        "Processor": f"{cpu.group(1) if cpu else system.machine}, "
                     f"{len(os.sched_getaffinity(0))} cores",
        "Kernel": f"{system.sysname} {system.release.split('-')[0]}",
    }


METHOD = """
Everything runs on one machine, in a separate network namespace that has only loopback, so load,
service and targets share the processors; nothing is pinned. The figures of a row were measured
side by side in one run: {rounds} rounds, each of which runs every contestant in turn for {seconds} s. A figure is the median of the rounds, with the smallest and the largest in brackets. A ratio
is the median of the ratios of the rounds, because the speed of a shared machine changes from round
to round. Processor time is what the scheduler counts for the threads of the process
(`/proc/PID/task/*/schedstat`), in user and kernel mode. On loopback that includes the kernel's
work for the target's side of each connection.

- **Checks of open ports.** wrk repeats the same check of 101 ports, from 8 connections
  per worker. The targets are listeners on 127.0.0.1; a half-open probe never
  reaches their `accept()`. *Reference* is `bench/reference_loop.c`: one thread, the same
  half-open connects to the same ports, 128 in flight, one epoll, no HTTP, no JSON, no log,
  no verdicts. *Probes/s* counts only ports of checks whose reply arrived. After each round,
  the service's counters must show that every port was found open, or the bench fails.
- **GET /health** is compared with nginx, which has one worker, answers `return 200` with the same
  body, and writes no access log. The row compares the processor time of the serving processes.
- **GET /health over TLS** is the same comparison with the same certificate (ECDSA P-256). An
  OpenSSL configuration limits wrk to TLS 1.3, {cipher} and X25519; before the first
  round, nginx must have confirmed that cipher. nginx has session tickets enabled, no
  session cache, and defaults for everything else. The handshakes of a round's 64 connections
  are part of its figure.
- **TLS handshakes.** `bench/tls_load.c` runs 8 clients at the same time. Each of them connects,
  shakes hands with that same cipher and group, requests `/health` with `Connection: close`, reads
  the reply, and starts again. Each connection must get a ticket. Each handshake must be full, or,
  if the row says so, resumed with the ticket of the client's last connection, or the bench fails.
  The figure is *handshakes per second of the server's processor time*, which includes all costs of
  the connections from accept to close, but not the clients' costs.
- **Memory of an idle TLS connection.** In each round, both servers restart with one worker
  and answer one request; then each gets {tls_idle} connections with one reply each. The row compares
  the growth of `VmRSS` {tls_rest} s later, divided by the number of connections.
- **Closed ports.** One client on one connection checks two closed ports, waits 1 ms, and
  repeats this {closed} times per round. The time is measured by the client, from the first byte sent
  to the last byte read.
- **Memory** is `VmRSS` of a service with the default number of workers: after its start and
  one check; with 4,000 connections, each waiting for the verdict on one silent port of a
  different address (SYNs to {silent} are dropped); and with 4,000 connections that have had
  one reply each and stay open, {idle} s later and immediately.
- **Growing jobs.** This is the processor time per probe for checks of 1, 16, 101 and 1,024 open
  ports, with one worker. The cost of a request itself is measured with a check without ports and
  subtracted, because it would hide any growth after the first port. The cost of waiting for
  a verdict remains, so one port costs most. The goal limits the largest rise from any
  size to a larger one. *Engine alone* is `bench/engine_bench.c`: two jobs at
  a time, no HTTP; there the goal compares the most expensive size with the cheapest.
- **Waiting jobs.** In turn, a single check or 4,000 checks wait on one worker for the next attempt
  at a port that refused; meanwhile the worker runs checks of 101 open ports.
- **port-verifier** binds 101 ports and asks three services on 127.0.0.1 at once, with proofs,
  {verifications} times per round; every port must be proved, or the bench fails. The figure of a
  round is the median of its runs. The *whole run* is from the start of the process to its end. The
  *slowest answer* is the longest of the three checks in the services' logs (`ms`), including proofs
  and the effect of sharing two cores. *Time over* it is the rest of the same run, and *its start
  alone* is `port-verifier --version`, which mostly loads shared libraries. *Peak memory* is `VmHWM`
  with `--watch`, after the report.
- **Mapping.** Each home has namespaces of its own for a router, a provider and the internet, where
  the checker runs; the checker has to prove all 102 ports, or the bench fails. In the first home
  the ports are forwarded by rules in the router, in the others by miniupnpd, which is asked by one
  protocol alone and does not log debug messages. The time to the report is that from the start of
  the process to its first report with `--watch`. For the renewal, the router announces that it has
  a new address, after which all mappings are renewed; the figure is the time from its first reply
  to the last. Removal is from SIGTERM to the end of the process, after which the router must have
  nothing left. *Peak memory* is `VmHWM` of port-verifier alone, after the renewal.
- **Several places.** A front and three vantage points with one worker each are joined by one
  nats-server with TLS and keys. Every place must answer every check, or the bench fails. *Time over
  the slowest place's own* is the duration of a check in the front's log minus the longest of the
  three jobs in the logs of the vantage points; checks follow one another on {one_at_a_time}
  connections of their own per round, and the figure of a round is their median. Then wrk sends
  checks from {vantage_clients} connections, to the front and to a service without other places.
  After each round, nats-server is killed (`kill -9`) and started again {down} s later; the time is
  that from this start to the last `connected` in the logs of the four services.
  A *vantage point of several processes* is the only place of a front; the processor time of all its
  processes, without that of front and nats-server, is divided by the jobs.
""".strip()


def method_text(facts):
    text = METHOD.format(**facts)
    paragraphs = re.split(r"\n(?=- )|\n\n", text)
    lines = []
    for paragraph in paragraphs:
        indent = "  " if paragraph.startswith("- ") else ""
        lines.append(textwrap.fill(" ".join(paragraph.split()), 92, subsequent_indent=indent,
                                   break_on_hyphens=False, break_long_words=False))
        lines.append("" if not indent else None)
    return "\n".join(line for line in lines if line is not None)


def page(rows, facts):
    """The Markdown of docs/benchmarks.md."""
    now = datetime.datetime.now(datetime.timezone.utc)
    about = {"Date": now.strftime("%Y-%m-%d, %H:%M UTC"),
             "Command": f"`{facts['command']}`", **machine(), "Versions": facts["versions"],
             "Load of the machine before the start": facts["load"]}
    described = "\n".join(f"- {name}: {value}" for name, value in about.items())
    settings = "\n".join(f"| `{name}` | `{value}` |"
                         for name, value in facts["settings"].items())
    sizes = "\n".join("| " + " | ".join(cells) + " |" for cells in facts["sizes"])
    return f"""# Benchmarks

How fast `port-checker` is, and what it costs in processor time and memory. `./dev bench` generates this page; do not edit it.

{described}

{table(rows)}

{verdict(rows)}

## Processor time of a probe by the size of the job

| ports in a check | per check | per probe | without the request | engine alone |
|---|---|---|---|---|
{sizes}

## Changed settings

| setting | value |
|---|---|
{settings}

All other settings have their defaults. The log is on (one line per check, to a file).

## What is measured and how

{method_text(facts)}
"""
