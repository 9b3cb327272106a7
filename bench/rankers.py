"""Every ranker on the same examples: Frappe's published test rows, one draw of training negatives.

    python bench/rankers.py [--json PATH] [--only trees,linear] [--validation]

The columns, negatives and rows are those of `context.py`. Neural rankers see the same columns and embed no
codes; `attention` and `convolution` also see item and history. `bilinear`, whose cost grows with the square of
the columns, sees the twenty the trees use most, as does every kind named "20". Each is calibrated by Platt on
half of the validation lists; ECE over ten bins.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from context import CONTEXTS, TREES, auc, examples, positives, resampled, training_log, with_negatives
from rows import Row, cpu_used_s, show, write
from zhiyin.data.run import Run
from zhiyin.data.sources import open_source, read_source
from zhiyin.models.features.registry import default_sources
from zhiyin.models.features.source import LEFT_OUT
from zhiyin.models.rank.calibrate import Reliability
from zhiyin.models.rank.registry import ranker_of
from zhiyin.models.roles import RankingExamples
from zhiyin.pipeline.train import readable

NEURAL = {"epochs": 4, "hidden": (64, 32), "batch_size": 1024, "negatives_per_positive": None}
RANKERS: Mapping[str, dict[str, Any]] = {
    "linear": {"kind": "linear"},
    "tree": {"kind": "tree"},
    "trees": TREES,
    "trees lambdarank": {**TREES, "objective": "lambdarank"},
    "cross": {"kind": "cross", **NEURAL},
    "two_stream": {"kind": "cross", "form": "two_stream", **NEURAL},
    "attention": {"kind": "attention", **NEURAL},
    "convolution": {"kind": "convolution", **NEURAL},
    "bilinear 20": {"kind": "bilinear", **NEURAL},
    "cross 20": {"kind": "cross", **NEURAL},
}


def prepared(test: str) -> tuple[RankingExamples, RankingExamples, RankingExamples, np.ndarray]:
    """Training, validation and test examples, and which test rows are pairs unseen in training."""
    data, _ = readable(open_source("frappe"))
    used = np.zeros((data.n_users, data.n_items), np.bool_)
    used[data.events.user_ix, data.events.item_ix] = True
    log = training_log(data)
    seen = np.zeros_like(used)
    seen[log.events.user_ix, log.events.item_ix] = True
    table = read_source("frappe").extra["ctr_valid_test"]
    user = data.users.ix_of(table["user"].cast(pl.String).to_list())
    item = data.catalog.items.ix_of(table["item"].cast(pl.String).to_list())
    contexts = [pl.col(c).cast(pl.String) for c in CONTEXTS]
    ctr = table.select("label", "split", *contexts).with_columns(pl.Series("user", user), pl.Series("item", item))
    sources = tuple(spec.fit(log) for spec in default_sources(log))
    rows, labels = with_negatives(positives(log), used, 0)
    parts = {name: ctr.filter(pl.col("split") == name) for name in ("valid", test)}
    asked = {name: examples(part, part["label"].to_numpy(), log, sources, CONTEXTS) for name, part in parts.items()}
    order = asked[test].slates.columns["at"].astype(np.int64)
    unseen = ~seen[parts[test]["user"].to_numpy(), parts[test]["item"].to_numpy()][order]
    return examples(rows, labels, log, sources, CONTEXTS), asked["valid"], asked[test], unseen


def measured(name: str, score: np.ndarray, test: RankingExamples, unseen: np.ndarray, spent: float) -> Iterable[Row]:
    for case, rows in ((name, np.ones(len(score), np.bool_)), (f"{name} unseen pairs", unseen)):
        p, y = score[rows].astype(np.float64), test.labels[rows]
        loss = -np.log(np.clip(np.where(y > 0, p, 1 - p), 1e-7, 1))
        for metric, figure in (("auc", lambda at, p=p, y=y: auc(p[at], y[at])), ("logloss", lambda at, loss=loss: float(loss[at].mean()))):
            yield Row("rankers", case, metric, figure(np.arange(len(y))), *resampled(figure, len(y), 100), len(y))
        ece = Reliability.of(p, y).ece
        yield Row("rankers", case, "ece", ece, ece, ece, len(y))
    yield Row("rankers", name, "train_cpu_s", spent, spent, spent, 1, "s")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--only", default="")
    parser.add_argument("--validation", action="store_true")
    given = parser.parse_args()
    train, valid, test, unseen = prepared("valid" if given.validation else "test")
    every = tuple(name for name in train.slates.columns if name not in ("at", LEFT_OUT))
    wanted = [name for name in RANKERS if not given.only or name in given.only.split(",")]
    best: tuple[str, ...] = ()
    if any(name.endswith(" 20") for name in wanted):
        trees = ranker_of({**TREES, "columns": every}).fit(train, Run(threads=1), valid)
        best = tuple(trees.gains)[:20]
    out: list[Row] = []
    for name in wanted:
        columns = best if name.endswith(" 20") else every
        inner = {**RANKERS[name], "columns": columns}
        before = cpu_used_s()
        ranker = ranker_of({"kind": "calibrated", "ranker": inner, "calibrate": "platt"}).fit(train, Run(threads=1), valid)
        rows = list(measured(name, ranker.score(test.requests, test.slates), test, unseen, cpu_used_s() - before))
        print(name, [(r.metric, round(r.value, 4)) for r in rows], flush=True)
        out += rows
    show(out, "rankers" + (" VALIDATION" if given.validation else ""))
    write(out, given.json)


if __name__ == "__main__":
    main()
