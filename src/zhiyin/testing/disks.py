"""A disk in memory that runs full, reports errors, flips bits and loses power: what a log must survive, without a machine.

    disk = MemoryDisk(capacity=10_000)          # full beyond that many bytes
    disk.failing = {"sync"}                     # every flush reports an I/O error
    disk.power = 17                             # after 17 operations nothing works any more ...
    SegmentLog("log", disk=disk.after_power_cut(random.Random(0)))   # ... and this is what is left

Power cut: only what was flushed is sure to be there. Of what was not, any part may be: each write in whole, in part, as
zeros or not at all, later ones even without earlier ones; new names, renames and removals that no ``sync_folder``
followed may or may not have happened (those of one folder in their order, as file systems with a journal do).
"""

from __future__ import annotations

import errno
import itertools
import random
import threading
from array import array
from collections import defaultdict
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

from zhiyin.store.disk import Disk, FileLock, GrowingFile


@dataclass
class _File:
    """Content now, content at the last flush, and the changes since: (offset, bytes) written, or (size, None) cut."""

    number: int
    now: bytearray = field(default_factory=bytearray)
    safe: bytes = b""
    changes: list[tuple[int, bytes | None]] = field(default_factory=list)


class MemoryDisk(Disk):
    """A ``Disk`` without a disk. ``operations`` lists what was done, such as ("sync", "0001.log")."""

    def __init__(self, *, capacity: int | None = None, power: int | None = None) -> None:
        self.capacity = capacity
        self.power = power
        self.failing: set[str] = set()
        self.operations: list[tuple[str, str]] = []
        self._files: dict[Path, _File] = {}
        self._safe_names: dict[Path, _File] = {}
        self._names: list[tuple[Path, _File | None]] = []  # changes of names since sync_folder
        self._folders: set[Path] = set()
        self._words: dict[Path, array[int]] = {}
        self._locks: dict[Path, threading.Lock] = defaultdict(threading.Lock)
        self._numbers = itertools.count(1)
        self._boot = 1

    def content(self, path: Path) -> bytearray:
        """The bytes of a file, to look at or to damage."""
        return self._files[path].now

    def after_power_cut(self, rng: random.Random) -> MemoryDisk:
        """The disk as the machine finds it when power is back; this one stays as it is."""
        back = MemoryDisk(capacity=self.capacity)
        back._boot = self._boot + 1
        back._folders = set(self._folders)
        names = dict(self._safe_names)
        for path, file in self._names[: rng.randint(0, len(self._names))]:
            if file is None:
                names.pop(path, None)
            else:
                names[path] = file
        for path, file in names.items():
            content = bytes(_what_is_left(file, rng))
            back._files[path] = _File(next(back._numbers), bytearray(content), content)
        back._safe_names = dict(back._files)
        back._words = {path: array("Q", (rng.choice((0, word)) for word in words)) for path, words in self._words.items()}
        return back

    def copy(self) -> MemoryDisk:
        """The same disk once more, as after ``kill -9``: everything written is there, nobody holds a lock."""
        back = MemoryDisk(capacity=self.capacity)
        back._files, back._safe_names, back._names = deepcopy((self._files, self._safe_names, self._names))
        back._folders, back._words, back._boot = set(self._folders), deepcopy(self._words), self._boot
        back._numbers = itertools.count(1 + max((file.number for file in back._files.values()), default=0))
        return back

    def names(self, folder: Path) -> list[str]:
        self.did("names", folder)
        return sorted(path.name for path in self._files if path.parent == folder)

    def make_folder(self, folder: Path) -> None:
        self.did("make_folder", folder)
        self._folders.add(folder)

    def grow(self, path: Path) -> GrowingFile:
        self.did("grow", path)
        if path not in self._files:
            self._named(path, _File(next(self._numbers)))
        return _MemoryFile(self, path, self._files[path])

    def read(self, path: Path, start: int = 0, size: int = -1) -> bytes:
        self.did("read", path)
        if path in self._words:
            return self._words[path].tobytes()
        data = self._found(path).now
        return bytes(data[start:] if size < 0 else data[start : start + size])

    def mapped(self, path: Path) -> bytes:
        return self.read(path)

    def identity(self, path: Path) -> tuple[int, int]:
        file = self._found(path)
        return file.number, len(file.now)

    def rename(self, old: Path, new: Path) -> None:
        self.did("rename", old)
        self._named(new, self._found(old))
        self._named(old, None)

    def remove(self, path: Path) -> None:
        self.did("remove", path)
        if path in self._files:
            self._named(path, None)

    def sync_folder(self, folder: Path) -> None:
        self.did("sync_folder", folder)
        self._safe_names = dict(self._files)
        self._names.clear()

    def lock(self, path: Path) -> FileLock:
        return _MemoryLock(self._locks[path])

    def words(self, path: Path, n: int) -> memoryview:
        return memoryview(self._words.setdefault(path, array("Q", [0] * n)))

    def boot(self) -> int:
        return self._boot

    def did(self, operation: str, path: Path) -> None:
        """Count an operation, and fail if it shall. Raises OSError."""
        if self.power is not None and len(self.operations) >= self.power:
            raise OSError(errno.EIO, "no power")
        self.operations.append((operation, path.name))
        if operation in self.failing:
            raise OSError(errno.EIO, "Input/output error")

    def room(self) -> int:
        """Bytes that can still be written."""
        return 2**60 if self.capacity is None else self.capacity - sum(len(file.now) for file in self._files.values())

    def _found(self, path: Path) -> _File:
        if path not in self._files:
            raise FileNotFoundError(errno.ENOENT, "No such file", str(path))
        return self._files[path]

    def _named(self, path: Path, file: _File | None) -> None:
        self._names.append((path, file))
        if file is None:
            del self._files[path]
        else:
            self._files[path] = file


