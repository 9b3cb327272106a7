"""The file operations a log stands on, each of which can fail: one seam, so that tests can make them fail.

``zhiyin.testing.disks`` has a disk in memory that runs full, reports errors and loses power at a chosen operation.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import sys
from pathlib import Path
from typing import Protocol

from zhiyin.base.errors import StoreError

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class GrowingFile(Protocol):
    """A file that is appended to, or cut back."""

    def write(self, data: bytes) -> None:
        """Append all of it. Raises OSError; then a part of it may be there."""

    def sync(self) -> None:
        """Return when what was written survives a power cut."""

    def cut(self, size: int) -> None:
        """Drop everything beyond ``size`` bytes."""

    def close(self) -> None: ...


class FileLock(Protocol):
    """A lock between processes; it is let go when its holder dies."""

    def take(self, *, wait: bool) -> bool:
        """Whether it is ours now; without ``wait`` an answer comes at once."""

    def release(self) -> None: ...

    def close(self) -> None: ...


class Disk:
    """The real one. Every method raises OSError as the operating system does."""

    def names(self, folder: Path) -> list[str]:
        """Names of what a folder holds, ascending."""
        return sorted(path.name for path in folder.iterdir())

    def make_folder(self, folder: Path) -> None:
        """Make a folder, and those above it, such that they survive a power cut."""
        for made in (*reversed(folder.parents), folder):
            if not made.is_dir():
                made.mkdir(exist_ok=True)
                self.sync_folder(made.parent)

    def grow(self, path: Path) -> GrowingFile:
        """Open a file for appending; a new one survives a power cut after ``sync_folder``."""
        return _Growing(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | getattr(os, "O_CLOEXEC", 0), 0o600))

    def read(self, path: Path, start: int = 0, size: int = -1) -> bytes:
        """Bytes of a file from ``start`` on, at most ``size``."""
        with path.open("rb", buffering=0) as file:
            file.seek(start)
            return file.readall() if size < 0 else file.read(size)

    def mapped(self, path: Path) -> bytes | mmap.mmap:
        """A whole, non-empty file as a buffer that takes memory only where it is looked at."""
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def identity(self, path: Path) -> tuple[int, int]:
        """Changes when a file is replaced or its length changes: inode and size."""
        told = path.stat()
        return told.st_ino, told.st_size

    def rename(self, old: Path, new: Path) -> None:
        """Put a file in the place of another, at once."""
        old.replace(new)

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there."""
        path.unlink(missing_ok=True)

    def sync_folder(self, folder: Path) -> None:
        """Return when the names in a folder survive a power cut; some systems cannot open folders and need not."""
        with contextlib.suppress(PermissionError):
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def lock(self, path: Path) -> FileLock:
        """A lock on a file made for it."""
        return _Lock(path)

    def words(self, path: Path, n: int) -> memoryview:
        """``n`` unsigned 64-bit numbers that processes share; a power cut may leave any older state of them."""
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            if os.fstat(handle).st_size < 8 * n:
                os.ftruncate(handle, 8 * n)
            return memoryview(mmap.mmap(handle, 8 * n)).cast("Q")
        finally:
            os.close(handle)

    def boot(self) -> int:
        """A number that differs after every start of the machine; 1 where it tells none."""
        with contextlib.suppress(OSError, ValueError):
            return int(BOOT_ID.read_text().replace("-", ""), 16) & (2**64 - 1)
        return 1

    def write_new(self, path: Path, data: bytes) -> None:
        """Make a file anew whose content survives a power cut; its name does after ``sync_folder``."""
        self.remove(path)
        file = self.grow(path)
        try:
            file.write(data)
            file.sync()
        finally:
            file.close()


class _Growing:
    def __init__(self, handle: int) -> None:
        self._handle = handle

    def write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._handle, left) :]

    def sync(self) -> None:
        if sys.platform == "darwin":
            import fcntl

            fcntl.fcntl(self._handle, fcntl.F_FULLFSYNC)  # fsync leaves the data in the drive's own cache there
        else:
            os.fdatasync(self._handle)

    def cut(self, size: int) -> None:
        os.ftruncate(self._handle, size)

    def close(self) -> None:
        os.close(self._handle)


class _Lock:
    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)

    def take(self, *, wait: bool) -> bool:
        try:
            import fcntl
        except ImportError:
            raise StoreError("this system has no file locks (flock)", "Use SQLite or PostgreSQL for the events.") from None
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        import fcntl

        fcntl.flock(self._handle, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._handle)
