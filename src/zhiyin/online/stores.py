"""Where a tenant keeps its events and tables: files beside its folder, or a database that several machines share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zhiyin.base.errors import ConfigError
from zhiyin.online.tenant import live_folder
from zhiyin.store.event_log import EventLog
from zhiyin.store.opening import open_log, open_tables
from zhiyin.store.segment_log import Access
from zhiyin.store.tables import TableStore

TENANT = "{tenant}"


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
        """The events of a folder, for ``access``; for reading, an empty log where there are none yet."""
        if self.database is not None:
            return open_log(self._address(folder))
        events = live_folder(folder) / "events"
        if access == "read" and not any(events.glob("*.log")):
            return open_log("memory:")
        return open_log(events, access=access)

    def tables(self, folder: Path, access: Access = "own") -> TableStore:
        """The tables of a folder; for reading, empty ones where there are none yet, and nothing is made."""
        if self.database is not None:
            return open_tables(self._address(folder))
        path = live_folder(folder) / "tables.sqlite"
        if access == "read" and not path.is_file():
            return open_tables("memory:")
        path.parent.mkdir(parents=True, exist_ok=True)
        return open_tables(path)

    def _address(self, folder: Path) -> str:
        return str(self.database).replace(TENANT, folder.name)
