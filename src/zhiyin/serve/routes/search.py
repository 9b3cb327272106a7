"""Search and completion."""

from __future__ import annotations

import asyncio

from zhiyin.online.searching import Complete, Completions, Results, Search
from zhiyin.serve.operation import Call, Operation, Scope


async def search_items(call: Call) -> Results:
    said: Search = call.body
    tenant = call.tenant.tenant
    if said.target != "items":
        return await asyncio.to_thread(tenant.targets.search, tenant, said)
    return await call.tenant.search(said)


async def complete_text(call: Call) -> Completions:
    return await call.tenant.complete(call.body)


_SEARCH, _COMPLETE = "/v1/{tenant}/search", "/v1/{tenant}/complete"

OPERATIONS = (
    Operation("search", "POST", _SEARCH, Scope.RECOMMEND, search_items, "Items for what somebody typed.", Results, Search),
    Operation("complete", "POST", _COMPLETE, Scope.RECOMMEND, complete_text, "What somebody may be typing.", Completions, Complete),
)
