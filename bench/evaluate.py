"""What measuring costs: memory of a full evaluation, processor time of the accuracy metrics.

    python bench/evaluate.py [--json PATH] [--users 100000] [--items 20000] [--k 100] [--runs 5]

The evaluation ranks the whole catalogue with a dense random model (64 numbers per user and item)
and takes every metric there is; the peak of its resident memory is that of a child process. The
processor time of the accuracy metrics alone is for lists of ten, one answer each.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from rows import Row, write
from zhiyin.base.arrays import Float32, Ragged, offsets_of
from zhiyin.data.catalog import Catalog, Vectors
from zhiyin.data.dataset import Dataset
from zhiyin.data.events import Events
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.schema import EventsTable, Manifest
from zhiyin.data.slates import Slates
from zhiyin.data.truth import Holdout, Truth
from zhiyin.data.vocab import Vocabulary
from zhiyin.evaluate.facts import ItemFacts
from zhiyin.evaluate.metrics import ACCURACY, BEYOND, TOTALS, measure
from zhiyin.evaluate.protocol import evaluate
from zhiyin.models.retrieve.dense import DenseRetriever

TEXT_DIM, N_CATEGORIES, HISTORY = 384, 200, 20


@dataclass(frozen=True)
class RandomDense(DenseRetriever):
    """Scores from two random tables: as dear as any factor model, and it knows nothing."""

    catalog: Catalog
    users: Float32  # (n_users, 64)
    items: Float32  # (n_items, 64)

    def scores(self, requests: Requests) -> Float32:
        scores: Float32 = self.users[requests.user_ix] @ self.items.T
        return scores


def world(n_users: int, n_items: int, seed: int = 0) -> tuple[RandomDense, Holdout, Dataset]:
    """Users with 20 events each, three answers, items with text vectors and categories."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((n_items, TEXT_DIM), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    table = pl.DataFrame({"category": [f"c{c}" for c in rng.integers(0, N_CATEGORIES, n_items)]})
    catalog = Catalog(Vocabulary([f"i{j}" for j in range(n_items)]), table).with_vectors("text", Vectors(vectors, "random"))
    n = n_users * HISTORY
    users, items = np.repeat(np.arange(n_users), HISTORY), (n_items * rng.random(n) ** 2).astype(np.int32)
    events = Events.of(users, items, np.zeros(n, np.int64))
    manifest = Manifest(name="random", events=EventsTable(time="t"))
    train = Dataset(manifest, Vocabulary([f"u{j}" for j in range(n_users)]), catalog, events)
    history = Histories.of_items(Ragged(offsets_of(np.full(n_users, HISTORY)), items))
    requests = Requests.of(history, np.arange(n_users), exclude=history.items)
    answers = (np.arange(3) * (n_items // 3) + rng.integers(0, n_items // 3, (n_users, 3))).astype(np.int32)
    model = RandomDense(catalog, rng.standard_normal((n_users, 64), np.float32), rng.standard_normal((n_items, 64), np.float32))
    return model, Holdout(requests, Truth(Ragged(offsets_of(np.full(n_users, 3)), answers.ravel()))), train


def full_evaluation(n_users: int, n_items: int, k: int) -> None:
    """In the child: print peak memory before and after, and processor seconds, as JSON."""
    model, holdout, train = world(n_users, n_items)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    facts = ItemFacts.of(train, category="category")
    scores = evaluate(model, holdout, [*ACCURACY, *BEYOND, *TOTALS], k, facts=facts)
    spent = time.process_time() - start
    found = scores.estimates
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        json.dumps(
            {
                "peak_gb": peak / 2**20,
                "before_gb": before / 2**20,
                "judge_cpu_s": spent - scores.retrieve_cpu_s,
                "retrieve_cpu_s": scores.retrieve_cpu_s,
                "bootstrap_cpu_s": time.process_time() - start - spent,
                "metrics": len(found),
            }
        )
    )


def accuracy_cpu_s(n: int, runs: int, n_items: int = 20_000, k: int = 10) -> list[float]:
    """Processor seconds of every accuracy metric at k, lists already made, once per run."""
    rng = np.random.default_rng(0)
    lists = rng.integers(0, n_items, (n, k)).astype(np.int32)
    answers = rng.integers(0, n_items, n).astype(np.int32)
    found = rng.random(n) < 0.3
    lists[found, rng.integers(0, k, n)[found]] = answers[found]
    slates = Slates(offsets_of(np.full(n, k)), lists.ravel(), np.zeros(n * k, np.float32))
    truth = Truth(Ragged(offsets_of(np.ones(n, np.int64)), answers))
    out = []
    for _ in range(runs):
        start = time.process_time()
        measure(slates, truth, ACCURACY, k)
        out.append(time.process_time() - start)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        full_evaluation(given.users, given.items, given.k)
        return
    command = [sys.executable, __file__, "--child", f"--users={given.users}", f"--items={given.items}", f"--k={given.k}"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    case = f"{given.users:,} users x {given.items:,} items, top {given.k}, {found['metrics']} metrics"
    units = {"peak_gb": "GB", "before_gb": "GB", "judge_cpu_s": "s", "retrieve_cpu_s": "s", "bootstrap_cpu_s": "s"}
    rows = [Row("evaluate", case, name, found[name], found[name], found[name], given.users, unit) for name, unit in units.items()]
    for n in (6_040, 100_000):
        times = accuracy_cpu_s(n, given.runs)
        rows.append(Row("evaluate", f"accuracy metrics @10, {n:,} lists", "cpu_s", float(np.median(times)), min(times), max(times), n, "s"))
    for row in rows:
        print(f"{row.case:<62} {row.metric:<16} {row.value:9.3f} [{row.low:.3f}, {row.high:.3f}] {row.unit}")
    write(rows, given.json)


if __name__ == "__main__":
    main()
