"""The catalogue: one item or many, whole or in part, and pages through all of it."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from msgspec import Meta

from zhiyin.online.asks import Id
from zhiyin.serve.operation import Call, Operation, Scope
from zhiyin.serve.routes.shapes import Columns, Gone, PageQuery, Written


class Item(msgspec.Struct, frozen=True):
    """An item as it is: its id and its columns."""

    id: str
    columns: Columns


class Items(msgspec.Struct, frozen=True):
    """A page; ``after`` asks for the next one, null at the end."""

    items: list[Item]
    after: str | None


class ItemIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id
    columns: Columns


Batch = Annotated[list[ItemIn], Meta(min_length=1, max_length=5_000)]
Ids = Annotated[list[Id], Meta(min_length=1, max_length=5_000)]


async def put_item(call: Call) -> Written:
    return await _written(call, {call.path["item"]: call.body}, partial=False)


async def patch_item(call: Call) -> Written:
    return await _written(call, {call.path["item"]: call.body}, partial=True)


async def put_items(call: Call) -> Written:
    return await _written(call, {item.id: item.columns for item in call.body}, partial=False)


async def patch_items(call: Call) -> Written:
    return await _written(call, {item.id: item.columns for item in call.body}, partial=True)


async def _written(call: Call, rows: dict[str, Columns], *, partial: bool) -> Written:
    return Written(await asyncio.to_thread(call.tenant.tenant.shop.put, rows, partial=partial))


async def get_item(call: Call) -> Item:
    return Item(call.path["item"], call.tenant.tenant.shop.get(call.path["item"]))


async def list_items(call: Call) -> Items:
    said: PageQuery = call.query
    found = await asyncio.to_thread(call.tenant.tenant.shop.page, said.after, said.n)
    return Items([Item(i, columns) for i, columns in found], found[-1][0] if len(found) == said.n else None)


async def delete_item(call: Call) -> Gone:
    return Gone(await asyncio.to_thread(call.tenant.tenant.shop.delete, [call.path["item"]]))


async def delete_items(call: Call) -> Gone:
    return Gone(await asyncio.to_thread(call.tenant.tenant.shop.delete, call.body))


_ALL, _ONE = "/v1/{tenant}/items", "/v1/{tenant}/items/{item}"

OPERATIONS = (
    Operation("list_items", "GET", _ALL, Scope.READ, list_items, "Items by id, page after page.", Items, query=PageQuery),
    Operation("put_items", "PUT", _ALL, Scope.ADMIN, put_items, "Insert or replace items.", Written, Batch, largest=16 << 20),
    Operation("patch_items", "PATCH", _ALL, Scope.ADMIN, patch_items, "Change some columns of items.", Written, Batch, largest=16 << 20),
    Operation("delete_items", "POST", _ALL + "/delete", Scope.ADMIN, delete_items, "Take items out.", Gone, Ids, largest=4 << 20),
    Operation("get_item", "GET", _ONE, Scope.READ, get_item, "One item as it is now.", Item),
    Operation("put_item", "PUT", _ONE, Scope.ADMIN, put_item, "Insert or replace one item.", Written, Columns),
    Operation("patch_item", "PATCH", _ONE, Scope.ADMIN, patch_item, "Change some columns of one item.", Written, Columns),
    Operation("delete_item", "DELETE", _ONE, Scope.ADMIN, delete_item, "Take one item out of every answer.", Gone),
)
