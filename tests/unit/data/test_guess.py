import gzip
import json
import tomllib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.base.errors import DataError, MissingDataError
from zhiyin.data.derive import described, variants
from zhiyin.data.folder import load_with_report
from zhiyin.data.guess import guess, guess_tables
from zhiyin.data.guess_columns import Profile, column_type
from zhiyin.data.guess_words import COLUMN_TYPES, EVENT_ROLES, likeness
from zhiyin.data.manifest_text import KEYS, to_toml
from zhiyin.data.schema import Manifest


def _events(n: int = 400, seed: int = 0, **names: str) -> dict[str, list[object]]:
    """Acts of 30 users on 40 items over three weeks, columns renamed by ``names``."""
    r = np.random.default_rng(seed)
    columns = {
        "user": [f"u{v}" for v in r.integers(0, 30, n)],
        "item": [f"p{v}" for v in r.integers(0, 40, n)],
        "time": (1_700_000_000 + np.sort(r.integers(0, 1_800_000, n))).tolist(),
        "value": r.integers(1, 6, n).tolist(),
    }
    return {names.get(k, k): v for k, v in columns.items() if names.get(k, k)}


def _write(path: Path, rows: dict[str, list[object]], sep: str = ",", encoding: str = "utf-8") -> None:
    lines = [sep.join(rows), *(sep.join(map(str, row)) for row in zip(*rows.values(), strict=True))]
    path.write_bytes("\n".join(lines).encode(encoding))


def _loads(folder: Path, text: str):
    (folder / "zhiyin.toml").write_text(text, encoding="utf-8")
    return load_with_report(folder, now_us=2_000_000_000_000_000)


def test_chinese_columns_in_gb18030(tmp_path) -> None:
    rows = _events(user="用户编号", item="商品编号", time="", value="评分")
    rows["下单时间"] = [f"2024-03-{1 + i % 28:02d} {9 + i % 12:02d}:15:00" for i in range(400)]
    _write(tmp_path / "订单.csv", rows, encoding="gb18030")
    items = {
        "商品编号": [f"p{i}" for i in range(40)],
        "商品名称": [f"红色保温杯大号第{i}款" for i in range(40)],
        "价格": [10.5 + i for i in range(40)],
        "品牌": ["小米", "华为"] * 20,
    }
    _write(tmp_path / "商品.csv", items, encoding="gb18030")
    found = guess(tmp_path)
    m = found.manifest
    assert (m.events.file, m.events.user, m.events.item, m.events.time, m.events.value) == (
        "订单.csv", "用户编号", "商品编号", "下单时间", "评分",
    )  # fmt: skip
    assert m.items is not None and (m.items.file, m.items.id, m.items.title) == ("商品.csv", "商品编号", "商品名称")
    assert m.items.columns == {"商品名称": "text", "价格": "price", "品牌": "category"}
    assert (m.language, m.time_zone, m.order) == ("zh", "Asia/Shanghai", "time")
    assert {f.file: f.format for f in found.files} == {"商品.csv": "CSV, comma, GB18030", "订单.csv": "CSV, comma, GB18030"}
    data, _ = _loads(tmp_path, to_toml(m, found.comments()))
    assert data.n_items == 40 and len(data.events) == 400 and data.catalog.titles(np.array([3])) == ["红色保温杯大号第3款"]


def test_tab_and_milliseconds_and_kinds(tmp_path) -> None:
    rows = _events(user="visitorid", item="itemid", time="timestamp", value="")
    rows["timestamp"] = [int(str(t)) * 1000 for t in rows["timestamp"]]
    rows["event"] = ["view", "addtocart", "transaction", "refund"] * 100
    _write(tmp_path / "log.tsv", rows, sep="\t")
    found = guess(tmp_path)
    e = found.manifest.events
    assert (e.user, e.item, e.time, e.time_unit, e.kind) == ("visitorid", "itemid", "timestamp", "ms", "event")
    assert found.manifest.weights == {"view": 1.0, "addtocart": 1.0, "transaction": 1.0, "refund": 0.0}
    assert found.files[0].format == "CSV, tab, UTF-8"
    data, _ = _loads(tmp_path, to_toml(found.manifest))
    assert set(data.kinds) == set(found.manifest.weights) and int((data.events.weight == 0).sum()) == 100


