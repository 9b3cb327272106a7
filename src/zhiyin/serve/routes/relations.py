"""Relations: one or many, whole or in part, and pages through all of them or those of one head."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from zhiyin.base.errors import ConfigError, UnknownNameError
from zhiyin.online import relations
from zhiyin.online.asks import Id
from zhiyin.online.relations import RELATIONS, Relation, columns_of, id_of
from zhiyin.serve.operation import Call, Operation, Scope
from zhiyin.serve.routes.shapes import Gone

Columns = dict[str, Any]


class Relations(msgspec.Struct, frozen=True):
    """A page; ``after`` asks for the next one, null at the end."""

    relations: list[Relation]
    after: str | None


class Named(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which relation."""

    head: Id
    relation: Id
    tail: Id


class RelationIn(Named, frozen=True, forbid_unknown_fields=True):
    """A relation, and what else is known of it."""

    columns: Columns = {}


class Stored(msgspec.Struct, frozen=True):
    """How many were written; ``version`` is that of the last."""

    stored: int
    version: int


class RelationsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``relation`` narrows the relations of one ``head``."""

    after: str = ""
    n: Annotated[int, Meta(ge=1, le=1000)] = 100
    head: Id | None = None
    relation: Id | None = None


Batch = Annotated[list[RelationIn], Meta(min_length=1, max_length=5_000)]
Several = Annotated[list[Named], Meta(min_length=1, max_length=5_000)]


async def list_relations(call: Call) -> Relations:
    said: RelationsQuery = call.query
    if said.relation is not None and said.head is None:
        raise ConfigError("'relation' narrows the relations of a head, and no head was given", "Say head too.")
    found, after = await asyncio.to_thread(relations.page, call.tenant.tables, said.after, said.n, said.head, said.relation)
    return Relations(found, after)


async def put_relations(call: Call) -> Stored:
    return await _written(call, {id_of(r.head, r.relation, r.tail): columns_of(r.columns) for r in call.body})


async def put_relation(call: Call) -> Stored:
    return await _written(call, {_named(call): columns_of(call.body)})


async def patch_relation(call: Call) -> Stored:
    await get_relation(call)
    return await _written(call, {_named(call): columns_of(call.body)}, partial=True)


async def _written(call: Call, rows: dict[str, Columns], *, partial: bool = False) -> Stored:
    versions = await asyncio.to_thread(call.tenant.tables.put, RELATIONS, rows, partial=partial)
    return Stored(len(versions), max(versions.values(), default=0))


async def get_relation(call: Call) -> Relation:
    wanted = _named(call)
    found = await asyncio.to_thread(call.tenant.tables.get, RELATIONS, [wanted])
    if wanted not in found:
        raise UnknownNameError("there is no such relation", "Put it first.")
    return relations.relation_of(found[wanted])


async def delete_relation(call: Call) -> Gone:
    return Gone(await asyncio.to_thread(call.tenant.tables.delete, RELATIONS, [_named(call)]))


async def delete_relations(call: Call) -> Gone:
    ids = list(dict.fromkeys(id_of(r.head, r.relation, r.tail) for r in call.body))
    return Gone(await asyncio.to_thread(call.tenant.tables.delete, RELATIONS, ids))


def _named(call: Call) -> str:
    return id_of(call.path["head"], call.path["relation"], call.path["tail"])


_ALL = "/v1/{tenant}/relations"
_ONE = _ALL + "/{head}/{relation}/{tail}"

# Heads and tails may be people: what links them is theirs, as their rows are.
OPERATIONS = (
    Operation("list_relations", "GET", _ALL, Scope.ADMIN, list_relations, "Relations, page after page.", Relations, query=RelationsQuery),
    Operation("put_relations", "PUT", _ALL, Scope.ADMIN, put_relations, "Insert or replace relations.", Stored, Batch, largest=16 << 20),
    Operation(
        "delete_relations", "POST", _ALL + "/delete", Scope.ADMIN, delete_relations, "Remove relations.", Gone, Several, largest=8 << 20
    ),
    Operation("get_relation", "GET", _ONE, Scope.ADMIN, get_relation, "One relation.", Relation),
    Operation("put_relation", "PUT", _ONE, Scope.ADMIN, put_relation, "Insert or replace one relation.", Stored, Columns),
    Operation("patch_relation", "PATCH", _ONE, Scope.ADMIN, patch_relation, "Change some columns of one relation.", Stored, Columns),
    Operation("delete_relation", "DELETE", _ONE, Scope.ADMIN, delete_relation, "Remove one relation.", Gone),
)
