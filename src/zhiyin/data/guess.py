"""Guess what a folder of tables means: the manifest for ``zhiyin init``, and how sure each part is.

Nothing is decided by one hint: names (English, Chinese), what the values look like, and how the tables
fit together count. A guess below 60% deserves a look; ``Guess.doubts`` lists those.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from zhiyin.base.errors import DataError, MissingDataError, ZhiyinError
from zhiyin.data.columns import blank_to_null
from zhiyin.data.encoding import content_of, encoding_of, to_utf8
from zhiyin.data.files import FORMATS, PACKED, read_table, sniff_delimiter
from zhiyin.data.guess_columns import Profile, looks_like_id
from zhiyin.data.guess_manifest import Parts, manifest_of
from zhiyin.data.guess_roles import Decision, EventRoles
from zhiyin.data.guess_words import EVENT_ROLES, FILES, RELATION_PARTS, likeness, words_of
from zhiyin.data.schema import Manifest

DOUBT = 0.6
LINK_SAMPLE = 5_000
FEW_ROWS = 10  # with fewer, nobody and nothing need come twice, and names alone do not tell
MARKS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}


@dataclass(frozen=True)
class FileNote:
    """What a file turned out to be: its format in words, rows and columns."""

    file: str
    format: str  # "CSV, comma, GB18030"
    rows: int
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Guess:
    """A manifest, the decisions behind it, and what was left aside (file or file:column -> why)."""

    manifest: Manifest
    decisions: tuple[Decision, ...]
    files: tuple[FileNote, ...]
    unused: Mapping[str, str]

    def of(self, key: str) -> Decision | None:
        """The decision about a manifest key such as ``events.user``; None where there was nothing to decide."""
        return next((d for d in self.decisions if d.key == key), None)

    @property
    def doubts(self) -> tuple[Decision, ...]:
        """Decisions one should look at, least sure first."""
        return tuple(sorted((d for d in self.decisions if d.sure < DOUBT), key=lambda d: d.sure))

    def comments(self) -> dict[str, str]:
        """Key -> "98% sure: ...", for ``to_toml``."""
        return {d.key: f"{d.sure:.0%} sure: {d.reason}" for d in self.decisions}


def guess(path: str | Path, name: str = "") -> Guess:
    """Read a folder of tables (or a single file) and guess its manifest.

    ``name`` is that of the data set (the folder's or file's where empty). Raises ``MissingDataError``
    without tables, ``DataError`` where no table has a user and an item. Reads every table once.
    """
    path = Path(path)
    files = _tables_in(path)
    frames, notes, unused = {}, [], {}
    problem: ZhiyinError | None = None
    for file in files:
        try:
            frame = read_table(file).with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String))  # numbered text is text
            _has_header(frame, file.name)
        except ZhiyinError as error:
            unused[file.name], problem = error.message, problem or error
            continue
        frames[file.name] = frame
        notes.append(FileNote(file.name, _format_of(file), frame.height, tuple(frame.columns)))
    if not frames and problem is not None:
        raise problem
    guessed = guess_tables(frames, name or (path.stem.split(".")[0] if path.is_file() else path.resolve().name))
    return Guess(guessed.manifest, guessed.decisions, tuple(notes), {**unused, **guessed.unused})


def guess_tables(frames: Mapping[str, pl.DataFrame], name: str) -> Guess:
    """The same from tables in memory, by file name."""
    parts = _parts(frames, name)
    manifest, decisions = manifest_of(parts)
    notes = tuple(FileNote(file, "table", f.height, tuple(f.columns)) for file, f in frames.items())
    return Guess(manifest, tuple(decisions), notes, parts.unused)


def _tables_in(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise MissingDataError(f"'{path}' does not exist", "Give a folder with tables, or one table.")
    files = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith(".") and _is_table(p))
    if not files:
        if any(p.suffix == ".inter" for p in path.iterdir()):
            raise MissingDataError(f"the folder '{path}' holds RecBole's files", f"Import them: zhiyin data import {path} --to NEW_FOLDER")
        raise MissingDataError(f"the folder '{path}' holds no tables", f"Put {', '.join(FORMATS)} files there (also .gz, .zst).")
    return files


def _is_table(path: Path) -> bool:
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    return bool(suffixes) and suffixes[-1] in FORMATS


def _format_of(path: Path) -> str:
    suffixes = [s.lower() for s in path.suffixes if s.lower() not in PACKED]
    kind = FORMATS[suffixes[-1]]
    if kind == "parquet":
        return "Parquet"
    content = content_of(path)
    encoding = {"utf-8-sig": "UTF-8 with BOM"}.get(encoding_of(content), encoding_of(content).upper())
    if kind == "jsonl":
        return f"JSONL, {encoding}"
    mark = sniff_delimiter(to_utf8(content, path.name), "\t" if suffixes[-1] == ".tsv" else ",")
    return f"CSV, {MARKS[mark]}, {encoding}"


def _has_header(frame: pl.DataFrame, file: str) -> None:
    names = [c for c in frame.columns if c.strip()]
    if len(names) > 1 and all(_is_number(c) for c in names):
        raise DataError(
            f"{file} has no header: its first row is {', '.join(names[:5])}", "Put the names of the columns into the first row."
        )


def _is_number(text: str) -> bool:
    # polars marks the second of two equal column names: "5_duplicated_0".
    try:
        float(text.split("_duplicated_")[0])
    except ValueError:
        return False
    return True


def _parts(frames: Mapping[str, pl.DataFrame], name: str) -> Parts:
    """Which table is which, and how they hang together."""
    events, roles, sure = _events_table(frames)
    unused: dict[str, str] = {f"{events}:{c}": why for c, why in roles.unused.items()}
    others = {f: frame for f, frame in frames.items() if f != events}
    found: dict[str, tuple[str, str, float, str]] = {}  # items, users -> file, id column, sureness, reason
    for role in ("items", "users"):
        column = roles.column(role[:-1])
        if column is not None:
            best = _described_by(role, Profile(column, frames[events][column]), others)
            if best is not None:
                found[role] = best
                others.pop(best[0])
    relations = _relations_table(others, frames, found.get("items"))
    if relations is not None:
        others.pop(relations[0])
    for file, frame in others.items():
        shared = [c for c in frame.columns if c in (roles.column("item"), roles.column("user"))]
        unused[file] = f"may be joined by {shared[0]}, one table is enough" if shared else "fits no role"
    return Parts(name, frames, events, roles, sure, found, relations, unused)


def _events_table(frames: Mapping[str, pl.DataFrame]) -> tuple[str, EventRoles, float]:
    scored = []
    for file, frame in frames.items():
        if frame.width < 2 or not frame.height:
            continue
        others = {f: other for f, other in frames.items() if f != file}
        roles = EventRoles(frame, _links(frame, others))
        who = roles.found.get("user") or roles.found.get("session")
        what = roles.found.get("item")
        if who is None or what is None:
            continue
        if who.sure < 0.5 and what.sure < 0.5 and any(p.is_key and looks_like_id(p) for p in roles.profiles.values()):
            continue  # rows with an id of their own and nobody named: a catalogue
        keyed = sum(roles.profiles[d.value].is_key and frame.height > 20 for d in (who, what))
        acts = sum(r in roles.found for r in ("time", "position")) * 0.3 + sum(r in roles.found for r in ("value", "kind")) * 0.15
        score = who.sure * what.sure + acts + 0.5 * _file_likeness(file, "events") - 0.8 * keyed + 0.03 * math.log10(frame.height)
        scored.append((score - 0.5 * max(_file_likeness(file, r) for r in ("items", "users", "relations")), file, roles))
    if not scored:
        n_rows = max((frame.height for frame in frames.values()), default=0)
        if n_rows < FEW_ROWS:
            said = f"{n_rows} row{'s are' if n_rows > 1 else ' is'} too few to guess by" if n_rows else "no table has any rows"
            raise DataError(f"{said} ({', '.join(frames)})", "Give more of what people did, one event in each row.")
        seen = "; ".join(f"{file}: {', '.join(frame.columns[:8])}" for file, frame in list(frames.items())[:4])
        raise DataError(f"no table has a user (or session) and an item column ({seen})", "Write zhiyin.toml yourself: [events] user, item.")
    scored.sort(key=lambda s: -s[0])
    gap = scored[0][0] - scored[1][0] if len(scored) > 1 else 1.0
    return scored[0][1], scored[0][2], min(0.97, 0.6 + 0.6 * gap)


def _file_likeness(file: str, role: str) -> float:
    return likeness(file.split(".")[0], FILES[role])


def _links(frame: pl.DataFrame, others: Mapping[str, pl.DataFrame]) -> dict[str, float]:
    """For each column: the share of its values that are keys of an equally named column elsewhere."""
    out = {}
    for name in frame.columns:
        shares = [
            found_share(frame[name], other[name])
            for other in others.values()
            if name in other.columns and Profile(name, other[name]).is_key
        ]
        if shares:
            out[name] = max(shares)
    return out


def found_share(values: pl.Series, keys: pl.Series) -> float:
    """Share of the distinct values (a sample) that stand among the keys, compared as text."""
    if values.dtype.is_nested() or keys.dtype.is_nested():
        return 0.0
    distinct = blank_to_null(values).drop_nulls().unique(maintain_order=True)
    sample = distinct.gather_every(max(1, len(distinct) // LINK_SAMPLE)).cast(pl.String)
    return float(sample.is_in(keys.cast(pl.String).drop_nulls().unique().implode()).mean() or 0) if len(sample) else 0.0  # type: ignore[arg-type]


def _described_by(role: str, ids: Profile, others: Mapping[str, pl.DataFrame]) -> tuple[str, str, float, str] | None:
    """The table with one row per id: file, its id column, sureness, reason."""
    scored = []
    for file, frame in others.items():
        for column in frame.columns:
            key = Profile(column, frame[column])
            if key.values.dtype.is_nested() or not key.is_key:
                continue
            share = found_share(ids.values, key.values)
            same = _same_name(column, ids.name, file, role)
            # Whole numbers are found in any list of whole numbers: then the name must say it too.
            if share < 0.3 or (same < 0.5 and (key.numbers is not None or share < 0.8)):
                continue
            score = share * (0.4 + 0.6 * same) + 0.3 * _file_likeness(file, role) + 0.04 * min(frame.width, 10)
            why = f"'{column}' is its key and holds {share:.0%} of the {role[:-1]}s of the events"
            scored.append((score, file, column, min(0.98, 0.45 + 0.4 * same * share + 0.15 * _file_likeness(file, role)), why))
    if not scored:
        return None
    _, file, column, sure, why = max(scored, key=lambda s: s[0])
    return file, column, sure, why


def _same_name(column: str, ids: str, file: str, role: str) -> float:
    """0..1: does a key's name say that it holds these ids? In a file "artists" the column "id" does."""
    if column == ids:
        return 1.0
    stem, noun = file.split(".")[0].lower(), words_of(ids)[0]
    if words_of(column) in (["id"], ["编号"]) and (noun in stem or _file_likeness(file, role) > 0.5):
        return 0.9
    return likeness(column, EVENT_ROLES[role[:-1]])


def _relations_table(
    others: Mapping[str, pl.DataFrame], frames: Mapping[str, pl.DataFrame], items: tuple[str, str, float, str] | None
) -> tuple[str, dict[str, str], float, str] | None:
    """A table of triples whose head or tail are items: file, head/relation/tail columns, sureness, reason."""
    for file, frame in others.items():
        parts: dict[str, str] = {}
        for part, words in RELATION_PARTS.items():
            best = max((c for c in frame.columns if c not in parts.values()), key=lambda c: likeness(c, words), default="")
            if best and likeness(best, words) > 0.5:
                parts[part] = best
        if len(parts) < 3 or items is None:
            continue
        keys = frames[items[0]][items[1]]
        share = max(found_share(keys, frame[parts[end]]) for end in ("head", "tail"))
        # Numbers of a graph are often entities of its own that only look like item ids.
        if share >= 0.3 and np.all([frame[parts[end]].dtype == pl.String for end in ("head", "tail")]):
            return file, parts, 0.85, f"triples that name {share:.0%} of the items"
    return None
