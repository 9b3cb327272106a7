"""The whole job in five lines of Python.

import zhiyin
data = zhiyin.load("shop")
print(zhiyin.compare("popular", "transitions", on=data))
model = zhiyin.fit(data, "transitions")
model.recommend("u17", n=5)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from zhiyin.base.errors import ConfigError
from zhiyin.data.dataset import Dataset
from zhiyin.data.folder import load as load_folder
from zhiyin.data.run import Run
from zhiyin.data.schema import Repeat
from zhiyin.data.split import split_by
from zhiyin.evaluate.compare import Comparison
from zhiyin.evaluate.compare import compare as measured
from zhiyin.evaluate.sweep import VALUES, Sweep, knob_named
from zhiyin.evaluate.sweep import sweep as swept
from zhiyin.models.roles import ModelSpec
from zhiyin.pipeline.build import read_spec
from zhiyin.pipeline.train import Contest, contest, fit
from zhiyin.store.bundle import MANIFEST

__all__ = ["compare", "fit", "load", "sweep"]


def load(folder: str | Path) -> Dataset:
    """The data of a folder with ``zhiyin.toml`` and tables. A saved model: ``Recommender.load``."""
    if (Path(folder) / MANIFEST).is_file():
        raise ConfigError(f"'{folder}' holds a model, not data", "Open it with zhiyin.Recommender.load.")
    return load_folder(folder)


def compare(
    *models: str | ModelSpec,
    on: Dataset,
    split: str = "default",
    repeat: Repeat | None = None,
    metrics: Iterable[str] | None = None,
    k: int = 10,
    quick: bool = False,
    run: Run | None = None,
) -> Comparison:
    """Fit models on the past of a split and measure them on the same test requests.

    A model is a name, the path of a TOML file, or a spec. Printing the result shows means with 95%
    intervals and which differences are real; ``.to_page().save("report.html")`` writes the report.
    """
    circumstances = run or Run()
    fought = _fought(models, on, split, repeat, circumstances, quick=quick)
    return measured(
        fought.models,
        fought.split.test,
        fought.split.train,
        metrics=metrics,
        k=k,
        note=fought.split.note,
        train_cpu_s=fought.train_cpu_s,
        seed=circumstances.seed,
    )


def sweep(
    *models: str | ModelSpec,
    on: Dataset,
    knob: str,
    split: str = "default",
    repeat: Repeat | None = None,
    metrics: Iterable[str] | None = None,
    k: int = 10,
    values: Sequence[float] | None = None,
    quick: bool = False,
    run: Run | None = None,
) -> Sweep:
    """Fit models as ``compare`` does and turn a knob on their lists from 0 to 1: what it brings, and what it costs.

    ``knob`` is diversity, dpp, novelty, tail or calibrated (``zhiyin.evaluate.sweep.KNOBS``), ``values`` the settings
    to measure, eleven when None. Printing the result shows the tables; ``.to_page().save("sweep.html")`` the curves.
    """
    knob_named(knob)
    circumstances = run or Run()
    fought = _fought(models, on, split, repeat, circumstances, quick=quick)
    return swept(
        fought.models,
        knob,
        fought.split.test,
        fought.split.train,
        metrics=metrics,
        k=k,
        values=VALUES if values is None else values,
        note=fought.split.note,
        seed=circumstances.seed,
    )


def _fought(models: Iterable[str | ModelSpec], on: Dataset, split: str, repeat: Repeat | None, run: Run, *, quick: bool) -> Contest:
    return contest(on, named(models), lambda data: split_by(split, data, repeat, run.seed), run, quick=quick)


def named(models: Iterable[str | ModelSpec]) -> dict[str, ModelSpec]:
    """Specs under the names they have in tables: the kind, or the stem of the TOML file."""
    found: dict[str, ModelSpec] = {}
    for model in models:
        spec = model if isinstance(model, ModelSpec) else read_spec(model)
        name = Path(model).stem if isinstance(model, str) and model.endswith(".toml") else spec.kind
        if name in found and found[name] == spec:
            raise ConfigError(f"model '{name}' is given twice", "Name each once.")
        if name in found:
            name = f"{name} {spec.digest()[:4]}"
        found[name] = spec
    if not found:
        raise ConfigError("there is no model to compare", "Name at least one; zhiyin models lists them.")
    return found
