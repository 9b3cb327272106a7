"""Answers about a person: recommend, rank a given set, a page of placements, and what was shown."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from msgspec import Meta

from zhiyin.base.errors import ConfigError
from zhiyin.online.asks import Ask, Reply
from zhiyin.online.traces import Trace
from zhiyin.serve.hosted import Hosted
from zhiyin.serve.operation import Call, Operation, Scope


class PageAsk(Ask, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """As for recommend; ``placements`` from top to bottom, by default those of a home page."""

    placements: Annotated[list[Annotated[str, Meta(min_length=1, max_length=100)]], Meta(min_length=1, max_length=20)] | None = None


class Page(msgspec.Struct, frozen=True):
    """Shelves from top to bottom; an item stands once."""

    shelves: list[Reply]
    notes: list[str]


async def recommend(call: Call) -> Reply:
    ask: Ask = call.body
    return await call.tenant.reply(ask) if ask.target == "items" else await _of_target(call.tenant, ask)


async def _of_target(hosted: Hosted, ask: Ask) -> Reply:
    """People, groups or topics: a list of its own, with a trace like every other."""
    tenant = hosted.tenant
    found = await asyncio.to_thread(tenant.targets.found, tenant, ask)
    version = tenant.snapshot.version
    trace = hosted.traces.keep(ask, found.items, found.served_by, version, tenant.clock())
    notes = [*found.notes, *([found.late] if found.late else [])]
    return Reply(
        items=found.items, placement=ask.placement, served_by=found.served_by, model=version, trace=trace, degraded=bool(found.late),
        notes=notes,
    )  # fmt: skip


def _check_items(ask: Ask, what: str) -> None:
    if ask.target != "items":
        raise ConfigError(f"{what} holds items, not {ask.target}", "Ask recommend for them.")


async def rank(call: Call) -> Reply:
    ask: Ask = call.body
    _check_items(ask, "rank")
    if not ask.candidates:
        raise ConfigError("there is nothing to rank: 'candidates' is missing or empty", "Give the ids of the items.")
    return await call.tenant.ranked(ask)


async def page(call: Call) -> Page:
    ask: PageAsk = call.body
    _check_items(ask, "a page")
    shelves, notes = await call.tenant.page(ask, ask.placements)
    return Page(shelves, notes)


async def replay(call: Call) -> Trace:
    return call.tenant.traces.find(call.path["trace"])


OPERATIONS = (
    Operation(
        "recommend",
        "POST",
        "/v1/{tenant}/recommend",
        Scope.RECOMMEND,
        recommend,
        "The best items, people to follow, groups or topics for somebody, now.",
        Reply,
        Ask,
    ),
    Operation("rank", "POST", "/v1/{tenant}/rank", Scope.RECOMMEND, rank, "A given set in the best order for somebody.", Reply, Ask),
    Operation("page", "POST", "/v1/{tenant}/page", Scope.RECOMMEND, page, "Several placements on one page.", Page, PageAsk),
    Operation("replay", "GET", "/v1/{tenant}/replay/{trace}", Scope.READ, replay, "What was shown under a trace id, and why.", Trace),
)
