"""A tenant inside a server: its engine, its keys, its traces, and what is said when the engine cannot answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from zhiyin.ads.campaigns import StaticCampaigns
from zhiyin.ads.slots import LABELS, Adverts, Slot, with_slots
from zhiyin.base.arrays import Float32
from zhiyin.base.errors import StoreError, UnknownNameError, ZhiyinError
from zhiyin.online.answers import Found, language_of_ask, shown_of
from zhiyin.online.asks import Ask, Reply, Shown
from zhiyin.online.bundles import Bundles, Entry
from zhiyin.online.crew import Crew
from zhiyin.online.engine import Engine
from zhiyin.online.following import Follower
from zhiyin.online.incoming import EventIn, record_of
from zhiyin.online.pages import least_of, ranked, shelves_of
from zhiyin.online.searching import Complete, Completed, Completions, Results, Search, complete, liked, plain, search
from zhiyin.online.snapshot import Snapshot
from zhiyin.online.standby import STANDBY
from zhiyin.online.tenant import Tenant
from zhiyin.online.traces import Traces
from zhiyin.serve.access import Keys
from zhiyin.serve.errors import TooMuchError
from zhiyin.serve.settings import Settings
from zhiyin.store.async_append import AsyncAppender
from zhiyin.store.tables import TableStore


class Answer(NamedTuple):
    """What was found, with the snapshot whose numbers it speaks in; ``degraded`` says why it is not the model's."""

    found: Found | ZhiyinError
    snapshot: Snapshot
    degraded: str = ""


class Shelf(NamedTuple):
    """An ask for a shelf of a page, and what stands above it."""

    ask: Ask
    above: tuple[str, ...]


