"""The models an assessment compares: the simple rules a team would write itself, and a quick recommender.

The quick recommender is the default blend without its sequence model and with one text model: what
takes seconds. A full training adds the rest, so the gains measured with it are rather too low.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zhiyin.base.arrays import Float32, Ragged, offsets_of
from zhiyin.base.clock import cpu_s
from zhiyin.data.catalog import Catalog
from zhiyin.data.cut import Split, excluded
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.run import Run
from zhiyin.data.schema import Repeat
from zhiyin.data.truth import Holdout, Truth, ndcg_at
from zhiyin.models.registry import spec_of
from zhiyin.models.retrieve.blend import READS_TEXT, TEXT_EASE_ITEMS, Blend, BlendSpec, default_parts
from zhiyin.models.retrieve.buy_again import BuyAgainSpec
from zhiyin.models.retrieve.cold_weights import dense
from zhiyin.models.retrieve.dense import DenseRetriever
from zhiyin.models.retrieve.popular import PopularSpec
from zhiyin.models.roles import Model, Retriever

READS_ORDER = ("transitions", "buy-again")
"""Quick models whose fit depends on which event came first; the others are fitted once for both worlds."""
VALIDATION_REQUESTS, TEST_REQUESTS = 600, 4_000
RECENT_DAYS = 30.0


@dataclass(frozen=True)
class ThenPopular(DenseRetriever):
    """What the person had before, best first, then what is popular: the rule most shops start with."""

    again: Model
    popular: Model

    @property
    def catalog(self) -> Catalog:
        return self.again.catalog

    def scores(self, requests: Requests) -> Float32:
        own, common = dense(self.again).scores(requests), dense(self.popular).scores(requests)
        known = np.isfinite(own)
        top = np.where(known, own, 0).max(axis=1, keepdims=True)
        most = np.maximum(np.where(np.isfinite(common), common, 0).max(axis=1, keepdims=True), 1e-12)
        return np.asarray(np.where(known, 1 + own / np.maximum(top, 1e-12), common / (2 * most)), np.float32)


@dataclass(frozen=True)
class Quick:
    """Everything fitted once. ``rules`` are the simple rivals by name; ``fit_cpu_s`` by part."""

    split: Split  # validation and test are samples
    rules: Mapping[str, Retriever]
    parts: tuple[Model, ...]
    blend: Blend
    fit_cpu_s: Mapping[str, float]
    weigh_cpu_s: float
    n_validation: int  # before sampling

    def weighed(self, parts: tuple[Model, ...], validation: Holdout | None = None) -> Blend:
        """A blend of other parts, weighed on the same validation requests."""
        run = Run(holdout=validation or self.split.validation)
        return BlendSpec().of_parts(self.split.train, parts, run)


def only_new(holdout: Holdout, n_items: int) -> Holdout:
    """The same requests asked for things the person has not had: the others are neither shown nor counted as answers."""
    requests, answers = holdout.requests, holdout.truth.items
    never = excluded(requests.history, Repeat(policy="never"), requests.now_us)
    if never is None:
        return holdout
    new = ~np.isin(answers.rows * n_items + answers.values, never.rows * n_items + never.values)
    offsets = offsets_of(np.bincount(answers.rows[new], minlength=len(answers)))
    kept = Holdout(replace(requests, exclude=never), Truth(Ragged(offsets, answers.values[new])))
    return kept.take(np.flatnonzero(np.diff(offsets) > 0))


def quick_models(split: Split, run: Run) -> Quick:
    """Fit the rules and the parts of the quick recommender on the past of a split, and weigh them."""
    train, n_validation = split.train, len(split.validation)
    split = replace(
        split,
        validation=split.validation.sample(VALIDATION_REQUESTS, run.seed),
        test=split.test.sample(TEST_REQUESTS, run.seed),
    )
    spent: dict[str, float] = {}
    parts: list[Model] = []
    tables = quick_parts(train)
    for i, table in enumerate(tables):
        run.report({"stage": "assess", "note": f"fitting {table['kind']}", "step": i, "of": len(tables) + 2})
        before = cpu_s()
        parts.append(spec_of(table).fit(train, Run(seed=run.seed, threads=run.threads)))
        spent[f"{table['kind']} {i}"] = cpu_s() - before
    run.report({"stage": "assess", "note": "weighing them", "step": len(tables), "of": len(tables) + 2})
    before = cpu_s()
    blend = BlendSpec().of_parts(train, parts, Run(holdout=split.validation, seed=run.seed))
    return Quick(split, _rules(split), tuple(parts), blend, spent, cpu_s() - before, n_validation)


def quick_parts(data: Dataset) -> list[dict[str, Any]]:
    """The default parts that take seconds, with one text model."""
    parts = [p for p in default_parts(data) if p["kind"] != "sequence" and p["kind"] not in READS_TEXT]
    if "text" in data.catalog.vectors:
        parts.append({"kind": "text-ease" if data.n_items <= TEXT_EASE_ITEMS else "text-neighbours"})
    return parts


def _rules(split: Split) -> dict[str, Retriever]:
    """Popularity (all time or of late, whichever validates better), and buying again where that is allowed."""
    train, validation = split.train, split.validation
    name, popular = "popular", PopularSpec().fit(train, Run())
    if train.manifest.order == "time":
        recent = PopularSpec(half_life_days=RECENT_DAYS).fit(train, Run())
        if _quality(recent, validation) > _quality(popular, validation):
            name, popular = "popular of late", recent
    rules: dict[str, Retriever] = {name: popular}
    if train.manifest.repeat.policy != "never":
        rules["buy again, then popular"] = ThenPopular(BuyAgainSpec().fit(train, Run()), popular)
    return rules


def _quality(model: Retriever, holdout: Holdout) -> float:
    return float(np.nanmean(ndcg_at(model.retrieve(holdout.requests, 10), holdout.truth)))
