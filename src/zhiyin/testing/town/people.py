"""The people: homes, work, shifts by the hour, and tastes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zhiyin.base.arrays import AnyArray, Float32, Float64, Int32, Int64
from zhiyin.base.units import US_PER_HOUR
from zhiyin.spacetime.calendar import HOURS_PER_WEEK
from zhiyin.testing.town.layout import N_SQUARES, SIDE, US_PER_WEEK
from zhiyin.testing.town.spec import TownSpec
from zhiyin.testing.town.words import DOMAINS, MOODS, THEMES

SHIFT_HOURS = (0, -2, 4)  # usual day, early birds, night people: hours added to everything they do
SHIFT_SHARE = (0.6, 0.2, 0.2)
UNREAD = -2.5  # liking of a language one does not read
READS = {"en": [[0, UNREAD]], "zh": [[UNREAD, 0]], "mixed": [[0, UNREAD], [UNREAD, 0], [0, 0]]}


@dataclass(frozen=True, slots=True)
class People:
    """n_users people; likings are centred around 0 with a spread near 1."""

    home: Int32  # (n,) square
    work: Int32  # (n,) square
    haunt: Int32  # (n,) square of free evenings and weekends
    shift: Int32  # (n,) into SHIFT_HOURS
    activity: Float64  # (n,) relative number of events
    theme: Float32  # (n, n_themes)
    mood: Float32  # (n, n_moods)
    domain: Float32  # (n, n_domains)
    language: Float32  # (n, 2): 0 = reads it, UNREAD = does not

    def __len__(self) -> int:
        return len(self.home)

    @classmethod
    def born(cls, spec: TownSpec, rng: np.random.Generator) -> People:
        n = spec.n_users
        # Offices stand in the middle; people live anywhere.
        middle = np.clip(np.rint(rng.normal((SIDE - 1) / 2, 1.3, (n, 2))), 0, SIDE - 1).astype(np.int32)
        theme = rng.normal(0, 0.5, (n, len(THEMES)))
        for _ in range(2):  # two or so loves each; the rest is lukewarm
            theme[np.arange(n), rng.integers(0, len(THEMES), n)] += 2.0
        reads = np.array(READS[spec.language], np.float32)
        return cls(
            home=rng.integers(0, N_SQUARES, n).astype(np.int32),
            work=(middle[:, 1] * SIDE + middle[:, 0]).astype(np.int32),
            haunt=rng.integers(0, N_SQUARES, n).astype(np.int32),
            shift=rng.choice(len(SHIFT_HOURS), n, p=SHIFT_SHARE).astype(np.int32),
            activity=rng.lognormal(0, 0.7, n).clip(0.1, 12),
            theme=theme.astype(np.float32),
            mood=rng.normal(0, 0.9, (n, len(MOODS))).astype(np.float32),
            domain=rng.normal(0, 0.5, (n, len(DOMAINS))).astype(np.float32),
            language=reads[rng.integers(0, len(reads), n)],
        )

    def where(self, user: AnyArray, hour_of_week: AnyArray) -> Int32:
        """The square a person is usually in: (n,). Work on working days, the haunt in free time, else home."""
        own = (hour_of_week - np.array(SHIFT_HOURS)[self.shift[user]]) % HOURS_PER_WEEK
        day, hour = own // 24, own % 24
        at_work = (day < 5) & (hour >= 9) & (hour < 18)
        out = ((day < 5) & (hour >= 18) & (hour < 21)) | ((day >= 5) & (hour >= 11) & (hour < 19))
        return np.where(at_work, self.work[user], np.where(out, self.haunt[user], self.home[user])).astype(np.int32)


def awake() -> Float64:
    """How likely each hour of the week is for each shift, rows sum to 1: (n_shifts, 168)."""
    hour = np.arange(24)
    day = np.where((hour >= 7) & (hour < 23), 1.0, 0.06)
    day = day + 0.9 * _bump(hour, 8) + 0.8 * _bump(hour, 12.5) + 1.3 * _bump(hour, 20)
    week = np.concatenate([np.tile(day, 5), np.tile(day * 1.25, 2)])
    rows = np.stack([np.roll(week, shift) for shift in SHIFT_HOURS])
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))


def _bump(hour: AnyArray, peak: float, width: float = 1.5) -> Float64:
    """A soft peak around an hour of the day, round the clock."""
    gap = np.abs((hour - peak + 12) % 24 - 12)
    return np.asarray(np.exp(-0.5 * (gap / width) ** 2))


def visits(people: People, spec: TownSpec, rng: np.random.Generator) -> tuple[Int32, Int64]:
    """Who acts when: person (n_events,) in blocks, microseconds since the town's start, ascending per person."""

    extra = rng.multinomial(spec.n_events - spec.n_users, people.activity / people.activity.sum())
    user = np.repeat(np.arange(spec.n_users, dtype=np.int32), extra + 1)
    cumulative = np.cumsum(awake(), axis=1)
    cumulative /= cumulative[:, -1:]
    shift = people.shift[user]
    # One search for all: row r of the cumulative table lies in (r, r + 1].
    flat = (cumulative + np.arange(len(cumulative))[:, None]).ravel()
    slot = np.searchsorted(flat, shift + rng.random(len(user)), side="left") - shift * HOURS_PER_WEEK
    span = np.int64(spec.weeks * US_PER_WEEK)
    time = rng.integers(0, spec.weeks, len(user)) * np.int64(US_PER_WEEK) + slot.clip(0, HOURS_PER_WEEK - 1) * np.int64(US_PER_HOUR)
    time += rng.integers(0, US_PER_HOUR // 1_000_000, len(user)) * np.int64(1_000_000)
    key = user * span + time
    key.sort()
    return user, np.asarray(key % span, np.int64)
