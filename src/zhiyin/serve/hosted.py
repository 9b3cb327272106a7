"""A tenant inside a server: its engine, its keys, its traces, and what is said when the engine cannot answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from zhiyin.ads.campaigns import StaticCampaigns
from zhiyin.ads.slots import LABELS, Adverts, Slot, with_slots
from zhiyin.base.errors import ZhiyinError
from zhiyin.data.record import EventRecord
from zhiyin.online.answers import Found, language_of_ask, shown_of
from zhiyin.online.asks import Ask, Reply, Shown
from zhiyin.online.bundles import Bundles
from zhiyin.online.engine import Engine
from zhiyin.online.following import Follower
from zhiyin.online.pages import page as filled
from zhiyin.online.pages import ranked
from zhiyin.online.snapshot import Snapshot
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


class Hosted:
    """Everything one tenant needs while it is served."""

    def __init__(self, tenant: Tenant, keys: Keys, traces: Traces, bundles: Bundles, settings: Settings, follower: Follower) -> None:
        self.tenant = tenant
        self.keys = keys
        self.traces = traces
        self.bundles = bundles
        self.settings = settings
        self.follower = follower
        self.n_degraded = 0
        self.adverts: Adverts = StaticCampaigns(())
        self._appender = AsyncAppender(tenant.log)
        self.engine: Engine[Ask, Answer] = Engine(
            self._work, self._fallback, deadline_s=settings.deadline_ms / 1000, most=settings.max_waiting
        )

    @property
    def home(self) -> Path:
        """Where everything of this tenant is written."""
        return self.bundles.home

    @property
    def tables(self) -> TableStore:
        return self.tenant.shop.tables

    def _work(self, asks: Sequence[Ask]) -> list[Answer]:
        snapshot = self.tenant.snapshot
        return [Answer(found, snapshot) for found in self.tenant.answer(asks)]

    def _fallback(self, ask: Ask, why: str) -> Answer:
        """Popular items that were not excluded: needs neither model nor history, only what lies ready."""
        snapshot = self.tenant.snapshot
        self.n_degraded += 1
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
        best = best[:n] if wanted is None else [ix for ix in best if ix in wanted][:n]
        if len(best) < n and (mask is not None or wanted is not None):
            others = np.flatnonzero(mask).tolist() if mask is not None else sorted(wanted or ())
            known = {*best, *unwanted, -1}
            shown = snapshot.catalog.available
            more = (ix for ix in others if ix not in known and (shown is None or shown[ix]) and (wanted is None or ix in wanted))
            best += list(islice(more, n - len(best)))
        return best

    async def listed(self, ask: Ask, make: Callable[[], Found]) -> Reply:
        """A list that ``make`` finds in a thread of its own; the fallback where it takes too long."""
        snapshot = self.tenant.snapshot
        try:
            async with asyncio.timeout(self.settings.deadline_ms / 1000 * 4):
                answer = Answer(await asyncio.to_thread(make), snapshot)
        except TimeoutError:
            answer = self._fallback(ask, "slow")
        if isinstance(answer.found, ZhiyinError):
            raise answer.found
        return self._told(ask, answer, answer.found)

    async def reply(self, ask: Ask) -> Reply:
        """The whole answer to one ask; raises what the ask deserves."""
        if self.engine.full():
            raise TooMuchError("too many requests are waiting", "Come back in a second.", 503)
        answer = await self.engine.ask(ask)
        if isinstance(answer.found, ZhiyinError):
            raise answer.found
        return self._told(ask, answer, answer.found)

    async def ranked(self, ask: Ask) -> Reply:
        """All candidates of an ask in the best order."""
        candidates = ask.candidates or []
        answer = await self.engine.ask(msgspec.structs.replace(ask, n=len(candidates), repeat="allow"))
        if isinstance(answer.found, ZhiyinError):
            raise answer.found
        known = [ix for ix in map(answer.snapshot.catalog.items.find, candidates) if ix >= 0]
        return self._told(ask, answer, ranked(answer.found, known))

    async def page(self, ask: Ask, placements: Sequence[str] | None) -> tuple[list[Reply], list[str]]:
        """The shelves of a page, each with a trace of its own."""
        snapshot = self.tenant.snapshot
        plain = Ask(**{name: getattr(ask, name) for name in Ask.__struct_fields__})
        found, notes = await asyncio.to_thread(filled, snapshot, plain, placements, self.tenant.answer_one)
        told = [self._told(msgspec.structs.replace(plain, placement=name), Answer(one, snapshot), one) for name, one in found]
        return told, notes

    def _told(self, ask: Ask, answer: Answer, found: Found) -> Reply:
        snapshot = answer.snapshot
        items = shown_of(snapshot, found, language_of_ask(snapshot, ask))
        if not answer.degraded and (slots := self._slots(ask, snapshot)):
            items = _with_adverts(items, slots, snapshot, LABELS[language_of_ask(snapshot, ask)], ask.n or max(len(items), 1))
        notes = list(found.notes)
        if answer.degraded:
            notes.append(f"answered without the model: {answer.degraded}")
        trace = self.traces.keep(ask, items, found.served_by, snapshot.version, self.tenant.clock())
        cursor = found.cursor.token() if found.cursor else None
        return Reply(
            items=items, placement=ask.placement, served_by=found.served_by, model=snapshot.version, trace=trace, title=found.title,
            degraded=bool(answer.degraded), notes=notes, cursor=ask.cursor if answer.degraded else cursor,
        )  # fmt: skip

    def _slots(self, ask: Ask, snapshot: Snapshot) -> list[Slot]:
        """The advertisements of an answer; none on later pages, none that are gone."""
        if ask.cursor:
            return []
        slots = self.adverts.fill(ask.placement, self.tenant.clock(), ask.context or {}, ask.user)
        available = snapshot.catalog.available
        there = [(slot, snapshot.catalog.items.find(slot.item)) for slot in slots if slot.item not in ask.exclude]
        kept = [slot for slot, ix in there if ix >= 0 and (available is None or available[ix])]
        self.adverts.shown(kept)
        return kept

    async def take(self, records: Sequence[EventRecord]) -> list[bool]:
        """Durable, and acting on answers, when it returns; events that arrive together share one flush of the disk."""
        fresh = await self._appender.append(self.tenant.stamped(records))
        self.tenant.catch_up()  # the first of a group lets all of them act, the others find nothing new
        return fresh

    def close(self) -> None:
        self.engine.close()
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
