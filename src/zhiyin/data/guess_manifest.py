"""From tables with roles to a manifest, each part of it with its sureness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from zhiyin.base.units import US_PER_HOUR
from zhiyin.data.columns import blank_to_null
from zhiyin.data.derive import described
from zhiyin.data.guess_columns import Profile, Typed, column_type
from zhiyin.data.guess_roles import Decision, EventRoles
from zhiyin.data.guess_words import ITEM_ROLES, NOT_LIKED, SENSITIVE, any_word, likeness, words_of
from zhiyin.data.schema import Cleaning, EventsTable, ItemsTable, Manifest, Order, RelationsTable, Repeat, UsersTable
from zhiyin.data.times import time_reader

OFTEN_REPEATED = 0.1
MIN_CJK = 0.3


@dataclass(frozen=True)
class Parts:
    """Which table is which: ``described`` and ``relations`` hold file, columns, sureness, reason."""

    name: str
    frames: Mapping[str, pl.DataFrame]
    events: str
    roles: EventRoles
    events_sure: float
    described: Mapping[str, tuple[str, str, float, str]]  # "items", "users"
    relations: tuple[str, dict[str, str], float, str] | None
    unused: dict[str, str]


def manifest_of(parts: Parts) -> tuple[Manifest, list[Decision]]:
    """The manifest and its decisions, in the order of the manifest."""
    decisions: list[Decision] = []
    items = _items(parts, decisions)
    users = _users(parts, decisions)
    events = _events(parts, items, decisions)
    order = _order(events, parts, decisions)
    kinds, positive_from = _meaning(parts, decisions)
    manifest = Manifest(
        name=parts.name,
        order=order,
        time_zone=_time_zone(parts, decisions),
        language=_language(parts, items, decisions),
        events=events,
        items=items,
        users=users,
        relations=_relations(parts, decisions),
        weights=kinds,
        positive_from=positive_from,
        repeat=_repeat(parts, decisions),
        clean=Cleaning(missing=_missing(parts, events, order, decisions)),
    )
    return manifest, decisions


def _events(parts: Parts, items: ItemsTable | None, decisions: list[Decision]) -> EventsTable:
    roles = parts.roles
    decisions.append(Decision("events.file", parts.events, round(parts.events_sure, 2), "has users, items and what they did"))
    decisions += roles.found.values()
    time = roles.column("time")
    unit = roles.profiles[time].time_unit if time else None
    if unit is not None:
        said = {"s": "seconds since 1970", "ms": "milliseconds since 1970", "us": "microseconds since 1970", "iso": "written times"}
        decisions.append(Decision("events.time_unit", unit, 0.97, f"all values fit: {said.get(unit, 'times')}"))
    context = list(roles.context)
    if items is not None and items.file != parts.events:
        # A catalogue of its own describes the items; what the events say beside it stays with the act.
        context += [c for c in roles.of_item if c not in parts.frames[items.file].columns and _few(roles.profiles[c])]
    if "users" in parts.described:
        context += [c for c in roles.of_user if c not in parts.frames[parts.described["users"][0]].columns and _few(roles.profiles[c])]
    if context:
        decisions.append(Decision("events.context", tuple(context), 0.6, "differ from act to act, few values or numbers"))
    chosen = {role: d.value for role, d in roles.found.items()}
    return EventsTable(file=parts.events, time_unit=unit or "auto", context=tuple(context), **chosen)


def _few(p: Profile) -> bool:
    return p.mean_length <= 40 and p.n_distinct <= 1_000


def _described_frame(parts: Parts, what: str) -> tuple[str, str, pl.DataFrame, float, str] | None:
    """File, id column and the describing columns of the items or users, wherever they stand."""
    if what in parts.described:
        file, column, sure, reason = parts.described[what]
        return file, column, parts.frames[file], sure, reason
    roles = parts.roles
    columns = roles.of_item if what == "items" else roles.of_user
    column = roles.column(what[:-1]) or ""
    if not columns or not column:
        return None
    frame = described(parts.frames[parts.events], column, columns)
    return parts.events, column, frame, 0.8, f"no table of their own: {', '.join(columns)} say the same in each act on one {what[:-1]}"


def _items(parts: Parts, decisions: list[Decision]) -> ItemsTable | None:
    found = _described_frame(parts, "items")
    if found is None:
        return None
    file, id_column, frame, sure, reason = found
    kept = len(decisions)
    decisions += [Decision("items.file", file, round(sure, 2), reason), Decision("items.id", id_column, round(sure, 2), reason)]
    profiles = {c: Profile(c, frame[c]) for c in frame.columns if c != id_column}
    typed = {c: column_type(p) for c, p in profiles.items()}
    special = _item_roles(profiles, typed, decisions)
    columns = {}
    for name, t in typed.items():
        if name in special.values() and name != special.get("title"):
            continue
        if t.type is None:
            parts.unused[f"{file}:{name}"] = t.reason
            continue
        columns[name] = t.type
        decisions.append(Decision(f"items.columns.{name}", t.type, t.sure, t.reason))
    if file == parts.events and not columns and not special:
        del decisions[kept:]
        return None
    return ItemsTable(file=file, id=id_column, columns=columns, **special)


def _item_roles(profiles: Mapping[str, Profile], typed: dict[str, Typed], decisions: list[Decision]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    wanted = {"title": ("text", "category"), "publish": ("time",), "expire": ("time",)}
    for role, words in ITEM_ROLES.items():
        fits = {}
        for name, p in profiles.items():
            named = likeness(name, words)
            if name in out.values() or named < 0.5 or (role in wanted and typed[name].type not in wanted[role]):
                continue
            if (role == "available" and not _is_flag(p)) or (role == "parent" and (p.values.dtype.is_nested() or p.is_key)):
                continue
            fits[name] = named - 0.5 * p.missing_share - (0.3 if role == "title" and p.mean_length > 200 else 0)
        if not fits and role == "title":
            fits = {c: 0.2 - typed[c].sure / 100 for c, p in profiles.items() if typed[c].type == "text" and p.mean_length <= 120}
        if fits:
            best = max(fits, key=lambda c: fits[c])
            out[role] = best
            sure = round(0.4 + 0.55 * max(fits[best], 0.0), 2)
            decisions.append(Decision(f"items.{role}", best, sure, "named so" if fits[best] >= 0.5 else "the only short text"))
    if "title" in out and typed[out["title"]].type != "text":
        typed[out["title"]] = Typed("text", 0.8, "people read it")
    return out


def _is_flag(p: Profile) -> bool:
    return p.values.dtype == pl.Boolean or (p.n_distinct <= 2 and len(p.given) > 0 and (p.is_whole or p.mean_length <= 5))


def _users(parts: Parts, decisions: list[Decision]) -> UsersTable | None:
    found = _described_frame(parts, "users")
    if found is None:
        return None
    file, id_column, frame, sure, reason = found
    kept = len(decisions)
    decisions += [Decision("users.file", file, round(sure, 2), reason), Decision("users.id", id_column, round(sure, 2), reason)]
    columns, sensitive = {}, []
    for name in frame.columns:
        if name == id_column:
            continue
        t = column_type(Profile(name, frame[name]))
        if t.type is None:
            parts.unused[f"{file}:{name}"] = t.reason
            continue
        columns[name] = t.type
        decisions.append(Decision(f"users.columns.{name}", t.type, t.sure, t.reason))
        if any_word(name, SENSITIVE):
            sensitive.append(name)
    if not columns:
        if file != parts.events:
            parts.unused[file] = "says nothing of users beyond their ids"
        del decisions[kept:]
        return None
    if sensitive:
        decisions.append(Decision("users.sensitive", tuple(sensitive), 0.8, "say something private"))
    return UsersTable(file=file, id=id_column, columns=columns, sensitive=tuple(sensitive))


def _relations(parts: Parts, decisions: list[Decision]) -> RelationsTable | None:
    if parts.relations is None:
        return None
    file, columns, sure, reason = parts.relations
    decisions.append(Decision("relations.file", file, sure, reason))
    return RelationsTable(file=file, **columns)


def _order(events: EventsTable, parts: Parts, decisions: list[Decision]) -> Order:
    if events.time is not None:
        times = parts.roles.profiles[events.time]
        if times.n_distinct > 1:
            decisions.append(Decision("order", "time", parts.roles.found["time"].sure, f"'{events.time}' gives each event an instant"))
            return "time"
    if events.position is not None:
        decisions.append(Decision("order", "position", 0.9, f"no usable time, but '{events.position}' orders the events of a user"))
        return "position"
    decisions.append(Decision("order", "none", 0.8, "neither a time nor a position was found"))
    return "none"


def _time_zone(parts: Parts, decisions: list[Decision]) -> str:
    column = parts.roles.column("time")
    if column is None:
        return "UTC"
    p = parts.roles.profiles[column]
    chinese = any(any("\u3400" <= c <= "\u9fff" for c in name) for name in parts.frames[parts.events].columns)
    zoned = getattr(p.values.dtype, "time_zone", None)
    if any_word(column, ("utc", "gmt")) or zoned == "UTC" or p.share_of(r"(Z|UTC|GMT|\+00:?00)$") > 0.9:
        zone, sure, why = "UTC", 0.9, "the times are said to be UTC"
    elif zoned:
        zone, sure, why = str(zoned), 0.95, "the column carries it"
    elif chinese:
        zone, sure, why = "Asia/Shanghai", 0.7, "the columns have Chinese names"
    elif p.time_unit in ("s", "ms", "us"):
        zone, sure, why = (
            "UTC",
            0.5,
            f"seconds since 1970 are the same everywhere; the zone only says which hour it is for people{_quiet_hours(p)}",
        )
    else:
        zone, sure, why = "UTC", 0.4, "the times do not say whose clock they show"
    decisions.append(Decision("time_zone", zone, sure, why))
    return zone


def _quiet_hours(p: Profile) -> str:
    """People sleep around four in the morning: the quietest hours hint at where they live."""
    times = time_reader("auto")(p.sample, "").values.drop_nulls().to_numpy()
    hours = np.bincount((times // US_PER_HOUR) % 24, minlength=24)
    around = hours + np.roll(hours, 1) + np.roll(hours, -1)
    if len(times) < 1_000 or around.min() > 0.35 * around.mean():
        return ""
    quiet = int(around.argmin())
    shift = (4 - quiet + 12) % 24 - 12
    return f"; it is quietest around {quiet:02d}:00 UTC, as where clocks show UTC{shift:+d}"


def _language(parts: Parts, items: ItemsTable | None, decisions: list[Decision]) -> Any:
    if items is None:
        return "auto"
    texts = [c for c, t in items.columns.items() if t == "text"]
    given = [Profile(c, parts.frames[items.file][c]) for c in texts]
    if not given:
        return "auto"
    share = max(p.cjk_share for p in given)
    language = "zh" if share > MIN_CJK else "en" if share < 0.02 and _is_english(given) else "auto"
    decisions.append(
        Decision("language", language, 0.9 if language != "auto" else 0.5, f"{share:.0%} of the texts hold Chinese characters")
    )
    return language


def _is_english(given: list[Profile]) -> bool:
    return max(p.share_of(r"(?i)\b(the|of|and|for|a|in|with|to|set|pack)\b") for p in given) > 0.1


def _meaning(parts: Parts, decisions: list[Decision]) -> tuple[dict[str, float], float | None]:
    """Weights by kind, and the value from which an act is a sign of liking."""
    roles = parts.roles
    weights: dict[str, float] = {}
    kind = roles.column("kind")
    if kind is not None:
        names = [str(v) for v in roles.profiles[kind].given.unique(maintain_order=True)]
        weights = {n: 0.0 if any_word(n, NOT_LIKED) or _says_no(n) else 1.0 for n in names}
        sure = 0.5 if len(weights) > 1 else 0.8
        decisions.append(
            Decision("weights", weights, sure, "0 = seen, but no sign of liking; raise those that say more, such as a purchase")
        )
    value = roles.column("value")
    numbers = roles.profiles[value].numbers if value is not None else None
    if numbers is not None and bool((numbers < 0).any()) and bool((numbers > 0).any()):
        least = float(numbers.filter(numbers > 0).min())  # type: ignore[arg-type]
        undone = float((numbers < 0).mean() or 0)  # type: ignore[arg-type]
        decisions.append(Decision("positive_from", least, 0.75, f"'{value}' is negative in {undone:.1%} of the rows: something undone"))
        return weights, least
    return weights, None


def _says_no(name: str) -> bool:
    return words_of(name)[:1] in (["not"], ["un"], ["no"])


def _repeat(parts: Parts, decisions: list[Decision]) -> Repeat:
    who = parts.roles.column("user") or parts.roles.column("session")
    what = parts.roles.column("item")
    pairs = parts.frames[parts.events].select(who, what).drop_nulls()
    share = 1 - pairs.n_unique() / pairs.height if pairs.height else 0.0
    policy: Any = "allow" if share > OFTEN_REPEATED else "never"
    sure = 0.9 if share > 0.2 or share < 0.02 else 0.6
    decisions.append(Decision("repeat.policy", policy, sure, f"{share:.1%} of the events bring an item back to someone who had it"))
    return Repeat(policy=policy)


def _missing(parts: Parts, events: EventsTable, order: Order, decisions: list[Decision]) -> dict[str, Any]:
    """Rows that cannot be used (no user, no item, no readable time) are dropped, and said so."""
    out: dict[str, Any] = {}
    frame = parts.frames[parts.events]
    needed = [events.item] + ([events.user] if events.session is None and events.user in frame.columns else [])
    needed += [c for c, o in ((events.time, "time"), (events.position, "position")) if c is not None and o == order]
    for column in needed:
        values = frame[column]
        absent = blank_to_null(values).null_count()
        if column == events.time and values.dtype == pl.String:
            absent = time_reader(events.time_unit)(values, column).values.null_count()
        if absent:
            out[column] = "drop"
            why = f"{absent:,} rows ({absent / len(values):.1%}) have none, and no use without it"
            decisions.append(Decision(f"clean.missing.{column}", "drop", 0.9, why))
    return out
