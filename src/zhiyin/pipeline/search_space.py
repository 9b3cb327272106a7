"""Which settings ``train --search`` tries, and between what: one table, read from top to bottom.

A setting that is written in the person's TOML file is his decision: it stays, whatever the table says.
Every range contains the default, because the first trial of a search is the default itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

Value = str | float | int | bool | None


class Suggests(Protocol):
    """Whatever draws values from ranges; Optuna's trial does."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = ...) -> float: ...

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = ...) -> int: ...

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value: ...


class Knob(Protocol):
    """A setting that can be searched."""

    def suggested(self, trial: Suggests, name: str) -> Value: ...


@dataclass(frozen=True, slots=True)
class Between:
    """Any number of a range; ``log`` where doubling means as much at both ends."""

    low: float
    high: float
    log: bool = False

    def suggested(self, trial: Suggests, name: str) -> float:
        return trial.suggest_float(name, self.low, self.high, log=self.log)


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number of a range, both ends included."""

    low: int
    high: int
    log: bool = False

    def suggested(self, trial: Suggests, name: str) -> int:
        return trial.suggest_int(name, self.low, self.high, log=self.log)


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few values."""

    values: tuple[Value, ...]

    def suggested(self, trial: Suggests, name: str) -> Value:
        return trial.suggest_categorical(name, self.values)


_DECAY = Between(0.3, 1.0)
_YES_NO = OneOf((False, True))

SPACES: Mapping[str, Mapping[str, Knob]] = {
    "popular": {
        "half_life_days": OneOf((None, 3.0, 7.0, 14.0, 30.0, 60.0, 120.0, 365.0)),
    },
    "buy-again": {
        "half_life_days": Between(15.0, 1500.0, log=True),
        "history_decay": Between(0.8, 1.0),
        "shrink": Between(1.0, 300.0, log=True),
    },
    "item-neighbours": {
        "weighting": OneOf(("cosine", "tfidf", "bm25")),
        "k": Whole(20, 500, log=True),
        "shrink": Between(1.0, 1000.0, log=True),
        "history_decay": _DECAY,
    },
    "user-neighbours": {
        "weighting": OneOf(("cosine", "tfidf", "bm25")),
        "k": Whole(20, 500, log=True),
        "shrink": Between(1.0, 300.0, log=True),
        "history_decay": _DECAY,
    },
    "transitions": {
        "last": Whole(1, 40, log=True),
        "history_decay": _DECAY,
        "reach": Whole(1, 20, log=True),
        "gap_decay": Between(0.4, 1.0),
        "backward": Between(0.0, 1.0),
        "row_power": Between(0.0, 1.0),
        "column_power": Between(0.0, 0.6),
    },
    "ease": {
        "l2": Between(1.0, 5000.0, log=True),
        "history_decay": _DECAY,
    },
    "factors": {
        "dim": OneOf((32, 64, 128, 192)),
        "alpha": Between(0.5, 50.0, log=True),
        "history_decay": _DECAY,
    },
    "content": {
        "history_decay": _DECAY,
    },
    "text-neighbours": {
        "power": Between(1.0, 32.0, log=True),
        "history_decay": _DECAY,
    },
    "text-ease": {
        "l2": Between(5.0, 2000.0, log=True),
        "neighbours": Whole(5, 200, log=True),
        "power": Between(1.0, 16.0, log=True),
        "own": Between(0.0, 1.0),
        "ridge_l2": Between(0.05, 50.0, log=True),
        "history_decay": _DECAY,
    },
    "sequence": {
        "dim": OneOf((64, 128, 192)),
        "layers": Whole(1, 3),
        "dropout": Between(0.05, 0.6),
        "id_dropout": Between(0.0, 0.4),
        "shared_items": _YES_NO,
        "score": OneOf(("dot", "bilinear", "cosine")),
        "learning_rate": Between(3e-4, 4e-3, log=True),
        "batch_size": OneOf((16, 32, 64)),
    },
}
"""By kind of model. The default model has no settings of its own: its parts are searched one after another."""
