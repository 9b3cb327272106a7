"""Many rows at once, into a tenant and out of it: events, items, users, relations.

Every row is judged by itself: what fits is stored, what does not is refused with its place and the reason. Batches are
stored whole or not at all, events count once by their id, and other rows replace what had their id: an import that broke
off is simply made again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any, Literal, TypeVar

import msgspec
import polars as pl

from zhiyin.base.errors import DataError, ZhiyinError
from zhiyin.data.record import EventRecord
from zhiyin.online.bulk_formats import ColumnKind, Format, RowRead, Values, column_kinds, plain, rows_written
from zhiyin.online.incoming import EventIn, record_of
from zhiyin.online.relations import NAMES, RELATIONS, columns_of, id_of, relation_of
from zhiyin.online.rights import USERS
from zhiyin.online.tenant import Tenant
from zhiyin.store.tables import every_row

Kind = Literal["events", "items", "users", "relations"]
T = TypeVar("T")
BATCH = 2_000
MOST_TOLD = 100
"""Refused rows whose reasons are told; the others are counted."""

_EVENT_COLUMNS: dict[str, ColumnKind] = {
    "event_id": "text", "user": "text", "session": "text", "item": "text", "kind": "text", "time": "whole", "value": "number",
    "place": "text", "placement": "text", "trace": "text", "context": "json",
}  # fmt: skip
_IDS = [name for name, kind in _EVENT_COLUMNS.items() if kind == "text"]


class Refused(msgspec.Struct, frozen=True):
    """A row that was not stored: its line (of a Parquet file: its number), and why."""

    row: int
    why: str


class Imported(msgspec.Struct, frozen=True):
    """``new`` rows were stored; ``known`` ones were there: events count once, of other rows the newer one stands.
    ``unwanted`` are events of people who want nothing stored. ``reasons`` tells of the first 100 ``refused``."""

    rows: int
    new: int
    known: int
    refused: int
    unwanted: int
    reasons: list[Refused]


def import_rows(tenant: Tenant, kind: Kind, rows: Iterable[RowRead]) -> Imported:
    """Store what can be stored. Raises ``DataError`` where the file ends in damage and ``StoreError`` where the store does;
    both say how far it came."""
    into = _Import(tenant, kind)
    try:
        for row in rows:
            into.add(row)
        into.flush()
    except DataError as error:
        into.flush()
        said = f"{error.message}; rows stored before that: {into.stored:,}"
        raise DataError(said, f"{error.hint} Then send it all again: nothing counts twice.") from None
    return into.outcome()


def export_rows(tenant: Tenant, kind: Kind, form: Format) -> Iterator[bytes]:
    """Everything of a kind as a file that ``import_rows`` takes, piece by piece."""
    if kind == "events":
        rows: Iterable[Mapping[str, Any]] = (_event_row(record) for _, record in tenant.log.read())
        return rows_written(rows, _EVENT_COLUMNS, form)
    if kind == "items":
        columns: dict[str, ColumnKind] = {tenant.shop.id_name: "text"}
        columns |= {name: _kind_of(dtype) for name, dtype in tenant.shop.columns.items()}
        return rows_written(_items(tenant), columns, form)
    # The rows of users and relations are free: what their columns hold shows only once all were looked at.
    columns = {} if form == "jsonl" else column_kinds(_table_rows(tenant, kind))
    first = NAMES if kind == "relations" else (user_name(tenant),)
    return rows_written(_table_rows(tenant, kind), {**dict.fromkeys(first, "text"), **columns}, form)


def user_name(tenant: Tenant) -> str:
    """The column that names a user in tables."""
    users = tenant.snapshot.recommender.data.manifest.users
    return users.id if users else "user_id"


class _Import:
    """Rows on their way in. ``stored`` counts those that are safe."""

    def __init__(self, tenant: Tenant, kind: Kind) -> None:
        self.tenant = tenant
        self.kind = kind
        self.rows = self.new = self.known = self.refused = self.unwanted = 0
        self.reasons: list[Refused] = []
        self._events: list[tuple[int, EventRecord]] = []
        self._bodies: dict[str, tuple[int, Values]] = {}

    @property
    def stored(self) -> int:
        return self.new + self.known

    def outcome(self) -> Imported:
        return Imported(self.rows, self.new, self.known, self.refused, self.unwanted, self.reasons)

    def add(self, row: RowRead) -> None:
        self.rows += 1
        if row.values is None:
            self._refuse(row.place, row.why)
            return
        try:
            if self.kind == "events":
                self._events.append((row.place, record_of(event_of(row.values))))
            else:
                row_id, body = self._split(dict(row.values))
                if row_id in self._bodies:
                    self.flush()
                self._bodies[row_id] = (row.place, body)
        except (msgspec.ValidationError, ZhiyinError) as error:
            self._refuse(row.place, error.message if isinstance(error, ZhiyinError) else str(error))
        if len(self._events) + len(self._bodies) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Store what waits."""
        events, self._events = self._events, []
        bodies, self._bodies = [(place, (row_id, body)) for row_id, (place, body) in self._bodies.items()], {}
        waiting: list[tuple[int, Future[list[bool]]]] = []

        def take(records: list[EventRecord]) -> None:
            waiting.append((len(records), self.tenant.take(records)))

        self._halved(events, take)
        self._halved(bodies, self._put)
        for n, future in waiting:
            fresh = future.result()
            self.new += sum(fresh)
            self.known += len(fresh) - sum(fresh)
            self.unwanted += n - len(fresh)

    def _halved(self, batch: list[tuple[int, T]], store: Callable[[list[T]], None]) -> None:
        """Store a batch; where something in it is refused, its halves, until what is wrong stands alone."""
        if not batch:
            return
        try:
            store([value for _, value in batch])
        except DataError as error:
            if len(batch) == 1:
                self._refuse(batch[0][0], error.message)
                return
            half = len(batch) // 2
            self._halved(batch[:half], store)
            self._halved(batch[half:], store)

    def _put(self, rows: list[tuple[str, Values]]) -> None:
        bodies, ids = dict(rows), [row_id for row_id, _ in rows]
        if self.kind == "items":
            find = self.tenant.snapshot.catalog.items.find
            known = sum(find(row_id) >= 0 for row_id in ids)
            self.tenant.shop.put(bodies)
        else:
            collection = USERS if self.kind == "users" else RELATIONS
            tables = self.tenant.shop.tables
            known = len(tables.get(collection, ids))
            tables.put(collection, bodies)
        self.known += known
        self.new += len(bodies) - known

    def _split(self, values: Values) -> tuple[str, Values]:
        """The id of a row and the rest of it. Raises ``DataError`` where there is no id or the rest does not fit."""
        if self.kind == "relations":
            parts = [_taken(values, name) for name in NAMES]
            return id_of(parts[0], parts[1], parts[2]), columns_of(_typed(values))
        if self.kind == "users":
            return _taken(values, user_name(self.tenant)), _typed(values)
        shop = self.tenant.shop
        item, columns = _taken(values, shop.id_name), shop.columns
        return item, shop.checked(item, {name: _of_type(value, columns.get(name)) for name, value in values.items()})

    def _refuse(self, place: int, why: str) -> None:
        self.refused += 1
        if len(self.reasons) < MOST_TOLD:
            self.reasons.append(Refused(place, why))


