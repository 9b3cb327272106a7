"""External ids to row numbers and back: append-only, so a number never changes its meaning."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zhiyin.base.arrays import AnyArray, Int32, Int64
from zhiyin.base.errors import DataError

_MANY = 100_000
"""Ids above which a table of Python objects (160 bytes each) gives way to sorted hashes (12 bytes each)."""


class Vocabulary:
    """n distinct ids (text). ``ix_of`` gives int32 row numbers, -1 where unknown."""

    __slots__ = ("_lookup", "ids")

    def __init__(self, ids: pa.Array | Iterable[str]) -> None:
        array = ids if isinstance(ids, pa.Array) else pa.array(list(ids), pa.string())
        if array.type != pa.string():
            array = pc.cast(array, pa.string())
        if len(pc.unique(array)) != len(array):
            raise DataError("ids of a vocabulary are not distinct", "Drop the duplicates first.")
        self.ids: pa.Array = array
        self._lookup: _Lookup | None = None

    @classmethod
    def trusted(cls, ids: pa.Array) -> Vocabulary:
        """From ids that are known to be distinct text: what a saved vocabulary is read with."""
        made = cls.__new__(cls)
        made.ids = ids if ids.type == pa.string() else pc.cast(ids, pa.string())
        made._lookup = None
        return made

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
        """Row number of one id, -1 when unknown; microseconds after the first call."""
        if self._lookup is None:
            self._lookup = _Lookup(self.ids)
        ix = self._lookup.find(str(id_))
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
        longer = Vocabulary.trusted(pa.concat_arrays([self.ids, pa.array(fresh, pa.string())]))
        # Numbers never change, so the table is shared: one item more in a catalogue of a million costs one entry.
        # Where somebody else made another longer one, this one gets a table of its own.
        if self._lookup is not None and len(self._lookup) == len(self):
            self._lookup.add(fresh)
            longer._lookup = self._lookup
        return longer


class _Lookup:
    """Finds the number of an id: a dict where there are few, sorted hashes where there are many, a dict for later ones."""

    __slots__ = ("_hashes", "_ids", "_later", "_order")

    def __init__(self, ids: pa.Array) -> None:
        self._ids = ids
        self._hashes: Int64 = np.zeros(0, np.int64)
        self._order: Int32 = np.zeros(0, np.int32)
        self._later: dict[str, int] = {}
        if len(ids) <= _MANY:
            self._later = {str(v): i for i, v in enumerate(ids.to_pylist())}
            return
        parts = (ids.slice(start, _MANY).to_pylist() for start in range(0, len(ids), _MANY))
        hashes = np.fromiter(map(hash, chain.from_iterable(parts)), np.int64, len(ids))
        self._order = np.argsort(hashes).astype(np.int32)
        self._hashes = hashes[self._order]

    def __len__(self) -> int:
        return len(self._hashes) + len(self._later)

    def find(self, id_: str) -> int:
        if self._later and (ix := self._later.get(id_)) is not None:
            return ix
        if not len(self._hashes):
            return -1
        wanted = hash(id_)
        at = int(np.searchsorted(self._hashes, wanted))
        while at < len(self._hashes) and self._hashes[at] == wanted:
            ix = int(self._order[at])
            if self._ids[ix].as_py() == id_:
                return ix
            at += 1
        return -1

    def add(self, ids: Iterable[str]) -> None:
        """Later ids, numbered on from here."""
        for number, id_ in enumerate(ids, len(self)):
            self._later[id_] = number
