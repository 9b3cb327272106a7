"""Progress of a fit on a terminal, from the rows a Run reports; plain lines where nobody watches."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zhiyin.data.run import Report

_SHOWN = ("epoch", "loss", "validation", "best")


@contextmanager
def progress() -> Iterator[Report]:
    """A Report to hand to ``Run``: bars on stderr with time left, or one line per finished epoch."""
    if not sys.stderr.isatty():
        yield _line
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        SpinnerColumn(),
        "{task.description}",
        BarColumn(),
        "{task.completed:.0f}/{task.total:.0f}",
        TextColumn("{task.fields[said]}"),
    )
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def report(row: Mapping[str, Any]) -> None:
            stage = str(row.get("stage", "work"))
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=float(row.get("of", 1)), said="")
            bars.update(tasks[stage], completed=float(row.get("step", 0)), total=float(row.get("of", 1)), said=_said(row))

        yield report


def _line(row: Mapping[str, Any]) -> None:
    if "epoch" in row or "note" in row:
        said = "  ".join(part for part in (str(row.get("note", "")), _said(row)) if part)
        print(f"{row.get('stage', 'work')}: {said}", file=sys.stderr, flush=True)


def _said(row: Mapping[str, Any]) -> str:
    shown = ((name, row.get(name)) for name in _SHOWN)
    return "  ".join(f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}" for name, value in shown if value is not None)
