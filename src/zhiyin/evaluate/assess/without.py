"""What text, order, repeats and context add: the same quick recommender with one of them taken away.

Each answer is a paired difference on the same test requests. What cannot be asked of this data is said
in words instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from zhiyin.base.arrays import AnyArray, Float64, Ragged
from zhiyin.data.cut import excluded
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.run import Run
from zhiyin.data.schema import Repeat
from zhiyin.data.truth import Holdout, ndcg_at
from zhiyin.evaluate.assess.context import context_gains
from zhiyin.evaluate.assess.quick import READS_ORDER, Quick
from zhiyin.evaluate.bootstrap import Difference, difference
from zhiyin.evaluate.slices import slice_by
from zhiyin.models.retrieve.blend import READS_TEXT
from zhiyin.models.roles import Model, Retriever

EVERYBODY = "all requests"
PLAIN = {
    "all answers warm": "choices of items known in training",
    "some answers cold": "choices with new items among them",
    "all answers cold": "choices of new items only",
}
"""Names of slices for people who do not measure recommenders."""
LEAST = 20
"""Requests that a group must have to be measured on its own."""


@dataclass(frozen=True, slots=True)
class Addition:
    """What ``what`` adds: NDCG@10 ``without`` it and the paired ``difference`` with it, or ``why`` there is no figure."""

    what: str
    where: str  # on which requests
    without: float
    difference: Difference | None
    why: str


def additions(quick: Quick, run: Run) -> list[Addition]:
    """One or more rows for text, order, repeats and every context column."""
    full = _values(quick.blend, quick.split.test)
    return [*_text(quick, full), *_order(quick, full, run.seed), *_repeats(quick, full), *_context(quick, full, run)]


def _text(quick: Quick, full: Float64) -> Iterator[Addition]:
    plain = tuple(part for part in quick.parts if part.spec.kind not in READS_TEXT)
    if len(plain) == len(quick.parts):
        yield _unasked("text", "the items have no text columns")
        return
    values = _values(quick.weighed(plain), quick.split.test)
    yield _added("text", EVERYBODY, full, values, "with and without the words of the items")
    new = slice_by("items", quick.split.test, quick.split.train)
    for label, rows in ((label, new.rows(i)) for i, label in enumerate(new.labels)):
        if "cold" in label and len(rows) >= LEAST:
            yield _added(
                "text", f"{PLAIN[label]} ({len(rows):,} requests)", full[rows], values[rows], "items nobody had touched in training"
            )


def _order(quick: Quick, full: Float64, seed: int) -> Iterator[Addition]:
    train, split = quick.split.train, quick.split
    if train.manifest.order == "none":
        yield _unasked("order and recency", 'the data have no order (order = "none" in zhiyin.toml)')
        return
    rng = np.random.default_rng(seed)
    mixed = shuffled(train, rng)
    parts: list[Model] = [p.spec.fit(mixed, Run(seed=seed)) if p.spec.kind in READS_ORDER else p for p in quick.parts]
    validation, test = (Holdout(_shuffled_requests(h.requests, rng), h.truth) for h in (split.validation, split.test))
    values = _values(quick.weighed(tuple(parts), validation), test)
    yield _added("order and recency", EVERYBODY, full, values, "against the same events of each person in random order")


def shuffled(data: Dataset, rng: np.random.Generator) -> Dataset:
    """Every person keeps his events and his times, but which event was when is drawn at random."""
    rows, _ = data.by_user
    mixed = np.lexsort((rng.random(len(rows)), data.events.user_ix))
    source = np.empty(len(rows), np.int64)
    source[rows] = mixed
    e = data.events
    context = e.context[source] if e.context.width else e.context
    moved = {name: getattr(e, name)[source] for name in ("item_ix", "kind_ix", "value", "weight", "place_ix")}
    return replace(data, events=replace(e, **moved, context=context))


def _shuffled_requests(requests: Requests, rng: np.random.Generator) -> Requests:
    history = requests.history
    lists = np.repeat(np.arange(len(history)), history.lengths)
    source = np.lexsort((rng.random(len(lists)), lists))
    moved = {name: getattr(history, name)[source] for name in ("item_ix", "kind_ix", "place_ix", "weight")}
    return replace(requests, history=Histories(history.offsets, time_us=history.time_us, **moved))


def _repeats(quick: Quick, full: Float64) -> Iterator[Addition]:
    train, test = quick.split.train, quick.split.test
    if train.manifest.repeat.policy == "never":
        yield _unasked("seen items again", "the repeat policy is never: items a person had are neither shown nor counted as answers")
        return
    requests = test.requests
    never = excluded(requests.history, Repeat(policy="never"), requests.now_us)
    answers = test.truth.items
    again = _share_in(answers, never, train.n_items)
    values = _values(quick.blend, Holdout(replace(requests, exclude=never), test.truth))
    yield _added("seen items again", EVERYBODY, full, values, f"{again:.0%} of what people chose, they had had before")


def _share_in(lists: Ragged, others: Ragged | None, n_items: int) -> float:
    if others is None or not len(lists.values):
        return 0.0
    return float(np.isin(lists.rows * n_items + lists.values, others.rows * n_items + others.values).mean())


def _context(quick: Quick, full: Float64, run: Run) -> Iterator[Addition]:
    found = list(context_gains(quick.blend, quick.split, run))
    if not found:
        yield _unasked("context", "there is no hour, no context column and no column about people to read")
    for gain in found:
        how = f"items of that moment or person move up (strength {gain.strength:g})" if gain.strength else "validation found no use for it"
        yield _added(gain.column, EVERYBODY, gain.values, full, how)


def _values(model: Retriever, holdout: Holdout) -> Float64:
    return ndcg_at(model.retrieve(holdout.requests, 10), holdout.truth)


def _added(what: str, where: str, full: AnyArray, without: AnyArray, why: str) -> Addition:
    return Addition(what, where, float(np.nanmean(without)), difference(full, without), why)


def _unasked(what: str, why: str) -> Addition:
    return Addition(what, "", float("nan"), None, why)
