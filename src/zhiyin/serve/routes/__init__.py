"""Every operation there is, those that are called most first."""

from __future__ import annotations

from zhiyin.serve.operation import Operation
from zhiyin.serve.routes import adverts, bulk, dump, events, health, items, lists, people, recommend, relations, search, tracker, webhooks

_ROOMS = (recommend, events, search, lists, items, people, relations, bulk, dump, adverts, tracker, webhooks, health)

OPERATIONS: tuple[Operation, ...] = tuple(operation for room in _ROOMS for operation in room.OPERATIONS)
