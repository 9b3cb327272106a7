"""From a batch of asks to replies: asks alike in kind go through the model together, whoever sent them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zhiyin.base.arrays import AnyArray, Ragged
from zhiyin.base.errors import ZhiyinError
from zhiyin.data.requests import Histories, Masks, Requests
from zhiyin.data.schema import Repeat
from zhiyin.data.slates import Slates
from zhiyin.models.rerank.fatigue import Fatigue
from zhiyin.models.rerank.knobs import DEPTH
from zhiyin.models.rerank.reranker import reranked
from zhiyin.models.roles import Reranker
from zhiyin.online.asks import Ask, Shown
from zhiyin.online.people import People
from zhiyin.online.rest import REST, with_rest
from zhiyin.online.rows import Row, looked_up
from zhiyin.online.showings import Showings
from zhiyin.online.snapshot import Snapshot
from zhiyin.online.variants import distinct, of_each, without_siblings
from zhiyin.pipeline.paging import Cursor
from zhiyin.pipeline.placement import Language
from zhiyin.pipeline.reranking import allowed_by_chains


@dataclass(frozen=True, slots=True)
class Found:
    """What was found for one ask. ``item_ix`` and ``score`` are the list; the rest is said beside it."""

    item_ix: list[int]
    score: list[float]
    served_by: str
    title: str = ""
    notes: tuple[str, ...] = ()
    about: str = ""
    reasons: tuple[tuple[str, ...], ...] = ()  # what rules said of each item; () where there are none
    cursor: Cursor | None = None


def answer(
    snapshot: Snapshot,
    people: People,
    asks: Sequence[Ask],
    now_us: int,
    shown: Sequence[Sequence[int]] = (),
    showings: Showings | None = None,
) -> list[Found | ZhiyinError]:
    """One result for each ask, in order; an ask that cannot be answered gets its error, the others their lists.

    ``shown`` are row numbers that must not stand there again (earlier pages), per ask; ``showings`` is what fatigue counts.
    """
    out: list[Found | ZhiyinError] = [Found([], [], "nobody")] * len(asks)
    groups: dict[tuple[object, ...], list[tuple[int, Row]]] = {}
    ruled = snapshot.rule_file is not None
    for i, ask in enumerate(asks):
        try:
            row = looked_up(snapshot, people, ask, now_us, shown[i] if shown else ())
            if snapshot.variants is not None:
                without_siblings(snapshot, snapshot.variants, row, shown[i] if shown else ())
        except ZhiyinError as error:
            out[i] = error
            continue
        groups.setdefault(row.key(ruled or _turned(ask)), []).append((i, row))
    for members in groups.values():
        rows = [row for _, row in members]
        try:
            found: Iterable[Found | ZhiyinError] = _together(snapshot, people, rows, showings)
        except ZhiyinError as error:
            found = [error] * len(rows)
        for (i, _), result in zip(members, found, strict=True):
            out[i] = result
    return out


def _together(snapshot: Snapshot, people: People, rows: list[Row], showings: Showings | None) -> list[Found | ZhiyinError]:
    """Rows of one kind through the model as one batch: candidates, rules and re-rankers, then the first n."""
    first = rows[0]
    requests = _requests(snapshot, people, rows)
    rerankers, requests = _reranking(snapshot, showings, rows, requests)
    rules = snapshot.rules if snapshot.rules is not None and snapshot.rules.rules else None
    depth = max(first.n, DEPTH) if rerankers or rules else first.n
    # Candidates that an asker gives are his choice: all of them may stand there.
    variants = snapshot.variants if first.candidates is None else None
    if variants is None:
        slates, served, about = _retrieved(snapshot, rows, requests, depth, first.n)
    else:
        n_items = len(snapshot.catalog)
        slates, served, about = distinct(variants, lambda k, n: _retrieved(snapshot, rows, requests, k, n), depth, first.n, n_items)
    reasons: list[tuple[str, ...]] = []
    if rules is not None:
        start = first.cursor.start if first.cursor else 0
        slates = rules.apply(requests, slates, rerankers=rerankers, retrieve=snapshot.recommender.model.retrieve, start=start)
    elif rerankers:
        slates = reranked(rerankers, requests, slates)
    if variants is not None and rules is not None:  # they may have added some
        slates = of_each(variants, slates)
    slates = slates.top(first.n) if depth > first.n else slates
    if rules is not None:
        reasons = rules.reasons(slates, language_of_ask(snapshot, first.ask))
    return [_found(snapshot, slates, i, row, served, about, reasons) for i, row in enumerate(rows)]


def _reranking(snapshot: Snapshot, showings: Showings | None, rows: list[Row], requests: Requests) -> tuple[tuple[Reranker, ...], Requests]:
    """The re-rankers of the placement under the knobs of the ask, and the requests without what they would never show."""
    first = rows[0]
    if not _turned(first.ask) and (first.standing is None or not first.standing.rerankers):
        return (), requests
    chains = snapshot.recommender.chains
    chain = chains.of(first.standing, diversity=first.ask.diversity, novelty=first.ask.novelty)
    if showings is not None:
        catalog, past = snapshot.catalog, requests.history
        chain = tuple(showings.fatigue(one.spec, catalog, rows, past) if isinstance(one, Fatigue) else one for one in chain)
    return chain, allowed_by_chains(chains, first.standing, requests)


def _turned(ask: Ask) -> bool:
    return ask.diversity is not None or ask.novelty is not None


def _retrieved(snapshot: Snapshot, rows: list[Row], requests: Requests, n: int, fill: int) -> tuple[Slates, str, Histories | None]:
    """The lists, who made them, and what they are about at placements that are about something. What no model speaks of only
    fills them up to ``fill``: a re-ranker would take the unknown for the varied.
    """
    recommender, first = snapshot.recommender, rows[0]
    if first.standing is None:
        if first.ask.text is not None:
            return recommender.by_text(requests, n), "text", None
        slates, served = recommender.by_model(requests, n)
        return *_whole(snapshot, requests, slates, fill, served), None
    about = None
    if first.standing.about in ("last", "items") and first.about is not None:
        about = _given(snapshot, [row.about or [] for row in rows], requests.now_us)
    shelf = recommender.shelves.stand(first.standing, requests, n, about)
    if not first.standing.fill:
        return shelf.slates, shelf.served_by, shelf.about
    return *_whole(snapshot, requests, shelf.slates, fill, shelf.served_by), shelf.about


def _whole(snapshot: Snapshot, requests: Requests, slates: Slates, n: int, served: str) -> tuple[Slates, str]:
    """Lists filled up with what no model speaks of, and who served."""
    whole, more = with_rest(snapshot.catalog, requests, slates, n)
    if not more:
        return slates, served
    return whole, f"{served}, then {REST}" if len(slates.item_ix) else REST


def _found(
    snapshot: Snapshot, slates: Slates, i: int, row: Row, served: str, about: Histories | None, reasons: Sequence[tuple[str, ...]]
) -> Found:
    begin, end = int(slates.offsets[i]), int(slates.offsets[i + 1])
    title = ""
    anchor = ""
    if row.standing is not None and about is not None:
        language = language_of_ask(snapshot, row.ask)
        place = snapshot.recommender.data.places[row.place] if row.place >= 0 else ""
        one = about.take(np.array([i]))
        title = snapshot.recommender.shelves.title(
            row.standing, language, one, place, kinds_known=row.history is None and row.about is None
        )
        if row.standing.about in ("last", "items") and len(one.item_ix):
            anchor = snapshot.titles[int(one.item_ix[-1])]
    items = slates.item_ix[begin:end].tolist()
    cursor = row.cursor.after([snapshot.ids[ix] for ix in items]) if row.cursor is not None and items else None
    said = tuple(reasons[begin:end])
    return Found(items, slates.score[begin:end].tolist(), served, title, tuple(row.notes), anchor, said, cursor)


def language_of_ask(snapshot: Snapshot, ask: Ask) -> Language:
    """What the asker said, else what the items speak."""
    return ask.language or ("zh" if snapshot.language == "zh" else "en")


def _requests(snapshot: Snapshot, people: People, rows: list[Row]) -> Requests:
    """The batch as the models read it."""
    recommender, data, ask = snapshot.recommender, snapshot.recommender.data, rows[0].ask
    timed = data.manifest.order == "time"
    at = np.array([row.at_us for row in rows], np.int64) if timed else np.full(len(rows), recommender.newest_us, np.int64)
    person = np.array([row.person for row in rows], np.int32)
    past = people.history(person, at)
    if any(row.history is not None for row in rows):
        past = _replaced(snapshot, past, rows, at)
    # What a model learned of users by number holds for those it was fitted on.
    known = np.where(person < data.n_users, person, np.int32(-1))
    more: dict[str, Any] = {}
    if any(row.place >= 0 for row in rows):
        more["place_ix"] = np.array([row.place for row in rows], np.int32)
    if any(row.ask.context for row in rows):
        more["context"] = _context(snapshot, rows)
    if ask.text is not None:
        more["query"] = tuple(row.ask.text or "" for row in rows)
        more["query_vectors"] = np.stack([recommender.asker.query(words) for words in more["query"]])
    masks = [row.mask for row in rows]
    if all(mask is masks[0] for mask in masks):
        more["allowed"] = masks[0]
    else:
        more["masks"] = Masks.of(masks)
    if rows[0].candidates is not None:
        more["candidates"] = Ragged.of([row.candidates or [] for row in rows])
    repeat = Repeat(policy=ask.repeat) if ask.repeat else rows[0].standing.repeat if rows[0].standing else None
    more["exclude"] = recommender.asker.gone(past, at, repeat, [row.gone for row in rows])
    more["placement"] = np.full(len(rows), ask.placement, object)
    return Requests(known, at, past, n=rows[0].n, seed=ask.seed, **more)


def _replaced(snapshot: Snapshot, past: Histories, rows: list[Row], at: AnyArray) -> Histories:
    """Histories that were given stand in for known ones."""
    parts = []
    for i, row in enumerate(rows):
        own = past.take(np.array([i])) if row.history is None else snapshot.recommender.asker.given(row.history, int(at[i]))
        parts.append(own)
    return Histories.concatenated(parts)


def _given(snapshot: Snapshot, lists: list[list[int]], at: AnyArray) -> Histories:
    return Histories.concatenated([snapshot.recommender.asker.given(items, int(now)) for items, now in zip(lists, at, strict=True)])


def _context(snapshot: Snapshot, rows: list[Row]) -> dict[str, AnyArray]:
    """Each context column of the data with what every row says of it, None where it says nothing."""
    known = snapshot.recommender.data.manifest.events.context
    for row in rows:
        row.notes += [f"context '{name}' is unknown, left out" for name in row.ask.context or {} if name not in known]
    said = {name for row in rows for name in row.ask.context or {} if name in known}
    return {name: np.array([(row.ask.context or {}).get(name) for row in rows], object) for name in sorted(said)}


def shown_of(snapshot: Snapshot, found: Found, language: Language) -> list[Shown]:
    """The list in words; what a rule did to an item goes before the reason of the list."""
    code, why = reason_of(found, language)
    ids, titles = snapshot.ids, snapshot.titles
    if not any(found.reasons):
        return [Shown(ids[ix], score, titles[ix], code, why) for ix, score in zip(found.item_ix, found.score, strict=True)]
    return [
        Shown(ids[ix], score, titles[ix], "rule" if said else code, "; ".join(said) or why)
        for ix, score, said in zip(found.item_ix, found.score, found.reasons, strict=True)
    ]


REASONS = {
    "popular": ("popular", "Popular with everybody", "大家都喜欢"),
    "trending": ("trending", "Trending now", "正在流行"),
    "text": ("text", "Matches what you asked for", "符合您的描述"),
    "content": ("text", "Matches what you asked for", "符合您的描述"),
    "recent": ("recent", "You looked at it lately", "您最近看过"),
    "buy-again": ("again", "You took it before", "您以前选过"),
    "due-again": ("again", "You took it before", "您以前选过"),
    "going-on": ("continue", "Go on where you stopped", "继续上次的内容"),
    REST: ("rest", "Also here", "更多"),
    "bought-together": ("together", "Often taken together", "经常一起选择"),
}
_ANY = ("taste", "Fits what you did", "根据您的行为推荐")


def reason_of(found: Found, language: Language) -> tuple[str, str]:
    """A code and a sentence for a list, by who made it; a shelf about an item names that item."""
    code, english, chinese = REASONS.get(found.served_by.split(",")[0], _ANY)
    if found.about and code in ("taste", "together", "text"):
        english, chinese = f"Because of {found.about}", f"因为“{found.about}”"
    return code, chinese if language == "zh" else english
