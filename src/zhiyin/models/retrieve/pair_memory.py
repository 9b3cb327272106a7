"""What ``transitions`` says about windows of its own training data, without what the window taught it.

A model that listens to pair counts while it learns must hear them as it will for new histories: there the
answer has not been counted. So for every target the pairs of its own window are taken out again
(in-sample counts would look far too sure, and the model would learn to believe them).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from zhiyin.base.arrays import AnyArray, Float32, Int64, offsets_of
from zhiyin.data.dataset import Dataset
from zhiyin.models.retrieve.transitions import Transitions, TransitionsSpec


@dataclass(frozen=True)
class PairMemory:
    """Transitions with the scales that turn one more pair into one more score."""

    model: Transitions
    row_scale: Float32  # (n_items,)
    column_scale: Float32  # (n_items,)

    @classmethod
    def of(cls, spec: TransitionsSpec, data: Dataset) -> PairMemory:
        follows, rows, columns = spec.scaled(data)
        return cls(Transitions(spec, data.catalog, follows), rows.astype(np.float32), columns.astype(np.float32))

    def evidence(self, items: AnyArray, instants: AnyArray, window: AnyArray, place: AnyArray) -> sp.csr_matrix:
        """Scores of what may follow the event at (window, place): (n_targets, n_items), zeros left out.

        ``items`` and ``instants`` (n_windows, time), items -1 where padded at the end; ``window`` and
        ``place`` (n_targets,): everything up to and including that place is known.
        """
        n_items = len(self.row_scale)
        key = np.where(items >= 0, np.arange(len(items))[:, None] * n_items + items, -1)
        things, thing = np.unique(key, return_inverse=True)  # an item within a window
        thing = thing.reshape(items.shape)
        known = self._known(thing, instants, window, place, len(things))
        item_of = np.where(things >= 0, things % n_items, 0)
        lifted = sp.csr_matrix((known.data, item_of[known.indices], known.indptr), shape=(len(window), n_items))
        found = (lifted @ self.model.follows - known @ self._own(items, thing, len(things))).tocsr()
        found.data[found.data < 1e-6] = 0.0  # what rounding leaves of pairs that only this window knew
        found.eliminate_zeros()
        return sp.csr_matrix(found, dtype=np.float32)

    def _known(self, thing: AnyArray, instants: AnyArray, window: AnyArray, place: AnyArray, n_things: int) -> sp.csr_matrix:
        """The last events before each target, each thing once: (n_targets, n_things), newer ones weigh more."""
        spec = self.model.spec
        at = place[:, None] - np.arange(spec.last)  # (n_targets, last), newest first
        inside = at >= 0
        at = np.maximum(at, 0)
        seen = thing[window[:, None], at]
        for later in range(spec.last):
            for earlier in range(later + 1, spec.last):
                inside[:, earlier] &= seen[:, earlier] != seen[:, later]
        age = instants[window, place][:, None] - instants[window[:, None], at]
        values = np.power(spec.history_decay, age[inside]).astype(np.float32)
        return sp.csr_matrix((values, seen[inside], offsets_of(inside.sum(axis=1))), shape=(len(window), n_things))

    def _own(self, items: AnyArray, thing: AnyArray, n_things: int) -> sp.csr_matrix:
        """What each window itself added to the rows of its things: (n_things, n_items)."""
        spec = self.model.spec
        rows: list[Int64] = []
        columns: list[AnyArray] = []
        values: list[Float32] = []
        for gap in range(1, min(spec.reach, items.shape[1] - 1) + 1):
            before, after = items[:, :-gap], items[:, gap:]
            pair = (after >= 0) & (before != after)
            for one, other, own, share in ((before, after, thing[:, :-gap], 1.0), (after, before, thing[:, gap:], spec.backward)):
                if share:
                    rows.append(own[pair])
                    columns.append(other[pair])
                    weight = share * spec.gap_decay ** (gap - 1)
                    values.append(weight * self.row_scale[one[pair]] * self.column_scale[other[pair]])
        if not rows:
            return sp.csr_matrix((n_things, len(self.row_scale)), dtype=np.float32)
        flat = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
        return sp.csr_matrix(flat, shape=(n_things, len(self.row_scale)), dtype=np.float32)
