"""What was shown to whom, and why: one record for each answer, found again by its trace id.

Records are appended to files of a bounded total size; they are not flushed one by one, because an answer must not
wait for a disk: after a crash the last moments may be missing, and replay says so.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import msgspec

from zhiyin.base.errors import UnknownNameError
from zhiyin.online.asks import Ask, Shown

SEGMENT_BYTES = 16 << 20
RECENT_BYTES = 32 << 20
"""So much of the newest records stays in memory; an ask may be large, so it is bytes that count."""


class Trace(msgspec.Struct, frozen=True, omit_defaults=True):
    """One answer as it was given."""

    trace: str
    at_us: int
    ask: Ask
    items: list[Shown]
    served_by: str
    model: str


class Traces:
    """``keep`` gives the id; ``find`` gives the record back. The newest are in memory, the others on disk.

    An id names the segment and the offset of its record, and ends in random digits that must match. ``shared`` says that
    other processes write into the folder too, each its own segments: then nothing is held back, so that all find all.
    """

    def __init__(self, folder: Path | None, largest_bytes: int, *, shared: bool = False) -> None:
        self.folder = folder
        self._held_bytes, self._recent_bytes = (1, 0) if shared and folder is not None else (1 << 18, RECENT_BYTES)
        self.largest = max(largest_bytes, 2 * SEGMENT_BYTES)
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(Trace)
        self._recent: OrderedDict[str, bytes] = OrderedDict()
        self._n_bytes = 0
        self._lock = threading.Lock()
        self._buffer = bytearray()
        self._written = 0
        self._salt = secrets.token_hex(3)
        self._number = 0
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self._segment = 0
        self._begun = False  # a segment begins with its first record: who only looks leaves nothing behind

    def keep(self, ask: Ask, items: list[Shown], served_by: str, model: str, at_us: int) -> str:
        """Remember an answer; its id."""
        with self._lock:
            self._number += 1
            if self.folder is None:
                trace = f"m-{self._number:x}-{self._salt}"
            else:
                if not self._begun:
                    self._begin()
                trace = f"{self._segment:x}-{self._written + len(self._buffer):x}-{self._salt}"
            payload = self._encoder.encode(Trace(trace, at_us, ask, items, served_by, model))
            self._recent[trace] = payload
            self._n_bytes += len(payload)
            while self._n_bytes > self._recent_bytes:
                self._n_bytes -= len(self._recent.popitem(last=False)[1])
            if self.folder is not None:
                self._buffer += len(payload).to_bytes(4, "little") + payload
                if len(self._buffer) >= self._held_bytes:
                    self._flush()
        return trace

    def find(self, trace: str) -> Trace:
        """The record of an id; ``UnknownNameError`` where there is none (any more)."""
        with self._lock:
            recent = self._recent.get(trace)
            found = None if recent is None else self._decoder.decode(recent)
            if found is None and self.folder is not None:
                self._flush()
                found = self._read(trace)
        if found is None:
            raise UnknownNameError(f"no answer has the trace '{trace[:80]}'", "Traces are kept for a while only.")
        return found

    def every(self) -> Iterator[Trace]:
        """All records that are left, oldest first."""
        with self._lock:
            self._flush()
            files = [] if self.folder is None else sorted(self.folder.glob("*.traces"))
            recent = list(self._recent.values()) if self.folder is None else []
        yield from map(self._decoder.decode, recent)
        for path in files:
            for _, record in self._records(path):
                if record is not None:
                    yield record

    def erase(self, users: set[str], sessions: set[str]) -> int:
        """Take out the records of these people, and those that showed them to others; the places of the other records stay,
        so their ids still find them."""
        n = 0
        with self._lock:
            self._flush()
            for trace, payload in list(self._recent.items()):
                if _tells_of(self._decoder.decode(payload), users, sessions):
                    self._n_bytes -= len(self._recent.pop(trace))
                    n += self.folder is None
            for path in [] if self.folder is None else sorted(self.folder.glob("*.traces")):
                mine = [at for at, r in self._records(path) if r is not None and _tells_of(r, users, sessions)]
                with path.open("r+b") as file:
                    for at in mine:
                        file.seek(at)
                        size = int.from_bytes(file.read(4), "little")
                        file.write(bytes(size))
                    file.flush()
                    os.fsync(file.fileno())
                n += len(mine)
        return n

    def _records(self, path: Path) -> Iterator[tuple[int, Trace | None]]:
        """Offset and record, None where it was erased; a torn end is the end."""
        content = path.read_bytes()
        at = 0
        while at + 4 <= len(content):
            size = int.from_bytes(content[at : at + 4], "little")
            payload = content[at + 4 : at + 4 + size]
            if len(payload) < size:
                return
            try:
                yield at, self._decoder.decode(payload)
            except (msgspec.DecodeError, ValueError):
                yield at, None
            at += 4 + size

    def flush(self) -> None:
        """Let the files hold all that was kept."""
        with self._lock:
            self._flush()

    def close(self) -> None:
        self.flush()

    def _flush(self) -> None:
        if self.folder is None or not self._buffer:
            return
        try:
            with (self.folder / f"{self._segment:08x}.traces").open("ab") as file:
                file.write(self._buffer)
        except OSError:
            self._lost_some()
            return
        self._written += len(self._buffer)
        self._buffer.clear()
        if self._written >= SEGMENT_BYTES:
            self._begun = False
            self._trim()

    def _lost_some(self) -> None:
        """A full disk costs traces, never answers: begin a new segment, so that offsets stay true."""
        self._buffer.clear()
        self._begun = False

    def _begin(self) -> None:
        """The next segment that nobody else writes."""
        folder = self.folder or Path()
        self._written, self._begun = 0, True
        self._segment = 1 + max((int(p.stem, 16) for p in folder.glob("*.traces")), default=self._segment)
        with contextlib.suppress(OSError):
            while True:
                try:
                    (folder / f"{self._segment:08x}.traces").open("xb").close()
                    return
                except FileExistsError:
                    self._segment += 1

    def _trim(self) -> None:
        files = sorted((self.folder or Path()).glob("*.traces"))
        total = sum(path.stat().st_size for path in files)
        for path in files[:-1]:
            if total <= self.largest:
                return
            total -= path.stat().st_size
            path.unlink(missing_ok=True)

    def _read(self, trace: str) -> Trace | None:
        try:
            segment, offset, _ = trace.split("-")
            path = (self.folder or Path()) / f"{int(segment, 16):08x}.traces"
            with path.open("rb") as file:
                file.seek(int(offset, 16))
                size = int.from_bytes(file.read(4), "little")
                found = self._decoder.decode(file.read(min(size, 1 << 24)))
        except (OSError, ValueError, OverflowError):
            return None
        return found if found.trace == trace else None


def _tells_of(trace: Trace, users: set[str], sessions: set[str]) -> bool:
    """Whether one of these people asked, or was shown."""
    return trace.ask.user in users or trace.ask.session in sessions or any(one.kind == "user" and one.item in users for one in trace.items)
