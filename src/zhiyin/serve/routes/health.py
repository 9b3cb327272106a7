"""How the server is: for balancers, monitoring and people."""

from __future__ import annotations

import msgspec

from zhiyin.serve.operation import Answered, Call, Operation, Scope


class Live(msgspec.Struct, frozen=True):
    status: str


class ServerReady(msgspec.Struct, frozen=True):
    """``ready`` is false when some tenant cannot store events; which one, its own operation says."""

    ready: bool


class Ready(msgspec.Struct, frozen=True):
    """``ready`` is false when events cannot be stored; ``degraded`` when answers come without the model that should answer.

    A server that is degraded and ready stays in its balancer: it stores events, and answers.
    """

    ready: bool
    degraded: bool
    model: str
    items: int
    events: int
    notes: list[str] = []


async def live(call: Call) -> Live:
    return Live("ok")


async def server_ready(call: Call) -> Answered:
    good = not any(hosted.tenant.log.status().failing for hosted in call.tenants.values())
    return Answered(ServerReady(good), 200 if good else 503)


async def ready(call: Call) -> Answered:
    hosted = call.tenant
    status = hosted.tenant.log.status()
    notes = [*status.notes, *filter(None, (status.failing, hosted.trouble))]
    snapshot = hosted.tenant.snapshot
    degraded = hosted.late or bool(hosted.impaired)
    said = Ready(not status.failing, degraded, snapshot.version, len(snapshot.catalog), hosted.tenant.n_events, notes)
    return Answered(said, 200 if said.ready else 503)


OPERATIONS = (
    Operation("live", "GET", "/health/live", Scope.PUBLIC, live, "The process runs.", Live),
    Operation("ready", "GET", "/health/ready", Scope.PUBLIC, server_ready, "Events are taken and asks answered.", ServerReady),
    Operation("tenant_ready", "GET", "/v1/{tenant}/health/ready", Scope.READ, ready, "How this tenant is.", Ready),
)
