"""From a data set and a spec to a recommender: read the texts, measure honestly, learn from everything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from zhiyin.base.clock import cpu_s
from zhiyin.base.errors import DataError
from zhiyin.data.cut import Split
from zhiyin.data.dataset import Dataset
from zhiyin.data.run import Run, silent
from zhiyin.data.split import default_split
from zhiyin.models.registry import spec_of
from zhiyin.models.retrieve.popular import PopularSpec
from zhiyin.models.roles import Model, ModelSpec
from zhiyin.pipeline.build import quick_spec
from zhiyin.pipeline.recommender import Recommender
from zhiyin.text.cache import VectorCache
from zhiyin.text.templates import READABLE
from zhiyin.text.vectors import Reader, reader_for

Spoken = ModelSpec | Mapping[str, Any] | str
"""A model as people say it: a name, a table of settings with its ``kind``, or a spec."""

Splitter = Callable[[Dataset], Split]


@dataclass(frozen=True)
class Trained:
    """``recommender`` is what to serve; ``measured`` is the fit that never saw the test of ``split``.

    They are the same model when ``train`` was told not to refit.
    """

    recommender: Recommender
    measured: Model
    split: Split


def readable(data: Dataset, run: Run | None = None) -> tuple[Dataset, Reader | None]:
    """The data with text vectors for its items, and what read them; as it was where items have no text."""
    declared = set(data.manifest.items.columns.values()) if data.manifest.items else set()
    if data.catalog.title_column is None and not declared & set(READABLE):
        return data, None
    report = run.report if run else silent
    reader = reader_for(data)
    report({"stage": "text", "note": reader.reason})
    return data.with_catalog(reader.fill(data.catalog, VectorCache(), report)), reader


def fit(data: Dataset, spec: Spoken = "zhiyin", run: Run | None = None) -> Recommender:
    """Learn from everything there is and answer at once. For figures first, see ``train``.

    Models that validate (stop early, weigh their parts) hold the newest events back for that, as the
    data's default split cuts them; the others learn from every event.
    """
    asked = spec if isinstance(spec, ModelSpec) else spec_of(spec)
    data, reader = readable(data, run)
    recommender = _served(data, reader, _fit_all(data, asked, run or Run(), default_split))
    return recommender.with_placements(run=run)


def train(
    data: Dataset,
    spec: Spoken = "zhiyin",
    *,
    split: Splitter = default_split,
    run: Run | None = None,
    quick: bool = False,
    refit: bool | None = None,
) -> Trained:
    """Fit on the past of a split, then (``refit``) once more up to its test, and make a recommender.

    ``quick`` takes settings that need a minute instead of an hour. ``refit`` None = yes unless
    quick or the model validates, whose second fit costs as much as the first. Whoever wants figures evaluates ``measured``
    on ``split.test``; the recommender always looks back on every event.
    """
    circumstances = run or Run()
    asked = spec if isinstance(spec, ModelSpec) else spec_of(spec)
    if not len(data.events):
        raise DataError(f"data set '{data.manifest.name}' has no events to learn from", "Check events.file in zhiyin.toml.")
    data, reader = readable(data, circumstances)
    asked = quick_spec(asked, data) if quick else asked
    cut = split(data)
    measured = asked.fit(cut.train, replace(circumstances, holdout=cut.validation))
    again = refit if refit is not None else not quick and not asked.validates
    model = _fit_all(data, asked, circumstances, lambda _: cut) if again else measured
    return Trained(_served(data, reader, model).with_placements(run=circumstances), measured, cut)


@dataclass(frozen=True)
class Contest:
    """Several models fitted on the past of one split, and what each fit cost in processor seconds.

    ``data`` is the whole of it, with the text vectors that ``reader`` made.
    """

    models: Mapping[str, Model]
    split: Split
    train_cpu_s: Mapping[str, float]
    data: Dataset
    reader: Reader | None

    def recommender(self, name: str) -> Recommender:
        """One of the models, asked like any other: it looks back on all events before the ``now`` it is given."""
        return _served(self.data, self.reader, self.models[name])


def contest(
    data: Dataset, specs: Mapping[str, ModelSpec], split: Splitter = default_split, run: Run | None = None, *, quick: bool = False
) -> Contest:
    """Fit every spec on the same past with the same validation; ready to be compared on ``split.test``."""
    circumstances = run or Run()
    data, reader = readable(data, circumstances)
    cut = split(data)
    models: dict[str, Model] = {}
    spent: dict[str, float] = {}
    for name, spec in specs.items():
        folder = circumstances.folder / name if circumstances.folder else None
        before = cpu_s()
        asked = quick_spec(spec, data) if quick else spec
        models[name] = asked.fit(cut.train, replace(circumstances, holdout=cut.validation, folder=folder))
        spent[name] = cpu_s() - before
        circumstances.report({"stage": name, "note": f"fitted in {spent[name]:.1f} CPU s", "step": 1, "of": 1})
    return Contest(models, cut, spent, data, reader)


def _fit_all(data: Dataset, spec: ModelSpec, run: Run, split: Splitter) -> Model:
    """Fit on all events, or up to the test that then serves as validation. Keeps no checkpoint of its own."""
    fresh = replace(run, folder=run.folder / "refit" if run.folder else None)
    if not spec.validates:
        return spec.fit(data, fresh)
    cut = split(data)
    return spec.fit(cut.before_test, replace(fresh, holdout=cut.test))


def _served(data: Dataset, reader: Reader | None, model: Model) -> Recommender:
    fallback = model if model.spec.kind == "popular" else PopularSpec().fit(data, Run(report=silent))
    return Recommender(model, fallback, data, reader)
