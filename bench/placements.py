"""Do shelves differ, and which of them meet the next basket? Every preset on online_retail and in the simulated town.

    python bench/placements.py [--data online_retail,town] [--json PATH] [--requests 2000] [--seed 0] [--model transitions]

online_retail: learned before 2011-11-01, one request per person at his first visit from then on, answered
by that whole first basket. town: learned before the newest tenth of events, one request per sampled event of
it, answered by what the person takes within the next hours ("visit": a pause of an hour ends it). Every shelf
has ten items and sees the same person; trending in the town also sees the place. Shelves "about items" are
about the newest basket before the request; cart (live) and product (live) on online_retail are about the first
half, in the order of the file, of the very basket to come and are answered by its other half.

"trending, place unknown" is the town's shelf without the place of the request. "reminder": at the first instant of
the test every pair of a person and a thing he had, positive if he buys it within 14 days: how well do due-again
and buy-again tell whom to remind of what (AUC over all pairs; hits per 100 among the first 1,000)?

hit rate: share of requests whose shelf holds something of the answer; filled: share of requests with a shelf
of at least one item; hit rate where filled; rivals in the same table: popular, buy-again. Intervals: 95% bootstrap over requests. Jaccard:
mean overlap of two shelves of the same request where either has items. A catalogue row exists before its first
sale, but "new" only shows what was first sold (published, in the town) within four weeks before the request.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import combinations
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from rows import Row, show, write
from zhiyin.base.arrays import Float64, Int64, Ragged
from zhiyin.base.units import US_PER_DAY, US_PER_HOUR
from zhiyin.data.build import build
from zhiyin.data.cut import cut_times
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.run import Run
from zhiyin.data.slates import Slates
from zhiyin.data.sources import open_source
from zhiyin.data.truth import Holdout, Truth, hits_of
from zhiyin.evaluate.bootstrap import estimate
from zhiyin.models.registry import spec_of
from zhiyin.models.retrieve.popular import PopularSpec
from zhiyin.pipeline.placement import Placement, Rules
from zhiyin.pipeline.presets import presets
from zhiyin.pipeline.recommender import Recommender
from zhiyin.pipeline.train import readable
from zhiyin.testing.town import town

SIZE = 10


@dataclass(frozen=True)
class Case:
    """What is learned from, who asks, and what each person's basket in the making is (None = nobody knows)."""

    name: str
    whole: Dataset
    past: Dataset
    cut_us: int
    asked: Holdout
    cart: Histories | None = None
    rest: Holdout | None = None


