"""Names that people type: whoever is called so, by the beginnings of the words, with pinyin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zhiyin.base.arrays import Float64
from zhiyin.index.complete import PrefixIndex
from zhiyin.text.words_keys import prefix_keys, prefix_of

COLUMNS = ("name", "title", "nickname", "display_name", "username")
"""Columns of a row that may say how somebody is called, the best first."""
_LOOKED_AT = 2_000


def name_of(row: Mapping[str, Any] | None) -> str:
    """How a row says that it is called, "" = it does not."""
    said = (row or {}).get
    return next((value for column in COLUMNS if isinstance(value := said(column), str) and value.strip()), "")


class Names:
    """Names by number, the numbers from 0 on. One thread at a time."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._index = PrefixIndex()
        self._owners: list[int] = []
        self._texts: list[str] = []
        self._new: list[tuple[int, str]] = []

    def __getitem__(self, number: int) -> str:
        return self._names[number]

    def put(self, number: int, name: str) -> None:
        """Call something so from now on."""
        if self._names.get(number) != name:
            self._names[number] = name
            self._new.append((number, name))

    def search(self, typed: str, weights: Float64, n: int) -> list[int]:
        """The n whose name goes on like the text, or has each of its words as the beginning of a word; those of greatest
        weight (n_numbers,) first, below 0 never."""
        if self._new:
            self._owners += [number for number, _ in self._new]
            self._texts += [name for _, name in self._new]
            self._index = self._index.with_entries([prefix_keys(name) for _, name in self._new])
            self._new = []
        if not self._owners:
            return []
        worth = weights[np.array(self._owners)]
        words = [part for word in typed.split() if (part := prefix_of(word))]
        found = [self._index.search(prefix_of(typed), _LOOKED_AT, worth).tolist()]
        if len(words) > 1:
            each = [set(self._index.search(word, _LOOKED_AT, worth).tolist()) for word in words]
            found.append(sorted(set.intersection(*each), key=lambda entry: (-worth[entry], entry)))
        entries = [entry for some in found for entry in some if worth[entry] >= 0]
        # An entry stays when its owner is renamed; it is his only while he is called so.
        named = (self._owners[entry] for entry in entries if self._names.get(self._owners[entry]) == self._texts[entry])
        return list(dict.fromkeys(named))[:n]
