"""How much each text model may say about items nobody has touched: learned by pretending.

A share of the touched items is hidden with all its events; the models are fitted on what is left
and rank the hidden items for the people who had them. Weights over the standardised scores are
those that put the truly chosen ones on top. No validation or test answer is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from zhiyin.base.arrays import AnyArray, Bool, Float32, Ragged, offsets_of
from zhiyin.base.errors import FitError
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.run import Run
from zhiyin.data.truth import Holdout, Truth
from zhiyin.index.exact import NEVER
from zhiyin.models.retrieve.blend_weights import Learned, learn_weights
from zhiyin.models.retrieve.dense import DenseScorer
from zhiyin.models.roles import ModelSpec

MAX_HIDDEN, MAX_REQUESTS = 2_000, 4_000
"""Enough to learn a handful of weights from, small enough for any catalogue."""


@dataclass(frozen=True)
class Hidden:
    """``rest`` is the data without the ``items`` (sorted row numbers); ``holdout`` asks for them."""

    rest: Dataset
    items: AnyArray
    holdout: Holdout


def hide_items(data: Dataset, share: float = 0.2, seed: int = 0, least_history: int = 2) -> Hidden:
    """Hide a seeded share of the touched items; one request per person who had one of them and who
    keeps at least ``least_history`` other items. Raises ``FitError`` when nobody is left to ask."""
    data = data.positive
    touched = np.flatnonzero(data.item_counts)
    rng = np.random.default_rng(seed)
    n = min(max(1, round(share * len(touched))), MAX_HIDDEN)
    items = np.sort(rng.permutation(touched)[:n])
    gone = np.zeros(data.n_items, np.bool_)
    gone[items] = True
    rest, answers = data.take(~gone[data.events.item_ix]), data.take(gone[data.events.item_ix])
    kept, wanted = _sets(rest), _sets(answers)
    people = np.flatnonzero((kept.lengths >= least_history) & (wanted.lengths > 0))
    if not len(people):
        message = "no person is left to learn the weights of cold items from"
        raise FitError(message, f"It takes people with {least_history + 1} items or more.")
    if len(people) > MAX_REQUESTS:
        people = np.sort(rng.choice(people, MAX_REQUESTS, replace=False))
    requests = Requests.of(rest.history(people), people, np.iinfo(np.int64).max, allowed=gone)
    return Hidden(rest, items, Holdout(requests, Truth(wanted.take(people))))


def learn_cold_weights(specs: Sequence[ModelSpec], data: Dataset, run: Run, share: float = 0.2, rounds: int = 3) -> Learned:
    """One weight >= 0 per spec, for the sum of their standardised scores. Costs ``rounds`` more fits of each model.

    Several rounds hide different items and are learned from together: the best weights of a single
    round differ widely from the next one's (measured: .02 to .83 for the same model).
    """
    features, answers, sizes, relevant = [], [], [], []
    for i in range(rounds):
        hidden = hide_items(data, share, run.seed + i)
        models = [dense(spec.fit(hidden.rest, replace(run, holdout=None, folder=None))) for spec in specs]
        run.report({"stage": "cold weights", "step": i + 1, "of": rounds})
        for x, y in _examples(models, hidden):
            features.append(x)
            answers.append(y)
        sizes.append(np.full(len(hidden.holdout), len(hidden.items), np.int64))
        relevant.append(hidden.holdout.truth.items.lengths)
    return learn_weights(np.concatenate(features), np.concatenate(sizes), np.concatenate(answers), np.concatenate(relevant))


def _examples(models: Sequence[DenseScorer], hidden: Hidden) -> Iterator[tuple[Float32, Bool]]:
    """Per chunk of requests: standardised scores (n_rows, n_models) of every hidden item, and which were chosen."""
    place = np.zeros(hidden.rest.n_items, np.int64)
    place[hidden.items] = np.arange(len(hidden.items))
    start = 0
    for chunk in hidden.holdout.requests.chunks(256):
        wanted = hidden.holdout.truth.items.take(np.arange(start, start + len(chunk)))
        start += len(chunk)
        rows = [standardised(model.scores(chunk)[:, hidden.items]) for model in models]
        chosen = np.zeros((len(chunk), len(hidden.items)), np.bool_)
        chosen[wanted.rows, place[wanted.values]] = True
        yield np.stack([row.ravel() for row in rows], axis=1), chosen.ravel()


def standardised(scores: Float32, basis: Bool | None = None) -> Float32:
    """Each row to mean 0 and deviation 1 over what is known; what is not known counts as average.

    ``basis`` (n_items,) are the items that mean and deviation are taken from, None = all.
    """
    known = scores > NEVER
    own, counted = (scores, known) if basis is None else (scores[:, basis], known[:, basis])
    n = np.maximum(counted.sum(axis=1, keepdims=True), 1)
    mean = np.where(counted, own, 0).sum(axis=1, keepdims=True) / n
    spread = np.sqrt((np.where(counted, own - mean, 0) ** 2).sum(axis=1, keepdims=True) / n)
    return np.asarray(np.where(known, scores - mean, 0) / np.maximum(spread, 1e-9), np.float32)


def dense(model: object) -> DenseScorer:
    """The model as one that scores whole rows; raises ``FitError`` when it does not."""
    if not isinstance(model, DenseScorer):
        raise FitError(f"model '{type(model).__name__}' does not score a whole catalogue")
    return model


def _sets(data: Dataset) -> Ragged:
    """The distinct items of each user."""
    rows = np.unique(data.events.user_ix.astype(np.int64) * data.n_items + data.events.item_ix)
    counts = np.bincount(rows // data.n_items, minlength=data.n_users)
    return Ragged(offsets_of(counts), (rows % data.n_items).astype(np.int32))
