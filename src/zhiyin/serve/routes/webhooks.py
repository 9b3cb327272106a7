"""Webhooks: what other systems post in their own words."""

from __future__ import annotations

import asyncio
from typing import Any

from zhiyin.online.bulk import Imported
from zhiyin.online.sources.webhooks import received
from zhiyin.serve.operation import Call, Operation, Scope

Document = dict[str, Any] | list[Any]


async def webhook(call: Call) -> Imported:
    hosted = call.tenant
    return await asyncio.to_thread(received, hosted.tenant, hosted.home, call.path["name"], call.body)


_PATH = "/v1/{tenant}/webhook/{name}"
OPERATIONS = (Operation("webhook", "POST", _PATH, Scope.INGEST, webhook, "What another system says, as events.", Imported, Document),)
