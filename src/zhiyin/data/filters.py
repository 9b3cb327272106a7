"""Filters: which items may come back, as an expression over the columns of the items.

    filters = Filters(Columns.of(catalog, manifest))
    filters.mask('price < 20 and tags contains "sale"', catalog)   # (n_items,) booleans

As text (``filters_text`` has the grammar) or as JSON (``filters_json``). What a missing value means is
said in ``filters_tree``. Evaluated over all items at once, because a mask serves every request that
carries the same filter; indexes keep what they derive from a mask as long as the mask itself lives.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Any

from zhiyin.base.arrays import Bool
from zhiyin.data.catalog import Catalog
from zhiyin.data.filters_check import Columns
from zhiyin.data.filters_json import parse_json
from zhiyin.data.filters_mask import mask_of
from zhiyin.data.filters_text import parse_text
from zhiyin.data.filters_tree import Filter

__all__ = ["Columns", "Filter", "Filters", "mask_of", "parse_filter"]


def parse_filter(said: str | Mapping[str, Any], columns: Columns) -> Filter:
    """A filter from text or JSON, checked against the columns.

    Raises ``UnknownNameError`` with the nearest name for an unknown column, else ``ConfigError`` with the
    place of the mistake.
    """
    return parse_text(said, columns) if isinstance(said, str) else parse_json(said, columns)


class Filters:
    """Masks of filters, each evaluated once per catalogue; the ``limit`` used last are kept. Thread-safe.

    Masks are read-only: that is how an index knows that it may keep what it made of one.
    """

    def __init__(self, columns: Columns, limit: int = 64) -> None:
        self.columns = columns
        self.limit = limit
        self._parsed: OrderedDict[str, Filter] = OrderedDict()
        self._masks: OrderedDict[str, tuple[weakref.ref[Catalog], Bool]] = OrderedDict()
        self._lock = Lock()

    def parse(self, said: str | Mapping[str, Any]) -> Filter:
        """As ``parse_filter``; the same text is read once."""
        if not isinstance(said, str):
            return parse_filter(said, self.columns)
        with self._lock:
            found = self._parsed.get(said)
        if found is None:
            found = parse_filter(said, self.columns)
            self._keep(self._parsed, said, found)
        return found

    def mask(self, said: str | Mapping[str, Any] | Filter, catalog: Catalog) -> Bool:
        """Items that pass: (n_items,), read-only; the same array while filter and catalogue stay the same."""
        parsed = self.parse(said) if isinstance(said, str | Mapping) else said
        key = str(parsed)
        with self._lock:
            known = self._masks.get(key)
            if known is not None and known[0]() is catalog:
                self._masks.move_to_end(key)
                return known[1]
        found = mask_of(parsed, catalog.table)
        found.setflags(write=False)
        self._keep(self._masks, key, (weakref.ref(catalog), found))
        return found

    def _keep(self, kept: OrderedDict[str, Any], key: str, value: Any) -> None:
        with self._lock:
            kept[key] = value
            kept.move_to_end(key)
            while len(kept) > self.limit:
                kept.popitem(last=False)
