"""Rules of a placement as masks over the catalogue: which items may stand on which shelf."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl

from zhiyin.base.arrays import AnyArray, Bool, Float32, Int32, Int64, Ragged, offsets_of
from zhiyin.base.errors import ConfigError, nearest
from zhiyin.base.units import US_PER_DAY
from zhiyin.data.categories import numbered
from zhiyin.data.dataset import Dataset
from zhiyin.pipeline.placement import Rules

CATEGORIES = ("category", "domain")
UNSEEN = np.iinfo(np.int64).max


@dataclass(frozen=True)
class ItemFacts:
    """What rules ask about items. Rows of the catalogue from ``n_known`` on joined it after fitting."""

    data: Dataset
    n_known: int
    _categories: dict[str, tuple[Int32, list[str]]] = field(default_factory=dict, compare=False)

    def category_column(self, asked: str | None) -> str:
        """The column rules on categories read; raises ``ConfigError`` where there is none."""
        items = self.data.manifest.items
        declared = [name for name, kind in (items.columns if items else {}).items() if kind in CATEGORIES]
        known = [name for name in declared if name in self.data.catalog.table.columns]
        if asked is None and known:
            return known[0]
        if asked is None:
            raise ConfigError("a rule compares categories, and no column of the items has the type category", "Name it in rules.category.")
        if asked not in self.data.catalog.table.columns:
            raise ConfigError(
                f"rules.category names '{asked}', which is no column of the items", nearest(asked, self.data.catalog.table.columns)
            )
        return asked

    def categories(self, asked: str | None) -> tuple[Int32, list[str]]:
        """Number of each item's category, -1 = none, and their names: (n_items,)."""
        column = self.category_column(asked)
        if column not in self._categories:
            codes, names = numbered(self.data.catalog, column)
            self._categories[column] = codes, list(names)
        return self._categories[column]

    @cached_property
    def price(self) -> Float32:
        """The column of type price, NaN = unknown: (n_items,)."""
        items = self.data.manifest.items
        named = [name for name, kind in (items.columns if items else {}).items() if kind == "price"]
        if not named:
            raise ConfigError("a rule compares prices, and no column of the items has the type price", "Name one in zhiyin.toml.")
        return self.data.catalog.table[named[0]].cast(pl.Float32, strict=False).fill_null(float("nan")).to_numpy()

    @cached_property
    def first_us(self) -> Int64:
        """When an item came into the world: (n_items,), UNSEEN where nobody knows.

        Its publish column, else its first event; an item that joined the catalogue after fitting came just then.
        """
        events, n = self.data.events, len(self.data.catalog)
        first = np.full(n, UNSEEN, np.int64)
        item, at = np.unique(events.item_ix, return_index=True)  # events ascend in time
        first[item] = events.time_us[at]
        newest = int(events.time_us[-1]) if len(events) else 0
        late = np.arange(n) >= self.n_known
        first[late & (first == UNSEEN)] = newest
        publish = self.data.manifest.items.publish if self.data.manifest.items else None
        if publish is not None and publish in self.data.catalog.table.columns:
            said = self.data.catalog.table[publish].cast(pl.Int64)
            first = said.fill_null(pl.Series(first)).to_numpy()
        return np.asarray(first, np.int64)

    def check(self, rules: Rules) -> None:
        """Raise ``ConfigError`` where a rule asks what these items do not tell."""
        if rules.category_of_items != "any" or rules.only or rules.exclude:
            _, names = self.categories(rules.category)
            for name in (*rules.only, *rules.exclude):
                if name not in names:
                    raise ConfigError(f"no item has the category '{name}' that a rule names", nearest(name, names))
        if rules.max_text_similarity is not None and "text" not in self.data.catalog.vectors:
            raise ConfigError("a rule compares texts, and these items have no text vectors", "Give the items text columns.")
        if rules.min_price_ratio is not None or rules.max_price_ratio is not None:
            self.price  # noqa: B018 (raises where there is none)
        if rules.fresh_days is not None and self.data.manifest.order != "time":
            raise ConfigError("a rule asks for what is new, and these events have no time", "Leave rules.fresh_days out.")


def allowed_by(rules: Rules, facts: ItemFacts, now_us: int) -> Bool | None:
    """Items that pass the rules which are equal for everybody at this time: (n_items,); None = all."""
    masks: list[Bool] = []
    if rules.only or rules.exclude:
        codes, names = facts.categories(rules.category)
        for asked, wanted in ((rules.only, True), (rules.exclude, False)):
            if asked:
                masks.append(np.isin(codes, [names.index(name) for name in asked if name in names]) == wanted)
    if rules.fresh_days is not None:
        masks.append((facts.first_us < now_us) & (facts.first_us >= now_us - int(rules.fresh_days * US_PER_DAY)))
    return np.logical_and.reduce(masks) if masks else None


def banned_by(rules: Rules, facts: ItemFacts, about: Ragged) -> Ragged:
    """Items that do not pass the rules which compare with the items of each shelf."""
    n_items = len(facts.data.catalog)
    banned = np.zeros((len(about), n_items), np.bool_)
    categories = facts.categories(rules.category)[0] if rules.category_of_items != "any" else None
    for row in range(len(about)):
        items = about[row]
        if not len(items):
            continue
        if categories is not None:
            same = np.isin(categories, np.unique(categories[items][categories[items] >= 0]))
            banned[row] |= same if rules.category_of_items == "other" else ~same
        if rules.max_text_similarity is not None:
            text = facts.data.catalog.vectors["text"].matrix
            banned[row] |= (text @ text[items].T).max(axis=1) > rules.max_text_similarity
        banned[row] |= _outside_price(rules, facts, items)
    return Ragged(offsets_of(banned.sum(axis=1)), np.nonzero(banned)[1].astype(np.int32))


def _outside_price(rules: Rules, facts: ItemFacts, items: AnyArray) -> Bool:
    """Items cheaper or dearer than the rules allow, measured by the dearest of ``items``: (n_items,)."""
    out = np.zeros(len(facts.data.catalog), np.bool_)
    if rules.min_price_ratio is None and rules.max_price_ratio is None:
        return out
    known = facts.price[items][np.isfinite(facts.price[items])]
    if not len(known):
        return out
    price = facts.price / max(float(known.max()), 1e-9)
    low, high = rules.min_price_ratio or 0.0, rules.max_price_ratio or np.inf
    return np.asarray(~((price >= low) & (price <= high)))
