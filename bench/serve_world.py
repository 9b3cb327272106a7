"""The world that servers are measured on: people and things as vectors, what each has seen, a category to filter by.

Things lie in 100 loose groups of a space of 12 dimensions, seen through 64 with a little noise; a person leans
towards one or two groups. On these rows faiss HNSW32 at ef 64 finds .9985 of the exact ten, as ``peers.md`` has it.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from zhiyin.base.arrays import AnyArray, Float32, Int32, Int64
from zhiyin.base.units import US_PER_DAY
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.events import Events
from zhiyin.data.run import Run, silent
from zhiyin.data.schema import Manifest
from zhiyin.data.vocab import Vocabulary
from zhiyin.index.scan import ScanIndex
from zhiyin.models.registry import spec_of
from zhiyin.models.retrieve.vectors import Vectors
from zhiyin.pipeline.recommender import Recommender
from zhiyin.store.bundle import MANIFEST
from zhiyin.testing.small import small_world

GROUPS, RANK, CATEGORIES = 100, 12, 10
FIRST_DAY = 20_000


@dataclass(frozen=True)
class Size:
    """``least`` to ``most`` things were seen by each person."""

    users: int = 1_000_000
    items: int = 100_000
    dim: int = 64
    least: int = 10
    most: int = 20
    seed: int = 0


@dataclass(frozen=True)
class World:
    """``seen`` of user u are ``seen[offsets[u]:offsets[u + 1]]``; ``group`` and ``category`` are per item."""

    users: Float32
    items: Float32
    group: Int32
    category: Int32
    offsets: Int64
    seen: Int32

    @classmethod
    def of(cls, size: Size) -> World:
        rng = np.random.default_rng(size.seed)
        spread = (rng.standard_normal((RANK, size.dim)) / np.sqrt(RANK)).astype(np.float32)
        centres = rng.standard_normal((GROUPS, RANK)).astype(np.float32)
        group = rng.integers(0, GROUPS, size.items).astype(np.int32)
        items = (centres[group] + 0.7 * rng.standard_normal((size.items, RANK), np.float32)) @ spread
        items = _unit(items + 0.1 * rng.standard_normal(items.shape, np.float32))
        liked = rng.integers(0, GROUPS, (size.users, 2))
        lean = rng.uniform(0.5, 1.0, (size.users, 1)).astype(np.float32)
        taste = lean * centres[liked[:, 0]] + (1 - lean) * centres[liked[:, 1]]
        users = _unit((taste + 0.5 * rng.standard_normal(taste.shape, np.float32)) @ spread)
        lengths = rng.integers(size.least, size.most + 1, size.users)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        owner = np.repeat(np.arange(size.users), lengths)
        second = rng.random(len(owner)) > lean[owner, 0]
        by_group, starts = np.argsort(group, kind="stable"), np.searchsorted(np.sort(group), np.arange(GROUPS + 1))
        drawn = liked[owner, second.astype(int)]
        place = starts[drawn] + (rng.random(len(owner)) * (starts[drawn + 1] - starts[drawn])).astype(np.int64)
        category = rng.integers(0, CATEGORIES, size.items).astype(np.int32)
        return cls(users, items, group, category, offsets, by_group[place].astype(np.int32))

    @property
    def dataset(self) -> Dataset:
        """The same as data: everybody's things were seen one a minute, up to yesterday."""
        n_users, n_items = len(self.users), len(self.items)
        ids = "i" + pl.Series(np.arange(n_items)).cast(pl.String)
        table = pl.DataFrame({
            "item_id": ids, "title": "thing " + pl.Series(np.arange(n_items)).cast(pl.String),
            "category": "c" + pl.Series(self.category).cast(pl.String),
        })  # fmt: skip
        manifest = Manifest.parse({
            "name": "serve", "order": "time", "repeat": {"policy": "never"}, "events": {"time": "time"},
            "items": {"title": "title", "columns": {"category": "category"}},
        })  # fmt: skip
        owner = np.repeat(np.arange(n_users, dtype=np.int32), np.diff(self.offsets))
        time = FIRST_DAY * US_PER_DAY + np.random.default_rng(1).integers(0, 100 * US_PER_DAY, len(owner))
        users = "u" + pl.Series(np.arange(n_users)).cast(pl.String)
        events = Events.of(owner, self.seen, time)
        return Dataset(manifest, Vocabulary(users.to_list()), Catalog(Vocabulary(ids.to_list()), table, "title"), events)


def _unit(rows: Float32) -> Float32:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def big(size: Size, work: Path | None = None) -> tuple[World, Path]:
    """The world and a folder that holds it for the baseline, made once per size and machine."""
    folder = (work or Path(tempfile.gettempdir())) / f"zhiyin-bench-serve-{size.users}-{size.items}-{size.dim}-{size.seed}"
    world = World.of(size)
    told = json.dumps(asdict(size))
    stamp = folder / "size.json"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != told:
        import faiss

        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, AnyArray] = {
            "users": world.users,
            "category": world.category,
            "seen_offsets": world.offsets,
            "seen_items": world.seen,
        }
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array)
        index = faiss.IndexHNSWFlat(size.dim, 32, faiss.METRIC_INNER_PRODUCT)
        index.add(world.items)
        faiss.write_index(index, str(folder / "index.faiss"))
        stamp.write_text(told, encoding="utf-8")
    return world, folder


def bundle(world: World, folder: Path, *, exact: bool = False) -> Path:
    """A folder for ``zhiyin serve``: the vectors as they are, and what is popular; ``exact`` searches without cells."""
    if (folder / MANIFEST).exists():
        return folder
    data = world.dataset
    model = Vectors.of(data.catalog, world.items, world.users)
    model = replace(model, everything=ScanIndex.of(world.items)) if exact else model
    return Recommender(model, spec_of("popular").fit(data, Run(report=silent)), data).save(folder)


def small(folder: Path, *, users: int = 2_000, items: int = 1_000, events: int = 40_000) -> Path:
    """A small trained folder named ``shop``, for benches that are not about the model."""
    data, run = small_world("time", n_users=users, n_items=items, n_events=events), Run(report=silent)
    recommender = Recommender(spec_of("transitions").fit(data, run), spec_of("popular").fit(data, run), data)
    return recommender.save(folder / "shop")
