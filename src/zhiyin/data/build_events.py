"""The events table on its way into a Dataset: columns of numbers, bad rows settled, sorted by time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from zhiyin.base.arrays import AnyArray, Bool, Float32, Int32, Int64
from zhiyin.base.errors import ConfigError, DataError, nearest
from zhiyin.base.units import US_PER_DAY
from zhiyin.data.clean import Ledger, Rows, bursts, clip_or_drop_outliers, doubles, few_events
from zhiyin.data.columns import Parsed, Source, blank_to_null, encode, plain, read_ids, read_numbers, read_text
from zhiyin.data.events import Events
from zhiyin.data.schema import Manifest
from zhiyin.data.times import time_reader

MAX_KINDS = 1_000
NO_NAMES = pl.Series("id", [], dtype=pl.String)


@dataclass
class EventColumns:
    """All rows of the table (n,), as numbers; ``keep`` says which of them count."""

    keep: Bool
    user: Int32
    user_names: pl.Series
    item: Int32
    item_names: pl.Series
    time: Int64
    tie: Int64 | None  # position within the user, where times are equal
    kind: Int32 | None
    kinds: tuple[str, ...]
    value: Float32 | None
    weight: Float32 | None
    place: Int32 | None
    place_names: pl.Series = field(default_factory=lambda: NO_NAMES)
    context: dict[str, pl.Series] = field(default_factory=dict)


def read_events(m: Manifest, source: Source, ledger: Ledger, now_us: int) -> EventColumns:
    """Each column is fetched, checked and turned into numbers before the next is touched."""
    if not source.height:
        raise DataError(f"{source.file} has no rows", "Give at least one event.")
    e = m.events
    rows = Rows(source, m.clean, ledger)
    user, user_names = _people(rows, m)
    item, item_names = encode(rows.settle(e.item, source.column(e.item, "events.item"), read_ids, needed=True))
    time, tie = _order(rows, m, now_us)
    kind, kinds, kind_weight = _kinds(rows, m)
    value = _value(rows, m)
    weight = _weight(m, kind, kind_weight, value)
    place, place_names = (None, NO_NAMES)
    if e.place is not None:
        place, place_names = encode(rows.settle(e.place, source.column(e.place, "events.place"), read_ids))
    context = _context(rows, m)
    columns = EventColumns(
        rows.keep, user, user_names, item, item_names, time, tie, kind, kinds, value, weight, place, place_names, context
    )
    _thin(rows, columns, e.user)
    columns.keep = rows.keep
    rows.done()
    if not rows.keep.any():
        raise DataError(f"no event of {source.file} is left after cleaning", "Loosen the rules under [clean].")
    return columns


def _people(rows: Rows, m: Manifest) -> tuple[Int32, pl.Series]:
    """Users, or where nobody is named the session, as "session:<id>"."""
    e, source = m.events, rows.source
    if e.session is None:
        return encode(rows.settle(e.user, source.column(e.user, "events.user"), read_ids, needed=True))
    session, session_names = encode(rows.settle(e.session, source.column(e.session, "events.session"), read_ids))
    session_names = "session:" + session_names
    if e.user not in source.names:
        if (session < 0).any():
            rows.settle(e.session, source.get(e.session), read_ids, needed=True)
        return session, session_names
    user, user_names = encode(rows.settle(e.user, source.get(e.user), read_ids))
    nobody = (user < 0) & (session < 0) & rows.keep
    if nobody.any():
        first = int(np.flatnonzero(nobody)[0]) + 1
        raise DataError(
            f"{source.file} row {first:,}: both '{e.user}' and '{e.session}' are empty (in {int(nobody.sum()):,} rows)",
            f'Leave such rows out: [clean.missing] {e.session} = "drop".',
        )
    rows.ledger.note("events", e.user, "noted", "nobody named, the session stands for the user", int((user < 0).sum()))
    merged = np.where(user >= 0, user, session + np.int32(len(user_names))).astype(np.int32)
    return merged, pl.concat([user_names, session_names])


def _order(rows: Rows, m: Manifest, now_us: int) -> tuple[Int64, Int64 | None]:
    """What the events are sorted by (see ``Events.time_us``), and the position that settles ties."""
    e, source = m.events, rows.source
    position = None
    if e.position is not None and m.order != "none":
        numbers = rows.settle(e.position, source.column(e.position, "events.position"), read_whole, needed=True)
        position = _numbers(numbers)
    if m.order == "time" and e.time is not None:
        read = time_reader(e.time_unit, m.time_zone, now_us + US_PER_DAY)
        return _numbers(rows.settle(e.time, source.column(e.time, "events.time"), read, needed=True)), position
    if m.order == "position" and position is not None:
        return position, None
    return np.zeros(source.height, np.int64), None


def _numbers(series: pl.Series) -> Int64:
    return np.asarray(series.fill_null(0).to_numpy(), dtype=np.int64)


def read_whole(raw: pl.Series, place: str) -> Parsed:
    """Whole numbers as Int64."""
    if raw.dtype.is_integer():
        return Parsed(raw.cast(pl.Int64))
    parsed = read_numbers(raw, place)
    whole = parsed.values.cast(pl.Int64, strict=False)
    broken = (parsed.values != whole).fill_null(False)
    return parsed.without(broken, whole, "is not a whole number")


def _kinds(rows: Rows, m: Manifest) -> tuple[Int32 | None, tuple[str, ...], Float32]:
    """Kinds in the order of the manifest's weights, then as they come; and the weight of each."""
    e = m.events
    if e.kind is None:
        if m.weights:
            raise ConfigError("the manifest has [weights], but no events.kind", "Name the column that holds the kind of event.")
        return None, ("event",), np.ones(1, np.float32)
    codes, names = encode(rows.settle(e.kind, rows.source.column(e.kind, "events.kind"), read_text, needed=True))
    used = [str(n) for n in names.to_list()]
    if len(used) > MAX_KINDS:
        raise DataError(
            f"{rows.place(e.kind)} holds {len(used):,} different kinds of event, for example '{used[0]}'",
            "events.kind names the column with a few words such as view and purchase.",
        )
    strange = [name for name in used if m.weights and name not in m.weights]
    if strange:
        at = int(np.flatnonzero(codes == used.index(strange[0]))[0]) + 1
        raise ConfigError(
            f"{rows.source.file} row {at:,}: event kind '{strange[0]}' has no weight in the manifest",
            f"{nearest(strange[0], m.weights)} Or add it under [weights]; 0 means seen, but no sign of liking.",
        )
    kinds = [k for k in m.weights if k in used] + [k for k in used if k not in m.weights]
    number = np.array([kinds.index(name) for name in used], np.int32)
    weights = np.array([m.weights.get(k, 1.0) for k in kinds], np.float32)
    return np.where(codes >= 0, number[codes], 0).astype(np.int32), tuple(kinds), weights


