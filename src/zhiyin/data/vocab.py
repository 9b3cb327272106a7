"""External ids to row numbers and back: append-only, so a number never changes its meaning."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zhiyin.base.arrays import AnyArray, Int32
from zhiyin.base.errors import DataError


class Vocabulary:
    """n distinct ids (text). ``ix_of`` gives int32 row numbers, -1 where unknown."""

    __slots__ = ("_position", "ids")

    def __init__(self, ids: pa.Array | Iterable[str]) -> None:
        array = ids if isinstance(ids, pa.Array) else pa.array(list(ids), pa.string())
        if array.type != pa.string():
            array = pc.cast(array, pa.string())
        if len(pc.unique(array)) != len(array):
            raise DataError("ids of a vocabulary are not distinct", "Drop the duplicates first.")
        self.ids: pa.Array = array
        self._position: dict[str, int] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def ix_of(self, ids: pa.Array | pa.ChunkedArray | Iterable[str]) -> Int32:
        """(n,) row numbers, -1 where unknown. Cheap for columns of millions."""
        array = ids if isinstance(ids, pa.Array | pa.ChunkedArray) else pa.array(list(ids), pa.string())
        if array.type != pa.string():
            array = pc.cast(array, pa.string())
        found = pc.fill_null(pc.index_in(array, value_set=self.ids), -1)
        return np.asarray(found.to_numpy(zero_copy_only=False) if isinstance(found, pa.Array) else found.to_numpy(), dtype=np.int32)

    def find(self, id_: str) -> int:
        """Row number of one id, -1 when unknown; constant time after the first call."""
        if self._position is None:
            self._position = {str(v): i for i, v in enumerate(self.ids.to_pylist())}
        ix = self._position.get(str(id_), -1)
        return ix if ix < len(self) else -1  # a longer vocabulary may share the table

    def names(self, ix: AnyArray) -> list[str]:
        """The ids of row numbers."""
        return [str(v) for v in self.ids.take(pa.array(np.asarray(ix, dtype=np.int64))).to_pylist()]

    def __getitem__(self, ix: int) -> str:
        return str(self.ids[int(ix)].as_py())

    def extended(self, ids: Iterable[str]) -> Vocabulary:
        """A vocabulary with the ids that are new appended in order; known ones keep their number."""
        fresh = [i for i in dict.fromkeys(str(i) for i in ids) if self.find(i) < 0]
        if not fresh:
            return self
        longer = Vocabulary.__new__(Vocabulary)
        longer.ids = pa.concat_arrays([self.ids, pa.array(fresh, pa.string())])
        # Numbers never change, so the table is shared: one item more in a catalogue of a million costs one entry.
        table = self._position or {}
        if len(table) == len(self):
            for number, id_ in enumerate(fresh, len(self)):
                table[id_] = number
            longer._position = table
        else:  # somebody else made another longer one
            longer._position = None
        return longer
