"""What is asked, always as a batch: one request is a batch of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol

import numpy as np

from zhiyin.base.arrays import AnyArray, Bool, Float32, Int32, Int64, Ragged, flat_positions, offsets_of


@dataclass(frozen=True, slots=True, eq=False)
class Histories:
    """What each of n requesters did before, oldest first, laid flat."""

    offsets: Int64  # (n + 1,)
    item_ix: Int32  # (n_flat,)
    kind_ix: Int32
    time_us: Int64
    place_ix: Int32
    weight: Float32

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int64:
        return self.offsets[1:] - self.offsets[:-1]

    @property
    def items(self) -> Ragged:
        return Ragged(self.offsets, self.item_ix)

    @classmethod
    def empty(cls, n: int) -> Histories:
        return cls.of_items(Ragged.empty(n))

    @classmethod
    def of_items(cls, items: Ragged) -> Histories:
        """From item lists alone; ``time_us`` counts 0, 1, 2 ... within each list."""
        n = len(items.values)
        time = np.arange(n, dtype=np.int64) - np.repeat(items.offsets[:-1], items.lengths)
        zeros = np.zeros(n, np.int32)
        return cls(items.offsets, items.values, zeros, time, zeros - 1, np.ones(n, np.float32))

    @classmethod
    def concatenated(cls, parts: Sequence[Histories]) -> Histories:
        """The lists of several batches one after another."""
        offsets = offsets_of(np.concatenate([p.lengths for p in parts]))
        return cls(offsets, *(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)[1:]))

    def _flat(self, positions: AnyArray, offsets: Int64) -> Histories:
        return Histories(offsets, *(getattr(self, f.name)[positions] for f in fields(self)[1:]))

    def take(self, rows: AnyArray) -> Histories:
        return self._flat(*flat_positions(self.offsets, rows))

    def last(self, n: int) -> Histories:
        """Only the newest n of each."""
        lengths = np.minimum(self.lengths, n)
        ends = self.offsets[1:]
        offsets = np.zeros(len(self.offsets), np.int64)
        np.cumsum(lengths, out=offsets[1:])
        positions = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths) + np.repeat(ends - lengths, lengths)
        return self._flat(positions, offsets)

    def where(self, keep: Bool) -> Histories:
        """Only the flat events with True."""
        lists = np.repeat(np.arange(len(self)), self.lengths)[keep]
        offsets = np.zeros(len(self.offsets), np.int64)
        np.cumsum(np.bincount(lists, minlength=len(self)), out=offsets[1:])
        return self._flat(np.flatnonzero(keep), offsets)


@dataclass(frozen=True, slots=True, eq=False)
class Masks:
    """A filter for each of n requests: ``ix`` (n,) says which of ``kinds`` (n_items,), -1 = none."""

    kinds: tuple[Bool, ...]
    ix: Int32

    @classmethod
    def of(cls, masks: Sequence[Bool | None]) -> Masks:
        """From a mask or None per request; the same array is the same kind."""
        kinds: dict[int, Bool] = {}
        numbers: dict[int, int] = {}
        for mask in masks:
            if mask is not None and id(mask) not in numbers:
                numbers[id(mask)] = len(kinds)
                kinds[len(kinds)] = mask
        return cls(tuple(kinds.values()), np.array([-1 if mask is None else numbers[id(mask)] for mask in masks], np.int32))

    def take(self, rows: AnyArray) -> Masks:
        return Masks(self.kinds, self.ix[rows])

    def groups(self) -> Iterator[tuple[Int64, Bool | None]]:
        """The rows of each kind that occurs, and its mask."""
        for kind in range(-1, len(self.kinds)):
            if len(rows := (self.ix == kind).nonzero()[0]):
                yield rows, None if kind < 0 else self.kinds[kind]

    def __getitem__(self, row: int) -> Bool | None:
        kind = int(self.ix[row])
        return None if kind < 0 else self.kinds[kind]


class HistorySource(Protocol):
    """Whatever knows people and what they did: a Dataset, or a server's live state over one."""

    def find_user(self, user: str) -> int: ...

    def history(self, users: AnyArray, now_us: AnyArray | None = None) -> Histories: ...


@dataclass(frozen=True, slots=True, eq=False)
class Requests:
    """n requests. Nothing below reads a clock: ``now_us`` is obligatory.

    ``exclude`` lists items that must not come back (seen ones, under ``repeat = never``);
    ``candidates`` restricts to a given set; ``allowed`` (n_items,) restricts all requests at once, ``masks``
    each by its own: only models that say ``takes_masks`` are handed those (``pipeline.merge.retrieved``).
    ``query`` holds the words asked for ("" = none) and ``query_vectors`` their encoding, made by
    the pipeline; a zero row means none.
    """

    user_ix: Int32  # (n,), -1 = unknown person
    now_us: Int64  # (n,)
    history: Histories
    n: int = 10
    seed: int = 0
    placement: AnyArray | None = None  # (n,) text; None = "home" everywhere
    place_ix: Int32 | None = None  # (n,), -1 = unknown
    context: Mapping[str, AnyArray] = field(default_factory=dict)  # column -> (n,) values
    context_missing: Mapping[str, Bool] = field(default_factory=dict)  # column -> (n,) True = not given
    query: tuple[str, ...] | None = None
    query_vectors: Float32 | None = None  # (n, dim)
    exclude: Ragged | None = None
    candidates: Ragged | None = None
    allowed: Bool | None = None  # (n_items,)
    masks: Masks | None = None

    def __len__(self) -> int:
        return len(self.user_ix)

    @classmethod
    def of(cls, history: Histories, user_ix: AnyArray | None = None, now_us: AnyArray | int = 0, **rest: Any) -> Requests:
        """From histories; users unknown unless given; one ``now_us`` may serve all."""
        n = len(history)
        users = np.full(n, -1, np.int32) if user_ix is None else np.asarray(user_ix, np.int32)
        return cls(users, np.broadcast_to(np.asarray(now_us, np.int64), (n,)).copy(), history, **rest)

    def take(self, rows: AnyArray) -> Requests:
        """The requests at row numbers."""
        at = np.asarray(rows)

        def rows_of(column: Any) -> Any:
            return None if column is None else column[at]

        def lists_of(column: Ragged | None) -> Ragged | None:
            return None if column is None else column.take(at)

        return replace(
            self,
            user_ix=self.user_ix[at], now_us=self.now_us[at], history=self.history.take(at),
            placement=rows_of(self.placement), place_ix=rows_of(self.place_ix),
            context={k: v[at] for k, v in self.context.items()},
            context_missing={k: v[at] for k, v in self.context_missing.items()},
            query=None if self.query is None else tuple(self.query[int(i)] for i in at),
            query_vectors=rows_of(self.query_vectors),
            exclude=lists_of(self.exclude), candidates=lists_of(self.candidates),
            masks=None if self.masks is None else self.masks.take(at),
        )  # fmt: skip

    def chunks(self, size: int) -> Iterator[Requests]:
        """In order, at most ``size`` at a time: bounded memory for any number."""
        if 0 < len(self) <= size:
            yield self
            return
        for start in range(0, len(self), size):
            yield self.take(np.arange(start, min(start + size, len(self))))
