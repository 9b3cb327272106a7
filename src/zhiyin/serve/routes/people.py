"""People: their rows, what they allow, what is thought of them, and their rights to see and to be forgotten."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from zhiyin.base.errors import UnknownNameError
from zhiyin.online.asks import Id
from zhiyin.online.portrait import Portrait, Tag, portrait
from zhiyin.online.rights import TAGS, USERS, Erased, Kept, erase, export
from zhiyin.online.tenant import CONSENT
from zhiyin.serve.operation import Call, Operation, Scope
from zhiyin.serve.routes.shapes import Columns, Gone, PageQuery, Written


class User(msgspec.Struct, frozen=True):
    id: str
    columns: Columns


class Users(msgspec.Struct, frozen=True):
    """A page; ``after`` asks for the next one, null at the end."""

    users: list[User]
    after: str | None


class UserIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id
    columns: Columns


class Consent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``personalize``: answers may use what he did; ``store``: what he does may be stored."""

    personalize: bool = True
    store: bool = True


class TagsIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``tags`` he gives himself; ``hidden`` topics nobody shall see or use."""

    tags: Annotated[list[Tag], Meta(max_length=200)] = []
    hidden: Annotated[list[str], Meta(max_length=200)] = []


Batch = Annotated[list[UserIn], Meta(min_length=1, max_length=5_000)]


async def list_users(call: Call) -> Users:
    said: PageQuery = call.query
    rows = await asyncio.to_thread(call.tenant.tables.page, USERS, said.after, said.n)
    return Users([User(row.id, row.body) for row in rows], rows[-1].id if len(rows) == said.n else None)


async def put_users(call: Call) -> Written:
    return Written(await asyncio.to_thread(call.tenant.tables.put, USERS, {user.id: user.columns for user in call.body}))


async def put_user(call: Call) -> Written:
    return Written(await asyncio.to_thread(call.tenant.tables.put, USERS, {call.path["user"]: call.body}))


async def patch_user(call: Call) -> Written:
    user = call.path["user"]
    await get_user(call)
    return Written(await asyncio.to_thread(call.tenant.tables.put, USERS, {user: call.body}, partial=True))


async def get_user(call: Call) -> User:
    user = call.path["user"]
    found = await asyncio.to_thread(call.tenant.tables.get, USERS, [user])
    if user not in found:
        raise UnknownNameError(f"no user has the id '{user[:80]}'", "Put him first; events need no row.")
    return User(user, found[user].body)


async def delete_user(call: Call) -> Gone:
    return Gone(await asyncio.to_thread(call.tenant.tables.delete, USERS, [call.path["user"]]))


async def put_consent(call: Call) -> Consent:
    said: Consent = call.body
    user, body = call.path["user"], msgspec.structs.asdict(said)
    await asyncio.to_thread(call.tenant.tables.put, CONSENT, {user: body})
    call.tenant.tenant.allow(user, body)
    return said


async def get_consent(call: Call) -> Consent:
    tenant, user = call.tenant.tenant, call.path["user"]
    return Consent(user not in tenant.private, user not in tenant.silent)


async def get_portrait(call: Call) -> Portrait:
    return await asyncio.to_thread(_portrait, call)


def _portrait(call: Call) -> Portrait:
    tenant, user = call.tenant.tenant, call.path["user"]
    tenant.shop.check_whole()
    said = _tags(call)
    now = tenant.clock()
    history = tenant.people.history(np.array([tenant.people.find(user)]), np.array([now]))
    return portrait(tenant.snapshot, user, history, now, said.tags, said.hidden)


def _tags(call: Call) -> TagsIn:
    user = call.path["user"]
    found = call.tenant.tables.get(TAGS, [user])
    return msgspec.convert(found[user].body, TagsIn) if user in found else TagsIn()


async def put_tags(call: Call) -> TagsIn:
    said: TagsIn = call.body
    await asyncio.to_thread(call.tenant.tables.put, TAGS, {call.path["user"]: msgspec.to_builtins(said)})
    return said


async def delete_tag(call: Call) -> TagsIn:
    """Take a tag or topic away: his own tag goes, a topic is hidden from now on."""
    said = await asyncio.to_thread(_tags, call)
    tag = call.path["tag"]
    left = TagsIn([t for t in said.tags if t.tag != tag], sorted({*said.hidden, tag}))
    await asyncio.to_thread(call.tenant.tables.put, TAGS, {call.path["user"]: msgspec.to_builtins(left)})
    return left


async def export_user(call: Call) -> Kept:
    return await asyncio.to_thread(export, call.tenant.tenant, call.tenant.traces, call.path["user"])


async def erase_user(call: Call) -> Erased:
    hosted = call.tenant
    return await asyncio.to_thread(erase, hosted.tenant, hosted.traces, call.path["user"], hosted.home)


_ALL, _ONE = "/v1/{tenant}/users", "/v1/{tenant}/users/{user}"

OPERATIONS = (
    Operation("list_users", "GET", _ALL, Scope.ADMIN, list_users, "Users by id, page after page.", Users, query=PageQuery),
    Operation("put_users", "PUT", _ALL, Scope.ADMIN, put_users, "Insert or replace users.", Written, Batch, largest=16 << 20),
    Operation("get_user", "GET", _ONE, Scope.ADMIN, get_user, "One user's row.", User),
    Operation("put_user", "PUT", _ONE, Scope.ADMIN, put_user, "Insert or replace one user.", Written, Columns),
    Operation("patch_user", "PATCH", _ONE, Scope.ADMIN, patch_user, "Change some columns of one user.", Written, Columns),
    Operation("delete_user", "DELETE", _ONE, Scope.ADMIN, delete_user, "Remove a user's row; erase removes everything.", Gone),
    Operation("get_consent", "GET", _ONE + "/consent", Scope.ADMIN, get_consent, "What a user allows.", Consent),
    Operation("put_consent", "PUT", _ONE + "/consent", Scope.ADMIN, put_consent, "Follow what a user allows.", Consent, Consent),
    Operation("portrait", "GET", _ONE + "/portrait", Scope.ADMIN, get_portrait, "What is thought of a user, with evidence.", Portrait),
    Operation("put_tags", "PUT", _ONE + "/portrait/tags", Scope.ADMIN, put_tags, "The tags a user gives himself.", TagsIn, TagsIn),
    Operation("delete_tag", "DELETE", _ONE + "/portrait/tags/{tag}", Scope.ADMIN, delete_tag, "Take a tag or topic away.", TagsIn),
    Operation("export_user", "GET", _ONE + "/export", Scope.ADMIN, export_user, "Everything kept about a user.", Kept),
    Operation("erase_user", "POST", _ONE + "/erase", Scope.ADMIN, erase_user, "Remove a user for good, with proof.", Erased),
)
