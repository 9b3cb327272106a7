"""Recommendations over HTTP: a million people, 100,000 things of 64 dimensions, the best ten, nothing seen twice.

    python bench/serve.py [--json PATH] [--only versus recall ...] [--quick] [--full] [--kept] [--work FOLDER]

On half of the requests a filter leaves a tenth of the things. Ours is ``zhiyin serve`` over a bundle with a model of
kind "vectors"; beside it, in turns within one run, stand the baseline (``serve_baseline.py``: FastAPI + faiss HNSW,
seen things and filter by over-fetching) and FastAPI that does nothing. The load comes from a process of its own over
loopback. CPU is that of the server process, all threads, by /proc. Answers marked degraded are not counted as answers.

Cases: versus, cpu, recall, cold, sustained, freshness, pipeline (the last three in ``serve_live.py``). The world is made
once in FOLDER (default: that of temporary files), the bundles in every run but for --kept; --quick is for a look,
--full for the long runs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import serve_live
from rows import Row, show, write
from serve_load import Said, finish, start
from serve_process import Process, baseline, zhiyin
from serve_world import CATEGORIES, Size, World, big, bundle

CONNECTIONS = (1, 8, 32)
PEERS = {1: (1083, 1696), 8: (1171, 2295), 32: (1221, 2108)}
"""Requests/s of FastAPI + faiss HNSW and of FastAPI alone, ``peers.md`` section 6 (no filter, nothing removed)."""
PEERS_CPU_MS, PEERS_NOOP_CPU_MS = 0.36, 0.13
"""CPU of a request there (.30 to .42). Its rates also hold what its load generator cost, so CPU is the fairer scale."""


@dataclass(frozen=True)
class Given:
    """What a case works with."""

    world: World
    folder: Path  # of the baseline, and of the bundles below
    work: Path  # for files of requests
    seconds: float
    rounds: int
    quick: bool
    full: bool
    kept: bool
    made: set[Path] = field(default_factory=set)

    def bundle(self, exact: bool = False) -> Path:
        """Made once in a run: how bundles are written may have changed since an earlier one."""
        folder = self.folder / ("exact" if exact else "ann")
        if folder not in self.made and not self.kept:
            shutil.rmtree(folder, ignore_errors=True)
        self.made.add(folder)
        return bundle(self.world, folder, exact=exact)


@dataclass(frozen=True)
class Asks:
    """Requests in the words of both servers: users (n,), category (n,) or -1 for no filter."""

    users: np.ndarray
    category: np.ndarray

    @classmethod
    def of(cls, world: World, n: int, share: float, seed: int) -> Asks:
        rng = np.random.default_rng(seed)
        users = rng.integers(0, len(world.users), n)
        return cls(users, np.where(rng.random(n) < share, rng.integers(0, CATEGORIES, n), -1))

    def ours(self, path: Path, tenant: str, **more: object) -> Path:
        filters: list[Mapping[str, object]] = [{} if c < 0 else {"filter": f'category = "c{c}"'} for c in self.category.tolist()]
        return self._written(path, f"POST /v1/{tenant}/recommend ", filters, more)

    def theirs(self, path: Path, **more: object) -> Path:
        filters: list[Mapping[str, object]] = [{} if c < 0 else {"filter": {"category": f"c{c}"}} for c in self.category.tolist()]
        return self._written(path, "POST /recommend ", filters, more)

    def _written(self, path: Path, head: str, filters: Sequence[Mapping[str, object]], more: dict[str, object]) -> Path:
        bodies = ({"user": f"u{u}", "n": 10, **f, **more} for u, f in zip(self.users.tolist(), filters, strict=True))
        path.write_text("\n".join(head + json.dumps(body, separators=(",", ":")) for body in bodies), encoding="utf-8")
        return path


@dataclass(frozen=True)
class Measured:
    said: Said
    cpu_ms: float  # per request

    @property
    def rps(self) -> float:
        """Whole answers by the model, per second."""
        return (self.said.ok - self.said.degraded - self.said.empty) / self.said.seconds


def measure(process: Process, requests: Path, connections: int, seconds: float) -> Measured:
    cpu = process.cpu_s()
    said = finish(start(process.port, requests, connections=connections, seconds=seconds))
    return Measured(said, 1e3 * (process.cpu_s() - cpu) / max(said.n, 1))


@contextmanager
def served(folder: Path, *more: object) -> Iterator[Process]:
    """Ours, without what earlier runs left beside the bundle."""
    shutil.rmtree(folder.with_name(f"{folder.name}.live"), ignore_errors=True)
    with zhiyin(folder, *more, limit_s=300) as process:
        process.settled()  # some of it is made ready behind the first answers: that is told of in "cold start"
        yield process
    shutil.rmtree(folder.with_name(f"{folder.name}.live"), ignore_errors=True)


def row(case: str, metric: str, values: Sequence[float], unit: str = "") -> Row:
    """The median of the rounds and their range."""
    return Row("serve", case, metric, statistics.median(values), min(values), max(values), len(values), unit)


def versus(given: Given) -> list[Row]:
    """Requests per second beside the baseline, and the baseline beside the one it stands for."""
    asks = Asks.of(given.world, 20_000, 0.5, seed=1)
    plain = Asks(asks.users, np.full(len(asks.users), -1))
    found: dict[tuple[str, int], list[Measured]] = {}
    with ExitStack() as stack:
        folder = given.bundle()
        theirs = stack.enter_context(baseline("recommend", "--folder", given.folder))
        runs = {
            "zhiyin": (stack.enter_context(served(folder)), asks.ours(given.work / "ours", folder.name)),
            "fastapi+faiss": (theirs, asks.theirs(given.work / "theirs")),
            "fastapi+faiss, nothing removed": (theirs, plain.theirs(given.work / "plain", repeat="allow")),
            "fastapi alone": (stack.enter_context(baseline("noop")), plain.theirs(given.work / "noop")),
        }
        for process, requests in runs.values():
            measure(process, requests, 8, 1.0)  # the first requests find cold caches
        for connections in CONNECTIONS * given.rounds:
            for name, (process, requests) in runs.items():
                found.setdefault((name, connections), []).append(measure(process, requests, connections, given.seconds))
    return versus_rows(found, list(runs))


def versus_rows(found: dict[tuple[str, int], list[Measured]], names: Sequence[str]) -> list[Row]:
    rows = []
    for c in CONNECTIONS:
        ours, theirs, plain, alone = (found[name, c] for name in names)
        ratios = [a.rps / b.rps for a, b in zip(ours, theirs, strict=True)]
        rows.append(row(f"vs fastapi+faiss, c={c}", "rps_ratio", ratios, "range over rounds"))
        hnsw, noop = PEERS[c]
        scaled = [(p.rps / n.rps) / (hnsw / noop) for p, n in zip(plain, alone, strict=True)]
        cost = [(p.cpu_ms / n.cpu_ms) / (PEERS_CPU_MS / PEERS_NOOP_CPU_MS) for p, n in zip(plain, alone, strict=True)]
        rows.append(row(f"baseline as in peers.md, c={c}", "rps_scaled_by_noop", scaled, "1 = the same"))
        rows.append(row(f"baseline as in peers.md, c={c}", "cpu_scaled_by_noop", cost, "1 = the same, less is better"))
        for name in names:
            rows += figures(f"{name}, c={c}", found[name, c])
    return rows


def figures(case: str, runs: Sequence[Measured]) -> list[Row]:
    return [
        row(case, "rps", [run.rps for run in runs], "1/s"),
        row(case, "cpu_ms_per_request", [run.cpu_ms for run in runs], "ms of the server process"),
        row(case, "p50_ms", [run.said.p50_ms for run in runs], "ms"),
        row(case, "p99_ms", [run.said.p99_ms for run in runs], "ms"),
        row(case, "degraded_share", [run.said.degraded / max(run.said.n, 1) for run in runs]),
        row(case, "errors", [float(run.said.errors) for run in runs]),
    ]


def cpu(given: Given) -> list[Row]:
    """What a request costs, and of what: HTTP alone, the answer around the search, the search, the filter."""
    rows = []
    for exact in (False, True):
        folder, name = given.bundle(exact), "exact" if exact else "ann"
        health = given.work / "health"
        health.write_text("GET /health/live", encoding="utf-8")
        asks = {share: Asks.of(given.world, 20_000, share, seed=2) for share in (0.0, 0.5, 1.0)}
        ten = [f"i{i}" for i in range(10)]
        runs = {
            "http": health,
            "around": asks[0.0].ours(given.work / "around", folder.name, candidates=ten, repeat="allow"),
            "bare": asks[0.0].ours(given.work / "bare", folder.name),
            "mixed": asks[0.5].ours(given.work / "mixed", folder.name),
            "filtered": asks[1.0].ours(given.work / "filtered", folder.name),
        }
        cost: dict[str, list[float]] = {}
        degraded: list[float] = []
        with served(folder) as process:
            measure(process, runs["mixed"], 32, 1.0)
            for run in list(runs) * given.rounds:
                found = measure(process, runs[run], 32, given.seconds)
                cost.setdefault(run, []).append(found.cpu_ms)
                degraded.append(found.said.degraded / max(found.said.n, 1))
        parts = {"http": cost["http"], "answer without search": _minus(cost["around"], cost["http"])}
        parts |= {"search": _minus(cost["bare"], cost["around"]), "filter": _minus(cost["filtered"], cost["bare"])}
        rows.append(row(name, "cpu_ms_per_request", cost["mixed"], "ms, c=32, half with a filter"))
        rows.append(row(name, "degraded_share", degraded, "of all these runs: such answers cost less"))
        rows += [row(f"{name}: {part}", "cpu_ms_per_request", values, "ms, c=32") for part, values in parts.items()]
    return rows


def _minus(a: Sequence[float], b: Sequence[float]) -> list[float]:
    return [x - y for x, y in zip(a, b, strict=True)]


def recall(given: Given) -> list[Row]:
    """How many of the ten best come back, by the definition: every inner product, in doubles."""
    n = 10_000 if given.full else 500 if given.quick else 2_000
    rows = []
    for share, what in ((0.0, "no filter"), (1.0, "filter")):
        asks = Asks.of(given.world, n, share, seed=3)
        least = truth(given.world, asks)
        for name in ("ann", "exact", "fastapi+faiss"):
            if name == "fastapi+faiss":
                file = asks.theirs(given.work / "recall")
                server: AbstractContextManager[Process] = baseline("recommend", "--folder", given.folder)
            else:
                folder = given.bundle(name == "exact")
                file = asks.ours(given.work / "recall", folder.name)
                server = served(folder, "--deadline-ms", 10_000)  # what is late is no matter of recall
            with server as process:
                kept = given.work / "kept"
                finish(start(process.port, file, connections=2, seconds=600, count=n, kept=kept))
            hits = judged(given.world, asks, least, kept)
            case = f"recall, {name}, {what}"
            rows.append(Row("serve", case, "recall@10", float(hits.mean()), *_interval(hits), n))
            rows.append(Row("serve", case, "whole_lists", float((hits == 1).mean()), *_interval(hits == 1), n, "share of requests"))
    return rows


def truth(world: World, asks: Asks) -> np.ndarray:
    """The tenth best score of each request among what it may be shown: (n,) doubles."""
    items = world.items.astype(np.float64)
    least = np.empty(len(asks.users))
    for begin in range(0, len(asks.users), 100):
        at = slice(begin, begin + 100)
        scores = world.users[asks.users[at]].astype(np.float64) @ items.T
        for i, (user, category) in enumerate(zip(asks.users[at].tolist(), asks.category[at].tolist(), strict=True)):
            scores[i, world.seen[world.offsets[user] : world.offsets[user + 1]]] = -np.inf
            if category >= 0:
                scores[i, world.category != category] = -np.inf
        least[at] = np.partition(scores, -10, axis=1)[:, -10]
    return least


def judged(world: World, asks: Asks, least: np.ndarray, kept: Path) -> np.ndarray:
    """The share of each list that belongs to the ten best, ties within single precision counted as such: (n,)."""
    hits = np.zeros(len(asks.users))
    for line in kept.read_bytes().splitlines():
        number, body = line.split(b" ", 1)
        i, answer = int(number), json.loads(body)
        if answer.get("degraded"):
            continue
        found = np.array([int(item["item"][1:]) for item in answer["items"]], np.int64)
        user = int(asks.users[i])
        score = world.items[found].astype(np.float64) @ world.users[user].astype(np.float64)
        good = ~np.isin(found, world.seen[world.offsets[user] : world.offsets[user + 1]]) & (score >= least[i] - 1e-6)
        if asks.category[i] >= 0:
            good &= world.category[found] == asks.category[i]
        hits[i] = len(np.unique(found[good])) / 10
    return hits


def _interval(values: np.ndarray) -> tuple[float, float]:
    half = 1.96 * float(values.std()) / len(values) ** 0.5
    return float(values.mean()) - half, min(1.0, float(values.mean()) + half)


def cold(given: Given) -> list[Row]:
    """From the start of the process to its first recommendation, with the files in the page cache."""
    raw = given.world.users.nbytes + given.world.items.nbytes
    told: dict[str, list[float]] = {}
    for _ in range(given.rounds):
        with zhiyin(given.bundle(), limit_s=300) as process:
            told.setdefault("s_to_first_answer", []).append(process.s_to_first_answer)
            told.setdefault("s_busy_behind_it", []).append(process.settled())
            told.setdefault("rss_ratio_to_raw_vectors", []).append(process.rss() / raw)
            told.setdefault("rss_without_files_ratio", []).append(process.anonymous() / raw)
            told.setdefault("torch_imported", []).append(float(process.has_loaded("libtorch")))
        with baseline("recommend", "--folder", given.folder) as process:
            told.setdefault("s_to_first_answer, fastapi+faiss", []).append(process.s_to_first_answer)
            told.setdefault("rss_ratio_to_raw_vectors, fastapi+faiss", []).append(process.rss() / raw)
    return [row("cold start", metric, values) for metric, values in told.items()]


def sustained(given: Given) -> list[Row]:
    folder = given.bundle()
    asks = Asks.of(given.world, 20_000, 0.5, seed=4).ours(given.work / "sustained", folder.name)
    seconds = 600.0 if given.full else 10.0 if given.quick else 60.0
    with served(folder) as process:
        return serve_live.sustained(process, folder.name, asks, given.work, seconds)


def freshness(given: Given) -> list[Row]:
    folder = given.bundle()
    asks = Asks.of(given.world, 2_000, 0.0, seed=5).ours(given.work / "beside", folder.name)
    with served(folder) as process:
        return serve_live.freshness(process, folder.name, given.world, asks, 20 if given.quick else 100)


def pipeline(given: Given) -> list[Row]:
    """As served, and with all the time it wants: what degraded answers hide."""
    folder = serve_live.trained(given.folder.parent)
    rows = []
    for case, more in (("full pipeline", ()), ("full pipeline, no deadline", ("--deadline-ms", 60_000))):
        with served(folder, *more) as process:
            rows += serve_live.pipeline(case, process, folder, given.work, given.seconds)
    return rows


CASES: dict[str, Callable[[Given], list[Row]]] = {
    case.__name__: case for case in (versus, cpu, recall, cold, sustained, freshness, pipeline)
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--only", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--kept", action="store_true", help="serve the bundles of an earlier run")
    parser.add_argument("--work", type=Path, default=None, help="where the world and the bundles are kept")
    given = parser.parse_args()
    world, folder = big(Size(), given.work)
    rows = []
    with tempfile.TemporaryDirectory(prefix="zhiyin-serve-") as work:
        seconds, rounds = (1.0, 1) if given.quick else (3.0, 3)
        case = Given(world, folder, Path(work), seconds, rounds, given.quick, given.full, given.kept)
        for name in given.only:
            found = CASES[name](case)
            show(found, f"serve: {name}")
            rows += found
    write(rows, given.json)


if __name__ == "__main__":
    main()
