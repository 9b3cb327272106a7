"""Everything living of a tenant as one archive."""

from __future__ import annotations

import asyncio

from zhiyin.online.dump import dumped
from zhiyin.serve.operation import Answered, Call, Operation, Scope
from zhiyin.serve.routes.bulk import begun


async def dump(call: Call) -> Answered:
    """The archive begins at once and comes as it is made; one that breaks off has no end, and is refused by restore."""
    hosted = call.tenant

    def archive() -> Answered:
        hosted.traces.flush()
        pieces = begun(lambda: dumped(hosted.bundles, hosted.tenant.log, hosted.tables))
        name = f'attachment; filename="{hosted.bundles.folder.name.encode("ascii", "replace").decode()}.zip"'
        return Answered(stream=pieces, media="application/zip", headers={"content-disposition": name})

    return await asyncio.to_thread(archive)


OPERATIONS = (Operation("dump", "POST", "/v1/{tenant}/dump", Scope.ADMIN, dump, "Everything as one file; zhiyin restore reads it.", bytes),)
