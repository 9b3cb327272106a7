"""Every format, packing, delimiter and encoding gives the same table."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import polars as pl
import pytest
import zstandard
from polars.testing import assert_frame_equal

from zhiyin.data.encoding import encoding_of, to_utf8
from zhiyin.data.files import guess_type, read_table, sniff_delimiter, source_of

TABLE = pl.DataFrame(
    {
        "item_id": ["007", "8", "x,y"],
        "title": ['He said "no"', "苹果手机，新款", None],
        "price": [1.5, None, -3.0],
        "n": [1, 2, 3],
        "live": [True, False, True],
    }
)


def as_bytes(kind: str) -> bytes:
    buffer = io.BytesIO()
    match kind:
        case "csv":
            TABLE.write_csv(buffer)
        case "tsv":
            TABLE.write_csv(buffer, separator="\t")
        case "jsonl":
            TABLE.write_ndjson(buffer)
        case _:
            TABLE.write_parquet(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("packing", ["", ".gz", ".zst"])
@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_formats_agree(tmp_path: Path, kind: str, packing: str) -> None:
    content = as_bytes(kind)
    packed = gzip.compress(content) if packing == ".gz" else zstandard.compress(content) if packing else content
    path = tmp_path / f"items.{kind}{packing}"
    path.write_bytes(packed)
    assert_frame_equal(read_table(path, text=["item_id"]), TABLE)
    source = source_of(path, "items", columns={"item_id", "n"}, text={"item_id"})
    assert source.names == tuple(TABLE.columns)
    assert source.height == 3
    assert source.get("n").to_list() == [1, 2, 3]
    assert source.get("item_id").to_list() == ["007", "8", "x,y"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_encodings_agree(tmp_path: Path, encoding: str) -> None:
    text = "编号,标题\n1,红色的连衣裙\n2,手机壳，适合学生\n"
    (tmp_path / "items.csv").write_bytes(text.encode(encoding))
    assert read_table(tmp_path / "items.csv")["标题"].to_list() == ["红色的连衣裙", "手机壳，适合学生"]
    assert encoding_of(text.encode(encoding)) == encoding


def test_latin_text_is_not_taken_for_chinese() -> None:
    assert encoding_of("id,name\n1,Crème brûlée à la carte\n".encode("latin-1")) == ""
    assert to_utf8(b"plain", "f.csv") == b"plain"


def test_zst_of_several_frames(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.zst"
    path.write_bytes(zstandard.compress(b"a,b\n1,2\n") + zstandard.compress(b"3,4\n"))
    assert read_table(path)["a"].to_list() == [1, 3]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_delimiter_is_found(mark: str) -> None:
    lines = [["id", "title", "n"], ["1", '"a, b; c | d"', "2"], ["2", '"plain"', "3"]]
    assert sniff_delimiter("\n".join(mark.join(line) for line in lines).encode()) == mark


def test_one_column_has_no_delimiter() -> None:
    assert sniff_delimiter(b"id\n1\n2\n", "\t") == "\t"


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (["1", " 2", None], pl.Int64),
        (["1", "2.5"], pl.Float64),
        (["1e3", "-7"], pl.Float64),
        (["007", "8"], pl.String),
        (["0", "0.5"], pl.Float64),
        (["1", "x"], pl.String),
        (["True", "false", None], pl.Boolean),
        (["true", "1"], pl.String),
        ([None, None], pl.String),
        (["12345678901234567890123"], pl.Float64),
    ],
)
def test_types_are_guessed(values: list[str | None], dtype: type[pl.DataType]) -> None:
    assert guess_type(pl.Series("c", values, dtype=pl.String)).dtype == dtype


def test_columns_are_chosen(tmp_path: Path) -> None:
    TABLE.write_csv(tmp_path / "t.csv")
    assert read_table(tmp_path / "t.csv", columns=["n", "absent"]).columns == ["n"]
