"""A feature report for people: text in the terminal, or one HTML page."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

import numpy as np

from zhiyin.evaluate.report import table as text_table
from zhiyin.models.features.leaks import MAJOR
from zhiyin.models.features.source import FAMILIES

if TYPE_CHECKING:
    from zhiyin.evaluate.features import Column, FeatureReport, Worth
    from zhiyin.page.page import Page
    from zhiyin.page.plots import Plot

COLUMNS = ("feature", "family", "coverage", "drift", "importance", "older half", "newer half")
FAMILY_COLUMNS = ("family", "features", "importance", "older half", "newer half")
SHOWN = 25
"""So many features are drawn, and printed in the terminal."""


def header(r: FeatureReport) -> str:
    """What any figure below means nothing without."""
    return f"{r.data}: {r.note}; {r.n:,} of them asked; {r.n_candidates} candidates each; ndcg@10 [95% interval]"


def summary(r: FeatureReport) -> str:
    """The quality all importances are taken from."""
    share = (
        f"{r.trust:.0%} of the order is the ranker's"
        if r.trusted
        else "the ranker is not used (it did not help in validation): asked alone"
    )
    return f"first stage {r.first}, with the ranker '{r.ranker}' {r.ndcg} ({share})"


def stability(r: FeatureReport) -> str:
    if np.isnan(r.stability):
        return "Stability: not known, a half of the requests ranks all features alike."
    firm = "the same features matter in both" if r.stability >= 0.5 else "what matters in one says little of the other: give more requests"
    return f"Stability: importances of the older and the newer half of the requests correlate by rank with {r.stability:.2f}; {firm}."


def measured(r: FeatureReport) -> str:
    """How the figures came about, and what they leave out."""
    return (
        "Coverage is the share of candidates with a value, drift the population stability index between the older and the newer half of "
        f"the validation requests (above {MAJOR} = another population; counts grow by themselves). Importance is what NDCG@10 of the final "
        "order loses on test requests when the feature's values are dealt anew over all candidates of all requests; the paired difference "
        "with its bootstrap interval, not corrected for being many. Features that say the same share their worth: each alone may seem "
        "worthless, which is why whole families are shuffled too. Leaks are looked for between validation and test rows."
    )


def as_text(r: FeatureReport) -> str:
    from rich.console import Console

    out = StringIO()
    console = Console(file=out, width=140, color_system=None, highlight=False, markup=False)
    console.print(header(r))
    console.print(summary(r))
    console.print(text_table(FAMILY_COLUMNS, [_family_cells(r, name, worth) for name, worth in r.families.items()], ()))
    console.print(text_table(COLUMNS, [_cells(column) for column in r.columns[:SHOWN]], ("family",)))
    if len(r.columns) > SHOWN:
        console.print(f"... and {len(r.columns) - SHOWN} more on the page")
    console.print(stability(r))
    for leak in r.leaks:
        console.print(f"LEAK? {leak.sentence}")
    if not r.leaks:
        console.print("No feature shows a sign of a leak.")
    return out.getvalue()


def as_page(r: FeatureReport) -> Page:
    from zhiyin.page.page import Page

    page = Page(f"Features: {r.data}", header(r))
    page.text(summary(r))
    page.heading("Leaks")
    for leak in r.leaks:
        page.note(leak.sentence, "bad", "Look at how it is computed; a sign is no proof.")
    if not r.leaks:
        page.note("No feature shows a sign of a leak.", "good")
    page.heading("The four families")
    page.plot(_family_plot(r), "What is lost when all features of a family are shuffled together, with its 95% interval.")
    page.table(FAMILY_COLUMNS, [_family_cells(r, name, worth) for name, worth in r.families.items()])
    missing = [f for f in FAMILIES if f not in r.families]
    if missing:
        page.text(f"This data has nothing for: {', '.join(missing)}.")
    page.heading("Features")
    page.plot(_column_plot(r), f"The {min(SHOWN, len(_read(r)))} that matter most. Left of zero the order is better without it.")
    page.text(stability(r))
    page.table(COLUMNS, [_numbers(column) for column in r.columns], caption="Click a column to sort by it.")
    page.heading("How this was measured")
    return page.text(measured(r))


def _read(r: FeatureReport) -> list[Column]:
    return [column for column in r.columns if column.worth]


def _cells(c: Column) -> list[str]:
    drift = "-" if np.isnan(c.drift) else f"{c.drift:.2f}"
    return [c.name, c.family, f"{c.coverage:.0%}", drift, *_worth_cells(c.worth)]


def _worth_cells(worth: Worth | None) -> list[str]:
    if worth is None:
        return ["not read", "", ""]
    d = worth.drop
    return [f"{d.value:+.4f} [{d.low:+.4f}, {d.high:+.4f}]", f"{worth.older:+.4f}", f"{worth.newer:+.4f}"]


def _numbers(c: Column) -> list[object]:
    """Cells that sort as numbers; the interval stands in the plot."""
    worth = [None, None, None] if c.worth is None else [c.worth.drop.value, c.worth.older, c.worth.newer]
    return [c.name, c.family, c.coverage, c.drift, *worth]


def _family_cells(r: FeatureReport, name: str, worth: Worth) -> list[str]:
    return [name, str(sum(c.family == name for c in r.columns)), *_worth_cells(worth)]


def _family_plot(r: FeatureReport) -> Plot:
    return _bars(list(r.families), list(r.families.values()), "Loss of ndcg@10 without a family")


def _column_plot(r: FeatureReport) -> Plot:
    shown = _read(r)[:SHOWN]
    return _bars([c.name for c in shown], [c.worth for c in shown if c.worth], "Loss of ndcg@10 without a feature")


def _bars(labels: list[str], worth: list[Worth], title: str) -> Plot:
    from zhiyin.page.plots import bars

    drops = [w.drop for w in worth]
    return bars(labels, [d.value for d in drops], [d.low for d in drops], [d.high for d in drops], title=title)
