"""Where a tenant keeps its events and tables: files beside its folder, or a database that several machines share."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zhiyin.base.errors import ConfigError, StoreError
from zhiyin.online.tenant import live_folder, make_home
from zhiyin.store.event_log import EventLog
from zhiyin.store.opening import open_log, open_tables
from zhiyin.store.segment_log import Access, SegmentLog
from zhiyin.store.tables import TableStore

TENANT = "{tenant}"
WRITERS = "writers"
"""The file in FOLDER.live whose lock says who writes: one process alone, or several together."""


@dataclass(frozen=True)
class Stores:
    """``database`` None keeps everything in FOLDER.live. Else it is an address such as ``postgresql://host/zhiyin``; where
    ``{tenant}`` stands in it comes the name of the folder, for each tenant needs a database of its own.
    """

    database: str | None = None

    def check(self, tenants: Sequence[str]) -> None:
        """Raises ``ConfigError`` where several tenants would share one database."""
        if self.database is not None and TENANT not in self.database and len(tenants) > 1:
            raise ConfigError(
                f"{' and '.join(repr(name) for name in tenants[:2])} would share one database",
                f"Write {TENANT} into its address: postgresql://host/zhiyin_{TENANT}, and create one for each.",
            )

    def log(self, folder: Path, access: Access = "own") -> EventLog:
        """The events of a folder, for ``access``; for reading, an empty log where there are none yet.

        Raises ``StoreError`` where files belong to another process: one that has them alone, or several that share them.
        """
        if self.database is not None:
            return open_log(self._address(folder))
        events = live_folder(folder) / "events"
        if access == "read":
            return open_log(events, access="read") if any(events.glob("*.log")) else open_log("memory:")
        make_home(folder)
        return _HeldLog(events, access)

    def tables(self, folder: Path, access: Access = "own") -> TableStore:
        """The tables of a folder; for reading, empty ones where there are none yet, and nothing is made."""
        if self.database is not None:
            return open_tables(self._address(folder))
        path = live_folder(folder) / "tables.sqlite"
        if access == "read" and not path.is_file():
            return open_tables("memory:")
        make_home(folder)
        return open_tables(path)

    def written_by_others(self, folder: Path) -> bool:
        """Whether a process on this machine writes the files of a folder at this moment."""
        place = live_folder(folder) / WRITERS
        if self.database is not None or not place.is_file():
            return False
        held = _Writers(place)
        try:
            return not held.take(alone=True)
        finally:
            held.close()

    def _address(self, folder: Path) -> str:
        return str(self.database).replace(TENANT, folder.name)


class _Writers:
    """A lock that one process has alone or several have together, let go when they die; where a system has none, it is had."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)

    def take(self, *, alone: bool) -> bool:
        try:
            import fcntl
        except ImportError:
            return True
        try:
            fcntl.flock(self._handle, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        os.close(self._handle)


class _HeldLog(SegmentLog):
    """A log in files, with the right to write them held until it is closed."""

    def __init__(self, events: Path, access: Access) -> None:
        self._writers = _Writers(events.parent / WRITERS)
        if not self._writers.take(alone=access == "own"):
            self._writers.close()
            raise StoreError(f"a server writes '{events.parent}'", "Stop it first, or ask it over HTTP.")
        try:
            super().__init__(events, access=access)
        except BaseException:
            self._writers.close()
            raise

    def close(self) -> None:
        """See ``EventLog.close``."""
        if not self._closed:
            super().close()
            self._writers.close()
