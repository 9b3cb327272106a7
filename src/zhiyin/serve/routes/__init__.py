"""Every operation there is, those that are called most first."""

from __future__ import annotations

from zhiyin.serve.operation import Operation
from zhiyin.serve.routes import bulk, events, health, items, lists, people, recommend, relations, search

_ROOMS = (recommend, events, search, lists, items, people, relations, bulk, health)

OPERATIONS: tuple[Operation, ...] = tuple(operation for room in _ROOMS for operation in room.OPERATIONS)
