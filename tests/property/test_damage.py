"""Whatever happens to the bytes of a folder, reading it gives data or one of our sentences."""

from __future__ import annotations

import gzip
import io
import tempfile
from pathlib import Path

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zhiyin.base.errors import ZhiyinError
from zhiyin.data.folder import load

TABLE = pl.DataFrame(
    {"user_id": ["a", "b", "张"], "item_id": ["x", "y", "x"], "time": [1_700_000_000, 1_700_000_060, 1_700_000_120], "n": [1.5, None, 2.0]}
)
TOML = 'name = "n"\n[events]\nfile = "events.{}"\ntime = "time"\nvalue = "n"\n[clean.missing]\nn = "flag"\n'
BYTES = st.one_of(st.binary(max_size=6), st.sampled_from([b'"', b",", b"\n", b"\r", b"\xef\xbb\xbf", b"-", b"9" * 30, b"nan", b"[", b"}"]))
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 8), BYTES), min_size=1, max_size=3)


def content_of(kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "parquet":
        TABLE.write_parquet(buffer)
    elif kind == "jsonl":
        TABLE.write_ndjson(buffer)
    else:
        TABLE.write_csv(buffer)
    return gzip.compress(buffer.getvalue(), mtime=0) if kind.endswith("gz") else buffer.getvalue()


def damaged(content: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    """Each edit replaces some bytes somewhere by others."""
    for where, n_gone, new in edits:
        at = int(where * len(content))
        content = content[:at] + new + content[at + n_gone :]
    return content


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["csv", "csv.gz", "jsonl", "parquet", "toml"]), EDITS)
def test_no_traceback(kind: str, edits: list[tuple[float, int, bytes]]) -> None:
    table = "csv" if kind == "toml" else kind
    toml = TOML.format(table).encode()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "zhiyin.toml").write_bytes(damaged(toml, edits) if kind == "toml" else toml)
        (folder / f"events.{table}").write_bytes(content_of(table) if kind == "toml" else damaged(content_of(table), edits))
        try:
            load(folder)
        except ZhiyinError as error:
            assert "\n" not in str(error), str(error)
