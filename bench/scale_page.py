# SPDX-License-Identifier: MIT
"""docs/scale.md: what scale.py has measured, and what it makes of a million providers."""
import datetime
import math

PORTS = 102
PROVIDERS = 1000000
CHECKS = PROVIDERS / 3600  # a second
LOAD = 0.5        # of a processor, that is planned for
SYN_SENT = 120    # seconds: nf_conntrack_tcp_timeout_syn_sent
FRONT_PORTS = 256 * 1200 / 60  # a second: what a process of a place probes for one front
PLACES = 3
MONTH = 3600 * 730  # seconds


def held(figure):
    """Entries of connection tracking that one check a second holds at a place."""
    seconds = figure["checks"] / figure["rate"]
    if figure["kind"] == "filtered":
        assert seconds < SYN_SENT  # so none had ended, and a check is there for so long
        return figure["tracked_most"] / figure["checks"] * SYN_SENT
    return figure["tracked_usual"] / figure["rate"]


def workers(seconds):
    """Processes of one worker that do this at the planned load."""
    return math.ceil(CHECKS * seconds / LOAD)


def shown(one):
    """The figures of one kind of ports, as the tables show them: of a check, and of all checks in a
    second."""
    place, messages = one["place"] / PLACES, one["in_msgs"] + one["out_msgs"]
    return {**one, "asked": one["checks"] + one["busy"],
            "p50_ms": 1e3 * one["p50"], "p99_ms": 1e3 * one["p99"],
            "front_ms": 1e3 * one["front"], "place_ms": 1e3 * place, "nats_ms": 1e3 * one["nats"],
            "each_syns": one["place_syns"] / PLACES,
            "fronts": CHECKS * one["front"], "places": CHECKS * place, "brokers": CHECKS * one["nats"],
            "front_count": workers(one["front"]), "place_count": workers(place),
            "syns": CHECKS * one["own_syns"], "held": CHECKS * held(one),
            "messages": CHECKS * messages,
            "nats_mbit": CHECKS * 8e-6 * (one["in_bytes"] + one["out_bytes"]),
            "probes_mbit": CHECKS * 8e-6 * one["own_bytes"],
            "replies_mbit": CHECKS * 8e-6 * one["reply_bytes"]}


MEASURED = {
    "one check": "{kind} ports",
    "providers": "{asked:,}",
    "answered with 503: too busy": "{busy:,}",
    "checks per second": "{rate:.1f}",
    "wrong verdicts, all places and ports": "{wrong}",
    "answers of a place that came too late": "{missing}",
    "checks without a quorum for that reason": "{undecided}",
    "time: median, p99": "{p50_ms:,.0f} ms, {p99_ms:,.0f} ms",
    "processor: its front": "{front_ms:.1f} ms",
    "processor: each place": "{place_ms:.1f} ms",
    "processor: nats-server": "{nats_ms:.1f} ms",
    "SYNs: its front": "{own_syns:,.0f}",
    "SYNs: each place": "{each_syns:,.0f}",
    "bytes of IP packets that its front sends to the ports": "{own_bytes:,.0f}",
    "bytes of the HTTP reply": "{reply_bytes:,.0f}",
    "conntrack entries of a place: usual, most": "{tracked_usual:,.0f}, {tracked_most:,}",
    "NATS messages in, out": "{in_msgs:.2f}, {out_msgs:.2f}",
    "NATS bytes in, out": "{in_bytes:,.0f}, {out_bytes:,.0f}",
}
PLANNED = {
    "if all providers have": "{kind} ports",
    "processors: fronts": "{fronts:.1f}",
    "processors: each place": "{places:.1f}",
    "processors: NATS": "{brokers:.2f}",
    "front processes": "{front_count}",
    "processes of each place": "{place_count}",
    "SYNs per second: all fronts, and each place": "{syns:,.0f}",
    "conntrack entries: all processes of a place": "{held:,.0f}",
    "NATS messages per second, in and out": "{messages:,.0f}",
    "NATS Mbit/s, in and out": "{nats_mbit:,.0f}",
    "probes, Mbit/s sent by the fronts, and by each place": "{probes_mbit:,.1f}",
    "HTTP replies, Mbit/s": "{replies_mbit:,.0f}",
}


def table(rows, figures):
    kinds = list(map(shown, figures))
    lines = ["| " + " | ".join([what, *(cell.format(**kind) for kind in kinds)]) + " |"
             for what, cell in rows.items()]
    return "\n".join([lines[0], "|---" * (len(kinds) + 1) + "|", *lines[1:]])


