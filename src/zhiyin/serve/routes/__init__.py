"""Every operation there is, those that are called most first."""

from __future__ import annotations

from zhiyin.serve.operation import Operation
from zhiyin.serve.routes import events, health, items, lists, recommend

OPERATIONS: tuple[Operation, ...] = (*recommend.OPERATIONS, *events.OPERATIONS, *lists.OPERATIONS, *items.OPERATIONS, *health.OPERATIONS)