class _MemoryFile:
    def __init__(self, disk: MemoryDisk, path: Path, file: _File) -> None:
        self._disk = disk
        self._path = path
        self._file = file

    def write(self, data: bytes) -> None:
        try:
            self._disk.did("write", self._path)
        except OSError:
            data = data[: len(data) // 2]  # the power fails, or the error comes, in the middle of the write
            self._extend(data)
            raise
        fits = data[: max(self._disk.room(), 0)]
        self._extend(fits)
        if len(fits) < len(data):
            raise OSError(errno.ENOSPC, "No space left on device")

    def sync(self) -> None:
        self._disk.did("sync", self._path)
        self._file.safe = bytes(self._file.now)
        self._file.changes.clear()

    def cut(self, size: int) -> None:
        self._disk.did("cut", self._path)
        del self._file.now[size:]
        self._file.changes.append((size, None))

    def close(self) -> None:
        """Nothing to let go of."""

    def _extend(self, data: bytes) -> None:
        self._file.changes.append((len(self._file.now), data))
        self._file.now += data


class _MemoryLock:
    """Processes are told apart by the lock objects they made."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._mine = False

    def take(self, *, wait: bool) -> bool:
        self._mine = self._mine or self._lock.acquire(blocking=wait)
        return self._mine

    def release(self) -> None:
        if self._mine:
            self._mine = False
            self._lock.release()

    def close(self) -> None:
        self.release()


def _what_is_left(file: _File, rng: random.Random) -> bytearray:
    """Content after a power cut: the flushed bytes, and some of what came later."""
    left = bytearray(file.safe)
    ways: list[Callable[[bytes], bytes]] = [
        lambda data: data,
        lambda data: data[: rng.randint(0, len(data))],
        lambda data: bytes(len(data)),
        lambda data: data[: len(data) // 2] + bytes(len(data) - len(data) // 2),
    ]
    for offset, data in file.changes:
        if rng.random() < 0.4:
            continue
        if data is None:
            del left[offset:]
        else:
            part = rng.choice(ways)(data)
            left += bytes(max(0, offset - len(left)))
            left[offset : offset + len(part)] = part
    return left
