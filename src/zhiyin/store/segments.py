"""The files of a segment log: ``<first position>.log`` with events, ``<first position>.ids`` beside each that is full.

Only the newest segment grows. A table of ids is a convenience: one that is missing or does not fit is made again.
"""

from __future__ import annotations

import zlib
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

from zhiyin.base.errors import StoreError
from zhiyin.store.disk import Disk
from zhiyin.store.event_ids import Hashes, IdTable, hashed
from zhiyin.store.frame_events import ids_in, parcels, parts_in
from zhiyin.store.frames import HEADER, MARK, MAX_PAYLOAD, Frame, Gap, frame_at, framed, scan

_USUAL_FRAME_BYTES = 1 << 14

_Ids = list[str]


class Found(NamedTuple):
    """What a segment holds from an offset on: its frames with the ids in them, damage between them, and where what is sound ends."""

    frames: list[tuple[_Ids, Frame]]
    damage: list[Gap]
    end: int

    @property
    def last(self) -> int:
        """The last position, 0 where there is none."""
        return max((frame.position + len(ids) - 1 for ids, frame in self.frames), default=0)

    def columns(self) -> tuple[_Ids, Hashes]:
        """The ids of all events, and where the frame of each starts."""
        starts = np.array([frame.start for _, frame in self.frames], np.uint64)
        return [*chain.from_iterable(ids for ids, _ in self.frames)], np.repeat(starts, [len(ids) for ids, _ in self.frames])


def look_through(data: bytes) -> Found:
    """Read the ids of all events; a gap that reaches the end is not damage but beyond the end."""
    frames: list[tuple[_Ids, Frame]] = []
    damage: list[Gap] = []
    end = 0
    for found in scan(data):
        if isinstance(found, Frame):
            try:
                ids = ids_in(found.payload)
            except ValueError:
                ids = []
            if ids:
                frames.append((ids, found))
            else:
                found = Gap(found.start, found.end)
        if isinstance(found, Frame) or found.end < len(data):
            end = found.end
        if isinstance(found, Gap) and found.end < len(data):
            damage.append(found)
    return Found(frames, damage, end)


def table_of(found: Found, data: bytes) -> IdTable:
    """The table of ids of a segment with these bytes."""
    ids, starts = found.columns()
    return IdTable.of(hashed(ids), starts, len(data), zlib.crc32(data))


def written(position: int, payloads: Sequence[bytes]) -> tuple[list[bytes], Hashes]:
    """The frames of events from a position on, and for each event where its frame starts among them."""
    frames: list[bytes] = []
    counts: list[int] = []
    starts: list[int] = []
    at = 0
    for n, payload in parcels(payloads):
        frames.append(framed(position, payload))
        counts.append(n)
        starts.append(at)
        position += n
        at += len(frames[-1])
    return frames, np.repeat(np.array(starts, np.uint64), counts)


