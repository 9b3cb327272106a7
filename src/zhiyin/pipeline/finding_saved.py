"""What search learned from the items, saved with a model: a server that starts can search at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from zhiyin.base.arrays import AnyArray
from zhiyin.data.dataset import Dataset
from zhiyin.models.roles import State
from zhiyin.pipeline.finding import Finder, popularity_of
from zhiyin.pipeline.finding_documents import Columns
from zhiyin.pipeline.finding_facets import Facets
from zhiyin.pipeline.finding_learned import Learned
from zhiyin.pipeline.finding_near import Near
from zhiyin.text.synonyms import Synonyms
from zhiyin.text.vectors import NAME

if TYPE_CHECKING:
    from zhiyin.pipeline.recommender import Recommender


def read_items(data: Dataset) -> State:
    """What reading every item gives, ready to be saved; .2 ms of CPU an item."""
    catalog = data.catalog
    learned = Learned.of(catalog, Columns.of(data.manifest, catalog), Facets.of(catalog, data.manifest))
    near = State(Near.of(catalog.vectors[NAME].matrix).arrays) if NAME in catalog.vectors else State()
    return State({"popularity": popularity_of(data)}).holding({"learned": learned.state(), "near": near})


def finder_of(recommender: Recommender, synonyms: Synonyms | None = None, changed: Sequence[str] = ()) -> Finder:
    """Search over the items of a recommender.

    Where it was saved with what search learned, only new and ``changed`` items (ids; unknown ones are passed over) are
    read; else all are.
    """
    data, saved = recommender.data, recommender.search
    if saved is None:
        return Finder.of(data, recommender.reader, synonyms=synonyms)
    catalog, learned = data.catalog, Learned.restore(saved.under("learned"))
    known = learned.index.n_rows
    again = np.array(sorted({ix for ix in map(catalog.items.find, changed) if 0 <= ix < known}), np.int64)
    if len(again) or len(catalog) > known:
        learned = learned.with_rows(catalog, Columns.of(data.manifest, catalog), again)
    popularity = np.concatenate([saved.arrays["popularity"], np.zeros(len(catalog) - known, np.float32)])
    near = _near(recommender, saved.under("near").arrays, known, again)
    return Finder.of(data, recommender.reader, learned=learned, near=near, popularity=popularity, synonyms=synonyms)


def _near(recommender: Recommender, saved: Mapping[str, AnyArray], known: int, changed: AnyArray) -> Near | None:
    """The text vectors as they are now, around those that were saved."""
    vectors = recommender.catalog.vectors.get(NAME)
    if recommender.reader is None or vectors is None or not saved:
        return None
    return Near.restored(vectors.matrix[:known], saved).with_rows(vectors.matrix, changed)
