"""What every model promises, as checks that any registered or private model can be run against.

    from zhiyin.testing.contracts import check_model, small_world
    check_model(MySpec(), small_world("time"), folder=tmp_path)

A broken promise raises ContractError and says which. The checks look at behaviour, not at quality.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from zhiyin.base.arrays import Ragged
from zhiyin.base.digest import digest_arrays
from zhiyin.base.errors import ZhiyinError
from zhiyin.data.catalog import Vectors
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.run import Run
from zhiyin.data.slates import Slates
from zhiyin.data.split import default_split
from zhiyin.data.truth import Holdout, Truth
from zhiyin.models.registry import spec_of
from zhiyin.models.roles import Model, ModelSpec, State
from zhiyin.store.bundle import Bundle, read_bundle, write_bundle
from zhiyin.testing.small import small_world

__all__ = ["CHECKS", "Case", "ContractError", "check_model", "small_world"]


class ContractError(ZhiyinError, AssertionError):
    """A model does not keep what every model promises."""

    code = "E900"


@dataclass(frozen=True)
class Case:
    """A spec on a data set, fitted once for all checks. ``data`` needs at least three events for some people."""

    spec: ModelSpec
    data: Dataset
    folder: Path
    seed: int = 0

    @cached_property
    def train(self) -> Dataset:
        return default_split(self.data).train

    @cached_property
    def holdout(self) -> Holdout:
        return default_split(self.data).validation

    @cached_property
    def model(self) -> Model:
        return self.fitted()

    def fitted(self, train: Dataset | None = None, holdout: Holdout | None = None) -> Model:
        run = Run(seed=self.seed, threads=1, holdout=holdout or self.holdout)
        return self.spec.fit(train or self.train, run)

    @cached_property
    def requests(self) -> Requests:
        """A few known people, with what they had excluded."""
        return replace(self.holdout.requests.take(np.arange(min(12, len(self.holdout)))), exclude=None)

    @cached_property
    def slates(self) -> Slates:
        return self.model.retrieve(self.requests, 5)

    def require(self, kept: bool, promise: str) -> None:
        if not kept:
            raise ContractError(f"model '{self.spec.kind}' breaks its contract: {promise}", "See zhiyin.testing.contracts.")


def same_slates(one: Slates, other: Slates, tolerance: float = 1e-4) -> bool:
    """Equal lists, but for rounding: items whose scores are level within the tolerance may change places."""
    if len(one) != len(other) or not np.array_equal(one.lengths, other.lengths):
        return False
    for row in range(len(one)):
        a, b = one.take(np.array([row])), other.take(np.array([row]))
        near = tolerance * max(1.0, float(np.abs(a.score).max(initial=0)))
        if bool((np.abs(a.score - b.score) > near).any()):
            return False
        if any(abs(_score_of(item, a) - _score_of(item, b)) > near for item in np.union1d(a.item_ix, b.item_ix)):
            return False
    return True


def _score_of(item: int, slate: Slates) -> float:
    """Its score, or that of the last one: an item that is missing can only have fallen off the end."""
    at = np.flatnonzero(slate.item_ix == item)
    return float(slate.score[at[0] if len(at) else -1])


def well_formed(case: Case) -> None:
    """Scores are finite and descending, items in range and once per list, at most k."""
    slates, n_items = case.slates, len(case.model.catalog)
    case.require(len(slates) == len(case.requests), "one list per request")
    case.require(slates.item_ix.dtype == np.int32 and slates.score.dtype == np.float32, "int32 items and float32 scores")
    case.require(bool(np.isfinite(slates.score).all()), "finite scores")
    case.require(bool(((slates.item_ix >= 0) & (slates.item_ix < n_items)).all()), "items are rows of the catalogue")
    case.require(bool((slates.lengths <= 5).all()), "at most k items")
    rows = slates.items.rows
    inner = rows[1:] == rows[:-1]
    case.require(bool((np.diff(slates.score)[inner] <= 0).all()), "scores descend")
    case.require(len(np.unique(rows * n_items + slates.item_ix)) == len(rows), "an item stands once in a list")
    case.require(bool(slates.lengths.any()), "it answers at least one person it was fitted on")


def deterministic(case: Case) -> None:
    """Equal seed, equal answers."""
    case.require(same_slates(case.slates, case.fitted().retrieve(case.requests, 5), 1e-6), "equal seeds give equal lists")


def batch_of_one(case: Case) -> None:
    """A request alone gets what it gets among others."""
    alone = Slates.concatenated(case.model.retrieve(case.requests.take(np.array([i])), 5) for i in range(len(case.requests)))
    case.require(same_slates(case.slates, alone), "a batch of one equals its row of the batch")
    none = case.model.retrieve(case.requests.take(np.zeros(0, np.int64)), 5)
    case.require(len(none) == 0, "no requests give no lists")


def round_trip(case: Case) -> None:
    """Saved and loaded through a bundle, it answers the same; its spec comes back from its description."""
    state = case.model.state()
    case.require(spec_of(case.spec.described()) == case.spec, "spec_of(spec.described()) is the spec")
    write_bundle(case.folder / "model", Bundle({"state": dict(state.meta)}, state.arrays))
    back = read_bundle(case.folder / "model")
    fitted = spec_of(case.model.spec.described())  # a fit may settle what the asked spec left open
    restored = fitted.restore(State(back.arrays, back.meta["state"]), case.model.catalog)
    case.require(same_slates(case.slates, restored.retrieve(case.requests, 5), 1e-6), "a saved model answers as it did")


def strangers(case: Case) -> None:
    """Unknown people and empty histories get a list, if only an empty one."""
    now = int(case.requests.now_us.max())
    known = int(case.requests.user_ix[0])
    for user in (-1, known):
        slates = case.model.retrieve(Requests.of(Histories.empty(2), np.full(2, user), now), 5)
        case.require(len(slates) == 2, "an empty history gets a list")
    unknown = replace(case.requests, user_ix=np.full(len(case.requests), -1, np.int32))
    case.require(len(case.model.retrieve(unknown, 5)) == len(unknown), "unknown people get lists")
    disliked = replace(case.requests.history, weight=np.zeros_like(case.requests.history.weight))
    case.require(
        len(case.model.retrieve(replace(case.requests, history=disliked), 5)) == len(unknown), "a history without liking gets a list"
    )


def exclusions(case: Case) -> None:
    """What is excluded, not a candidate, not allowed or not available never comes back."""
    n, n_items = len(case.requests), len(case.model.catalog)
    had = case.requests.history.items
    slates = case.model.retrieve(replace(case.requests, exclude=had), n_items)
    gone = np.isin(slates.items.rows * n_items + slates.item_ix, had.rows * n_items + had.values)
    case.require(not gone.any(), "excluded items never come back")
    everything = Ragged.of([np.arange(n_items)] * n)
    case.require(
        not len(case.model.retrieve(replace(case.requests, exclude=everything), 5).item_ix), "with all excluded nothing comes back"
    )
    given = Ragged.of([np.arange(i % 3, n_items, 3) for i in range(n)])
    slates = case.model.retrieve(replace(case.requests, candidates=given), n_items)
    kept = np.isin(slates.items.rows * n_items + slates.item_ix, given.rows * n_items + given.values)
    case.require(bool(kept.all()), "only candidates come back")
    mask = np.arange(n_items) % 2 == 0
    slates = case.model.retrieve(replace(case.requests, allowed=mask), n_items)
    case.require(bool(mask[slates.item_ix].all()), "only allowed items come back")
    closed = case.model.with_catalog(replace(case.model.catalog, available=mask))
    case.require(bool(mask[closed.retrieve(case.requests, n_items).item_ix].all()), "only available items come back")


def many(case: Case) -> None:
    """More may be asked for than the catalogue holds, and the first ones stay the first."""
    n_items = len(case.model.catalog)
    slates = case.model.retrieve(case.requests, 10 * n_items)
    case.require(bool((slates.lengths <= n_items).all()), "no more items than there are")
    case.require(same_slates(slates.top(5), case.slates), "a longer list begins with the shorter one")


def growing(case: Case) -> None:
    """A grown catalogue changes nothing for old items and crashes on no new one."""
    old = case.model.catalog
    n, grown = len(old), old.with_rows(["new-1", "new-2", "new-3"], old.table.clear(3))
    grown = replace(grown, vectors={name: _with_new(v, n) for name, v in grown.vectors.items()})
    model = case.model.with_catalog(grown)
    slates = model.retrieve(replace(case.requests, allowed=np.arange(n + 3) < n), 5)
    case.require(same_slates(case.slates, slates), "old items keep their scores when the catalogue grows")
    seen = Histories.of_items(Ragged.of([[n, n + 2], [0, n + 1], [n + 1, 0]]))
    slates = model.retrieve(Requests.of(seen, now_us=int(case.requests.now_us.max())), n + 3)
    case.require(bool((slates.item_ix < n + 3).all()) and bool(np.isfinite(slates.score).all()), "new items in a history are no trouble")


def _with_new(vectors: Vectors, n_old: int) -> Vectors:
    """The three new rows get copies of old vectors."""
    matrix = vectors.matrix.copy()
    matrix[n_old:] = matrix[:3]
    return Vectors(matrix, vectors.fingerprint)


def no_future(case: Case) -> None:
    """What happens at or after now changes no answer; validation answers only guide what says it validates."""
    if case.data.manifest.order == "time":
        cut = int(np.quantile(case.train.events.time_us, 0.8))
        late = case.train.events.time_us >= cut
        events = case.train.events
        moved = replace(events, item_ix=np.where(late, events.item_ix[::-1], events.item_ix).astype(np.int32))
        other = replace(case.train, events=moved)
        one, two = (case.fitted(data.before(cut)).retrieve(case.requests, 5) for data in (case.train, other))
        case.require(same_slates(one, two, 1e-6), "events at or after the cut change nothing")
    if not case.spec.validates:
        truth = case.holdout.truth.items
        other_answers = Ragged(truth.offsets, ((truth.values + 1) % case.data.n_items).astype(np.int32))
        blind = case.fitted(holdout=Holdout(case.holdout.requests, Truth(other_answers)))
        case.require(same_slates(case.slates, blind.retrieve(case.requests, 5), 1e-6), "validation answers change nothing")


def untouched(case: Case) -> None:
    """Retrieval changes neither the requests nor the data."""

    def mark() -> str:
        h, e = case.requests.history, case.train.events
        return digest_arrays(h.offsets, h.item_ix, h.time_us, h.weight, case.requests.now_us, e.item_ix, e.weight)

    before = mark()
    case.model.retrieve(replace(case.requests, exclude=case.requests.history.items), 5)
    case.require(mark() == before, "requests and data stay as they were")


def words(case: Case) -> None:
    """Requests with query vectors, some of them zero, get lists."""
    text = case.model.catalog.vectors.get("text")
    if text is not None:
        vectors = np.zeros((len(case.requests), text.dim), np.float32)
        vectors[::2] = text.matrix[: len(vectors[::2])]
        asked = replace(case.requests, query_vectors=vectors)
        case.require(bool(np.isfinite(case.model.retrieve(asked, 5).score).all()), "queries give finite scores")


CHECKS: dict[str, Callable[[Case], None]] = {
    check.__name__: check
    for check in (
        well_formed, deterministic, batch_of_one, round_trip, strangers, exclusions, many, growing, no_future, untouched, words,
    )
}  # fmt: skip
"""Every promise by name: a test may run them one by one on one Case."""


def check_model(spec: ModelSpec, data: Dataset, *, folder: Path, seed: int = 0) -> None:
    """Run every check on a spec; raises ContractError at the first broken promise.

    ``folder`` receives a saved model. Give small data and a small spec: it fits about five times.
    """
    case = Case(spec, data, folder, seed)
    for check in CHECKS.values():
        check(case)