def online_retail(n: int, seed: int) -> Case:
    data, _ = readable(open_source("online_retail").positive)
    cut = int(datetime(2011, 11, 1, tzinfo=ZoneInfo("Europe/London")).timestamp() * 1e6)
    past = data.before(cut)
    rows = np.arange(len(past.events), len(data.events))
    people, first = np.unique(data.events.user_ix[rows], return_index=True)
    if len(people) > n:
        chosen = np.sort(np.random.default_rng(seed).choice(len(people), n, replace=False))
        people, first = people[chosen], first[chosen]
    now = data.events.time_us[rows[first]]
    baskets = [_distinct(data, user, at, at + 1) for user, at in zip(people, now, strict=True)]
    asked = _holdout(past, people, now, baskets, None)
    halves = np.array([len(basket) // 2 for basket in baskets])
    whole = np.flatnonzero(halves > 0)
    cart = Histories.of_items(Ragged.of([baskets[i][: halves[i]] for i in whole]))
    rest = Holdout(asked.requests.take(whole), Truth(Ragged.of([baskets[i][halves[i] :] for i in whole])))
    return Case("online_retail", data, past, cut, asked, cart, rest)


def simulated_town(n: int, seed: int) -> Case:
    data, _ = readable(build(town(1_000, 60_000, seed=seed).tables()))
    _, cut = cut_times(data, 0.1, 0.1)
    past = data.before(cut)
    rows = np.arange(len(past.events), len(data.events))
    chosen = np.sort(np.random.default_rng(seed).choice(rows, min(n, len(rows)), replace=False))
    people, now = data.events.user_ix[chosen], data.events.time_us[chosen]
    visits = [_distinct(data, user, at, at + US_PER_HOUR) for user, at in zip(people, now, strict=True)]
    return Case("town", data, past, cut, _holdout(data, people, now, visits, data.events.place_ix[chosen]))


def _distinct(data: Dataset, user: int, start: int, stop: int) -> list[int]:
    """What a person takes within [start, stop), each once, in the order of the data."""
    e = data.events
    first, last = np.searchsorted(e.time_us, [start, stop])
    mine = e.item_ix[first:last][e.user_ix[first:last] == user]
    return list(dict.fromkeys(mine.tolist()))


def _holdout(source: Dataset, people: Int64, now: Int64, baskets: list[list[int]], place: Int64 | None) -> Holdout:
    """Histories strictly before each request; ``source`` may hold later events of others."""
    history = source.history(people, now)
    requests = Requests.of(history, people, now, n=SIZE, place_ix=place)
    return Holdout(requests, Truth(Ragged.of(baskets)))


def shelves_of(case: Case, model: str) -> tuple[Recommender, dict[str, Slates]]:
    """Every preset's list for every request, plus the rivals."""
    fitted = spec_of(model).fit(case.past, Run(threads=1))
    found = presets(case.past)
    rivals = [Placement(name=f"({kind})", retrievers=(kind,)) for kind in ("popular", "buy-again")]
    wise = Recommender(fitted, PopularSpec().fit(case.past, Run()), case.past).with_placements([*found, *rivals])
    lists = {}
    for placement in wise.placed.placements:
        if placement.about == "words" or placement.name == "push":
            continue
        lists[placement.name] = stood(wise, placement, case.asked.requests)
    return wise, lists


def stood(wise: Recommender, placement: Placement, requests: Requests, about: Histories | None = None) -> Slates:
    """A shelf of ten at the placement's own repeat policy, in chunks."""
    parts = []
    for start in range(0, len(requests), 500):
        rows = np.arange(start, min(start + 500, len(requests)))
        request = wise.asker.excluding(requests.take(rows), [], SIZE, placement.repeat, placement.name)
        given = None if about is None else about.take(rows)
        parts.append(wise.shelves.stand(placement, request, SIZE, given).slates)
    return Slates.concatenated(parts)


def reminders(case: Case, whole: Dataset, from_us: int) -> list[Row]:
    """Pairs of person and thing ordered by who will buy what again within two weeks."""
    people = np.unique(case.past.events.user_ix)
    requests = Requests.of(case.past.history(people), people, from_us)
    soon = whole.before(from_us + 14 * US_PER_DAY).events
    later = soon.time_us >= from_us
    bought = np.unique(soon.user_ix[later].astype(np.int64) * whole.n_items + soon.item_ix[later])
    out = []
    for kind in ("due-again", "buy-again", "popular"):
        model = spec_of(kind).fit(case.past, Run())
        had = requests if kind != "popular" else replace(requests, candidates=requests.history.items)
        found = Slates.concatenated(model.retrieve(had.take(rows), 5_000) for rows in np.array_split(np.arange(len(people)), 8))
        good = np.isin(people[found.items.rows].astype(np.int64) * whole.n_items + found.item_ix, bought)
        order = np.argsort(-found.score, kind="stable")
        rank = np.empty(len(order))
        rank[np.argsort(found.score, kind="stable")] = np.arange(1, len(order) + 1)
        auc = (rank[good].mean() - (good.sum() + 1) / 2) / (~good).sum()
        name = f"{case.name} reminder: {kind}"
        out.append(Row("placements", name, "auc", float(auc), float(auc), float(auc), len(good), "over pairs"))
        top = estimate(good[order[:1_000]].astype(np.float64))
        out.append(Row("placements", name, "hits of first 1,000", top.value, top.low, top.high, 1_000, "share"))
    return out


def rows_of(case: Case, lists: Mapping[str, Slates], asked: Holdout, suffix: str = "") -> list[Row]:
    out = []
    for name, slates in lists.items():
        hits = hits_of(slates, asked.truth)
        hit = (np.bincount(hits.row, minlength=len(slates)) > 0).astype(np.float64)
        filled = (slates.lengths > 0).astype(np.float64)
        known = np.where(filled > 0, hit, np.nan)
        for metric, values in (("hit rate", hit), ("filled", filled), ("hit rate where filled", known)):
            if np.isfinite(values).any():
                e = estimate(values)
                out.append(Row("placements", f"{case.name} {name}{suffix}", metric, e.value, e.low, e.high, e.n, "share"))
    return out


def jaccard(one: Slates, other: Slates) -> Float64:
    """Overlap of two lists of each request, NaN where both are empty: (n,)."""
    width = int(max(one.item_ix.max(initial=0), other.item_ix.max(initial=0))) + 1
    both = np.isin(one.items.rows * width + one.item_ix, other.items.rows * width + other.item_ix)
    shared = np.bincount(one.items.rows[both], minlength=len(one)).astype(np.float64)
    union = one.lengths + other.lengths - shared
    return np.divide(shared, union, out=np.full(len(one), np.nan), where=union > 0)


def overlaps(case: Case, lists: Mapping[str, Slates]) -> list[Row]:
    out = []
    for one, other in combinations([name for name in lists if not name.startswith("(")], 2):
        values = jaccard(lists[one], lists[other])
        if np.isfinite(values).any():
            e = estimate(values)
            out.append(Row("placements", f"{case.name} {one} / {other}", "jaccard", e.value, e.low, e.high, e.n, "share"))
    return out


def table(case: Case, lists: Mapping[str, Slates], overlap: list[Row]) -> None:
    """The overlaps as a triangle."""
    names = [name for name in lists if not name.startswith("(")]
    value = {row.case.removeprefix(case.name + " "): row.value for row in overlap}
    print(f"\n{case.name}: Jaccard overlap of shelves")
    print(" " * 10 + "".join(f"{name:>10}" for name in names[:-1]))
    for i, name in enumerate(names[1:], 1):
        print(f"{name:<10}" + "".join(f"{value.get(f'{other} / {name}', float('nan')):10.3f}" for other in names[:i]))


def measured(case: Case, model: str) -> list[Row]:
    wise, lists = shelves_of(case, model)
    if case.asked.requests.place_ix is not None:
        nowhere = replace(case.asked.requests, place_ix=None)
        lists["(trending, place unknown)"] = stood(wise, wise.shelves.find("trending"), nowhere)
    rows = rows_of(case, lists, case.asked)
    if case.cart is not None and case.rest is not None:
        live = {name: stood(wise, wise.shelves.find(name), case.rest.requests, case.cart) for name in ("product", "cart")}
        loose = wise.shelves.find("cart").model_copy(update={"rules": Rules()})
        live["cart, substitutes allowed"] = stood(wise, loose, case.rest.requests, case.cart)
        live["(popular)"] = stood(wise, wise.shelves.find("(popular)"), case.rest.requests)
        rows += rows_of(case, live, case.rest, " (live)")
    show(rows, f"{case.name}: {len(case.asked):,} requests, model {model}, shelves of {SIZE}")
    remind = reminders(case, case.whole, case.cut_us)
    show(remind, "reminders")
    overlap = overlaps(case, lists)
    table(case, lists, overlap)
    return rows + remind + overlap


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="online_retail,town")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--requests", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="transitions", help="the recommender's own model, which fills home and new")
    given = parser.parse_args()
    rows: list[Row] = []
    for name in given.data.split(","):
        case = {"online_retail": online_retail, "town": simulated_town}[name](given.requests, given.seed)
        rows += measured(case, given.model)
    write(rows, given.json)


if __name__ == "__main__":
    main()
