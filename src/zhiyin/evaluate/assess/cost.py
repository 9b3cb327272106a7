"""What a full training needs, from what was measured here: seconds per step, fits, the peak of memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zhiyin.base.clock import cpu_s
from zhiyin.base.memory import peak_gb
from zhiyin.data.run import Run
from zhiyin.evaluate.assess.quick import Quick
from zhiyin.models.retrieve.blend import READS_TEXT, VALIDATION_REQUESTS, default_parts
from zhiyin.models.retrieve.sequence import SequenceSpec

STEPS = 20
"""Training steps of the sequence model that are really made, at its full settings."""
FORWARD_SHARE = 1 / 3
"""A step forward costs about a third of one forward and back."""
COLD_FITS = 10
"""Learning what text is worth for new items costs about ten fits of the text models (measured on online_retail: 44 s, 4.5 s a fit)."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of ``zhiyin train`` with the default model: at most, because training stops early when it no longer improves."""

    cpu_minutes: float  # of one processor core like this machine's
    peak_gb: float
    how: str


class _EnoughError(Exception):
    """Ends a fit from within its report once the steps are made."""


def cost_of(quick: Quick, run: Run) -> Cost:
    """Make a few steps of the full training, and count how many there would be."""
    train = quick.split.train
    texts = [p for p in default_parts(train) if p["kind"] in READS_TEXT]
    one_text = sum(s for name, s in quick.fit_cpu_s.items() if name.split(" ")[0] in READS_TEXT)
    more_text = max(len(texts) - 1, 0) * one_text
    cold = COLD_FITS * (one_text + more_text) if len(texts) > 1 else 0.0
    n_validation = min(quick.n_validation, VALIDATION_REQUESTS)
    weighing = quick.weigh_cpu_s * n_validation / max(len(quick.split.validation), 1)
    closed = sum(quick.fit_cpu_s.values()) + more_text + cold + weighing
    said = [f"closed-form models {_time(closed)} (fitted here, their weighing scaled to {n_validation:,} requests)"]
    learned = 0.0
    if any(p["kind"] == "sequence" for p in default_parts(train)):
        step = _steps(quick, run)
        if step is None:
            said.append("nobody has two events one after the other, so there is no sequence model")
        else:
            spec = SequenceSpec()
            checks = spec.epochs / spec.validate_every * n_validation / spec.batch_size * step.cpu_s * FORWARD_SHARE
            learned = step.cpu_s * step.of + checks
            said.append(
                f"the sequence model at most {_time(learned)} ({step.of:,} steps, of which {step.made} were made here at "
                f"{step.cpu_s:.2f} CPU s each; a validation pass is taken as a third of a training pass)"
            )
    return Cost((closed + learned) / 60, peak_gb(), "; ".join(said))


@dataclass(frozen=True, slots=True)
class _Steps:
    made: int
    of: int
    cpu_s: float  # per step


def _steps(quick: Quick, run: Run) -> _Steps | None:
    """The first steps of the sequence model at full settings, measured on one core; None where it has nothing to learn from."""
    import torch  # before the clock starts: loading it is no training

    from zhiyin.base.errors import FitError

    threads = torch.get_num_threads()
    started = cpu_s()
    last: dict[str, Any] = {}

    def report(row: Mapping[str, Any]) -> None:
        if "step" in row:
            last.update(row, cpu_s=cpu_s() - started)
            if row["step"] >= STEPS:
                raise _EnoughError

    run.report({"stage": "assess", "note": "a few steps of the full training, to see what it costs"})
    try:
        SequenceSpec().fit(quick.split.train, Run(seed=run.seed, threads=1, report=report))
    except _EnoughError:
        pass
    except FitError:
        return None
    finally:
        torch.set_num_threads(threads)
    made = max(int(last["step"]), 1)
    return _Steps(made, int(last["of"]), last["cpu_s"] / made)


def _time(seconds: float) -> str:
    return f"{seconds:.0f} CPU s" if seconds < 120 else f"{seconds / 60:.0f} CPU min"
