"""The event log in files of its own: one write, one flush and few checksums for all that wait.

    log/
      00000000000000000001.log    events from position 1 on, appended to until 16 MB, then never again (but for erasing)
      00000000000000000001.ids    which ids are in it; made again when lost
      lock, shared                who writes; how far events are durable

What a crash or a power cut leaves half written at the end is cut off when the log is opened, and noted. A flipped bit is
turned back, worse damage is skipped and noted; nothing is ever read as something else. A write that fails is cut off
again, its callers get StoreError, and the log goes on as soon as the disk does. Not covered: a disk that reports a flush
it did not do, files that vanish, and damage of several bits in the very last write if the machine was started anew since:
it looks like a torn one.
Erasing rewrites files; what the disk itself still holds in freed blocks is up to its encryption.
"""

from __future__ import annotations

import contextlib
import logging
import struct
import threading
import zlib
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Literal

from zhiyin.base.errors import StoreError
from zhiyin.data.record import EventRecord
from zhiyin.store.disk import Disk
from zhiyin.store.event_ids import IdTable
from zhiyin.store.event_log import Batch, LogStatus, each, packed, unpacked
from zhiyin.store.frame_events import events_in
from zhiyin.store.frames import Frame, Gap, frame_at
from zhiyin.store.group_commit import GroupCommit
from zhiyin.store.segment_writer import BOOT, END, NEWEST, WORDS, SegmentWriter
from zhiyin.store.segments import FullSegment, SegmentFolder, damage_said, frames_from, look_through, table_of, without

Access = Literal["own", "share", "read"]

SEGMENT_BYTES = 16 << 20
_MOST_NOTES = 100
_MOST_PLACES = 16
_Place = tuple[int, int, int]
"""A segment, where in it a frame starts, and the position of its first event."""


