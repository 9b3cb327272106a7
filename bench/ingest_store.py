"""How many events a second the stores make durable: files, SQLite, PostgreSQL, with and without group commit.

    python bench/ingest_store.py [--rounds 5] [--seconds 1] [--events 1000000] [--json PATH]

Every answer comes after a flush of the disk, and every id counts once. "plain" is what a good engineer writes in a day:
one transaction per call (SQLite: one connection, WAL, synchronous=FULL; PostgreSQL: a connection per caller, fsync on,
its own group commit). The others are the stores of zhiyin. Callers run in this process, 32 threads (or tasks of one
event loop) with single events, 4 with batches of 100; rounds are interleaved, ratios are of the same round. CPU is of
this process and of the database server. Then what a log of a million events costs at rest.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import resource
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import psutil
import psycopg
import uvloop

from rows import Row, show, write
from zhiyin.data.record import EventRecord
from zhiyin.store.async_append import AsyncAppender
from zhiyin.store.event_log import EventLog
from zhiyin.store.segment_log import SegmentLog
from zhiyin.store.sql_log import SqlLog
from zhiyin.testing.servers import temporary_postgresql

CASES = {"single, c=32": (32, 1), "batch 100, c=4": (4, 100)}
BASELINE = "sqlite plain"
Append = Callable[[int, list[EventRecord]], object]

_numbers = itertools.count()
_encode = msgspec.msgpack.Encoder().encode


def some_events(n: int) -> list[EventRecord]:
    """New events, some 200 bytes each when packed."""
    return [
        EventRecord(
            event_id=f"0b9f7c2e-51d4-4c0e-9a3b-{k:012x}",
            item=f"item-{k * 7919 % 100_000}",
            kind="click",
            user=f"user-{k * 104_729 % 1_000_000}",
            time_us=1_700_000_000_000_000 + k * 1000,
            received_us=1_700_000_000_500_000 + k * 1000,
            placement="home",
            trace=f"t-{k:020x}",
            context={"device": "phone", "position": k % 10},
        )
        for k in itertools.islice(_numbers, n)
    ]


class PlainSqlite:
    """One connection behind a lock, one transaction per call."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for said in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL"):
            self._connection.execute(said)
        self._connection.execute("CREATE TABLE IF NOT EXISTS events (event_id TEXT PRIMARY KEY, payload BLOB NOT NULL)")
        self._lock = threading.Lock()

    def append(self, caller: int, records: list[EventRecord]) -> None:
        rows = [(record.event_id, _encode(record)) for record in records]
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany("INSERT OR IGNORE INTO events VALUES (?, ?)", rows)
            self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()


class PlainPostgresql:
    """A connection per caller, one transaction per call: the server flushes for those that commit together."""

    def __init__(self, url: str, callers: int) -> None:
        self._connections = [psycopg.connect(url, autocommit=True) for _ in range(callers)]
        self._connections[0].execute("CREATE TABLE IF NOT EXISTS plain (event_id TEXT PRIMARY KEY, payload BYTEA NOT NULL)")

    def append(self, caller: int, records: list[EventRecord]) -> None:
        rows = [(record.event_id, _encode(record)) for record in records]
        insert = "INSERT INTO plain VALUES (%s, %s) ON CONFLICT DO NOTHING"
        connection = self._connections[caller]
        if len(rows) == 1:
            connection.execute(insert, rows[0])
        else:
            with connection.transaction(), connection.cursor() as cursor:
                cursor.executemany(insert, rows)

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


