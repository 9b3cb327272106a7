"""Answers: recommend, and what was shown."""

from __future__ import annotations

from zhiyin.online.asks import Ask, Reply
from zhiyin.online.traces import Trace
from zhiyin.serve.operation import Call, Operation, Scope


async def recommend(call: Call) -> Reply:
    ask: Ask = call.body
    return await call.tenant.reply(ask)


async def replay(call: Call) -> Trace:
    return call.tenant.traces.find(call.path["trace"])


OPERATIONS = (
    Operation("recommend", "POST", "/v1/{tenant}/recommend", Scope.RECOMMEND, recommend, "The best items for somebody, now.", Reply, Ask),
    Operation("replay", "GET", "/v1/{tenant}/replay/{trace}", Scope.READ, replay, "What was shown under a trace id, and why.", Trace),
)
