"""Which event ids a log knows: 10 to 12 bytes of memory per event, and a table beside each full segment for the exact answer.

``Sieve`` says "new" (certain) or "maybe known" from sorted 64-bit hashes; for the few that may be known, ``IdTable``
tells where in its segment the event would stand, and the ids that are read there decide.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

_HEAD = struct.Struct("<8sQQII")  # kind, events, bytes of the segment, crc32 of the segment, crc32 of the rest of this file
_KIND = b"zyids 1\n"
_BITS = 16
_FEWEST_BITS = 1 << 16
_PIECE = 1 << 16
"""So many bits are set between two turns of other threads."""


_blank = hashlib.blake2b(digest_size=8)  # to copy it takes half as long as to make one


def hashed(event_ids: Sequence[str]) -> Hashes:
    """64 bits of BLAKE2b for each id, the same in every process: (n,)."""
    digests, copy = [], _blank.copy
    for event_id in event_ids:
        blank = copy()
        blank.update(event_id.encode())
        digests.append(blank.digest())
    return np.frombuffer(b"".join(digests), "<u8")


class IdTable:
    """Hashes of the ids in one segment, ascending, and where the frame of each event starts.

    ``size`` and ``crc`` are those of the segment it was made for.
    """

    def __init__(self, hashes: Hashes, starts: Hashes, size: int, crc: int) -> None:
        self.hashes = hashes
        self._starts = starts
        self.size = size
        self.crc = crc

    @classmethod
    def of(cls, hashes: Sequence[int] | Hashes, starts: Sequence[int] | Hashes, size: int, crc: int) -> IdTable:
        """From columns in the order of the segment."""
        column = np.array(hashes, np.uint64)
        order = np.argsort(column, kind="stable")
        return cls(column[order], np.array(starts, np.uint64)[order], size, crc)

    @classmethod
    def from_bytes(cls, data: bytes | mmap.mmap, *, check: bool) -> IdTable | None:
        """Back from ``to_bytes``; None if this is no such table, or (with ``check``, which reads all of it) a damaged one."""
        if len(data) < _HEAD.size:
            return None
        kind, n, size, crc, own = _HEAD.unpack_from(data)
        if kind != _KIND or len(data) != _HEAD.size + 16 * n:
            return None
        if check and zlib.crc32(memoryview(data)[_HEAD.size :]) != own:
            return None
        columns = np.frombuffer(data, np.dtype("<u8"), 2 * n, _HEAD.size).reshape(2, n)
        return cls(columns[0], columns[1], size, crc)

    def to_bytes(self) -> bytes:
        """As a file; little endian."""
        body = np.stack([self.hashes, self._starts]).astype("<u8").tobytes()
        return _HEAD.pack(_KIND, len(self.hashes), self.size, self.crc, zlib.crc32(body)) + body

    def starts(self, wanted: Hashes) -> list[list[int]]:
        """For each hash (n,), where events with it start; mostly none."""
        low = np.searchsorted(self.hashes, wanted, "left")
        high = np.searchsorted(self.hashes, wanted, "right")
        return [self._starts[a:b].tolist() for a, b in zip(low, high, strict=True)]


class Sieve:
    """Sorted hashes in runs whose sizes fall by half at least, so that adding stays cheap and looking up needs few runs.

    In front of them stand 16 to 32 bits a hash, of which each sets one by its first bits: what is new meets a bit that is
    not set, all but one time in 16, and no run is searched for it.
    """

    def __init__(self) -> None:
        self._runs: list[Hashes] = []
        self._n = 0
        self._bits = np.zeros(_FEWEST_BITS >> 3, np.uint8)

    def add(self, hashes: Sequence[Hashes]) -> None:
        """More hashes, several columns at once if there are."""
        if not (n := sum(map(len, hashes))):
            return
        run = np.sort(np.concatenate(hashes))
        self._n += n
        fresh = [run]
        while self._runs and len(self._runs[-1]) <= 2 * len(run):
            run = np.sort(np.concatenate([self._runs.pop(), run]))
        self._runs.append(run)
        if _BITS * self._n > len(self._bits) << 3:
            self._bits = np.zeros(1 << (2 * _BITS * self._n - 1).bit_length() - 4, np.uint8)
            fresh = self._runs
        for known in fresh:
            for start in range(0, len(known), _PIECE):
                place, bit = self._place(known[start : start + _PIECE])
                np.bitwise_or.at(self._bits, place, bit)

    def maybe(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """For each hash (n,), whether it was added."""
        place, bit = self._place(hashes)
        found: npt.NDArray[np.bool_] = (self._bits[place] & bit) != 0
        if len(rows := np.flatnonzero(found)):
            asked, known = hashes[rows], np.zeros(len(rows), bool)
            for run in self._runs:
                at = np.searchsorted(run, asked)
                known |= run[np.minimum(at, len(run) - 1)] == asked
            found[rows] = known
        return found

    def _place(self, hashes: Hashes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        """In which byte each hash has its bit, and that bit."""
        first = hashes >> np.uint64(64 + 1 - (len(self._bits) << 3).bit_length())
        return (first >> np.uint64(3)).astype(np.int64), np.left_shift(1, first & np.uint64(7)).astype(np.uint8)

    def __bool__(self) -> bool:
        return bool(self._runs)
