"""What somebody may be typing: titles and categories that begin so, the popular ones first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import pyarrow as pa

from zhiyin.base.arrays import AnyArray, Bool, Float32, Int32, found_under, named_under
from zhiyin.data.texts import packed, unpacked
from zhiyin.data.vocab import Vocabulary
from zhiyin.index.complete import PrefixIndex
from zhiyin.index.lexical import FEW_TERMS
from zhiyin.pipeline.finding_found import Completion
from zhiyin.text.script import folded
from zhiyin.text.words_keys import LONGEST, prefix_keys, prefix_of

TITLE = "title"


_NO_TEXTS = pa.array([], pa.string())


@dataclass(frozen=True, eq=False)
class Completer:
    """Distinct texts with the items behind them; texts without an item that can be had are not offered."""

    index: PrefixIndex = field(default_factory=PrefixIndex)
    keys: Vocabulary = field(default_factory=lambda: Vocabulary.trusted(_NO_TEXTS))  # (n_texts,) kind and folded text
    texts: pa.Array = field(default_factory=lambda: _NO_TEXTS)  # (n_texts,) as people read them
    entries: Int32 = field(default_factory=lambda: np.zeros(0, np.int32))  # (n_pairs,)
    items: Int32 = field(default_factory=lambda: np.zeros(0, np.int32))  # (n_pairs,) an item behind each entry

    def with_texts(self, pairs: Iterable[tuple[int, str, str]]) -> Self:
        """With (item, text, kind) pairs: a text that is there already has one more item behind it."""
        new, fresh, entries, items = dict[str, int](), list[str](), list[int](), list[int]()
        for item, text, kind in pairs:
            if len(text) > LONGEST:  # nobody types a paragraph on
                continue
            key = f"{kind}\n{folded(text)}"
            entry = new.get(key, -1)
            if entry < 0 and (entry := self.keys.find(key)) < 0:
                entry = new[key] = len(self.texts) + len(fresh)
                fresh.append(" ".join(text.split()))
            entries.append(entry)
            items.append(item)
        return replace(
            self,
            index=self.index.with_entries([prefix_keys(text) for text in fresh]),
            keys=self.keys.extended(new),
            texts=pa.concat_arrays([self.texts, pa.array(fresh, pa.string())]) if fresh else self.texts,
            entries=np.concatenate([self.entries, np.array(entries, np.int32)]),
            items=np.concatenate([self.items, np.array(items, np.int32)]),
        )

    def state(self) -> dict[str, AnyArray]:
        """Arrays for safetensors."""
        parts = {"index": self.index.state(), "keys": self.keys.arrays(FEW_TERMS), "texts": packed(self.texts)}
        arrays = {name: array for prefix, part in parts.items() for name, array in named_under(prefix, part).items()}
        return {**arrays, "entries": self.entries, "items": self.items}

    @classmethod
    def restore(cls, state: Mapping[str, AnyArray]) -> Self:
        """At once, however many texts: they are read where they lie."""
        keys, texts = Vocabulary.restored(found_under("keys", state)), unpacked(found_under("texts", state))
        return cls(PrefixIndex.restore(found_under("index", state)), keys, texts, state["entries"], state["items"])

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
        return [Completion(self.texts[i].as_py(), self.keys[i].partition("\n")[0]) for i in found.tolist() if weights[i] >= 0]
