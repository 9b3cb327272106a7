"""What somebody may be typing: titles and categories that begin so, the popular ones first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from zhiyin.base.arrays import AnyArray, Bool, Float32, Int32
from zhiyin.index.complete import PrefixIndex
from zhiyin.index.lexical_segment import as_bytes, as_texts, grown
from zhiyin.pipeline.finding_found import Completion
from zhiyin.text.script import folded
from zhiyin.text.words_keys import LONGEST, prefix_keys, prefix_of

TITLE = "title"


@dataclass(frozen=True, eq=False)
class Completer:
    """Distinct texts with the items behind them; texts without an item that can be had are not offered."""

    index: PrefixIndex = field(default_factory=PrefixIndex)
    texts: tuple[Completion, ...] = ()
    places: tuple[Mapping[tuple[str, str], int], ...] = ()  # (folded text, kind) -> entry, in layers
    entries: Int32 = field(default_factory=lambda: np.zeros(0, np.int32))  # (n_pairs,)
    items: Int32 = field(default_factory=lambda: np.zeros(0, np.int32))  # (n_pairs,) an item behind each entry

    def with_texts(self, pairs: Iterable[tuple[int, str, str]]) -> Self:
        """With (item, text, kind) pairs: a text that is there already has one more item behind it."""
        new, fresh, entries, items = dict[tuple[str, str], int](), list[Completion](), list[int](), list[int]()
        for item, text, kind in pairs:
            if len(text) > LONGEST:  # nobody types a paragraph on
                continue
            key = (folded(text), kind)
            entry = next((place[key] for place in (new, *self.places) if key in place), None)
            if entry is None:
                entry = new[key] = len(self.texts) + len(fresh)
                fresh.append(Completion(" ".join(text.split()), kind))
            entries.append(entry)
            items.append(item)
        return replace(
            self,
            index=self.index.with_entries([prefix_keys(completion.text) for completion in fresh]),
            texts=(*self.texts, *fresh),
            places=grown(self.places, new, lambda a, b: {**a, **b}) if new else self.places,
            entries=np.concatenate([self.entries, np.array(entries, np.int32)]),
            items=np.concatenate([self.items, np.array(items, np.int32)]),
        )

    def state(self) -> dict[str, AnyArray]:
        """Arrays for safetensors."""
        return {
            **self.index.state(),
            "texts": as_bytes(completion.text for completion in self.texts),
            "kinds": as_bytes(completion.kind for completion in self.texts),
            "entries": self.entries,
            "items": self.items,
        }

    @classmethod
    def restore(cls, state: Mapping[str, AnyArray]) -> Self:
        texts = tuple(map(Completion, as_texts(state["texts"]), as_texts(state["kinds"])))
        place = {(folded(completion.text), completion.kind): entry for entry, completion in enumerate(texts)}
        return cls(PrefixIndex.restore(state), texts, (place,) if place else (), state["entries"], state["items"])

    def without(self, rows: AnyArray) -> Self:
        """No item of these rows stands behind a text any more."""
        kept = ~np.isin(self.items, rows)
        return replace(self, entries=self.entries[kept], items=self.items[kept])

    def weights(self, popularity: Float32, live: Bool | None) -> Float32:
        """How popular each text is, -1 where nothing that can be had stands behind it: (n_texts,)."""
        kept = np.ones(len(self.items), np.bool_) if live is None else live[self.items]
        entries, items = self.entries[kept], self.items[kept]
        total = np.bincount(entries, popularity[items], minlength=len(self.texts))
        there = np.bincount(entries, minlength=len(self.texts)) > 0
        return np.where(there, total, -1.0).astype(np.float32)

    def complete(self, typed: str, n: int, weights: Float32) -> list[Completion]:
        """The n texts that go on so, the most popular first; pinyin may be typed with spaces."""
        prefix = prefix_of(typed)
        found = self.index.search(prefix, n, weights)
        if not len(found) and " " in prefix:
            found = self.index.search(prefix.replace(" ", ""), n, weights)
        return [self.texts[i] for i in found if weights[i] >= 0]
