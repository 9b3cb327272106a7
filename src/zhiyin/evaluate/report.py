"""A comparison for people: tables in the terminal, a notebook, one HTML page with plots."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from io import StringIO
from typing import TYPE_CHECKING

import numpy as np

from zhiyin.evaluate.bootstrap import Difference, Estimate

if TYPE_CHECKING:
    from rich.table import Table

    from zhiyin.evaluate.compare import Comparison, SliceRow
    from zhiyin.page.page import Page
    from zhiyin.page.plots import Plot

_COLUMN = 20  # characters of a cell with its interval on the second line


def header(c: Comparison) -> str:
    """What any figure below means nothing without."""
    return f"{c.data}: {c.note}; full ranking; n = {c.n:,}; mean [95% interval]"


def against_line(c: Comparison) -> str:
    """How to read the differences."""
    return f"Difference to {c.against} on the same requests; p by Holm over {len(c.differences)} models within each metric; * below .05"


def as_text(c: Comparison, width: int) -> str:
    from rich.console import Console

    out = StringIO()
    console = Console(file=out, width=width, color_system=None, highlight=False, markup=False)
    console.print(header(c))
    wide = max(1, (width - max(map(len, (*c.models, "model"))) - 8) // _COLUMN)
    for part in _parts(c.metrics, wide):
        rows = [[name, *(_two_lines(c.estimates[name][m]) for m in part)] for name in c.models]
        console.print(table(["model", *part], rows))
    if any(name in c.train_cpu_s for name in c.models) or c.users_per_cpu_s:
        rows = [[name, _seconds(c.train_cpu_s.get(name)), f"{c.users_per_cpu_s[name]:,.0f}"] for name in c.models]
        console.print(table(["model", "train CPU s", "requests per CPU s"], rows))
    if c.differences:
        console.print(against_line(c))
        accuracy = [m for m in c.metrics if m in next(iter(c.differences.values()))]
        for part in _parts(accuracy, wide):
            rows = [[name, *(_difference(c.differences[name][m]) for m in part)] for name in c.differences]
            console.print(table(["model", *part], rows))
    for name in dict.fromkeys(row.slice for row in c.slices):
        of = [row for row in c.slices if row.slice == name]
        console.print(f"{c.sliced} by {name}")
        for part in _parts(c.models, wide):
            rows = [[f"{row.label} (n = {row.n:,})", *(_two_lines(row.estimates[m][c.sliced]) for m in part)] for row in of]
            console.print(table([name, *part], rows))
    return out.getvalue()


def as_html_table(c: Comparison) -> str:
    """The main table alone, for a notebook."""
    head = "".join(f"<th>{escape(name)}</th>" for name in ("model", *c.metrics))
    body = "".join(
        f"<tr><td>{escape(name)}</td>{''.join(f'<td>{_html_cell(c.estimates[name][m])}</td>' for m in c.metrics)}</tr>" for name in c.models
    )
    return f"<p>{escape(header(c))}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def as_page(c: Comparison) -> Page:
    from zhiyin.page.page import Page

    page = Page(f"Comparison on {c.data}", header(c))
    best = c.models[0]
    page.facts({"requests": f"{c.n:,}", "models": str(len(c.models)), f"best by {c.primary}": best})
    return add_comparison(page, c)


def add_comparison(page: Page, c: Comparison) -> Page:
    """Tables and plots at the end of a page that has more to say."""
    page.heading("All metrics")
    for part in _parts(c.metrics, 5):
        page.table(["model", *part], [[name, *(str(c.estimates[name][m]) for m in part)] for name in c.models], strong=_winners(c, part))
    page.plot(_metric_plot(c), f"{c.primary} with its 95% interval")
    if c.differences:
        page.heading(f"Difference to {c.against}")
        page.text(against_line(c) + ".")
        tested = list(next(iter(c.differences.values())))
        for part in _parts(tested, 4):
            page.table(["model", *part], [[name, *(_difference(found[m], " ") for m in part)] for name, found in c.differences.items()])
    if c.slices:
        page.heading("For whom")
    for name in dict.fromkeys(row.slice for row in c.slices):
        of = [row for row in c.slices if row.slice == name]
        page.plot(_slice_plot(c, name, of), f"{c.sliced} by {name}")
        page.table(
            [name, "n", *c.models],
            [[row.label, row.n, *(str(row.estimates[m][c.sliced]) for m in c.models)] for row in of],
        )
    page.heading("Cost and reach")
    costs = [[name, _seconds(c.train_cpu_s.get(name)), f"{c.users_per_cpu_s[name]:,.0f}"] for name in c.models]
    page.table(["model", "train CPU s", "requests per CPU s"], costs)
    for plot in (_time_plot(c), _coverage_plot(c)):
        if plot is not None:
            page.plot(plot)
    return page


def _winners(c: Comparison, part: Sequence[str]) -> set[tuple[int, int]]:
    """Cells of the best mean in each column."""
    from zhiyin.evaluate.metrics.registry import metric

    out = set()
    for column, name in enumerate(part, start=1):
        values = np.array([c.estimates[model][name].value for model in c.models])
        if bool(np.isnan(values).all()):
            continue
        out.add((int(np.nanargmin(values) if metric(name).less_is_better else np.nanargmax(values)), column))
    return out


def _metric_plot(c: Comparison) -> Plot:
    from zhiyin.page.plots import bars

    found = [c.estimates[name][c.primary] for name in c.models]
    has_interval = bool(found) and not np.isnan(found[0].low)
    lows, highs = ([e.low for e in found], [e.high for e in found]) if has_interval else (None, None)
    return bars(c.models, [e.value for e in found], lows, highs, title=c.primary)


def _slice_plot(c: Comparison, name: str, rows: Sequence[SliceRow]) -> Plot:
    from zhiyin.page.plots import grouped_bars

    found = {model: [row.estimates[model][c.sliced] for row in rows] for model in c.models}
    return grouped_bars(
        [f"{row.label} (n = {row.n:,})" for row in rows],
        {model: [e.value for e in of] for model, of in found.items()},
        {model: ([e.low for e in of], [e.high for e in of]) for model, of in found.items()},
        title=f"{c.sliced} by {name}",
    )


def _time_plot(c: Comparison) -> Plot | None:
    """The first metric against training time; needs two models whose time is known."""
    from zhiyin.page.plots import scatter

    timed = [name for name in c.models if name in c.train_cpu_s]
    if len(timed) < 2:
        return None
    found = [c.estimates[name][c.primary] for name in timed]
    # A closed form may take no measurable time at all: a log axis needs something above zero.
    seconds = [max(c.train_cpu_s[name], 0.01) for name in timed]
    lows, highs = [e.low for e in found], [e.high for e in found]
    return scatter(
        seconds, [e.value for e in found], timed, lows, highs,
        title=f"{c.primary} against training time", x_label="train CPU seconds (log)", y_label=c.primary, log_x=True,
    )  # fmt: skip


def _coverage_plot(c: Comparison) -> Plot | None:
    """Coverage of the catalogue against the first metric."""
    from zhiyin.page.plots import scatter

    name = next((m for m in c.metrics if m.startswith("coverage@")), None)
    if name is None or len(c.models) < 2:
        return None
    found = [c.estimates[model][c.primary] for model in c.models]
    coverage = [c.estimates[model][name].value for model in c.models]
    lows, highs = [e.low for e in found], [e.high for e in found]
    title = f"{name} against {c.primary}"
    return scatter(coverage, [e.value for e in found], c.models, lows, highs, title=title, x_label=name, y_label=c.primary)


def _parts(names: Sequence[str], wide: int) -> list[Sequence[str]]:
    return [names[at : at + wide] for at in range(0, len(names), wide)]


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], words: Sequence[str] = ()) -> Table:
    """For a terminal; the first column and those named in ``words`` start at the left, numbers end at the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for at, name in enumerate(columns):
        table.add_column(Text(name), justify="right" if at and name not in words else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _two_lines(e: Estimate) -> str:
    value, _, interval = str(e).partition(" ")
    return f"{value}\n{interval}" if interval else value


def _html_cell(e: Estimate) -> str:
    value, _, interval = str(e).partition(" ")
    return f"{value}<br><small>{interval}</small>" if interval else value


def _difference(d: Difference, between: str = "\n") -> str:
    if np.isnan(d.value):
        return "-"
    p = "-" if np.isnan(d.p_holm) else f"{d.p_holm:.3f}".removeprefix("0") if d.p_holm >= 0.001 else "<.001"
    star = "*" if d.significant else ""
    return f"{d.value:+.4f}{star} p {p}{between}[{d.low:+.4f}, {d.high:+.4f}]"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"
