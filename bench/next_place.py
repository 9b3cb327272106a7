"""Where does someone check in next? Foursquare NYC, the published test trajectories, last check-in.

    python bench/next_place.py [--seeds 3] [--json PATH] [--validation]

Test samples: the last check-in of a test trajectory is at a place of the training part, its user is in
training, and at least 3 check-ins remain after other places are dropped (n = 1,313). Ranked among all
training places. Two things decide what the figure means, and stand in every case's name:

    training history   the user's training check-ins and the current trajectory, nothing between
    rolling            all check-ins of everyone strictly before the target, `unused` rows included
    time known / time unknown   whether the instant of the target is given (unknown: just after the last check-in)

The closed formula is the user's own history, each check-in weighted by a Gaussian of the distance between
hours of day (1.5 h) and a 60-day decay. The ranker learns from training check-ins only, in windows that
repeat the test's situation: everything is fitted before a cut, asked some weeks (training history) or at
once (rolling) after it. Settings below were chosen with --validation and committed before the test was seen.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from rows import Row, show, write
from zhiyin.base.arrays import Ragged
from zhiyin.base.units import US_PER_DAY
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.run import Run
from zhiyin.data.slates import Slates
from zhiyin.data.sources import open_source
from zhiyin.data.truth import Holdout, Truth
from zhiyin.evaluate.bootstrap import difference, estimate
from zhiyin.models.features.registry import default_sources, source_of
from zhiyin.models.rank.registry import ranker_of
from zhiyin.models.retrieve.blend import BlendSpec
from zhiyin.models.roles import RankingExamples
from zhiyin.models.two_stage import Candidates, labelled
from zhiyin.pipeline.train import readable

DATA = "foursquare_nyc"
PARTS = ({"kind": "buy-again"}, {"kind": "transitions"}, {"kind": "popular"}, {"kind": "item-neighbours"})
RANKER = {"kind": "trees", "leaves": 31, "n_trees": 300, "learning_rate": 0.06, "min_leaf": 50, "feature_share": 0.5}
N_CANDIDATES = 100
QUERIES = 4_000
"""Training requests per window."""
GAP_DAYS = {"test": (42, 99), "val": (0, 42)}
"""How long after the last training check-in the parts begin and end."""


@dataclass(frozen=True)
class Checkins:
    """Events with trajectories: ``data`` is all of it; masks and trajectory codes are per event."""

    data: Dataset
    part: np.ndarray
    trajectory: np.ndarray

    @classmethod
    def open(cls) -> Checkins:
        data, _ = readable(open_source(DATA))
        context = data.events.context
        part = context["split"].cast(pl.String).fill_null("unused").to_numpy()
        trajectory = context["session"].cast(pl.String).fill_null("").to_numpy()
        bare = replace(data.events, context=pl.DataFrame())
        return cls(replace(data, events=bare), part, np.unique(trajectory, return_inverse=True)[1])

    def rows(self, *parts: str) -> np.ndarray:
        return np.isin(self.part, parts)

    def take(self, mask: np.ndarray) -> Dataset:
        return self.data.take(mask)


def asked(checkins: Checkins, part: str) -> Iterator[tuple[np.ndarray, int]]:
    """Trajectories of a part by the published rule: rows of the inputs, row of the target."""
    train = checkins.rows("train")
    known_place = np.zeros(checkins.data.n_items, np.bool_)
    known_place[checkins.data.events.item_ix[train]] = True
    known_user = np.zeros(checkins.data.n_users, np.bool_)
    known_user[checkins.data.events.user_ix[train]] = True
    rows = np.flatnonzero(checkins.rows(part))
    order = rows[np.lexsort((rows, checkins.trajectory[rows]))]
    item, user = checkins.data.events.item_ix, checkins.data.events.user_ix
    for group in np.split(order, np.flatnonzero(np.diff(checkins.trajectory[order])) + 1):
        kept = group[known_place[item[group]]]
        if known_user[user[group[0]]] and known_place[item[group[-1]]] and len(kept) >= 3:
            yield kept[:-1], int(kept[-1])


def requests_of(checkins: Checkins, samples: list[tuple[np.ndarray, int]], past: np.ndarray | None, time_known: bool) -> Holdout:
    """``past`` (n_events,) marks what is known before the current trajectory; None = everything before the target."""
    e = checkins.data.events
    rows, offsets = checkins.data.by_user
    lists = []
    for inputs, target in samples:
        mine = rows[offsets[e.user_ix[target]] : offsets[e.user_ix[target] + 1]]
        if past is None:
            lists.append(mine[e.time_us[mine] < e.time_us[target]])
        else:
            lists.append(np.concatenate([mine[past[mine] & (mine < inputs[0])], inputs]))
    flat = np.concatenate(lists)
    ends = np.concatenate([[0], np.cumsum([len(one) for one in lists])]).astype(np.int64)
    history = Histories(ends, e.item_ix[flat], e.kind_ix[flat], e.time_us[flat], e.place_ix[flat], e.weight[flat])
    targets = np.array([target for _, target in samples])
    now = e.time_us[targets] if time_known else e.time_us[flat[ends[1:] - 1]] + 1
    return Holdout(Requests.of(history, e.user_ix[targets], now), Truth(Ragged.of([[i] for i in e.item_ix[targets]])))


def sampled(checkins: Checkins, within: np.ndarray, n: int, rng: np.random.Generator) -> list[tuple[np.ndarray, int]]:
    """Training questions: the last check-in of each trajectory in the window, then others after two inputs or more."""
    rows = np.flatnonzero(within)
    order = rows[np.lexsort((rows, checkins.trajectory[rows]))]
    last, others = [], []
    for group in np.split(order, np.flatnonzero(np.diff(checkins.trajectory[order])) + 1):
        if len(group) >= 3:
            last.append((group[:-1], int(group[-1])))
            others += [(group[:i], int(group[i])) for i in range(2, len(group) - 1)]
    rng.shuffle(last)
    rng.shuffle(others)
    return (last + others)[:n]


@dataclass(frozen=True)
class Protocol:
    name: str
    rolling: bool
    time_known: bool


PROTOCOLS = (
    Protocol("training history, time known", False, True),
    Protocol("rolling, time known", True, True),
    Protocol("rolling, time unknown", True, False),
)


def stage(checkins: Checkins, past: Dataset, log: Dataset, holdout: Holdout) -> Candidates:
    """First stage on ``past``; feature sources on ``log``, which they read as of each request's now."""
    first = BlendSpec(parts=PARTS).of_parts(past, [_part(table, past) for table in PARTS], Run(holdout=holdout, threads=1))
    specs = default_sources(log)
    specs = [source_of({"kind": "history", "half_lives_days": (1.0, 7.0, 30.0, 60.0)}) if s.kind == "history" else s for s in specs]
    return Candidates(first, tuple(spec.fit(log) for spec in specs))


