"""Several placements for one person on one page: an item stands once, a shelf with too little is left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from zhiyin.base.errors import ZhiyinError
from zhiyin.online.answers import Found
from zhiyin.online.asks import Ask
from zhiyin.online.snapshot import Snapshot
from zhiyin.pipeline.presets import HOME_PAGE

Answering = Callable[[Ask, Sequence[int]], Found | ZhiyinError]


def page(snapshot: Snapshot, ask: Ask, placements: Sequence[str] | None, answering: Answering) -> tuple[list[tuple[str, Found]], list[str]]:
    """The shelves by placement from top to bottom, and notes about those left out.

    Without ``placements``, those of a home page that there are. Raises ``UnknownNameError`` for one nobody defined.
    """
    shelves = snapshot.recommender.shelves
    unfit = {"again"} if snapshot.recommender.data.manifest.repeat.policy == "never" else set()
    names = [name for name in HOME_PAGE if shelves.has(name) and name not in unfit] if placements is None else list(placements)
    if not names:
        names = ["home"]
    shown: list[int] = []
    found: list[tuple[str, Found]] = []
    notes: list[str] = []
    for name in dict.fromkeys(names):
        least = shelves.find(name).least if shelves.has(name) or name != "home" else 1
        one = answering(msgspec.structs.replace(ask, placement=name), shown)
        if isinstance(one, ZhiyinError):
            raise one
        if len(one.item_ix) < least:
            notes.append(f"shelf '{name}' left out: {len(one.item_ix)} items, it needs {least}")
            continue
        shown = [*shown, *one.item_ix]
        found.append((name, one))
    return found, notes


def ranked(found: Found, candidates: Sequence[int]) -> Found:
    """All of the given set: what the model says nothing of follows in the order it was given."""
    had = set(found.item_ix)
    rest = [ix for ix in dict.fromkeys(candidates) if ix not in had]
    last = found.score[-1] if found.score else 0.0
    score = [*found.score, *(last - 1 - place for place in range(len(rest)))]
    return Found([*found.item_ix, *rest], score, found.served_by, found.title, found.notes, found.about)
