"""From a batch of asks to replies: asks alike in kind go through the model together, whoever sent them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from zhiyin.base.arrays import AnyArray, Bool, Ragged
from zhiyin.base.errors import ConfigError, ZhiyinError
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.schema import Repeat
from zhiyin.data.slates import Slates
from zhiyin.online.asks import Ask, Shown
from zhiyin.online.people import People
from zhiyin.online.snapshot import Snapshot, checked_size
from zhiyin.pipeline.merge import joined
from zhiyin.pipeline.placement import Language, Placement


@dataclass(frozen=True, slots=True)
class Found:
    """What was found for one ask. ``item_ix`` and ``score`` are the list; the rest is said beside it."""

    item_ix: list[int]
    score: list[float]
    served_by: str
    title: str = ""
    notes: tuple[str, ...] = ()
    about: str = ""


@dataclass(slots=True)
class _Row:
    """One ask after its words became numbers."""

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
    key: tuple[object, ...] = ()


def answer(
    snapshot: Snapshot, people: People, asks: Sequence[Ask], now_us: int, shown: Sequence[Sequence[int]] = ()
) -> list[Found | ZhiyinError]:
    """One result for each ask, in order; an ask that cannot be answered gets its error, the others their lists.

    ``shown`` are row numbers that must not stand there again (earlier pages), per ask.
    """
    out: list[Found | ZhiyinError] = [Found([], [], "nobody")] * len(asks)
    groups: dict[tuple[object, ...], list[tuple[int, _Row]]] = {}
    for i, ask in enumerate(asks):
        try:
            row = _row(snapshot, people, ask, now_us, shown[i] if shown else ())
        except ZhiyinError as error:
            out[i] = error
            continue
        groups.setdefault(row.key, []).append((i, row))
    for members in groups.values():
        rows = [row for _, row in members]
        try:
            found: Iterable[Found | ZhiyinError] = _together(snapshot, people, rows)
        except ZhiyinError as error:
            found = [error] * len(rows)
        for (i, _), result in zip(members, found, strict=True):
            out[i] = result
    return out


def _row(snapshot: Snapshot, people: People, ask: Ask, now_us: int, shown: Sequence[int]) -> _Row:
    """Look up everything an ask names; raises where it makes no sense."""
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
    place = -1
    if ask.place is not None:
        place = snapshot.recommender.data.places.find(ask.place)
        if place < 0:
            notes.append(f"place '{ask.place}' is unknown")
    n = checked_size(ask.n, standing.size if standing is not None else 10)
    mask = snapshot.mask(ask.filter) if ask.filter is not None else None
    row = _Row(
        ask, time_of(ask.time, now_us), n, person,
        None if ask.history is None or not ask.personalized else snapshot.rows_of(ask.history, "history", notes),
        None if ask.items is None else snapshot.rows_of(ask.items, "given", notes),
        [*gone, *shown],
        None if ask.candidates is None else snapshot.rows_of(ask.candidates, "candidate", notes),
        mask, standing, place, notes,
    )  # fmt: skip
    row.key = (ask.placement, n, ask.repeat, id(mask) if mask is not None else 0, ask.text is not None, row.candidates is None, ask.seed)
    return row


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


def _together(snapshot: Snapshot, people: People, rows: list[_Row]) -> list[Found | ZhiyinError]:
    """Rows of one kind through the model as one batch."""
    recommender, first = snapshot.recommender, rows[0]
    requests = _requests(snapshot, people, rows)
    n, standing = first.n, first.standing
    about = None
    if standing is None and first.ask.text is not None:
        slates, served = recommender.by_text(requests, n), "text"
    elif standing is None:
        slates, served = recommender.by_model(requests, n)
    else:
        if standing.about in ("last", "items") and any(row.about is not None for row in rows):
            about = _given(snapshot, [row.about or [] for row in rows], requests.now_us)
        shelf = recommender.shelves.stand(standing, requests, n, about)
        slates, served, about = shelf.slates, shelf.served_by, shelf.about
    return [_found(snapshot, slates, i, row, served, about) for i, row in enumerate(rows)]


def _found(snapshot: Snapshot, slates: Slates, i: int, row: _Row, served: str, about: Histories | None) -> Found:
    begin, end = int(slates.offsets[i]), int(slates.offsets[i + 1])
    title = ""
    anchor = ""
    if row.standing is not None and about is not None:
        language: Language = row.ask.language or ("zh" if snapshot.language == "zh" else "en")
        place = snapshot.recommender.data.places[row.place] if row.place >= 0 else ""
        one = about.take(np.array([i]))
        title = snapshot.recommender.shelves.title(
            row.standing, language, one, place, kinds_known=row.history is None and row.about is None
        )
        if row.standing.about in ("last", "items") and len(one.item_ix):
            anchor = snapshot.titles[int(one.item_ix[-1])]
    return Found(
        slates.item_ix[begin:end].tolist(), slates.score[begin:end].tolist(), served, title, tuple(row.notes), anchor
    )  # fmt: skip


def _requests(snapshot: Snapshot, people: People, rows: list[_Row]) -> Requests:
    """The batch as the models read it."""
    recommender, data, ask = snapshot.recommender, snapshot.recommender.data, rows[0].ask
    timed = data.manifest.order == "time"
    at = np.array([row.at_us for row in rows], np.int64) if timed else np.full(len(rows), recommender.newest_us, np.int64)
    person = np.array([row.person for row in rows], np.int32)
    past = people.history(person, at)
    if any(row.history is not None for row in rows):
        past = _replaced(snapshot, past, rows, at)
    # What a model learned of users by number holds for those it was fitted on.
    known = np.where(person < data.n_users, person, -1).astype(np.int32)
    requests = Requests.of(past, known, at, seed=ask.seed)
    if any(row.place >= 0 for row in rows):
        requests = replace(requests, place_ix=np.array([row.place for row in rows], np.int32))
    if any(row.ask.context for row in rows):
        requests = replace(requests, context=_context(snapshot, rows))
    if ask.text is not None:
        vectors = np.stack([recommender.asker.query(row.ask.text or "") for row in rows])
        requests = replace(requests, query=tuple(row.ask.text or "" for row in rows), query_vectors=vectors)
    if rows[0].mask is not None:
        requests = replace(requests, allowed=rows[0].mask)
    if rows[0].candidates is not None:
        requests = replace(requests, candidates=Ragged.of([row.candidates or [] for row in rows]))
    repeat = Repeat(policy=ask.repeat) if ask.repeat else rows[0].standing.repeat if rows[0].standing else None
    requests = recommender.asker.excluding(requests, [], rows[0].n, repeat, ask.placement)
    if any(row.gone for row in rows):
        own = Ragged.of([row.gone for row in rows])
        requests = replace(requests, exclude=own if requests.exclude is None else joined(requests.exclude, own))
    return requests


def _replaced(snapshot: Snapshot, past: Histories, rows: list[_Row], at: AnyArray) -> Histories:
    """Histories that were given stand in for known ones."""
    parts = []
    for i, row in enumerate(rows):
        own = past.take(np.array([i])) if row.history is None else snapshot.recommender.asker.given(row.history, int(at[i]))
        parts.append(own)
    return Histories.concatenated(parts)


def _given(snapshot: Snapshot, lists: list[list[int]], at: AnyArray) -> Histories:
    return Histories.concatenated([snapshot.recommender.asker.given(items, int(now)) for items, now in zip(lists, at, strict=True)])


def _context(snapshot: Snapshot, rows: list[_Row]) -> dict[str, AnyArray]:
    """Each context column of the data with what every row says of it, None where it says nothing."""
    known = snapshot.recommender.data.manifest.events.context
    for row in rows:
        row.notes += [f"context '{name}' is unknown, left out" for name in row.ask.context or {} if name not in known]
    said = {name for row in rows for name in row.ask.context or {} if name in known}
    return {name: np.array([(row.ask.context or {}).get(name) for row in rows], object) for name in sorted(said)}


def shown_of(snapshot: Snapshot, found: Found, language: Language, reasons: Sequence[str] = ()) -> list[Shown]:
    """The list in words."""
    code, why = reason_of(found, language)
    ids, titles = snapshot.ids, snapshot.titles
    return [Shown(ids[ix], score, titles[ix], code, why) for ix, score in zip(found.item_ix, found.score, strict=True)]


REASONS = {
    "popular": ("popular", "Popular with everybody", "大家都喜欢"),
    "trending": ("trending", "Trending now", "正在流行"),
    "text": ("text", "Matches what you asked for", "符合您的描述"),
    "content": ("text", "Matches what you asked for", "符合您的描述"),
    "recent": ("recent", "You looked at it lately", "您最近看过"),
    "buy-again": ("again", "You took it before", "您以前选过"),
    "due-again": ("again", "You took it before", "您以前选过"),
    "going-on": ("continue", "Go on where you stopped", "继续上次的内容"),
    "bought-together": ("together", "Often taken together", "经常一起选择"),
}
_ANY = ("taste", "Fits what you did", "根据您的行为推荐")


def reason_of(found: Found, language: Language) -> tuple[str, str]:
    """A code and a sentence for a list, by who made it; a shelf about an item names that item."""
    code, english, chinese = REASONS.get(found.served_by.split(",")[0], _ANY)
    if found.about and code in ("taste", "together", "text"):
        english, chinese = f"Because of {found.about}", f"因为“{found.about}”"
    return code, chinese if language == "zh" else english