class Hosted:
    """Everything one tenant needs while it is served.

    ``instead`` says in answers that the model is not the one that should be served, ``trouble`` says it to operators, with the
    way out; both are "" where all is well.
    """

    def __init__(self, tenant: Tenant, keys: Keys, traces: Traces, bundles: Bundles, settings: Settings, follower: Follower) -> None:
        self.tenant = tenant
        self.keys = keys
        self.traces = traces
        self.bundles = bundles
        self.settings = settings
        self.follower = follower
        self.n_degraded = 0
        self.adverts: Adverts = StaticCampaigns(())
        self._appender = AsyncAppender(tenant.log, durable=tenant.catch_up)
        self.entry = Entry("", tenant.snapshot.version)
        self.instead = self.trouble = ""
        self.unwritten = ""
        """Why events are refused, as answers say it."""
        deadline_s = settings.deadline_ms / 1000
        self.engine: Engine[Ask | Shelf, Answer] = Engine(self._work, self._fallback, deadline_s=deadline_s, most=settings.max_waiting)
        # What reads the model, and what reads the search index alone: neither waits for the other.
        self.beside = Crew("beside", deadline_s=deadline_s, most=settings.max_waiting)
        # Looking for words in the popular items takes longer than naming them.
        self.finding = Crew("finding", deadline_s=deadline_s * 3 / 4, most=settings.max_waiting)

    @property
    def home(self) -> Path:
        """Where everything of this tenant is written."""
        return self.bundles.home

    @property
    def tables(self) -> TableStore:
        return self.tenant.shop.tables

    def serves(self, entry: Entry, instead: str = "", trouble: str = "") -> None:
        """Note which bundle answers from now on, and why it is not the one that should."""
        self.entry, self.instead, self.trouble = entry, instead, trouble
        self.tenant.shop.partial = entry.name == STANDBY

    @property
    def impaired(self) -> str:
        """What is wrong with every answer; "" where nothing is."""
        return self.instead or self.unwritten

    @property
    def late(self) -> bool:
        """Whether some answers come without the model or the index at this moment."""
        return self.engine.late or self.beside.late or self.finding.late

    def look(self) -> None:
        """Learn whether events can be stored."""
        self.unwritten = "events are not stored now" if self.tenant.log.status().failing else ""

    def _work(self, asks: Sequence[Ask | Shelf]) -> list[Answer]:
        snapshot, find = self.tenant.snapshot, self.tenant.snapshot.catalog.items.find
        plain = [one.ask if isinstance(one, Shelf) else one for one in asks]
        above = [[find(i) for i in one.above] if isinstance(one, Shelf) else () for one in asks]
        found = self.tenant.answer(plain, above)
        if not self.tenant.shop.partial:
            return [Answer(one, snapshot) for one in found]
        # The standby knows neither placements nor texts: what it cannot do is not the asker's mistake.
        told = zip(found, asks, strict=True)
        return [self._fallback(ask, self.instead) if isinstance(one, ZhiyinError) else Answer(one, snapshot) for one, ask in told]

    def _fallback(self, asked: Ask | Shelf, why: str) -> Answer:
        """Popular items that were not excluded: needs neither model nor history, only what lies ready."""
        snapshot = self.tenant.snapshot
        ask = asked if isinstance(asked, Ask) else msgspec.structs.replace(asked.ask, exclude=[*asked.ask.exclude, *asked.above])
        try:
            best = self._popular(snapshot, ask)
        except ZhiyinError as error:  # a filter that makes no sense deserves its sentence here too
            return Answer(error, snapshot)
        found = Found(best, [float(len(best) - place) for place in range(len(best))], "popular")
        return Answer(found, snapshot, why)

    @staticmethod
    def _popular(snapshot: Snapshot, ask: Ask) -> list[int]:
        """The most popular items an ask allows; where they are too few, others it allows."""
        n, find = ask.n or 10, snapshot.catalog.items.find
        unwanted = {find(i) for i in ask.exclude}
        mask = snapshot.mask(ask.filter) if ask.filter is not None else None
        wanted = None if ask.candidates is None else {find(i) for i in ask.candidates}
        best = [ix for ix in snapshot.popular.tolist() if ix not in unwanted and (mask is None or mask[ix])]
        best = snapshot.one_of_each(best)[:n] if wanted is None else [ix for ix in best if ix in wanted][:n]
        if len(best) < n and (mask is not None or wanted is not None):
            others = np.flatnonzero(mask).tolist() if mask is not None else sorted(wanted or ())
            known = {*best, *unwanted, -1}
            shown = snapshot.catalog.available
            more = (ix for ix in others if ix not in known and (shown is None or shown[ix]) and (wanted is None or ix in wanted))
            # Variants need a look at all there are; the candidates of an asker are his choice.
            best = [*best, *islice(more, n - len(best))] if wanted is not None else snapshot.one_of_each([*best, *more], n)
        return best

    async def listed(self, ask: Ask, make: Callable[[], Found]) -> Reply:
        """A list that ``make`` finds beside the engine; the fallback where it fails or takes too long."""
        snapshot = self.tenant.snapshot
        partial = self.tenant.shop.partial
        try:
            answer = await self.beside.within(lambda: Answer(make(), snapshot), lambda why: self._fallback(ask, why))
        except UnknownNameError:
            if not partial:
                raise
            answer = self._fallback(ask, self.instead)
        if partial and isinstance(answer.found, Found) and not answer.found.item_ix:
            answer = self._fallback(ask, self.instead)
        return self._whole(ask, answer)

    async def reply(self, ask: Ask) -> Reply:
        """The whole answer to one ask; raises what the ask deserves."""
        return self._whole(ask, await self._asked(ask))

    async def _asked(self, ask: Ask | Shelf) -> Answer:
        if self.engine.full():
            raise TooMuchError("too many requests are waiting", "Come back in a second.", 503)
        return await self.engine.ask(ask)

    def _whole(self, ask: Ask, answer: Answer) -> Reply:
        if isinstance(answer.found, ZhiyinError):
            raise answer.found
        return self._told(ask, answer, answer.found)

    async def ranked(self, ask: Ask) -> Reply:
        """All candidates of an ask in the best order."""
        candidates = ask.candidates or []
        answer = await self._asked(msgspec.structs.replace(ask, n=len(candidates), repeat="allow"))
        if isinstance(answer.found, ZhiyinError):
            raise answer.found
        known = [ix for ix in map(answer.snapshot.catalog.items.find, candidates) if ix >= 0]
        reply = self._told(ask, answer, ranked(answer.found, known))
        if not self.tenant.shop.partial:
            return reply
        had = {one.item for one in reply.items}.union(ask.exclude)
        unknown = [Shown(item, -1.0 - place) for place, item in enumerate(dict.fromkeys(candidates)) if item not in had]
        return msgspec.structs.replace(reply, items=[*reply.items, *unknown])

    async def page(self, ask: Ask, placements: Sequence[str] | None) -> tuple[list[Reply], list[str]]:
        """The shelves of a page, each with a trace of its own; once one is late, the others are not waited for."""
        snapshot = self.tenant.snapshot
        plain = Ask(**{name: getattr(ask, name) for name in Ask.__struct_fields__})
        above: tuple[str, ...] = ()
        told, notes = list[Reply](), list[str]()
        for name in shelves_of(snapshot, placements):
            one = msgspec.structs.replace(plain, placement=name)
            answer = await self._asked(Shelf(one, above))
            if isinstance(answer.found, ZhiyinError):
                raise answer.found
            least = 1 if answer.degraded else least_of(answer.snapshot, name)
            if (n := len(answer.found.item_ix)) < least:
                notes.append(f"shelf '{name}' left out: {n} items, it needs {least}")
                continue
            above = (*above, *(answer.snapshot.ids[ix] for ix in answer.found.item_ix))
            told.append(self._told(one, answer, answer.found))
        return told, notes

    async def search(self, said: Search) -> Results:
        """One page of what was typed; what takes too long is left out: the order by taste first, then the index."""
        tenant, snapshot = self.tenant, self.tenant.snapshot
        taste: Float32 | None = None
        why = self.impaired
        if said.personalized and (said.user or said.session) and snapshot.finder is not None:
            taste, late = await self.beside.within(lambda: (liked(tenant, snapshot, said), ""), lambda late: (None, late))
            why = f"not in the order of taste: {late}" if late else why
        found = await self.finding.within(
            lambda: search(snapshot, said, taste), lambda late: plain(snapshot, said, f"answered without the search index: {late}")
        )
        if why and not found.degraded:
            found = msgspec.structs.replace(found, degraded=True, note="; ".join(filter(None, (found.note, why))))
        self.n_degraded += found.degraded
        return found

    async def complete(self, said: Complete) -> Completions:
        """What somebody may be typing; titles of popular items where the index is not there or takes too long."""
        tenant = self.tenant

        def instead(why: str) -> Completions:
            snapshot, text = tenant.snapshot, said.text.casefold()
            titles = dict.fromkeys(snapshot.titles[ix] for ix in snapshot.popular.tolist())
            fitting = islice((Completed(title, "title") for title in titles if title.casefold().startswith(text)), said.n)
            return Completions(list(fitting), True, f"answered without the search index: {why}")

        if tenant.snapshot.finder is None:
            return instead("it is being built")
        found = await self.finding.within(lambda: Completions(complete(tenant, said)), instead)
        return msgspec.structs.replace(found, degraded=True, note=self.impaired) if self.impaired and not found.degraded else found

    def _told(self, ask: Ask, answer: Answer, found: Found) -> Reply:
        snapshot = answer.snapshot
        items = shown_of(snapshot, found, language_of_ask(snapshot, ask))
        if not answer.degraded and (slots := self._slots(ask, snapshot)):
            items = _with_adverts(items, slots, snapshot, LABELS[language_of_ask(snapshot, ask)], ask.n or max(len(items), 1))
        notes = list(found.notes)
        if degraded := bool(answer.degraded or self.impaired):
            notes.append(f"answered without the model: {answer.degraded}" if answer.degraded else self.impaired)
            self.n_degraded += 1
        trace = self.traces.keep(ask, items, found.served_by, snapshot.version, self.tenant.clock())
        self.tenant.showed(ask, items)
        cursor = found.cursor.token() if found.cursor else None
        return Reply(
            items=items, placement=ask.placement, served_by=found.served_by, model=snapshot.version, trace=trace, title=found.title,
            degraded=degraded, notes=notes, cursor=ask.cursor if answer.degraded else cursor,
        )  # fmt: skip

    def _slots(self, ask: Ask, snapshot: Snapshot) -> list[Slot]:
        """The advertisements of an answer; none on later pages, none that are gone."""
        if ask.cursor:
            return []
        slots = self.adverts.fill(ask.placement, self.tenant.clock(), ask.context or {}, ask.user)
        if not slots:
            return []
        available = snapshot.catalog.available
        there = [(slot, snapshot.catalog.items.find(slot.item)) for slot in slots if slot.item not in ask.exclude]
        kept = [slot for slot, ix in there if ix >= 0 and (available is None or available[ix])]
        self.adverts.shown(kept)
        return kept

    async def take(self, events: Sequence[EventIn]) -> list[bool]:
        """Durable, and acting on answers, when it returns; events that arrive together share one flush of the disk."""
        now = self.tenant.clock()
        try:
            fresh = await self._appender.append(self.tenant.stamped([record_of(event, now) for event in events], now))
        except StoreError:
            self.look()
            raise
        if self.unwritten:
            self.look()
        return fresh

    def close(self) -> None:
        self.engine.close()
        self.beside.close()
        self.finding.close()
        self.tenant.close()
        self.traces.close()


def _with_adverts(items: list[Shown], slots: list[Slot], snapshot: Snapshot, label: str, n: int) -> list[Shown]:
    """The list with its advertisements, each labelled as one."""
    own = {shown.item: shown for shown in items}
    out = []
    for item, slot in with_slots(list(own), slots, n):
        if slot is None:
            out.append(own[item])
        else:
            title = snapshot.titles[snapshot.catalog.items.find(item)]
            out.append(Shown(item, 0.0, title, "ad", label, label, slot.campaign))
    return out