def _part(table: dict[str, str], past: Dataset):
    from zhiyin.models.registry import spec_of

    return spec_of(table).fit(past, Run(threads=1))


def examples(checkins: Checkins, protocol: Protocol, until_us: int, gap: tuple[int, int], seed: int) -> RankingExamples:
    """Windows before ``until_us``: cut, fit before it, ask after it."""
    rng = np.random.default_rng(seed)
    time = checkins.data.events.time_us
    usable = checkins.rows("train") if not protocol.rolling else np.ones(len(time), np.bool_)
    usable &= time < until_us
    begin, end = int(time[usable][0]), int(time[usable][-1])
    found = []
    for cut in _cuts(begin, end, protocol, gap):
        low, high = ((cut + g * US_PER_DAY) for g in (gap if not protocol.rolling else (0, 30)))
        within = usable & (time >= low) & (time < high)
        samples = sampled(checkins, within, QUERIES, rng)
        before = usable & (time < cut)
        known = np.zeros(checkins.data.n_items, np.bool_)
        known[checkins.data.events.item_ix[before]] = True
        people = np.zeros(checkins.data.n_users, np.bool_)
        people[checkins.data.events.user_ix[before]] = True
        e = checkins.data.events
        samples = [(i, t) for i, t in samples if people[e.user_ix[t]]]
        holdout = requests_of(checkins, samples, None if protocol.rolling else before, protocol.time_known)
        past = checkins.take(before)
        log = checkins.take(usable) if protocol.rolling else past
        candidates = stage(checkins, past, log, holdout.take(np.arange(0, len(holdout), 4)))
        slates = candidates.of(holdout.requests, N_CANDIDATES)
        part = labelled(holdout.requests, slates, holdout.truth)
        found.append(part.take(np.unique(slates.items.rows[part.labels > 0])))
        day = np.datetime64(cut, "us").astype("datetime64[D]")
        print(f"    window from {day}: {len(holdout):,} asked, {len(found[-1].requests):,} found", flush=True)
    return joined(found)


