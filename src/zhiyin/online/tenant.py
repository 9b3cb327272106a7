"""One tenant, alive: a trained bundle, the event log, the tables, and what is in memory of them.

    shop/            what ``zhiyin train`` wrote; only read
    shop.live/       what the server writes: events, tables, newer bundles

The log is the truth. An event counts once it is durable; memory follows the log and is built anew from it at
every start, so there is no second place that could disagree.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from zhiyin.base.clock import now_us
from zhiyin.base.errors import DataError, ZhiyinError
from zhiyin.base.units import US_PER_DAY
from zhiyin.data.record import EventRecord
from zhiyin.online.answers import Found, answer
from zhiyin.online.asks import Ask, Shown
from zhiyin.online.counters import Counters
from zhiyin.online.living import Living
from zhiyin.online.masked import masked
from zhiyin.online.people import People
from zhiyin.online.shop import Clock, Shop
from zhiyin.online.showings import Showings
from zhiyin.online.snapshot import Snapshot
from zhiyin.online.targets import Targets
from zhiyin.pipeline.recommender import Recommender
from zhiyin.store.event_log import EventLog
from zhiyin.store.tables import TableStore, every_row

CONSENT, ERASURES = "consent", "erasures"

AHEAD_US = US_PER_DAY
"""An event may come from a clock that is ahead by so much; more is a mistake."""


class Tenant:
    """``answer`` reads one snapshot; ``take`` makes events durable and then lets them act; ``go_over`` changes the bundle."""

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
        self.token = secrets.token_hex(8)
        """Names this process among those that share the stores."""
        self.rang: Callable[[], None] = lambda: None
        """Called when events have begun to act, so that other processes may be told."""
        self._lock = threading.Lock()
        self._changing = threading.Lock()  # what takes the place of everything in memory, one at a time
        self._after = after
        self.showings = Showings()
        """What people were shown lately."""
        self.targets = Targets()
        """People to follow, groups and topics."""
        self.private: set[str] = set()
        """Users who want no answers made of what they did."""
        self.silent: set[str] = set()
        """Users who want nothing stored."""
        for row in every_row(tables, CONSENT):
            self.allow(row.id, row.body)
        self._living = self._made(recommender, version, after, tables)
        self.shop = Shop(self.snapshot, tables, self._adopt, since=since, clock=clock)
        self._living.catch_up(log)

    @property
    def snapshot(self) -> Snapshot:
        return self._living.snapshot

    @property
    def people(self) -> People:
        return self._living.people

    @property
    def counters(self) -> Counters:
        return self._living.counters

    @property
    def n_events(self) -> int:
        """Events in memory that came since the bundle was trained."""
        return self._living.n_events

    # Events.

    def take(self, records: Sequence[EventRecord]) -> Future[list[bool]]:
        """Store events for good, then let them act. True for each that is new, False for one that was taken before.

        Events of people who want nothing stored are left out. Raises ``DataError`` at once for an event that cannot be
        right; nothing of its batch is stored then.
        """
        stamped = self.stamped(records)
        done: Future[list[bool]] = Future()

        def durable(stored: Future[list[bool]]) -> None:
            error = stored.exception()
            if error is not None:
                done.set_exception(error)
                return
            try:
                self.catch_up()
            finally:  # what is durable is taken, whatever keeps it from acting now
                done.set_result(stored.result())

        self.log.submit(stamped).add_done_callback(durable)
        return done

    def stamped(self, records: Sequence[EventRecord], now: int | None = None) -> list[EventRecord]:
        """The events as they are stored: with the server's time (``now``), without those of people who want nothing stored."""
        now = self.clock() if now is None else now
        if self.silent:
            records = [record for record in records if record.user not in self.silent]
        return [
            record
            if record.received_us == now and 0 < record.time_us <= now and record.item and (record.user or record.session)
            else self._stamped(record, i, now, len(records))
            for i, record in enumerate(records)
        ]

    def catch_up(self, *, ring: bool = True) -> int:
        """Let events act that are in the log and not yet in memory, whoever wrote them; gives how many."""
        with self._lock:
            n = self._living.catch_up(self.log)
        if n and ring:
            self.rang()
        return n

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

    # People.

    def allow(self, user: str, said: Mapping[str, Any]) -> None:
        """Follow what a user allows from now on: ``personalize`` and ``store``, both true unless said otherwise."""
        for flag, names in (("personalize", self.private), ("store", self.silent)):
            if said.get(flag, True):
                names.discard(user)
            else:
                names.add(user)

    def erase(self, user: str, sessions: Sequence[str]) -> int:
        """Remove somebody's events from the log and from memory; gives how many the log had."""
        n = self.log.erase(users=[user], sessions=sessions)
        with self._lock:  # not before: the thread that erases is the one that lets events act
            self._living.forget(user)
        self.showings.forget(user, sessions)
        return n

    # Answers.

    def answer(self, asks: Sequence[Ask], shown: Sequence[Sequence[int]] = ()) -> list[Found | ZhiyinError]:
        """One list or error for each ask: thread-safe, reads one snapshot."""
        living = self._living
        if self.private:
            asks = [ask if ask.user not in self.private else msgspec.structs.replace(ask, personalized=False) for ask in asks]
        return answer(living.snapshot, living.people, asks, self.clock(), shown, self.showings)

    def showed(self, ask: Ask, items: Sequence[Shown]) -> None:
        """Remember what somebody was shown, where a placement counts it and he allows it."""
        tiring = self.snapshot.recommender.shelves.tiring
        if tiring and ask.user not in self.private and ask.user not in self.silent:
            self.showings.add(ask, items, self.clock())

    def answer_one(self, ask: Ask, shown: Sequence[int]) -> Found | ZhiyinError:
        """The list or error of one ask, without what was shown."""
        return self.answer([ask], [shown])[0]

    def warm(self) -> None:
        """Answer a few asks for nobody in particular, so that the first real one does not wait for what is built at first use."""
        data = self.snapshot.recommender.data
        someone = [data.users[int(data.events.user_ix[-1])]] if len(data.events) else []
        self.answer([Ask(), *(Ask(user=user) for user in someone)])
        _ = self.snapshot.ids, self.snapshot.titles, self.snapshot.language, self.snapshot.popular

    # The bundle.

    def go_over(self, recommender: Recommender, version: str, *, after: int, since: int) -> None:
        """Serve another bundle. It knows every event and item that came since it was trained before the first answer;
        the old one answers meanwhile.
        """
        with self._changing:
            living = self._made(recommender, version, after, self.shop.tables)
            if self.snapshot.finder is not None:  # who could search goes on searching
                from zhiyin.pipeline.finding_saved import finder_of

                finder = finder_of(recommender, self.snapshot.finder.synonyms)
                living.snapshot = replace(living.snapshot, finder=finder)
            self._go_on(living, since)
            self._after = after
        self.warm()

    def refold(self) -> None:
        """Forget what is in memory and read the log anew: another process erased somebody, and does not say whom."""
        with self._changing:
            since, now = self.shop.applied, self.snapshot
            living = self._made(now.recommender, now.version, self._after, self.shop.tables)
            living.snapshot = replace(now, recommender=living.snapshot.recommender)
            self._go_on(living, since)
            self.showings.anew()

    def _go_on(self, living: Living, since: int) -> None:
        with self.shop.replacing(living.snapshot, since) as fresh:
            living.adopt(fresh)
            living.catch_up(self.log)
            with self._lock:
                living.catch_up(self.log)
                self._living = living

    def close(self) -> None:
        self.showings.close()
        self.log.close()
        self.shop.tables.close()

    def _adopt(self, snapshot: Snapshot) -> None:
        with self._lock:
            self._living.adopt(snapshot)

    @staticmethod
    def _made(recommender: Recommender, version: str, after: int, tables: TableStore) -> Living:
        """A bundle come alive, without the people who were erased from it."""
        living = Living(recommender, version, after)
        for number in masked(tables, version):
            living.people.mask(number)
        return living


def live_folder(folder: Path) -> Path:
    """Where a server keeps what it writes: beside the trained folder, so that training anew loses nothing."""
    return folder.with_name(f"{folder.name}.live")


def make_home(folder: Path) -> Path:
    """That folder, made if absent such that nobody else on the machine may enter: it holds what people did."""
    home = live_folder(folder)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return home
