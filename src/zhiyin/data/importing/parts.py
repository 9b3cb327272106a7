"""What the readers of other formats share: finding a file, demanding its columns, describing what is left."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from zhiyin.base.errors import ConfigError, MissingDataError, nearest
from zhiyin.data.encoding import content_of
from zhiyin.data.files import FORMATS, PACKED
from zhiyin.data.guess_columns import Profile, column_type
from zhiyin.data.guess_manifest import OFTEN_REPEATED
from zhiyin.data.guess_words import COLUMN_TYPES, ITEM_ROLES, NOT_LIKED, SENSITIVE, any_word, likeness
from zhiyin.data.schema import ColumnType, Repeat
from zhiyin.data.tables import Tables

HEAD_BYTES = 65_536
FEW = 1_000  # different values that a context column may have


@dataclass(frozen=True)
class Imported:
    """Tables with their manifest, the file each came from, and what was left aside (file or file:column -> why)."""

    format: str
    tables: Tables
    files: Mapping[str, str]
    left_aside: Mapping[str, str] = field(default_factory=dict)


def tables_in(folder: Path) -> dict[str, Path]:
    """Files that hold tables, by the first part of their name: ``items`` for items.csv.gz."""
    found: dict[str, Path] = {}
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        suffixes = [s.lower() for s in path.suffixes if s.lower() not in PACKED]
        if suffixes and suffixes[-1] in FORMATS:
            stem = path.name.split(".")[0].lower()
            if stem in found:
                raise ConfigError(f"{found[stem].name} and {path.name} are both there", "Keep one of them in the folder.")
            found[stem] = path
    return found


def first_line(path: Path) -> str:
    """The header of a text table (of JSONL the first object), without reading the rest of a plain file."""
    if path.suffix.lower() in PACKED:
        head = content_of(path)[:HEAD_BYTES]
    else:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    return head.split(b"\n", 1)[0].decode(errors="replace")


def demand(columns: Iterable[str], wanted: Iterable[str], file: str, whose: str) -> None:
    """Each wanted column must be there; ``whose`` completes "which ... has"."""
    given = list(columns)
    for name in wanted:
        if name not in given:
            raise MissingDataError(f"{file} has no column '{name}', which {whose} has", nearest(name, given))


def weights_of(kinds: pl.Series, seen: Collection[str] = ()) -> dict[str, float]:
    """1 for each kind of event, 0 for those that say no and for those in ``seen`` while others say yes."""
    names = [str(k) for k in kinds.cast(pl.String).drop_nulls().unique(maintain_order=True)]
    weights = {n: 0.0 if any_word(n, NOT_LIKED) else 1.0 for n in names}
    quiet = {n: 0.0 if n.lower() in seen else w for n, w in weights.items()}
    return quiet if any(quiet.values()) else weights


def types_of(frame: pl.DataFrame, file: str, left: dict[str, str], lists: Collection[str] = ()) -> dict[str, ColumnType]:
    """A type for every column that says something; why the others do not goes to ``left``. ``lists`` are known to be lists."""
    types: dict[str, ColumnType] = {}
    for column in frame.columns:
        profile = Profile(column, frame[column])
        found = column_type(profile)
        if column in lists and len(profile.given):
            types[column] = "list"
        elif found.type is None:
            left[f"{file}:{column}"] = found.reason
        else:
            types[column] = found.type
    return types


def title_of(types: dict[str, ColumnType], frame: pl.DataFrame) -> str | None:
    """The column that people read, which then is text: named so, or else the shortest text."""
    words = [c for c, t in types.items() if t in ("text", "category")]
    named = {c: likeness(c, ITEM_ROLES["title"]) for c in words}
    best = max(named, key=lambda c: named[c], default=None)
    if best is not None and named[best] >= 0.5:
        types[best] = "text"
        return best
    texts = [c for c in words if types[c] == "text"]
    return min(texts, key=lambda c: Profile(c, frame[c]).mean_length, default=None)


def context_of(frame: pl.DataFrame, file: str, left: dict[str, str]) -> tuple[str, ...]:
    """Columns of events that hold a few words or numbers; why the others do not count goes to ``left``."""
    kept = []
    for column in frame.columns:
        p = Profile(column, frame[column])
        if p.values.dtype.is_nested():
            left[f"{file}:{column}"] = "holds lists"
        elif not len(p.given):
            left[f"{file}:{column}"] = "is empty"
        elif p.numbers is None and p.n_distinct > FEW:
            left[f"{file}:{column}"] = f"has {p.n_distinct:,} different values, as ids and free text do"
        else:
            kept.append(column)
    return tuple(kept)


def repeat_of(rows: pl.DataFrame, columns: Collection[str]) -> Repeat:
    """Allowed where more than a tenth of the acts bring back what the same person did to the same item before."""
    acts = rows.select(columns).drop_nulls()
    return Repeat(policy="allow" if acts.height and 1 - acts.n_unique() / acts.height > OFTEN_REPEATED else "never")


def sensitive_of(columns: Iterable[str]) -> tuple[str, ...]:
    """Columns that say something private, by their names."""
    return tuple(c for c in columns if any_word(c, SENSITIVE))


def is_prose(column: str) -> bool:
    """Is the column named as running text is?"""
    return likeness(column, COLUMN_TYPES["text"]) > 0.7
