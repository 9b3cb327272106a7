"""People to follow: links that were taken away, found again.

    python bench/follow.py [--data lastfm-2k,filmtrust] [--choose] [--json PATH]

10% of the links between people are held out (seed 2; a friendship with both its directions), 10% of people lose all their
links for the rows "nobody known yet". Everybody who lost one is asked whom he may follow, by the code that serves
``recommend`` with ``target = "users"``, among all who are linked to anybody; recall@10 is the share of his lost links that
stand there. ``--choose`` holds 10% out of what is left and prints the sweep that the defaults of ``FollowSpec`` came from:
the test is not looked at. (Seed 0 was the first test; it showed that without links taste alone loses to popularity on
filmtrust, ``known`` came of it, and the test was drawn anew.) The taste of lastfm-2k has no time, and may be younger than the links.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl

from rows import Row, cpu_used_s, estimated, show, write
from zhiyin.data.dataset import Dataset
from zhiyin.data.sources import open_source
from zhiyin.models.follow import FollowSpec
from zhiyin.online.circle import Circle
from zhiyin.online.people import People
from zhiyin.store.memory_tables import MemoryTables

N, SHARE, TEST = 10, 0.1, 2
Pairs = list[tuple[str, str]]


def links_of(data: Dataset) -> Pairs:
    """Links between people who did something, each once."""
    text = data.relations.filter(pl.col("head").str.starts_with("user:") & pl.col("tail").str.starts_with("user:"))
    ends = text.select(pl.col("head", "tail").str.strip_prefix("user:")).unique().sort("head", "tail").rows()
    return [(h, t) for h, t in ends if h != t and data.users.find(h) >= 0 and data.users.find(t) >= 0]


def cut(pairs: Pairs, seed: int) -> tuple[Pairs, Pairs]:
    """What is left and what is held out; both directions of a friendship share their lot."""
    rng = np.random.default_rng(seed)
    each = sorted({tuple(sorted(pair)) for pair in pairs})
    gone = {pair for pair, out in zip(each, rng.random(len(each)) < SHARE, strict=True) if out}
    return [p for p in pairs if tuple(sorted(p)) not in gone], [p for p in pairs if tuple(sorted(p)) in gone]


def cut_people(pairs: Pairs, seed: int) -> tuple[Pairs, Pairs]:
    """The same where some people lose all the links they have to others."""
    rng = np.random.default_rng(seed)
    people = sorted({head for head, _ in pairs})
    gone = {one for one, out in zip(people, rng.random(len(people)) < SHARE, strict=True) if out}
    return [p for p in pairs if not gone & set(p)], [p for p in pairs if p[0] in gone and p[1] not in gone]


CUTS = {"": cut, ", nobody known yet": cut_people}


def recall(data: Dataset, left: Pairs, lost: Pairs, spec: FollowSpec | None) -> np.ndarray:
    """recall@10 of everybody who lost links, in order of his id; ``spec`` None = whom most follow. (n_people,)"""
    frame = pl.DataFrame({"head": [f"user:{h}" for h, _ in left], "relation": "friend", "tail": [f"user:{t}" for _, t in left]})
    some = replace(data, relations=frame)
    circle = Circle(some, People(some), MemoryTables(), spec)
    circle.look()
    wanted: dict[str, set[str]] = {}
    for head, tail in lost:
        if circle.find(tail) >= 0:  # somebody all of whose links are gone cannot be shown
            wanted.setdefault(head, set()).add(tail)
    out = []
    for user in sorted(wanted):
        me = circle.find(user)
        past = some.history(np.array([data.users.find(user)]))
        if spec is None:
            own = {me, *(circle.links.of(me).tolist() if me >= 0 else ())}
            found = circle.followed(N, (), own)
        else:
            found = circle.to_follow(me, past.item_ix[past.weight > 0].astype(np.int64), (), np.zeros(0, np.int64)).people[:N].tolist()
        out.append(len(wanted[user] & {circle.ids[one] for one in found}) / len(wanted[user]))
    return np.array(out)


def choose(data: Dataset) -> list[Row]:
    """The settings on links held out of what training may see."""
    questions = {what: cutting(cutting(links_of(data), TEST)[0], 1) for what, cutting in CUTS.items()}
    rows = []
    for steps, taste, known in product((3, 4), (0.1, 0.2, 0.3), (0.0, 0.1, 0.2, 0.3)):
        for what, (left, lost) in questions.items():
            found = recall(data, left, lost, FollowSpec(steps=steps, taste=taste, known=known))
            value = float(found.mean())
            case = f"{data.manifest.name}{what}: steps {steps}, taste {taste}, known {known}"
            rows.append(Row("follow", case, "validation recall@10", value, value, value, len(found)))
    return rows


def measured(data: Dataset) -> list[Row]:
    """The default against popularity and its own halves, on links nobody looked at."""
    rows = []
    pairs, name, chosen = links_of(data), data.manifest.name, FollowSpec()
    for what, cutting in CUTS.items():
        left, lost = cutting(pairs, TEST)
        before = cpu_used_s()
        found = recall(data, left, lost, chosen)
        ms = 1e3 * (cpu_used_s() - before) / max(len(found), 1)
        plain = recall(data, left, lost, None)
        rows.append(estimated("follow", f"{name}{what}", "recall@10", found))
        rows.append(estimated("follow", f"{name}{what}", "gain over popularity", found - plain))
        rows.append(Row("follow", f"{name}{what}", "cpu_ms", ms, ms, ms, len(found), "ms"))
        rows.append(estimated("follow", f"{name}{what}, popularity", "recall@10", plain))
        if not what:
            alone = chosen.model_copy(update={"taste": 0.0, "known": 0.0})
            rows.append(estimated("follow", f"{name}, links alone", "recall@10", recall(data, left, lost, alone)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="lastfm-2k,filmtrust")
    parser.add_argument("--choose", action="store_true", help="the sweep on validation")
    parser.add_argument("--json", type=Path)
    said = parser.parse_args()
    rows = [row for name in said.data.split(",") for row in (choose if said.choose else measured)(open_source(name))]
    if said.choose:
        rows.sort(key=lambda row: -row.value)
    show(rows, "people to follow")
    write(rows, said.json)


if __name__ == "__main__":
    main()
