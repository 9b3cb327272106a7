"""Bad input gets one clear sentence with file, row or column, and a remedy; the words are tested."""

from __future__ import annotations

import gzip
import io
import re
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest
import zstandard

from zhiyin.base.errors import ConfigError, DataError, MissingDataError, ZhiyinError
from zhiyin.data.folder import load

NOW_US = 1_750_000_000_000_000
HEAD = 'name = "shop"\norder = "time"\n'
EVENTS = '[events]\nfile = "events.csv"\ntime = "time"\n'
ITEMS = '[items]\nfile = "items.csv"\ntitle = "title"\n'
TOML = HEAD + EVENTS
GOOD = "user_id,item_id,time\na,x,1700000000\nb,y,1700000060\nc,x,1700000120\n"
Content = str | bytes | pl.DataFrame | None


@dataclass(frozen=True)
class Case:
    """A folder with something wrong in it, and the words that must answer."""

    name: str
    error: type[ZhiyinError]
    says: str  # a regular expression over the whole message
    files: dict[str, Content] = field(default_factory=dict)
    toml: str | bytes | None = TOML


def events(text: str | bytes) -> dict[str, Content]:
    return {"events.csv": text}


def parquet(frame: pl.DataFrame) -> tuple[dict[str, Content], str]:
    return {"events.parquet": frame}, TOML.replace("events.csv", "events.parquet")


def parquet_bytes(cut: int) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame({"user_id": ["a"] * 50, "item_id": ["x"] * 50, "time": [1_700_000_000] * 50}).write_parquet(buffer)
    return buffer.getvalue()[:cut]


def rows(*lines: str) -> dict[str, Content]:
    return events("user_id,item_id,time\n" + "\n".join(lines) + "\n")


def items(column: str, *values: str) -> dict[str, Content]:
    lines = "".join(f"i{n},t,{v}\n" for n, v in enumerate(values))
    return {"events.csv": GOOD, "items.csv": f"item_id,title,{column}\n{lines}"}


def with_items(column: str, type_: str) -> str:
    return TOML + ITEMS + f'[items.columns]\n{column} = "{type_}"\n'


BIG = "".join(f"u{i},x,{1_700_000_000 + i}\n" for i in range(500))
PACKED = gzip.compress(("user_id,item_id,time\n" + BIG).encode())
ZSTD = zstandard.ZstdCompressor().compress(("user_id,item_id,time\n" + BIG).encode())
GZ = TOML.replace("events.csv", "events.csv.gz")
ZST = TOML.replace("events.csv", "events.csv.zst")
JSONL = TOML.replace("events.csv", "events.jsonl")
PARQUET = TOML.replace("events.csv", "events.parquet")
VALUE = HEAD + EVENTS + 'value = "rating"\n'
KIND = HEAD + EVENTS + 'kind = "event"\n'
RELATIONS = TOML + '[relations]\nfile = "relations.csv"\n'
USERS = TOML + '[users]\nfile = "users.csv"\n'

