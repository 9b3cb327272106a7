"""A sweep for people: tables in the terminal, one HTML page with the curve of every model."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from typing import TYPE_CHECKING

import numpy as np

from zhiyin.evaluate.metrics.registry import metric
from zhiyin.evaluate.report import table

if TYPE_CHECKING:
    from zhiyin.evaluate.bootstrap import Difference, Estimate
    from zhiyin.evaluate.sweep import Sweep
    from zhiyin.page.page import Page
    from zhiyin.page.plots import Plot

_COLUMN = 20  # characters of a cell with its interval on the second line


def header(s: Sweep) -> str:
    """What any figure below means nothing without."""
    return f"{s.data}: {s.note}; {s.knob} from 0 to 1 over {s.depth} candidates; n = {s.n:,}; mean [95% interval]"


def change_line(s: Sweep) -> str:
    """How to read the changes."""
    return (
        f"Change of {s.metrics[0]} to the model's own lists, on the same requests; * where p < .05 (Holm over {len(s.values) - 1} settings)"
    )


def as_text(s: Sweep, width: int) -> str:
    from rich.console import Console

    out = StringIO()
    console = Console(file=out, width=width, color_system=None, highlight=False, markup=False)
    console.print(header(s))
    console.print(change_line(s))
    wide = max(1, (width - _COLUMN - 12) // _COLUMN)
    for model in s.models:
        console.print(f"\n{model}")
        for at in range(0, len(s.metrics), wide):
            part = s.metrics[at : at + wide]
            first = ["change"] if at == 0 else []
            console.print(table([s.knob, *_with_change(part, first)], _rows(s, model, part, first, "\n")))
    return out.getvalue()


def as_page(s: Sweep) -> Page:
    from zhiyin.page.page import Page

    page = Page(f"{s.knob} against {s.metrics[0]} on {s.data}", header(s))
    free = {model: f"{s.values[best_at_no_cost(s, model)]:g}" for model in s.models}
    page.facts({"requests": f"{s.n:,}", **{f"{s.knob} of {model} at no real loss": value for model, value in free.items()}})
    page.text(f"{change_line(s)}. Points are settings of {s.knob}; the model's own lists are at 0.")
    for name in s.metrics[1:]:
        page.plot(_curve(s, name), f"{s.metrics[0]} against {name}, for every setting of {s.knob}")
    for model in s.models:
        page.heading(model)
        for at in range(0, len(s.metrics), 4):
            part = s.metrics[at : at + 4]
            first = ["change"] if at == 0 else []
            page.table([s.knob, *_with_change(part, first)], _rows(s, model, part, first, " "))
    return page


def best_at_no_cost(s: Sweep, model: str) -> int:
    """The last of the settings from 0 on none of which loses significantly by the first metric."""
    judged = metric(s.metrics[0])
    sign = -1.0 if judged.less_is_better else 1.0
    for i, found in enumerate(s.differences[model]):
        against = found.get(s.metrics[0])
        if against is not None and against.significant and sign * against.value < 0:
            return i - 1
    return len(s.values) - 1


def _with_change(part: Sequence[str], first: Sequence[str]) -> list[str]:
    return [part[0], *first, *part[1:]]


def _rows(s: Sweep, model: str, part: Sequence[str], first: Sequence[str], between: str) -> list[list[str]]:
    rows = []
    for i, value in enumerate(s.values):
        cells = [_cell(s.estimates[model][i][m], between) for m in part]
        change = [_change(s.differences[model][i].get(s.metrics[0]), between)] if first else []
        rows.append([f"{value:g}", cells[0], *change, *cells[1:]])
    return rows


def _cell(e: Estimate, between: str) -> str:
    return str(e).replace(" [", f"{between}[", 1)


def _change(d: Difference | None, between: str) -> str:
    if d is None or np.isnan(d.value):
        return "-"
    return f"{d.value:+.4f}{'*' if d.significant else ''}{between}[{d.low:+.4f}, {d.high:+.4f}]"


def _curve(s: Sweep, name: str) -> Plot:
    from zhiyin.page.plots import trade_off

    def along(model: str, metric_name: str) -> list[Estimate]:
        return [found[metric_name] for found in s.estimates[model]]

    def bounds(metric_name: str) -> dict[str, tuple[list[float], list[float]]]:
        found = {model: along(model, metric_name) for model in s.models}
        return {model: ([e.low for e in of], [e.high for e in of]) for model, of in found.items() if not np.isnan(of[0].low)}

    judged = s.metrics[0]
    return trade_off(
        {model: [e.value for e in along(model, name)] for model in s.models},
        {model: [e.value for e in along(model, judged)] for model in s.models},
        [f"{value:g}" for value in s.values],
        bounds(name), bounds(judged),
        title=f"{judged} against {name}", x_label=name, y_label=judged,
    )  # fmt: skip
