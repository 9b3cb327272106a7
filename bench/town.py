"""What can be known about the simulated town: the oracle's ceiling, what each cause is worth, who reaches how much.

    python bench/town.py [--json PATH] [--users 2000] [--events 100000] [--requests 4000] [--seed 0]

Global time split: everything is learned before the newest tenth of events, then one request per
sampled event of that tenth, answered by it; full ranking, repeats allowed. "cold" takes the events
whose thing nobody had chosen before the cut and ranks among such things only: text alone can tell.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np

from rows import Row, write
from zhiyin.data.build import build
from zhiyin.data.catalog import Catalog, Vectors
from zhiyin.data.cut import cut_times
from zhiyin.data.dataset import Dataset
from zhiyin.data.run import Run
from zhiyin.data.truth import Holdout
from zhiyin.evaluate.bootstrap import Estimate, estimate
from zhiyin.evaluate.protocol import evaluate
from zhiyin.models.registry import spec_of
from zhiyin.models.roles import Retriever
from zhiyin.testing.town import Town, next_events, town
from zhiyin.testing.town.truth import Cause
from zhiyin.text.catalogue import fit_catalogue

METRIC = "ndcg@10"
BASELINES = ("popular", "buy-again", "item-neighbours", "user-neighbours", "ease", "transitions")


def row_of(case: str, metric: str, e: Estimate) -> Row:
    """One figure with its 95% bootstrap interval over requests."""
    return Row("town", case, metric, e.value, e.low, e.high, e.n, "share")


def contenders(place: Town, past: Dataset, whole: Dataset) -> Iterator[tuple[str, Retriever]]:
    """Oracles first, then baselines fitted on the past, then content with the real and with mixed-up texts."""
    yield "oracle", place.oracle(whole)
    for cause in get_args(Cause):
        yield f"oracle without {cause}", place.oracle(whole, (cause,))
    for name in BASELINES:
        yield name, spec_of(name).fit(past, Run())
    catalog = read_texts(whole.catalog)
    yield "content", spec_of("content").fit(past.with_catalog(catalog), Run())
    mixed = np.random.default_rng(0).permutation(len(catalog))
    vectors = catalog.vectors["text"]
    shuffled = whole.catalog.with_vectors("text", Vectors(vectors.matrix[mixed], vectors.fingerprint))
    yield "content, texts shuffled", spec_of("content").fit(past.with_catalog(shuffled), Run())


def read_texts(catalog: Catalog) -> Catalog:
    """Vectors of title and description by the encoder learned from the catalogue's own words."""
    texts = [f"{t} {d}" for t, d in catalog.table.select("title", "description").iter_rows()]
    encoder = fit_catalogue(texts)
    return catalog.with_vectors("text", Vectors(encoder.encode(texts), encoder.fingerprint))


def measured(place: Town, n_requests: int) -> list[Row]:
    whole = build(place.tables())
    _, cut = cut_times(whole, 0.1, 0.1)
    past, asked = whole.before(cut), next_events(whole, cut, n_requests)
    cold = among_cold(past, next_events(whole, cut, len(whole.events)), n_requests)
    print(f"{len(asked):,} requests; {len(cold):,} cold ones; mean [95% interval]\n{'':28}{METRIC:26}cold {METRIC}")
    rows: list[Row] = []
    for name, model in contenders(place, past, whole):
        for metric, holdout in ((METRIC, asked), (f"cold {METRIC}", cold)):
            values = evaluate(model, holdout, [METRIC], name=name)[METRIC]
            rows.append(row_of(name, metric, estimate(values)))
        print(f"{name:28}{shown(rows[-2])}   {shown(rows[-1])}", flush=True)
    return rows


def among_cold(past: Dataset, asked: Holdout, at_most: int) -> Holdout:
    """Requests answered by things without a past, ranked among those."""
    fresh = past.item_counts == 0
    cold = asked.take(np.flatnonzero(fresh[asked.truth.items.values])[:at_most])
    return replace(cold, requests=replace(cold.requests, allowed=fresh))


def shown(row: Row) -> str:
    return f"{row.value:.4f} [{row.low:.4f}, {row.high:.4f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=4_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    place = town(given.users, given.events, seed=given.seed)
    size = f"{given.users:,} people, {given.events:,} events, {place.spec.n_items:,} things, {place.spec.weeks} weeks, seed {given.seed}"
    print(size)
    rows = measured(place, given.requests)
    write(rows, given.json)


if __name__ == "__main__":
    main()
