"""A server among callers who send anything: every operation x parameter x kind of mistake, against a live process.

    python bench/bad_input.py [--json PATH] [--mixed 3000] [--seed 0] [--only TEXT] [--show 20] [--schemathesis COMMAND]

Cases are made from the OpenAPI document that the server gives (``bad_input_cases``). Counted are answers of 500 and
above other than a deliberate 503, problems without their shape, requests without an answer, answers that a model
failed at (the fallback hides that from people, not from here), and the largest resident memory. A second part asks
rightly while a hundred slow clients hold connections. ``--schemathesis`` also runs its stateful phase with that
command (pip install schemathesis, best in an environment of its own).
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

import zhiyin as library
from bad_input_cases import Case, cases
from rows import Row, show, write
from serve_process import Process, zhiyin
from zhiyin.testing.calls import operations_of
from zhiyin.testing.wire import Answer, connected, is_over, read_answer, request

LIMIT_S = 40.0
MANIFEST = """
schema_version = 1
name = "odd"
order = "time"
language = "en"
[events]
file = "events.parquet"
user = "user_id"
item = "item_id"
time = "time"
kind = "kind"
value = "value"
context = ["device"]
[items]
file = "items.parquet"
id = "item_id"
title = "title"
publish = "publish_at"
[items.columns]
title = "text"
category = "category"
price = "price"
stock = "number"
tags = "list"
lat = "latitude"
lon = "longitude"
"""


@dataclass
class Found:
    """What went wrong, by kind; ``shown`` are the first of each kind."""

    n: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    shown: dict[str, list[str]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, case: Case, answer: Answer | None, trouble: str) -> None:
        with self.lock:
            self.n += 1
            if answer is not None:
                self.statuses[answer.status] += 1
            if trouble:
                self.wrong[trouble] += 1
                said = "" if answer is None else answer.body[:300].decode(errors="replace")
                self.shown.setdefault(trouble, []).append(f"{case.operation}: {case.kind}: {said}")


def world(folder: Path) -> Path:
    """A small model over items with a column of every kind."""
    tables = folder / "tables"
    tables.mkdir()
    n, begin = 60, datetime(2024, 1, 1, tzinfo=UTC)
    kinds = ["red shoe", "blue hat", "green lamp", "white cup", "红色 台灯", "蓝牙 耳机"]
    pl.DataFrame(
        {
            "item_id": [f"i{i}" for i in range(n)],
            "title": [f"{kinds[i % 6]} {i}" for i in range(n)],
            "category": ["shoes" if i % 2 else "home" for i in range(n)],
            "price": [5.0 + i if i % 7 else None for i in range(n)],
            "stock": list(range(n)),
            "on_sale": [i % 3 == 0 for i in range(n)],
            "tags": [["sale", "new"] if i % 2 else [] for i in range(n)],
            "lat": [30 + i / 10 for i in range(n)],
            "lon": [120 + i / 10 for i in range(n)],
            "publish_at": [begin + timedelta(days=i % 30) for i in range(n)],
        }
    ).write_parquet(tables / "items.parquet")
    rows = [
        (f"u{u}", f"i{(u * 3 + s * 2) % n}", begin + timedelta(hours=u * 7 + s), ["view", "buy"][s % 2], 1.0, ["phone", "web"][u % 2])
        for u in range(40)
        for s in range(10)
    ]
    names = ["user_id", "item_id", "time", "kind", "value", "device"]
    pl.DataFrame(rows, schema=names, orient="row").write_parquet(tables / "events.parquet")
    (tables / "zhiyin.toml").write_text(MANIFEST, encoding="utf-8")
    return library.fit(library.load(tables), "transitions").save(folder / "shop")


def judged(case: Case, answer: Answer | None) -> str:
    """The kind of trouble, "" = none."""
    if answer is None:
        return "" if case.alone else "no answer"
    if answer.status >= 500 and not (answer.status == 503 and "retry-after" in answer.headers):
        return "server error"
    if answer.status >= 400 and not case.no_body:
        if answer.headers.get("content-type") != "application/problem+json":
            return "no problem+json"
        if not {"type", "title", "status", "detail"} <= set(answer.json()):
            return "no problem+json"
    if answer.status == 200 and b"answered without the model: " in answer.body and b"answered without the model: slow" not in answer.body:
        return "model failed"
    return ""


class Asker:
    """Sends cases over a connection that is kept as long as it lasts."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._stack = ExitStack()
        self._connection: socket.socket | None = None
        self._rest = bytearray()

    def ask(self, case: Case) -> tuple[Answer | None, str]:
        """The answer and the kind of trouble. Where a kept connection is gone, it is tried once on a new one."""
        for again in (not case.alone and self._connection is not None, False):
            try:
                answer = self._once(case)
            except TimeoutError:
                self.close()
                return None, "hung"
            if answer is not None or not again:
                break
        if case.alone or answer is None or answer.headers.get("connection") == "close":
            self.close()
        return answer, judged(case, answer)

    def _once(self, case: Case) -> Answer | None:
        if case.alone or self._connection is None:
            self.close()
            self._connection = self._stack.enter_context(connected(self.port, limit_s=LIMIT_S))
        try:
            self._connection.sendall(case.sent)
            if not case.sent:
                return None
            if case.no_body:
                return _head(self._connection)
            return read_answer(self._connection, self._rest)
        except ConnectionError:
            self.close()
            return None

    def close(self) -> None:
        with suppress(OSError):
            self._stack.close()
        self._connection, self._rest = None, bytearray()


