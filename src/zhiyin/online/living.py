"""What is in memory of one bundle: its people, its counters, its snapshot; all of it a fold over the log.

The fold reads the log itself, from where it stopped: whoever wrote the events, this process or another, they act
once and in the order of the log.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import repeat

from zhiyin.data.record import EventRecord
from zhiyin.online.counters import Counters
from zhiyin.online.happened import Deeds
from zhiyin.online.people import People
from zhiyin.online.snapshot import Snapshot
from zhiyin.pipeline.recommender import Recommender
from zhiyin.store.event_log import EventLog

TOGETHER = 8_192
"""Events of a long log that act at once; those that have just come are fewer."""


class Living:
    """``position`` is that of the newest event folded in. One thread at a time calls ``catch_up`` and ``adopt``."""

    def __init__(self, recommender: Recommender, version: str, position: int) -> None:
        self.people = People(recommender.data)
        self.counters = Counters(recommender.data)
        self.snapshot = Snapshot(replace(recommender, past=self.people), version)
        self.position = position
        self.n_events = 0
        self._kinds = {kind: number for number, kind in enumerate(recommender.data.kinds)}
        self._orphans: dict[str, list[EventRecord]] = {}

    def catch_up(self, log: EventLog) -> int:
        """Let every event of the log that is new here act; gives how many."""
        before = self.n_events
        waiting: list[EventRecord] = []
        last = self.position
        for positions, records in log.batches(last):
            waiting += records
            last = positions[-1]
            if len(waiting) >= TOGETHER:  # a log of single events costs three times as much one by one
                self._learn(waiting, last)
                waiting = []
        if waiting:
            self._learn(waiting, last)
        return self.n_events - before

    def _learn(self, records: list[EventRecord], position: int) -> None:
        self._fold(records)
        self.position = position

    def adopt(self, snapshot: Snapshot) -> None:
        """Answer from another snapshot of the same bundle; events that waited for its items act now.

        What is said when nothing else can be is found before, on this thread: the model it comes from may hang.
        """
        _ = snapshot.popular
        self.snapshot = snapshot
        for item in [item for item in self._orphans if snapshot.catalog.items.find(item) >= 0]:
            records = self._orphans.pop(item)
            self._act(records, [snapshot.catalog.items.find(item)] * len(records))

    def forget(self, user: str) -> None:
        """Drop a person, and his events that wait for their items."""
        sessions = set(self.people.sessions_of(user))
        self.n_events -= self.people.forget(user, None)
        for item, records in self._orphans.items():
            left = [r for r in records if r.user != user and not (r.user is None and r.session in sessions)]
            self.n_events -= len(records) - len(left)
            self._orphans[item] = left

    def _fold(self, records: list[EventRecord]) -> None:
        """Let durable events act: the only place where memory learns of them."""
        self.n_events += len(records)
        item_ix = self.snapshot.catalog.items.find_all([record.item for record in records])
        if min(item_ix) < 0:
            for record, ix in zip(records, item_ix, strict=True):
                if ix < 0:
                    self._orphans.setdefault(record.item, []).append(record)
        self._act(records, item_ix)

    def _act(self, records: list[EventRecord], item_ix: list[int]) -> None:
        """``item_ix`` of each record, -1 = unknown."""
        places, names = self.snapshot.recommender.data.places, [record.kind for record in records]
        place_ix = [places.find(record.place) if record.place else -1 for record in records]
        kind_ix = [*map(self._kinds.get, names, repeat(0))]
        deeds = Deeds.of(item_ix, kind_ix, [record.time_us for record in records], place_ix, self._weights(records, names))
        self.people.take([record.user for record in records], [record.session for record in records], deeds)
        if min(item_ix) < 0:
            deeds = deeds.take(deeds.item_ix >= 0)
        self.counters.add(deeds.item_ix, deeds.time_us, deeds.weight)

    def _weights(self, records: list[EventRecord], kinds: list[str]) -> list[float]:
        """What events say about liking: the weight of their kind, 0 below the rating threshold."""
        manifest = self.snapshot.recommender.data.manifest
        weights, least = [*map(manifest.weights.get, kinds, repeat(1.0))], manifest.positive_from
        if least is None:
            return weights
        return [0.0 if r.value is not None and r.value < least else weight for r, weight in zip(records, weights, strict=True)]
