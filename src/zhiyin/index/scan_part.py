"""Some rows of an index, ready to be scanned: most as bytes, a few as they are.

Rows stay as they are ("loose") that are too long for the common scale, that came after packing, or that
are so few in all that packing gains nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from zhiyin.base.arrays import AnyArray, Bool, Float32, Float64, Int32, Int64, Ragged
from zhiyin.index.scan_bytes import Approximate, Asked, Bytes, holds

HIDDEN = np.int32(np.iinfo(np.int32).min)
ABOVE = np.int32(np.iinfo(np.int32).max)
FEW = 1_000  # rows that float32 scores as quickly as bytes with all that goes with them
LONG = 4.0  # times the median length: such rows would make the steps of all others coarse
NEVER = -np.inf


@dataclass(frozen=True, eq=False)
class Part:
    """``numbers`` are the row numbers behind packed columns, ``loose`` those of ``vectors``; both ascend.

    ``ceiling`` (n_packed,) is HIDDEN for packed rows that were removed or that a mask forbids.
    """

    packed: Bytes | None
    numbers: Int32  # (n_packed,)
    loose: Int32  # (n_loose,)
    vectors: Float32  # (n_loose, dim)
    ceiling: Int32 | None = None

    @classmethod
    def of(cls, matrix: Float32, numbers: AnyArray, scale: Float64 | None = None) -> Part:
        """Pack the rows of ``matrix`` with these ascending numbers; zero rows have no direction and are left out.

        In the ``scale`` of another part, a query is prepared once for both.
        """
        rows = taken(matrix, numbers)
        length = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
        there = length > 0
        long = there
        if np.count_nonzero(there) > FEW:
            known = length[there]
            long = length > max(LONG * float(np.median(known)), float(np.quantile(known, 0.995)))
            long |= False if scale is None else ~holds(scale, rows)
        short = np.flatnonzero(there & ~long)
        long &= there
        packed = Bytes.of(taken(rows, short), scale) if len(short) else None
        return cls(packed, np.asarray(numbers[short], np.int32), np.asarray(numbers[long], np.int32), rows[long])

    @classmethod
    def restored(cls, matrix: Float32, arrays: Mapping[str, AnyArray]) -> Part:
        """From what ``arrays`` gave, and the matrix it was packed from."""
        packed = Bytes.restored(arrays) if "packed" in arrays else None
        return cls(packed, arrays["numbers"], arrays["loose"], matrix[arrays["loose"]])

    @property
    def arrays(self) -> dict[str, AnyArray]:
        """To be saved, so that nothing is packed again; nothing of a part whose rows are hidden."""
        if self.ceiling is not None:
            return {}
        return {"numbers": self.numbers, "loose": self.loose, **({} if self.packed is None else self.packed.arrays)}

    @property
    def n_packed(self) -> int:
        return len(self.numbers)

    @property
    def n_hidden(self) -> int:
        return 0 if self.ceiling is None else int(np.count_nonzero(self.ceiling == HIDDEN))

    @property
    def n_held(self) -> int:
        """Rows that it has to itself, as a measure of memory."""
        return len(self.loose) + (self.n_packed if self.ceiling is None else self.n_packed // 16)

    def with_loose(self, numbers: AnyArray, vectors: Float32) -> Part:
        """The same and rows of higher numbers."""
        return replace(self, loose=np.concatenate([self.loose, numbers]).astype(np.int32), vectors=np.concatenate([self.vectors, vectors]))

    def without(self, numbers: AnyArray) -> Part:
        """The same but for these rows."""
        gone = np.unique(numbers)
        stay = ~np.isin(self.loose, gone)
        ceiling = np.full(self.n_packed, ABOVE) if self.ceiling is None else self.ceiling.copy()
        at, here = places(self.numbers, gone)
        ceiling[at[here]] = HIDDEN
        return replace(self, loose=self.loose[stay], vectors=self.vectors[stay], ceiling=ceiling)

    def masked(self, allowed: Bool) -> Part:
        """The same, with rows forbidden by a mask over all rows (n_rows,)."""
        stay = allowed[self.loose]
        ceiling = np.where(allowed[self.numbers], ABOVE if self.ceiling is None else self.ceiling, HIDDEN)
        return replace(self, loose=self.loose[stay], vectors=self.vectors[stay], ceiling=ceiling.astype(np.int32, copy=False))

    def search(self, queries: Float32, k: int, exclude: Ragged | None, asked: Asked | None = None) -> tuple[Int64, Int64]:
        """Every row that may be among the k best of (b, dim) queries, in no order: query and row numbers, flat.

        Queries are finite and not zero; ``asked`` are the same in the scale of some part.
        """
        if self.packed is None:
            return self.of_loose(queries, k, exclude)
        said = self.packed.scores(asked if asked is not None and asked.scale is self.packed.scale else self.packed.asked(queries))
        self._hide(said.scores, exclude)
        rows, columns, reached = likely(said, k)
        numbers = self.numbers[columns].astype(np.int64)
        if not len(self.loose):
            return rows, numbers
        lowest = np.where(reached > HIDDEN, (reached - said.slack) * said.step, -np.inf)
        more = self.of_loose(queries, k, exclude, lowest)
        return np.concatenate([rows, more[0]]), np.concatenate([numbers, more[1]])

    def _hide(self, scores: Int32, exclude: Ragged | None) -> None:
        scores[:, self.n_packed :] = HIDDEN
        if self.ceiling is not None:
            np.minimum(scores[:, : self.n_packed], self.ceiling, out=scores[:, : self.n_packed])
        if exclude is not None:
            hide(scores, self.numbers, exclude, HIDDEN)

    def of_loose(self, queries: Float32, k: int, exclude: Ragged | None, lowest: Float64 | None = None) -> tuple[Int64, Int64]:
        """Loose rows that reach ``lowest`` (b,), or that are among the k best where none is given."""
        scores = queries @ self.vectors.T
        if exclude is not None:
            hide(scores, self.loose, exclude, NEVER)
        if lowest is None and k < len(self.loose):
            lowest = np.partition(scores, len(self.loose) - k, axis=1)[:, len(self.loose) - k].astype(np.float64)
        if lowest is None:
            rows, columns = np.nonzero(scores > NEVER)
        else:
            # Two ways to sum the same products may differ in the last places.
            floor = np.maximum(lowest - 1e-5 * np.abs(lowest), np.finfo(np.float32).min)
            rows, columns = np.nonzero(scores >= floor.astype(np.float32)[:, None])
        return rows, self.loose[columns].astype(np.int64)


def taken(matrix: Float32, numbers: AnyArray) -> Float32:
    """The rows with these distinct ascending numbers: the matrix itself where that is all of them, which may be mapped from a file."""
    return matrix if len(numbers) == len(matrix) else matrix[numbers]


def places(numbers: Int32, wanted: AnyArray) -> tuple[Int64, Bool]:
    """Where each wanted number stands among ascending ones, and whether it does."""
    if not len(numbers):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.bool_)
    at = np.minimum(np.searchsorted(numbers, wanted), len(numbers) - 1)
    return at, np.asarray(numbers[at] == wanted)


def hide(scores: AnyArray, numbers: Int32, lists: Ragged, value: float | np.int32) -> None:
    """Overwrite, in place, the columns of each row that stand for the row numbers of its list."""
    at, here = places(numbers, lists.values)
    if len(scores) == 1:
        scores[0, at[here]] = value
    else:
        scores[lists.rows[here], at[here]] = value


def likely(said: Approximate, k: int) -> tuple[Int64, Int64, Int64]:
    """Cells that may be among the k best of their row, as rows and columns, and a score that k cells reach.

    The k-th highest of the maxima of blocks is reached by k cells; whatever lies more than twice the
    slack below it is out. Blocks are columns equal modulo their number, so that maxima are plain vector
    instructions (6 microseconds per 100,000), and only blocks whose maximum is in are looked through.
    """
    scores, (b, width) = said.scores, said.scores.shape
    depth = 32
    while depth > 1 and (width // depth < 8 * k):
        depth //= 2
    n_blocks = width // depth
    blocks = scores.reshape(b, depth, n_blocks)
    highest = np.maximum.reduce(blocks, axis=1)
    reached = np.full(b, HIDDEN, np.int64)
    if k <= n_blocks:
        reached = np.partition(highest, n_blocks - k, axis=1)[:, n_blocks - k].astype(np.int64)
    floor = np.maximum(reached - np.ceil(2 * said.slack).astype(np.int64), HIDDEN + 1)
    floor32 = floor.astype(np.int32)
    flat = np.flatnonzero(highest >= floor32[:, None])
    rows, block = np.divmod(flat, n_blocks)
    cells = np.flatnonzero(blocks[rows, :, block] >= floor32[rows][:, None])
    hit, level = np.divmod(cells, depth)
    return rows[hit], level * n_blocks + block[hit], reached
