"""``zhiyin pull``: events and items from where they come about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zhiyin.cli.dump import ServedArgument
from zhiyin.cli.outcome import DatabaseOption, Interrupted, JsonOption, aside, emit, ending, tell

if TYPE_CHECKING:
    from zhiyin.online.bulk import Imported
    from zhiyin.online.sources.pull import Sink


@ending
def pull(
    folder: ServedArgument,
    source: Annotated[Path, typer.Option(metavar="FILE", help='TOML: kind = "sql", "redis" or "kafka", and what it needs.')],
    follow: Annotated[bool, typer.Option("--follow", help="Go on until ctrl-C.")] = False,
    server: Annotated[str | None, typer.Option(help="Send it to this server, such as http://127.0.0.1:8765.")] = None,
    key: Annotated[str | None, typer.Option(envvar="ZHIYIN_KEY", help="A key of that server with the scope admin, or ingest.")] = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read a query, a Redis stream or a Kafka topic, from where the last pull ended. What comes twice counts once.

    Writes into the stores of FOLDER itself, or into a running server with --server.

    Example: zhiyin pull shop --source orders.toml
    """
    from zhiyin.online.sources.pull import pull as pulled
    from zhiyin.online.sources.source import read_source

    read = read_source(source)
    sink = _sink(folder, source, server, key, database)
    total: list[Imported] = []

    def heard(told: Imported) -> None:
        total[:] = [told]
        if follow:
            aside(_sentence(told))

    try:
        found = pulled(read, source.stem, sink, follow=follow, told=heard)
    except KeyboardInterrupt:
        raise Interrupted(f"{_sentence(total[0]) if total else 'Nothing came'}; the next pull goes on there.") from None
    finally:
        sink.close()
    if as_json:
        import msgspec

        emit(msgspec.to_builtins(found))
        return
    tell(_sentence(found))
    for refused in found.reasons[:10]:
        tell(f"  refused, row {refused.row:,}: {refused.why}")


def _sink(folder: Path, source: Path, server: str | None, key: str | None, database: str | None) -> Sink:
    from zhiyin.online.sources.pull import ServerSink, TenantSink
    from zhiyin.online.stores import Stores

    if server is not None:
        return ServerSink(server, folder.name, key, source.with_suffix(".state.json"))
    return TenantSink(folder, Stores(database), source.stem)


def _sentence(told: Imported) -> str:
    more = f", {told.unwanted:,} unwanted by the people they are about" if told.unwanted else ""
    return f"{told.rows:,} rows: {told.new:,} new, {told.known:,} known, {told.refused:,} refused{more}"
