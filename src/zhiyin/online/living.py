"""What is in memory of one bundle: its people, its counters, its snapshot; all of it a fold over the log.

The fold reads the log itself, from where it stopped: whoever wrote the events, this process or another, they act
once and in the order of the log.
"""

from __future__ import annotations

from dataclasses import replace

from zhiyin.data.record import EventRecord
from zhiyin.online.counters import Counters
from zhiyin.online.people import People
from zhiyin.online.snapshot import Snapshot
from zhiyin.pipeline.recommender import Recommender
from zhiyin.store.event_log import EventLog


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
        for position, record in log.read(self.position):
            self._fold(record)
            self.position = position
        return self.n_events - before

    def adopt(self, snapshot: Snapshot) -> None:
        """Answer from another snapshot of the same bundle; events that waited for its items act now.

        What is said when nothing else can be is found before, on this thread: the model it comes from may hang.
        """
        _ = snapshot.popular
        self.snapshot = snapshot
        for item in [item for item in self._orphans if snapshot.catalog.items.find(item) >= 0]:
            for record in self._orphans.pop(item):
                self._act(record, self.people.number(record.user, record.session), snapshot.catalog.items.find(item))

    def forget(self, user: str) -> None:
        """Drop a person, and his events that wait for their items."""
        sessions = set(self.people.sessions_of(user))
        self.people.forget(user, None)
        for item, records in self._orphans.items():
            self._orphans[item] = [r for r in records if r.user != user and not (r.user is None and r.session in sessions)]

    def _fold(self, record: EventRecord) -> None:
        """Let one durable event act: the only place where memory learns of events."""
        self.n_events += 1
        person = self.people.number(record.user, record.session)
        item_ix = self.snapshot.catalog.items.find(record.item)
        if item_ix < 0:
            self._orphans.setdefault(record.item, []).append(record)
            return
        self._act(record, person, item_ix)

    def _act(self, record: EventRecord, person: int, item_ix: int) -> None:
        weight = self._weight(record)
        place = self.snapshot.recommender.data.places.find(record.place) if record.place else -1
        self.people.add(person, item_ix, self._kinds.get(record.kind, 0), record.time_us, place, weight)
        self.counters.add(person, item_ix, record.time_us, weight)

    def _weight(self, record: EventRecord) -> float:
        """What an event says about liking: the weight of its kind, 0 below the rating threshold."""
        manifest = self.snapshot.recommender.data.manifest
        if manifest.positive_from is not None and record.value is not None and record.value < manifest.positive_from:
            return 0.0
        return manifest.weights.get(record.kind, 1.0)
