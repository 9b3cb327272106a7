"""One tenant, alive: a trained bundle, the event log, and everything in memory that is folded from the two.

    shop/            what ``zhiyin train`` wrote; only read
    shop.live/       what the server writes: events, tables, newer bundles

The log is the truth. An event counts once it is durable; memory follows the log and is built anew from it at
every start, so there is no second place that could disagree.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from zhiyin.base.clock import now_us
from zhiyin.base.errors import DataError, ZhiyinError
from zhiyin.base.units import US_PER_DAY
from zhiyin.data.record import EventRecord
from zhiyin.online.answers import Found, answer
from zhiyin.online.asks import Ask
from zhiyin.online.counters import Counters
from zhiyin.online.people import People
from zhiyin.online.shop import Clock, Shop
from zhiyin.online.snapshot import Snapshot
from zhiyin.pipeline.recommender import Recommender
from zhiyin.store.event_log import EventLog
from zhiyin.store.tables import Row, TableStore

MASKED, CONSENT = "masked", "consent"

AHEAD_US = US_PER_DAY
"""An event may come from a clock that is ahead by so much; more is a mistake."""


class Tenant:
    """``snapshot`` answers; ``take`` makes events durable and then lets them act."""

    def __init__(
        self,
        name: str,
        recommender: Recommender,
        log: EventLog,
        tables: TableStore,
        *,
        version: str,
        after: int = 0,
        since: int = 0,
        clock: Clock = now_us,
    ) -> None:
        """``after`` and ``since`` are the position of the log and the version of the tables that ``recommender`` was trained with."""
        self.name = name
        self.log = log
        self.clock = clock
        self.people = People(recommender.data)
        self.counters = Counters(recommender.data)
        self.snapshot = Snapshot(replace(recommender, past=self.people), version)
        self._kinds = {kind: number for number, kind in enumerate(recommender.data.kinds)}
        self._orphans: dict[str, list[EventRecord]] = {}
        self._lock = threading.Lock()
        self.n_events = 0
        self.private: set[str] = set()
        """Users who want no answers made of what they did."""
        self.silent: set[str] = set()
        """Users who want nothing stored."""
        self._remember(tables)
        self.shop = Shop(self.snapshot, tables, self.adopt, since=since, clock=clock)
        for _, record in log.read(after):
            self._fold(record)

    def _remember(self, tables: TableStore) -> None:
        """People who were erased, and what people allowed, as the tables say."""
        for row in every_row(tables, MASKED):
            if row.body.get("bundle") == self.snapshot.version:
                self.people.mask(int(row.id))
        for row in every_row(tables, CONSENT):
            self.allow(row.id, row.body)

    def allow(self, user: str, said: Mapping[str, Any]) -> None:
        """Follow what a user allows from now on: ``personalize`` and ``store``, both true unless said otherwise."""
        for flag, names in (("personalize", self.private), ("store", self.silent)):
            if said.get(flag, True):
                names.discard(user)
            else:
                names.add(user)

    def writing(self) -> AbstractContextManager[object]:
        """Keeps events from acting on memory meanwhile."""
        return self._lock

    # Events.

    def take(self, records: Sequence[EventRecord]) -> Future[list[bool]]:
        """Store events for good, then let them act. True for each that is new, False for one that was taken before.

        Raises ``DataError`` at once for an event that cannot be right; nothing of its batch is stored then.
        """
        now = self.clock()
        if self.silent:
            records = [record for record in records if record.user not in self.silent]
        stamped = [self._stamped(record, i, now, len(records)) for i, record in enumerate(records)]
        done: Future[list[bool]] = Future()

        def durable(stored: Future[list[bool]]) -> None:
            error = stored.exception()
            if error is not None:
                done.set_exception(error)
                return
            fresh = stored.result()
            with self._lock:
                for record, new in zip(stamped, fresh, strict=True):
                    if new:
                        self._fold(record)
            done.set_result(fresh)

        self.log.submit(stamped).add_done_callback(durable)
        return done

    def _stamped(self, record: EventRecord, i: int, now: int, n: int) -> EventRecord:
        """The event with the times the server knows; refused where it says nothing of somebody or is not of this time."""
        which = f"event '{record.event_id}'" if n == 1 else f"event '{record.event_id}' (number {i + 1} of {n})"
        if not record.user and not record.session:
            raise DataError(f"{which} says neither user nor session", "Say who did it.")
        if not record.item:
            raise DataError(f"{which} names no item", "Say what it was done to.")
        if record.time_us > now + AHEAD_US:
            raise DataError(f"{which} lies in the future: time {record.time_us}", "Give microseconds since 1970 in UTC.")
        if record.time_us < 0:
            raise DataError(f"{which} has the time {record.time_us}", "Give microseconds since 1970 in UTC.")
        # A clock that is a little ahead must not hide an event from the very next answer.
        return msgspec.structs.replace(record, time_us=min(record.time_us or now, now), received_us=now)

    def _fold(self, record: EventRecord) -> None:
        """Let one durable event act on what is in memory: the only place where memory learns of events."""
        self.n_events += 1
        person = self.people.number(record.user, record.session)
        item_ix = self.snapshot.catalog.items.find(record.item)
        if item_ix < 0:
            self._orphans.setdefault(record.item, []).append(record)
            return
        self._act(record, person, item_ix)

    def _act(self, record: EventRecord, person: int, item_ix: int) -> None:
        weight = self.weight_of(record)
        kind = self._kinds.get(record.kind, 0)
        place = self.snapshot.recommender.data.places.find(record.place) if record.place else -1
        self.people.add(person, item_ix, kind, record.time_us, place, weight)
        self.counters.add(person, item_ix, record.time_us, weight)

    def weight_of(self, record: EventRecord) -> float:
        """What an event says about liking: the weight of its kind, 0 below the rating threshold."""
        manifest = self.snapshot.recommender.data.manifest
        weight = manifest.weights.get(record.kind, 1.0)
        if manifest.positive_from is not None and record.value is not None and record.value < manifest.positive_from:
            return 0.0
        return weight

    def adopt(self, snapshot: Snapshot) -> None:
        """Answer from another snapshot from now on; events that waited for its items act now."""
        with self._lock:
            self.snapshot = snapshot
            for item in [item for item in self._orphans if snapshot.catalog.items.find(item) >= 0]:
                for record in self._orphans.pop(item):
                    self._act(record, self.people.number(record.user, record.session), snapshot.catalog.items.find(item))

    # Answers.

    def answer(self, asks: Sequence[Ask], shown: Sequence[Sequence[int]] = ()) -> list[Found | ZhiyinError]:
        """One list or error for each ask: thread-safe, reads one snapshot."""
        if self.private:
            asks = [ask if ask.user not in self.private else _impersonal(ask) for ask in asks]
        return answer(self.snapshot, self.people, asks, self.clock(), shown)

    def answer_one(self, ask: Ask, shown: Sequence[int]) -> Found | ZhiyinError:
        """The list or error of one ask, without what was shown."""
        return self.answer([ask], [shown])[0]

    def warm(self) -> None:
        """Answer a few asks for nobody in particular, so that the first real one does not wait for what is built at first use."""
        data = self.snapshot.recommender.data
        someone = [data.users[int(data.events.user_ix[-1])]] if len(data.events) else []
        self.answer([Ask(), *(Ask(user=user) for user in someone)])
        _ = self.snapshot.ids, self.snapshot.titles, self.snapshot.language, self.snapshot.popular

    def close(self) -> None:
        self.log.close()
        self.shop.tables.close()


def _impersonal(ask: Ask) -> Ask:
    return msgspec.structs.replace(ask, personalized=False)


def live_folder(folder: Path) -> Path:
    """Where a server keeps what it writes: beside the trained folder, so that training anew loses nothing."""
    return folder.with_name(f"{folder.name}.live")


def every_row(tables: TableStore, collection: str) -> Iterator[Row]:
    """All rows of a collection, by id."""
    after = ""
    while rows := tables.page(collection, after, 1_000):
        yield from rows
        after = rows[-1].id
