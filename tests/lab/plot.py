# SPDX-License-Identifier: MIT
"""Plots as SVG, written by hand: logarithmic heights, a mark and a colour for each tool."""
import math
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 84, 150, 48, 62
LABEL_WIDTH = 26

# Colours that stay apart for most kinds of colour blindness, darkest for this service.
STYLES = {
    "port-checker": ("#0b4f8a", "circle"),
    "nmap -T4": ("#d55e00", "square"),
    "nmap careful": ("#b03a86", "diamond"),
    "plain rule": ("#00795a", "triangle"),
    "masscan": ("#6b6b6b", "wedge"),
}


@dataclass
class Axis:
    title: str
    low: float
    high: float
    ticks: tuple  # (value, text)
    log: bool = True

    def share(self, value):
        if not self.log:
            return (value - self.low) / (self.high - self.low)
        value = min(max(value, self.low), self.high)
        return math.log(value / self.low) / math.log(self.high / self.low)


def x_of(axis, value):
    return LEFT + axis.share(value) * (WIDTH - LEFT - RIGHT)


def y_of(axis, value):
    return HEIGHT - BOTTOM - axis.share(value) * (HEIGHT - TOP - BOTTOM)


def text(x, y, words, anchor="middle", size=12, fill="#222", more=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
            f'fill="{fill}" {more}>{escape(words)}</text>')


def mark(x, y, tool, hollow=False):
    colour, shape = STYLES[tool]
    paint = f'fill="{"white" if hollow else colour}" stroke="{colour}" stroke-width="2"'
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" {paint}/>'
    points = {
        "square": ((-5, -5), (5, -5), (5, 5), (-5, 5)),
        "diamond": ((0, -6), (6, 0), (0, 6), (-6, 0)),
        "triangle": ((0, -6), (6, 5), (-6, 5)),
        "wedge": ((-6, -5), (6, -5), (0, 6)),
    }[shape]
    corners = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in points)
    return f'<polygon points="{corners}" {paint}/>'


def frame(title, across, up):
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" role="img" aria-label="{escape(title)}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        text(LEFT, 26, title, "start", 15, more='font-weight="bold"'),
        text((LEFT + right) / 2, HEIGHT - 16, across.title, size=13),
        text(20, (TOP + bottom) / 2, up.title, size=13,
             more=f'transform="rotate(-90 20 {(TOP + bottom) / 2})"'),
    ]
    for value, words in up.ticks:
        y = y_of(up, value)
        lines.append(f'<path d="M{LEFT} {y:.1f}H{right}" stroke="#ddd"/>')
        lines.append(text(LEFT - 8, y + 4, words, "end"))
    for value, words in across.ticks:
        x = x_of(across, value)
        lines.append(f'<path d="M{x:.1f} {bottom}v5" stroke="#222"/>')
        lines.append(text(x, bottom + 20, words))
    lines.append(f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="#222"/>')
    return lines


def legend(tools):
    lines = []
    for row, tool in enumerate(tools):
        y = TOP + 12 + 24 * row
        lines.append(mark(WIDTH - RIGHT + 22, y, tool))
        lines.append(text(WIDTH - RIGHT + 36, y + 4, tool, "start", 13))
    return lines


def labels(places, points, colour):
    """One label for neighbours in a series whose own labels would overlap."""
    groups = []  # [place of the last, first label, last label]
    for (x, y), (_, _, _, label) in zip(places, points):
        if not label:
            continue
        if groups and abs(x - groups[-1][0][0]) < LABEL_WIDTH and abs(y - groups[-1][0][1]) < 12:
            groups[-1][0], groups[-1][2] = (x, y), label
        else:
            groups.append([(x, y), label, label])
    return [text(x + 8, y - 8, first if first == last else f"{first} - {last}", "start", 10,
                 colour) for (x, y), first, last in groups]


def chart(title, across, up, series, notes=()):
    """`series`: tool -> [(x, y, is_hollow, label)] in the order of their line."""
    lines = frame(title, across, up)
    for tool, points in series.items():
        colour, _ = STYLES[tool]
        places = [(x_of(across, x), y_of(up, y)) for x, y, _, _ in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}" '
                     'stroke-width="1.5" opacity="0.6"/>')
        for (x, y), (_, _, hollow, _) in zip(places, points):
            lines.append(mark(x, y, tool, hollow))
        lines += labels(places, points, colour)
    lines += legend(series)
    for row, note in enumerate(notes):
        lines.append(text(WIDTH - RIGHT + 14, TOP + 24 * len(series) + 30 + 15 * row, note,
                          "start", 11, "#555"))
    return "\n".join([*lines, "</svg>", ""])
