"""The items: ids, columns, vectors. Row numbers are given once and never reused."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import polars as pl

from zhiyin.base.arrays import AnyArray, Bool, Float32, Int32
from zhiyin.base.errors import DataError
from zhiyin.data.vocab import Vocabulary


class _Memory:
    """Rows with room behind them: whoever comes first with the last of them gets the next ones, without a copy."""

    def __init__(self, matrix: Float32, more: int) -> None:
        self.rows = np.zeros((len(matrix) + more + max(more, len(matrix) >> 3), matrix.shape[1]), np.float32)
        self.rows[: len(matrix)] = matrix
        self._used = len(matrix)
        self._lock = threading.Lock()

    def claimed(self, after: int, more: int) -> bool:
        """Whether the next rows are the caller's now."""
        with self._lock:
            free = self._used == after and after + more <= len(self.rows)
            self._used += more if free else 0
            return free


@dataclass(frozen=True)
class Vectors:
    """One vector per catalogue row and the fingerprint of what made them (zero row = none)."""

    matrix: Float32  # (n_items, dim), unit rows or zero rows
    fingerprint: str
    memory: _Memory | None = field(default=None, repr=False, compare=False)
    """Where the matrix lies, if it may grow there."""
    own_from: int | None = field(default=None, repr=False, compare=False)
    """Rows from here on nobody else has seen."""

    @property
    def dim(self) -> int:
        return int(self.matrix.shape[1])

    @cached_property
    def present(self) -> Bool:
        """Rows that have a vector: (n_items,)."""
        return np.asarray(np.abs(self.matrix).sum(axis=1) > 0)

    def longer(self, n: int) -> Vectors:
        """With n more rows, zero until they are ``filled``. One item more costs one row, not a copy of all."""
        size, memory = len(self.matrix), self.memory
        if memory is None or not memory.claimed(size, n):
            memory = _Memory(self.matrix, n)
            memory.claimed(size, n)
        return self._with(memory.rows[: size + n], np.concatenate([self.present, np.zeros(n, np.bool_)]), memory, size)

    def blank(self, rows: AnyArray) -> Vectors:
        """With zeros in these rows until they are ``filled``; copies all of it."""
        memory, present = _Memory(self.matrix, 0), self.present.copy()
        matrix = memory.rows[: len(self.matrix)]
        matrix[rows], present[rows] = 0.0, False
        return self._with(matrix, present, memory, 0)

    def filled(self, rows: AnyArray, values: Float32) -> Vectors:
        """With vectors in rows that have none: in place where ``longer`` or ``blank`` has just made them, else in a copy.

        What it gives is for everybody to see: nothing is filled in place any more.
        """
        if not len(rows):
            return self._with(self.matrix, self.present, self.memory, None)
        own_from = len(self.matrix) if self.own_from is None else self.own_from
        mine = self if rows.min() >= own_from else self.blank(rows)
        mine.matrix[rows] = values
        present = mine.present.copy()
        present[rows] = np.abs(values).sum(axis=1) > 0
        return self._with(mine.matrix, present, mine.memory, None)

    def _with(self, matrix: Float32, present: Bool, memory: _Memory | None, own_from: int | None) -> Vectors:
        fresh = Vectors(matrix, self.fingerprint, memory, own_from)
        fresh.__dict__["present"] = present  # the cached property, already known
        return fresh


@dataclass(frozen=True)
class Catalog:
    """Items by row number ``item_ix``; append-only; a delete is a mask (``available``).

    ``table`` holds the item columns as in the manifest, row i = item_ix i.
    ``title_column`` names the column people read; ``vectors["text"]`` is filled by the text room
    before ``fit``: models never call encoders.
    """

    items: Vocabulary
    table: pl.DataFrame
    title_column: str | None = None
    vectors: Mapping[str, Vectors] = field(default_factory=dict)
    available: Bool | None = None  # (n_items,), None = all

    def __post_init__(self) -> None:
        if self.table.height != len(self.items):
            raise DataError(f"catalogue has {len(self.items)} ids but {self.table.height} rows")
        for name, vectors in self.vectors.items():
            if len(vectors.matrix) != len(self.items):
                raise DataError(f"vectors '{name}' have {len(vectors.matrix)} rows for {len(self.items)} items")

    def __len__(self) -> int:
        return len(self.items)

    def titles(self, ix: AnyArray) -> list[str]:
        """What people read for each row number: the title, or the id where it is empty."""
        ids = self.items.names(ix)
        if self.title_column is None:
            return ids
        texts = self.table[self.title_column][np.asarray(ix, dtype=np.int64)].to_list()
        return [str(t) if t else i for t, i in zip(texts, ids, strict=True)]

    def with_vectors(self, name: str, vectors: Vectors) -> Catalog:
        return replace(self, vectors={**self.vectors, name: vectors})

    def with_rows(self, ids: list[str], table: pl.DataFrame) -> Catalog:
        """Append items. Known ids raise; vectors of the new rows are zero until encoded."""
        known = [i for i in ids if self.items.find(i) >= 0]
        if known:
            raise DataError(f"item '{known[0]}' is already in the catalogue", "Give new items new ids.")
        if len(set(ids)) != len(ids):
            raise DataError("the new items contain the same id twice", "Keep one row per item.")
        aligned = table.select([c for c in table.columns if c in self.table.columns])
        merged = pl.concat([self.table, aligned.cast({c: self.table.schema[c] for c in aligned.columns})], how="diagonal")
        grown = {name: vectors.longer(len(ids)) for name, vectors in self.vectors.items()}
        available = None if self.available is None else np.concatenate([self.available, np.ones(len(ids), np.bool_)])
        return replace(self, items=self.items.extended(ids), table=merged, vectors=grown, available=available)

    def with_values(self, ids: list[str], table: pl.DataFrame) -> Catalog:
        """Change known items: the columns given take these values, the others stay; their vectors are zero until
        encoded again. Unknown ids raise.
        """
        rows = np.array(self.items.find_all(ids), np.int32)
        if (rows < 0).any():
            raise DataError(f"item '{ids[int(np.flatnonzero(rows < 0)[0])]}' is not in the catalogue", "Insert it first.")
        columns = [c for c in table.columns if c in self.table.columns]
        changed = self.table.with_columns(_placed(self.table[c], rows, table[c].cast(self.table.schema[c])) for c in columns)
        zeroed = {name: vectors.blank(rows) for name, vectors in self.vectors.items()}
        return replace(self, table=changed, vectors=zeroed)

    def with_availability(self, ids: list[str], available: bool) -> Catalog:
        """Take items out of every answer, or back in; unknown ids are passed over."""
        rows = np.array(self.items.find_all(ids), np.int32)
        mask = np.ones(len(self), np.bool_) if self.available is None else self.available.copy()
        mask[rows[rows >= 0]] = available
        return replace(self, available=mask)


def _placed(column: pl.Series, rows: Int32, values: pl.Series) -> pl.Series:
    """The column with other values in these rows."""
    if not column.dtype.is_nested():
        return column.clone().scatter(rows.tolist(), values)
    taken = np.arange(len(column))  # lists cannot be scattered; taking from both is slower
    taken[rows] = len(column) + np.arange(len(rows))
    return pl.concat([column, values])[taken]
