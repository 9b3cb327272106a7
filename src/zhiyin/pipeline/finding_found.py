"""What a search says: items with the words that found them, counts by facet, and what was done when nothing was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Fallback = Literal["", "corrected", "some words", "meaning", "popular"]
"""What a search fell back on: "" = nothing, the words were found as they were read."""


@dataclass(frozen=True, slots=True)
class FoundItem:
    """One item; ``reason`` says what found it, such as "matched: 手机 (pinyin)" or "close in meaning"."""

    item_ix: int
    item_id: str
    title: str
    score: float
    reason: str


@dataclass(frozen=True, slots=True)
class FacetCount:
    """A value of a facet and how many of the items found have it."""

    value: str
    count: int


@dataclass(frozen=True, slots=True)
class Completion:
    """What somebody may be typing; ``kind`` is "title" or the name of a category column."""

    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class Found:
    """One page of a search. ``total`` items can be paged through, from ``offset`` on; ``facets`` count over all of them.
    ``n_matched`` of them have the words, the others are close in meaning.

    ``understood`` is the query as it was read (typos mended, pinyin in characters); ``fallback`` names what was done when
    no item had the words, and ``note`` says it in a sentence. ``personalised`` is the weight that the asker's own
    preferences had, 0 = none. ``next_offset`` is None on the last page.
    """

    asked: str
    understood: str
    items: tuple[FoundItem, ...]
    total: int
    n_matched: int
    offset: int = 0
    facets: Mapping[str, tuple[FacetCount, ...]] = field(default_factory=dict)
    fallback: Fallback = ""
    note: str = ""
    personalised: float = 0.0

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[FoundItem]:
        return iter(self.items)

    @property
    def ids(self) -> list[str]:
        return [item.item_id for item in self.items]

    @property
    def next_offset(self) -> int | None:
        end = self.offset + len(self.items)
        return end if self.items and end < self.total else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {**asdict(self), "next_offset": self.next_offset}

    def __str__(self) -> str:
        said = self.asked if self.understood == self.asked else f"{self.asked} (read as: {self.understood})"
        lines = [f"{said} · {self.total:,} items", *([f"note: {self.note}"] if self.note else [])]
        lines += [f"{rank:3d}  {i.score:7.3f}  {i.title}  [{i.item_id}]  {i.reason}" for rank, i in enumerate(self.items, self.offset + 1)]
        return "\n".join(lines)
