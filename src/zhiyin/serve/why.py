"""Why somebody gets what he gets: what is known of him, what of it is used, and who put each item where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from zhiyin.base.errors import ZhiyinError
from zhiyin.data.times import iso
from zhiyin.online.answers import Found, language_of_ask, shown_of
from zhiyin.online.asks import Ask, Shown
from zhiyin.online.opened import opened
from zhiyin.online.relations import relation_of, touching
from zhiyin.online.rights import TAGS, USERS
from zhiyin.online.stores import Stores
from zhiyin.online.tenant import Tenant, live_folder
from zhiyin.pipeline.business_file import read_rules
from zhiyin.pipeline.presets import HOME_PAGE
from zhiyin.serve.keeper import RULES

NEWEST = 10


class DidThen(msgspec.Struct, frozen=True):
    """One thing he did; ``weight`` 0 is no sign of liking."""

    item: str
    title: str
    kind: str
    at: str
    trained_on: bool
    weight: float


class Listed(msgspec.Struct, frozen=True):
    """One list as he gets it now. ``held_back`` would stand in it if nothing he had were left out."""

    placement: str
    served_by: str
    title: str
    items: list[Shown]
    held_back: list[str]
    notes: list[str]


class Why(msgspec.Struct, frozen=True):
    """Everything about one person. ``used`` is how much of what he did the answers read."""

    user: str
    known: str
    trained_on: int
    since: int
    used: int
    sessions: list[str]
    newest: list[DidThen]
    personalize: bool
    store: bool
    columns: dict[str, Any]
    tags: dict[str, Any]
    relations: list[str]
    repeat: str
    model: str
    items: str
    rules: list[str]
    lists: list[Listed]

    def to_text(self) -> str:
        """The same in lines."""
        did = [f"  {d.at}  {d.kind}  {d.item}  {d.title}{'' if d.trained_on else '  (since the model)'}" for d in self.newest]
        lines = [
            f"{self.user}: {self.known}",
            f"did {self.trained_on:,} things the model was trained with, and {self.since:,} since; answers read {self.used:,} of them",
            *did,
            f"sessions that became his: {', '.join(self.sessions) or 'none'}",
            f"allows: personal answers {_yes(self.personalize)}, storing what he does {_yes(self.store)}",
            f"row: {self.columns or 'none'}; tags: {self.tags or 'none'}; relations: {'; '.join(self.relations) or 'none'}",
            f"repeat: {self.repeat}; model: {self.model}; items: {self.items}",
            f"rules: {', '.join(self.rules) or 'none'}",
        ]
        for found in self.lists:
            lines += ["", f"{found.placement}: {found.title or 'a list'}, made by {found.served_by}"]
            lines += [f"  {i:>2}. {s.item}  {s.title}  {s.score:.3f}  [{s.reason}] {s.why}" for i, s in enumerate(found.items, 1)]
            lines += [f"  held back, he had it: {', '.join(found.held_back)}"] if found.held_back else []
            lines += [f"  note: {note}" for note in found.notes]
        return "\n".join(lines)


def explain(folder: Path, stores: Stores, user: str, n: int = 10) -> Why:
    """What a server would tell somebody at this moment, and why. Reads beside a server that runs, and keeps no trace."""
    tenant = opened(folder, stores)
    try:
        path = live_folder(folder) / RULES
        if path.is_file():
            tenant.shop.rule(read_rules(path))
        return _explained(tenant, user, n)
    finally:
        tenant.close()


def _explained(tenant: Tenant, user: str, n: int) -> Why:
    people, snapshot = tenant.people, tenant.snapshot
    data, tables = snapshot.recommender.data, tenant.shop.tables
    person, base = people.find(user), people.base.users.find(user)
    trained = 0 if base < 0 or people.is_masked(base) else len(people.base.history(np.array([base])).item_ix)
    since = len(people.live(person).item_ix) if person >= 0 else 0
    private = user in tenant.private
    row, tags = tables.get(USERS, [user]), tables.get(TAGS, [user])
    catalog = snapshot.catalog
    off = 0 if catalog.available is None else int((~catalog.available).sum())
    return Why(
        user=user, known=_known(tenant, user, person, base), trained_on=trained, since=since, used=0 if private else trained + since,
        sessions=people.sessions_of(user), newest=_newest(tenant, person), personalize=not private, store=user not in tenant.silent,
        columns=row[user].body if row else {}, tags=tags[user].body if tags else {},
        relations=[f"{r.head} {r.relation} {r.tail}" for r in map(relation_of, touching(tables, user))],
        repeat=_repeat(data.manifest.repeat.policy), model=f"{snapshot.recommender.model.spec.kind} {snapshot.version}",
        items=f"{len(catalog):,}, {off:,} of them deleted, switched off, not yet published or expired",
        rules=[f"{kind}.{name}" for kind, name, _ in snapshot.rule_file.book.rules()] if snapshot.rule_file else [],
        lists=_lists(tenant, user, n),
    )  # fmt: skip


def _known(tenant: Tenant, user: str, person: int, base: int) -> str:
    if person < 0:
        if base >= 0 and tenant.people.is_masked(base):
            return "was erased: the model knew him once, and no answer reads it"
        as_session = tenant.people.find(None, user)
        return f"is unknown{', but a session is named so' if as_session >= 0 else ''}: he gets what is popular"
    if user in tenant.private:
        return "is known, and wants no personal answers: he gets what anybody gets"
    return "is known to the model" if person < tenant.people.base.n_users else "came after the model was trained; his history is read"


def _newest(tenant: Tenant, person: int) -> list[DidThen]:
    if person < 0:
        return []
    snapshot, timed = tenant.snapshot, tenant.snapshot.recommender.data.manifest.order == "time"
    data = snapshot.recommender.data
    past = tenant.people.history(np.array([person]))
    since = tenant.people.live(person)
    live = set(zip(since.time_us.tolist(), since.item_ix.tolist(), strict=True))
    columns = (past.time_us, past.item_ix, past.kind_ix, past.weight)
    newest = list(zip(*(column[-NEWEST:].tolist() for column in columns), strict=True))[::-1]
    return [
        DidThen(
            snapshot.ids[ix], snapshot.titles[ix], data.kinds[kind] if kind < len(data.kinds) else "event",
            iso(time) if timed or (time, ix) in live else "", (time, ix) not in live, weight,
        )
        for time, ix, kind, weight in newest
    ]  # fmt: skip


def _lists(tenant: Tenant, user: str, n: int) -> list[Listed]:
    shelves = tenant.snapshot.recommender.shelves
    names = dict.fromkeys(["home", *(name for name in HOME_PAGE if shelves.has(name))])
    made = [_listed(tenant, Ask(user=user, n=n, placement=name)) for name in names]
    return [listed for listed in made if listed.items or listed.notes]


def _listed(tenant: Tenant, ask: Ask) -> Listed:
    found = tenant.answer_one(ask, ())
    if isinstance(found, ZhiyinError):
        return Listed(ask.placement, "nobody", "", [], [], [str(found)])
    snapshot = tenant.snapshot
    free = tenant.answer_one(msgspec.structs.replace(ask, repeat="allow"), ())
    held: list[str] = []
    if isinstance(free, Found):
        had = set(_had(tenant, ask.user))
        held = [snapshot.ids[ix] for ix in free.item_ix if ix in had and ix not in found.item_ix]
    items = shown_of(snapshot, found, language_of_ask(snapshot, ask))
    return Listed(ask.placement, found.served_by, found.title, items, held, list(found.notes))


def _had(tenant: Tenant, user: str | None) -> list[int]:
    person = tenant.people.find(user)
    return tenant.people.history(np.array([person])).item_ix.tolist() if person >= 0 else []


def _repeat(policy: str) -> str:
    return {"never": "what he had does not come back", "allow": "what he had may come back"}.get(policy, policy)


def _yes(said: bool) -> str:
    return "yes" if said else "no"
