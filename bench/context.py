"""Which app is used in which context? Frappe, the published validation and test rows.

    python bench/context.py [--json PATH] [--validation] [--once]

Training positives are the 67,604 rows of the published training part; negatives are drawn anew by the
verified rule (same user, same eight contexts, an app the user never used in the whole log). 87% of the test
positives are (user, app) pairs seen in training and none of the negatives is: `unseen pairs` is the headline.
Every statistic leaves the row it describes out of its own counts. `without context` is the same with the
eight context columns taken away; the difference is paired over test rows.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from rows import Row, cpu_used_s, show, write
from zhiyin.base.arrays import AnyArray, Ragged, offsets_of
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.run import Run
from zhiyin.data.slates import Slates
from zhiyin.data.sources import open_source, read_source
from zhiyin.models.features.registry import default_sources
from zhiyin.models.features.source import LEFT_OUT
from zhiyin.models.rank.registry import ranker_of
from zhiyin.models.roles import RankingExamples
from zhiyin.models.two_stage import featured
from zhiyin.pipeline.train import readable

CONTEXTS = ("daytime", "weekday", "isweekend", "homework", "cost", "weather", "country", "city")
TREES = {
    "kind": "trees", "objective": "binary", "leaves": 63, "n_trees": 600, "learning_rate": 0.06, "min_leaf": 30,
    "feature_share": 0.4, "l2": 5.0, "patience": 40,
}  # fmt: skip
N_DRAWS = 3
"""Draws of negatives, one model each; their log-odds are averaged."""


def training_log(data: Dataset) -> Dataset:
    split = data.events.context["split"].cast(pl.String).to_numpy()
    return replace(data, events=replace(data.events, context=data.events.context.drop("split"))).take(split == "train")


def positives(data: Dataset) -> pl.DataFrame:
    """user_ix, item_ix and contexts of every training row."""
    e = data.events
    own = pl.DataFrame({"user": e.user_ix, "item": e.item_ix})
    return pl.concat([own, e.context.select(pl.col(c).cast(pl.String) for c in CONTEXTS)], how="horizontal")


def with_negatives(rows: pl.DataFrame, used: np.ndarray, seed: int) -> tuple[pl.DataFrame, AnyArray]:
    """Each positive and two apps its user never used: (3 n) rows and labels."""
    rng = np.random.default_rng(seed)
    user = rows["user"].to_numpy()
    rows = rows.with_columns(pl.col("item").alias("left"))
    drawn = []
    for _ in range(2):
        item = rng.integers(0, used.shape[1], len(user))
        while (bad := used[user, item]).any():
            item[bad] = rng.integers(0, used.shape[1], int(bad.sum()))
        drawn.append(rows.with_columns(pl.Series("item", item.astype(np.int32))))
    return pl.concat([rows, *drawn]), np.concatenate([np.ones(len(user)), np.zeros(2 * len(user))]).astype(np.float32)


def examples(rows: pl.DataFrame, labels: AnyArray, log: Dataset, sources: tuple, contexts: tuple[str, ...]) -> RankingExamples:
    """One list per (user, context): features of all its rows."""
    rows = rows.with_columns(pl.Series("label", labels), pl.int_range(pl.len()).alias("at"))
    keys = ["user", *CONTEXTS]
    rows = rows.with_columns(pl.struct(keys).rank("dense").alias("request")).sort("request", "at")
    heads = rows.unique("request", keep="first", maintain_order=True)
    lengths = rows.group_by("request", maintain_order=True).len()["len"].to_numpy()
    history = log.history(heads["user"].to_numpy())
    context = {name: heads[name].to_numpy() for name in contexts}
    requests = Requests.of(distinct(history), heads["user"].to_numpy(), context=context)
    items = rows["item"].to_numpy().astype(np.int32)
    slates = Slates(offsets_of(lengths), items, np.zeros(len(items), np.float32))
    if "left" in rows.columns:
        slates = slates.with_column(LEFT_OUT, rows["left"].to_numpy())
    parts = []
    for start in range(0, len(requests), 4096):
        at = np.arange(start, min(start + 4096, len(requests)))
        parts.append(featured(requests.take(at), slates.take(at), sources))
    slates = Slates.concatenated(parts).with_column("at", rows["at"].to_numpy())
    return RankingExamples(requests, slates, rows["label"].to_numpy().astype(np.float32), np.ones(len(items), np.float32))


def distinct(history: Histories) -> Histories:
    """Each app once: a log without order has no newest event."""
    key = history.items.rows * 2**31 + history.item_ix
    _, first = np.unique(key, return_index=True)
    keep = np.zeros(len(key), np.bool_)
    keep[first] = True
    thin = history.where(keep)
    return replace(Histories.of_items(Ragged(thin.offsets, thin.item_ix)), time_us=np.zeros(len(thin.item_ix), np.int64))


def auc(score: AnyArray, label: AnyArray) -> float:
    """Share of pairs in the right order; ties count half."""
    from scipy.stats import rankdata

    ranks = rankdata(score)
    n, m = int((label > 0).sum()), int((label == 0).sum())
    return float((ranks[label > 0].sum() - n * (n + 1) / 2) / (n * m))


def fitted(log: Dataset, used: np.ndarray, ctr: pl.DataFrame, contexts: tuple[str, ...], test: str) -> tuple[AnyArray, AnyArray]:
    """Mean log-odds and labels of the published rows, in their order."""
    whole = positives(log)
    log = replace(log, events=replace(log.events, context=log.events.context.select(contexts)))
    sources = tuple(spec.fit(log) for spec in default_sources(log))
    published = {part: ctr.filter(pl.col("split") == part) for part in ("valid", "test")}
    asked = {part: examples(t, t["label"].to_numpy(), log, sources, contexts) for part, t in published.items() if part in ("valid", test)}
    names = [n for n in asked["valid"].slates.columns if n not in ("at", LEFT_OUT)]
    total = np.zeros(len(asked[test].labels))
    for draw in range(N_DRAWS):
        rows, labels = with_negatives(whole, used, draw)
        learned = examples(rows, labels, log, sources, contexts)
        before = cpu_used_s()
        ranker = ranker_of({**TREES, "columns": names}).fit(learned, Run(seed=draw, threads=1), asked["valid"])
        total += ranker.score(asked[test].requests, asked[test].slates)
        print(f"  draw {draw}: {cpu_used_s() - before:.0f} CPU s, auc {auc(total, asked[test].labels):.4f}", flush=True)
        if draw == 0:
            print("\n".join(ranker.told().split("\n")[:20]), flush=True)
    order = np.argsort(asked[test].slates.columns["at"].astype(np.int64))
    return (total / N_DRAWS)[order], asked[test].labels[order]


def resampled(figure, n: int, resamples: int = 300) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    found = [figure(rng.integers(0, n, n)) for _ in range(resamples)]
    return float(np.quantile(found, 0.025)), float(np.quantile(found, 0.975))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--validation", action="store_true")
    parser.add_argument("--once", action="store_true", help="with context only")
    given = parser.parse_args()
    test = "valid" if given.validation else "test"
    data, _ = readable(open_source("frappe"))
    used = np.zeros((data.n_users, data.n_items), np.bool_)
    used[data.events.user_ix, data.events.item_ix] = True
    log = training_log(data)
    seen = np.zeros_like(used)
    seen[log.events.user_ix, log.events.item_ix] = True
    table = read_source("frappe").extra["ctr_valid_test"]
    user, item = (
        data.users.ix_of(table["user"].cast(pl.String).to_list()),
        data.catalog.items.ix_of(table["item"].cast(pl.String).to_list()),
    )
    contexts = [pl.col(c).cast(pl.String) for c in CONTEXTS]
    ctr = table.select("label", "split", *contexts).with_columns(pl.Series("user", user), pl.Series("item", item))
    out: list[Row] = []
    found = {"frappe": fitted(log, used, ctr, CONTEXTS, test)}
    if not given.once:
        found["frappe without context"] = fitted(log, used, ctr, (), test)
    part = ctr.filter(pl.col("split") == test)
    unseen = ~seen[part["user"].to_numpy(), part["item"].to_numpy()]
    for case, (score, label) in found.items():
        for name, rows in ((case, np.ones(len(label), np.bool_)), (f"{case} unseen pairs", unseen)):
            s, y = score[rows], label[rows]
            low, high = resampled(lambda at, s=s, y=y: auc(s[at], y[at]), len(y))
            out.append(Row("context", name, "auc", auc(s, y), low, high, len(y), "share"))
            loss = np.logaddexp(0, np.where(y > 0, -s, s))
            low, high = resampled(lambda at, loss=loss: float(loss[at].mean()), len(y))
            out.append(Row("context", name, "logloss", float(loss.mean()), low, high, len(y), "nats"))
    if not given.once:
        (s, y), (without, _) = found["frappe"], found["frappe without context"]
        for name, rows in (("frappe without context", np.ones(len(y), np.bool_)), ("frappe without context unseen pairs", unseen)):
            a, b, t = s[rows], without[rows], y[rows]
            low, high = resampled(lambda at, a=a, b=b, t=t: auc(a[at], t[at]) - auc(b[at], t[at]), len(t))
            out.append(Row("context", name, "auc with - without", auc(a, t) - auc(b, t), low, high, len(t), "share"))
    show(out, "context" + (" VALIDATION" if given.validation else ""))
    write(out, given.json)


if __name__ == "__main__":
    main()
