"""Where and when: the town's grid of squares, its calendar, and groups of things that people tell apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zhiyin.base.arrays import Float64, Int32
from zhiyin.base.units import US_PER_DAY, US_PER_HOUR
from zhiyin.testing.town.words import DOMAINS, LANGUAGES, MOODS, THEMES

TIME_ZONE = "Asia/Shanghai"  # no daylight saving: local time is UTC + 8 h all year
START_US = 1_704_038_400_000_000  # Monday 2024-01-01 00:00 in the town
US_PER_WEEK = 7 * US_PER_DAY
UTC_OFFSET_US = 8 * US_PER_HOUR

SIDE = 8  # squares per side, each of 1 km
N_SQUARES = SIDE * SIDE
WEST_DEG, SOUTH_DEG = 121.44, 31.20
KM_PER_DEG_LAT = 111.2
KM_PER_DEG_LON = KM_PER_DEG_LAT * float(np.cos(np.deg2rad(SOUTH_DEG)))


def square_names() -> list[str]:
    """ "A1" in the south-west to "H8" in the north-east: (64,)."""
    return [f"{chr(65 + s % SIDE)}{s // SIDE + 1}" for s in range(N_SQUARES)]


def square_degrees() -> tuple[Float64, Float64]:
    """Latitude and longitude of the middle of each square: (64,), (64,)."""
    row, column = np.divmod(np.arange(N_SQUARES, dtype=np.float64), SIDE)
    return SOUTH_DEG + (row + 0.5) / KM_PER_DEG_LAT, WEST_DEG + (column + 0.5) / KM_PER_DEG_LON


def square_km() -> Float64:
    """Distances between the middles of squares in kilometres: (64, 64)."""
    s = np.arange(N_SQUARES)
    x, y = s % SIDE, s // SIDE
    return np.asarray(np.hypot(x[:, None] - x[None, :], y[:, None] - y[None, :]), np.float64)


@dataclass(frozen=True, slots=True)
class Groups:
    """Every combination of domain, theme, mood and language; things of one group differ only by place and appeal.

    Each array is (n_groups,) and gives the part's number in ``DOMAINS``, ``THEMES``, ``MOODS``, ``LANGUAGES``.
    """

    domain: Int32
    theme: Int32
    mood: Int32
    language: Int32

    @classmethod
    def all(cls) -> Groups:
        sizes = (len(DOMAINS), len(THEMES), len(MOODS), len(LANGUAGES))
        return cls(*(part.ravel().astype(np.int32) for part in np.indices(sizes)))

    def __len__(self) -> int:
        return len(self.domain)

    @property
    def topic(self) -> Int32:
        """Domain and theme in one number: what habits are about."""
        return (self.domain * len(THEMES) + self.theme).astype(np.int32)


N_TOPICS = len(DOMAINS) * len(THEMES)
