"""From the bytes of a path to its parts: ids with "/" or any other character in them, percent-encoded, are one part.

What a server hands on as ``path`` is decoded as a whole, so that ``items/a%2Fb`` and ``items/a/b`` look alike there. Paths
are therefore cut at their slashes first, and each part is decoded after.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.routing import Match, Route


def segments(raw_path: bytes) -> tuple[str, ...]:
    """The decoded parts: ``b"/v1/shop/items/a%2Fb"`` -> ``("v1", "shop", "items", "a/b")``.

    Dots mean nothing here (``..`` is an id like others); bytes that are no UTF-8 become U+FFFD, which no name may hold.
    """
    return tuple(unquote_to_bytes(part).decode("utf-8", "replace") for part in raw_path.removeprefix(b"/").split(b"/"))


def named(template: Sequence[str], parts: Sequence[str]) -> dict[str, str] | None:
    """What stands in the places of ``("v1", "{tenant}", "items", "{item}")``; None for a path of another shape."""
    if len(parts) != len(template):
        return None
    names = {}
    for wanted, part in zip(template, parts, strict=True):
        if wanted.startswith("{"):
            if not part:
                return None
            names[wanted[1:-1]] = part
        elif wanted != part:
            return None
    return names


class PathRoute(Route):
    """A route of Starlette that takes an encoded slash for a character of an id."""

    def matches(self, scope: Any) -> tuple[Match, Any]:
        """See ``starlette.routing.Route``; paths without encoded characters are left to it."""
        raw: bytes = scope.get("raw_path") or b""
        if b"%" not in raw:
            return super().matches(scope)
        names = named(self.path.removeprefix("/").split("/"), segments(raw))
        if names is None:
            return Match.NONE, {}
        return Match.FULL if scope["method"] in (self.methods or ()) else Match.PARTIAL, {"endpoint": self.endpoint, "path_params": names}
