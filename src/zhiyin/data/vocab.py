"""External ids to row numbers and back: append-only, so a number never changes its meaning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import chain, islice, repeat

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zhiyin.base.arrays import AnyArray, Int32, UInt64
from zhiyin.base.errors import DataError
from zhiyin.data.texts import packed, unpacked

_BLOCK = 100_000  # ids that are Python objects at the same time
_MANY = 100_000
"""Ids above which a table of Python objects (160 bytes each) gives way to sorted digests (12 bytes each)."""


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
        """From ids that are known to be distinct text."""
        made = cls.__new__(cls)
        made.ids = ids if ids.type == pa.string() else pc.cast(ids, pa.string())
        made._lookup = None
        return made

    def arrays(self, many: int | None = None) -> dict[str, AnyArray]:
        """To be saved: the ids (see ``packed``), and of more than ``many`` how one of them is found."""
        arrays = packed(self.ids)
        if len(self) <= (_MANY if many is None else many):
            return arrays
        table = self._lookup if self._lookup is not None and self._lookup.n_digests == len(self) else _Lookup(self.ids, many)
        return arrays | table.arrays

    @classmethod
    def restored(cls, arrays: Mapping[str, AnyArray]) -> Vocabulary:
        """From what ``arrays`` gave, which may lie in a mapped file: nothing is read before it is asked for."""
        made = cls.trusted(unpacked(arrays))
        if "digests" in arrays:
            made._lookup = _Lookup(made.ids, saved=(arrays["digests"], arrays["order"]))
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
        ix = self._table.find(str(id_))
        return ix if ix < len(self) else -1  # a longer vocabulary may share the table

    def find_all(self, ids: Sequence[str]) -> list[int]:
        """``find`` of several ids, at a fraction of its price."""
        n, found = len(self), self._table.find_all(ids)
        return found if max(found, default=-1) < n else [ix if ix < n else -1 for ix in found]

    @property
    def _table(self) -> _Lookup:
        if self._lookup is None:
            self._lookup = _Lookup(self.ids)
        return self._lookup

    def every(self) -> list[str]:
        """All ids in order; of few, the very texts that the table for ``find`` holds."""
        if len(self) <= _MANY and self._table.n_digests == 0:
            return list(islice(self._table.later, len(self)))
        return [str(v) for v in self.ids.to_pylist()]

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


class Numbers(Mapping[str, int]):
    """A number for each id of a vocabulary, its own where no others (n,) are given; takes no memory for itself."""

    __slots__ = ("_numbers", "ids")

    def __init__(self, ids: Vocabulary, numbers: AnyArray | None = None) -> None:
        self.ids = ids
        self._numbers = numbers

    def __getitem__(self, id_: str) -> int:
        ix = self.ids.find(id_)
        if ix < 0:
            raise KeyError(id_)
        return ix if self._numbers is None else int(self._numbers[ix])

    def __contains__(self, id_: object) -> bool:
        return isinstance(id_, str) and self.ids.find(id_) >= 0

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids.every())


class _Lookup:
    """Finds the number of an id: a dict where there are few, sorted digests where there are many, a dict for later ones.

    Python's own hash differs from process to process; a digest can be saved with the ids.
    """

    __slots__ = ("_digests", "_ids", "_order", "later")

    def __init__(self, ids: pa.Array, many: int | None = None, saved: tuple[UInt64, Int32] | None = None) -> None:
        self._ids = ids
        self.later: dict[str, int] = {}
        self._digests: UInt64 = np.zeros(0, np.uint64)
        self._order: Int32 = np.zeros(0, np.int32)
        if saved is not None:
            self._digests, self._order = saved
        elif len(ids) <= (_MANY if many is None else many):
            self.later = {str(v): i for i, v in enumerate(ids.to_pylist())}
        else:
            parts = (ids.slice(start, _BLOCK).to_pylist() for start in range(0, len(ids), _BLOCK))
            digests = np.frombuffer(b"".join(map(_digest, chain.from_iterable(parts))), np.uint64)
            self._order = np.argsort(digests).astype(np.int32)
            self._digests = digests[self._order]

    def __len__(self) -> int:
        return len(self._digests) + len(self.later)

    @property
    def n_digests(self) -> int:
        return len(self._digests)

    @property
    def arrays(self) -> dict[str, AnyArray]:
        """Of many: digests (n,), ascending, and the number each is of (n,)."""
        return {"digests": self._digests, "order": self._order}

    def find(self, id_: str) -> int:
        if self.later and (ix := self.later.get(id_)) is not None:
            return ix
        if not len(self._digests):
            return -1
        wanted = np.frombuffer(_digest(id_), np.uint64)[0]
        at = int(self._digests.searchsorted(wanted))
        while at < len(self._digests) and self._digests[at] == wanted:
            ix = int(self._order[at])
            if self._ids[ix].as_py() == id_:
                return ix
            at += 1
        return -1

    def find_all(self, ids: Sequence[str]) -> list[int]:
        found = [*map(self.later.get, ids, repeat(-1))]
        if not len(self._digests) or not (left := [place for place, ix in enumerate(found) if ix < 0]):
            return found
        wanted = np.frombuffer(b"".join(_digest(ids[place]) for place in left), np.uint64)
        at = np.minimum(self._digests.searchsorted(wanted), len(self._digests) - 1)
        hit = np.flatnonzero(self._digests[at] == wanted)
        numbers = self._order[at[hit]]
        for row, ix, name in zip(hit.tolist(), numbers.tolist(), self._ids.take(pa.array(numbers)).to_pylist(), strict=True):
            place = left[row]
            found[place] = ix if name == ids[place] else self.find(ids[place])
        return found

    def add(self, ids: Iterable[str]) -> None:
        """Later ids, numbered on from here."""
        for number, id_ in enumerate(ids, len(self)):
            self.later[id_] = number


def _digest(id_: str) -> bytes:
    return blake2b(id_.encode("utf-8", "surrogatepass"), digest_size=8).digest()
