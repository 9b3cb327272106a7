"""Tables from files: CSV, TSV, JSONL and Parquet, plain, .gz or .zst; one clear sentence where that fails."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from zhiyin.base.errors import ConfigError, DataError, MissingDataError, nearest
from zhiyin.data.columns import Source
from zhiyin.data.encoding import content_of, to_utf8

FORMATS = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
PACKED = (".gz", ".zst")
# Damaged bytes can also make polars panic, which Python sees as a BaseException.
UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, pa.ArrowException, OSError)
DELIMITERS = (",", "\t", ";", "|")


def read_table(path: str | Path, *, columns: Collection[str] | None = None, text: Collection[str] = ()) -> pl.DataFrame:
    """The table in a file; the format goes by the name, delimiter and encoding by the content.

    ``columns`` keeps only these (those that exist); ``text`` names columns that stay text, because
    "007" is an id and not a number. Elsewhere columns of numbers or of true/false become such.
    Raises ``MissingDataError``, ``DataError`` or ``ConfigError`` with file, row and remedy.
    """
    path = Path(path)
    if _format(path) == "parquet":
        return _parquet(path, columns)
    return _typed(_read_text(path), columns, text)


def _typed(frame: pl.DataFrame, columns: Collection[str] | None, text: Collection[str]) -> pl.DataFrame:
    if columns is not None:
        frame = frame.select([c for c in frame.columns if c in columns])
    return frame.with_columns(guess_type(frame[c]) for c in frame.columns if c not in text and frame[c].dtype == pl.String)


def source_of(path: Path, name: str, *, columns: Collection[str], text: Collection[str]) -> Source:
    """The same as a ``Source``: columns of a plain Parquet file are read only when they are asked for."""
    kind = _format(path)
    if kind == "parquet" and path.suffix == ".parquet":
        file = _open_parquet(path)
        names, height = file.schema_arrow.names, file.metadata.num_rows
        return Source(name, path.name, tuple(names), height, lambda c: _parquet(path, [c]).get_column(c))
    frame = _parquet(path, None) if kind == "parquet" else _read_text(path)
    names, height = frame.columns, frame.height  # of the whole table: messages name the nearest column
    frame = _typed(frame, columns, text)
    return Source(name, path.name, tuple(names), height, frame.get_column)


def _format(path: Path) -> str:
    """The format by name, after making sure that there is a file."""
    if path.is_dir():
        raise DataError(f"'{path.name}' is a folder, not a table", "Name the file in it.")
    if not path.exists():
        beside = [p.name for p in path.parent.iterdir() if p.is_file()] if path.parent.is_dir() else []
        raise MissingDataError(f"there is no file '{path.name}' in {path.parent}", nearest(path.name, beside))
    if not path.stat().st_size:
        raise DataError(f"{path.name} is empty (0 bytes)")
    suffixes = [s.lower() for s in path.suffixes]
    kind = FORMATS.get(suffixes[-2] if len(suffixes) > 1 and suffixes[-1] in PACKED else suffixes[-1] if suffixes else "")
    if kind is None:
        hint = f"Known: {', '.join(FORMATS)}, each also with .gz or .zst."
        raise ConfigError(f"{path.name}: tables are read by their ending, and this one is unknown", hint)
    return kind


def _open_parquet(path: Path) -> pq.ParquetFile:
    # Not polars: damaged bytes can make its reader abort the whole process, Arrow's raises.
    try:
        return pq.ParquetFile(path if path.suffix == ".parquet" else io.BytesIO(content_of(path)))
    except UNREADABLE as error:
        raise _not_parquet(path) from error


def _parquet(path: Path, columns: Collection[str] | None) -> pl.DataFrame:
    file = _open_parquet(path)
    try:
        names = [c for c in file.schema_arrow.names if columns is None or c in columns]
        table = file.read(columns=names)
        table.validate(full=True)  # polars trusts what it is given
        frame = pl.DataFrame(table)
    except UNREADABLE as error:
        raise _not_parquet(path) from error
    if names and frame.height != file.metadata.num_rows:
        raise _not_parquet(path)
    return frame


def _not_parquet(path: Path) -> DataError:
    return DataError(f"{path.name} is not a complete Parquet file: it is damaged, cut off or of another format", "Write it again.")


def _read_text(path: Path) -> pl.DataFrame:
    content = to_utf8(content_of(path), path.name)
    if not content.strip():
        raise DataError(f"{path.name} holds only blank lines")
    return _csv(content, path.name) if _format(path) == "csv" else _jsonl(content, path.name)


def _csv(content: bytes, file: str) -> pl.DataFrame:
    separator = sniff_delimiter(content, "\t" if ".tsv" in file.lower() else ",")
    if b"\r" in content and b"\n" not in content:
        content = content.replace(b"\r", b"\n")  # line ends of the old Macintosh
    head = io.StringIO(content[:65_536].decode(errors="ignore"), newline="")
    header = next(csv.reader(head, delimiter=separator), [])
    for i, name in enumerate(header):
        if not name.strip():
            raise DataError(f"{file}: column {i + 1} of the header has no name", "Name each column in the first row.")
        if name in header[:i]:
            raise DataError(f"{file} has two columns named '{name}'", "Rename or remove one.")
    try:
        return pl.read_csv(content, separator=separator, infer_schema=False)
    except UNREADABLE as error:
        raise _csv_problem(content, file, separator, len(header)) from error


def _csv_problem(content: bytes, file: str, separator: str, width: int) -> DataError:
    """The first row that is not like the header, found by a slower reader."""
    row = 0
    try:
        reader = csv.reader(io.StringIO(content.decode(), newline=""), delimiter=separator, strict=True)
        for row, fields in enumerate(reader):
            if len(fields) > width:
                hint = f"Put values that contain '{separator}' into quotation marks, or check the delimiter."
                return DataError(f"{file} row {row:,} has {len(fields)} fields, the header has {width}", hint)
    except csv.Error as error:
        said = "opens a quotation mark that is never closed" if "unexpected end" in str(error) else f"cannot be read: {error}"
        return DataError(f"{file} row {row + 1:,} {said}", 'Write a quotation mark inside a value twice: "".')
    return DataError(f"{file} cannot be read as a table", "Write it as CSV with one header row.")


def sniff_delimiter(content: bytes, fallback: str = ",") -> str:
    """The delimiter that divides the first rows into the same number of fields, most fields first."""
    head = content[:65_536].decode("utf-8", errors="ignore")
    lines = [line for line in head.splitlines()[:50] if line.strip()]
    if len(content) > 65_536 and len(lines) > 1:
        lines = lines[:-1]
    best, best_score = fallback, (0.0, 0)
    for mark in DELIMITERS:
        widths = [len(row) for row in csv.reader(lines, delimiter=mark) if row]
        if not widths or widths[0] < 2:
            continue
        score = (sum(w == widths[0] for w in widths) / len(widths), widths[0])
        if score > best_score:
            best, best_score = mark, score
    return best


def _jsonl(content: bytes, file: str) -> pl.DataFrame:
    if content.lstrip()[:1] == b"[":
        raise DataError(f"{file} is one JSON list", "JSONL has one object per line: take the list apart.")
    try:
        return pl.read_ndjson(content, infer_schema_length=None)
    except UNREADABLE as error:
        for number, line in enumerate(content.splitlines(), 1):
            if not line.strip():
                continue
            try:
                fine = isinstance(json.loads(line), dict)
            except ValueError:
                fine = False
            if not fine:
                shown = line[:40].decode(errors="replace")
                raise DataError(f"{file} line {number:,} is no JSON object: {shown!r}", "JSONL has one object per line.") from error
        raise DataError(f"{file} cannot be read: its lines do not have the same kind of values in the same columns") from error


def guess_type(column: pl.Series) -> pl.Series:
    """Whole numbers, numbers or true/false where every value is one; text with leading zeros stays text."""
    given = len(column) - column.null_count()
    if not given:
        return column
    head = column.drop_nulls().head(100).str.strip_chars()
    if head.cast(pl.Float64, strict=False).null_count():
        if not head.str.to_lowercase().is_in(["true", "false"]).all():
            return column
        words = column.str.strip_chars().str.to_lowercase()
        return (words == "true").alias(column.name) if words.drop_nulls().is_in(["true", "false"]).all() else column
    bare = column.str.strip_chars()
    if bare.str.contains(r"^[+-]?0\d").any():
        return column
    for dtype in (pl.Int64, pl.Float64):
        number = bare.cast(dtype, strict=False)
        if len(number) - number.null_count() == given:
            return number
    return column
