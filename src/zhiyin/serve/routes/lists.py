"""Lists about the shop and its items: popular, trending, new, similar."""

from __future__ import annotations

from collections.abc import Callable

from zhiyin.online import lists
from zhiyin.online.answers import Found
from zhiyin.online.asks import Ask, Reply
from zhiyin.online.lists import Like, Listing
from zhiyin.online.tenant import Tenant
from zhiyin.serve.operation import Call, Handler, Operation, Scope


def _of_the_shop(name: str, make: Callable[[Tenant, Listing], Found]) -> Handler:
    async def handler(call: Call) -> Reply:
        said: Listing = call.body
        ask = Ask(placement=name, n=said.n, exclude=said.exclude, filter=said.filter, language=said.language)
        return await call.tenant.listed(ask, lambda: make(call.tenant.tenant, said))

    return handler


async def similar(call: Call) -> Reply:
    said: Like = call.body
    ask = Ask(
        placement=said.kind, items=[said.item], n=said.n, exclude=[said.item, *said.exclude], filter=said.filter, language=said.language
    )
    return await call.tenant.listed(ask, lambda: lists.like(call.tenant.tenant, said))


def _operation(name: str, handler: Handler, summary: str, body: type = Listing) -> Operation:
    return Operation(name, "POST", f"/v1/{{tenant}}/{name}", Scope.RECOMMEND, handler, summary, Reply, body)


OPERATIONS = (
    _operation("similar", similar, "Items like one: in words, in people's hands, or completing it.", Like),
    _operation("popular", _of_the_shop("popular", lists.popular), "What most people take."),
    _operation("trending", _of_the_shop("trending", lists.trending), "What is taken more these days than before."),
    _operation("new", _of_the_shop("new", lists.new), "What came last."),
)
