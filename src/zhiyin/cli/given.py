"""What a person names on the command line, opened: data by folder or name, time, repeat policy, split."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zhiyin.base.errors import ConfigError

if TYPE_CHECKING:
    from zhiyin.data.dataset import Dataset
    from zhiyin.data.schema import Repeat

DataArgument = Annotated[
    str, typer.Argument(metavar="DATA", help="A folder with zhiyin.toml, or the name of a known data set (zhiyin data list).")
]
RepeatOption = Annotated[
    str | None, typer.Option("--repeat", metavar="allow|never|DAYS", help="May seen items come back? Default: as the data's manifest says.")
]
SplitOption = Annotated[
    str, typer.Option("--split", metavar="NAME", help="default, time:0.1, leave-one-out, last-n:3, cold-items, cold-users, untimed.")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Equal seeds give equal results.")]


def open_data(said: str) -> Dataset:
    """The Dataset of a folder or of a known name; a folder of that name wins."""
    from zhiyin.data.folder import load

    if Path(said).exists() or "/" in said or "." in said:
        return load(said)
    from zhiyin.data.sources import SOURCES, open_source

    if said in SOURCES.names():
        return open_source(said)
    from zhiyin.base.errors import MissingDataError, nearest

    close = nearest(said, SOURCES.names())
    hint = close if close.startswith("Did") else "Give a folder with zhiyin.toml, or a name from: zhiyin data list"
    raise MissingDataError(f"there is neither a folder nor a known data set '{said}'", hint)


def repeat_of(said: str | None) -> Repeat | None:
    """``allow``, ``never`` or a number of days."""
    from zhiyin.data.schema import Repeat

    if said is None:
        return None
    if said == "allow":
        return Repeat(policy="allow")
    if said == "never":
        return Repeat(policy="never")
    try:
        days = float(said)
    except ValueError:
        days = 0.0
    if not 0 < days < float("inf"):
        raise ConfigError(f"--repeat {said} is no repeat policy", "Say allow, never, or a number of days such as 30.")
    return Repeat(policy="after", days=days)


_LONGEST = 12
"""Digits of seconds since 1970; more are milliseconds, or no time at all."""


def time_of(said: str | None) -> int | None:
    """An instant as microseconds: ISO 8601 (UTC where no zone is given), or a whole number of seconds since 1970."""
    if said is None:
        return None
    if said.removeprefix("-").isdecimal() and len(said) <= _LONGEST:
        return int(said) * 1_000_000
    try:
        instant = datetime.fromisoformat(said)
    except ValueError:
        raise ConfigError(f"--now {said} is no time", "Write it like 2024-05-31 or 2024-05-31T18:30:00+08:00.") from None
    return round((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp() * 1e6)
