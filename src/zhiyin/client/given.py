"""What a caller gave, as the server takes it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

S = TypeVar("S")


def fresh_id() -> str:
    """An id for an event: made once, before the first try, so that a repeated call counts once."""
    return secrets.token_hex(16)


def given(**said: Any) -> dict[str, Any]:
    """What was said: None and () are not."""
    return {name: value for name, value in said.items() if value is not None and value != ()}


def each(shape: type[S], said: Iterable[S | Mapping[str, Any]]) -> list[S]:
    """Every one as its shape, whether it was given so or as a mapping."""
    return [shape(**one) if isinstance(one, Mapping) else one for one in said]


def part(name: str) -> str:
    """An id as one part of an address, whatever it consists of: ``a/b`` -> ``a%2Fb``.

    ``.`` and ``..`` are encoded too, or whoever sends the address would take them for steps up the path.
    """
    return quote(name, safe="") if name.strip(".") else "%2E" * len(name)
