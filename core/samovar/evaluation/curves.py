"""Curves: the course of a training as a small SVG picture, without a plotting library."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from samovar.errors import InputError

WIDTH, HEIGHT, MARGIN = 640, 300, 44
COLOURS = ("#1f6fb4", "#c2571a", "#2d8a4e", "#8a3fa0")

Curves = dict[str, list[tuple[float, float]]]


def read_curves(file: Path) -> Curves:
    """Columns of a CSV against its column ``step``; columns that leave 0…1 are left out.

    Raises:
        InputError: no such table.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))
        steps = [float(row["step"]) for row in rows]
        curves: Curves = {}
        for name in rows[0] if rows else ():
            points = [
                (s, float(row[name])) for s, row in zip(steps, rows, strict=True) if row[name]
            ]
            if name not in ("step", "minutes") and all(0 <= v <= 1 for _, v in points):
                curves[name] = points
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{file} is no table of curves with a column 'step': {error}") from error
    return curves


def draw_curves(curves: Mapping[str, Sequence[tuple[float, float]]], title: str) -> str:
    """An SVG with one line a curve over 0…1."""
    last = max((x for points in curves.values() for x, _ in points), default=1.0) or 1.0
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{MARGIN}" y="20" font-size="14">{title}</text>',
    ]
    for tick in range(6):
        y = _y(tick / 5)
        parts.append(f'<path d="M{MARGIN} {y:.1f}H{WIDTH - MARGIN}" stroke="#ddd"/>')
        parts.append(
            f'<text x="{MARGIN - 8}" y="{y + 4:.1f}" text-anchor="end">{tick / 5:.1f}</text>'
        )
        x = MARGIN + tick / 5 * (WIDTH - 2 * MARGIN)
        label = f"{last * tick / 5:.0f}"
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 22}" text-anchor="middle">{label}</text>')
    parts.append(f'<text x="{WIDTH / 2:.0f}" y="{HEIGHT - 6}" text-anchor="middle">step</text>')
    for i, (name, points) in enumerate(curves.items()):
        colour = COLOURS[i % len(COLOURS)]
        path = " ".join(f"{_x(x, last):.1f},{_y(v):.1f}" for x, v in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        place = f'x="{MARGIN + 150 * (i + 1)}" y="20" fill="{colour}"'
        parts.append(f"<text {place}>{name.replace('_', ' ')}</text>")
    return "\n".join([*parts, "</svg>\n"])


def _x(step: float, last: float) -> float:
    return MARGIN + step / last * (WIDTH - 2 * MARGIN)


def _y(value: float) -> float:
    return HEIGHT - MARGIN - value * (HEIGHT - 2 * MARGIN)
