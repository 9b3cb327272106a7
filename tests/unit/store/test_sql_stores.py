"""What only a database can get wrong: locks, foreign files, servers that are away, secrets in messages."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from zhiyin.base.errors import ConfigError, StoreError
from zhiyin.store.opening import open_hot, open_log, open_tables
from zhiyin.store.sql_log import SqlLog
from zhiyin.store.sql_tables import SqlTables
from zhiyin.testing.servers import free_port
from zhiyin.testing.store_contracts import event, events


def test_a_locked_database_fails_the_call_in_time_and_recovers(tmp_path: Path) -> None:
    log = SqlLog(f"sqlite:///{tmp_path}/log.db", wait_s=0.05)
    tables = SqlTables(f"sqlite:///{tmp_path}/log.db", wait_s=0.05)
    log.append(events(2))
    other = sqlite3.connect(tmp_path / "log.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE").close()
    with pytest.raises(StoreError, match=r"log.db' failed: database is locked \(E700\). Nothing of this call was kept"):
        log.append([event("x")])
    with pytest.raises(StoreError, match="database is locked"):
        tables.put("items", {"a": {}})
    assert "locked" in log.status().failing
    assert [r.event_id for _, r in log.read()] == ["e0", "e1"], "reading goes on"
    with pytest.raises(StoreError):
        log.append([])
    other.execute("ROLLBACK").close()
    assert log.append([]) == [] and not log.status().failing, "an empty call asks whether it works again"
    assert log.append([event("x"), event("e1")]) == [True, False] and tables.put("items", {"a": {}}) == {"a": 1}
    assert [r.event_id for _, r in log.read()] == ["e0", "e1", "x"]
    other.close()
    log.close()
    tables.close()


def test_sqlite_flushes_every_commit(tmp_path: Path) -> None:
    log = SqlLog(f"sqlite:///{tmp_path}/log.db")
    with log._database.reading() as connection:
        asked = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous", "secure_delete")]
    assert asked == ["wal", 2, 1]
    log.close()


def test_erased_words_are_not_in_the_file(tmp_path: Path) -> None:
    log = SqlLog(f"sqlite:///{tmp_path}/log.db")
    log.append([event(f"e{i}", user=("Ada", "Bob")[i % 2]) for i in range(500)])
    assert log.erase(users=["Ada"]) == 250
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"Bob" in content and b"Ada" not in content
    log.close()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"something else entirely" * 100)
    with pytest.raises(StoreError, match="file is not a database"):
        SqlLog(f"sqlite:///{tmp_path}/x.db")
    with pytest.raises(StoreError, match="unable to open database file"):
        SqlTables(f"sqlite:///{tmp_path}/none/x.db")


def test_a_damaged_event_is_told(tmp_path: Path) -> None:
    log = SqlLog(f"sqlite:///{tmp_path}/log.db")
    log.append(events(3))
    with log._database.writing() as connection:
        connection.exec_driver_sql("UPDATE zhiyin_events SET payload = x'00' WHERE position = 2")
    with pytest.raises(StoreError, match=r"is damaged at position 2: this is no event .*Restore"):
        list(log.read())
    log.close()


def test_a_server_that_is_away_and_no_secret_in_the_message() -> None:
    port = free_port()
    with pytest.raises(StoreError, match="refused") as told:
        SqlLog(f"postgresql://me:geheim@127.0.0.1:{port}/x", wait_s=1)
    assert "geheim" not in str(told.value) and "me:***@127.0.0.1" in str(told.value)
    hot = open_hot(f"redis://:geheim@127.0.0.1:{port}/0")
    with pytest.raises(StoreError, match="Redis does not answer") as told:
        hot.shown(["a"])
    assert "geheim" not in str(told.value)
    hot.close()


@pytest.mark.parametrize("address", ["sqlite://", "mysql://me:geheim@host/x", "sqlite:///:memory:", "nothing://"])
def test_addresses_that_name_no_store(address: str) -> None:
    with pytest.raises(ConfigError, match="database") as told:
        open_log(address)
    assert "geheim" not in str(told.value)


def test_stores_by_address(tmp_path: Path) -> None:
    for address in ("memory:", str(tmp_path / "log"), f"sqlite:///{tmp_path}/log.db"):
        log = open_log(address)
        assert log.append(events(2)) == [True, True]
        log.close()
    for address in ("memory:", str(tmp_path / "tables.db")):
        tables = open_tables(address)
        assert tables.put("items", {"a": {"x": 1}}) == {"a": 1}
        tables.close()
    open_hot("memory:").close()
    with pytest.raises(ConfigError, match="'http' is no place for hot state"):
        open_hot("http://secret@host")
