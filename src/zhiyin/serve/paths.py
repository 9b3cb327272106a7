"""From the bytes of a path to what answers there: ids with "/" or any other character in them, percent-encoded, are one part.

What a server hands on as ``path`` is decoded as a whole, so that ``items/a%2Fb`` and ``items/a/b`` look alike there. Paths
are therefore cut at their slashes first, and each part is decoded after.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, NamedTuple, TypeVar
from urllib.parse import unquote_to_bytes

T = TypeVar("T")


def segments(raw_path: bytes) -> list[str]:
    """The decoded parts: ``b"/v1/shop/items/a%2Fb"`` -> ``["v1", "shop", "items", "a/b"]``.

    Dots mean nothing here (``..`` is an id like others); bytes that are no UTF-8 become U+FFFD, which no name may hold.
    """
    parts = raw_path.removeprefix(b"/").split(b"/")
    if b"%" in raw_path:
        parts = [unquote_to_bytes(part) for part in parts]
    return [part.decode("utf-8", "replace") for part in parts]


class _Place(Generic[T]):
    """A part of paths: what may follow it, and what answers where a path ends with it."""

    __slots__ = ("any", "by_method", "named", "names")

    def __init__(self) -> None:
        self.named: dict[str, _Place[T]] = {}
        self.any: _Place[T] | None = None
        self.by_method: dict[str, T] = {}
        self.names: dict[str, tuple[str, ...]] = {}


class Found(NamedTuple, Generic[T]):
    """What answers, the names in its path, and the methods there are; nothing answers another method than these."""

    value: T | None
    names: dict[str, str]
    allowed: tuple[str, ...]


class Table(Generic[T]):
    """Paths like ``/v1/{tenant}/items/{item}`` with a value for each method: one step of a dict for each part of a path.

    Words come before names: where ``POST items/delete`` and ``GET items/{item}`` both exist, the id ``delete`` can be got and not
    posted to.
    """

    def __init__(self, rows: Iterable[tuple[str, str, T]]) -> None:
        self._root: _Place[T] = _Place()
        for method, path, value in rows:
            place, names = self._root, []
            for part in path.removeprefix("/").split("/"):
                if part.startswith("{"):
                    names.append(part[1:-1])
                    place.any = place.any or _Place()
                    place = place.any
                else:
                    place = place.named.setdefault(part, _Place())
            for said in (method, "HEAD") if method == "GET" else (method,):
                place.by_method.setdefault(said, value)
                place.names.setdefault(said, tuple(names))

    def find(self, method: str, raw_path: bytes) -> Found[T] | None:
        """What answers; None where no method would."""
        parts = segments(raw_path)
        place, given, other = self._root, [], False
        for part in parts:
            if (following := place.named.get(part)) is None:
                following = place.any
                if following is None or not part:
                    return self._among_all(method, parts) if other else None
                given.append(part)
            else:
                other = other or place.any is not None
            place = following
        if (value := place.by_method.get(method)) is not None:
            return Found(value, dict(zip(place.names[method], given, strict=True)), tuple(place.by_method))
        if other:
            return self._among_all(method, parts)
        return Found(None, {}, tuple(place.by_method)) if place.by_method else None

    def _among_all(self, method: str, parts: list[str]) -> Found[T] | None:
        """The same where a word of the path may be a name as well."""
        ways: list[tuple[_Place[T], tuple[str, ...]]] = [(self._root, ())]
        for part in parts:
            words = [(place.named[part], given) for place, given in ways if part in place.named]
            ways = [*words, *((place.any, (*given, part)) for place, given in ways if place.any is not None and part)]
        for place, given in ways:
            if (value := place.by_method.get(method)) is not None:
                return Found(value, dict(zip(place.names[method], given, strict=True)), tuple(place.by_method))
        allowed = dict.fromkeys(known for place, _ in ways for known in place.by_method)
        return Found(None, {}, tuple(allowed)) if allowed else None
