"""Files of rows: whatever is in them is told, never raised; what was written comes back; paths find what is there."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.base.errors import DataError
from zhiyin.data.record import EventRecord
from zhiyin.online.bulk import event_of
from zhiyin.online.bulk_formats import Format, column_kinds, rows_read, rows_written
from zhiyin.online.incoming import EventIn, record_of
from zhiyin.online.sources.mapping import RowMap

FORMS: list[Format] = ["jsonl", "csv", "parquet"]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"id": TEXT, "n": st.none() | st.integers(-(2**63), 2**63 - 1), "x": st.none() | st.floats(allow_nan=False, allow_infinity=False)},
        optional={"said": TEXT, "flag": st.booleans(), "many": st.lists(TEXT, max_size=3)},
    ),
    max_size=12,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT, lambda v: st.lists(v, max_size=3) | st.dictionaries(TEXT, v, max_size=3)
)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=200) | st.text('{}"[]:,\n\\ua1\r', max_size=80).map(str.encode))
def test_bytes_of_any_kind_are_rows_or_a_sentence(form: Format, data: bytes) -> None:
    try:
        rows = list(rows_read(io.BytesIO(data), form))
    except DataError:
        return
    for row in rows:
        assert (row.values is None) == bool(row.why) and row.place >= 1
        if row.values is not None:
            try:
                record_of(event_of(row.values))
            except (msgspec.ValidationError, ValueError):
                continue


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=80, deadline=None)
@given(rows=ROWS)
def test_what_was_written_comes_back(form: Format, rows: list[dict[str, Any]]) -> None:
    data = b"".join(rows_written(rows, {"id": "text", **column_kinds(rows)}, form))
    back = [row.values for row in rows_read(io.BytesIO(data), form)]
    expected = [{name: value for name, value in row.items() if value is not None} for row in rows]
    if form == "csv":  # no types there, and a line break of any kind is one
        expected = [{n: v if isinstance(v, str) else msgspec.json.encode(v).decode() for n, v in row.items()} for row in expected]
    assert back == expected


@settings(max_examples=100, deadline=None)
@given(
    st.builds(
        EventIn, event_id=TEXT, item=TEXT, user=TEXT, session=st.none() | TEXT, kind=TEXT, time=st.integers(1, 2**60),
        value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        context=st.none() | st.dictionaries(TEXT, TEXT | st.booleans() | st.integers(-(2**63), 2**63 - 1), max_size=3),
    ),
    st.sampled_from(FORMS),
)  # fmt: skip
def test_an_event_survives_every_format(event: EventIn, form: Format) -> None:
    record: EventRecord = record_of(event)
    row = {**msgspec.structs.asdict(event)}
    data = b"".join(rows_written([row], {**column_kinds([row]), "context": "json"}, form))
    (read,) = rows_read(io.BytesIO(data), form)
    assert read.values is not None
    assert record_of(event_of(read.values)) == record or not event.context  # an empty table is nothing in a file


@settings(max_examples=150, deadline=None)
@given(JSON, st.lists(TEXT, max_size=3).map(".".join), st.dictionaries(TEXT, TEXT, max_size=3))
def test_no_document_breaks_a_mapping(document: Any, each: str, row: dict[str, str]) -> None:
    for made in RowMap.parse({"each": each or None, "row": row}).rows(document):
        assert set(made) <= set(row) or not row
