"""Joining candidates with the asker's own history, request by request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from zhiyin.base.arrays import AnyArray, Float64, Int64


@dataclass(frozen=True, eq=False)
class Own:
    """Events of n requests grouped by (request, code); candidates find their group."""

    group: Int64  # (n_events,) group of each event, -1 = code unknown
    found: Int64  # (n_rows,) group of each candidate, -1 = none
    n_groups: int

    @classmethod
    def of(cls, event_request: AnyArray, event_code: AnyArray, row_request: AnyArray, row_code: AnyArray) -> Self:
        """Codes are small non-negative whole numbers, -1 = unknown."""
        width = int(max(event_code.max(initial=0), row_code.max(initial=0))) + 1
        key = np.where(event_code >= 0, event_request * width + event_code, -1)
        known, group = np.unique(key[key >= 0], return_inverse=True)
        groups = np.full(len(key), -1, np.int64)
        groups[key >= 0] = group
        wanted = row_request * width + row_code
        at = np.minimum(np.searchsorted(known, wanted), max(len(known) - 1, 0))
        hit = (row_code >= 0) & (known[at] == wanted) if len(known) else np.zeros(len(wanted), np.bool_)
        return cls(groups, np.where(hit, at, -1), len(known))

    def total(self, weights: AnyArray) -> Float64:
        """Sum of the weights of the events in each candidate's group, 0 without: (n_rows,)."""
        kept = self.group >= 0
        sums = np.bincount(self.group[kept], weights=weights[kept], minlength=self.n_groups + 1)
        return np.where(self.found >= 0, sums[self.found], 0.0)

    def newest(self, time: AnyArray) -> Float64:
        """The largest time in each candidate's group, NaN without: (n_rows,)."""
        latest = np.full(self.n_groups + 1, -np.inf)
        kept = self.group >= 0
        np.maximum.at(latest, self.group[kept], time[kept].astype(np.float64))
        return np.where(self.found >= 0, latest[self.found], np.nan)
