"""Durable events per second over HTTP: every one is on the disk before its answer.

    python bench/ingest.py [--json PATH] [--seconds 2] [--rounds 3] [--folder FOLDER]

``zhiyin serve``, FastAPI + SQLite (WAL, synchronous = FULL) and, where it is installed, FastAPI + PostgreSQL take the
same requests from the same load generator, in turns within one run; "postgresql alone" is pgbench with prepared
single inserts and no HTTP at all. FOLDER says on which disk (default: that of temporary files); what one write and
flush takes there is the row "disk".
"""

from __future__ import annotations

import argparse
import math
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rows import Row, show, write
from serve_load import Said, finish, start
from serve_process import Process, baseline, zhiyin
from serve_world import small
from zhiyin.base.errors import MissingDataError
from zhiyin.testing.servers import temporary_postgresql

EVENT = '{"event_id":"@@@@@@@@%s","user":"u%d","item":"i%d","kind":"view"}'
CASES = (("c=1 single", 1, 1), ("c=8 single", 8, 1), ("c=32 single", 32, 1), ("batch 100", 8, 100))
OURS, THEIRS, SERVED_POSTGRESQL, POSTGRESQL = "zhiyin", "fastapi+sqlite", "fastapi+postgresql", "postgresql alone"
INSERT = "\\set n random(1, 9000000000000)\nINSERT INTO bench VALUES (:n, 'u12', 'i34', 'view', NULL) ON CONFLICT DO NOTHING;\n"


@dataclass(frozen=True)
class Measured:
    events_per_s: float
    cpu_ms: float  # of the server, per event
    p99_ms: float


@dataclass
class Server:
    name: str
    process: Process
    single: Path
    batch: Path
    sent: int = 0

    def measure(self, connections: int, batch: int, seconds: float) -> Measured:
        """One run of the load; raises where an event was refused."""
        cpu = self.process.cpu_s()
        requests = self.single if batch == 1 else self.batch
        said = finish(start(self.process.port, requests, connections=connections, seconds=seconds, first=self.sent))
        self.sent += said.n + connections
        _check(self.name, said)
        return Measured(said.ok * batch / said.seconds, 1e3 * (self.process.cpu_s() - cpu) / max(said.n * batch, 1), said.p99_ms)


def _check(name: str, said: Said) -> None:
    if said.errors:
        raise SystemExit(f"{name} did not take everything: {said}")


def requests(folder: Path, prefix: str) -> tuple[Path, Path]:
    """Files of single events and of batches of 100."""
    name = prefix.strip("/").replace("/", "-") or "plain"
    single, batch = folder / f"{name}.single", folder / f"{name}.batch"
    events = [EVENT % ("", i % 2_000, i % 997) for i in range(2_000)]
    single.write_text("\n".join(f"POST {prefix}/event {event}" for event in events), encoding="utf-8")
    batches = ["[" + ",".join(EVENT % (f"-{k}", (i + k) % 2_000, k) for k in range(100)) + "]" for i in range(50)]
    batch.write_text("\n".join(f"POST {prefix}/events {events}" for events in batches), encoding="utf-8")
    return single, batch


def pgbench(url: str, folder: Path, connections: int, seconds: float) -> Measured:
    """Single inserts without HTTP, each committed with a flush."""
    script = folder / "insert.sql"
    script.write_text(INSERT, encoding="utf-8")
    said = f"pgbench -n -M prepared -j 1 -c {connections} -T {max(1, round(seconds))} -f".split()
    told = subprocess.run([*said, str(script), url], capture_output=True, text=True, check=True).stdout
    found = re.search(r"tps = ([\d.]+)", told)
    return Measured(float(found[1]) if found else math.nan, math.nan, math.nan)


def flush_ms(folder: Path, n: int = 200) -> list[float]:
    """What writing and flushing 200 bytes takes, n times."""
    path, out = folder / "flush", []
    handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for _ in range(n):
        begun = time.perf_counter()
        os.write(handle, b"x" * 200)
        os.fdatasync(handle)
        out.append(1e3 * (time.perf_counter() - begun))
    os.close(handle)
    return sorted(out)


def rows_of(found: dict[tuple[str, str], list[Measured]]) -> list[Row]:
    rows = []
    for case, _, _ in CASES:
        for name in (OURS, THEIRS, SERVED_POSTGRESQL, POSTGRESQL):
            runs = found.get((case, name))
            if runs:
                for metric, unit in (("events_per_s", "1/s"), ("cpu_ms", "ms per event"), ("p99_ms", "ms")):
                    values = [getattr(run, metric) for run in runs]
                    if not math.isnan(values[0]):
                        rows.append(_row(f"{case}, {name}", metric, values, unit))
            if name != OURS and runs:
                metric = "events_per_s_ratio_vs_baseline" if name == THEIRS else f"ratio_vs_{name.replace(' ', '_')}"
                ratios = [ours.events_per_s / theirs.events_per_s for ours, theirs in zip(found[case, OURS], runs, strict=True)]
                rows.append(_row(case, metric, ratios, "ratio, range over rounds"))
    return rows


def _row(case: str, metric: str, values: list[float], unit: str) -> Row:
    return Row("ingest", case, metric, statistics.median(values), min(values), max(values), len(values), unit)


def measure(folder: Path, seconds: float, rounds: int) -> list[Row]:
    flushes = flush_ms(folder)
    rows = [Row("ingest", "disk", "flush_ms", flushes[100], flushes[2], flushes[197], len(flushes), "ms, 1-99%")]
    with ExitStack() as stack:
        plain = requests(folder, "")
        servers = [
            Server(OURS, stack.enter_context(zhiyin(small(folder))), *requests(folder, "/v1/shop")),
            Server(THEIRS, stack.enter_context(baseline("ingest", "--database", folder / "events.sqlite")), *plain),
        ]
        url = ""
        try:
            url = stack.enter_context(temporary_postgresql())
            servers.append(Server(SERVED_POSTGRESQL, stack.enter_context(baseline("ingest", "--database", url)), *plain))
            _make_table(url)
        except MissingDataError as error:
            print(f"without PostgreSQL: {error}")
        found: dict[tuple[str, str], list[Measured]] = {}
        for case, connections, batch in CASES * rounds:
            for server in servers:
                found.setdefault((case, server.name), []).append(server.measure(connections, batch, seconds))
            if url and batch == 1 and shutil.which("pgbench"):
                found.setdefault((case, POSTGRESQL), []).append(pgbench(url, folder, connections, seconds))
    return rows + rows_of(found)


def _make_table(url: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE bench (event_id BIGINT PRIMARY KEY, user_id TEXT, item_id TEXT, kind TEXT, time_us BIGINT)")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--seconds", type=float, default=2.0, help="of every run of the load")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to measure")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zhiyin-ingest-", dir=given.folder) as folder:
        rows = measure(Path(folder), given.seconds, given.rounds)
    ratios = [row for row in rows if "ratio" in row.metric]
    show([row for row in rows if row not in ratios], "ingest")
    show(ratios, "ingest: zhiyin over the others")
    write(rows, given.json)


if __name__ == "__main__":
    main()
