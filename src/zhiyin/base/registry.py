"""Explicit lists of what exists, by name; other packages join through entry points."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from zhiyin.base.errors import ConfigError, UnknownNameError, nearest


class Registry:
    """Names to ``"module:attribute"``, imported at first use so that a listing costs nothing."""

    def __init__(self, what: str, group: str, entries: dict[str, str]) -> None:
        self.what = what
        self.group = group
        self._entries = dict(entries)

    def names(self) -> list[str]:
        """Own names first, in their order, then those of installed plug-ins."""
        return list(self._entries) + [p.name for p in self._plugins() if p.name not in self._entries]

    def get(self, name: str) -> Any:
        """The object behind a name; raises ``UnknownNameError`` with the nearest one."""
        if name in self._entries:
            module, _, attribute = self._entries[name].partition(":")
            return getattr(import_module(module), attribute)
        for plugin in self._plugins():
            if plugin.name == name:
                return plugin.load()
        raise UnknownNameError(f"no {self.what} is named '{name}'", nearest(name, self.names()))

    def spec(self, values: Mapping[str, Any] | str, where: str = "") -> Any:
        """``"name"`` or ``{"kind": "name", ...}`` -> the parsed spec, for registries whose objects are classes of specs."""
        given: dict[str, Any] = {"kind": values} if isinstance(values, str) else dict(values)
        kind = given.pop("kind", None)
        if not isinstance(kind, str):
            raise ConfigError(f"a {self.what} needs a 'kind'{f' in {where}' if where else ''}", f"Known: {', '.join(self.names())}.")
        return self.get(kind).parse(given, where or f"{self.what} '{kind}'")

    def _plugins(self) -> list[Any]:
        return list(entry_points(group=self.group))
