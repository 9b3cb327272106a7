"""What other systems post to us in their own words, and the file that says what it means.

    [order]                          # POST /v1/shop/webhook/order
    into = "events"
    each = "line_items"
    [order.row]                      # see ``mapping``
    event_id = "{id}-{.id}"
    user = "customer.id"
    item = ".sku"
    kind = "=buy"

``webhooks.toml`` stands in FOLDER.live; changes count at once. What has no ``event_id`` gets one from its content, so that
a sender who repeats himself is counted once.
"""

from __future__ import annotations

import hashlib
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from zhiyin.base.errors import ConfigError, DataError, UnknownNameError, nearest
from zhiyin.online.bulk import Imported, Kind, import_rows
from zhiyin.online.bulk_formats import RowRead
from zhiyin.online.sources.mapping import RowMap
from zhiyin.online.tenant import Tenant

FILE = "webhooks.toml"
_encode = msgspec.json.Encoder(order="deterministic").encode


class Webhook(RowMap):
    """One table of the file."""

    into: Kind = "events"


def read_webhooks(home: Path) -> dict[str, Webhook]:
    """The webhooks of a tenant by name; none where there is no file. Raises ``ConfigError`` with the place of a mistake."""
    path = home / FILE
    if not path.is_file():
        return {}
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _read(path: Path, stamp: int) -> dict[str, Webhook]:
    del stamp  # another file has another one
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"'{path.name}' is not TOML: {error}", "Mend the line.") from None
    wrong = next((name for name, said in table.items() if not isinstance(said, dict)), None)
    if wrong is not None:
        raise ConfigError(f"'{wrong}' in {path.name} is no table", f"Write [{wrong}].")
    return {name: Webhook.parse(said, f"[{name}] of {path.name}") for name, said in table.items()}


def received(tenant: Tenant, home: Path, name: str, document: Any) -> Imported:
    """Store what a document means. Raises ``UnknownNameError`` for a webhook nobody described, ``DataError`` where no row fits."""
    hooks = read_webhooks(home)
    if name not in hooks:
        raise UnknownNameError(f"no webhook is named '{name[:80]}'", nearest(name, hooks) or f"Describe it in {FILE}, in FOLDER.live.")
    hook = hooks[name]
    digest = hashlib.sha256(_encode(document)).hexdigest()[:32]
    rows = []
    for place, values in enumerate(hook.rows(document), 1):
        if hook.into == "events" and values.get("event_id") is None:
            values["event_id"] = f"{name}:{digest}:{place}"
        rows.append(RowRead(place, values))
    told = import_rows(tenant, hook.into, rows)
    if told.refused and told.refused == told.rows:
        raise DataError(f"nothing of it fits: {told.reasons[0].why}", f"Look at [{name}] in {FILE}.")
    return told