def test_packed_jsonl_of_one_file_with_its_items_inside(tmp_path) -> None:
    rows = _events(user="customer", item="sku", time="", value="qty")
    rows["created_at"] = [f"2024-05-{1 + i % 30:02d}T10:{i % 60:02d}:00+02:00" for i in range(400)]
    rows["title"] = [f"Garden chair number {s}" for s in rows["sku"]]
    rows["unit_price"] = [5.0 + int(str(s)[1:]) for s in rows["sku"]]
    rows["device"] = ["phone", "desk", "tablet"] * 133 + ["phone"]
    rows["home_town"] = [f"town {int(str(u)[1:]) % 7}" for u in rows["customer"]]
    lines = "\n".join(json.dumps(dict(zip(rows, r, strict=True))) for r in zip(*rows.values(), strict=True))
    file = tmp_path / "orders.jsonl.gz"
    file.write_bytes(gzip.compress(lines.encode()))
    found = guess(file)
    m = found.manifest
    assert (m.name, m.events.user, m.events.item, m.events.time) == ("orders", "customer", "sku", "created_at")
    assert m.items is not None and (m.items.file, m.items.id, m.items.title) == (file.name, "sku", "title")
    assert m.items.columns == {"title": "text", "unit_price": "price"}
    assert m.users is not None and (m.users.file, m.users.columns) == (file.name, {"home_town": "category"})
    assert m.events.context == ("device",)
    data, report = _loads(tmp_path, to_toml(m))
    assert data.n_items == 40 and report.read["items"] == 40
    ix = data.catalog.items.find("p7")
    assert data.catalog.titles(np.array([ix])) == ["Garden chair number p7"] and data.catalog.table["unit_price"][ix] == 12.0


