"""Stores by address, as a settings file names them."""

from __future__ import annotations

from pathlib import Path

from zhiyin.base.errors import ConfigError
from zhiyin.store.event_log import EventLog
from zhiyin.store.hot import HotLimits, HotState
from zhiyin.store.segment_log import Access, SegmentLog
from zhiyin.store.tables import TableStore


def open_log(address: str | Path, *, access: Access = "own") -> EventLog:
    """The event log in a folder, in ``sqlite:///file`` or ``postgresql://...``; "memory:" for one that keeps nothing.

    ``access`` is for folders: see ``SegmentLog``.
    """
    if address == "memory:":
        from zhiyin.store.memory_log import MemoryLog

        return MemoryLog()
    if "://" in str(address):
        from zhiyin.store.sql_log import SqlLog

        return SqlLog(str(address))
    return SegmentLog(address, access=access)


def open_tables(address: str | Path) -> TableStore:
    """The tables in a SQLite file (a path or ``sqlite:///file``) or in ``postgresql://...``; "memory:" keeps nothing."""
    if address == "memory:":
        from zhiyin.store.memory_tables import MemoryTables

        return MemoryTables()
    from zhiyin.store.sql_tables import SqlTables

    return SqlTables(str(address) if "://" in str(address) else f"sqlite:///{Path(address).absolute()}")


def open_hot(address: str, limits: HotLimits | None = None, *, prefix: str = "zhiyin:", timeout_s: float = 0.25) -> HotState:
    """Hot state in ``redis://...`` (also rediss:// and unix://) under a prefix, or of this process alone with "memory:"."""
    if address == "memory:":
        from zhiyin.store.memory_hot import MemoryHot

        return MemoryHot(limits)
    if address.startswith(("redis://", "rediss://", "unix://")):
        from zhiyin.store.redis_hot import RedisHot

        return RedisHot(address, limits, prefix=prefix, timeout_s=timeout_s)
    raise ConfigError(f"'{address.partition('://')[0]}' is no place for hot state", "Say memory: or redis://host:6379/0.")