def _head(connection: socket.socket) -> Answer | None:
    data = b""
    while b"\r\n\r\n" not in data:
        got = connection.recv(65536)
        if not got:
            return None
        data += got
    return Answer(int(data.split()[1]), {}, b"")


def attack(port: int, given: Callable[[], Iterator[Case]], n_threads: int, found: Found) -> None:
    """All cases, several at a time; those that spoil connections last and many at a time, because some wait."""
    for alone, threads in ((False, n_threads), (True, 8 * n_threads)):
        left = (case for case in given() if case.alone is alone)
        lock = threading.Lock()

        def work(left: Iterator[Case] = left, lock: threading.Lock = lock) -> None:
            asker = Asker(port)
            while True:
                with lock:
                    case = next(left, None)
                if case is None:
                    break
                found.add(case, *asker.ask(case))
            asker.close()

        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(work) for _ in range(threads)]:
                done.result()


def beside_slow_clients(port: int, n_slow: int = 100, n_right: int = 300) -> tuple[list[float], int, int]:
    """Milliseconds of right requests while others dribble heads and bodies and do not read; failures; connections not ended."""
    ask = request("/v1/shop/recommend", b'{"user":"u1"}', "content-type: application/json")
    began = [b"GET /health/live HTT", request("/v1/shop/recommend", b"{", length=1000), request("/openapi.json", method="GET") * 20]
    with ExitStack() as stack:
        slow = [stack.enter_context(connected(port, limit_s=30)) for _ in range(n_slow)]
        for n, connection in enumerate(slow):
            connection.sendall(began[n % len(began)])
        took, failed = [], 0
        with connected(port) as own:
            for n in range(n_right):
                begun = time.perf_counter()
                own.sendall(ask)
                answer = read_answer(own)
                took.append((time.perf_counter() - begun) * 1000)
                failed += answer is None or answer.status != 200
                with suppress(OSError):
                    slow[n % n_slow].send(b"x")
        kept = sum(not is_over(connection) for connection in slow)
    return took, failed, kept


def peak_mb(process: Process, name: str = "VmHWM") -> float:
    """The largest resident memory so far (VmRSS: the present one)."""
    said = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.findall(rf"{name}:\s+(\d+) kB", said)[0]) / 1024


def matrix() -> tuple[int, int]:
    """Mismatches of the access matrix, and its tests: it is run as the test that it is."""
    file = Path(__file__).parent.parent / "tests" / "contract" / "test_access_matrix.py"
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "--tb=no", str(file)], capture_output=True, text=True, check=False)
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|errors?)", done.stdout)}
    return counts.get("failed", 0) + counts.get("errors", 0) + counts.get("error", 0), sum(counts.values())


