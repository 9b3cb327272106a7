"""What several resources say alike: rows, pages of them, what was written and what is gone."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

Columns = dict[str, Any]


class Written(msgspec.Struct, frozen=True):
    """Which version each row got."""

    versions: dict[str, int]


class Gone(msgspec.Struct, frozen=True):
    """How many there were."""

    deleted: int


class PageQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The next ``n`` rows beyond ``after``."""

    after: str = ""
    n: Annotated[int, Meta(ge=1, le=1000)] = 100
