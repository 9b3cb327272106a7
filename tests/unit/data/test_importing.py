"""Folders that Gorse, Amazon Personalize and RecBole write: what becomes of them, and the words for what is wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from zhiyin.base.errors import DataError
from zhiyin.cli.app import app
from zhiyin.data.build import build
from zhiyin.data.folder import load
from zhiyin.data.importing import import_folder, recognise
from zhiyin.data.importing.recbole import atomic

NOW_US = 1_750_000_000_000_000
Files = dict[str, str]

# As written by Gorse's dashboard: CRLF, Go's way of printing times, labels as JSON in one row of doubled marks.
GORSE_CSV: Files = {
    "feedback.csv": "feedback_type,user_id,item_id,time_stamp\r\n"
    "read,007,g1,2022-02-24 10:00:00.000000001 +0000 UTC\r\n"
    "star,007,g1,2022-02-24 12:30:00.5 +0200 CEST\r\n"
    "star,bob,g2,2022-02-25 00:00:00 +0000 UTC\r\n"
    "read,bob,g3,0001-01-01 00:00:00 +0000 UTC\r\n",
    "items.csv": "item_id,is_hidden,categories,time_stamp,labels,description\r\n"
    'g1,false,x|y,2020-01-01 01:01:01 +0000 UTC,"{""genre"":[""comedy"",""sci-fi""],""stars"":3,""vector"":[0.5,1.5]}","o,n,e"\r\n'
    'g2,true,,0001-01-01 00:00:00 +0000 UTC,"{""genre"":[""drama""],""stars"":5}","t\r\nw\r\no"\r\n'
    'g3,false,x,2021-01-01 01:01:01 +0000 UTC,null,"""three"""\r\n',
    "users.csv": "user_id,labels\r\n007,a|b\r\nbob,b\r\n",
}
GORSE_JSONL: Files = {
    "feedback.jsonl": '{"FeedbackType":"star","UserId":"bob","ItemId":"g1","Timestamp":"2022-02-24T00:00:00Z","Value":2.5,"Comment":""}\n'
    '{"FeedbackType":"star","UserId":"eve","ItemId":"g2","Timestamp":"2022-02-25T00:00:00+08:00","Value":0,"Comment":""}\n',
    "items.jsonl": '{"ItemId":"g1","IsHidden":false,"Categories":["x"],"Timestamp":"2020-01-01T00:00:00Z",'
    '"Labels":{"tag":"new"},"Comment":"one"}\n'
    '{"ItemId":"g2","IsHidden":false,"Categories":[],"Timestamp":"2020-01-02T00:00:00Z","Labels":{"tag":"old"},"Comment":"two"}\n',
    "users.jsonl": '{"UserId":"bob","Labels":{"gender":"m"},"Comment":"Bob B."}\n'
    '{"UserId":"eve","Labels":{"gender":"f"},"Comment":"Eve"}\n',
}
PERSONALIZE: Files = {
    "item-interactions.csv": "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE,EVENT_VALUE,IMPRESSION,RECOMMENDATION_ID,DEVICE\n"
    "u1,01,1700000000,watch,0.5,01|02,r-1,phone\nu2,02,1700000060,purchase,,01|02,,tv\nu2,01,1700000120,refund,1,,,tv\n",
    "items.csv": "ITEM_ID,CREATION_TIMESTAMP,GENRES,PRICE,TITLE,ADULT\n01,1600000000,drama|comedy,9.5,The first,no\n"
    "02,1600000001,drama,3,The second,no\n03,1600000002,action|drama,4,The third,no\n",
    "users.csv": "USER_ID,AGE,MEMBERSHIP\nu1,33,gold\nu2,44,basic\n",
}
RECBOLE: Files = {
    "ml.inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\tdevice:token\twords:token_seq\n"
    "196\t242\t3\t881250949\tphone\ta b\n186\t302\t4.5\t891717742\ttv\t\n196\t302\t1\t881250950\ttv\tc\n",
    "ml.item": "item_id:token\tmovie_title:token_seq\trelease_year:float\tclass:token_seq\tart:float_seq\n"
    '242\tKolya "1996"\t1996\tComedy\t0.1 0.2\n'
    "302\tL.A. Confidential\t1997\tCrime Film-Noir\t0.3 0.4\n7\tTwelve Monkeys\t1995\tDrama\t0 0\n",
    "ml.user": "user_id:token\tage:float\tgender:token\n196\t49\tM\n186\t39\tF\n",
    "ml.kg": "head_id:token\trelation_id:token\ttail_id:token\n",
}


def write(folder: Path, files: Files) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_bytes(text.encode())
    return folder


@pytest.mark.parametrize(
    ("files", "name"), [(GORSE_CSV, "gorse"), (GORSE_JSONL, "gorse"), (PERSONALIZE, "personalize"), (RECBOLE, "recbole")]
)
def test_a_format_is_recognised_and_becomes_a_folder_that_loads(files: Files, name: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "export", files)
    assert recognise(folder) == name
    done = CliRunner().invoke(app, ["data", "import", str(folder), "--to", str(tmp_path / "out"), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["format"] == name and set(told["files"]) == {"events", "items", "users"}
    data, direct = load(tmp_path / "out", NOW_US), build(import_folder(folder, name).tables, NOW_US)
    assert data.manifest.name == "export"
    assert np.array_equal(data.events.item_ix, direct.events.item_ix) and np.array_equal(data.events.time_us, direct.events.time_us)
    assert data.catalog.table.equals(direct.catalog.table) and data.users_table.equals(direct.users_table)


def test_ones_own_tables_are_none_of_them(tmp_path: Path) -> None:
    assert recognise(write(tmp_path / "shop", {"orders.csv": "user_id,item_id\na,x\n", "feedback.csv": "name,words\na,b\n"})) is None


def test_gorse_csv(tmp_path: Path) -> None:
    found = import_folder(write(tmp_path / "g", GORSE_CSV), "gorse", now_us=NOW_US)
    m, data = found.tables.manifest, build(found.tables, NOW_US)
    assert m.weights == {"read": 0.0, "star": 1.0}
    assert data.users.ids.to_pylist() == ["007", "bob"]  # not 7
    # 10:00 UTC, then 12:30 in a zone two hours ahead, then midnight; the event of Go's year 1 is dropped.
    assert data.events.time_us.tolist() == [1_645_696_800_000_000, 1_645_698_600_500_000, 1_645_747_200_000_000]
    assert data.events.weight.tolist() == [0.0, 1.0, 1.0]
    assert m.items is not None and (m.items.title, m.items.publish, m.items.available) == ("description", "published", "available")
    items = data.catalog.table
    assert items["genre"].to_list() == [["comedy", "sci-fi"], ["drama"], None]
    assert items["stars"].to_list() == [3.0, 5.0, None]
    assert items["description"].to_list() == ["o,n,e", "t\r\nw\r\no", '"three"']
    assert data.catalog.available is not None and data.catalog.available.tolist() == [True, False, True]
    assert data.users_table["labels"].to_list() == [["a", "b"], ["b"]]
    assert found.left_aside["items.csv:vector"] == "holds numbers in a row, as vectors do"


def test_gorse_jsonl(tmp_path: Path) -> None:
    found = import_folder(write(tmp_path / "g", GORSE_JSONL), now_us=NOW_US)
    m, data = found.tables.manifest, build(found.tables, NOW_US)
    assert data.events.time_us.tolist() == [1_645_660_800_000_000, 1_645_718_400_000_000]
    assert data.events.value is not None and data.events.value.tolist() == [2.5, 0.0]
    assert data.catalog.titles(np.array([0, 1])) == ["one", "two"]
    assert m.users is not None and m.users.sensitive == ("gender",)
    assert "comment" not in data.users_table.columns and "Bob" not in str(found.tables.users)
    assert "name the person" in found.left_aside["users.jsonl:comment"]


def test_gorse_without_times_has_no_order(tmp_path: Path) -> None:
    files = {"feedback.csv": "feedback_type,user_id,item_id,time_stamp\nread,a,x,0001-01-01 00:00:00 +0000 UTC\nread,b,y,\n"}
    m = import_folder(write(tmp_path / "g", files), now_us=NOW_US).tables.manifest
    assert (m.order, m.events.time) == ("none", None)
    assert m.weights == {"read": 1.0}  # nothing says more than that


def test_personalize(tmp_path: Path) -> None:
    found = import_folder(write(tmp_path / "p", PERSONALIZE), now_us=NOW_US)
    m, data = found.tables.manifest, build(found.tables, NOW_US)
    e = m.events
    assert (e.kind, e.value, e.trace, e.time_unit, e.context) == ("EVENT_TYPE", "EVENT_VALUE", "RECOMMENDATION_ID", "s", ("DEVICE",))
    assert m.weights == {"watch": 1.0, "purchase": 1.0, "refund": 0.0}
    assert m.items is not None and m.items.columns == {"GENRES": "list", "PRICE": "price", "TITLE": "text"}
    assert (m.items.title, m.items.publish) == ("TITLE", "CREATION_TIMESTAMP")
    assert data.catalog.items.ids.to_pylist() == ["01", "02", "03"]
    assert data.catalog.table["GENRES"].to_list()[0] == ["drama", "comedy"]
    assert m.users is not None and (m.users.columns, m.users.sensitive) == ({"AGE": "number", "MEMBERSHIP": "category"}, ("AGE",))
    assert data.events.time_us.tolist() == [1_700_000_000_000_000, 1_700_000_060_000_000, 1_700_000_120_000_000]
    assert found.left_aside == {
        "item-interactions.csv:IMPRESSION": "what was shown beside it stays in the table, but has no role",
        "items.csv:ADULT": "holds one value only",
    }


def test_recbole(tmp_path: Path) -> None:
    found = import_folder(write(tmp_path / "r", RECBOLE), now_us=NOW_US)
    m, data = found.tables.manifest, build(found.tables, NOW_US)
    assert (m.order, m.events.time, m.events.value, m.events.context) == ("time", "timestamp", "rating", ("device",))
    assert m.items is not None and m.items.title == "movie_title"
    assert m.items.columns == {"movie_title": "text", "release_year": "number", "class": "list"}
    assert data.catalog.titles(np.array([0, 1])) == ['Kolya "1996"', "L.A. Confidential"]  # quotation marks are letters there
    assert data.catalog.table["class"].to_list() == [["Comedy"], ["Crime", "Film-Noir"], ["Drama"]]
    assert m.users is not None and set(m.users.sensitive) == {"age", "gender"}
    assert data.events.value is not None and data.events.value.tolist() == [3.0, 1.0, 4.5]
    assert found.left_aside == {
        "ml.kg": "relations of RecBole are not imported",
        "ml.inter:words": "holds a list per event",
        "ml.item:art": "holds numbers in a row, as vectors do",
    }


def test_recbole_by_other_names_and_in_order_only(tmp_path: Path) -> None:
    files = {
        "lf.inter": "user_id:token\tartist_id:token\tlabel:float\ttimestamp:float\na\tx\t1\t2\na\ty\t0\t1\nb\tx\t1\t1\n",
        "lf.item": "artist_id:token\tname:token_seq\nx\tThe Who\ny\tYes\n",
    }
    m = import_folder(write(tmp_path / "r", files), now_us=NOW_US).tables.manifest
    assert (m.order, m.events.position, m.events.item, m.events.value, m.positive_from) == (
        "position",
        "timestamp",
        "artist_id",
        "label",
        1,
    )


def test_what_comes_back_may_come_back(tmp_path: Path) -> None:
    head = "USER_ID,ITEM_ID,TIMESTAMP,EVENT_TYPE\n"
    once = head + "a,x,1700000000,view\na,x,1700000001,purchase\nb,x,1700000000,view\n"
    again = once + "a,x,1700000002,purchase\n"
    for text, policy in ((once, "never"), (again, "allow")):
        folder = write(tmp_path / policy, {"interactions.csv": text})
        assert import_folder(folder, now_us=NOW_US).tables.manifest.repeat.policy == policy


def test_recbole_published_split(tmp_path: Path) -> None:
    head = "user_id:token\titem_id:token\n"
    files = {f"d.{part}.inter": f"{head}{rows}" for part, rows in {"train": "a\tx\nb\ty\n", "valid": "a\ty\n", "test": "b\tx\n"}.items()}
    tables = import_folder(write(tmp_path / "r", files), now_us=NOW_US).tables
    assert tables.manifest.events.split == "split"
    assert dict(tables.events.group_by("split").len().rows()) == {"train": 2, "valid": 1, "test": 1}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\t\n\r\0"), min_size=1), min_size=2, max_size=2), min_size=1)
)
def test_atomic_files_keep_every_cell(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    path = tmp_path_factory.getbasetemp() / "cells.inter"
    path.write_bytes("\n".join(["a:token\tb:token", *("\t".join(row) for row in rows)]).encode())
    read, types = atomic(path)
    assert types == {"a": "token", "b": "token"}
    assert [list(row) for row in read.rows()] == rows


@dataclass(frozen=True)
class Wrong:
    """A folder with one thing wrong in it, and the sentence that must say so."""

    name: str
    files: Files
    says: str
    form: str = ""


def changed(files: Files, name: str, old: str, new: str) -> Files:
    assert old in files[name]
    return {**files, name: files[name].replace(old, new)}


WRONG = [
    Wrong(
        "gorse column",
        changed(GORSE_CSV, "feedback.csv", ",item_id,", ",thing,"),
        "feedback.csv has no column 'item_id', which Gorse's table of feedback has (E210). Did you mean",
    ),
    Wrong(
        "gorse labels",
        changed(GORSE_CSV, "items.csv", '"{""genre"":[""drama""],""stars"":5}"', "{drama}"),
        "items.csv row 2, column 'labels': '{drama}' is no JSON (E200). Labels are an object or a list.",
    ),
    Wrong(
        "gorse mixed labels",
        changed(GORSE_CSV, "items.csv", '[""drama""],""stars"":5', '{""a"":1},""stars"":5'),
        "the labels of items.csv do not have the same kind of values under the same names (E200). Give each label one kind",
    ),
    Wrong(
        "gorse time",
        changed(GORSE_CSV, "feedback.csv", "2022-02-25 00:00:00 +0000 UTC", "soon"),
        "feedback.csv row 3, column 'time_stamp': 'soon' is no time (E200).",
    ),
    Wrong("gorse files", {"items.csv": GORSE_CSV["items.csv"]}, "has no feedback.csv or feedback.jsonl (E210). Gorse's files are", "gorse"),
    Wrong(
        "personalize column",
        changed(PERSONALIZE, "item-interactions.csv", "TIMESTAMP", "TIMESTAMPS"),
        "item-interactions.csv has no column 'TIMESTAMP', which every interactions data set of Personalize has (E210)."
        " Did you mean 'TIMESTAMPS'?",
    ),
    Wrong(
        "personalize items",
        changed(PERSONALIZE, "items.csv", "ITEM_ID", "SKU"),
        "items.csv has no column 'ITEM_ID', which every items data set of Personalize has (E210).",
    ),
    Wrong(
        "personalize milliseconds",
        changed(PERSONALIZE, "item-interactions.csv", "1700000000", "1700000000000"),
        "item-interactions.csv row 1, column 'TIMESTAMP': 1700000000000 is after the year 2200 (E200).",
    ),
    Wrong(
        "personalize value",
        changed(PERSONALIZE, "item-interactions.csv", "0.5", "half"),
        "item-interactions.csv row 1, column 'EVENT_VALUE': 'half' is not a number (E200).",
    ),
    Wrong(
        "personalize files", {"users.csv": PERSONALIZE["users.csv"]}, "has no file with 'interactions' in its name (E210).", "personalize"
    ),
    Wrong("recbole files", PERSONALIZE, "has no .inter file (E210). RecBole's interactions are in NAME.inter.", "recbole"),
    Wrong(
        "recbole type",
        changed(RECBOLE, "ml.inter", "rating:float", "rating:flaot"),
        "ml.inter: column 'rating' has the type 'flaot' in the header (E200). Did you mean 'float'?",
    ),
    Wrong(
        "recbole untyped",
        changed(RECBOLE, "ml.inter", "user_id:token", "user_id"),
        "ml.inter: 'user_id' in the header has no type (E200). RecBole writes user_id:token",
    ),
    Wrong(
        "recbole number",
        changed(RECBOLE, "ml.inter", "4.5", "good"),
        "ml.inter row 2, column 'rating': 'good' is not a number, but its header says float (E200). Correct it, or write rating:token.",
    ),
    Wrong(
        "recbole column",
        changed(RECBOLE, "ml.inter", "user_id:", "users:"),
        "ml.inter has no column 'user_id:token', which names the user (E210). Did you mean 'users'?",
    ),
    Wrong(
        "recbole width",
        changed(RECBOLE, "ml.inter", "\ttv\tc", "\ttv\tc\td"),
        "ml.inter row 3 has 7 fields, the header has 6 (E200). Tabs divide the fields.",
    ),
    Wrong(
        "recbole torn",
        changed(RECBOLE, "ml.inter", "891717742\ttv\t\n", "8917\n"),
        "ml.inter row 2 has 4 fields, the header has 6 (E200). Tabs divide the fields.",
    ),
    Wrong(
        "recbole blanks",
        {"a.inter": "user_id:token item_id:token\na x\n"},
        "a.inter: the header is not divided by tabs: 'user_id:token item_id:token' (E200). Put a tab between any two columns.",
    ),
    Wrong("recbole empty", {"a.inter": "\n"}, "a.inter is empty (E200). Its first line names the columns"),
    Wrong(
        "recbole no item",
        changed(RECBOLE, "ml.inter", "186\t302", "186\t"),
        "ml.inter row 2, column 'item_id': is empty (E200). Correct it in that file, or remove it there.",
    ),
    Wrong("recbole two", {**RECBOLE, "x.inter": RECBOLE["ml.inter"]}, "ml.inter and x.inter are both there (E300). Keep one data set"),
    Wrong(
        "recbole parts",
        {"d.train.inter": "user_id:token\titem_id:token\na\tx\n", "d.test.inter": "user_id:token\titem_id:float\na\t1\n"},
        "d.test.inter, d.train.inter have different headers (E200).",
    ),
    Wrong("none of them", {"orders.csv": "a,b\n1,2\n"}, "does not look like an export of Gorse, Amazon Personalize, RecBole (E300)."),
    Wrong("no such format", RECBOLE, "no format is named 'recbol' (E310). Did you mean 'recbole'?", "recbol"),
    Wrong("two of one name", {**PERSONALIZE, "users.tsv": "a\n"}, "users.csv and users.tsv are both there (E300).", "personalize"),
]


@pytest.mark.parametrize("case", WRONG, ids=[case.name for case in WRONG])
def test_what_is_wrong_is_said_in_one_sentence(case: Wrong, tmp_path: Path) -> None:
    folder = write(tmp_path / "export", case.files)
    chosen = ["--from", case.form] if case.form else []
    done = CliRunner().invoke(app, ["data", "import", str(folder), "--to", str(tmp_path / "out"), *chosen])
    assert case.says in done.stderr
    assert done.exit_code == 2, done.output
    assert done.stderr.count("\n") == 1 and done.stdout == ""
    assert not (tmp_path / "out").exists()


def test_import_tells_what_it_did_and_overwrites_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path / "export", GORSE_CSV)
    line = ["data", "import", str(folder), "--to", str(tmp_path / "out")]
    said = CliRunner().invoke(app, line).stdout
    assert "Gorse: 4 events from feedback.csv, 3 items from items.csv, 2 users from users.csv" in said
    assert "left aside: items.csv:vector" in said and "weights: read 0, star 1 (0 = seen, no sign of liking)" in said
    again = CliRunner().invoke(app, line)
    assert again.exit_code == 2 and "is there already (E300). Give a new folder with --to." in again.stderr
    gone = CliRunner().invoke(app, ["data", "import", str(tmp_path / "none"), "--to", str(tmp_path / "new")])
    assert gone.exit_code == 2 and "none' does not exist (E210). Give the folder that holds the exported files." in gone.stderr


def test_init_names_the_better_way(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["init", str(write(tmp_path / "r", RECBOLE))])
    assert done.exit_code == 2 and "holds RecBole's files (E210). Import them: zhiyin data import" in done.stderr
    done = CliRunner().invoke(app, ["init", str(write(tmp_path / "p", PERSONALIZE))])
    assert done.exit_code == 0 and "These look like Amazon Personalize's files: zhiyin data import" in done.stderr


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "a.inter").write_text("x")
    with pytest.raises(DataError, match=r"a\.inter' is a file, not a folder"):
        import_folder(tmp_path / "a.inter")


def test_an_atomic_file_may_hold_windows_line_ends_and_end_with_a_blank_line(tmp_path: Path) -> None:
    (tmp_path / "a.inter").write_bytes(b"user_id:token\titem_id:token\r\na\tx\r\n\r\n")
    rows, _ = atomic(tmp_path / "a.inter")
    assert rows.equals(pl.DataFrame({"user_id": ["a"], "item_id": ["x"]}))
