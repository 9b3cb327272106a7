"""Rows in and out of files: JSONL, CSV and Parquet, read and written in bounded memory.

A file that is read gives every row with its place (line of a text, row of a Parquet file), and those that cannot be read
with the reason. Times are microseconds since 1970 in UTC. JSONL keeps everything as it is; CSV has no types, so what is in
a list or a table stands there as JSON; Parquet has one type per column.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, BinaryIO, Literal

import msgspec

from zhiyin.base.errors import DataError

Format = Literal["jsonl", "csv", "parquet"]
Values = dict[str, Any]
ColumnKind = Literal["text", "whole", "number", "flag", "texts", "json"]

MEDIA: Mapping[Format, str] = {
    "jsonl": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}
LONGEST = 4 << 20
"""Bytes of one line; a row of a store has at most a quarter of it."""
_ROWS = 2_000
_PIECE = 1 << 18
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class RowRead:
    """One row of a file: its place, and its values or why there are none."""

    place: int
    values: Values | None
    why: str = ""


def rows_read(file: BinaryIO, form: Format) -> Iterator[RowRead]:
    """Every row of an open file. Raises ``DataError`` where the file cannot be read any further."""
    return {"jsonl": _jsonl_read, "csv": _csv_read, "parquet": _parquet_read}[form](file)


def rows_written(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, ColumnKind], form: Format) -> Iterator[bytes]:
    """The file as pieces of some hundred kilobytes; of JSONL a row says only what it has."""
    writer: Callable[[Iterable[Mapping[str, Any]], Mapping[str, ColumnKind]], Iterator[bytes]]
    writer = {"jsonl": _jsonl_written, "csv": _csv_written, "parquet": _parquet_written}[form]
    return writer(rows, columns)


def column_kinds(rows: Iterable[Mapping[str, Any]]) -> dict[str, ColumnKind]:
    """What each column of free rows holds, by name in the order in which they appear."""
    kinds: dict[str, ColumnKind | None] = {}
    for row in rows:
        for name, value in row.items():
            found, known = _kind(value), kinds.get(name)
            if known is None or found is None or known == found:
                kinds[name] = found or known
            else:
                kinds[name] = "number" if {known, found} == {"whole", "number"} else "json"
    return {name: kind or "text" for name, kind in kinds.items()}


def _kind(value: Any) -> ColumnKind | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, int):
        return "whole" if -(2**63) <= value < 2**63 else "json"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "text"
    return "texts" if isinstance(value, list) and all(isinstance(v, str) for v in value) else "json"


# Reading.


def _jsonl_read(file: BinaryIO) -> Iterator[RowRead]:
    place = 0
    while line := file.readline(LONGEST):
        place += 1
        whole = len(line) < LONGEST or line.endswith(b"\n")
        while not whole and (rest := file.readline(LONGEST)):
            whole, line = rest.endswith(b"\n"), b""
        if not line:
            yield RowRead(place, None, f"has more than {LONGEST:,} bytes")
        elif line.strip(b" \t\r\n\xef\xbb\xbf"):
            yield _parsed(place, line)


def _parsed(place: int, line: bytes) -> RowRead:
    if b"\\u0000" in line:
        return RowRead(place, None, "contains the character NUL")
    try:
        value = msgspec.json.decode(line.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return RowRead(place, None, f"is not JSON: {error}".rstrip("."))
    return RowRead(place, value) if isinstance(value, dict) else RowRead(place, None, "is no JSON object")


def _csv_read(file: BinaryIO) -> Iterator[RowRead]:
    csv.field_size_limit(LONGEST)
    reader = csv.reader(_lines(file), strict=True)
    try:
        names = next(reader, [])
    except csv.Error as error:
        raise DataError(f"the first line is no CSV: {error}", "It names the columns.") from None
    if not names:
        return
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None or not all(names):
        raise DataError(f"the first line names column '{twice or ''}' twice" if twice else "a column has no name", "Name each column once.")
    while True:
        begin = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield RowRead(begin, None, f"is no CSV: {error}")
            continue
        if cells is None:
            return
        if not cells:
            continue
        if len(cells) != len(names):
            yield RowRead(begin, None, f"has {len(cells)} fields, and there are {len(names)} columns")
        elif not _is_text("".join(cells)):
            yield RowRead(begin, None, "is not UTF-8, or contains the character NUL")
        else:
            yield RowRead(begin, {name: cell for name, cell in zip(names, cells, strict=True) if cell})


def _lines(file: BinaryIO) -> Iterator[str]:
    place = 0
    while line := file.readline(LONGEST):
        place += 1
        if len(line) == LONGEST:
            raise DataError(f"line {place:,} has more than {LONGEST:,} bytes", "A quotation mark may be missing before it.")
        yield (line if place > 1 else line.removeprefix(b"\xef\xbb\xbf")).decode("utf-8", "surrogateescape")


def _is_text(said: str) -> bool:
    try:
        said.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in said


def _parquet_read(file: BinaryIO) -> Iterator[RowRead]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    place = 0
    try:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=_ROWS):
            for values in batch.to_pylist():
                place += 1
                yield RowRead(place, {name: plain(value) for name, value in values.items() if value is not None})
    except (pa.ArrowException, OSError, UnicodeDecodeError, ValueError, OverflowError) as error:
        said = str(error).partition("\n")[0][:200]
        raise DataError(f"this is no sound Parquet file (row {place + 1:,}): {said}", "Write it again.") from None


def plain(value: Any) -> Any:
    """A value as JSON says it: times as microseconds, days as text, exact numbers as what they are nearest to."""
    if isinstance(value, datetime):
        return round((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp() * 1e6)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


# Writing.


def _jsonl_written(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, ColumnKind]) -> Iterator[bytes]:
    del columns  # every row says its own
    waiting, size = [], 0
    for row in rows:
        waiting.append(_encode({name: value for name, value in row.items() if value is not None}) + b"\n")
        size += len(waiting[-1])
        if size >= _PIECE:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def _csv_written(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, ColumnKind]) -> Iterator[bytes]:
    page = io.StringIO()
    writer = csv.writer(page)  # ends lines with \r\n, and quotes what holds either
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in columns])
        if page.tell() >= _PIECE:
            yield page.getvalue().encode()
            page.seek(0)
            page.truncate()
    yield page.getvalue().encode()


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    return _encode(value).decode()


def _parquet_written(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, ColumnKind]) -> Iterator[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        "text": pa.string(), "whole": pa.int64(), "number": pa.float64(), "flag": pa.bool_(), "texts": pa.list_(pa.string()),
        "json": pa.string(),
    }  # fmt: skip
    schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
    pieces = Pieces()
    with pq.ParquetWriter(pa.PythonFile(pieces, mode="w"), schema, compression="zstd") as writer:
        for some in _batched(rows):
            made = {name: [_as(row.get(name), kind) for row in some] for name, kind in columns.items()}
            writer.write_batch(pa.RecordBatch.from_pydict(made, schema=schema))
            yield from pieces.taken()
    yield from pieces.taken()


def _as(value: Any, kind: ColumnKind) -> Any:
    if kind == "json" and value is not None:
        return _encode(value).decode()
    return float(value) if kind == "number" and value is not None else value


def _batched(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    some: list[Mapping[str, Any]] = []
    for row in rows:
        some.append(row)
        if len(some) == 10 * _ROWS:
            yield some
            some = []
    if some:
        yield some


class Pieces(io.RawIOBase):
    """A file that is only written to, and hands over what it has."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._waiting.append(bytes(data))
        return len(self._waiting[-1])

    def taken(self) -> Iterator[bytes]:
        waiting, self._waiting = self._waiting, []
        if waiting:
            yield b"".join(waiting)
