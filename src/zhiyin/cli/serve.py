"""``zhiyin serve``: answers over HTTP."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from zhiyin.cli.outcome import Interrupted, aside, ending


@ending
def serve(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="What zhiyin train wrote; several are several tenants.")],
    host: Annotated[str | None, typer.Option(help="Address to listen on, default 127.0.0.1; any other needs keys.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port, default 8765; 0 takes a free one.")] = None,
    deadline_ms: Annotated[int | None, typer.Option(min=1, help="After that (default 40) an answer comes without the model.")] = None,
    rate: Annotated[float | None, typer.Option(min=0.1, help="Requests per second of one key or address.")] = None,
    retrain_every_h: Annotated[
        float | None, typer.Option(min=0.01, help="Train anew every so many hours, and go over if it is right.")
    ] = None,
    log_requests: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of requests that get a line in the log, default 0.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that answer, default 1; one that ends is started again.")] = None,
    database: Annotated[
        str | None,
        typer.Option(help="postgresql://... for events and tables of several machines; {tenant} in it is the folder's name."),
    ] = None,
    redis: Annotated[str | None, typer.Option(help="redis://...: machines tell each other at once when something came.")] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM file; with --tls-key the server speaks HTTPS.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of the certificate's key.")] = None,
) -> None:
    """Answer recommendations and searches over HTTP, and take events, until ctrl-C.

    Writes only beside the folder, into FOLDER.live: events, items, keys, newer models.

    Each setting may also stand in the environment, as ZHIYIN_MAX_CONNECTIONS and the like (docs/access-and-limits.md).

    Example: zhiyin serve shop
    """
    from zhiyin.base.memory import lasting

    with lasting():
        from zhiyin.serve.run import serve as alone
        from zhiyin.serve.settings import Settings
        from zhiyin.serve.workers import supervise

    settings = Settings.here(
        os.environ, host=host, port=port, deadline_ms=deadline_ms, rate_per_s=rate, retrain_every_h=retrain_every_h, log_share=log_requests,
        workers=workers, database=database, redis=redis,
        tls_certificate=str(tls_certificate) if tls_certificate else None, tls_key=str(tls_key) if tls_key else None,
    )  # fmt: skip
    names = ", ".join(folder.name for folder in folders)
    serving = supervise if settings.workers > 1 else alone
    try:
        serving(folders, settings, lambda address: aside(f"serving {names} at {address} (ctrl-C stops)"))
    except KeyboardInterrupt:
        raise Interrupted("What was asked is answered, and every event that was taken is stored.") from None