def test_order_by_position_where_there_is_no_time() -> None:
    frame = pl.DataFrame(
        {"user": [i // 10 for i in range(300)], "item": [i * 7 % 50 for i in range(300)], "pos": [i % 10 for i in range(300)]}
    )
    m = guess_tables({"sequences.parquet": frame}, "s").manifest
    assert (m.order, m.events.position) == ("position", "pos")
    assert guess_tables({"sequences.parquet": frame.drop("pos")}, "s").manifest.order == "none"


def test_repeats_decide_the_policy() -> None:
    again = pl.DataFrame({"user_id": [1, 1, 2, 2] * 50, "item_id": [5, 6, 5, 7] * 50})
    once = pl.DataFrame({"user_id": [i // 10 for i in range(200)], "item_id": [i % 40 for i in range(200)]})
    assert guess_tables({"e.csv": again}, "d").manifest.repeat.policy == "allow"
    assert guess_tables({"e.csv": once}, "d").manifest.repeat.policy == "never"


def test_rows_without_a_user_or_a_readable_time_are_dropped_and_said(tmp_path) -> None:
    rows = _events(user="user_id", item="item_id", time="timestamp")
    rows["user_id"][5] = ""
    _write(tmp_path / "ratings.csv", rows)
    found = guess(tmp_path)
    assert found.manifest.clean.missing == {"user_id": "drop"}
    decision = found.of("clean.missing.user_id")
    assert decision is not None and decision.reason == "1 rows (0.2%) have none, and no use without it"
    data, report = _loads(tmp_path, to_toml(found.manifest))
    assert len(data.events) == 399 and report.rows("dropped") == 1


def test_negative_quantities_are_no_liking() -> None:
    rows = _events(user="user", item="item", time="time", value="quantity")
    rows["quantity"] = [(-1 if i % 20 == 0 else 2) for i in range(400)]
    found = guess_tables({"sales.csv": pl.DataFrame(rows)}, "d")
    assert found.manifest.positive_from == 2.0
    assert "negative in 5.0% of the rows" in str(found.of("positive_from"))


def test_names_that_say_nothing_are_doubtful() -> None:
    rows = _events(user="a", item="b", time="c", value="d")
    found = guess_tables({"x.csv": pl.DataFrame(rows)}, "d")
    assert {"events.user", "events.item"} <= {d.key for d in found.doubts}
    assert (found.manifest.events.user, found.manifest.events.item, found.manifest.events.time) == ("a", "b", "c")
    sures = [d.sure for d in found.doubts]
    assert sures == sorted(sures) and all(s < 0.6 for s in sures)


def test_triples_of_text_ids_become_relations() -> None:
    events = pl.DataFrame(_events(user="user_id", item="item_id", time="timestamp"))
    items = pl.DataFrame({"item_id": [f"p{i}" for i in range(40)], "title": [f"A lamp of kind {i}" for i in range(40)]})
    graph = pl.DataFrame({"head": [f"p{i}" for i in range(40)], "relation": ["made by"] * 40, "tail": [f"m{i % 5}" for i in range(40)]})
    m = guess_tables({"events.csv": events, "items.csv": items, "kg.csv": graph}, "d").manifest
    assert m.relations is not None and m.relations.file == "kg.csv"
    numbered = graph.with_columns(pl.int_range(40).alias("head"), pl.int_range(40, 80).alias("tail"))
    found = guess_tables({"events.csv": events, "items.csv": items, "kg.csv": numbered}, "d")
    assert found.manifest.relations is None and found.unused["kg.csv"] == "fits no role"


def test_what_is_no_data_set_is_said(tmp_path) -> None:
    with pytest.raises(MissingDataError, match=r"the folder '.*' holds no tables \(E210\). Put .csv"):
        guess(tmp_path)
    with pytest.raises(MissingDataError, match=r"'.*nowhere' does not exist"):
        guess(tmp_path / "nowhere")
    (tmp_path / "books.csv").write_text("book_id,name\n" + "\n".join(f"{i},Title {i}" for i in range(50)))
    with pytest.raises(DataError, match=r"no table has a user \(or session\) and an item column \(books.csv: book_id, name\)"):
        guess(tmp_path)
    (tmp_path / "books.csv").write_text("user_id,item_id,time\n")
    with pytest.raises(DataError, match=r"no table has any rows \(books.csv\)"):
        guess(tmp_path)
    (tmp_path / "books.csv").write_text("user_id,item_id,time\nu1,i1,2024-05-01\n")
    with pytest.raises(DataError, match=r"1 row is too few to guess by \(books.csv\) \(E200\)\. Give more of what people did"):
        guess(tmp_path)
    (tmp_path / "books.csv").write_text("1,1193,5,978300760\n1,661,3,978302109\n")
    with pytest.raises(DataError, match=r"books\.csv has no header"):
        guess(tmp_path)


COLUMNS = {
    "lat": ([40.1, -12.5, 33.3], "latitude"),
    "lng": ([140.1, -112.5, 33.3], "longitude"),
    "unit_price": ([2.5, 3.0, 9.9], "price"),
    "genres": (["Drama|War", "War", "Drama|Comedy"], "list"),
    "tags": ([["a"], ["b", "c"], []], "list"),
    "cover_url": (["https://x.org/a.jpg", "https://x.org/b.png", "https://x.org/c.jpg?w=1"], "image"),
    "lang": (["en", "zh", "en"], "language"),
    "released": (["2020-01-01", "2021-02-03", "2022-12-31"], "time"),
    "description": (["A very long story about a fox", "Another one about a hen", "One more about a dog"], "text"),
    "brand": (["Acme", "Acme", "Bolt"], "category"),
    "downloads": (["1,000 - 5,000", "1,000 - 5,000", "10,000 - 50,000"], "category"),
    "城市": (["北京", "上海", "北京"], "place"),
    "价格": ([1.0, 2.0, 3.5], "price"),
    "weight_kg": ([1.5, 2.5, 99.0], "number"),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_types_of_describing_columns(name: str) -> None:
    values, wanted = COLUMNS[name]
    assert column_type(Profile(name, pl.Series(name, values * 40))).type == wanted


def test_other_ids_empty_and_constant_columns_stay_out() -> None:
    for values in ([f"tt{i:07d}" for i in range(50)], [None] * 50, ["same"] * 50):
        assert column_type(Profile("imdb", pl.Series("imdb", values, dtype=pl.String))).type is None


@given(st.sampled_from(sorted(EVENT_ROLES)), st.integers(0, 30), st.sampled_from(["{}", "{}_id", "{}Id", "THE_{}", "{}ID"]))
def test_each_word_of_a_role_is_recognised_in_every_spelling(role: str, i: int, spelling: str) -> None:
    word = EVENT_ROLES[role][i % len(EVENT_ROLES[role])].replace(" ", "_")
    name = spelling.format(word)
    assert likeness(name, EVENT_ROLES[role]) >= 0.5
    assert 0 <= likeness(name, COLUMN_TYPES["image"]) <= 1


_NAMES = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=12)


@settings(max_examples=100, deadline=None)
@given(_NAMES, _NAMES, st.dictionaries(_NAMES, st.floats(0, 10), max_size=4), st.dictionaries(st.sampled_from(sorted(KEYS)), _NAMES))
def test_the_commented_text_reads_back_as_the_same_manifest(name, column, weights, comments) -> None:
    manifest = Manifest.parse(
        {
            "name": name,
            "events": {"user": column, "time": "t", "kind": "k", "context": [column, name]},
            "items": {"title": column, "columns": {column: "text", "p": "price"}},
            "users": {"sensitive": [name]},
            "weights": weights,
            "repeat": {"policy": "after", "days": 3.5},
            "clean": {"missing": {column: "drop", "x": 1.5}, "outlier": {"v": "clip"}, "burst_per_minute": 9},
        }
    )
    text = to_toml(manifest, comments)
    assert Manifest.parse(tomllib.loads(text)) == manifest


def test_every_key_of_the_schema_is_explained() -> None:
    def keys(model, path=""):
        for name, field in model.model_fields.items():
            yield f"{path}{name}"
            inner = [a for a in (field.annotation, *getattr(field.annotation, "__args__", ())) if hasattr(a, "model_fields")]
            if inner:
                yield from keys(inner[0], f"{path}{name}.")

    assert set(keys(Manifest)) == set(KEYS)


def test_the_text_says_how_sure_and_offers_what_is_not_set() -> None:
    found = guess_tables({"e.csv": pl.DataFrame(_events(user="user_id", item="item_id", time="timestamp"))}, "d")
    text = to_toml(found.manifest, found.comments())
    assert '\nuser = "user_id"  # column: who | 95% sure: named so, 30 different\n' in text
    assert '\n# session = "session_id"  # column: the visit' in text


def test_descriptions_out_of_events_are_the_commonest() -> None:
    frame = pl.DataFrame({"id": [1, 1, 1, 2, 2, None], "name": ["a", "b ", "b", " ", None, "z"], "price": [3.0, 3.0, 4.0, 9.0, 8.0, 1.0]})
    out = described(frame, "id", ["name", "price"])
    assert out.to_dicts() == [{"id": 1, "name": "b", "price": 3.0}, {"id": 2, "name": None, "price": 9.0}]
    assert variants(frame, "id", "name").to_dicts() == [{"id": 1, "values": ["b", "a"]}]
    with pytest.raises(MissingDataError, match=r"the events table has no column 'nam' \(E210\). Did you mean 'name'"):
        described(frame, "id", ["nam"])


# Real tables: what each column is, as their READMEs say.
REAL = {
    "ml-1m/ratings.parquet": {
        "user": "user_id", "item": "movie_id", "time": "timestamp", "value": "rating", "time_unit": "s", "split": "time_split",
    },
    "online_retail/transactions.parquet": {
        "user": "CustomerID", "item": "StockCode", "time": "InvoiceDate", "value": "Quantity", "session": "InvoiceNo",
    },
    "foursquare_nyc": {"user": "user_id", "item": "poi_idx", "time": "utc_time", "session": "trajectory_id", "split": "split"},
    "frappe": {"user": "user", "item": "item", "value": "cnt", "split": "split"},
    "amazon_beauty": {"user": "user_idx", "item": "item_idx", "position": "pos"},
}  # fmt: skip
REST = {
    "ml-1m/ratings.parquet": ("time", "never", None),
    "online_retail/transactions.parquet": ("time", "allow", "Description"),
    "foursquare_nyc": ("time", "allow", None),
    "frappe": ("none", "allow", "name"),
    "amazon_beauty": ("position", "never", "keyphrase"),
}


@pytest.mark.data
@pytest.mark.parametrize("name", REAL)
def test_roles_in_real_tables(name: str, tmp_path, real_folder) -> None:
    source = real_folder(name)
    found = guess(source)
    events = found.manifest.events.model_dump(exclude_none=True)
    assert {k: events.get(k) for k in REAL[name]} == REAL[name]
    title = found.manifest.items.title if found.manifest.items else None
    assert (found.manifest.order, found.manifest.repeat.policy, title) == REST[name]
    for file in [source] if source.is_file() else source.glob("*.parquet"):
        (tmp_path / file.name).symlink_to(file)
    data, _ = _loads(tmp_path, to_toml(found.manifest, found.comments()))
    assert len(data.events) > 90_000
    if name == "foursquare_nyc":
        assert found.manifest.items is not None
        assert {"lat": "latitude", "lon": "longitude", "category": "category"}.items() <= found.manifest.items.columns.items()


@pytest.fixture
def real_folder():
    from zhiyin.base.errors import ZhiyinError
    from zhiyin.data.sources.registry import data_root

    def find(name: str) -> Path:
        try:
            path = data_root() / name
        except ZhiyinError as error:
            pytest.skip(error.message)
        if not path.exists():
            pytest.skip(f"{name} is not under ZHIYIN_DATA or ../shared/data")
        return path

    return find
