"""``zhiyin.toml`` for people: every key with its meaning, beside what the guess thought of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from zhiyin.data.schema import Manifest
from zhiyin.data.tables import toml_key, toml_value

# Key -> what it means, and for optional ones an example to uncomment ("" = none is offered).
KEYS: dict[str, tuple[str, str]] = {
    "schema_version": ("version of this file's format", ""),
    "name": ("the data set's name, printed with every result", ""),
    "order": ("what is known of sequence: time (instants), position (order within a user) or none", ""),
    "time_zone": ("whose clocks: for times without an offset, and for hour and weekday", ""),
    "language": ("of the item texts: auto, en or zh", ""),
    "template": ("how item columns become one text", ""),
    "encoder": ("what reads the texts: minilm, minilm+catalogue (finds most for new items), catalogue, a folder or a hub name", ""),
    "positive_from": ("lower values are no sign of liking", "4.0"),
    "collapse_variants": ("recommend the parent instead of its variants (needs items.parent)", ""),
    "weights": ("what each kind of event says about liking; 0 = seen, but no sign of it", ""),
    "events": ("what people did, one row per act", ""),
    "events.file": ("CSV, TSV, JSONL or Parquet, also .gz and .zst", ""),
    "events.user": ("column: who", ""),
    "events.item": ("column: what it was done to", ""),
    "events.kind": ("column: view, cart, purchase, ...", '"event_type"'),
    "events.value": ("column: rating, quantity or seconds", '"rating"'),
    "events.time": ("column: when", '"timestamp"'),
    "events.time_unit": ("auto, s, ms, us (since 1970), iso or date", ""),
    "events.position": ("column: the order of a user's events", '"position"'),
    "events.session": ("column: the visit; stands for the user where none is named", '"session_id"'),
    "events.place": ("column: where", '"city"'),
    "events.placement": ("column: where it was shown (home, cart, search, ...)", '"placement"'),
    "events.trace": ("column: id of the answer that led to it", '"request_id"'),
    "events.split": ("column: a published split (train, valid, test)", '"split"'),
    "events.context": ("columns: known at the moment of the act (weather, device, ...)", '["device"]'),
    "items": ("the catalogue, one row per item (or the events file, where each act names the item)", ""),
    "items.file": ("the table", ""),
    "items.id": ("column: the id that events use", ""),
    "items.title": ("column: what people read", '"title"'),
    "items.parent": ("column: the product this is a variant of", '"parent_id"'),
    "items.publish": ("column: from when it may be shown", '"published_at"'),
    "items.expire": ("column: until when", '"expires_at"'),
    "items.available": ("column: may it be shown now (true, false)", '"available"'),
    "items.columns": (
        "what each column is: text, category, list, number, time, image, place, price, language, domain, latitude, longitude",
        "",
    ),
    "users": ("what is known of people, one row per user", ""),
    "users.file": ("the table", ""),
    "users.id": ("column: the id that events use", ""),
    "users.columns": ("what each column is, as under [items.columns]", ""),
    "users.sensitive": ("columns nobody should be judged by", '["gender"]'),
    "relations": ("triples about items", ""),
    "relations.file": ("the table", ""),
    "relations.head": ("column: the first thing", ""),
    "relations.relation": ("column: how they hang together", ""),
    "relations.tail": ("column: the second thing", ""),
    "repeat": ("may an item come back to someone who had it", ""),
    "repeat.policy": ("allow, never or after (with days)", ""),
    "repeat.days": ("for policy = after", "30.0"),
    "clean": ("what to repair on reading; every dropped or changed row is counted", ""),
    "clean.dedupe": ("none, exact (equal in every column) or same-time (same user, item, kind, time)", ""),
    "clean.outlier_z": ("how far out a number must be to be an outlier (robust z)", ""),
    "clean.burst_per_minute": ("more events of one user in a minute are a machine", "60"),
    "clean.min_user_events": ("users with fewer leave", ""),
    "clean.min_item_events": ("items with fewer leave", ""),
    "clean.missing": ('column = "drop" (the row), "flag", or a value to fill in', ""),
    "clean.outlier": ('column = "clip" or "drop"', ""),
}


def to_toml(manifest: Manifest, comments: Mapping[str, str] | None = None) -> str:
    """The manifest as TOML with a comment for each key: its meaning, then ``comments[key]``.

    Keys are dotted (``events.user``). What may be said but is not stands there as a comment with an
    example. Reading it back gives the same manifest.
    """
    said = dict(comments or {})
    values = manifest.model_dump(mode="json", exclude_none=True)
    lines = ["# What the tables in this folder mean. Correct what is wrong, then: zhiyin check", ""]
    for key, value in values.items():
        if not isinstance(value, Mapping):
            lines.append(_line(key, value, said))
    lines += _offered("", values)
    for name in ("events", "items", "users", "relations", "weights", "repeat", "clean"):
        if values.get(name):
            lines += _table(name, values[name], said)
    return "\n".join(lines) + "\n"


def _table(path: str, values: Mapping[str, Any], said: Mapping[str, str]) -> Iterator[str]:
    yield ""
    if path in KEYS:
        yield f"# {KEYS[path][0]}"
    if path in said:
        yield f"# {_comment(said[path])}"
    yield f"[{'.'.join(toml_key(part) for part in path.split('.'))}]"
    inner = {k: v for k, v in values.items() if isinstance(v, Mapping)}
    for key, value in values.items():
        if key not in inner and (value or value == 0 or f"{path}.{key}" not in KEYS):
            yield _line(key, value, said, path)
    yield from _offered(path, values)
    for key, value in inner.items():
        if value:
            yield from _table(f"{path}.{key}", value, said)


def _line(key: str, value: Any, said: Mapping[str, str], path: str = "") -> str:
    dotted = f"{path}.{key}" if path else key
    notes = [n for n in (KEYS.get(dotted, ("",))[0], said.get(dotted, "")) if n]
    written = f"{toml_key(key)} = {toml_value(value)}"
    return f"{written}  # {' | '.join(map(_comment, notes))}" if notes else written


def _comment(text: str) -> str:
    """A comment ends with its line and holds no control characters, whatever the data put into it."""
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))


def _offered(path: str, values: Mapping[str, Any]) -> Iterator[str]:
    """Keys that are not set, as comments with an example."""
    for dotted, (meaning, example) in KEYS.items():
        parent, _, key = dotted.rpartition(".")
        if parent == path and example and not values.get(key):
            yield f"# {key} = {example}  # {meaning}"