def by_threads(append: Append, callers: int, batch: int, seconds: float) -> list[float]:
    """Callers append batch after batch until time is up; how long each call took."""
    took: list[float] = []
    until = time.perf_counter() + seconds

    def call(caller: int) -> None:
        while (begun := time.perf_counter()) < until:
            append(caller, some_events(batch))
            took.append(time.perf_counter() - begun)

    threads = [threading.Thread(target=call, args=(caller,)) for caller in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took


def by_tasks(log: EventLog, callers: int, batch: int, seconds: float) -> list[float]:
    """The same from tasks of one event loop, as a server does."""
    took: list[float] = []

    async def main() -> None:
        appender = AsyncAppender(log)
        until = time.perf_counter() + seconds

        async def call() -> None:
            while (begun := time.perf_counter()) < until:
                await appender.append(some_events(batch))
                took.append(time.perf_counter() - begun)

        await asyncio.gather(*(call() for _ in range(callers)))

    uvloop.run(main())
    return took


@contextlib.contextmanager
def stores(folder: Path, url: str) -> Iterator[dict[str, Callable[[int, int, float], list[float]]]]:
    """Name -> run it with so many callers, so large batches, so long."""
    plain, plain_pg = PlainSqlite(folder / "plain.db"), PlainPostgresql(url, max(callers for callers, _ in CASES.values()))
    logs: dict[str, EventLog] = {
        "segments": SegmentLog(folder / "log"),
        "sqlite": SqlLog(f"sqlite:///{folder}/log.db"),
        "postgresql": SqlLog(url),
    }

    def threaded(append: Append) -> Callable[[int, int, float], list[float]]:
        return lambda callers, batch, seconds: by_threads(append, callers, batch, seconds)

    def tasked(log: EventLog) -> Callable[[int, int, float], list[float]]:
        return lambda callers, batch, seconds: by_tasks(log, callers, batch, seconds)

    def of(log: EventLog) -> Append:
        return lambda _, records: log.append(records)

    yield {
        BASELINE: threaded(plain.append),
        "postgresql plain": threaded(plain_pg.append),
        **{f"{name}, threads": threaded(of(log)) for name, log in logs.items()},
        **{f"{name}, tasks": tasked(log) for name, log in logs.items()},
    }
    for opened in (plain, plain_pg, *logs.values()):
        opened.close()


def server_cpu_s() -> float:
    """Processor seconds of the database server, which is our child, with all its processes."""
    used = 0.0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            used += times.user + times.system + times.children_user + times.children_system
    return used


def own_cpu_s() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime


def measured(folder: Path, rounds: int, seconds: float) -> list[Row]:
    """Every store in every case, interleaved."""
    figures: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    with temporary_postgresql() as url, stores(folder, url) as runs:
        for _ in range(rounds):
            for case, (callers, batch) in CASES.items():
                for name, run in runs.items():
                    own, server, begun = own_cpu_s(), server_cpu_s(), time.perf_counter()
                    took = run(callers, batch, seconds)
                    wall = time.perf_counter() - begun
                    n = len(took) * batch
                    p50, p99 = (1e3 * float(q) for q in np.quantile(took, (0.5, 0.99)))
                    cpu = 1e6 * (own_cpu_s() - own) / n, 1e6 * (server_cpu_s() - server) / n
                    figures.setdefault((case, name), []).append((n / wall, *cpu, p50, p99, len(took)))
    rows = []
    for (case, name), runs_of in figures.items():
        against = [run[0] / other[0] for run, other in zip(runs_of, figures[case, BASELINE], strict=True)]
        columns = list(zip(*runs_of, strict=True))
        n = round(sum(columns[5]))
        told = (("events_per_s", columns[0], "/s"), ("events_per_s_ratio_vs_baseline", against, f"over {BASELINE}, same round"))
        told += (("cpu_us_per_event", columns[1], "us, callers included"), ("server_cpu_us_per_event", columns[2], "us"))
        told += (("p50_ms", columns[3], "ms"), ("p99_ms", columns[4], "ms"))
        rows += [of_rounds(f"{case}: {name}", metric, values, n, f"{unit}, range of {rounds} rounds") for metric, values, unit in told]
    return rows


def of_rounds(case: str, metric: str, values: Sequence[float], n: int, unit: str) -> Row:
    return Row("ingest_store", case, metric, float(np.median(values)), float(min(values)), float(max(values)), n, unit)


def at_rest(folder: Path, n: int) -> list[Row]:
    """What a log costs that is merely there."""
    log = SegmentLog(folder)
    sent = 0
    while sent < n:
        waiting = [log.submit(some_events(1000)) for _ in range(min(20, -(-(n - sent) // 1000)))]
        sent += sum(len(future.result()) for future in waiting)
    log.close()
    here = psutil.Process()
    before, cpu, begun = here.memory_info().rss, own_cpu_s(), time.perf_counter()
    log = SegmentLog(folder)
    opened, opened_cpu = time.perf_counter() - begun, own_cpu_s() - cpu
    memory = max(0, here.memory_info().rss - before)
    cpu = own_cpu_s()
    found = sum(1 for _ in log.read())
    reading = own_cpu_s() - cpu
    gone = some_events(1)[0].user or ""
    cpu = own_cpu_s()
    log.erase(users=[gone])
    erasing = own_cpu_s() - cpu
    log.close()
    disk = sum(path.stat().st_size for path in folder.iterdir())
    told = {
        "restart_s": (opened, "s"),
        "restart_cpu_s": (opened_cpu, "s"),
        "memory_bytes_per_event": (memory / n, "bytes, ids of all, after opening"),
        "disk_bytes_per_event": (disk / n, "bytes, with tables of ids"),
        "read_events_per_cpu_s": (found / reading, "/s"),
        "erase_cpu_s": (erasing, "s, one person"),
    }
    return [Row("ingest_store", f"segments: {n:,} events at rest", metric, v, v, v, found, unit) for metric, (v, unit) in told.items()]


def flush_ms(folder: Path) -> Row:
    """What one flush of 4 KB costs on this disk, for scale."""
    handle = os.open(folder / "flush", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    took = []
    for _ in range(100):
        begun = time.perf_counter()
        os.write(handle, bytes(4096))
        os.fdatasync(handle)
        took.append(1e3 * (time.perf_counter() - begun))
    os.close(handle)
    return of_rounds("this disk", "flush_ms", took, 100, "ms, range of 100")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="zhiyin-ingest-"))
    try:
        rows = [flush_ms(folder), *at_rest(folder / "rest", given.events), *measured(folder, given.rounds, given.seconds)]
    finally:
        shutil.rmtree(folder)
    show(rows, "ingest_store")
    write(rows, given.json)


if __name__ == "__main__":
    main()
