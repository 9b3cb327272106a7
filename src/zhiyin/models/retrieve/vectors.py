"""Vectors: bring your own, of items and of people, from any two-tower model; the score is their inner product.

    [model]
    kind = "vectors"
    items = "items.parquet"      # item_id, vector
    users = "users.parquet"      # user_id, vector

or in Python ``Vectors.of(catalog, item_rows, user_rows)``. Somebody without a vector is the weighted mean of
the vectors of what he had, newer events first; somebody with one goes towards what he did since it was made.
Search goes through ``index.choose``: exact for what fits, measured cells for very many items.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field

from zhiyin.base.arrays import AnyArray, Float32, Int64, found_under, named_under
from zhiyin.base.errors import ConfigError, FitError
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.run import Run
from zhiyin.data.slates import Slates
from zhiyin.index.ann import AnnIndex
from zhiyin.index.ann_cells import Cells
from zhiyin.index.choose import index_of, packed_of
from zhiyin.index.exact import Index
from zhiyin.models.retrieve.vectors_files import read_vectors
from zhiyin.models.roles import ModelSpec, State

SAMPLE = 256  # queries on which an index measures what it finds
RECENT = 100  # events of a history that count


class VectorsSpec(ModelSpec):
    """Choose where another model has made the vectors; ``factors`` and ``sequence`` make their own.

    ``items`` and ``users`` are files of vectors; without ``items`` those of the catalogue's texts are taken. What
    somebody did after the newest event of the fit moves his own vector: ``history_share`` of the question is the mean of
    that, brought to the same length (0 = nothing moves it until the next fit). One half is near the best on ml-1m and
    online_retail, for one new event and for ten, and raises NDCG@10 by a quarter to more than double (bench/fresh_vectors.py).
    """

    kind: ClassVar[str] = "vectors"

    items: str | None = None
    users: str | None = None
    history_decay: Annotated[float, Field(gt=0, le=1)] = 0.9
    history_share: Annotated[float, Field(ge=0, le=1)] = 0.5

    def fit(self, data: Dataset, run: Run) -> Vectors:
        if self.items is None and self.users is not None:
            raise FitError("vectors of users are given and none of items", "Give items, the file of their vectors.")
        if self.items is None:
            rows = _text(data.catalog)
        else:
            rows = read_vectors(
                self.items, data.catalog.items, data.manifest.items.id if data.manifest.items else data.manifest.events.item
            )
        users = None if self.users is None else read_vectors(self.users, data.users, data.manifest.events.user)
        people = np.unique(data.positive.events.user_ix)
        asked = mean_of(data.history(people[:: max(1, len(people) // SAMPLE)][:SAMPLE]), rows, self.history_decay)
        since_us = int(data.events.time_us.max()) + 1 if len(data.events) else 0
        return Vectors.of(data.catalog, rows, users, spec=self, asked=asked, since_us=since_us)

    def restore(self, state: State, catalog: Catalog) -> Vectors:
        a = state.arrays
        everything = index_of(a["items"], cells=Cells.of(a), packed=found_under("scan", a))
        since_us = state.meta.get("since_us")
        fresh = Vectors(self, catalog, a["users"], a.get("from_text"), state.meta.get("text"), everything, since_us)
        return fresh.with_catalog(catalog)


def _text(catalog: Catalog) -> Float32:
    if "text" not in catalog.vectors:
        raise FitError("there are no vectors of items", "Give items, the file of their vectors, or items with text columns.")
    return catalog.vectors["text"].matrix


@dataclass(frozen=True)
class Vectors:
    """``users`` (n_users, dim), a zero row where there is none; ``everything`` finds all items, available or not.

    ``from_text`` (text dim, dim) gives new items a vector where the catalogue has text vectors by the
    encoder ``text``; None where no map is known: then they wait for the next fit. Events from ``since_us`` on are newer than
    the vectors of people; None = none are.
    """

    takes_masks: ClassVar[bool] = True

    spec: VectorsSpec
    catalog: Catalog
    users: Float32
    from_text: Float32 | None
    text: str | None  # fingerprint of the encoder
    everything: Index = field(repr=False)
    since_us: int | None = None

    @classmethod
    def of(
        cls, catalog: Catalog, items: Float32, users: Float32 | None = None, *,
        spec: VectorsSpec | None = None, asked: Float32 | None = None, since_us: int | None = None,
    ) -> Self:  # fmt: skip
        """From arrays in the order of the catalogue (n_items, dim) and of the users (n_users, dim).

        ``asked`` are questions like those to come, on which the index measures itself; without them those
        of users are taken. ``since_us`` is when the vectors of people were made: what they do later moves theirs. Raises
        ``ConfigError`` for shapes that do not fit.
        """
        items = np.ascontiguousarray(items, np.float32)
        users = np.zeros((0, items.shape[1]), np.float32) if users is None else np.ascontiguousarray(users, np.float32)
        if len(items) != len(catalog) or items.ndim != 2 or users.ndim != 2 or users.shape[1] != items.shape[1]:
            raise ConfigError(
                f"vectors of shape {items.shape} and {users.shape} do not fit {len(catalog):,} items and each other",
                "Give one row per item and per user, of equal length.",
            )
        some = users[:: max(1, len(users) // SAMPLE)][:SAMPLE] if len(users) else asked
        some = None if some is None or not some.any() else some[some.any(axis=1)]
        text = catalog.vectors.get("text")
        same = text is not None and text.matrix.shape == items.shape and np.array_equal(text.matrix, items)
        bridge = None if text is None else np.eye(text.dim, dtype=np.float32) if same else _ridge(text.matrix, items)
        made_by = text.fingerprint if text is not None and bridge is not None else None
        if text is not None and bridge is not None:
            bare = text.present & ~items.any(axis=1)
            items = np.where(bare[:, None], text.matrix @ bridge, items) if bare.any() else items
        return cls(spec or VectorsSpec(), catalog, users, bridge, made_by, index_of(items, some), since_us)

    @property
    def items(self) -> Float32:
        """Their vectors, a zero row where there is none: (n_items, dim)."""
        return self.everything.matrix

    @cached_property
    def index(self) -> Index:
        """Of the items that are available."""
        shown = self.catalog.available
        return self.everything if shown is None or bool(shown.all()) else self.everything.without(np.flatnonzero(~shown))

    def retrieve(self, requests: Requests, k: int) -> Slates:
        asked = requests
        return self.index.search(
            self.questions(asked), k, exclude=asked.exclude, candidates=asked.candidates, allowed=asked.allowed, masks=asked.masks
        )

    def questions(self, requests: Requests) -> Float32:
        """What is asked of the index for each request: (n, dim), zero where nothing is known of the person."""
        asked = requests.user_ix
        if len(asked) and asked.min() >= 0 and asked.max() < len(self.users):
            found = self.users[asked]
            if found.any(axis=1).all():  # the usual case: everybody has a vector
                return self._moved(found, requests.history)
        found = np.zeros((len(requests), self.items.shape[1]), np.float32)
        known = np.flatnonzero((asked >= 0) & (asked < len(self.users)))
        if len(known):
            found[known] = self.users[asked[known]]
        found = self._moved(found, requests.history)
        bare = np.flatnonzero(~found.any(axis=1))
        if len(bare):
            history = requests.history if len(bare) == len(found) else requests.history.take(bare)
            found[bare] = mean_of(history, self.items, self.spec.history_decay)
        return found

    def _moved(self, own: Float32, history: Histories) -> Float32:
        """The vectors of people (n, dim) moved towards what they did since these were made."""
        share = self.spec.history_share
        if not share or self.since_us is None:
            return own
        fresh = history.time_us >= self.since_us
        if not fresh.any():
            return own
        mean = mean_of(history.where(fresh), self.items, self.spec.history_decay)
        length, wanted = np.linalg.norm(mean, axis=1, keepdims=True), np.linalg.norm(own, axis=1, keepdims=True)
        mixed = (1 - share) * own + share * mean * wanted / np.where(length > 0, length, 1.0)
        return np.where((wanted > 0) & (length > 0), mixed, own).astype(np.float32)

    def state(self) -> State:
        arrays: dict[str, AnyArray] = {"items": self.items, "users": self.users, **named_under("scan", packed_of(self.everything))}
        if self.from_text is not None:
            arrays["from_text"] = self.from_text
        if isinstance(self.everything, AnnIndex):
            arrays |= self.everything.cells.arrays
        return State(arrays, {"text": self.text, "since_us": self.since_us})

    def with_catalog(self, catalog: Catalog) -> Self:
        """New items get a vector from their text, where that is known; else they are not found until the next fit."""
        if len(catalog) == len(self.items):
            return replace(self, catalog=catalog)
        rows = np.zeros((len(catalog) - len(self.items), self.items.shape[1]), np.float32)
        text = catalog.vectors.get("text")
        if text is not None and self.from_text is not None:
            if text.fingerprint != self.text:
                raise ConfigError(
                    f"text vectors were made by '{text.fingerprint}', this model knows those of '{self.text}'",
                    "Encode with the same encoder, or fit again.",
                )
            rows = np.asarray(text.matrix[len(self.items) :] @ self.from_text, np.float32)
        return replace(self, catalog=catalog, everything=self.everything.with_rows(rows))


def mean_of(history: Histories, items: Float32, decay: float) -> Float32:
    """Weighted mean of the vectors of what was liked, ``decay`` per event backwards: (n, dim), zero for none."""
    history = history.last(RECENT)
    at: Int64 = np.flatnonzero((history.weight > 0) & (history.item_ix < len(items)))
    lists = np.repeat(np.arange(len(history)), history.lengths)[at]
    found = np.zeros((len(history), items.shape[1]), np.float32)
    if not len(at):
        return found
    weight = (decay ** (history.offsets[1:][lists] - 1 - at)).astype(np.float32)
    rows, first = np.unique(lists, return_index=True)
    sums = np.add.reduceat(items[history.item_ix[at]] * weight[:, None], first, axis=0)
    found[rows] = sums / np.add.reduceat(weight, first)[:, None]
    return found


def _ridge(text: Float32, items: Float32) -> Float32 | None:
    """The linear map from text vectors to item vectors with the least squared error: (text dim, dim).

    None where too few items have both to tell anything about others.
    """
    both = text.any(axis=1) & items.any(axis=1)
    if int(both.sum()) < 2 * text.shape[1]:
        return None
    source = text[both].astype(np.float64)
    gram = source.T @ source
    gram[np.diag_indices_from(gram)] += 1e-2 * np.trace(gram) / len(gram)
    return np.asarray(np.linalg.solve(gram, source.T @ items[both]), np.float32)
