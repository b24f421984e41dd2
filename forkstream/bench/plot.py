"""Plots as inline SVG: lines over an axis, with nothing to load from anywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import msgspec

_WIDTH, _HEIGHT = 640, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 12, 34
_COLOURS = ("#2563eb", "#dc2626", "#059669", "#9333ea", "#d97706", "#0891b2", "#be185d", "#4d7c0f")


class Line(msgspec.Struct, frozen=True):
    """One line of a plot: its name, and its points from left to right."""

    name: str
    points: Sequence[tuple[float, float]]


def plot(lines: Sequence[Line], *, unit: str, across: str, ticks: Sequence[str] = ()) -> str:
    """Draw lines from zero up. ``unit`` is that of the y axis, ``across`` names the x axis; ``ticks`` stand for 0, 1, 2…"""
    points = [point for line in lines for point in line.points]
    if not points:
        return ""
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    top = _round_up(max(y for _, y in points))

    def place(x: float, y: float) -> tuple[float, float]:
        share = (x - left) / (right - left) if right > left else 0.5
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - y / top * (_HEIGHT - _TOP - _BOTTOM)

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(unit)} over {escape(across)}">']
    for step in range(5):
        value = top * step / 4
        _, y = place(left, value)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text class="y" x="{_LEFT - 6}" y="{y + 4:.1f}">{_short(value)}</text>')
    for x, label in _marks(left, right, ticks):
        parts.append(f'<text class="x" x="{place(x, 0)[0]:.1f}" y="{_HEIGHT - _BOTTOM + 16}">{escape(label)}</text>')
    parts.append(f'<text class="x" x="{(_LEFT + _WIDTH - _RIGHT) / 2:.0f}" y="{_HEIGHT - 4}">{escape(across)}</text>')
    parts.append(f'<text class="unit" x="{_LEFT + 4}" y="{_TOP + 4}">{escape(unit)}</text>')
    for line, colour in zip(lines, _COLOURS * len(lines), strict=False):
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line.points))
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="{drawn}"/>')
        if len(line.points) < 20:
            parts += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{colour}"/>'
                for x, y in (place(*point) for point in line.points)
            ]
    return "".join([*parts, "</svg>", _legend(lines)])


def _legend(lines: Sequence[Line]) -> str:
    entries = (
        f'<span><i style="background:{colour}"></i>{escape(line.name)}</span>'
        for line, colour in zip(lines, _COLOURS * len(lines), strict=False)
    )
    return f'<p class="legend">{"".join(entries)}</p>'


def _marks(left: float, right: float, ticks: Sequence[str]) -> list[tuple[float, str]]:
    if ticks:
        return [(float(place), label) for place, label in enumerate(ticks)]
    return [(left + (right - left) * step / 4, f"{left + (right - left) * step / 4:.0f}") for step in range(5)]


def _round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 4, 5 or 8 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 2.5, 4, 5, 8, 10) if value <= step * power * 1.0001)


def _short(value: float) -> str:
    for limit, letter in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g}{letter}"
    return f"{value:g}"
