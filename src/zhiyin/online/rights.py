"""What somebody may ask for about himself: everything that is kept, and that it be removed.

Erasing takes a person out of the log, the traces, the tables and memory at once. The bundle that was trained with his
events stays until it is trained anew: he is masked in it (no answer reads his past), and the tenant says that a
retraining is due. What a model learned of him as one among many is gone with that retraining, not before.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from zhiyin.base.errors import ModelFileError
from zhiyin.data.record import EventRecord
from zhiyin.online.bundles import Bundles
from zhiyin.online.masked import mask, masked_versions
from zhiyin.online.relations import RELATIONS, Relation, relation_of, touching
from zhiyin.online.tenant import CONSENT, ERASURES, Tenant
from zhiyin.online.traces import Trace, Traces
from zhiyin.pipeline.saved import users_of

USERS, TAGS = "users", "tags"
_BLOCK = 1 << 20
_RARE = 8
"""Ids of so many bytes do not stand in files by chance."""


class Kept(msgspec.Struct, frozen=True):
    """Everything that is kept about one person."""

    user: str
    columns: dict[str, Any]
    tags: dict[str, Any]
    trained_on: list[dict[str, Any]]
    events: list[EventRecord]
    answers: list[Trace]
    relations: list[Relation] = []


class Erased(msgspec.Struct, frozen=True):
    """The proof: how much went from where, and where his id is still found (``left``; the bundle until it is retrained)."""

    events: int
    answers: int
    rows: int
    masked_in_bundle: bool
    retrain_due: bool
    left: list[str]


def export(tenant: Tenant, traces: Traces, user: str) -> Kept:
    """Everything kept about a user: his row and tags, the events of the bundle and the log, the answers he got."""
    tenant.shop.check_whole()
    tables, data = tenant.shop.tables, tenant.people.base
    row, tags = tables.get(USERS, [user]), tables.get(TAGS, [user])
    sessions = set(tenant.people.sessions_of(user))
    events = [r for _, r in tenant.log.read() if r.user == user or (r.user is None and r.session in sessions)]
    ix = data.users.find(user)
    trained: list[dict[str, Any]] = []
    if ix >= 0 and not tenant.people.is_masked(ix):
        past = data.history(np.array([ix]))
        ids = tenant.snapshot.catalog.items.names(past.item_ix)
        trained = [
            {"item": item, "kind": data.kinds[kind], "time_us": time}
            for item, kind, time in zip(ids, past.kind_ix.tolist(), past.time_us.tolist(), strict=True)
        ]
    answers = [t for t in traces.every() if t.ask.user == user or t.ask.session in sessions]
    linked = [relation_of(row) for row in touching(tables, user)]
    return Kept(user, row[user].body if row else {}, tags[user].body if tags else {}, trained, events, answers, linked)


def erase(tenant: Tenant, traces: Traces, user: str, home: Path) -> Erased:
    """Remove a user for good and prove it; raises ``StoreError`` while the bundle he may be in cannot be read."""
    tenant.shop.check_whole()
    tables = tenant.shop.tables
    tenant.catch_up()  # another process may have taken what he did last
    sessions = tenant.people.sessions_of(user)
    base = tenant.people.base.users.find(user)
    masked = base >= 0 and not tenant.people.is_masked(base)
    if masked:  # first, so that a crash in between cannot bring him back
        mask(tables, tenant.snapshot.version, base)
    unsure = _masked_in_others(tenant, user, home)
    events = tenant.erase(user, sessions)
    answers = traces.erase({user}, set(sessions))
    rows = tables.delete(USERS, [user], forget=True) + tables.delete(TAGS, [user], forget=True)
    rows += tables.delete(CONSENT, [user], forget=True)
    rows += tables.delete(RELATIONS, [row.id for row in touching(tables, user)], forget=True)
    tables.put(ERASURES, {tenant.token: {}})  # other processes forget too, without being told whom
    left = [*still_holding(tenant, traces, user, set(sessions), home), *unsure]
    return Erased(events, answers, rows, masked, tenant.snapshot.version in masked_versions(tables), left)


def _masked_in_others(tenant: Tenant, user: str, home: Path) -> list[str]:
    """Mask somebody in the bundles that one may go back to; what is left are those that cannot be read."""
    bundles = Bundles(home.with_name(home.name.removesuffix(".live")), home)
    left = []
    for entry in bundles.entries():
        if entry.version == tenant.snapshot.version:
            continue
        try:
            number = users_of(bundles.path(entry)).find(user)
        except ModelFileError:
            left.append(f"bundle {entry.name} (cannot be read: delete it)")
            continue
        if number >= 0:
            mask(tenant.shop.tables, entry.version, number)
            left.append(f"bundle {entry.name} (masked; it goes when newer ones push it out)")
    return left


def still_holding(tenant: Tenant, traces: Traces, user: str, sessions: set[str], home: Path) -> list[str]:
    """Where somebody is still found, looking record by record, and byte by byte where his id is too long for chance."""
    left = []
    if any(r.user == user or (r.user is None and r.session in sessions) for _, r in tenant.log.read()):
        left.append("events")
    if any(t.ask.user == user or t.ask.session in sessions for t in traces.every()):
        left.append("answers")
    tables = tenant.shop.tables
    if tables.get(USERS, [user]) or tables.get(TAGS, [user]) or any(touching(tables, user)):
        left.append("tables")
    if len(user) >= _RARE:
        wanted = user.encode()
        left += sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file() and _holds(path, wanted))
    if tenant.people.base.users.find(user) >= 0:
        left.append("bundle (masked until it is trained anew)")
    return left


def _holds(path: Path, wanted: bytes) -> bool:
    rest = b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            if wanted in rest + block:
                return True
            rest = block[-len(wanted) :]
    return False