class SegmentFolder:
    """Names and places of the segments in a folder."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self.folder = folder
        self.disk = disk

    def log(self, first: int) -> Path:
        return self.folder / f"{first:020d}.log"

    def ids(self, first: int) -> Path:
        return self.folder / f"{first:020d}.ids"

    def firsts(self, after: int = 0) -> list[int]:
        """First positions of all segments that may hold events beyond a position, ascending."""
        names = self.disk.names(self.folder)
        firsts = [int(name[:-4]) for name in names if name.endswith(".log") and name[:-4].isdigit()]
        return firsts[max(bisect_right(firsts, after + 1) - 1, 0) :]

    def sweep(self) -> None:
        """Remove what an interrupted change left behind."""
        for name in self.disk.names(self.folder):
            if name.endswith(".new"):
                self.disk.remove(self.folder / name)

    def check_version(self, data: bytes, first: int) -> None:
        """Raises StoreError for a segment in a later format, before anything in it is taken for damage."""
        if data[:3] == MARK[:3] and data[3:4] > MARK[3:] and frame_at(data, 0) is None:
            raise StoreError(f"event log '{self.folder}' was written by a newer zhiyin ({self.log(first).name})", "Upgrade zhiyin.")

    def make_table(self, first: int, tell: Callable[[int, Gap], None]) -> IdTable:
        """The table of ids of a full segment, from its events; damage is told."""
        data = self.disk.read(self.log(first))
        self.check_version(data, first)
        found = look_through(data)
        for gap in [*found.damage, *([Gap(found.end, len(data))] if found.end < len(data) else [])]:
            tell(first, gap)
        return table_of(found, data)


class FullSegment:
    """A segment that no longer grows; its table of ids is looked at only for events that may be known."""

    def __init__(self, files: SegmentFolder, first: int, tell: Callable[[int, Gap], None]) -> None:
        self.first = first
        self._files = files
        self._tell = tell
        self._table: IdTable | None = None
        self._identity = (0, 0)

    def load(self) -> IdTable:
        """Check the table of ids, and make it again where it does not fit; then it is only mapped."""
        files, disk = self._files, self._files.disk
        path = files.ids(self.first)
        self._identity = disk.identity(files.log(self.first))
        try:
            table = IdTable.from_bytes(disk.read(path), check=True)
        except FileNotFoundError:
            table = None
        if table is None or table.size != self._identity[1]:
            table = files.make_table(self.first, self._tell)
            save_table(files, self.first, table)
        self._table = None
        return table

    def known(self, hashes: Hashes, ids: Sequence[str]) -> list[bool]:
        """For each id with its hash, whether the segment holds an event with exactly this id."""
        try:
            places = self._fitting_table().starts(hashes)
            read = {start: self._ids_at(start) for start in set(chain.from_iterable(places))}
            return [any(event_id in read[start] for start in starts) for event_id, starts in zip(ids, places, strict=True)]
        except FileNotFoundError:
            return [False] * len(ids)  # another process erased all that was in it

    def _fitting_table(self) -> IdTable:
        if self._identity != self._files.disk.identity(self._files.log(self.first)):
            self._table = self.load()  # somebody was erased, perhaps by another process
        elif self._table is None:
            try:
                self._table = IdTable.from_bytes(self._files.disk.mapped(self._files.ids(self.first)), check=False)
            except (FileNotFoundError, ValueError):
                self._table = None
            self._table = self._table or self.load()
        return self._table

    def _ids_at(self, start: int) -> frozenset[str]:
        path, disk = self._files.log(self.first), self._files.disk
        for size in (_USUAL_FRAME_BYTES, MAX_PAYLOAD + HEADER.size):
            frame = frame_at(disk.read(path, start, size), 0)
            if frame is not None:
                try:
                    return frozenset(ids_in(frame.payload))
                except ValueError:
                    break
        return frozenset()  # damaged: who sends it again brings it back


class OpenSegment:
    """The newest segment, which grows: its file, and the ids in it."""

    def __init__(self, files: SegmentFolder, first: int) -> None:
        self.first = first
        self.next = first
        self.size = 0
        self.ids: set[str] = set()
        self.file = files.disk.grow(files.log(first))
        self._crc = 0
        self._hashes = array("Q")
        self._starts = array("Q")

    def add(self, data: bytes, ids: _Ids, hashes: Hashes, starts: Hashes) -> None:
        """Events (id, its hash, start of its frame within ``data``) that now stand at the end of the file."""
        self.ids.update(ids)
        self._hashes.frombytes(hashes.tobytes())
        self._starts.frombytes((starts + np.uint64(self.size)).tobytes())
        self.size += len(data)
        self._crc = zlib.crc32(data, self._crc)

    def absorb(self, data: bytes) -> Found:
        """Take in what was found in the file beyond ``size``, up to where it is sound."""
        found = look_through(data)
        base = self.size
        ids, starts = found.columns()
        self.add(data[: found.end], ids, hashed(ids), starts)
        if found.frames:
            self.next = found.last + 1
        return Found(found.frames, [Gap(base + gap.start, base + gap.end) for gap in found.damage], base + found.end)

    def table(self) -> IdTable:
        """Its table of ids, for when it is full."""
        return IdTable.of(self._hashes, self._starts, self.size, self._crc)


def save_table(files: SegmentFolder, first: int, table: IdTable) -> None:
    """Keep a table beside its segment. A full disk is no harm: it is made again when it is missed."""
    new = files.ids(first).with_suffix(".ids.new")
    try:
        files.disk.write_new(new, table.to_bytes())
        files.disk.rename(new, files.ids(first))
    except OSError:
        files.disk.remove(new)


def without(data: bytes, needles: Sequence[bytes], gone: Callable[[bytes], bool], intact: bool) -> tuple[bytes, int] | None:
    """A segment's bytes less the events that ``gone(bytes of one)`` names, and how many they are; None if all may stay.

    ``needles`` are bytes one of which such an event contains; in an ``intact`` segment without them nothing is read.
    Damaged parts go as well: nobody can say whose they were.
    """
    if intact and not any(needle in data for needle in needles):
        return None
    kept: list[bytes] = []
    removed = 0
    changed = False
    for found in scan(data):
        changed |= isinstance(found, Gap) or found.repaired
        if isinstance(found, Frame):
            rest, n = _rest(found, gone) if any(needle in found.payload for needle in needles) else (b"", 0)
            kept.append(rest if n else framed(found.position, found.payload) if found.repaired else data[found.start : found.end])
            removed += n
    return (b"".join(kept), removed) if changed or removed else None


def _rest(frame: Frame, gone: Callable[[bytes], bool]) -> tuple[bytes, int]:
    """Frames of the events of a frame that stay, at their positions, and how many do not; an unreadable one counts as one."""
    try:
        parts = parts_in(frame.payload)
    except ValueError:
        return b"", 1
    staying = [not gone(part) for part in parts]
    frames: list[bytes] = []
    at = 0
    for stays, run in groupby(staying):
        n = len(list(run))
        if stays:
            frames += written(frame.position + at, parts[at : at + n])[0]
        at += n
    return b"".join(frames), staying.count(False)


def damage_said(name: str, gap: Gap) -> str:
    """The sentence about damage in a segment file."""
    return f"'{name}' is damaged: {gap.end - gap.start:,} bytes at {gap.start:,} are no events"


def frames_from(data: bytes, start: int) -> Iterator[Frame | Gap]:
    """What stands in data read from offset ``start`` of a file, with offsets of the file."""
    for found in scan(data):
        yield found._replace(start=found.start + start, end=found.end + start)
