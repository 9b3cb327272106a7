"""Lists for a million people: people per processor second, and the peak of memory.

    python bench/batch.py [--json PATH] [--users 1000000] [--items 100000] [--events 10000000] [--cpu-s 240]

The shop is SYNTHETIC (random people, Zipf-like things in 200 shelves that people stay on): figures are about
machinery, not about quality. A transitions model of 50 followers each answers "home" with ten things, filled up
by popularity. Fitting and writing are processes of their own; the peak is that of the writing one, with
everything it knows in memory. After --cpu-s seconds the writing stops between two parts, and the figure is that
of the people written so far: the unit says of how many.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rows import Row, show, write
from zhiyin.base.clock import cpu_s
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.events import Events
from zhiyin.data.run import Run
from zhiyin.data.schema import EventsTable, Manifest
from zhiyin.data.vocab import Vocabulary
from zhiyin.models.retrieve.popular import PopularSpec
from zhiyin.models.retrieve.transitions import TransitionsSpec
from zhiyin.pipeline.batch import Batch
from zhiyin.pipeline.placement import Placement
from zhiyin.pipeline.recommender import Recommender

N_SHELVES = 200


def shop(n_users: int, n_items: int, n_events: int, seed: int = 0) -> Dataset:
    """People stay on one shelf for four events in five; within a shelf a few things are chosen most."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, n_users, n_events, dtype=np.int32)
    home = rng.integers(0, N_SHELVES, n_users, dtype=np.int32)
    shelf = np.where(rng.random(n_events) < 0.8, home[user], rng.integers(0, N_SHELVES, n_events))
    on_shelf = n_items // N_SHELVES
    thing = np.minimum((on_shelf * rng.random(n_events) ** 3).astype(np.int32), on_shelf - 1)
    time = np.sort(rng.integers(0, 10_000_000, n_events)) * 1_000_000
    items, users = ([f"{prefix}{i:07d}" for i in range(n)] for prefix, n in (("sku-", n_items), ("customer-", n_users)))
    catalog = Catalog(Vocabulary(items), pl.DataFrame({"item_id": items}))
    manifest = Manifest(name="synthetic", events=EventsTable(time="time"))
    return Dataset(manifest, Vocabulary(users), catalog, Events.of(user, shelf * on_shelf + thing, time))


def fit(folder: Path, n_users: int, n_items: int, n_events: int) -> None:
    data = shop(n_users, n_items, n_events)
    model = TransitionsSpec(followers=50, reach=2).fit(data, Run(threads=1))
    home = Placement(name="home", fill=True)
    Recommender(model, PopularSpec().fit(data, Run()), data).with_placements([home]).save(folder)


class EnoughError(Exception):
    """The processor time is spent."""


def write_lists(folder: Path, out: Path, limit_s: float) -> None:
    """Load and write; prints people, seconds of writing, peak GB, rows."""
    recommender = Recommender.load(folder)
    begun, done = cpu_s(), 0
    n_users = recommender.data.n_users

    def report(row: Mapping[str, Any]) -> None:
        nonlocal done
        done = int(row["step"])
        if cpu_s() - begun > limit_s and done < n_users:
            raise EnoughError

    n_rows = 0
    try:
        n_rows = Batch(recommender).write(out, report)
    except EnoughError:
        n_rows = -1
    print(done, cpu_s() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, n_rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--cpu-s", type=float, default=240.0, help="stop writing after so many processor seconds")
    parser.add_argument("--step", choices=("fit", "write"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step == "fit":
        fit(given.folder / "model", given.users, given.items, given.events)
        return
    if given.step == "write":
        write_lists(given.folder / "model", given.folder / "lists.parquet", given.cpu_s)
        return
    with tempfile.TemporaryDirectory() as place:
        sizes = ["--users", given.users, "--items", given.items, "--events", given.events, "--cpu-s", given.cpu_s, "--folder", place]
        for step in ("fit", "write"):
            command = [sys.executable, __file__, *map(str, sizes), "--step", step]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        done, spent, peak, n_rows = said.split()
        written = (Path(place) / "lists.parquet").stat().st_size / 1e6 if int(n_rows) >= 0 else float("nan")
    whole = f"all {int(done):,} users written" if int(n_rows) >= 0 else f"the first {int(done):,} users written, not all"
    case = f"{given.users // 1_000_000}M users, {given.items // 1_000}k items" if given.users >= 1_000_000 else f"{given.users} users"
    speed = int(done) / float(spent)
    rows = [
        Row("batch", case, "users_per_cpu_s", speed, speed, speed, int(done), f"users per CPU second; synthetic; {whole}"),
        Row(
            "batch",
            case,
            "peak_gb",
            float(peak),
            float(peak),
            float(peak),
            1,
            f"GB resident, model and events included; synthetic; {whole}",
        ),
    ]
    show(rows, f"synthetic shop, {given.events:,} events; {whole}; file {written:.0f} MB")
    write(rows, given.json)


if __name__ == "__main__":
    main()
