"""What answers at one moment: a recommender with everything that is looked up per item, ready. Never changed, only swapped."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from zhiyin.base.arrays import Bool, Int32
from zhiyin.base.errors import ConfigError
from zhiyin.data.catalog import Catalog
from zhiyin.data.filters import Columns, Filters
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.variants import Variants
from zhiyin.models.rerank.traits import Traits
from zhiyin.pipeline.business import BusinessRules
from zhiyin.pipeline.business_file import RuleFile
from zhiyin.pipeline.recommender import Recommender
from zhiyin.pipeline.told import language_of

if TYPE_CHECKING:  # what searches is imported when it is built: the first answer does not wait for it
    from zhiyin.pipeline.finding import Finder


@dataclass(frozen=True)
class Snapshot:
    """``version`` names bundle and model in every answer; ``revision`` counts changes of the catalogue since.

    ``finder`` searches the same catalogue; it is None until it has been built. ``best`` is ``ranked`` of a snapshot before it,
    so that a change of an item waits for no model.
    """

    recommender: Recommender
    version: str
    revision: int = 0
    rule_file: RuleFile | None = None
    finder: Finder | None = None
    best: Int32 | None = None

    @property
    def catalog(self) -> Catalog:
        return self.recommender.catalog

    @cached_property
    def ids(self) -> list[str]:
        return self.catalog.items.every()

    @cached_property
    def _sorted_ids(self) -> list[str]:
        return sorted(self.ids)

    def ids_sorted_after(self, after: str) -> Iterator[str]:
        """Ids beyond one, in the order of code points."""
        for place in range(bisect_right(self._sorted_ids, after), len(self._sorted_ids)):
            yield self._sorted_ids[place]

    @cached_property
    def titles(self) -> list[str]:
        return self.catalog.titles(np.arange(len(self.catalog)))

    @cached_property
    def language(self) -> str:
        return language_of(self.recommender.data)

    @cached_property
    def ranked(self) -> Int32:
        """The two thousand most popular items when this bundle took over, best first; asks the model unless ``best`` is known."""
        if self.best is not None:
            return self.best
        anybody = Requests.of(Histories.empty(1), now_us=self.recommender.newest_us)
        try:
            return np.asarray(self.recommender.fallback.retrieve(anybody, 2000).item_ix, np.int32)
        except Exception:  # any items are better than none
            return np.zeros(0, np.int32)

    @cached_property
    def popular(self) -> Int32:
        """The thousand most popular items there are, best first: what is said when nothing else can be."""
        shown = np.ones(len(self.catalog), np.bool_) if self.catalog.available is None else self.catalog.available
        found = self.ranked[shown[self.ranked]]
        return found[:1000] if len(found) else np.flatnonzero(shown)[:1000].astype(np.int32)

    @cached_property
    def rules(self) -> BusinessRules | None:
        """The business rules over this catalogue; raises ``ConfigError`` where one makes no sense for it."""
        if self.rule_file is None:
            return None
        return BusinessRules.of(self.rule_file, self.recommender.data, self.filters)

    @property
    def traits(self) -> Traits:
        """What re-rankers ask about the items."""
        return self.recommender.traits

    @cached_property
    def variants(self) -> Variants | None:
        """Which items are variants of one thing; None where none are."""
        return Variants.of(self.catalog, self.recommender.data.manifest)

    @cached_property
    def filters(self) -> Filters:
        """Reads filters over the columns of the items, and remembers what they allow."""
        return Filters(Columns.of(self.catalog, self.recommender.data.manifest), limit=256)

    def one_of_each(self, rows: Iterable[int], n: int | None = None) -> list[int]:
        """The first n rows, of variants of one thing the first."""
        if self.variants is None:
            return list(islice(rows, n))
        every = np.fromiter(rows, np.int64)
        firsts: list[int] = every[self.variants.firsts(every)][:n].tolist()
        return firsts

    def mask(self, said: str | dict[str, Any]) -> Bool:
        """The items a filter allows: (n_items,), the same array for the same filter."""
        return self.filters.mask(said, self.catalog)

    def rows_of(self, ids: list[str], role: str, notes: list[str]) -> list[int]:
        """Row numbers of items; unknown ones are left out and noted."""
        return self.recommender.asker.found(ids, role, notes)


def checked_size(n: int | None, size: int) -> int:
    """How many items are wanted; raises ``ConfigError`` beyond what one answer holds."""
    wanted = size if n is None else n
    if not 1 <= wanted <= 1000:
        raise ConfigError(f"n = {wanted} is outside 1 to 1,000", "Ask for fewer, and follow the cursor.")
    return wanted
