"""Plots for pages and files: one restrained style, the same bytes for the same numbers.

Every function returns a ``Plot``; nothing is drawn (and matplotlib is not imported) before
``svg()`` or ``save()``. NaN values are left out.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from zhiyin.base.arrays import AnyArray
from zhiyin.base.errors import ConfigError, DataError
from zhiyin.page.style import ACCENT, GRID, INK, MUTED, PALETTE, RC, TITLE_PT, shortened, themed, tick, widest_in, width_in

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARGIN_IN, _X_AXIS_IN, _TITLE_IN = 0.12, 0.3, 0.36
_CJK_FONTS = ("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "SimHei", "PingFang SC")


@dataclass(frozen=True)
class Plot:
    """One drawing. ``left_in``, ``right_in``, ``bottom_in`` are the room kept for labels."""

    title: str
    draw: Callable[[Axes], None]
    width_in: float = 6.6
    height_in: float = 3.2
    left_in: float = 0.6
    right_in: float = 0.2
    bottom_in: float = _X_AXIS_IN

    def svg(self) -> str:
        """An ``<svg>`` element to put into HTML: deterministic, titled, follows the page's dark mode."""
        return themed(self._svg_text())

    def save(self, path: str | Path) -> Path:
        """Write ``.svg`` or ``.png`` (by the ending); any other ending raises ``ConfigError``."""
        path = Path(path)
        if path.suffix.lower() not in (".svg", ".png"):
            raise ConfigError(f"a plot cannot be saved as '{path.name}'", "End the name in .svg or .png.")
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == ".svg":
            path.write_text('<?xml version="1.0" encoding="utf-8"?>\n' + self._svg_text(), encoding="utf-8")
        else:
            path.write_bytes(self._rendered("png"))
        return path

    def _repr_svg_(self) -> str:
        return self._svg_text()

    def _svg_text(self) -> str:
        svg = self._rendered("svg").decode("utf-8")
        svg = svg[svg.index("<svg") :]
        svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
        # Names of groups repeat from plot to plot, and an id may stand only once in a page.
        svg = re.sub(r'<g id="[^"]*"', "<g", svg)
        svg = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", svg)
        return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(self.title)}" ', 1)

    def _rendered(self, kind: str) -> bytes:
        import matplotlib as mpl
        from matplotlib.figure import Figure

        rc = {**RC, "font.family": ["DejaVu Sans", *(_installed_cjk_fonts() if kind == "png" else [])]}
        out = io.BytesIO()
        with mpl.rc_context(rc), warnings.catch_warnings():  # type: ignore[arg-type]
            warnings.filterwarnings("ignore", message="Glyph .* missing")  # the browser brings the font
            figure = Figure(figsize=(self.width_in, self.height_in))
            self._fill(figure)
            metadata: dict[str, Any] = {"Title": self.title} | ({"Date": None} if kind == "svg" else {"Software": None})
            figure.savefig(out, format=kind, dpi=160, transparent=kind == "svg", metadata=metadata)
        return out.getvalue()

    def _fill(self, figure: Figure) -> None:
        top = _TITLE_IN if self.title else _MARGIN_IN
        wide, high = self.width_in - self.left_in - self.right_in, self.height_in - top - self.bottom_in
        axes = figure.add_axes((self.left_in / self.width_in, self.bottom_in / self.height_in, wide / self.width_in, high / self.height_in))
        self.draw(axes)
        if self.title:
            y = 1 - 0.1 / self.height_in
            figure.text(_MARGIN_IN / self.width_in, y, self.title, fontsize=TITLE_PT, fontweight="bold", va="top")


def bars(
    labels: Sequence[str],
    values: ArrayLike,
    lows: ArrayLike | None = None,
    highs: ArrayLike | None = None,
    *,
    title: str = "",
    x_label: str = "",
) -> Plot:
    """Horizontal bars, first label on top, with whiskers from ``lows`` to ``highs`` where given.

    Use it for one number per name; for several numbers per name see ``grouped_bars``.
    """
    return _bar_plot(labels, {"": _floats(values)}, {"": (lows, highs)}, title, x_label)


def grouped_bars(
    labels: Sequence[str],
    series: Mapping[str, ArrayLike],
    intervals: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    *,
    title: str = "",
    x_label: str = "",
) -> Plot:
    """Per label one bar of each series, side by side; ``intervals`` gives (lows, highs) by series name."""
    return _bar_plot(labels, {k: _floats(v) for k, v in series.items()}, dict(intervals or {}), title, x_label)


