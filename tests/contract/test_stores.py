"""Every store keeps every promise of its kind: files, SQLite, a real PostgreSQL, a real Redis, and the test doubles."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import sqlalchemy as sa

from zhiyin.store.event_log import EventLog
from zhiyin.store.memory_hot import MemoryHot
from zhiyin.store.memory_log import MemoryLog
from zhiyin.store.memory_tables import MemoryTables
from zhiyin.store.redis_hot import RedisHot
from zhiyin.store.segment_log import SegmentLog
from zhiyin.store.sql_log import SqlLog
from zhiyin.store.sql_tables import SqlTables
from zhiyin.store.tables import TableStore
from zhiyin.testing.contracts import ContractError
from zhiyin.testing.disks import MemoryDisk
from zhiyin.testing.hot_contracts import HOT_CHECKS, HOT_LIMITS
from zhiyin.testing.store_contracts import LOG_CHECKS, LogCase, events
from zhiyin.testing.table_contracts import TABLE_CHECKS, TableCase

_numbers = itertools.count()


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database of the kind asked for."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    url: str = request.getfixturevalue("postgresql")
    name = f"test{next(_numbers)}"
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return url.removesuffix("postgres") + name


@pytest.mark.parametrize("check", LOG_CHECKS)
@pytest.mark.parametrize("access", ["own", "share", "one segment"])
def test_segment_log_keeps(access: str, check: str, tmp_path: Path) -> None:
    disk = MemoryDisk()  # the real one is in the next test: a flush of it takes milliseconds
    folder, size = tmp_path / "log", 1 << 20 if access == "one segment" else 500
    LOG_CHECKS[check](LogCase(lambda: SegmentLog(folder, access="share" if access == "share" else "own", disk=disk, segment_bytes=size)))


@pytest.mark.parametrize("check", ["counts_once", "tailed", "erased", "positions_last", "like_a_list"])
def test_segment_log_on_a_real_disk_keeps(check: str, tmp_path: Path) -> None:
    LOG_CHECKS[check](LogCase(lambda: SegmentLog(tmp_path / "a" / "log", segment_bytes=2000)))


@pytest.mark.parametrize("check", LOG_CHECKS)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_sql_log_keeps(database: str, check: str) -> None:
    LOG_CHECKS[check](LogCase(lambda: SqlLog(database)))


@pytest.mark.parametrize("check", LOG_CHECKS)
def test_memory_log_keeps(check: str) -> None:
    LOG_CHECKS[check](LogCase(MemoryLog, keeps=False))


@pytest.mark.parametrize("check", TABLE_CHECKS)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_sql_tables_keep(database: str, check: str) -> None:
    TABLE_CHECKS[check](TableCase(lambda: SqlTables(database)))


@pytest.mark.parametrize("check", TABLE_CHECKS)
def test_memory_tables_keep(check: str) -> None:
    TABLE_CHECKS[check](TableCase(MemoryTables, keeps=False))


@pytest.mark.parametrize("check", HOT_CHECKS)
def test_memory_hot_keeps(check: str) -> None:
    HOT_CHECKS[check](MemoryHot(HOT_LIMITS))


@pytest.mark.parametrize("check", HOT_CHECKS)
def test_redis_hot_keeps(redis: str, check: str) -> None:
    hot = RedisHot(redis, HOT_LIMITS, prefix=f"test{next(_numbers)}:", timeout_s=5)
    HOT_CHECKS[check](hot)
    hot.close()


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_two_processes_may_share_a_database(database: str) -> None:
    logs: list[EventLog] = [SqlLog(database), SqlLog(database)]
    stores: list[TableStore] = [SqlTables(database), SqlTables(database)]
    sent = [logs[i % 2].submit(events(20, 5 * i)) for i in range(20)]
    assert sum(sum(future.result()) for future in sent) == 5 * 19 + 20
    assert list(logs[0].read()) == list(logs[1].read())
    assert [store.put("items", {"a": {}})["a"] for store in stores * 3] == [1, 2, 3, 4, 5, 6]
    for store in (*logs, *stores):
        store.close()


class _Forgetful(MemoryLog):
    """Answers for everything, keeps every second event."""

    def append(self, records):  # type: ignore[no-untyped-def]
        super().append(records[::2])
        return [True] * len(records)


def test_a_broken_promise_is_named() -> None:
    with pytest.raises(ContractError, match="breaks its contract: events come back as they were"):
        LOG_CHECKS["comes_back_whole"](LogCase(_Forgetful, keeps=False))