CASES = [
    # the folder and its manifest
    Case("no manifest", MissingDataError, r"has no zhiyin\.toml \(E210\)\. Make one: zhiyin init", events(GOOD), None),
    Case("toml syntax", ConfigError, r"zhiyin\.toml line 2 is not TOML: .* \(E300\)", events(GOOD), 'name = "x"\norder = time\n'),
    Case(
        "toml cut off",
        ConfigError,
        r"zhiyin\.toml at its end is not TOML|zhiyin\.toml line 2 is not TOML",
        events(GOOD),
        'name = "x"\norder = "ti',
    ),
    Case(
        "toml same key twice", ConfigError, r"zhiyin\.toml line 2 is not TOML: cannot overwrite", events(GOOD), 'name = "x"\nname = "y"\n'
    ),
    Case("toml in broken encoding", DataError, r"zhiyin\.toml line 1 is neither UTF-8 nor GB18030", events(GOOD), b'name = "\xff\xff"\n'),
    Case("no name", ConfigError, r"key 'name' is missing in zhiyin\.toml", events(GOOD), EVENTS),
    Case(
        "misspelt key",
        ConfigError,
        r"unknown key 'ordr' in zhiyin\.toml.*Did you mean 'order'",
        events(GOOD),
        TOML.replace("order", "ordr"),
    ),
    Case(
        "misspelt key below",
        ConfigError,
        r"unknown key 'events\.tiem' in zhiyin\.toml.*Did you mean 'time'",
        events(GOOD),
        TOML.replace('time = "time"', 'tiem = "time"'),
    ),
    Case(
        "wrong order",
        ConfigError,
        r"'order' in zhiyin\.toml: .*'time', 'position' or 'none'.*'sorted'",
        events(GOOD),
        TOML.replace('"time"\n[', '"sorted"\n['),
    ),
    Case("order without column", ConfigError, r'order = "time" needs events\.time', events(GOOD), HEAD + '[events]\nfile = "events.csv"\n'),
    Case(
        "position without column",
        ConfigError,
        r'order = "position" needs events\.position',
        events(GOOD),
        TOML.replace('"time"\n[', '"position"\n['),
    ),
    Case(
        "unknown time zone",
        ConfigError,
        r"no time zone is named 'Europe/Londn'.*'Europe/London'",
        events(GOOD),
        'time_zone = "Europe/Londn"\n' + TOML,
    ),
    Case(
        "unknown time unit",
        ConfigError,
        r"events\.time_unit' in zhiyin\.toml: .*not 'minutes'",
        events(GOOD),
        TOML + 'time_unit = "minutes"\n',
    ),
    Case(
        "unknown column type", ConfigError, r"items\.columns\.title' in zhiyin\.toml: .*not 'txt'", events(GOOD), with_items("title", "txt")
    ),
    Case(
        "negative weight",
        ConfigError,
        r"weights\.view' in zhiyin\.toml: .*greater than or equal to 0, not -1",
        events(GOOD),
        KIND + "[weights]\nview = -1\n",
    ),
    Case("days without after", ConfigError, r"'days' goes with policy = \"after\"", events(GOOD), TOML + "[repeat]\ndays = 3\n"),
    Case("newer schema", ConfigError, r"'schema_version' in zhiyin\.toml: .*not 9", events(GOOD), "schema_version = 9\n" + TOML),
    Case(
        "rule for no column",
        ConfigError,
        r"clean\.missing has a rule for column 'usr_id'.*Did you mean 'user_id'",
        events(GOOD),
        TOML + '[clean.missing]\nusr_id = "drop"\n',
    ),
    Case(
        "flag what is needed",
        ConfigError,
        r"clean\.missing\.user_id = \"flag\" cannot be",
        rows("a,x,1700000000", ",y,1700000000"),
        TOML + '[clean.missing]\nuser_id = "flag"\n',
    ),
    Case(
        "fill of the wrong type",
        ConfigError,
        r"clean\.missing\.rating = 'many' in the manifest is not a number",
        events("user_id,item_id,time,rating\na,x,1700000000,\n"),
        VALUE + '[clean.missing]\nrating = "many"\n',
    ),
    Case("weights without kind", ConfigError, r"has \[weights\], but no events\.kind", events(GOOD), TOML + "[weights]\nview = 1\n"),
    Case("threshold without value", ConfigError, r"has positive_from, but no events\.value", events(GOOD), "positive_from = 4\n" + TOML),
    Case(
        "variants without parent",
        ConfigError,
        r"collapse_variants = true needs items\.parent",
        items("n", "1"),
        "collapse_variants = true\n" + TOML + ITEMS,
    ),
    # files
    Case("missing file", MissingDataError, r"there is no file 'events\.csv' in .*Did you mean 'event\.csv'", {"event.csv": GOOD}),
    Case("missing items file", MissingDataError, r"there is no file 'items\.csv'", events(GOOD), TOML + ITEMS),
    Case("folder instead of file", DataError, r"'events\.csv' is a folder, not a table", events(None)),
    Case("empty file", DataError, r"events\.csv is empty \(0 bytes\)", events("")),
    Case("blank lines", DataError, r"events\.csv holds only blank lines", events("\n\n  \n")),
    Case("header only", DataError, r"events\.csv has no rows", events("user_id,item_id,time\n")),
    Case(
        "unknown ending",
        ConfigError,
        r"events\.xyz: tables are read by their ending.*\.parquet",
        {"events.xyz": GOOD},
        TOML.replace("events.csv", "events.xyz"),
    ),
    Case("workbook", DataError, r"events\.csv is a zip archive or an Excel workbook: save the sheet as CSV", events(b"PK\x03\x04rest")),
    Case("parquet named csv", DataError, r"events\.csv is a Parquet file: give it the ending \.parquet", events(parquet_bytes(400))),
    Case("gzip named csv", DataError, r"events\.csv is gzip-compressed: give it the ending \.gz", events(PACKED)),
    Case("csv named gz", DataError, r"events\.csv\.gz is not gzip-compressed, although", {"events.csv.gz": GOOD}, GZ),
    Case("csv named zst", DataError, r"events\.csv\.zst is not zstd-compressed, although", {"events.csv.zst": GOOD}, ZST),
    Case(
        "truncated gz",
        DataError,
        r"events\.csv\.gz ends too early: the gzip file is cut off",
        {"events.csv.gz": PACKED[: len(PACKED) // 2]},
        GZ,
    ),
    Case("damaged gz", DataError, r"events\.csv\.gz is damaged", {"events.csv.gz": PACKED[:60] + b"\x00" * 40 + PACKED[100:]}, GZ),
    Case(
        "truncated zst",
        DataError,
        r"events\.csv\.zst ends too early: the zstd file is cut off",
        {"events.csv.zst": ZSTD[: len(ZSTD) // 2]},
        ZST,
    ),
    Case(
        "truncated parquet", DataError, r"events\.parquet is not a complete Parquet file", {"events.parquet": parquet_bytes(300)}, PARQUET
    ),
    Case("csv named parquet", DataError, r"events\.parquet is not a complete Parquet file", {"events.parquet": GOOD}, PARQUET),
    Case(
        "broken utf-8",
        DataError,
        r"events\.csv line 3 is neither UTF-8 nor GB18030 text \(byte ff\)",
        events(GOOD.replace("b,y", "é,y").encode().replace(b"\xc3\xa9", b"\xff")),
    ),
    Case(
        "some broken bytes in chinese",
        DataError,
        r"events\.csv line 4 is neither",
        events(("user_id,item_id,time\n张,苹果,1700000000\n王,香蕉,1700000000\n李,梨").encode()[:-1] + b",1700000000\n"),
    ),
    Case("zero bytes", DataError, r"events\.csv line 2 holds a zero byte", events(GOOD.encode().replace(b"a,x", b"a,\x00"))),
    # the shape of a table
    Case(
        "missing column",
        MissingDataError,
        r"events\.csv has no column 'item_id', which events\.item in the manifest names.*Did you mean 'itemid'",
        events(GOOD.replace("item_id", "itemid")),
    ),
    Case(
        "wrong delimiter",
        MissingDataError,
        r"events\.csv has no column 'user_id'.*one column, 'user_id::item_id::time'",
        events(GOOD.replace(",", "::")),
    ),
    Case(
        "no header", MissingDataError, r"first row looks like data \(1, 1193, 978300760\)", events("1,1193,978300760\n2,1193,978300761\n")
    ),
    Case(
        "same header twice",
        DataError,
        r"events\.csv has two columns named 'item_id'",
        events("user_id,item_id,item_id,time\na,x,y,1700000000\n"),
    ),
    Case("nameless header", DataError, r"events\.csv: column 2 of the header has no name", events("user_id,,time\na,x,1700000000\n")),
    Case(
        "too many fields",
        DataError,
        r"events\.csv row 2 has 4 fields, the header has 3.*quotation marks",
        rows("a,x,1700000000", "b,y,z,1700000000"),
    ),
    Case(
        "open quote", DataError, r"events\.csv row 2 opens a quotation mark that is never closed", rows("a,x,1700000000", 'b,"y,1700000000')
    ),
    Case(
        "jsonl syntax",
        DataError,
        r"events\.jsonl line 2 is no JSON object: '\{\"user_id\": '",
        {"events.jsonl": '{"user_id": "a", "item_id": "x", "time": 1700000000}\n{"user_id": \n'},
        JSONL,
    ),
    Case("json list", DataError, r"events\.jsonl is one JSON list", {"events.jsonl": '[{"user_id": "a"}]'}, JSONL),
    # ids
    Case(
        "empty id",
        DataError,
        r"events\.csv row 2, column 'user_id': is empty \(and 1 more rows\).*user_id = \"drop\"",
        rows("a,x,1700000000", ",x,1700000000", ",x,1700000000"),
    ),
    Case("row that ends early", DataError, r"events\.csv row 2, column 'time': is empty", rows("a,x,1700000000", "b,y")),
    Case(
        "fractional id",
        DataError,
        r"events\.parquet row 2, column 'item_id': 1\.5 is no id",
        *parquet(pl.DataFrame({"user_id": [1, 2], "item_id": [1.0, 1.5], "time": [1_700_000_000] * 2})),
    ),
    Case(
        "list as id",
        DataError,
        r"events\.parquet column 'user_id' holds values of type List\(Int64\), not ids",
        *parquet(pl.DataFrame({"user_id": [[1], [2]], "item_id": [1, 2], "time": [1_700_000_000] * 2})),
    ),
    Case(
        "mixed id types",
        DataError,
        r"column 'user_id' holds values of type Struct.*, not ids",
        {"events.jsonl": '{"user_id": {"id": 1}, "item_id": "x", "time": 1700000000}\n'},
        JSONL,
    ),
    Case(
        "truth as id",
        DataError,
        r"column 'user_id' holds values of type Boolean, not ids",
        *parquet(pl.DataFrame({"user_id": [True], "item_id": [1], "time": [1_700_000_000]})),
    ),
    Case(
        "item described twice",
        DataError,
        r"items\.csv has 'x' twice in column 'item_id', in rows 1 and 3",
        {"events.csv": GOOD, "items.csv": "item_id,title\nx,one\ny,two\nx,three\n"},
        TOML + ITEMS,
    ),
    Case(
        "user described twice",
        DataError,
        r"users\.csv has 'a' twice in column 'user_id', in rows 1 and 2",
        {"events.csv": GOOD, "users.csv": "user_id,age\na,1\na,2\n"},
        USERS,
    ),
    Case(
        "neither user nor session",
        DataError,
        r"events\.csv row 2: both 'user_id' and 'sid' are empty",
        events("user_id,sid,item_id,time\na,,x,1700000000\n,,x,1700000000\n"),
        TOML + 'session = "sid"\n',
    ),
    Case(
        "relation without end",
        DataError,
        r"relations\.csv row 2, column 'tail': is empty",
        {"events.csv": GOOD, "relations.csv": "head,relation,tail\nx,is,y\nx,is,\n"},
        RELATIONS,
    ),
    # times
    Case(
        "no time",
        DataError,
        r"events\.csv row 2, column 'time': 'banana' is no time, the other rows are numbers",
        rows("a,x,1700000000", "b,y,banana", "c,y,1700000000"),
    ),
    Case(
        "bad date",
        DataError,
        r"events\.csv row 2, column 'time': '2023-02-30 10:00' is no time",
        rows("a,x,2023-02-03 10:00", "b,y,2023-02-30 10:00"),
    ),
    Case(
        "only words",
        DataError,
        r"row 1, column 'time': 'yesterday' is no time.*2024-05-31T18:30:00\+02:00",
        rows("a,x,yesterday", "b,y,today"),
    ),
    Case(
        "future time",
        DataError,
        r"row 2, column 'time': 1900000000 lies in the future \(2030-03-17",
        rows("a,x,1700000000", "b,y,1900000000"),
    ),
    Case(
        "mixed units",
        DataError,
        r"row 3, column 'time': 1700000000000 looks like milliseconds where most rows are seconds",
        rows("a,x,1700000000", "b,y,1700000060", "c,z,1700000000000"),
    ),
    Case(
        "wrong unit",
        DataError,
        r"row 1, column 'time': 1700000000000 is after the year 2200.*look like milliseconds",
        rows("a,x,1700000000000", "b,y,1700000060000"),
        TOML + 'time_unit = "s"\n',
    ),
    Case(
        "position as time",
        DataError,
        r"events\.csv column 'time': 1 is neither a date such as 20240531 nor as large as seconds since 1970.*order = \"position\"",
        rows("a,x,1", "b,y,2"),
    ),
    Case(
        "nanoseconds",
        DataError,
        r"column 'time': 1700000000000000000 is too large for microseconds since 1970.*Divide nanoseconds by 1,000",
        rows("a,x,1700000000000000000"),
    ),
    Case(
        "no day of a month", DataError, r"row 2, column 'time': 20240532 is no date", rows("a,x,20240531", "b,y,20240532", "c,z,20240601")
    ),
    Case(
        "seconds as dates",
        DataError,
        r"column 'time': 1700000000 is no date such as 20240531.*time_unit = \"auto\"",
        rows("a,x,1700000000"),
        TOML + 'time_unit = "date"\n',
    ),
    Case(
        "zero among times", DataError, r"row 2, column 'time': 0 is no time in seconds, as most rows are", rows("a,x,1700000000", "b,y,0")
    ),
    Case(
        "day or month first",
        DataError,
        r"row 1, column 'time': '01/02/2023' may be day/month or month/day",
        rows("a,x,01/02/2023", "b,y,03/04/2023"),
    ),
    Case(
        "numbers as iso",
        ConfigError,
        r"column 'time' holds numbers, but events\.time_unit is \"iso\"",
        events(GOOD),
        TOML + 'time_unit = "iso"\n',
    ),
    Case(
        "infinite time",
        DataError,
        r"row 2, column 'time': inf is not a finite time",
        *parquet(pl.DataFrame({"user_id": [1, 2], "item_id": [1, 2], "time": [1.7e9, float("inf")]})),
    ),
    Case(
        "truth as time",
        DataError,
        r"column 'time' holds values of type Boolean, not times",
        *parquet(pl.DataFrame({"user_id": [1], "item_id": [1], "time": [True]})),
    ),
    Case(
        "fractional position",
        DataError,
        r"row 2, column 'time': 1\.5 is not a whole number",
        rows("a,x,1", "a,y,1.5"),
        'name = "x"\norder = "position"\n[events]\nfile = "events.csv"\nposition = "time"\n',
    ),
    # values, kinds and typed columns
    Case(
        "word as rating",
        DataError,
        r"row 2, column 'rating': 'good' is not a number",
        events("user_id,item_id,time,rating\na,x,1700000000,4\nb,y,1700000000,good\n"),
        VALUE,
    ),
    Case(
        "infinite rating",
        DataError,
        r"row 2, column 'rating': inf is not a finite number",
        events("user_id,item_id,time,rating\na,x,1700000000,4\nb,y,1700000000,inf\n"),
        VALUE,
    ),
    Case(
        "infinite context",
        DataError,
        r"row 1, column 'price': -inf is not a finite number",
        events("user_id,item_id,time,price\na,x,1700000000,-inf\n"),
        TOML + 'context = ["price"]\n',
    ),
    Case(
        "kind without weight",
        ConfigError,
        r"events\.csv row 2: event kind 'purchse' has no weight.*Did you mean 'purchase'",
        events("user_id,item_id,time,event\na,x,1700000000,purchase\nb,y,1700000000,purchse\n"),
        KIND + "[weights]\npurchase = 1\n",
    ),
    Case(
        "too many kinds",
        DataError,
        r"column 'event' holds 1,001 different kinds of event, for example 'k0'",
        events("user_id,item_id,time,event\n" + "".join(f"a,x,1700000000,k{i}\n" for i in range(1001))),
        KIND,
    ),
    Case(
        "word as price",
        DataError,
        r"items\.csv row 2, column 'cost': 'cheap' is not a number",
        items("cost", "1.5", "cheap"),
        with_items("cost", "price"),
    ),
    Case(
        "latitude off the globe",
        DataError,
        r"items\.csv row 2, column 'lat': 91(\.0)? lies outside -90 \.\. 90 degrees",
        items("lat", "51.5", "91"),
        with_items("lat", "latitude"),
    ),
    Case(
        "bad time of an item",
        DataError,
        r"items\.csv row 2, column 'made': 'soon' is no time",
        items("made", "2020-01-01", "soon"),
        with_items("made", "time"),
    ),
    Case(
        "neither true nor false",
        DataError,
        r"items\.csv row 2, column 'live': 'maybe' is neither true nor false",
        items("live", "yes", "maybe"),
        TOML + ITEMS + 'available = "live"\n',
    ),
    Case(
        "nothing available",
        DataError,
        r"no item is available at 2023-11-14",
        {"events.csv": GOOD, "items.csv": "item_id,title,live\nx,t,no\ny,t,no\n"},
        TOML + ITEMS + 'available = "live"\n',
    ),
    Case(
        "missing typed column",
        MissingDataError,
        r"items\.csv has no column 'cost', which items\.columns in the manifest names",
        items("price", "1"),
        with_items("cost", "price"),
    ),
    Case(
        "nothing left", DataError, r"no event of events\.csv is left after cleaning", events(GOOD), TOML + "[clean]\nmin_user_events = 5\n"
    ),
]


def make(folder: Path, case: Case) -> Path:
    if case.toml is not None:
        (folder / "zhiyin.toml").write_bytes(case.toml.encode() if isinstance(case.toml, str) else case.toml)
    for name, content in case.files.items():
        if content is None:
            (folder / name).mkdir()
        elif isinstance(content, pl.DataFrame):
            content.write_parquet(folder / name)
        else:
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_message(case: Case, tmp_path: Path) -> None:
    with pytest.raises(ZhiyinError) as caught:
        load(make(tmp_path, case), now_us=NOW_US)
    said = str(caught.value)
    assert re.search(case.says, said), said
    assert type(caught.value) is case.error
    assert "\n" not in said and len(said) < 400, said


def test_there_are_enough_cases() -> None:
    assert len({case.says for case in CASES}) >= 40
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize(("folder", "says"), [("absent", "does not exist"), ("file", r"is a file, not a folder.*zhiyin init FOLDER")])
def test_folder_itself(tmp_path: Path, folder: str, says: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MissingDataError, match=says):
        load(tmp_path / folder)


def test_sound_folder_loads(tmp_path: Path) -> None:
    case = Case("good", DataError, "", events(GOOD))
    assert len(load(make(tmp_path, case), now_us=NOW_US).events) == 3