def _bar_plot(
    labels: Sequence[str],
    series: Mapping[str, AnyArray],
    intervals: Mapping[str, tuple[ArrayLike | None, ArrayLike | None]],
    title: str,
    x_label: str,
) -> Plot:
    shown = [shortened(str(label), 46) for label in labels]
    for values in series.values():
        _same_length(title, "labels", len(shown), "values", len(values))
    thick = 0.8 / max(len(series), 1)

    def draw(axes: Axes) -> None:
        for i, (name, values) in enumerate(series.items()):
            y = np.arange(len(values)) - 0.4 + thick * (i + 0.5)
            axes.barh(y, values, height=thick * 0.88, color=PALETTE[i % len(PALETTE)], label=name)
            low, high = intervals.get(name, (None, None))
            if low is not None and high is not None:
                axes.hlines(y, _floats(low), _floats(high), color=INK, linewidth=1.1)
        axes.set_yticks(range(len(shown)), shown)
        axes.set_ylim(len(shown) - 0.45, -0.55)
        axes.tick_params(axis="y", labelcolor=INK)
        axes.spines["bottom"].set_visible(False)
        _finish(axes, x_label, "", grid="x", numbers="x")
        _legend(axes, list(series))

    height = _TITLE_IN + _bottom(x_label) + 0.1 + len(shown) * max(0.27, 0.17 * len(series) + 0.08)
    left, right = widest_in(shown) + 0.3, _legend_in(list(series)) or 0.3
    return Plot(title, draw, height_in=max(height, 1.2), left_in=left, right_in=right, bottom_in=_bottom(x_label))


def lines(
    x: ArrayLike,
    series: Mapping[str, ArrayLike],
    *,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    log_x: bool = False,
    log_y: bool = False,
    markers: bool = False,
) -> Plot:
    """One line per series over ``x`` (numbers or datetime64)."""
    at = np.asarray(x)
    columns = {name: _floats(values) for name, values in series.items()}
    for name, values in columns.items():
        _same_length(title, "x", len(at), f"series '{name}'", len(values))

    def draw(axes: Axes) -> None:
        for i, (name, values) in enumerate(columns.items()):
            axes.plot(at, values, color=PALETTE[i % len(PALETTE)], label=name, marker="o" if markers else None, markersize=4)
        if log_x:
            axes.set_xscale("log")
        if log_y:
            axes.set_yscale("log")
        timed = np.issubdtype(at.dtype, np.datetime64)
        _finish(axes, x_label, y_label, grid="y", numbers="y" if timed else "xy")
        if timed:
            if len(at) and at.min() == at.max():  # matplotlib would show years around a single moment
                axes.set_xlim(at[0] - np.timedelta64(1, "D"), at[0] + np.timedelta64(1, "D"))
            _date_ticks(axes)
        _legend(axes, list(columns))

    return Plot(title, draw, left_in=_left(y_label), right_in=_legend_in(list(columns)) or 0.25, bottom_in=_bottom(x_label))


def scatter(
    x: ArrayLike,
    y: ArrayLike,
    labels: Sequence[str] = (),
    lows: ArrayLike | None = None,
    highs: ArrayLike | None = None,
    *,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    log_x: bool = False,
    log_y: bool = False,
) -> Plot:
    """Named points (labels are placed where they do not cover each other), with y whiskers where given."""
    xs, ys = _floats(x), _floats(y)
    _same_length(title, "x", len(xs), "y", len(ys))
    if labels:
        _same_length(title, "x", len(xs), "labels", len(labels))

    def draw(axes: Axes) -> None:
        if log_x:
            axes.set_xscale("log")
        if log_y:
            axes.set_yscale("log")
        if log_x and len(xs) and xs.min() == xs.max():
            axes.set_xlim(xs[0] / 10, xs[0] * 10)  # one place has no width on a log axis: matplotlib would warn
        if lows is not None and highs is not None:
            axes.vlines(xs, _floats(lows), _floats(highs), color=MUTED, linewidth=1.0)
        colours = [PALETTE[i % len(PALETTE)] for i in range(len(xs))] if labels else ACCENT
        axes.scatter(xs, ys, s=34 if labels else 14, c=colours, zorder=3, alpha=None if labels else 0.6)
        axes.margins(x=0.16 if labels else 0.04, y=0.16 if labels else 0.06)
        _finish(axes, x_label, y_label, grid="both", numbers="xy")
        _place_labels(axes, xs, ys, [shortened(str(label), 24) for label in labels])

    return Plot(title, draw, height_in=3.6, left_in=_left(y_label), bottom_in=_bottom(x_label))


