"""Items nobody has touched: what their text is worth.

    python bench/cold_items.py --data amazon18_industrial,amazon18_office --seeds 3 [--json PATH]

Protocol, UNTIMED (shared/peers.md section 5): the set of each user's items, joined from all rows of
the published file; per seed 20% of the items are *cold* and removed from training, and one random
warm item of every user with three or more is held out. Then, with the user's training items left out:

    cold   users with a cold item and two training items; ranking among cold items only
    warm   users with a held-out item; ranking among warm items
    all    both kinds of users; every item; targets = held-out and cold ones

Recall@20 = hits / min(20, number of targets). Items a model says nothing about come last, in random order.
``zhiyin`` is the default blend as anybody gets it; its weights are learned inside the training data.
Settings were chosen on seeds 100 and 101; seeds 0, 1, 2 are reported.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rows import Row, write
from zhiyin.base.arrays import AnyArray, Bool, Float32, Ragged, offsets_of
from zhiyin.data.build import build
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.run import Run
from zhiyin.data.sources import read_source
from zhiyin.data.truth import Truth, hits_of, ndcg_of
from zhiyin.evaluate.bootstrap import estimate
from zhiyin.index.exact import NEVER, top_k
from zhiyin.models.registry import spec_of
from zhiyin.models.retrieve.cold_weights import dense
from zhiyin.text.cache import VectorCache
from zhiyin.text.vectors import reader_for

K, COLD_SHARE = 20, 0.2
Scorer = Callable[[Requests], Float32]

MODELS: dict[str, tuple[str, dict[str, object]]] = {
    "popular": ("minilm", {"kind": "popular"}),
    "ease": ("minilm", {"kind": "ease", "l2": 100}),
    "content": ("minilm", {"kind": "text-neighbours", "power": 1}),
    "text-neighbours minilm": ("minilm", {"kind": "text-neighbours"}),
    "text-neighbours": ("minilm+catalogue", {"kind": "text-neighbours"}),
    "text-ease ridge": ("minilm+catalogue", {"kind": "text-ease", "method": "ridge"}),
    "text-ease": ("minilm+catalogue", {"kind": "text-ease"}),
}
"""Case -> the text encoder and the model. ``content`` = cosine to the mean of the history."""


@dataclass(frozen=True)
class Cut:
    """Training data, which items are cold (n_items,), and the requests with answers of each question."""

    train: Dataset
    cold: Bool
    asked: Mapping[str, tuple[Requests, Truth]]


def cut(data: Dataset, seed: int) -> Cut:
    """The protocol above."""
    rng = np.random.default_rng(seed)
    cold = np.zeros(data.n_items, np.bool_)
    cold[rng.permutation(data.n_items)[: round(COLD_SHARE * data.n_items)]] = True
    item, user = data.events.item_ix, data.events.user_ix
    is_cold = cold[item]
    warm_rows = np.flatnonzero(~is_cold)
    # One random warm item of each user: the first of a shuffled order.
    shuffled = warm_rows[rng.permutation(len(warm_rows))]
    people, first = np.unique(user[shuffled], return_index=True)
    held = np.zeros(len(item), np.bool_)
    held[shuffled[first[np.bincount(user[warm_rows], minlength=data.n_users)[people] >= 3]]] = True
    train = data.take(~is_cold & ~held)
    n_train = np.bincount(train.events.user_ix, minlength=data.n_users)
    asks_cold = (np.bincount(user[is_cold], minlength=data.n_users) > 0) & (n_train >= 2)
    asks_warm = np.bincount(user[held], minlength=data.n_users) > 0

    def ask(wanted: Bool, who: Bool, allowed: Bool | None) -> tuple[Requests, Truth]:
        users = np.flatnonzero(who)
        order = np.argsort(user[wanted], kind="stable")
        lists = Ragged(offsets_of(np.bincount(user[wanted], minlength=data.n_users)), item[wanted][order])
        history = train.history(users)
        return Requests.of(history, users, 0, exclude=history.items, allowed=allowed), Truth(lists.take(users))

    asked = {
        "cold": ask(is_cold, asks_cold, cold),
        "warm": ask(held, asks_warm, ~cold),
        "all": ask(is_cold | held, asks_cold | asks_warm, None),
    }
    return Cut(train, cold, asked)


def measured(score: Scorer, requests: Requests, truth: Truth) -> dict[str, AnyArray]:
    """Recall@20 and NDCG@20 of every request."""
    scores = score(requests)
    # Not by number: low numbers are popular items in these files, and that would be a leak.
    anywhere = np.random.default_rng(0).random(scores.shape)
    last = np.where(scores > NEVER, scores, -1e30 - 1e29 * anywhere)
    if requests.allowed is not None:
        last[:, ~requests.allowed] = NEVER
    if requests.exclude is not None:
        last[requests.exclude.rows, requests.exclude.values] = NEVER
    slates = top_k(last.astype(np.float32), K)
    hits = hits_of(slates, truth)
    found = np.bincount(hits.row, minlength=len(truth))
    return {f"recall@{K}": found / np.minimum(K, truth.items.lengths), f"ndcg@{K}": ndcg_of(hits, K)}


def run_seed(read: Mapping[str, Dataset], seed: int) -> dict[str, dict[str, AnyArray]]:
    """Case -> metric -> value per request."""
    plain = next(iter(read.values()))
    parted = cut(plain, seed)
    run = Run(seed=seed)
    scorers: dict[str, Scorer] = {}
    for case, (encoder, values) in MODELS.items():
        train = parted.train.with_catalog(read[encoder].catalog)
        scorers[case] = dense(spec_of(values).fit(train, run)).scores
    blend = spec_of("zhiyin").fit(parted.train.with_catalog(read["minilm+catalogue"].catalog), run)
    scorers["zhiyin"] = dense(blend).scores
    out: dict[str, dict[str, AnyArray]] = {}
    for case, score in scorers.items():
        found = {f"{question} {name}": v for question, asked in parted.asked.items() for name, v in measured(score, *asked).items()}
        out[case] = found
    return out


def user_sets(name: str) -> Dataset:
    """Distinct (user, item) pairs of the whole published file."""
    tables = read_source(name)
    return build(replace(tables, events=tables.extra["user_items"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="amazon18_industrial,amazon18_office")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows: list[Row] = []
    for name in given.data.split(","):
        data = user_sets(name)
        read: dict[str, Dataset] = {}
        for encoder in ("minilm", "minilm+catalogue"):
            reader = reader_for(data, encoder)
            read[encoder] = data.with_catalog(reader.fill(data.catalog, VectorCache()))
            print(f"{name}: {reader.reason}", flush=True)
        results = [run_seed(read, given.first_seed + s) for s in range(given.seeds)]
        print(f"\n{name}, {data.n_users:,} users, {data.n_items:,} items, {given.seeds} seeds, UNTIMED")
        metrics = list(results[0]["popular"])
        print(f"{'':24}" + "".join(f"{m:>16}" for m in metrics))
        for case in results[0]:
            line = f"{case:24}"
            for metric in metrics:
                values = np.concatenate([r[case][metric] for r in results])
                e = estimate(values)
                rows.append(Row("cold_items", f"{name} {case}", metric, float(e.value), float(e.low), float(e.high), int(e.n), "share"))
                line += f"{e.value:16.4f}"
            print(line, flush=True)
    write(rows, given.json)


if __name__ == "__main__":
    main()
