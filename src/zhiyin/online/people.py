"""Who is who, and what each did: the people of the bundle, those who came since, and everything that happened since.

A person is a known user or an anonymous session; at login (an event that names both) the session's past joins
the user's. Numbers below ``n_base`` are the bundle's users; what a model learned of users holds for these alone.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import chain

import numpy as np

from zhiyin.base.arrays import AnyArray, offsets_of, row_of_flat
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Histories
from zhiyin.online.happened import Deeds, Happened

SESSION = "session:"
_NEAR = 5
"""Things of one person are together when no more than so many steps lie between."""
_NOTHING = array("q")
_TAKERS, _OF_EACH = 256, 1000
"""What is together with an item is counted over its newest takers, and the newest things of each."""


class People:
    """``base`` is the data of the bundle: its users keep their numbers, its events are never copied.

    One thread writes; readers may look at any time and see each list before or after an event, never half of
    it: every change is one step of the interpreter.
    """

    def __init__(self, base: Dataset) -> None:
        self.base = base
        self.n_base = base.n_users
        self._numbers: dict[str, int] = {}  # people who came since, and sessions (with their prefix)
        self._acted: dict[str, int] = {}  # users who did something since, wherever they were known first
        self._happened = Happened()
        self._live: dict[int, array[int]] = {}  # the rows there of each person
        self._merged: dict[int, int] = {}  # session -> the user it became
        self._gone: set[int] = set()

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
        ix = self._acted[user] = self._numbered(user)
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
        past = self._live.pop(ix, _NOTHING)
        if ix < self.n_base:  # a session the bundle knows
            known = self.base.history(np.array([ix]))
            deeds = Deeds(known.item_ix, known.kind_ix, known.time_us, known.place_ix, known.weight)
            first = self._happened.add(deeds)
            past = past + array("q", range(first, len(self._happened)))
        if past:
            self._live[user_ix] = array("q", sorted(self._live.get(user_ix, _NOTHING) + past))

    def take(self, users: Sequence[str | None], sessions: Sequence[str | None], deeds: Deeds) -> None:
        """More events, in their order, by user and session; who did what to an unknown item is numbered, and no more."""
        kept = deeds.item_ix >= 0
        all_kept = bool(kept.all())
        first = self._happened.add(deeds if all_kept else deeds.take(kept))
        rows = range(first, len(self._happened)) if all_kept else np.where(kept, first + np.cumsum(kept) - 1, -1).tolist()
        self._meet(users)
        acted, live = self._acted, self._live
        persons: list[int] = []
        for user, session, row in zip(users, sessions, rows, strict=True):
            if user is None or session is not None:
                person = self.number(user, session)
            elif (known := acted.get(user)) is not None:
                person = known
            else:  # after _meet: nobody of the bundle
                person = acted[user] = self._numbers.setdefault(user, self.n_base + len(self._numbers))
            if row >= 0:
                persons.append(person)
                his = live.get(person)
                if his is None:
                    live[person] = array("q", (row,))
                else:
                    his.append(row)
        self._happened.sign(first, persons)

    def _meet(self, users: Sequence[str | None]) -> None:
        """Look up, all at once, which of those who act for the first time are users of the bundle."""
        fresh = [user for user in set(users).difference(self._acted) if user is not None]
        if fresh:
            found = zip(fresh, self.base.users.find_all(fresh), strict=True)
            self._acted.update((user, ix) for user, ix in found if ix >= 0 and ix not in self._gone)

    def add(self, person: int, item_ix: int, kind_ix: int, time_us: int, place_ix: int = -1, weight: float = 1.0) -> None:
        """One more event of somebody by his number."""
        row = self._happened.add(Deeds.of([item_ix], [kind_ix], [time_us], [place_ix], [weight]))
        self._live.setdefault(person, array("q")).append(row)
        self._happened.sign(row, [person])

    def forget(self, user: str | None, session: str | None) -> int:
        """Drop somebody and everything he did from memory; gives how many live events went. The log forgets by itself."""
        ix = self.find(user, session)
        if ix < 0:
            return 0
        n = len(self._live.pop(ix, ()))
        if ix < self.n_base:
            self._gone.add(ix)
        if user is not None:
            self._acted.pop(user, None)
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
        self._acted.pop(self.base.users[ix], None)

    def is_masked(self, ix: int) -> bool:
        return ix in self._gone

    def sessions_of(self, user: str) -> list[str]:
        """The anonymous sessions that became this user, or were named after him."""
        ix = self.find_user(user)
        joined = [name for name, number in self._numbers.items() if name.startswith(SESSION) and self._merged.get(number) == ix >= 0]
        return [name.removeprefix(SESSION) for name in joined]

    def live(self, person: int) -> Histories:
        """What somebody did since the bundle, oldest first, as a batch of one."""
        return self._since(np.array([person]))

    def _since(self, people: AnyArray, most: int | None = None) -> Histories:
        """What each of n people did since the bundle, oldest first; of ``most`` only what came last."""
        lists = [self._live.get(person, _NOTHING)[-most if most else 0 :] for person in people.tolist()]
        offsets = offsets_of(np.array([len(rows) for rows in lists], np.int64))
        done = self._happened.deeds.take(np.fromiter(chain.from_iterable(lists), np.int64, int(offsets[-1])))
        if len(lists) > 1 or (done.time_us[1:] < done.time_us[:-1]).any():
            done = done.take(np.lexsort((done.time_us, row_of_flat(offsets))))
        return Histories(offsets, *done)

    def together(self, item_ix: int) -> dict[int, float]:
        """What people took within a few steps of an item since the bundle, with counts, over the newest who took it."""
        takers = {self._merged.get(person, person) for person in self._happened.takers(item_ix, _TAKERS)}
        done = self._since(np.array(sorted(takers), np.int64), _OF_EACH)
        liked = done.weight > 0
        items, owner = done.item_ix[liked], row_of_flat(done.offsets)[liked]
        near: list[AnyArray] = []
        for step in range(1, _NEAR + 1):
            one, other = items[step:], items[:-step]
            same = (owner[step:] == owner[:-step]) & (one != other)
            near += [other[same & (one == item_ix)], one[same & (other == item_ix)]]
        found, counts = np.unique(np.concatenate(near), return_counts=True)
        return dict(zip(found.tolist(), counts.astype(np.float64).tolist(), strict=True))

    def history(self, users: AnyArray, now_us: AnyArray | None = None) -> Histories:
        """Everything each person did strictly before the time beside him (all when None), oldest first.

        ``users`` (n,), -1 = nobody. Data without time has no before: there live events follow the known ones.
        """
        asked = np.asarray(users)
        gone = np.fromiter((u in self._gone for u in asked.tolist()), np.bool_, len(asked)) if self._gone else None
        base = np.where((asked < self.n_base) & (True if gone is None else ~gone), asked, -1)
        timed = self.base.manifest.order == "time"
        past = self.base.history(base, now_us if timed else None)
        if not any(person in self._live for person in asked.tolist()):
            return past
        return _both(past, self._since(asked), now_us if timed else None, timed)


def _both(past: Histories, since: Histories, now_us: AnyArray | None, timed: bool) -> Histories:
    """The two pasts of each person in one list."""
    rows = row_of_flat(since.offsets)
    if now_us is not None and not (before := since.time_us < now_us[rows]).all():
        lengths = np.bincount(rows[before], minlength=len(since))
        done = Deeds(since.item_ix, since.kind_ix, since.time_us, since.place_ix, since.weight).take(before)
        since, rows = Histories(offsets_of(lengths), *done), rows[before]
    rows = np.concatenate([past.items.rows, rows])
    ages = np.concatenate([past.time_us, since.time_us])
    # Positions and real times do not compare: where there is no time, what came since follows what was known.
    later = np.repeat(np.array([0, 1], np.int8), [len(past.time_us), len(since.time_us)])
    order = np.lexsort((ages, rows) if timed else (ages, later, rows))

    def column(known: AnyArray, more: AnyArray) -> AnyArray:
        return np.concatenate([known, more])[order]

    return Histories(
        offsets_of(past.lengths + since.lengths),
        column(past.item_ix, since.item_ix), column(past.kind_ix, since.kind_ix), ages[order],
        column(past.place_ix, since.place_ix), column(past.weight, since.weight),
    )  # fmt: skip
