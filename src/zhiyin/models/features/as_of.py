"""How often something happened before an instant, older events weighing less: exact for any instant.

For every key the events stand in time order, each with the logarithm of the decayed sum up to it; the
sum as of ``now`` is the last one before ``now``, decayed by the time since. One search per question,
whatever the half-life, and an event at ``now`` or later can change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from zhiyin.base.arrays import AnyArray, Float64, Int64
from zhiyin.base.units import US_PER_DAY

LN2 = float(np.log(2.0))
_APART = 60.0
"""Sums of different keys are kept this many powers of e apart in one running sum: they never mix."""


@dataclass(frozen=True, eq=False)
class AsOfCounts:
    """n events under n_keys keys. ``half_lives_days`` may be empty: then only plain counts exist.

    Memory: 8 bytes an event, 8 more for each half-life, 12 a key, and 8 an instant, which all that count one log share.
    """

    keys: Int64  # (n_keys,) ascending
    instants: Int64  # (n_instants,) ascending, distinct; some may have no event of these
    order: Int64  # (n,) key number * (n_instants + 1) + instant number, ascending
    starts: AnyArray  # (n_keys,) first event of each key
    origin_us: int  # the first event: what ages are reckoned from
    logs: Mapping[float, Float64]  # half-life in days -> (n,) log of the decayed sum, in units of 2^(time / half-life)

    @classmethod
    def of(cls, keys: AnyArray, time_us: AnyArray, half_lives_days: tuple[float, ...] = ()) -> Self:
        """From one key and one time per event, in any order."""
        return cls.at(keys, *np.unique(np.asarray(time_us, np.int64), return_inverse=True), half_lives_days)

    @classmethod
    def at(cls, keys: AnyArray, instants: Int64, when: AnyArray, half_lives_days: tuple[float, ...] = ()) -> Self:
        """The same from the number of each event's instant: what counts the same log by other keys shares ``instants``."""
        known, number = np.unique(np.asarray(keys, np.int64), return_inverse=True)
        order = number.astype(np.int64) * (len(instants) + 1) + when
        order.sort()
        number = order // (len(instants) + 1)
        starts = np.searchsorted(number, np.arange(len(known))).astype(np.int32 if len(order) < 2**31 else np.int64)
        origin = int(instants[np.min(when)]) if len(order) else 0
        logs = {}
        for half_life in half_lives_days:
            days = (instants[order % (len(instants) + 1)] - origin) / US_PER_DAY
            steps = days * (LN2 / half_life)
            apart = (float(steps.max(initial=0)) + _APART) * number
            logs[half_life] = np.logaddexp.accumulate(steps + apart) - apart if len(steps) else steps
        return cls(known, instants, order, starts, origin, logs)

    def counts(self, keys: AnyArray, now_us: AnyArray) -> Int64:
        """Events of each key strictly before its instant: (n,)."""
        place, number, known = self._before(keys, now_us)
        return np.where(known, place - self._start(number) + 1, 0)

    def decayed(self, keys: AnyArray, now_us: AnyArray, half_life_days: float) -> Float64:
        """Sum of 2^(-age / half-life) over those events: (n,)."""
        place, _, known = self._before(keys, now_us)
        if not len(self.order):
            return np.zeros(len(place))
        days = (np.asarray(now_us) - self.origin_us) / US_PER_DAY
        exponent = self.logs[half_life_days][place] - days * (LN2 / half_life_days)
        return np.where(known, np.exp(np.minimum(exponent, 50.0)), 0.0)

    def last_us(self, keys: AnyArray, now_us: AnyArray) -> Int64:
        """When the key last happened before the instant; -1 = never: (n,)."""
        place, _, known = self._before(keys, now_us)
        if not len(self.order):
            return np.full(len(place), -1, np.int64)
        return np.where(known, self.instants[self.order[place] % (len(self.instants) + 1)], -1)

    def _start(self, number: AnyArray) -> AnyArray:
        return self.starts[number] if len(self.starts) else np.zeros(len(number), np.int64)

    def _before(self, keys: AnyArray, now_us: AnyArray) -> tuple[Int64, Int64, AnyArray]:
        """Position of the newest event before each instant, the key's number, and whether there is one."""
        keys = np.asarray(keys, np.int64)
        number = np.minimum(np.searchsorted(self.keys, keys), max(len(self.keys) - 1, 0))
        if not len(self.keys):
            return np.zeros(len(keys), np.int64), number, np.zeros(len(keys), np.bool_)
        when = np.searchsorted(self.instants, np.asarray(now_us, np.int64), side="left")
        place = np.searchsorted(self.order, number * (len(self.instants) + 1) + when, side="left") - 1
        known = (self.keys[number] == keys) & (place >= self.starts[number])
        return np.maximum(place, 0).astype(np.int64), number.astype(np.int64), known

    def arrays(self) -> dict[str, AnyArray]:
        logs = {f"log.{half_life!r}": values for half_life, values in self.logs.items()}
        origin = np.array([self.origin_us], np.int64)
        return {"keys": self.keys, "instants": self.instants, "order": self.order, "starts": self.starts, "origin": origin, **logs}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, AnyArray]) -> Self:
        logs = {float(name.removeprefix("log.")): values for name, values in arrays.items() if name.startswith("log.")}
        return cls(arrays["keys"], arrays["instants"], arrays["order"], arrays["starts"], int(arrays["origin"][0]), logs)
