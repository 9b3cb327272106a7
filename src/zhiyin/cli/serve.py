"""``zhiyin serve``: answers over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zhiyin.cli.outcome import aside, ending


@ending
def serve(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="What zhiyin train wrote; several are several tenants.")],
    host: Annotated[str, typer.Option(help="Address to listen on; anything but this machine needs keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8765,
    deadline_ms: Annotated[int, typer.Option(min=1, help="After that an answer comes without the model.")] = 45,
    rate: Annotated[float | None, typer.Option(min=0.1, help="Requests per second of one key or address.")] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM file; with --tls-key the server speaks HTTPS.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of the certificate's key.")] = None,
) -> None:
    """Answer recommendations and searches over HTTP, and take events, until ctrl-C.

    Writes only beside the folder, into FOLDER.live: events, items, keys, newer models.

    Example: zhiyin serve shop
    """
    from zhiyin.serve.run import serve as listen
    from zhiyin.serve.settings import Settings

    settings = Settings(
        host=host, port=port, deadline_ms=deadline_ms, rate_per_s=rate,
        tls_certificate=str(tls_certificate) if tls_certificate else None, tls_key=str(tls_key) if tls_key else None,
    )  # fmt: skip
    aside(f"serving {', '.join(f.name for f in folders)} at http{'s' if tls_certificate else ''}://{host}:{port} (ctrl-C stops)")
    listen(folders, settings)
