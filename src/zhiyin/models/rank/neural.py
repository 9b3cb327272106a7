"""What all neural rankers share: their settings, what they look at, and serving with numpy alone.

A kind of its own is one file: a spec that names its torch body (for fitting, in ``nn.ranking``) and says
the same function in numpy (for serving). Training is in ``neural_fit``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field

from zhiyin.base.arrays import AnyArray, Float32, Float64, Int64
from zhiyin.data.catalog import Catalog
from zhiyin.data.requests import Requests
from zhiyin.data.run import Run
from zhiyin.data.slates import Slates
from zhiyin.models.rank.columns import Scaler, check_columns, matrix_of
from zhiyin.models.roles import RankerSpec, RankingExamples, State

if TYPE_CHECKING:
    from torch import nn

Weights = Mapping[str, Float32]
CHUNK_ROWS = 4096
"""Candidates scored at once: their attention over a history stays within a few MB."""


class Seen(NamedTuple):
    """n candidates of m requests, as arrays; the fields of ``nn.ranking.Rows``."""

    columns: Float32  # (n, n_columns)
    codes: Float32  # (n, n_codes, dim)
    candidate: Float32  # (n, dim)
    past: Float32  # (m, time, dim)
    there: Float32  # (m, time)
    request: Int64  # (n,)

    @property
    def flat(self) -> Float32:
        """(n, n_columns + n_codes * dim)."""
        return np.concatenate([self.columns, self.codes.reshape(len(self.codes), -1)], axis=1)


class NeuralSpec(RankerSpec):
    """Settings of every neural ranker.

    ``columns`` are the slate columns read as numbers (none named = all but those in ``embed``); ``embed``
    names columns whose values are codes, each embedded in ``dim`` numbers, where "item" and "user" stand
    for the numbers of the item and the person; ``hidden`` are the layers of the MLP. ``objective``:
    "binary" is the log-loss of each row, "list" the softmax over the items of a list. Every epoch draws
    ``negatives_per_positive`` passed over items anew (None = all); drawing shifts all log-odds alike: for
    probabilities wrap it in ``calibrated``. ``batch_size`` rows are the most per step, fewer where examples
    are few. Stops when ``validation`` (NDCG@10 of its lists) has not improved for ``patience`` epochs.
    ``id_dropout`` is the share of embeddings hidden at each step, so that unknown ones are no surprise.
    """

    columns: tuple[str, ...] = ()
    embed: tuple[str, ...] = ()
    objective: Literal["binary", "list"] = "binary"
    dim: Annotated[int, Field(ge=1)] = 16
    hidden: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (64, 32)
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    id_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05
    negatives_per_positive: Annotated[int, Field(ge=1)] | None = 10
    epochs: Annotated[int, Field(ge=1)] = 15
    batch_size: Annotated[int, Field(ge=1)] = 512
    learning_rate: Annotated[float, Field(gt=0)] = 3e-3
    l2: Annotated[float, Field(ge=0)] = 1e-3
    patience: Annotated[int, Field(ge=1)] = 3

    @property
    def reads(self) -> tuple[str, ...]:
        return self.columns + self.embedded_columns

    @property
    def embedded_columns(self) -> tuple[str, ...]:
        """Those of ``embed`` that are slate columns."""
        return tuple(name for name in self.embed if name not in ("item", "user"))

    @property
    def time(self) -> int:
        """How many events of the history it looks at; 0 = it knows no items."""
        return 0

    @property
    def reads_text(self) -> bool:
        return False

    def body(self, n_columns: int, n_codes: int) -> nn.Module:
        """The torch module that gives logits (n,) for ``nn.ranking.Rows``."""
        raise TypeError(f"{type(self).__name__} does not say what it is made of")

    def logits(self, w: Weights, seen: Seen) -> Float32:
        """The same function in numpy: (n,)."""
        raise TypeError(f"{type(self).__name__} does not say how to score")

    def fit(self, examples: RankingExamples, run: Run, validation: RankingExamples | None = None) -> Neural:
        from zhiyin.models.rank.neural_fit import fit

        return fit(self, examples, run, validation)

    def restore(self, state: State, catalog: Catalog) -> Neural:
        columns = tuple(state.meta["columns"])
        codes = tuple(np.asarray(state.arrays[f"codes.{i}"], np.float64) for i in range(len(self.embed)))
        inputs = Inputs(self, columns, Scaler.restored(state.under("scaler")), codes)
        return Neural(self, inputs, dict(state.under("weights").arrays), text_of(self, catalog))


class HistorySpec(NeuralSpec):
    """Settings of neural rankers that also look at the candidate itself and the history.

    An item is its own embedding of ``dim`` numbers plus, with ``text`` = "auto", what its catalogue vector
    says where there is one; the last ``history_len`` liked events are looked at.
    """

    history_len: Annotated[int, Field(ge=1)] = 30
    text: Literal["auto", "off"] = "auto"

    @property
    def time(self) -> int:
        return self.history_len

    @property
    def reads_text(self) -> bool:
        return self.text == "auto"


def text_of(spec: NeuralSpec, catalog: Catalog | None) -> Float32 | None:
    """Text vectors (n_items, text_dim) of the catalogue where the ranker wants them and they are there."""
    vectors = None if catalog is None or not spec.reads_text else catalog.vectors.get("text")
    return None if vectors is None else vectors.matrix


@dataclass(frozen=True)
class Inputs:
    """From slates to the arrays a network starts from."""

    spec: NeuralSpec
    columns: tuple[str, ...]
    scaler: Scaler
    codes: tuple[Float64, ...]
    """Per embedded column its known values, ascending; value i has code i + 1, all others 0."""

    def numbers(self, slates: Slates) -> Float32:
        """(n, n_columns) standardised."""
        return self.scaler(matrix_of(slates, self.columns, self.spec.kind))

    def coded(self, requests: Requests, slates: Slates) -> Int64:
        """(n, n_codes)."""
        out = np.zeros((len(slates.item_ix), len(self.codes)), np.int64)
        for i, (name, known) in enumerate(zip(self.spec.embed, self.codes, strict=True)):
            values = code_values(name, requests, slates, self.spec.kind)
            at = np.minimum(np.searchsorted(known, values), len(known) - 1)
            out[:, i] = np.where(known[at] == values, at + 1, 0)
        return out

    def past(self, requests: Requests) -> Int64:
        """(n_requests, time) item numbers, newest last, -1 before the oldest."""
        history = requests.history.where(requests.history.weight > 0).last(self.spec.time)
        out = np.full((len(history), self.spec.time), -1, np.int64)
        from_end = np.repeat(history.offsets[1:], history.lengths) - np.arange(len(history.item_ix))
        out[np.repeat(np.arange(len(history)), history.lengths), self.spec.time - from_end] = history.item_ix
        return out


def code_values(name: str, requests: Requests, slates: Slates, kind: str) -> Float64:
    """(n,) values of an embedded column; NaN where there is none."""
    if name == "item":
        return slates.item_ix.astype(np.float64)
    if name == "user":
        user = requests.user_ix.astype(np.float64)
        return np.repeat(np.where(user < 0, np.nan, user), slates.lengths)
    check_columns(slates, (name,), kind)
    return slates.columns[name].astype(np.float64)


@dataclass(frozen=True)
class Neural:
    """A fitted network as plain arrays; ``text`` (n_items, text_dim) is the catalogue's."""

    spec: NeuralSpec
    inputs: Inputs
    weights: Weights
    text: Float32 | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return self.inputs.columns + self.spec.embedded_columns

    def score(self, requests: Requests, slates: Slates) -> Float32:
        """Logits (n_rows,)."""
        numbers, codes = self.inputs.numbers(slates), self.inputs.coded(requests, slates)
        past, there = self._past(requests)
        lists = slates.items.rows
        out = np.zeros(len(numbers), np.float32)
        for start in range(0, len(out), CHUNK_ROWS):
            at = slice(start, start + CHUNK_ROWS)
            first, last = int(lists[at][0]), int(lists[at][-1]) + 1
            candidate = self._items(slates.item_ix[at].astype(np.int64))
            seen = Seen(numbers[at], self._embedded(codes[at]), candidate, past[first:last], there[first:last], lists[at] - first)
            out[at] = self.spec.logits(self.weights, seen)
        return out

    def _embedded(self, codes: Int64) -> Float32:
        if not codes.shape[1]:
            return np.zeros((len(codes), 0, self.spec.dim), np.float32)
        return np.stack([self.weights[f"codes.{i}.embedding"][codes[:, i]] for i in range(codes.shape[1])], axis=1)

    def _past(self, requests: Requests) -> tuple[Float32, Float32]:
        if not self.spec.time:
            return np.zeros((len(requests), 0, self.spec.dim), np.float32), np.zeros((len(requests), 0), np.float32)
        items = self.inputs.past(requests)
        return self._items(items), (items >= 0).astype(np.float32)

    def _items(self, item_ix: Int64) -> Float32:
        """Rows of items (..., dim); zero for those it knows nothing of."""
        if not self.spec.time:
            return np.zeros((*item_ix.shape, self.spec.dim), np.float32)
        table = self._table
        return table[np.where((item_ix < 0) | (item_ix >= len(table) - 1), len(table) - 1, item_ix)]

    @cached_property
    def _table(self) -> Float32:
        """(n_items + 1, dim), the last row for the unknown."""
        own = self.weights["items.embedding"]
        n = len(own) if self.text is None else max(len(own), len(self.text))
        table = np.zeros((n + 1, self.spec.dim), np.float32)
        table[: len(own)] = own
        if self.text is not None and "items.adapter.weight" in self.weights:
            table[: len(self.text)] += self.weights["items.gate"] * (self.text @ self.weights["items.adapter.weight"].T)
        return table

    def state(self) -> State:
        codes = {f"codes.{i}": known for i, known in enumerate(self.inputs.codes)}
        own = State(codes, {"columns": list(self.inputs.columns)})
        return own.holding({"scaler": self.inputs.scaler.state(), "weights": State(self.weights)})


def linear(w: Weights, name: str, x: AnyArray) -> Float32:
    """x W' + b of a torch Linear."""
    y = x @ w[f"{name}.weight"].T
    return y + w[f"{name}.bias"] if f"{name}.bias" in w else y


def relu(x: Float32) -> Float32:
    return np.maximum(x, 0, out=x)


def mlp(w: Weights, name: str, x: AnyArray) -> Float32:
    """The same as ``nn.ranking.Mlp`` without dropout."""
    i = 0
    while f"{name}.layers.{i}.weight" in w:
        x, i = relu(linear(w, f"{name}.layers.{i}", x)), i + 1
    return x