def _cuts(begin: int, end: int, protocol: Protocol, gap: tuple[int, int]) -> list[int]:
    days = (end - begin) / US_PER_DAY
    if protocol.rolling:
        return [begin + int(d * US_PER_DAY) for d in np.arange(60, days - 10, 30)]
    return [begin + int(d * US_PER_DAY) for d in np.linspace(50, days - gap[1] + 15, 5)]


def joined(parts: list[RankingExamples]) -> RankingExamples:
    slates = Slates.concatenated(p.slates for p in parts)
    nobody = Requests.of(Histories.empty(len(slates)))
    return RankingExamples(nobody, slates, np.concatenate([p.labels for p in parts]), np.concatenate([p.weights for p in parts]))


def ranks(slates: Slates, truth: Truth) -> np.ndarray:
    """Place of the answer in each list, 0 = first; a large number where it is missing."""
    place = np.arange(len(slates.item_ix)) - np.repeat(slates.offsets[:-1], slates.lengths)
    hit = slates.item_ix == np.repeat(truth.items.values, slates.lengths)
    out = np.full(len(slates), 10**6)
    out[slates.items.rows[hit]] = place[hit]
    return out


def measured(checkins: Checkins, protocol: Protocol, part: str, seeds: int) -> dict[str, np.ndarray]:
    """acc@k hits and reciprocal ranks per sample for the ranker (mean over seeds) and the closed formula."""
    time = checkins.data.events.time_us
    samples = list(asked(checkins, part))
    start = int(time[checkins.rows(part)][0])
    train = checkins.rows("train")
    holdout = requests_of(checkins, samples, None if protocol.rolling else train, protocol.time_known)
    past = checkins.take((time < start) if protocol.rolling else train)
    log = checkins.data if protocol.rolling else past
    weigh = requests_of(checkins, list(asked(checkins, "val"))[:1_500], None if protocol.rolling else train, protocol.time_known)
    candidates = stage(checkins, past, log, weigh)
    found = candidates.of(holdout.requests, N_CANDIDATES)
    formula = ranks(found.reordered(np.nan_to_num(found.columns["own.item.hour1.5"]) + 1e-6 * found.score), holdout.truth)
    first = ranks(found, holdout.truth)
    answers = []
    for seed in range(seeds):
        learned = examples(checkins, protocol, start if protocol.rolling else int(time[train][-1]) + 1, GAP_DAYS[part], seed)
        ranker = ranker_of(RANKER).fit(learned, Run(seed=seed, threads=1))
        answers.append(ranks(found.reordered(ranker.score(holdout.requests, found)), holdout.truth))
        print(f"  {protocol.name}, seed {seed}: acc@1 {(answers[-1] == 0).mean():.4f} (formula {(formula == 0).mean():.4f})", flush=True)
        if seed == 0:
            print("\n".join(ranker.told().split("\n")[:15]), flush=True)
    return {"ranker": np.stack(answers), "formula": formula[None], "first stage": first[None]}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--validation", action="store_true")
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    checkins = Checkins.open()
    out: list[Row] = []
    for protocol in PROTOCOLS:
        if given.only not in protocol.name:
            continue
        places = measured(checkins, protocol, "val" if given.validation else "test", given.seeds)
        for name, place in places.items():
            case = protocol.name if name == "ranker" else f"{protocol.name}, {name}"
            for metric, values in (("acc@1", place < 1), ("acc@5", place < 5), ("acc@10", place < 10), ("mrr", 1 / (place + 1.0))):
                e = estimate(values.mean(axis=0))
                out.append(Row("next_place", case, metric, e.value, e.low, e.high, e.n, "share"))
        d = difference((places["ranker"] < 1).mean(axis=0), (places["formula"] < 1).mean(axis=0).astype(float))
        out.append(Row("next_place", protocol.name, "acc@1 - formula", d.value, d.low, d.high, d.n, "share"))
    show(out, "next_place" + (" VALIDATION" if given.validation else ""))
    write(out, given.json)


if __name__ == "__main__":
    main()