Intervals = Mapping[str, tuple[ArrayLike, ArrayLike]]
"""(lows, highs) by the name of a series."""


def trade_off(
    x: Mapping[str, ArrayLike],
    y: Mapping[str, ArrayLike],
    labels: Sequence[str],
    x_intervals: Intervals | None = None,
    y_intervals: Intervals | None = None,
    *,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
) -> Plot:
    """A path per series through its points in order, with whiskers both ways; ``labels`` name the points of the first.

    Use it for two numbers that move together when something is turned; for points without an order see ``scatter``.
    """
    columns = {name: (_floats(x[name]), _floats(values)) for name, values in y.items()}
    for name, (xs, ys) in columns.items():
        _same_length(title, f"x of '{name}'", len(xs), "y", len(ys))
        _same_length(title, f"x of '{name}'", len(xs), "labels", len(labels))

    def draw(axes: Axes) -> None:
        for i, (name, (xs, ys)) in enumerate(columns.items()):
            colour = PALETTE[i % len(PALETTE)]
            if y_intervals and name in y_intervals:
                low, high = y_intervals[name]
                axes.vlines(xs, _floats(low), _floats(high), color=MUTED, linewidth=0.9)
            if x_intervals and name in x_intervals:
                low, high = x_intervals[name]
                axes.hlines(ys, _floats(low), _floats(high), color=MUTED, linewidth=0.9)
            axes.plot(xs, ys, color=colour, label=name, marker="o", markersize=4, zorder=3)
        axes.margins(x=0.1, y=0.12)
        _finish(axes, x_label, y_label, grid="both", numbers="xy")
        if columns:
            xs, ys = next(iter(columns.values()))
            seen = np.isfinite(xs) & np.isfinite(ys)
            _place_labels(axes, xs[seen], ys[seen], [label for label, shown in zip(labels, seen, strict=True) if shown])
        _legend(axes, list(columns))

    right = _legend_in(list(columns)) or 0.25
    return Plot(title, draw, height_in=3.8, left_in=_left(y_label), right_in=right, bottom_in=_bottom(x_label))


def histogram(
    values: ArrayLike,
    *,
    bins: int = 30,
    log_x: bool = False,
    log_y: bool = False,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
) -> Plot:
    """How often values fall between edges; with ``log_x`` the edges grow by a constant factor (values above 0)."""
    given = _floats(values)
    given = given[np.isfinite(given) & ((given > 0) | (not log_x))]
    counts, edges = np.zeros(0), np.zeros(1)
    if len(given):
        low, high = float(given.min()), float(given.max())
        high = high if high > low else low + 1
        edges = np.geomspace(low, high, bins + 1) if log_x else np.linspace(low, high, bins + 1)
        edges[-1] = max(edges[-1], high)
        edges[0] = min(edges[0], low)
        counts, edges = np.histogram(given, edges)

    def draw(axes: Axes) -> None:
        axes.bar(edges[:-1], counts, width=np.diff(edges) * 0.94, align="edge", color=ACCENT)
        if log_x:
            axes.set_xscale("log")
        if log_y and len(counts):
            axes.set_yscale("log")
        _finish(axes, x_label, y_label, grid="y", numbers="xy")

    return Plot(title, draw, height_in=2.7, left_in=_left(y_label), bottom_in=_bottom(x_label))