class SegmentLog:
    """An ``EventLog`` in a folder, made if absent. The default: fastest, and nothing else has to run.

    ``access`` says who writes: "own" this process alone (a second one gets StoreError), "share" several processes of this
    machine in turns, "read" somebody else. Raises StoreError when the folder is taken or cannot be read or written.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        access: Access = "own",
        disk: Disk | None = None,
        segment_bytes: int = SEGMENT_BYTES,
        max_waiting_bytes: int = 64 << 20,
    ) -> None:
        self._disk = Disk() if disk is None else disk
        self._files = SegmentFolder(Path(folder).absolute(), self._disk)
        self._name = f"event log '{folder}'"
        self._notes: list[str] = []
        self._noted: set[str] = set()
        self._places: dict[int, _Place] = {}  # where readers stopped, by the position of the last event they had
        self._erasing = threading.Lock()
        self._closed = False
        self._writer: SegmentWriter | None = None
        try:
            if access != "read":
                self._open_for_writing(access, segment_bytes, max_waiting_bytes)
            elif not self._files.firsts():
                raise StoreError(f"there are no events in '{folder}'", "Check the path; the server makes it when it starts.")
        except StoreError:
            raise
        except OSError as error:
            raise StoreError(f"{self._name} cannot be opened: {error.strerror or error}", "Check the path and its rights.") from None

    def submit(self, records: Sequence[EventRecord]) -> Future[list[bool]]:
        """See ``EventLog.submit``."""
        if self._writer is None:
            raise StoreError(f"{self._name} is open for reading only", "Open it with access='own' or 'share'.")
        return self._group.submit(packed(records))

    def append(self, records: Sequence[EventRecord]) -> list[bool]:
        """See ``EventLog.append``."""
        return self.submit(records).result()

    def read(self, after: int = 0) -> Iterator[tuple[int, EventRecord]]:
        """See ``EventLog.read``."""
        return each(self.batches(after))

    def batches(self, after: int = 0) -> Iterator[Batch]:
        """See ``EventLog.batches``. Takes memory for one segment; what this process has just written is not read again, and
        when nothing is new it costs one look at a number.
        """
        if self._closed:
            raise StoreError(f"{self._name} is closed", "Open it again.")
        try:
            if self._writer is not None and self._words[END] > after:
                for position, records in self._writer.recent.since(self._words[NEWEST], after):
                    after = position + len(records) - 1
                    yield range(position, after + 1), records
            yield from self._read(after)
        except StoreError:
            raise
        except OSError as error:
            raise StoreError(f"{self._name} cannot be read: {error.strerror or error}", "Check the disk.") from None

    def erase(self, *, users: Collection[str] = (), sessions: Collection[str] = ()) -> int:
        """See ``EventLog.erase``. Appends go on meanwhile; a segment without the person costs reading it once."""
        if self._writer is None:
            raise StoreError(f"{self._name} is open for reading only", "Open it with access='own' or 'share'.")
        removed = 0
        with self._erasing:
            shared = self._disk.lock(self._files.folder / "erasing")
            try:
                shared.take(wait=True)
                self._group.between(self._writer.roll)
                for segment in self._writer.full:
                    removed += self._erased(self._writer, segment, frozenset(users), frozenset(sessions))
            except StoreError:
                raise
            except OSError as error:
                raise StoreError(f"{self._name} could not erase all: {error.strerror or error}", "Erase again.") from None
            finally:
                shared.close()
        self._places = {}
        return removed

    def status(self) -> LogStatus:
        """See ``EventLog.status``."""
        end = self._durable()
        if end is None:
            end = self._last_found()
        return LogStatus(end, self._writer.failing if self._writer else "", tuple(self._notes))

    def close(self) -> None:
        """See ``EventLog.close``."""
        if self._closed:
            return
        self._closed = True
        if self._writer is not None:
            self._group.close()
            self._writer.close()
            self._lock.close()

    def _open_for_writing(self, access: Access, segment_bytes: int, max_waiting_bytes: int) -> None:
        folder = self._files.folder
        self._disk.make_folder(folder)
        self._lock = self._disk.lock(folder / "lock")
        if not self._lock.take(wait=access == "share"):
            self._lock.close()
            raise StoreError(f"another process writes {self._name}", "Stop it, or open the log in all of them with access='share'.")
        try:
            self._sweep()
            self._words = self._disk.words(folder / "shared", WORDS)
            lock = self._lock if access == "share" else None
            self._writer = SegmentWriter(self._files, self._words, lock, segment_bytes=segment_bytes, note=self._note)
        except BaseException:
            self._lock.close()
            raise
        if access == "share":
            self._lock.release()
        self._group = GroupCommit(self._writer.commit, name=self._name, max_waiting_bytes=max_waiting_bytes)

    def _sweep(self) -> None:
        """Remove what an interrupted erasing left, unless another process is at it."""
        erasing = self._disk.lock(self._files.folder / "erasing")
        if erasing.take(wait=False):
            self._files.sweep()
        erasing.close()

    def _durable(self) -> int | None:
        """The last durable position; None where no writer ran since the machine started, so that all that is there is."""
        if self._writer is not None:
            return int(self._words[END])
        try:
            words = struct.unpack(f"={WORDS}Q", self._disk.read(self._files.folder / "shared"))
        except (FileNotFoundError, struct.error):
            return None
        return words[END] if words[BOOT] == self._disk.boot() else None

    def _last_found(self) -> int:
        last = self._files.firsts()[-1]
        return look_through(self._disk.read(self._files.log(last))).last or last - 1

    def _read(self, after: int) -> Iterator[Batch]:
        at: _Place = (0, 0, 0)
        for first, frame in self._frames(after):
            if frame.repaired:
                self._note(f"a flipped bit at {frame.start:,} of '{self._files.log(first).name}' was put right")
            try:
                records = events_in(frame.payload)
            except ValueError:
                self._note(damage_said(self._files.log(first).name, Gap(frame.start, frame.end)))
                continue
            known = max(after + 1 - frame.position, 0)
            if known < len(records):
                after, at = frame.position + len(records) - 1, (first, frame.start, frame.position)
                yield range(frame.position + known, after + 1), records[known:] if known else records
        if at[0]:
            self._places = dict([*self._places.items(), (after, at)][-_MOST_PLACES:])

    def _frames(self, after: int) -> Iterator[tuple[int, Frame]]:
        """Durable frames that may reach beyond a position, each with the first position of its segment."""
        end = self._durable()
        if end is not None and end <= after:
            return
        firsts = self._files.firsts(after)
        for first in firsts:
            log = self._files.log(first)
            try:
                end, start, data = self._durable(), *self._data(first, after)  # in this order: what is durable now is in the data
                if end is None and (end := self._durable()) is not None:
                    start, data = self._data(first, after)  # a writer has just started
            except FileNotFoundError:
                continue  # all that was in it has been erased meanwhile
            for found in frames_from(data, start):
                if isinstance(found, Gap):
                    at_end = first == firsts[-1] and found.end == start + len(data)
                    if not at_end or (end is not None and max(look_through(data).last, first - 1) < end):
                        self._note(damage_said(log.name, found))
                elif end is not None and found.position > end:
                    return
                else:
                    yield first, found

    def _data(self, first: int, after: int) -> tuple[int, bytes]:
        """A segment from the frame on where a reader stopped, if that still stands there, or all of it; and where this starts."""
        segment, start, position = self._places.get(after, (0, 0, 0))
        if segment == first and start:
            data = self._disk.read(self._files.log(first), start)
            stopped = frame_at(data, 0)
            if stopped is not None and stopped.position == position:
                return start, data
        return 0, self._disk.read(self._files.log(first))

    def _erased(self, writer: SegmentWriter, segment: FullSegment, users: frozenset[str], sessions: frozenset[str]) -> int:
        """Rewrite one segment without these people; how many events that took."""
        log, ids = self._files.log(segment.first), self._files.ids(segment.first)
        try:
            data = self._disk.read(log)
        except FileNotFoundError:
            return 0  # another process has just erased all of it
        table: IdTable | None = None
        with contextlib.suppress(FileNotFoundError):
            table = IdTable.from_bytes(self._disk.read(ids), check=True)

        def gone(payload: bytes) -> bool:
            try:
                record = unpacked(payload)
            except ValueError:
                return True  # unreadable: nobody can say whose it was
            return record.user in users or (record.user is None and record.session in sessions)

        needles = [name.encode() for name in users | sessions]
        left = without(data, needles, gone, intact=table is not None and table.crc == zlib.crc32(data))
        if left is None:
            return 0
        kept, removed = left
        new, new_ids = log.with_suffix(".log.new"), ids.with_suffix(".ids.new")
        if kept:
            self._disk.write_new(new, kept)
            self._disk.write_new(new_ids, table_of(look_through(kept), kept).to_bytes())
        self._group.between(lambda: writer.swap(segment, emptied=not kept))
        return removed

    def _note(self, sentence: str) -> None:
        if sentence not in self._noted and len(self._notes) < _MOST_NOTES:
            self._noted.add(sentence)
            self._notes.append(sentence)
            logging.getLogger("zhiyin.store").warning("%s: %s", self._name, sentence)
