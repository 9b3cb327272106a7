"""What really happened after each request, and the part of it a model may look at while fitting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from zhiyin.base.arrays import AnyArray, Float32, Float64, Ragged, flat_positions
from zhiyin.data.requests import Requests
from zhiyin.data.slates import Slates


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The relevant items of each of n requests; ``gain`` (n_flat,) grades them (None = all 1)."""

    items: Ragged
    gain: Float32 | None = None

    def __len__(self) -> int:
        return len(self.items)

    def take(self, rows: AnyArray) -> Truth:
        positions, offsets = flat_positions(self.items.offsets, rows)
        items = Ragged(offsets, self.items.values[positions])
        return Truth(items, None if self.gain is None else self.gain[positions])


Measure = Callable[[Slates, Truth], Float64]
"""Quality per request: (n,), NaN where it is undefined."""


@dataclass(frozen=True, slots=True, eq=False)
class Holdout:
    """Requests with their answers. In a Run it is the validation set: for early stopping and weights."""

    requests: Requests
    truth: Truth

    def __len__(self) -> int:
        return len(self.requests)

    def take(self, rows: AnyArray) -> Holdout:
        return Holdout(self.requests.take(rows), self.truth.take(rows))
