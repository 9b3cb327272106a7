"""The flagship: a causal Transformer over events, whose items are an ID and a text at once.

Self-attentive sequential recommendation (Kang & McAuley, ICDM 2018) with what has been found to matter
since: cross-entropy over the whole catalogue, every window of long histories, order by relative
distance, and two item tables, one for "has been" and one for "comes next", since what follows what is
not symmetric. Training needs torch (``sequence_fit``); this file serves with numpy alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from zhiyin.base.arrays import AnyArray, Float32, Int64
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.run import Run
from zhiyin.index.exact import NEVER
from zhiyin.models.retrieve.dense import DenseRetriever
from zhiyin.models.retrieve.profile import liked
from zhiyin.models.retrieve.transitions import Transitions, TransitionsSpec
from zhiyin.models.roles import ModelSpec, State


class SequenceSpec(ModelSpec):
    """Choose when people have histories of several events and order or text says something.

    ``max_len`` events are looked at; ``batch_size`` is the most windows per step, fewer where data are
    few; ``loss``: "auto" is the full softmax up to 50,000 items and the sampled one with logQ correction
    above; ``score``: "dot", "bilinear" (state' M item) or "cosine" (with a learned temperature: better on
    sparse shops); ``shared_items`` uses one item table for both roles; ``text``: "auto" uses catalogue
    vectors when they are there; ``memory`` holds settings of ``transitions``, whose counts are heard while
    learning and answering, because ``dim`` numbers cannot remember which rare things go together. See
    ``transitions`` for one second instead of minutes, ``ease`` when order does not matter, ``content``
    when nobody did anything yet.
    """

    kind: ClassVar[str] = "sequence"
    validates: ClassVar[bool] = True

    dim: Annotated[int, Field(ge=4)] = 128
    layers: Annotated[int, Field(ge=1)] = 2
    heads: Annotated[int, Field(ge=1)] = 2
    hidden_ratio: Annotated[int, Field(ge=1)] = 4
    max_len: Annotated[int, Field(ge=2)] = 200
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3
    id_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    text: Literal["auto", "off"] = "auto"
    shared_items: bool = False
    memory: TransitionsSpec | None = TransitionsSpec(followers=200)
    score: Literal["dot", "bilinear", "cosine"] = "dot"
    loss: Literal["auto", "full", "sampled", "gbce"] = "auto"
    n_negatives: Annotated[int, Field(ge=1)] = 1024
    epochs: Annotated[int, Field(ge=1)] = 12
    batch_size: Annotated[int, Field(ge=1)] = 32
    learning_rate: Annotated[float, Field(gt=0)] = 1.5e-3
    l2: Annotated[float, Field(ge=0)] = 0.0
    patience: Annotated[int, Field(ge=1)] = 3
    validate_every: Annotated[int, Field(ge=1)] = 2

    @model_validator(mode="after")
    def _heads_divide(self) -> SequenceSpec:
        if self.dim % self.heads:
            raise ValueError(f"dim = {self.dim} is not a multiple of heads = {self.heads}")
        return self

    def fit(self, data: Dataset, run: Run) -> Sequence:
        from zhiyin.models.retrieve.sequence_fit import fit

        return fit(self, data, run)

    def restore(self, state: State, catalog: Catalog) -> Sequence:
        weights = {k: np.asarray(v, np.float32) for k, v in state.arrays.items() if not k.startswith("memory.")}
        memory = None if self.memory is None else self.memory.restore(state.under("memory"), catalog)
        return Sequence(self, catalog, weights, memory)


@dataclass(frozen=True)
class Sequence(DenseRetriever):
    """``weights`` holds, all float32: per table ("seen", "next") ``.embedding`` and, with text, ``.gate``
    and ``.adapter``; per block ``blocks.<i>.*``; ``norm.*``; ``bilinear`` or ``temperature``; and
    ``trained`` (n_items at fit,), 1 where the item had events."""

    spec: SequenceSpec
    catalog: Catalog
    weights: Mapping[str, Float32]
    memory: Transitions | None = None

    def scores(self, requests: Requests) -> Float32:
        history = liked(requests.history)
        known = history.where(self.usable[history.item_ix])
        states = self.states(known)
        scores: Float32 = states @ self.next_items.T
        if self.memory is not None:
            evidence = self.memory.evidence(replace(requests, history=known)) / self.weights["memory_scale"]
            scores[:, : evidence.shape[1]] += self.weights["memory_strength"] * np.log1p(evidence)
        scores[:, ~self.usable] = NEVER
        scores[known.lengths == 0] = NEVER  # without a history there is nothing to say
        return scores

    def states(self, history: Histories) -> Float32:
        """What each history means, ready to be multiplied with ``next_items``: (n, dim)."""
        recent = history.last(self.spec.max_len)
        out = np.zeros((len(recent), self.spec.dim), np.float32)
        order = np.argsort(recent.lengths, kind="stable")
        order = order[recent.lengths[order] > 0]
        start = 0
        while start < len(order):  # short ones together: little padding, bounded memory
            longest = int(recent.lengths[order[min(start + 31, len(order) - 1)]])
            rows = order[start : start + max(32, 4096 // longest)]
            rows = rows[recent.lengths[rows] <= max(longest, 1)]
            out[rows] = self._forward(recent.take(rows))
            start += len(rows)
        if self.spec.score == "bilinear":
            out = out @ self.weights["bilinear"].T
        if self.spec.score == "cosine":
            out = _unit(out) * self.weights["temperature"]
        return out

    @cached_property
    def seen_items(self) -> Float32:
        """(n_items, dim) rows of items as parts of a history."""
        return self._table("seen")

    @cached_property
    def next_items(self) -> Float32:
        """(n_items, dim) rows of items as answers."""
        table = self.seen_items if self.spec.shared_items else self._table("next")
        return _unit(table) if self.spec.score == "cosine" else table

    @cached_property
    def usable(self) -> AnyArray:
        """Items the model can say something about: trained ones, and new ones that have a text vector."""
        usable = np.zeros(len(self.catalog), np.bool_)
        usable[: len(self.weights["trained"])] = self.weights["trained"] > 0
        return usable | self.catalog.vectors["text"].present if "seen.adapter" in self.weights else usable

    def _table(self, name: str) -> Float32:
        own = self.weights[f"{name}.embedding"] * self.weights["trained"][:, None]
        table = np.zeros((len(self.catalog), self.spec.dim), np.float32)
        table[: len(own)] = own
        if f"{name}.adapter" in self.weights:
            text = self.catalog.vectors["text"].matrix @ self.weights[f"{name}.adapter"].T
            table += self.weights[f"{name}.gate"] * text
        return table

    def _forward(self, history: Histories) -> Float32:
        """State after the newest event: (n, dim). Histories are padded at the end, which causality hides."""
        n, time = len(history), int(history.lengths.max())
        rows = np.repeat(np.arange(n), history.lengths)
        place = np.arange(len(rows)) - np.repeat(history.offsets[:-1], history.lengths)
        x = np.zeros((n, time, self.spec.dim), np.float32)
        x[rows, place] = self.seen_items[history.item_ix] * np.float32(np.sqrt(self.spec.dim))
        newest = history.lengths - 1
        distance = _distances(history)
        for i in range(self.spec.layers):
            x = self._block(x, {k.removeprefix(f"blocks.{i}."): v for k, v in self.weights.items() if k.startswith(f"blocks.{i}.")},
                            distance, newest if i == self.spec.layers - 1 else None)  # fmt: skip
        return _norm(x[:, 0], self.weights["norm.weight"], self.weights["norm.bias"])

    def _block(self, x: Float32, w: Mapping[str, Float32], distance: Int64, only: Int64 | None) -> Float32:
        """One block, the twin of ``nn.attention.CausalBlock``; ``only`` computes just that position."""
        n, _, dim = x.shape
        heads, width = self.spec.heads, dim // self.spec.heads
        y = _norm(x, w["norm_attention.weight"], w["norm_attention.bias"])
        y[:, 1:] += w["shift"] * y[:, :-1].copy()
        key_value = y @ w["qkv.weight"][dim:].T + w["qkv.bias"][dim:]
        if only is not None:
            every = np.arange(n)
            x, y = x[every, only][:, None], y[every, only][:, None]  # (n, 1, dim)
            distance = distance[every if len(distance) == n else 0, only][:, None]  # (n, 1, time)
        query = (y @ w["qkv.weight"][:dim].T + w["qkv.bias"][:dim]) / np.float32(np.sqrt(width))
        q, k, v = (a.reshape(n, -1, heads, width).transpose(0, 2, 1, 3) for a in (query, key_value[..., :dim], key_value[..., dim:]))
        logits = q @ k.transpose(0, 1, 3, 2)  # (n, heads, queries, time)
        bias = np.concatenate([w["distance_bias"], np.full((heads, 1), NEVER)], axis=1)
        logits += bias[:, np.maximum(distance, -1)].transpose(1, 0, 2, 3)
        np.exp(logits - logits.max(axis=-1, keepdims=True), out=logits)
        logits /= logits.sum(axis=-1, keepdims=True)
        y = (logits @ v).transpose(0, 2, 1, 3).reshape(n, -1, dim)
        x = x + y @ w["out.weight"].T + w["out.bias"]
        y = _norm(x, w["norm_forward.weight"], w["norm_forward.bias"]) @ w["forward_in.weight"].T + w["forward_in.bias"]
        np.maximum(y, 0, out=y)
        return np.asarray(x + y @ w["forward_out.weight"].T + w["forward_out.bias"], np.float32)

    def state(self) -> State:
        return State(self.weights).holding({} if self.memory is None else {"memory": self.memory.state()})

    def with_catalog(self, catalog: Catalog) -> Self:
        return replace(self, catalog=catalog, memory=None if self.memory is None else self.memory.with_catalog(catalog))


def _distances(history: Histories) -> Int64:
    """How many instants a key (last axis) is before a query: (n, time, time), or (1, ...) if all have their own.

    Negative = later, padding included, which is put at the end.
    """
    n, time = len(history), int(history.lengths.max())
    starts = np.repeat(history.offsets[:-1], history.lengths)
    instant = np.cumsum(np.diff(history.time_us, prepend=0) != 0)
    instant -= instant[starts]
    place = np.arange(len(instant)) - starts
    if bool((instant == place).all()):
        return np.arange(time)[None, :, None] - np.arange(time)
    grid = np.tile(np.arange(time), (n, 1))  # an instant is at most its place, so padding comes out later
    grid[np.repeat(np.arange(n), history.lengths), place] = instant
    return np.asarray(grid[:, :, None] - grid[:, None, :])


def _norm(x: Float32, weight: Float32, bias: Float32) -> Float32:
    centred = x - x.mean(axis=-1, keepdims=True)
    scale = 1 / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(1e-5))
    return np.asarray(centred * scale * weight + bias, np.float32)


def _unit(x: Float32) -> Float32:
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12), np.float32)
