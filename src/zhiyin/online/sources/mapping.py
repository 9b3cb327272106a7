"""From what other systems say to rows as imports take them.

each = "line_items"              # one row for each element of this list; left out: one row
when = { status = ["paid", "sent"] }    # other documents make no row

[row]
event_id = "{id}-{.id}"          # text with parts in it; "." begins in the element
user = "customer.id"             # a path
item = ".sku"
kind = "=buy"                    # a text as it is
time = "paid_at"
context = { device = "client.device" }

[rename.kind]                    # other words for values
add_to_cart = "cart"
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from zhiyin.base.spec import Spec
from zhiyin.online.bulk_formats import Values

_PART = re.compile(r"\{([^{}]*)\}")
Said = str | dict[str, str]


class RowMap(Spec):
    """How documents become rows; without ``row`` a document is a row already."""

    each: str | None = None
    when: dict[str, Any] = Field(default_factory=dict)
    row: dict[str, Said] = Field(default_factory=dict)
    rename: dict[str, dict[str, str]] = Field(default_factory=dict)

    def rows(self, document: Any) -> Iterator[Values]:
        """The rows of one document; fields that are not in it are left out."""
        if not all(_fits(_found(document, path), wanted) for path, wanted in self.when.items()):
            return
        elements = [document]
        if self.each is not None:
            found = _found(document, self.each)
            elements = found if isinstance(found, list) else [] if found is None else [found]
        for element in elements:
            yield self._row(document, element)

    def _row(self, document: Any, element: Any) -> Values:
        if not self.row:
            return dict(element) if isinstance(element, Mapping) else {}
        made: Values = {}
        for name, said in self.row.items():
            if isinstance(said, str):
                value = _said(said, document, element)
            else:
                parts = {key: _said(path, document, element) for key, path in said.items()}
                value = {key: part for key, part in parts.items() if part is not None}
            if value is not None:
                made[name] = self.rename.get(name, {}).get(str(value), value) if name in self.rename else value
        return made


def _said(said: str, document: Any, element: Any) -> Any:
    if said.startswith("="):
        return said[1:]
    if "{" not in said:
        return _at(said, document, element)
    parts = {path: _at(path, document, element) for path in _PART.findall(said)}
    if any(value is None for value in parts.values()):
        return None
    return _PART.sub(lambda found: str(parts[found.group(1)]), said)


def _at(path: str, document: Any, element: Any) -> Any:
    return _found(element, path[1:]) if path.startswith(".") else _found(document, path)


def _found(value: Any, path: str) -> Any:
    """What stands at a path of names and places with dots between them; None where there is nothing."""
    if not path:
        return value
    if isinstance(value, Mapping) and path in value:
        return value[path]
    first, _, rest = path.partition(".")
    if isinstance(value, Mapping):
        return _found(value[first], rest) if first in value and rest else None
    if isinstance(value, list) and first.isdigit() and int(first) < len(value):
        return _found(value[int(first)], rest)
    return None


def _fits(value: Any, wanted: Any) -> bool:
    return value in wanted if isinstance(wanted, list) else bool(value == wanted)
