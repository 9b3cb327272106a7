"""Counts that fade: what is popular and trending, kept up to date event by event.

Every count halves each ``half_life``; instead of ageing all of them at every step, an event weighs
2^(t / half_life) against a fixed origin, and all counts are scaled down together before numbers grow too large.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from zhiyin.base.arrays import Float32, Float64, Int32, Int64
from zhiyin.base.units import US_PER_DAY
from zhiyin.data.dataset import Dataset

_LARGEST = 400.0  # halvings; 2^400 is far from what a double holds


class Fading:
    """One fading count per item: (n_items,), growing with the catalogue."""

    def __init__(self, n_items: int, half_life_days: float, origin_us: int) -> None:
        self.half_life_us = half_life_days * US_PER_DAY
        self.origin_us = origin_us
        self.counts: Float64 = np.zeros(max(n_items, 1))

    def add(self, item_ix: Int32, time_us: Int64, weight: Float32) -> None:
        """Events (n,) in their order, whenever they happened."""
        ages = (time_us - self.origin_us) / self.half_life_us
        if (ages > _LARGEST).any():
            first = int(np.argmax(ages > _LARGEST))
            self.add(item_ix[:first], time_us[:first], weight[:first])
            self.counts *= np.exp2(-ages[first])
            self.origin_us = int(time_us[first])
            self.add(item_ix[first:], time_us[first:], weight[first:])
            return
        missing = int(item_ix.max(initial=0)) + 1 - len(self.counts)
        if missing > 0:
            self.counts = np.concatenate([self.counts, np.zeros(max(missing, len(self.counts) // 4 + 64))])
        np.add.at(self.counts, item_ix, weight * np.exp2(ages))

    def add_all(self, item_ix: Int32, time_us: np.ndarray, weight: np.ndarray) -> None:
        """Many events at once, none after the origin by more than ``_LARGEST`` halvings."""
        ages = np.clip((time_us - self.origin_us) / self.half_life_us, -_LARGEST, _LARGEST)
        self.counts += np.bincount(item_ix, weights=weight * np.exp2(ages), minlength=len(self.counts))

    def of(self, n_items: int) -> Float64:
        """Relative counts of the first n_items: (n_items,)."""
        if n_items <= len(self.counts):
            return self.counts[:n_items]
        return np.concatenate([self.counts, np.zeros(n_items - len(self.counts))])


class Counters:
    """``slow`` (90 days) is what is popular, ``fast`` (2 days) over ``slow`` what is trending."""

    def __init__(self, data: Dataset) -> None:
        self._data = data
        self.slow = Fading(0, 90.0, 0)
        self.fast = Fading(0, 2.0, 0)

    @cached_property
    def _known(self) -> tuple[Fading, Fading]:
        """The counts of the bundle: reads every event, so it waits until somebody asks what is popular."""
        data, events = self._data, self._data.positive.events
        timed = data.manifest.order == "time" and len(events) > 0
        origin = int(events.time_us[-1]) if timed else 0
        slow, fast = Fading(data.n_items, 90.0, origin), Fading(data.n_items, 2.0, origin)
        for fading in (slow, fast) if timed else (slow,) if len(events) else ():
            fading.add_all(events.item_ix, events.time_us if timed else np.zeros(len(events)), events.weight)
        return slow, fast

    def add(self, item_ix: Int32, time_us: Int64, weight: Float32) -> None:
        """Events (n,) in their order; one that is no sign of liking counts nowhere."""
        liked = weight > 0
        if not liked.all():
            item_ix, time_us, weight = item_ix[liked], time_us[liked], weight[liked]
        if not len(item_ix):
            return
        if not self.slow.origin_us:  # data without time: the first live event sets the origin
            self.slow.origin_us = self.fast.origin_us = int(time_us[0])
        self.slow.add(item_ix, time_us, weight)
        self.fast.add(item_ix, time_us, weight)

    def popular(self, n_items: int) -> Float64:
        """Relative counts of all items, known and live: (n_items,)."""
        return _both(self._known[0], self.slow, n_items)

    def trending(self, n_items: int) -> Float64:
        """Fast counts over what slow ones let expect, shrunk: rises, not size."""
        fast, slow = _both(self._known[1], self.fast, n_items), _both(self._known[0], self.slow, n_items)
        total_fast, total_slow = max(fast.sum(), 1e-12), max(slow.sum(), 1e-12)
        expected = slow / total_slow
        return np.asarray((fast / total_fast - expected) / np.sqrt(expected + 1.0 / max(n_items, 1)))


def _both(known: Fading, live: Fading, n_items: int) -> Float64:
    """Two counts as of the later origin; live ones of data without time count beside the known as they are."""
    if not live.origin_us:
        return known.of(n_items)
    if not known.origin_us:
        return known.of(n_items) + live.of(n_items)
    apart = min((live.origin_us - known.origin_us) / known.half_life_us, _LARGEST)
    return np.asarray(known.of(n_items) * np.exp2(-apart) + live.of(n_items))