def event_of(values: Mapping[str, Any]) -> EventIn:
    """The event of a row of any source: ids may be numbers, a context text. Raises msgspec.ValidationError or ``DataError``."""
    given = {name: plain(value) for name, value in values.items() if value is not None and value != ""}
    for name in _IDS:
        if isinstance(given.get(name), int) and not isinstance(given[name], bool):
            given[name] = str(given[name])
    try:
        if isinstance(time := given.get("time"), str) and time.lstrip("-").isdigit():
            given["time"] = int(time)
        if isinstance(given.get("value"), str):
            given["value"] = float(given["value"])
        if isinstance(given.get("context"), str):
            given["context"] = msgspec.json.decode(given["context"])
    except (ValueError, RecursionError) as error:
        raise DataError(f"a value cannot be read: {error}") from None
    return msgspec.convert(given, EventIn)


def _taken(values: Values, name: str) -> str:
    """The id in a column, out of the row."""
    value = plain(values.pop(name, None))
    if value is None or value == "" or isinstance(value, bool | list | dict):
        raise DataError(f"the row has no '{name}'", "Say it.")
    return str(value)


def _typed(values: Values) -> Values:
    """Free columns: what is text stays text, for no table says what else it should be."""
    return {name: plain(value) for name, value in values.items()}


def _of_type(value: Any, dtype: pl.DataType | None) -> Any:
    """The value of an item as its column wants it, where a file without types says it as text."""
    value = plain(value)
    if not isinstance(value, str) or dtype is None or dtype == pl.String:
        return str(value) if dtype == pl.String and isinstance(value, int) and not isinstance(value, bool) else value
    try:
        if dtype == pl.Boolean:
            return {"true": True, "1": True, "false": False, "0": False}.get(value.lower(), value)
        if isinstance(dtype, pl.List):
            return msgspec.json.decode(value) if value.startswith("[") else value.split("|")
        if dtype.is_integer() or isinstance(dtype, pl.Datetime):
            return int(value)
        return float(value) if dtype.is_float() else value
    except ValueError:
        return value  # the shop says what it should have been


def _kind_of(dtype: pl.DataType) -> ColumnKind:
    if dtype == pl.Boolean:
        return "flag"
    if dtype.is_integer() or isinstance(dtype, pl.Datetime):
        return "whole"
    if dtype.is_float():
        return "number"
    return "texts" if isinstance(dtype, pl.List) else "text"


def _event_row(r: EventRecord) -> dict[str, Any]:
    row = {name: getattr(r, name) for name in _EVENT_COLUMNS if name != "time"}
    return {**row, "time": r.time_us}


def _items(tenant: Tenant) -> Iterator[dict[str, Any]]:
    after, name = "", tenant.shop.id_name
    while found := tenant.shop.page(after, 1_000):
        yield from ({name: item, **columns} for item, columns in found)
        after = found[-1][0]


def _table_rows(tenant: Tenant, kind: Kind) -> Iterator[dict[str, Any]]:
    tables = tenant.shop.tables
    if kind == "users":
        name = user_name(tenant)
        yield from ({**row.body, name: row.id} for row in every_row(tables, USERS))
        return
    for row in every_row(tables, RELATIONS):
        found = relation_of(row)
        yield {**found.columns, "head": found.head, "relation": found.relation, "tail": found.tail}
