"""The writing half of a segment log: recover, find out which events are new, write them, begin the next segment."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from zhiyin.base.errors import StoreError
from zhiyin.store.disk import FileLock
from zhiyin.store.event_ids import Hashes, Sieve, hashed
from zhiyin.store.event_log import Packed
from zhiyin.store.frames import MARKS, Gap
from zhiyin.store.recent import Recent
from zhiyin.store.segments import FullSegment, OpenSegment, SegmentFolder, damage_said, save_table, written

END, NEWEST, BOOT, WORDS = range(4)
"""The numbers processes share: last durable position, first position of the newest segment, in which boot they were said."""

_PROBE = bytes(4096)


class SegmentWriter:
    """Used by one thread at a time. With ``lock``, other processes write too: each group takes it and catches up first.

    ``note`` receives a sentence for whatever is found damaged. ``failing`` says why the latest write failed.
    """

    def __init__(
        self, files: SegmentFolder, words: memoryview, lock: FileLock | None, *, segment_bytes: int, note: Callable[[str], None]
    ) -> None:
        self._files = files
        self._disk = files.disk
        self._words = words
        self._lock = lock
        self._segment_bytes = segment_bytes
        self._note = note
        self._sieve = Sieve()
        self._torn = False
        self._rolling = False
        self._boot = self._disk.boot()
        self.failing = ""
        self.recent = Recent()
        firsts = files.firsts() or [1]
        self.full = [FullSegment(files, first, self._tell) for first in firsts[:-1]]
        self._sieve.add([segment.load().hashes for segment in self.full])
        self._open = self._opened(firsts[-1])

    def commit(self, events: Packed) -> list[bool]:
        """Make events durable; which of them were new. Raises StoreError if none was kept."""
        try:
            with self._turn():
                self._mend()
                if not events:
                    self._probe()
                    return []
                if self._rolling or self._open.size >= self._segment_bytes:
                    self._roll()
                fresh, hashes = self._fresh(events)
                if len(fresh):
                    self._write(fresh, hashes)
                if len(fresh) == len(events):
                    return [True] * len(events)
                left = dict.fromkeys(fresh.ids, True)
                return [left.pop(event_id, False) for event_id in events.ids]
        except OSError as error:
            self.failing = f"event log '{self._files.folder}' cannot write: {error.strerror or error}"
            raise StoreError(self.failing, "Nothing of this call was kept; make it again once the disk is well.") from None

    def roll(self) -> None:
        """Begin a new segment, so that everything so far stands in full ones."""
        with self._turn():
            self._mend()
            self._roll()

    def swap(self, segment: FullSegment, *, emptied: bool) -> None:
        """Put the rewritten files of a full segment in place of the old ones, or remove it if nothing is left."""
        log, ids = self._files.log(segment.first), self._files.ids(segment.first)
        with self._turn():
            self._disk.remove(ids)  # first: a table of ids must never stand beside a segment it was not made for
            if emptied:
                self._disk.remove(log)
                self.full = [other for other in self.full if other.first != segment.first]
            else:
                self._disk.rename(log.with_suffix(".log.new"), log)
                self._disk.rename(ids.with_suffix(".ids.new"), ids)
            self._disk.sync_folder(self._files.folder)

    def close(self) -> None:
        self._open.file.close()

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        if self._lock is None:
            yield
            return
        self._lock.take(wait=True)
        try:
            self._catch_up()
            yield
        finally:
            self._lock.release()

    def _catch_up(self) -> None:
        """Learn what other processes wrote since our last turn."""
        mine = self._open.first
        newer = self._files.firsts(mine - 1) if self._words[NEWEST] != mine else [mine]
        if newer[-1] > mine:
            filled = [FullSegment(self._files, first, self._tell) for first in newer[:-1] if first >= mine]
            self._sieve.add([segment.load().hashes for segment in filled])
            self.full = [*self.full, *filled]
            self._open.file.close()
            self._open = self._opened(newer[-1])
        elif self._disk.identity(self._files.log(mine))[1] != self._open.size:
            self._take_in(self._open)

    def _opened(self, first: int) -> OpenSegment:
        segment = OpenSegment(self._files, first)
        self._take_in(segment)
        self._disk.sync_folder(self._files.folder)
        return segment

    def _take_in(self, segment: OpenSegment) -> None:
        """Read on from where the segment is known. What is unreadable at its end is cut off: it was never acknowledged,
        unless the durable position that was said since the machine started lies beyond it.
        """
        path = self._files.log(segment.first)
        data = self._disk.read(path, segment.size)
        if not segment.size:
            self._files.check_version(data, segment.first)
            self._rolling = data[:4] in MARKS[1:]  # an older zhiyin takes its segment for its own: it shall see a newer one
        before = segment.size
        found = segment.absorb(data)
        for gap in found.damage:
            self._tell(segment.first, gap)
        for _, frame in found.frames:
            if frame.repaired:
                self._note(f"a flipped bit at {before + frame.start:,} of '{path.name}' was put right")
        hurt = self._words[BOOT] == self._boot and self._words[END] >= segment.next
        if hurt:
            segment.next = self._words[END] + 1  # readers have been told of these positions
        torn = before + len(data) - found.end
        if torn:
            segment.file.cut(found.end)
            if hurt:
                self._tell(segment.first, Gap(found.end, before + len(data)))
            else:
                self._note(f"{torn:,} bytes of an unfinished write at {found.end:,} of '{path.name}' were cut off")
        segment.file.sync()  # what another process wrote before it died may still be on its way
        self._publish(segment)

    def _fresh(self, events: Packed) -> tuple[Packed, Hashes]:
        """Those of the events that are new, each once, and the hashes of their ids."""
        known, distinct = self._open.ids, set(events.ids)
        if len(distinct) < len(events) or not known.isdisjoint(distinct):
            first = {event_id: row for row, event_id in reversed([*enumerate(events.ids)])}
            events = events.take(sorted(row for event_id, row in first.items() if event_id not in known))
        hashes = hashed(events.ids)
        if self._sieve and len(maybe := np.flatnonzero(self._sieve.maybe(hashes))):
            old = self._known(hashes[maybe], [events.ids[row] for row in maybe])
            new = [row for row, event_id in enumerate(events.ids) if event_id not in old]
            return events.take(new), hashes[new]
        return events, hashes

    def _known(self, hashes: Hashes, ids: Sequence[str]) -> set[str]:
        """Those of the ids that stand in full segments; retries are mostly recent, so the newest are asked first."""
        old: set[str] = set()
        for segment in reversed(self.full):
            left = [row for row, event_id in enumerate(ids) if event_id not in old]
            if not left:
                break
            asked = [ids[row] for row in left]
            old.update(i for i, known in zip(asked, segment.known(hashes[left], asked), strict=True) if known)
        return old

    def _write(self, fresh: Packed, hashes: Hashes) -> None:
        segment = self._open
        frames, starts = written(segment.next, fresh.payloads)
        data = b"".join(frames)
        self._put(data)
        segment.add(data, fresh.ids, hashes, starts)
        self.recent.add(segment.first, segment.next, fresh.records)
        segment.next += len(fresh)
        self._publish(segment)
        self.failing = ""

    def _put(self, data: bytes) -> None:
        """Bytes to the end of the newest segment and to the disk; after an error they are cut off again."""
        try:
            self._open.file.write(data)
            self._open.file.sync()
        except OSError:
            self._torn = True
            with contextlib.suppress(OSError):
                self._mend()
            raise

    def _mend(self) -> None:
        if self._torn:
            self._open.file.cut(self._open.size)
            self._torn = False

    def _probe(self) -> None:
        """While writing fails, find out whether it would succeed again."""
        if self.failing:
            self._put(_PROBE)
            self._torn = True
            self._mend()
            self.failing = ""

    def _roll(self) -> None:
        """After an error nothing more is written to the old segment: the new one may be there, and is taken next time."""
        old = self._open
        if old.next == old.first:
            return
        self._rolling = True
        self._words[NEWEST] = old.next  # before the file is there: other processes look for it, and never miss it
        new = OpenSegment(self._files, old.next)
        try:
            self._disk.sync_folder(self._files.folder)
        except OSError:
            new.file.close()
            raise
        table = old.table()
        save_table(self._files, old.first, table)
        self._sieve.add([table.hashes])
        self.full = [*self.full, FullSegment(self._files, old.first, self._tell)]
        old.file.close()
        self._open = new
        self._rolling = False

    def _publish(self, segment: OpenSegment) -> None:
        self._words[NEWEST] = segment.first
        self._words[END] = segment.next - 1
        self._words[BOOT] = self._boot

    def _tell(self, first: int, gap: Gap) -> None:
        self._note(damage_said(self._files.log(first).name, gap))
