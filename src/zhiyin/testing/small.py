"""A few dozen people and items with enough structure that every model has something to say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from zhiyin.base.arrays import Ragged
from zhiyin.base.units import US_PER_DAY, US_PER_HOUR
from zhiyin.data.catalog import Catalog, Vectors
from zhiyin.data.dataset import Dataset
from zhiyin.data.events import Events
from zhiyin.data.requests import Requests
from zhiyin.data.schema import Manifest, Order, Repeat
from zhiyin.data.truth import Holdout, Truth
from zhiyin.data.vocab import Vocabulary

SMALL_DIM = 8
_START_US = 20_000 * US_PER_DAY


def small_world(order: Order = "time", *, n_users: int = 40, n_items: int = 30, n_events: int = 700, seed: int = 0) -> Dataset:
    """Two tastes, chains of items that follow each other, repeats, disliked events, text vectors, one item without.

    Every person has at least five events; the last item has no event and no text vector.
    """
    rng = np.random.default_rng(seed)
    user = np.concatenate([np.repeat(np.arange(n_users), 5), rng.integers(0, n_users, n_events - 5 * n_users)])
    rng.shuffle(user)
    item = np.zeros(n_events, np.int64)
    newest = rng.integers(0, n_items - 1, n_users)
    for at, u in enumerate(user):
        follows = rng.random() < 0.6
        newest[u] = (newest[u] + 2) % (n_items - 1) if follows else (2 * rng.integers(0, n_items // 2) + u % 2) % (n_items - 1)
        item[at] = newest[u]
    time = np.sort(rng.integers(0, 200 * 24, n_events)) * US_PER_HOUR + _START_US
    weight = np.where(rng.random(n_events) < 0.05, 0.0, 1.0)
    if order == "position":
        time = _positions(user, n_users)
    if order == "none":
        time = np.zeros(n_events, np.int64)
    vectors = rng.standard_normal((n_items, SMALL_DIM)) * 0.5 + np.where(np.arange(n_items)[:, None] % 2, 1.0, -1.0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[-1] = 0.0
    ids = [f"i{i}" for i in range(n_items)]
    table = pl.DataFrame({"item_id": ids, "title": [f"item {i}" for i in range(n_items)]})
    catalog = Catalog(Vocabulary(ids), table, "title").with_vectors("text", Vectors(vectors.astype(np.float32), "small"))
    manifest = Manifest.parse({"name": f"small-{order}", "order": order, "events": {"time": "time", "position": "position"}})
    users = Vocabulary([f"u{u}" for u in range(n_users)])
    people = pl.DataFrame({"user_id": users.ids.to_pylist(), "town": ["east" if u % 2 else "west" for u in range(n_users)]})
    return Dataset(manifest, users, catalog, Events.of(user, item, time, weight=weight), users_table=people)


def by_the_clock(n_users: int = 100, per_user: int = 50, *, chance: float = 0.15, seed: int = 0) -> Dataset:
    """Everybody has a morning item and an evening item, one of them every day; with ``chance`` it is any other."""
    rng = np.random.default_rng(seed)
    world = small_world("time")
    user = np.repeat(np.arange(n_users), per_user)
    evening = rng.random(len(user)) < 0.5
    own = rng.integers(0, world.n_items - 1, (n_users, 2))
    item = np.where(rng.random(len(user)) < chance, rng.integers(0, world.n_items - 1, len(user)), own[user, evening.astype(int)])
    day = np.tile(np.arange(per_user), n_users)
    time = _START_US + day * US_PER_DAY + np.where(evening, 20, 8) * US_PER_HOUR + rng.integers(0, US_PER_HOUR, len(user))
    manifest = world.manifest.model_copy(update={"repeat": Repeat(policy="allow")})
    people = Vocabulary([f"u{u}" for u in range(n_users)])
    return replace(world, manifest=manifest, users=people, users_table=world.users_table.clear(), events=Events.of(user, item, time))


def per_event(data: Dataset, rows: np.ndarray) -> Holdout:
    """Each of these events asked for itself, at its own time."""
    e = data.events
    history = data.history(e.user_ix[rows], e.time_us[rows])
    return Holdout(Requests.of(history, e.user_ix[rows], e.time_us[rows]), Truth(Ragged.of([[i] for i in e.item_ix[rows]])))


def _positions(user: np.ndarray, n_users: int) -> np.ndarray:
    """0, 1, 2 ... within each person, in order of appearance."""
    seen = np.zeros(n_users, np.int64)
    out = np.zeros(len(user), np.int64)
    for at, u in enumerate(user):
        out[at] = seen[u]
        seen[u] += 1
    return out
