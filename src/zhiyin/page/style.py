"""The one look of every plot: colours, type sizes, and how wide a text will be in a browser."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable

INK, MUTED, GRID = "#20242c", "#667080", "#d9dde4"
PALETTE = ("#2f6db5", "#d9772b", "#3a9a6b", "#a3508f", "#b8902a", "#4aa3b8", "#c2504a", "#6b6f7d")
ACCENT = PALETTE[0]

TITLE_PT, TEXT_PT = 11.0, 9.0

RC: dict[str, object] = {
    "svg.fonttype": "none",  # text stays text: the browser has the fonts for Chinese, matplotlib may not
    "svg.hashsalt": "zhiyin",  # equal plots give equal bytes
    "font.size": TEXT_PT,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": False,
    "text.color": INK,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "xtick.minor.size": 0.0,
    "ytick.minor.size": 0.0,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.8,
    "patch.linewidth": 0.0,
}

_VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--line", **{c: f"--c{i}" for i, c in enumerate(PALETTE)}}


def width_in(text: str, points: float = TEXT_PT) -> float:
    """Inches a text takes: wide characters one em, others .56 em (measuring needs no font this way)."""
    ems = sum(1.0 if unicodedata.east_asian_width(c) in "WF" else 0.56 for c in text)
    return ems * points / 72


def widest_in(texts: Iterable[str], points: float = TEXT_PT) -> float:
    return max((width_in(t, points) for t in texts), default=0.0)


def shortened(text: str, limit: int = 36) -> str:
    """The text, or its beginning with an ellipsis; a wide character counts twice."""
    room = limit
    for i, c in enumerate(text):
        room -= 2 if unicodedata.east_asian_width(c) in "WF" else 1
        if room < 0:
            return text[: max(i - 1, 1)] + "…"
    return text


def number(value: float) -> str:
    """A number as people read it: 12,345 or 0.1234; empty for NaN."""
    if math.isnan(value):
        return ""
    if math.isinf(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.4f}" if abs(value) < 1 else f"{value:,.2f}" if abs(value) < 100 else f"{value:,.1f}"


def tick(value: float) -> str:
    """A number at an axis, short: 0.05, 20k, 3M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size * (10 if letter == "k" else 1):
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def themed(svg: str) -> str:
    """Colours become CSS variables with the printed colour as fallback, so a dark page recolours the plot."""
    for colour, name in _VARIABLES.items():
        svg = re.sub(re.escape(colour), f"var({name}, {colour})", svg, flags=re.IGNORECASE)
    return svg
