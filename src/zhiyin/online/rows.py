"""What an ask names, looked up: people, items, places, filters, pages before. Whatever makes no sense is refused here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from zhiyin.base.arrays import Bool
from zhiyin.base.errors import ConfigError
from zhiyin.online.asks import Ask
from zhiyin.online.people import People
from zhiyin.online.snapshot import Snapshot, checked_size
from zhiyin.pipeline.paging import Cursor
from zhiyin.pipeline.placement import Placement

BEGIN = ""
"""The cursor that asks for the first page of several."""


@dataclass(slots=True)
class Row:
    """One ask after its words became numbers; rows of equal ``key`` go through the model together.

    A placement, rules, or re-rankers (``alone``) work on lists that have one filter in common; other lists need not.
    """

    ask: Ask
    at_us: int
    n: int
    person: int
    history: list[int] | None
    about: list[int] | None
    gone: list[int]
    candidates: list[int] | None
    mask: Bool | None
    standing: Placement | None
    place: int
    notes: list[str]
    cursor: Cursor | None

    def key(self, alone: bool) -> tuple[object, ...]:
        ask = self.ask
        mask = id(self.mask) if self.mask is not None and (alone or self.standing is not None or ask.text is not None) else 0
        given = (ask.text is not None, self.candidates is not None, self.about is not None)
        start = self.cursor.start if self.cursor else 0
        return (ask.placement, self.n, ask.repeat, mask, given, ask.seed, ask.diversity, ask.novelty, start)


def looked_up(snapshot: Snapshot, people: People, ask: Ask, now_us: int, shown: Sequence[int] = ()) -> Row:
    """The row of an ask; ``shown`` must not stand there again. Raises ``ConfigError`` or ``UnknownNameError``."""
    shelves = snapshot.recommender.shelves
    notes: list[str] = []
    standing = None
    if ask.placement != "home" or (shelves.has("home") and ask.text is None):
        standing = shelves.find(ask.placement)
    if ask.items is not None and (standing is None or standing.about == "person"):
        raise ConfigError(f"items were given, and placement '{ask.placement}' is about the person", 'Say placement = "product" or "cart".')
    person = people.find(ask.user, ask.session) if ask.personalized else -1
    if ask.user is not None and ask.personalized and person < 0:
        notes.append(f"user '{ask.user}' is unknown")
    gone = snapshot.rows_of(ask.exclude, "excluded", notes) if ask.exclude else []
    cursor, at_us = None, time_of(ask.time, now_us)
    if ask.cursor is not None:
        cursor = Cursor.begin(question(ask), at_us, ask.seed) if ask.cursor == BEGIN else Cursor.read(ask.cursor, question(ask))
        at_us = cursor.now_us
        gone = [*gone, *(ix for ix in map(snapshot.catalog.items.find, cursor.shown) if ix >= 0)]
    place = -1
    if ask.place is not None:
        place = snapshot.recommender.data.places.find(ask.place)
        if place < 0:
            notes.append(f"place '{ask.place}' is unknown")
    return Row(
        ask, at_us, checked_size(ask.n, standing.size if standing is not None else 10), person,
        None if ask.history is None or not ask.personalized else snapshot.rows_of(ask.history, "history", notes),
        None if ask.items is None else snapshot.rows_of(ask.items, "given", notes),
        [*gone, *shown],
        None if ask.candidates is None else snapshot.rows_of(ask.candidates, "candidate", notes),
        snapshot.mask(ask.filter) if ask.filter is not None else None,
        standing, place, notes, cursor,
    )  # fmt: skip


def question(ask: Ask) -> dict[str, Any]:
    """What says which list it is, but not which page of it, nor how long a page."""
    said: dict[str, Any] = msgspec.to_builtins(ask)
    return {name: value for name, value in said.items() if name not in ("cursor", "n", "language")}


def time_of(said: int | str | None, now_us: int) -> int:
    """Microseconds of a time that is one already, ISO 8601 text, or absent."""
    if said is None:
        return now_us
    if isinstance(said, int):
        if not 0 <= said < 2**62:
            raise ConfigError(f"time {said} is outside what microseconds since 1970 can say", "Give microseconds, or ISO 8601 text.")
        return said
    try:
        parsed = datetime.fromisoformat(said)
    except ValueError:
        raise ConfigError(f"time '{said[:40]}' is not ISO 8601", "Write 2026-11-22T10:30:00+08:00, or microseconds since 1970.") from None
    return round((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1e6)
