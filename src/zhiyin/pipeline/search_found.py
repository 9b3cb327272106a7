"""What a search may use and what it found: budget, trials, the best settings, as text, JSON, TOML and a table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from zhiyin.base.errors import ConfigError
from zhiyin.data.tables import toml_key, toml_value
from zhiyin.models.roles import ModelSpec


@dataclass(frozen=True, slots=True)
class Budget:
    """``trials`` and ``cpu_minutes`` in all, those before an interruption included; None = no limit."""

    trials: int | None = None
    cpu_minutes: float | None = None

    @classmethod
    def parse(cls, said: str) -> Budget:
        """``"30"`` trials, ``"20m"`` or ``"1.5h"`` of processor time, ``"30,20m"`` whichever ends first."""
        trials, minutes = None, None
        for part in said.replace(" ", "").lower().split(","):
            number = re.fullmatch(r"(\d+(?:\.\d+)?)(m|min|h)?", part)
            value = float(number[1]) if number else 0.0
            if number is None or not value or (number[2] is None and not value.is_integer()):
                raise ConfigError(f"--search {said} is no budget", "Say a number of trials (30), CPU minutes (20m), or both (30,20m).")
            if number[2] is None:
                trials = int(value)
            else:
                minutes = value * (60 if number[2] == "h" else 1)
        return cls(trials, minutes)

    def over(self, trials: int, spent_s: float) -> bool:
        return (self.trials is not None and trials >= self.trials) or (self.cpu_minutes is not None and spent_s >= 60 * self.cpu_minutes)

    def share(self, trials: int, spent_s: float, left: int) -> Budget:
        """What one of ``left`` searches may use after so much was used."""
        return Budget(
            None if self.trials is None else (self.trials - trials) // left,
            None if self.cpu_minutes is None else max(self.cpu_minutes - spent_s / 60, 0.0) / left,
        )


@dataclass(frozen=True, slots=True)
class Tried:
    """One trial. ``value`` is NDCG@10 on validation, None where there is none; ``how`` says why:
    done, repeated (settings tried before: costs nothing), pruned (hopeless), or the words of a failure."""

    part: str
    settings: Mapping[str, Any]
    value: float | None
    cpu_s: float
    how: str


@dataclass(frozen=True, slots=True)
class Part:
    """What came of one model: the default's quality, the best one's, and its settings."""

    name: str
    default: float
    best: float
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Found:
    """``spec`` is what to train; the rest says how it was found."""

    spec: ModelSpec
    parts: tuple[Part, ...]
    tried: tuple[Tried, ...]
    n_validation: int

    @property
    def cpu_s(self) -> float:
        """Processor seconds of all trials, earlier sittings included."""
        return sum(t.cpu_s for t in self.tried)

    def to_text(self) -> str:
        """What a person wants to know of a search."""
        pruned = sum(t.how == "pruned" for t in self.tried)
        lines = [
            f"search: {len(self.tried)} trials ({pruned} pruned as hopeless) in {self.cpu_s:,.1f} CPU s, "
            f"by ndcg@10 on {self.n_validation:,} validation requests; the test was not looked at"
        ]
        for part in self.parts:
            said = ", ".join(f"{k} = {toml_value(_rounded(v))}" for k, v in part.settings.items() if v is not None)
            lines.append(
                f"  {part.name}: {part.default:.4f} by default, "
                + (f"{part.best:.4f} with {said}" if said else "and nothing better was found")
            )
        if len(self.parts) > 1:
            lines.append("  Parts are searched one by one; the model weighs them afterwards.")
        if self.spec.kind == "two-stage":
            lines.append("  Of the two stages only the first was searched: the ranker learns from the requests that trials are judged by.")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        parts = [{"part": p.name, "default": p.default, "best": p.best, "settings": dict(p.settings)} for p in self.parts]
        return {
            "trials": len(self.tried), "pruned": sum(t.how == "pruned" for t in self.tried), "cpu_s": self.cpu_s,
            "metric": "ndcg@10 on validation", "n": self.n_validation, "parts": parts, "best": self.spec.described(),
        }  # fmt: skip

    def table(self) -> pl.DataFrame:
        """All trials in the order they were made; settings as JSON text."""
        rows = [(t.part, i, t.value, round(t.cpu_s, 2), t.how, toml_value(t.settings)) for i, t in enumerate(self.tried)]
        return pl.DataFrame(rows, schema=["model", "trial", "validation_ndcg@10", "cpu_s", "how", "settings"], orient="row")

    def to_toml(self) -> str:
        """The best settings as a file that ``--model`` takes."""
        head = f"# found by zhiyin train --search: {len(self.tried)} trials, {self.cpu_s:,.0f} CPU s, judged by validation\n"
        values = self.spec.described()
        parts = values.pop("parts", ())
        return head + _toml_lines(values) + "".join(f"\n[[parts]]\n{_toml_lines(part)}" for part in parts)


def _toml_lines(values: Mapping[str, Any]) -> str:
    return "".join(f"{toml_key(k)} = {toml_value(v)}\n" for k, v in values.items() if v is not None)


def _rounded(value: Any) -> Any:
    return float(f"{value:.3g}") if isinstance(value, float) else value


def write_found(found: Found, out: Path) -> None:
    """``best.toml`` and ``trials.csv`` in ``out``, which is not the model's own folder: saving replaces that whole."""
    (out / "best.toml").write_text(found.to_toml(), encoding="utf-8")
    found.table().write_csv(out / "trials.csv")