def stateful(command: str, port: int, work: Path) -> tuple[int, int]:
    """Cases that schemathesis made (edges, random, call after call) and those of them that broke the document or the server."""
    (work / "schemathesis.toml").write_text(
        '[parameters]\ntenant = "shop"\nitem = ["i1", "i2", "a new one"]\nuser = ["u1", "u2", "somebody"]\n', encoding="utf-8"
    )
    checks = "not_a_server_error,response_schema_conformance,content_type_conformance,status_code_conformance"
    url = f"http://127.0.0.1:{port}/openapi.json"
    more = ["--phases", "coverage,fuzzing,stateful", "--max-examples", "20", "--seed", "0", "--continue-on-failure"]
    done = subprocess.run([*command.split(), "run", url, "--checks", checks, *more], capture_output=True, text=True, check=False, cwd=work)
    made = sum(int(n) for n in re.findall(r"(\d+) generated", done.stdout))
    if not made or done.returncode:
        print(done.stdout[-6000:], done.stderr[-2000:])
    return made, max(1, len(re.findall(r"^_+ .* _+$", done.stdout, re.M))) if done.returncode else 0


def logged_errors(log: str) -> Counter[str]:
    """What the server complained of, without its times."""
    errors: Counter[str] = Counter()
    for line in log.splitlines():
        said = json.loads(line) if line.startswith("{") else {}
        if said.get("level") == "error":
            errors[" ".join(str(said.get(name, "")) for name in ("logger", "event", "error", "places"))] += 1
    return errors


def main(said: argparse.Namespace) -> list[Row]:
    def row(case: str, metric: str, value: float, n: int, unit: str = "") -> Row:
        return Row("bad_input", case, metric, value, value, value, n, unit)

    with tempfile.TemporaryDirectory(prefix="zhiyin-bad-input-") as work:
        env = {"ZHIYIN_READ_TIMEOUT_S": "1", "ZHIYIN_WRITE_TIMEOUT_S": "2"}
        with zhiyin(world(Path(work)), "--deadline-ms", "10000", env=env) as process:
            operations = operations_of(json.loads(process.ask("GET", "/openapi.json")[1]))

            def given() -> Iterator[Case]:
                every = cases(operations, said.seed, said.mixed)
                return (case for case in every if said.only in f"{case.operation}: {case.kind}")

            before = peak_mb(process)
            found, cpu = Found(), process.cpu_s()
            attack(process.port, given, 4, found)
            took, failed, kept = beside_slow_clients(process.port)
            rows = [
                row("all", "cases", found.n, found.n),
                *(
                    row("all", metric, found.wrong[kind], found.n)
                    for metric, kind in (
                        ("server_errors", "server error"), ("hung", "hung"), ("no_answer", "no answer"),
                        ("no_problem_json", "no problem+json"), ("model_failed", "model failed"),
                    )
                ),
                row("all", "rss_mb_before", before, 1, "MB"),
                row("all", "peak_rss_mb", peak_mb(process), found.n, "MB"),
                row("all", "cpu_ms_per_case", 1000 * (process.cpu_s() - cpu) / max(found.n, 1), found.n, "ms"),
                row("100 slow clients", "p99_ms", float(np.percentile(took, 99)), len(took), "ms"),
                row("100 slow clients", "server_errors", failed, len(took)),
                row("100 slow clients", "still_connected", kept, 100),
            ]  # fmt: skip
            if said.schemathesis:
                made, failed = stateful(said.schemathesis, process.port, Path(work))
                rows += [row("schemathesis", "cases", made, made), row("schemathesis", "failures", failed, made)]
            alive = process.ask("POST", "/v1/shop/recommend", '{"user":"u1"}')[0] == 200
            rows.append(row("all", "alive_afterwards", float(alive), 1))
            errors = logged_errors(process.said)
            rows.append(row("all", "errors_in_the_log", sum(errors.values()), found.n))
            for kind, lines in found.shown.items():
                print(f"\n{kind}: {found.wrong[kind]}", *(line[:400] for line in lines[: said.show]), sep="\n  ")
            for line, n in errors.most_common(said.show):
                print(f"in the log, {n} times: {line}")
    print("statuses:", dict(sorted(found.statuses.items())))
    wrong, n = matrix()
    rows.append(row("access matrix", "mismatches", wrong, n))
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--mixed", type=int, default=3000, help="cases with several mistakes at once")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="only cases whose 'operation: kind' holds this text")
    parser.add_argument("--show", type=int, default=20, help="lines printed per kind of trouble")
    parser.add_argument("--schemathesis", default="", help="the command that runs it")
    given = parser.parse_args()
    found = main(given)
    show(found, "A server among callers who send anything")
    write(found, given.json)
