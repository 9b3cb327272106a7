"""What is thought of somebody, in words, with the evidence: topics from what he did, tags he gave himself.

A topic is a value of a category or list column; its share is the sum of the weights of the events on items that have
it, each halved every 30 days, over all of them. A person may add tags and take topics away: a topic that was taken
away is neither shown nor used.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import msgspec
import numpy as np

from zhiyin.base.arrays import Float64
from zhiyin.base.units import US_PER_DAY
from zhiyin.data.requests import Histories
from zhiyin.online.snapshot import Snapshot

HALF_LIFE_DAYS = 30.0
_TOPICS = ("category", "list", "domain")


class Evidence(msgspec.Struct, frozen=True):
    """An item that speaks for a topic, and how much of the topic's weight it carries."""

    item: str
    title: str
    share: float


class Topic(msgspec.Struct, frozen=True):
    column: str
    topic: str
    share: float
    evidence: list[Evidence]


class Tag(msgspec.Struct, frozen=True):
    """``like`` is false for what somebody does not want."""

    tag: str
    like: bool = True


class Portrait(msgspec.Struct, frozen=True):
    """``events`` were looked at; shares of the topics of one column add up to at most 1."""

    user: str
    events: int
    topics: list[Topic]
    tags: list[Tag]
    hidden: list[str]


def portrait(snapshot: Snapshot, user: str, history: Histories, now_us: int, tags: list[Tag], hidden: list[str], n: int = 10) -> Portrait:
    """The portrait of one person from his history (a batch of one)."""
    weight = faded(snapshot, history, now_us)
    topics: list[Topic] = []
    for column in topic_columns(snapshot):
        topics += _of_column(snapshot, column, history, weight, set(hidden), n)
    topics.sort(key=lambda topic: (-topic.share, topic.column, topic.topic))
    return Portrait(user, len(history.item_ix), topics[: 3 * n], tags, hidden)


def topic_columns(snapshot: Snapshot) -> list[str]:
    """The columns whose values are topics."""
    items = snapshot.recommender.data.manifest.items
    table = snapshot.catalog.table
    return [name for name, kind in (items.columns if items else {}).items() if kind in _TOPICS and name in table.columns]


def faded(snapshot: Snapshot, history: Histories, now_us: int) -> Float64:
    """The weight of each event now: (n_events,); without time the newest counts most, halved every 20 events."""
    if snapshot.recommender.data.manifest.order == "time":
        age = np.maximum(now_us - history.time_us, 0) / (HALF_LIFE_DAYS * US_PER_DAY)
    else:
        age = np.arange(len(history.item_ix), 0, -1) / 20.0
    return np.asarray(history.weight * np.exp2(-age), np.float64)


def _of_column(snapshot: Snapshot, column: str, history: Histories, weight: Float64, hidden: set[str], n: int) -> list[Topic]:
    values: list[Any] = snapshot.catalog.table[column][history.item_ix.astype(np.int64)].to_list()
    total = max(float(weight.sum()), 1e-12)
    sums: dict[str, float] = defaultdict(float)
    by_item: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for value, ix, w in zip(values, history.item_ix.tolist(), weight.tolist(), strict=True):
        said = value if isinstance(value, list) else [] if value is None else [value]
        for topic in dict.fromkeys(str(v) for v in said):
            if topic in hidden or w <= 0:
                continue
            sums[topic] += w / max(len(said), 1)
            by_item[topic][ix] += w / max(len(said), 1)
    best = sorted(sums.items(), key=lambda pair: (-pair[1], pair[0]))[:n]
    return [Topic(column, topic, s / total, _evidence(snapshot, by_item[topic], s)) for topic, s in best]


def _evidence(snapshot: Snapshot, items: dict[int, float], total: float) -> list[Evidence]:
    best = sorted(items.items(), key=lambda pair: (-pair[1], pair[0]))[:3]
    return [Evidence(snapshot.ids[ix], snapshot.titles[ix], w / total) for ix, w in best]