def heatmap(
    matrix: ArrayLike,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    title: str = "",
    x_label: str = "",
    annotate: bool = False,
) -> Plot:
    """A grid of shades, deeper where the value (n_rows, n_columns) is higher; ``annotate`` prints the numbers."""
    cells = np.atleast_2d(_floats(matrix))
    _same_length(title, "rows", len(rows), "matrix rows", cells.shape[0])
    _same_length(title, "columns", len(columns), "matrix columns", cells.shape[1])
    low, high = (float(np.nanmin(cells)), float(np.nanmax(cells))) if np.isfinite(cells).any() else (0.0, 1.0)
    shade = np.nan_to_num((cells - min(low, 0.0)) / ((high - min(low, 0.0)) or 1.0))
    shown = [shortened(str(r), 28) for r in rows]
    step = max(1, len(columns) // 24)

    def draw(axes: Axes) -> None:
        from matplotlib.collections import PolyCollection
        from matplotlib.colors import to_rgb

        n, m = cells.shape
        corners = [[(j, i), (j + 1, i), (j + 1, i + 1), (j, i + 1)] for i in range(n) for j in range(m)]
        # One colour at many opacities reads on a light page and on a dark one.
        fills = np.column_stack([np.tile(to_rgb(ACCENT), (n * m, 1)), 0.05 + 0.95 * shade.ravel()])
        axes.add_collection(PolyCollection(corners, facecolors=fills, edgecolors="none"))
        axes.set(xlim=(0, m), ylim=(n, 0))
        axes.set_yticks(np.arange(n) + 0.5, shown)
        axes.set_xticks(np.arange(0, m, step) + 0.5, [str(c) for c in columns][::step])
        axes.tick_params(axis="y", labelcolor=INK)
        axes.spines[:].set_visible(False)
        axes.set_xlabel(x_label)
        if annotate:
            for i, j in np.argwhere(np.isfinite(cells)):
                colour = "#ffffff" if shade[i, j] > 0.55 else INK
                axes.text(j + 0.5, i + 0.5, tick(float(cells[i, j])), ha="center", va="center", fontsize=8, color=colour)

    height = _TITLE_IN + _bottom(x_label) + 0.05 + 0.26 * max(len(shown), 2)
    return Plot(title, draw, height_in=height, left_in=widest_in(shown) + 0.3, bottom_in=_bottom(x_label))


def _floats(values: ArrayLike) -> AnyArray:
    return np.asarray(values, dtype=np.float64)


def _same_length(title: str, one: str, n_one: int, other: str, n_other: int) -> None:
    if n_one != n_other:
        raise DataError(f"plot '{title}' has {n_one} {one} but {n_other} {other}", "Give one for each.")


def _left(y_label: str) -> float:
    return 0.78 if y_label else 0.6


def _bottom(x_label: str) -> float:
    return _X_AXIS_IN + (0.2 if x_label else 0.0)


def _legend_in(names: Sequence[str]) -> float:
    """Room for the legend at the right; 0 when there is nothing to tell apart."""
    return widest_in([shortened(n, 28) for n in names]) + 0.5 if len(names) > 1 else 0.0


def _legend(axes: Axes, names: Sequence[str]) -> None:
    if len(names) > 1:
        handles = axes.get_legend_handles_labels()[0]
        names = [shortened(n, 28) for n in names]
        axes.legend(handles, names, loc="upper left", bbox_to_anchor=(1.01, 1.02), frameon=False, borderaxespad=0.0, handlelength=1.2)


def _finish(axes: Axes, x_label: str, y_label: str, *, grid: str, numbers: str) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(visible=True, axis=grid, color=GRID)  # type: ignore[arg-type]
    for axis in (axes.xaxis, axes.yaxis):
        if axis.axis_name in numbers:
            axis.set_major_formatter(FuncFormatter(lambda value, _at: tick(value)))
            axis.set_minor_formatter(NullFormatter())


def _date_ticks(axes: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(maxticks=8)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))  # type: ignore[no-untyped-call]


def _place_labels(axes: Axes, xs: AnyArray, ys: AnyArray, labels: Sequence[str]) -> None:
    """Beside, above or below its point: the first place where no other point or label stands."""
    figure = axes.get_figure()
    if figure is None or not labels:
        return
    axes.autoscale_view()
    points = axes.transData.transform(np.column_stack([xs, ys]))  # pixels
    unit = figure.dpi / 72
    taken = [(x - 3 * unit, y - 3 * unit, x + 3 * unit, y + 3 * unit) for x, y in points]
    for (x, y), label, at in zip(points, labels, zip(xs, ys, strict=True), strict=True):
        wide, high = width_in(label) * figure.dpi, 11 * unit
        spots = [(6, 0, "left"), (-6, 0, "right"), (0, 10, "center"), (0, -10, "center"), (6, 12, "left"), (6, -12, "left")]
        boxes = []
        for dx, dy, align in spots:
            left = x + dx * unit - {"left": 0.0, "right": wide, "center": wide / 2}[align]
            boxes.append((left, y + dy * unit - high / 2, left + wide, y + dy * unit + high / 2))
        free = [i for i, box in enumerate(boxes) if not any(_overlap(box, other) for other in taken)]
        dx, dy, align = spots[free[0] if free else 0]
        taken.append(boxes[free[0] if free else 0])
        axes.annotate(label, at, xytext=(dx, dy), textcoords="offset points", ha=align, va="center")


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _installed_cjk_fonts() -> list[str]:
    from matplotlib import font_manager

    installed = {font.name for font in font_manager.fontManager.ttflist}
    return [name for name in _CJK_FONTS if name in installed]