def _value(rows: Rows, m: Manifest) -> Float32 | None:
    column = m.events.value
    if column is None:
        if m.positive_from is not None:
            raise ConfigError("the manifest has positive_from, but no events.value", "Name the column that holds the rating.")
        return None
    values = rows.settle(column, rows.source.column(column, "events.value"), read_numbers)
    values = clip_or_drop_outliers(rows, column, values)
    return np.asarray(values.cast(pl.Float32).fill_null(float("nan")).to_numpy(), dtype=np.float32)


def _weight(m: Manifest, kind: Int32 | None, kind_weight: Float32, value: Float32 | None) -> Float32 | None:
    """The kind's weight; 0 below the rating threshold and where a threshold has no rating to meet."""
    weight = None if kind is None else kind_weight[kind]
    if m.positive_from is None or value is None:
        return weight
    liked = value >= np.float32(m.positive_from)
    return liked.astype(np.float32) if weight is None else np.where(liked, weight, np.float32(0))


def _context(rows: Rows, m: Manifest) -> dict[str, pl.Series]:
    """The context columns, and session, placement, trace and split under these names."""
    e, source = m.events, rows.source
    named = {"session": e.session, "placement": e.placement, "trace": e.trace, "split": e.split}
    wanted = {c: (c, f"events.context[{i}]") for i, c in enumerate(e.context)}
    wanted |= {name: (c, f"events.{name}") for name, c in named.items() if c is not None}
    out = {}
    for name, (column, key) in wanted.items():
        reader = read_text if name in named else read_context
        values = rows.settle(column, source.column(column, key), reader)
        if values.dtype.is_numeric():
            values = clip_or_drop_outliers(rows, column, values)
        # Categories keep 10 million rows of a few words at 4 bytes each.
        out[name] = values.cast(pl.Categorical) if values.dtype == pl.String and name != "trace" else values
    return {**out, **rows.flags}


def read_context(raw: pl.Series, place: str) -> Parsed:
    """Numbers, truths and times as they are, everything else as text."""
    raw = blank_to_null(plain(raw, place, "one value per row"))
    if raw.dtype.is_float():
        return read_numbers(raw, place)
    return Parsed(raw) if raw.dtype.is_integer() or raw.dtype == pl.Boolean or raw.dtype.is_temporal() else read_text(raw, place)


def _thin(rows: Rows, c: EventColumns, user_column: str) -> None:
    """Doubles, bursts and rare users and items leave, in this order."""
    clean = rows.clean
    if clean.dedupe != "none":
        keys: dict[str, AnyArray | pl.Series | None] = {"user": c.user, "item": c.item, "kind": c.kind, "time": c.time}
        if clean.dedupe == "exact":
            keys |= {"value": c.value, "place": c.place, **{f"context.{k}": v for k, v in c.context.items()}}
        same = {k: v for k, v in keys.items() if v is not None}
        said = "says the same as an earlier row" if clean.dedupe == "exact" else "same user, item, kind and time as an earlier row"
        rows.discard(doubles(same, rows.keep), "", said)
    if clean.burst_per_minute is not None:
        at = np.flatnonzero(rows.keep)
        burst = np.zeros(len(rows.keep), np.bool_)
        burst[at] = bursts(c.user[at], c.time[at], clean.burst_per_minute)
        rows.drop(burst, user_column, f"more than {clean.burst_per_minute} events of one user in a minute")
    if clean.min_user_events > 1 or clean.min_item_events > 1:
        few = few_events(c.user, c.item, rows.keep, clean.min_user_events, clean.min_item_events)
        said = f"user with under {clean.min_user_events} or item with under {clean.min_item_events} events (repeated until none is left)"
        rows.discard(few, "", said)


def arranged(c: EventColumns) -> Events:
    """The kept rows as Events, by time; ties by position where given, else as in the file."""
    rows = np.flatnonzero(c.keep)
    time = c.time[rows]
    if c.tie is not None:
        rows = rows[np.lexsort((c.tie[rows], time))]
    elif len(time) > 1 and bool((np.diff(time) < 0).any()):
        rows = rows[np.argsort(time, kind="stable")]
    context = pl.DataFrame({k: v.gather(rows).alias(k) for k, v in c.context.items()})

    def of(column: AnyArray | None) -> AnyArray | None:
        return None if column is None else column[rows]

    return Events.of(
        c.user[rows], c.item[rows], c.time[rows],
        kind_ix=of(c.kind), value=of(c.value), weight=of(c.weight), place_ix=of(c.place), context=context,
    )  # fmt: skip