PAGE = """# A million providers

What it takes to check a million providers every hour from several [places](vantage.md). `./dev scale` generates this page; do
not edit it.

- Date: {date}
- Command: `{command}`
- Machine: {processor}; {kernel}; load before the start {before}
- Peak memory of a process: front {front_mib:.0f} MB, place {place_mib:.0f} MB, nats-server {nats_mib:.0f} MB

The command plays {providers:,} providers. Each asks from its own address to have its own {ports} ports checked (7466 and
50800-50900), with `details`. Two fronts and three vantage points with one worker each answer, all with their default limits,
joined by one nats-server with TLS and keys. Everything is in network namespaces of one machine, and the processors carry the
providers' side as well. The `proved` ports are open, too: their requests have a token, and each listener proves itself to each
place. Connections are tracked, as behind a stateful firewall. Checks start at a fixed rate, whether earlier ones have ended or not.
Every verdict of every place about every port is compared with the true state of the port; `wrong verdicts` must be 0, or the
command fails.

## Measured

{measured}

## A million providers, each checked once an hour

That is {providers_m:,} / 3,600 = {checks:.1f} checks per second, and {probes:,.0f} probes per second from each of the four places. The
table multiplies the figures above by {checks:.1f}. Processes have one worker each, and are planned for {load:.0%} of a processor.
Fewer processes with more workers do the same.

{planned}

Providers of different kinds add up in proportion: with a share *s* of filtered ports, each figure is (1 - *s*) times its
column for open ports plus *s* times its column for filtered ones.

- **Conntrack.** An entry of an open port is kept for 10 s, so the usual number is divided by the rate. The run with filtered
  ports took less than the {syn_sent} s that their entries are kept, so the largest number is divided by the number of checks, and multiplied by
  {syn_sent} s. All fronts together have as many for their probes, and one more for each HTTP connection, which is kept for
  120 s after its end (`nf_conntrack_tcp_timeout_time_wait`). `..._syn_sent = 30` divides them by four ([deploy.md](deploy.md#firewall-and-conntrack)).
- **Budgets.** A caller may check 1,200 ports a minute at its front, where its {ports} count once for each of the four places, and each
  process of a place allows 1,200 for a target, so one check an hour is far below the limit. A process of a place probes at most
  256 × 1,200 ports a minute for one front ([vantage.md](vantage.md#trust)),
  {front_ports:,.0f} a second. A million providers need {probes:,.0f}: the number of front *names* times the number of processes of each
  place must be at least {products}, or `PORT_CHECKER_RATE` of the vantage points must be higher.
- **NATS.** A check is {places} messages in and out to the places, and {places} answers in and out to the front. The rest are
  heartbeats, and questions to places that are late ([vantage.md](vantage.md#setting-it-up)).

## What it costs in money

With a price *c* per processor and month, and a price *g* per GB sent:

    processors = ({checks:.1f} × (front + {places} × place + nats)) / {load}        processor seconds per check, as measured
    GB sent    = {checks:.1f} × {month:,} × (4 × probes + reply + NATS out + NATS in) / 1e9      bytes per check, as measured
    per month  = processors × c + GB sent × g

| if all providers have | processors | GB sent in a month |
|---|---|---|
{money}

Checks without `details`, or of fewer ports, cost less; that was not measured.

## What this does not say

- Round-trip times are those of one machine. With longer ones, sockets and checks last longer.
- IPv6, several nats-servers, several workers, and machines with more processors were not measured. `./dev test vantage` has a
  cluster of three servers; `./dev bench vantage` compares 1, 2 and 4 processes of one place.
"""


def money_row(one):
    processors = CHECKS * (one["front"] + one["place"] + one["nats"]) / LOAD
    sent = 4 * one["own_bytes"] + one["reply_bytes"] + one["in_bytes"] + one["out_bytes"]
    return f"| {one['kind']} ports | {processors:.0f} | {CHECKS * MONTH * sent / 1e9:,.0f} |"


def page(figures, memory, options, machine):
    now = datetime.datetime.now(datetime.timezone.utc)
    command = "./dev scale"
    if options.providers != 10000:
        command += f" --providers {options.providers}"
    if options.rate != 30:
        command += f" --rate {options.rate:g}"
    return PAGE.format(
        date=now.strftime("%Y-%m-%d, %H:%M UTC"), command=command,
        processor=machine["Processor"], kernel=machine["Kernel"],
        before=machine["Load"], providers=sum(one["checks"] + one["busy"] for one in figures), ports=PORTS,
        front_mib=memory["front"], place_mib=memory["place"], nats_mib=memory["nats"],
        measured=table(MEASURED, figures), planned=table(PLANNED, figures), providers_m=PROVIDERS,
        checks=CHECKS, probes=CHECKS * PORTS, load=LOAD, syn_sent=SYN_SENT, places=PLACES,
        front_ports=FRONT_PORTS, products=math.ceil(CHECKS * PORTS / FRONT_PORTS), month=MONTH,
        money="\n".join(map(money_row, figures)))
