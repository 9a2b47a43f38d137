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


def table(*rows):
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def held(figure):
    """Entries of connection tracking that one check a second holds at a place."""
    seconds = figure["checks"] / figure["rate"]
    if figure["kind"] == "filtered":
        assert seconds < SYN_SENT  # so none had ended, and a check is there for so long
        return figure["tracked_most"] / figure["checks"] * SYN_SENT
    return figure["tracked_usual"] / figure["rate"]


def measured(figures):
    def row(what, show):
        return [what, *map(show, figures)]
    return table(
        row("one check", lambda one: f"{one['kind']} ports"),
        row("providers", lambda one: f"{one['checks'] + one['busy']:,}"),
        row("answered with 503: too busy", lambda one: f"{one['busy']:,}"),
        row("checks per second", lambda one: f"{one['rate']:.1f}"),
        row("wrong verdicts, all places and ports", lambda one: f"{one['wrong']}"),
        row("answers of a place that came too late", lambda one: f"{one['missing']}"),
        row("checks without a quorum for that reason", lambda one: f"{one['undecided']}"),
        row("time: median, p99",
            lambda one: f"{1e3 * one['p50']:,.0f} ms, {1e3 * one['p99']:,.0f} ms"),
        row("processor: its front", lambda one: f"{1e3 * one['front']:.1f} ms"),
        row("processor: each place", lambda one: f"{1e3 * one['place'] / PLACES:.1f} ms"),
        row("processor: nats-server", lambda one: f"{1e3 * one['nats']:.1f} ms"),
        row("SYNs: its front", lambda one: f"{one['own_syns']:,.0f}"),
        row("SYNs: each place", lambda one: f"{one['place_syns'] / PLACES:,.0f}"),
        row("bytes of IP packets that its front sends to the ports",
            lambda one: f"{one['own_bytes']:,.0f}"),
        row("bytes of the HTTP reply", lambda one: f"{one['reply_bytes']:,.0f}"),
        row("conntrack entries of a place: usual, most",
            lambda one: f"{one['tracked_usual']:,.0f}, {one['tracked_most']:,}"),
        row("NATS messages in, out", lambda one: f"{one['in_msgs']:.2f}, {one['out_msgs']:.2f}"),
        row("NATS bytes in, out", lambda one: f"{one['in_bytes']:,.0f}, {one['out_bytes']:,.0f}"))


def workers(seconds):
    """Processes of one worker that do this at the planned load."""
    return math.ceil(CHECKS * seconds / LOAD)


def planned(figures):
    def row(what, show):
        return [what, *map(show, figures)]
    return table(
        row("if all providers have", lambda one: f"{one['kind']} ports"),
        row("processors: fronts", lambda one: f"{CHECKS * one['front']:.1f}"),
        row("processors: each place", lambda one: f"{CHECKS * one['place'] / PLACES:.1f}"),
        row("processors: NATS", lambda one: f"{CHECKS * one['nats']:.2f}"),
        row("front processes", lambda one: f"{workers(one['front'])}"),
        row("processes of each place", lambda one: f"{workers(one['place'] / PLACES)}"),
        row("SYNs per second: all fronts, and each place",
            lambda one: f"{CHECKS * one['own_syns']:,.0f}"),
        row("conntrack entries: all processes of a place",
            lambda one: f"{CHECKS * held(one):,.0f}"),
        row("NATS messages per second, in and out",
            lambda one: f"{CHECKS * (one['in_msgs'] + one['out_msgs']):,.0f}"),
        row("NATS Mbit/s, in and out",
            lambda one: f"{CHECKS * 8e-6 * (one['in_bytes'] + one['out_bytes']):,.0f}"),
        row("probes, Mbit/s sent by the fronts, and by each place",
            lambda one: f"{CHECKS * 8e-6 * one['own_bytes']:,.1f}"),
        row("HTTP replies, Mbit/s", lambda one: f"{CHECKS * 8e-6 * one['reply_bytes']:,.0f}"))


