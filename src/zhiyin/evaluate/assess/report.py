"""An assessment for people: one page of text, or one HTML page with plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING

import numpy as np

from zhiyin.evaluate.assess.measure import METRIC, OURS, Answer
from zhiyin.evaluate.assess.without import EVERYBODY
from zhiyin.evaluate.report import table as text_table

if TYPE_CHECKING:
    from zhiyin.evaluate.assess.measure import Assessment, Gain
    from zhiyin.evaluate.assess.without import Addition
    from zhiyin.page.page import Page, Severity
    from zhiyin.page.plots import Plot

GAIN_COLUMNS = ("requests", "n", "instead of", "rule", "zhiyin", "gain", "in percent")
SEVERITY: Mapping[Answer, Severity] = {"worth it": "good", "worth it for new things": "warn", "not worth it here": "bad"}
ADDED_COLUMNS = ("what", "where", "without", "adds", "in words")


def header(a: Assessment) -> str:
    """What any figure below means nothing without."""
    return f"{a.data}: {a.note}; full ranking; n = {a.n:,}; {METRIC} [95% interval], paired on the same requests"


def measured(a: Assessment) -> str:
    """How the figures came about, and what they leave out."""
    return (
        f"Quick models were fitted on the past of the split and asked on its test requests; no fit saw a test answer. '{OURS}' is the "
        "default blend without its sequence model and with one text model, so a full training gains rather more. Gains are paired "
        "differences on the same requests, intervals by bootstrap over requests; those of slices are not corrected for being several. "
        f"It counts as worth it when the gain over every simple rule is above zero for sure and at least {a.worth:.0%} of what the rule "
        "reaches. Past behaviour was made without these recommendations: only an experiment with real people says what they would buy. "
        f"This assessment took {a.cpu_s:,.0f} CPU s ({a.minutes:.1f} minutes)."
    )


def takes(a: Assessment) -> str:
    """Minutes and memory of the full training, and where they come from."""
    c = a.cost
    memory = "" if np.isnan(c.peak_gb) else f" and {c.peak_gb:.1f} GB of memory (the peak of this assessment: its steps were of full size)"
    return f"zhiyin train: at most about {_minutes(c.cpu_minutes)} of one processor core{memory}. It is made of {c.how}."


def as_text(a: Assessment) -> str:
    from rich.console import Console

    out = StringIO()
    console = Console(file=out, width=140, color_system=None, highlight=False, markup=False)
    console.print(a.verdict.sentence)
    console.print()
    console.print(header(a))
    finds = ", ".join(f"{name} {_of_100(a, name)}" for name in a.hits)
    console.print(f"Of 100 people, so many find something they really chose among ten items: {finds}")
    console.print(text_table(GAIN_COLUMNS, [_gain_cells(g) for g in a.gains], ("instead of",)))
    console.print("What adds how much (the quick recommender with and without it)")
    console.print(text_table(ADDED_COLUMNS, [_added_cells(x) for x in a.additions], ("where", "in words")))
    console.print(takes(a))
    console.print()
    console.print(measured(a))
    return out.getvalue()


def as_page(a: Assessment) -> Page:
    from zhiyin.page.page import Page

    page = Page(f"Is it worth it? {a.data}", header(a))
    page.note(a.verdict.sentence, SEVERITY[a.verdict.answer])
    cost = {"full training, at most": _minutes(a.cost.cpu_minutes)}
    if not np.isnan(a.cost.peak_gb):
        cost["memory"] = f"{a.cost.peak_gb:.1f} GB"
    page.facts({**{name: f"{value:,}" for name, value in a.facts.items()}, **cost})
    page.heading("Expected gain")
    page.text("Of 100 people, so many find something they really chose among ten items:")
    page.facts({name: _of_100(a, name) for name in a.hits})
    for rule in dict.fromkeys(g.rule for g in a.gains):
        gains = [g for g in a.gains if g.rule == rule]
        page.plot(_gain_plot(rule, gains), "With its 95% interval. Left of zero the rule is better.")
        page.table([c for c in GAIN_COLUMNS if c != "instead of"], [_gain_cells(g)[:2] + _gain_cells(g)[3:] for g in gains])
    page.heading("What adds how much")
    if any(x.difference is not None for x in a.additions):
        page.plot(_added_plot(a), f"Difference in {METRIC} of the quick recommender with and without it.")
    page.table(ADDED_COLUMNS, [_added_cells(x) for x in a.additions])
    page.heading("What it takes")
    page.text(takes(a))
    page.heading("How this was measured")
    return page.text(measured(a))


def _gain_cells(g: Gain) -> list[str]:
    low, high = g.interval
    d = g.difference
    percent = f"{g.relative:+.0%} [{low:+.0%}, {high:+.0%}]" if np.isfinite(g.relative) else "from nothing"
    gain = f"{d.value:+.4f} [{d.low:+.4f}, {d.high:+.4f}]"
    return [g.label, f"{g.n:,}", g.rule, f"{g.of_rule.value:.4f}", f"{g.ours.value:.4f}", gain, percent]


def _added_cells(x: Addition) -> list[str]:
    if x.difference is None:
        return [x.what, "-", "-", "not measured", x.why]
    d = x.difference
    unsure = "may be nothing: " if d.low <= 0 <= d.high and d.low < d.high else ""
    return [x.what, x.where, f"{x.without:.4f}", f"{d.value:+.4f} [{d.low:+.4f}, {d.high:+.4f}]", unsure + x.why]


def _gain_plot(rule: str, gains: Sequence[Gain]) -> Plot:
    from zhiyin.page.plots import bars

    found = [g.difference for g in gains]
    labels = [f"{g.label} (n = {g.n:,})" for g in gains]
    return bars(labels, [d.value for d in found], [d.low for d in found], [d.high for d in found], title=f"Gain over '{rule}', {METRIC}")


def _added_plot(a: Assessment) -> Plot:
    from zhiyin.page.plots import bars

    asked = [(x, x.difference) for x in a.additions if x.difference is not None]
    labels = [x.what if x.where == EVERYBODY else f"{x.what}, {x.where.split(' (')[0]}" for x, _ in asked]
    lows, highs = [d.low for _, d in asked], [d.high for _, d in asked]
    return bars(labels, [d.value for _, d in asked], lows, highs, title=f"Adds to {METRIC}")


def _of_100(a: Assessment, name: str) -> str:
    return f"{100 * a.hits[name].value:.0f}"


def _minutes(value: float) -> str:
    return "a minute" if value <= 1 else f"{value:.0f} minutes" if value < 120 else f"{value / 60:.1f} hours"
