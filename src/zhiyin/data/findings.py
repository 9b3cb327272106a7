"""What a check found: facts, findings with a remedy each, as text, JSON and one page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from zhiyin.page.page import Page
from zhiyin.page.plots import Plot

Severity = Literal["info", "warn", "bad"]
WORDS: dict[Severity, str] = {"bad": "BAD", "warn": "look", "info": "note"}


@dataclass(frozen=True)
class Finding:
    """One sentence about the data, how serious, and what to do. ``topic`` is a stable short name."""

    severity: Severity
    topic: str
    sentence: str
    remedy: str = ""


@dataclass(frozen=True)
class Findings:
    """The result of ``check``: worst findings first.

    ``columns`` has one row per column: table, column, type, missing_share, n_distinct.
    """

    name: str
    facts: Mapping[str, Any]
    findings: tuple[Finding, ...]
    columns: pl.DataFrame
    plots: tuple[tuple[Plot, str], ...] = ()  # with a caption each

    @property
    def worst(self) -> Severity:
        return self.findings[0].severity if self.findings else "info"

    def of(self, topic: str) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.topic == topic)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        said = [{"severity": f.severity, "topic": f.topic, "sentence": f.sentence, "remedy": f.remedy} for f in self.findings]
        return {"name": self.name, "facts": dict(self.facts), "findings": said, "columns": self.columns.to_dicts()}

    def to_text(self) -> str:
        """Facts, then one line per finding with its remedy under it."""
        wide = max((len(k) for k in self.facts), default=0)
        lines = [f"{self.name}", *(f"  {k:<{wide}}  {_shown(v)}" for k, v in self.facts.items()), ""]
        for f in self.findings:
            lines.append(f"[{WORDS[f.severity]}] {f.sentence}")
            if f.remedy:
                lines.append(f"       {f.remedy}")
        return "\n".join(lines if self.findings else [*lines, "Nothing stands out."]) + "\n"

    def to_page(self) -> Page:
        """One self-contained page: what to look at first, then plots, then every column."""
        page = Page(f"Check of {self.name}", "What is in these tables, and what deserves a look before a model learns from them.")
        page.facts({k: _shown(v) for k, v in self.facts.items()})
        page.heading("Findings")
        for f in self.findings:
            page.note(f.sentence, f.severity, f.remedy)
        if not self.findings:
            page.text("Nothing stands out.")
        if self.plots:
            page.heading("Pictures")
            for plot, caption in self.plots:
                page.plot(plot, caption)
        page.heading("Columns")
        page.table(
            ["table", "column", "type", "missing %", "different values"],
            [(r["table"], r["column"], r["type"], round(100 * r["missing_share"], 1), r["n_distinct"]) for r in self.columns.to_dicts()],
        )
        return page


def many(n: int, noun: str) -> str:
    """ "1 item", "2,000 items"."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
