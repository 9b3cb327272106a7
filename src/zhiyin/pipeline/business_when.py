"""When and where a rule holds: windows of time on somebody's clocks, placements, places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np

from zhiyin.base.arrays import Bool, Int64
from zhiyin.base.units import US_PER_DAY, US_PER_MINUTE
from zhiyin.data.requests import Requests
from zhiyin.data.vocab import Vocabulary
from zhiyin.pipeline.business_file import Book, Rule, minutes_of
from zhiyin.spacetime.calendar import local_us, zone

ALWAYS, NEVER = -(2**62), 2**62
_WEEK = 7 * 1440
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, eq=False)
class Window:
    """From ``begin_us`` to before ``end_us``, and within it the minutes of the week where ``minutes`` (10080,) says so."""

    begin_us: int = ALWAYS
    end_us: int = NEVER
    minutes: Bool | None = None  # from Monday 00:00 on the clocks of ``zone``; None = all
    zone: str = "UTC"

    @classmethod
    def of(cls, rule: Rule, book: Book) -> Window:
        clocks = rule.zone or book.zone
        begin = ALWAYS if rule.begins is None else _instant(rule.begins, clocks)
        last = rule.ends
        if last is not None and not isinstance(last, datetime):
            last = last + timedelta(days=1)  # a day is meant to its end
        end = NEVER if last is None else _instant(last, clocks)
        return cls(begin, end, _minutes(rule) if rule.days or rule.hours else None, clocks)

    def at(self, now_us: Int64) -> Bool:
        """Whether the window is open at these instants: (n,)."""
        inside: Bool = (now_us >= self.begin_us) & (now_us < self.end_us)
        if self.minutes is not None and inside.any():
            there = local_us(now_us, self.zone)
            # Day 0 of 1970 was a Thursday.
            inside &= self.minutes[((there // US_PER_MINUTE) + 3 * 1440) % _WEEK]
        return inside


def _instant(said: date, clocks: str) -> int:
    moment = said if isinstance(said, datetime) else datetime(said.year, said.month, said.day)
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=zone(clocks))
    return round(aware.timestamp() * 1e6)


def _minutes(rule: Rule) -> Bool:
    out = np.zeros(_WEEK, np.bool_)
    for day in rule.days or _DAYS:
        start = _DAYS.index(day) * 1440
        for begin, end in (minutes_of(said) for said in rule.hours or ("00:00-24:00",)):
            long = end - begin if end > begin else end - begin + 1440
            out[(start + begin + np.arange(long)) % _WEEK] = True
    return out


@dataclass(frozen=True, eq=False)
class Scope:
    """``placements`` and ``places`` None = everywhere; ``places`` (n_places,) marks those where the rule holds."""

    window: Window
    placements: frozenset[str] | None = None
    places: Bool | None = None

    @classmethod
    def of(cls, rule: Rule, book: Book, places: Vocabulary) -> Scope:
        named = [*rule.places, *(place for region in rule.regions for place in book.regions[region])]
        known = None
        if rule.places or rule.regions:
            known = np.zeros(len(places), np.bool_)
            ix = places.ix_of(named)
            known[ix[ix >= 0]] = True
        return cls(Window.of(rule, book), frozenset(rule.placements) or None, known)

    def at(self, requests: Requests, now_us: Int64) -> Bool:
        """For which requests the rule holds: (n,)."""
        open_ = self.window.at(now_us)
        if self.placements is not None:
            open_ &= placed_at(requests, self.placements)
        if self.places is not None:
            open_ &= self._here(requests)
        return open_

    def _here(self, requests: Requests) -> Bool:
        if requests.place_ix is None or self.places is None or not len(self.places):
            return np.zeros(len(requests), np.bool_)
        known = (requests.place_ix >= 0) & (requests.place_ix < len(self.places))
        return known & self.places[np.where(known, requests.place_ix, 0)]


def placed_at(requests: Requests, names: frozenset[str]) -> Bool:
    """Which requests are for one of these placements: (n,)."""
    if requests.placement is None:
        return np.full(len(requests), "home" in names, np.bool_)
    return np.fromiter((name in names for name in requests.placement.tolist()), np.bool_, len(requests))


def together(scopes: Sequence[Scope], now_us: int) -> bool:
    """Whether there is a request for which all of them hold: a placement, a place and a minute.

    Minutes are tried over the first week on which all windows are open, from now on if it began before.
    """
    names = [s.placements for s in scopes if s.placements is not None]
    if names and not frozenset.intersection(*names):
        return False
    places = [s.places for s in scopes if s.places is not None]
    if places and not np.logical_and.reduce(places).any():
        return False
    begin = max(s.window.begin_us for s in scopes)
    end = min(s.window.end_us for s in scopes)
    if begin >= end:
        return False
    if all(s.window.minutes is None for s in scopes):
        return True
    start = max(begin, min(now_us, end - 7 * US_PER_DAY))
    instants = np.arange(start, min(end, start + 7 * US_PER_DAY), US_PER_MINUTE, dtype=np.int64)
    return bool(np.logical_and.reduce([s.window.at(instants) for s in scopes]).any())
