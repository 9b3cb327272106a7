"""What the server says of itself as a whole: its document and its figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from zhiyin.serve.openapi import described
from zhiyin.serve.operation import Answered, Call, Operation, Scope

if TYPE_CHECKING:
    from zhiyin.serve.app import Server


def with_own(server: Server, operations: Sequence[Operation]) -> tuple[Operation, ...]:
    """The operations of the tenants, and those of the server over them."""

    async def openapi(_: Call) -> Answered:
        return Answered(raw=document)

    async def metrics(call: Call) -> Answered:
        for name, hosted in call.tenants.items():
            server.meter.degraded.labels(name).set(hosted.n_degraded)
        return Answered(raw=server.meter.text(call.tenants), media="text/plain; version=0.0.4")

    every = (
        *operations,
        Operation("openapi", "GET", "/openapi.json", Scope.PUBLIC, openapi, "This document."),
        Operation("metrics", "GET", "/metrics", Scope.READ, metrics, "Figures for Prometheus, of the tenants a key opens.", bytes),
    )
    document = msgspec.json.encode(described(every))
    return every
