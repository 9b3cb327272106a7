"""Recent: the requester's own last items, newest first. score = 1 / (1 + events since); nothing is learned."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import scipy.sparse as sp

from zhiyin.base.arrays import Float32, Int32
from zhiyin.base.errors import UnknownNameError, nearest
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.run import Run
from zhiyin.models.retrieve.dense import DenseRetriever, never_where_zero
from zhiyin.models.retrieve.profile import liked, newest_of_each
from zhiyin.models.roles import ModelSpec, State


class RecentSpec(ModelSpec):
    """Choose for "recently viewed"; see ``buy-again`` for habits. It never offers anything new.

    ``kinds`` are the event kinds that count ("view"); without them every event that is a sign of liking.
    """

    kind: ClassVar[str] = "recent"

    kinds: tuple[str, ...] = ()

    def fit(self, data: Dataset, run: Run) -> Recent:
        return Recent(self, data.catalog, kind_numbers(data, self.kinds))

    def restore(self, state: State, catalog: Catalog) -> Recent:
        return Recent(self, catalog, state.arrays["kind_ix"])


def kind_numbers(data: Dataset, names: tuple[str, ...]) -> Int32:
    """Their numbers in ``data.kinds``; ``UnknownNameError`` for a kind the data does not have."""
    for name in names:
        if name not in data.kinds:
            raise UnknownNameError(f"data set '{data.manifest.name}' has no event kind '{name}'", nearest(name, data.kinds))
    return np.array([data.kinds.index(name) for name in names], np.int32)


@dataclass(frozen=True)
class Recent(DenseRetriever):
    spec: RecentSpec
    catalog: Catalog
    kind_ix: Int32  # which kinds count; none = liked events of any kind

    def scores(self, requests: Requests) -> Float32:
        history = self._counted(requests.history)
        at, indptr = newest_of_each(history, len(self.catalog))
        since = np.repeat(history.offsets[1:], np.diff(indptr)) - 1 - at
        shape = (len(requests), len(self.catalog))
        found: Float32 = sp.csr_matrix(((1.0 / (1 + since)).astype(np.float32), history.item_ix[at], indptr), shape=shape).toarray()
        return never_where_zero(found)

    def _counted(self, history: Histories) -> Histories:
        return history.where(np.isin(history.kind_ix, self.kind_ix)) if len(self.kind_ix) else liked(history)

    def state(self) -> State:
        return State({"kind_ix": self.kind_ix})

    def with_catalog(self, catalog: Catalog) -> Self:
        return replace(self, catalog=catalog)