PAGE = """# A million providers

`./dev scale` generates this page; do not edit it.

- Date: {date}
- Command: `{command}`
- Machine: {processor}; {kernel}; load before the start {before}
- Peak memory of a process: front {front_mib:.0f} MB, place {place_mib:.0f} MB, nats-server {nats_mib:.0f} MB

The command plays {providers:,} providers. Each asks from its own address to have its own {ports} ports checked (7466 and
50800-50900), with `details`. Two fronts and three vantage points with one worker each answer, all with their default limits,
joined by one nats-server with TLS and keys. Everything is in network namespaces of one machine, and the processors carry the
providers' side as well. Connections are tracked, as behind a stateful firewall. Checks start at a fixed rate, whether earlier
ones have ended or not. Every verdict of every place about every port is compared with what the port does; `wrong verdicts` must
be 0, or the command fails.

## Measured

{measured}

## A million providers, each checked once an hour

That is {providers_m:,} / 3,600 = {checks:.1f} checks per second, and {probes:,.0f} probes per second from each of the four places. The
table multiplies the figures above with {checks:.1f}. Processes have one worker each, and are planned for {load:.0%} of a processor.
More workers in fewer processes do the same.

{planned}

Providers of different kinds add up in proportion: with a share *s* of filtered ports, each figure is (1 - *s*) times its
column for open ports plus *s* times its column for filtered ones.

- **Conntrack.** An entry of an open port is kept for 10 s, so what was usually held is divided by the rate. The filtered
  ports were played for less than the {syn_sent} s that their entries are kept, so the most is divided by the checks, and multiplied by
  {syn_sent} s. All fronts together have as many for their probes, and one for each HTTP connection, which is kept for
  120 s after its end (`nf_conntrack_tcp_timeout_time_wait`). `..._syn_sent = 30` divides them by four ([deploy.md](deploy.md#firewall-and-conntrack)).
- **Budgets.** A caller has 1,200 ports a minute at its front, and a target has as many at each process of a place, so {ports} an
  hour are far below. A process of a place probes at most 256 × 1,200 ports a minute for one front ([vantage.md](vantage.md#trust)),
  {front_ports:,.0f} a second. A million providers need {probes:,.0f}: the number of front *names* times the number of processes of each
  place must be at least {products}, or `PORT_CHECKER_RATE` of the vantage points must be higher.
- **NATS.** A check is {places} messages in and out to the places, and {places} answers in and out to the front. The rest are heartbeats.

## What it costs in money

With a price per processor and month *c*, and a price per GB sent *g*:

    processors = ({checks:.1f} × (front + {places} × place + nats)) / {load}        seconds of processor for a check, as measured
    GB sent    = {checks:.1f} × {month:,} × (4 × probes + reply + NATS out + NATS in) / 1e9      bytes for a check, as measured
    per month  = processors × c + GB sent × g

| if all providers have | processors | GB sent in a month |
|---|---|---|
{money}

Providers that ask only for what has changed, without `details`, cost less; that is not measured here.

## What this does not say

- The round trips are those of one machine. Longer ones keep sockets and checks for longer.
- No provider proved its listeners: requests had no token. With one, a probe of an open port is a whole connection.
- IPv6, several nats-servers, several workers, and machines with more processors were not measured. `./dev test vantage` has a
  cluster of three servers; `./dev bench --only vantage` compares 1, 2 and 4 processes of one place.
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
        measured=measured(figures), planned=planned(figures), providers_m=PROVIDERS,
        checks=CHECKS, probes=CHECKS * PORTS, load=LOAD, syn_sent=SYN_SENT, places=PLACES,
        front_ports=FRONT_PORTS, products=math.ceil(CHECKS * PORTS / FRONT_PORTS), month=MONTH,
        money="\n".join(map(money_row, figures)))
