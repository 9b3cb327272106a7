"""Several placements for one person on one page: an item stands once, a shelf with too little is left out."""

from __future__ import annotations

from collections.abc import Sequence

from zhiyin.online.answers import Found
from zhiyin.online.snapshot import Snapshot
from zhiyin.pipeline.presets import HOME_PAGE


def shelves_of(snapshot: Snapshot, placements: Sequence[str] | None) -> list[str]:
    """The placements of a page from top to bottom, each once; without ``placements`` those of a home page that there are."""
    shelves = snapshot.recommender.shelves
    if placements is not None:
        return list(dict.fromkeys(placements))
    unfit = {"again"} if snapshot.recommender.data.manifest.repeat.policy == "never" else set()
    return [name for name in HOME_PAGE if shelves.has(name) and name not in unfit] or ["home"]


def least_of(snapshot: Snapshot, placement: str) -> int:
    """How many items a shelf needs to stand on a page."""
    shelves = snapshot.recommender.shelves
    return shelves.find(placement).least if shelves.has(placement) else 1


def ranked(found: Found, candidates: Sequence[int]) -> Found:
    """All of the given set: what the model says nothing of follows in the order it was given."""
    had = set(found.item_ix)
    rest = [ix for ix in dict.fromkeys(candidates) if ix not in had]
    last = found.score[-1] if found.score else 0.0
    score = [*found.score, *(last - 1 - place for place in range(len(rest)))]
    return Found([*found.item_ix, *rest], score, found.served_by, found.title, found.notes, found.about)
