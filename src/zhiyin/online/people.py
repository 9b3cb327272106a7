"""Who is who, and what each did: the people of the bundle, those who came since, and everything that happened since.

A person is a known user or an anonymous session; at login (an event that names both) the session's past joins
the user's. Numbers below ``n_base`` are the bundle's users; what a model learned of users holds for these alone.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from zhiyin.base.arrays import AnyArray, Int64, offsets_of
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Histories

SESSION = "session:"


class Did(NamedTuple):
    """One event since the bundle; sorts by time, then by order of arrival."""

    time_us: int
    arrival: int
    item_ix: int
    kind_ix: int
    place_ix: int
    weight: float


class People:
    """``base`` is the data of the bundle: its users keep their numbers, its events are never copied.

    One thread writes; readers may look at any time and see each list before or after an event, never half of
    it: every change is one step of the interpreter.
    """

    def __init__(self, base: Dataset) -> None:
        self.base = base
        self.n_base = base.n_users
        self._numbers: dict[str, int] = {}  # people who came since, and sessions (with their prefix)
        self._live: dict[int, list[Did]] = {}
        self._merged: dict[int, int] = {}  # session -> the user it became
        self._gone: set[int] = set()
        self._arrivals = 0

    def __len__(self) -> int:
        return self.n_base + len(self._numbers)

    def find(self, user: str | None, session: str | None = None) -> int:
        """The number of a person, -1 = nobody knows him. A session counts where the user is unknown or not said."""
        ix = -1 if user is None else self.find_user(user)
        if ix < 0 and session is not None:
            ix = self.find_user(SESSION + session)
        return self._merged.get(ix, ix)

    def find_user(self, user: str) -> int:
        """The number of a user by his id, -1 = unknown."""
        ix = self.base.users.find(user)
        if ix < 0 or ix in self._gone:
            ix = self._numbers.get(user, -1)
        return ix

    def number(self, user: str | None, session: str | None) -> int:
        """The same, and somebody new gets the next number; a session named beside a user becomes that user."""
        if user is None:
            known = self._numbered(SESSION + (session or ""))
            return self._merged.get(known, known)
        ix = self._numbered(user)
        if session is not None:
            self._join(session, ix)
        return ix

    def _numbered(self, name: str) -> int:
        ix = self.find_user(name)
        return self._numbers.setdefault(name, len(self)) if ix < 0 else ix

    def _join(self, session: str, user_ix: int) -> None:
        """What the session did so far becomes the user's; what it does later goes to him too."""
        ix = self._numbered(SESSION + session)
        if self._merged.get(ix, ix) == user_ix:
            return
        self._merged[ix] = user_ix
        past = self._live.pop(ix, [])
        if ix < self.n_base:  # a session the bundle knows
            known = self.base.history(np.array([ix]))
            columns = (known.time_us, known.item_ix, known.kind_ix, known.place_ix, known.weight)
            past = [Did(time, 0, *rest) for time, *rest in zip(*(c.tolist() for c in columns), strict=True)] + past
        if past:
            self._live[user_ix] = sorted([*self._live.get(user_ix, ()), *past])

    def add(self, person: int, item_ix: int, kind_ix: int, time_us: int, place_ix: int = -1, weight: float = 1.0) -> None:
        """One more event; a late one goes where its time belongs."""
        self._arrivals += 1
        event = Did(time_us, self._arrivals, item_ix, kind_ix, place_ix, weight)
        insort(self._live.setdefault(person, []), event)

    def forget(self, user: str | None, session: str | None) -> int:
        """Drop somebody and everything he did from memory; gives how many live events went. The log forgets by itself."""
        ix = self.find(user, session)
        if ix < 0:
            return 0
        n = len(self._live.pop(ix, ()))
        if ix < self.n_base:
            self._gone.add(ix)
        sessions = [name for name, number in self._numbers.items() if number == ix or self._merged.get(number) == ix]
        for name in sessions:
            number = self._numbers.pop(name)
            self._merged.pop(number, None)
            # The number stays taken, so that nobody inherits it; only the name goes.
            self._numbers[f"\0{number}"] = number
        return n

    def mask(self, ix: int) -> None:
        """A user of the bundle who asked to be erased: his past there is read no more."""
        self._gone.add(ix)

    def is_masked(self, ix: int) -> bool:
        return ix in self._gone

    def sessions_of(self, user: str) -> list[str]:
        """The anonymous sessions that became this user, or were named after him."""
        ix = self.find_user(user)
        joined = [name for name, number in self._numbers.items() if name.startswith(SESSION) and self._merged.get(number) == ix >= 0]
        return [name.removeprefix(SESSION) for name in joined]

    def live(self, person: int) -> list[Did]:
        """What somebody did since the bundle, oldest first."""
        return list(self._live.get(person, ()))

    def history(self, users: AnyArray, now_us: AnyArray | None = None) -> Histories:
        """Everything each person did strictly before the time beside him (all when None), oldest first.

        ``users`` (n,), -1 = nobody. Data without time has no before: there live events follow the known ones.
        """
        asked = np.asarray(users)
        gone = np.fromiter((u in self._gone for u in asked.tolist()), np.bool_, len(asked)) if self._gone else None
        base = np.where((asked < self.n_base) & (True if gone is None else ~gone), asked, -1)
        timed = self.base.manifest.order == "time"
        past = self.base.history(base, now_us if timed else None)
        live = [self._live.get(u, ()) for u in asked.tolist()]
        if not any(live):
            return past
        return _merged(past, live, now_us if timed else None, timed)


def _merged(past: Histories, live: Sequence[Sequence[Did]], now_us: AnyArray | None, timed: bool) -> Histories:
    """The two pasts of each person in one list."""
    flat: list[Did] = []
    lengths = np.zeros(len(live), np.int64)
    for row, events in enumerate(live):
        if not events:
            continue
        taken = list(events) if now_us is None else [e for e in events if e.time_us < now_us[row]]
        lengths[row] = len(taken)
        flat += taken
    n = len(flat)
    rows: Int64 = np.concatenate([past.items.rows, np.repeat(np.arange(len(live)), lengths)])
    time = np.fromiter((e.time_us for e in flat), np.int64, n)
    ages = np.concatenate([past.time_us, time])
    # Positions and real times do not compare: where there is no time, what came since follows what was known.
    since = np.concatenate([np.zeros(len(past.time_us), np.int8), np.ones(n, np.int8)])
    order = np.lexsort((ages, rows) if timed else (ages, since, rows))

    def column(known: AnyArray, more: list[int] | list[float]) -> AnyArray:
        return np.concatenate([known, np.asarray(more, known.dtype)])[order]

    return Histories(
        offsets_of(past.lengths + lengths),
        column(past.item_ix, [e.item_ix for e in flat]), column(past.kind_ix, [e.kind_ix for e in flat]), ages[order],
        column(past.place_ix, [e.place_ix for e in flat]), column(past.weight, [e.weight for e in flat]),
    )  # fmt: skip
