"""What every benchmark says: rows of one shape, as a table and as JSON."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One figure with its interval (or range over runs) and what it is the mean of."""

    bench: str
    case: str
    metric: str
    value: float
    low: float
    high: float
    n: int
    unit: str = ""


def estimated(bench: str, case: str, metric: str, values: np.ndarray) -> Row:
    """The mean of values per request, with its bootstrap interval."""
    from zhiyin.evaluate.bootstrap import estimate  # not for benches that only send requests

    e = estimate(values)
    return Row(bench, case, metric, e.value, e.low, e.high, e.n)


def cpu_used_s() -> float:
    """User and system seconds of this process, all its threads and its finished children."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def show(rows: Iterable[Row], title: str = "") -> None:
    """Print one line per case and one column per metric, in the order of appearance."""
    given = list(rows)
    metrics = list(dict.fromkeys(row.metric for row in given))
    table = Table("case", *metrics, title=title or None, title_justify="left")
    for case in dict.fromkeys(row.case for row in given):
        found = {row.metric: row for row in given if row.case == case}
        table.add_row(case, *(_cell(found.get(metric)) for metric in metrics))
    Console(width=200).print(table)


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    digits = 4 if abs(row.value) < 10 else 1
    interval = f" [{row.low:.{digits}f}, {row.high:.{digits}f}]" if row.low < row.value or row.high > row.value else ""
    return f"{row.value:.{digits}f}{interval}"


def write(rows: Iterable[Row], path: Path | None) -> None:
    """All rows as a JSON list; nothing without a path."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
