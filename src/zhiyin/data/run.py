"""Under which circumstances something is fitted: not what is asked (Spec), not what is learned (Model)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zhiyin.data.truth import Holdout

Report = Callable[[Mapping[str, Any]], None]
"""Receives progress rows such as {"stage": "sequence", "step": 3, "of": 10, "loss": 5.1}."""


def silent(_row: Mapping[str, Any]) -> None:
    """The report that says nothing."""


@dataclass(frozen=True, slots=True)
class Run:
    """Seed, device, validation, folder for checkpoints and logs, progress.

    ``holdout`` is the validation set: models stop early on it and blends learn their weights from
    it; its answers never enter a model as events. ``folder`` receives ``log.jsonl`` and the
    checkpoint that an interrupted fit resumes from, renewed every ``checkpoint_steps``; None keeps nothing.
    """

    seed: int = 0
    device: str = "cpu"
    threads: int | None = None
    holdout: Holdout | None = None
    folder: Path | None = None
    checkpoint_steps: int = 200
    report: Report = silent
