"""What re-ranking costs: CPU time per request, and NDCG against what each knob brings.

    python bench/rerank.py [--data ml-1m-seq,amazon_beauty] [--json PATH]

Speed: one request at a time, one thread, 200 candidates to 10, among 20,000 items with vectors of 384 dimensions and 40
categories. Trade-off: transitions on the data set's own split, the whole test, 200 candidates; the difference is to
the model's own lists on the same requests.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from rows import Row, show, write
from zhiyin.base.arrays import Ragged
from zhiyin.data.catalog import Catalog, Vectors
from zhiyin.data.dataset import Dataset
from zhiyin.data.events import Events
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.run import Run
from zhiyin.data.schema import Manifest
from zhiyin.data.slates import Slates
from zhiyin.data.sources import open_source
from zhiyin.data.split import default_split
from zhiyin.data.vocab import Vocabulary
from zhiyin.evaluate.sweep import KNOBS, sweep
from zhiyin.models.registry import spec_of
from zhiyin.models.rerank.fatigue import Fatigue, Impressions
from zhiyin.models.rerank.registry import RERANKERS, reranker_of
from zhiyin.models.rerank.traits import Traits
from zhiyin.pipeline.business import BusinessRules
from zhiyin.pipeline.business_file import parse_rules
from zhiyin.pipeline.train import contest

ITEMS, DIM, CANDIDATES, REQUESTS = 20_000, 384, 200, 300
VALUES = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
NOW = 1_700_000_000_000_000


def shop(rng: np.random.Generator) -> Dataset:
    vectors = rng.standard_normal((ITEMS, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    kinds = [[f"c{c}" for c in rng.integers(0, 40, rng.integers(1, 4))] for _ in range(ITEMS)]
    seller = [f"s{int(s) % 300}" for s in rng.zipf(1.3, ITEMS)]
    table = pl.DataFrame({"item_id": [f"i{i}" for i in range(ITEMS)], "kinds": kinds, "seller": seller, "price": rng.uniform(1, 99, ITEMS)})
    catalog = Catalog(Vocabulary(table["item_id"].to_list()), table).with_vectors("text", Vectors(vectors, "bench"))
    users = Vocabulary([f"u{u}" for u in range(2_000)])
    events = Events.of(rng.integers(0, 2_000, 200_000), rng.zipf(1.2, 200_000) % ITEMS, np.zeros(200_000))
    manifest = Manifest.parse({"name": "bench", "order": "none", "items": {"id": "item_id", "columns": {"kinds": "list"}}})
    return Dataset(manifest, users, catalog, events)


def rules() -> str:
    """Twenty rules, as a shop has them."""
    pins = [f'[pin.p{i}]\nitem = "i{i}"\nposition = {2 * i + 1}\nhours = ["00:00-24:00"]\nzone = "Asia/Shanghai"' for i in range(4)]
    boosts = [f"[boost.b{i}]\nfilter = \"price < {i + 5} and kinds contains 'c{i}'\"\nfactor = 1.3" for i in range(8)]
    buries = [f"[bury.d{i}]\nfilter = \"seller = 's{i}'\"\nsteps = 5" for i in range(5)]
    quotas = [f"[quota.q{i}]\nfilter = \"kinds contains 'c{i}'\"\nat_least = 1\nat_most = 4" for i in range(3)]
    return "\n".join([*pins, *boosts, *buries, *quotas])


def speed() -> list[Row]:
    rng = np.random.default_rng(0)
    data = shop(rng)
    traits = Traits.of(data)
    asked = [Requests.of(Histories.of_items(Ragged.of([rng.integers(0, ITEMS, 50)])), now_us=NOW) for _ in range(REQUESTS)]
    slates = [_candidates(rng) for _ in range(REQUESTS)]
    settings = {"provider": {"column": "seller"}, "safety": {"blocked": ["i1", "i2"], "at_most": {"c1": 2, "c2": 2}}}
    tried: dict[str, Callable[[Requests, Slates], Slates]] = {}
    for kind in RERANKERS.names():
        made = reranker_of({"kind": kind, **settings.get(kind, {})}).over(traits)
        tried[kind] = made.seeing(_shown(rng)).rerank if isinstance(made, Fatigue) else made.rerank
    tried["mmr by categories"] = reranker_of({"kind": "mmr", "likeness": "categories"}).over(traits).rerank
    tried["twenty business rules"] = BusinessRules.of(parse_rules(rules()), data).apply
    rows = []
    for name, rerank in tried.items():
        spent = []
        for request, slate in zip(asked, slates, strict=True):
            started = time.process_time()
            rerank(request, slate)
            spent.append((time.process_time() - started) * 1e3)
        ms = np.array(spent[20:])  # the first ones fill caches
        low, high = np.quantile(ms, (0.05, 0.95))
        rows.append(Row("rerank", name, "cpu_ms_per_request", float(ms.mean()), float(low), float(high), len(ms), "ms, 5-95%"))
    return rows


def _candidates(rng: np.random.Generator) -> Slates:
    score = np.sort(rng.gamma(0.5, size=CANDIDATES))[::-1].astype(np.float32)
    return Slates(np.array([0, CANDIDATES]), rng.choice(ITEMS, CANDIDATES, replace=False).astype(np.int32), score)


def _shown(rng: np.random.Generator) -> Impressions:
    """A hundred showings, all of one person."""
    times = NOW - rng.integers(1, 3 * 86_400_000_000, 100)
    return Impressions(np.array([0, 100]), rng.integers(0, ITEMS, 100).astype(np.int32), times, rng.random(100) < 0.1)


def trade_offs(name: str) -> list[Row]:
    fought = contest(open_source(name), {"transitions": spec_of("transitions")}, default_split, Run(threads=1))
    rows = []
    for knob in KNOBS:
        found = sweep(fought.models, knob, fought.split.test, fought.split.train, values=VALUES)
        for value, estimate, against in zip(found.values, found.estimates["transitions"], found.differences["transitions"], strict=True):
            if not value and knob != "diversity":
                continue
            case = f"{name} {knob} {value:g}" if value else f"{name} transitions"
            for metric in ("ndcg@10", "diversity@10", "novelty@10", "tail-share@10", "calibration-kl@10", "coverage@10"):
                if metric in estimate:
                    e = estimate[metric]
                    rows.append(Row("rerank", case, metric, e.value, *(e.value if np.isnan(b) else b for b in (e.low, e.high)), e.n))
            if "ndcg@10" in against:
                d = against["ndcg@10"]
                rows.append(Row("rerank", case, "ndcg@10_change", d.value, d.low, d.high, d.n, f"Holm p {d.p_holm:.2g}"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", default="ml-1m-seq,amazon_beauty", help="data sets by name; empty for the speed alone")
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    with threadpool_limits(1):
        rows = speed()
        show(rows, "rerank: speed")
        for name in filter(None, given.data.split(",")):
            found = trade_offs(name)
            show(found, f"rerank: {name}")
            rows += found
    write(rows, given.json)


if __name__ == "__main__":
    main()
