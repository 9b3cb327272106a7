import json
import re
from typing import Any

import numpy as np
import polars as pl
import pytest

from zhiyin.base.errors import ZhiyinError
from zhiyin.data.build import build_with_report
from zhiyin.data.check import check
from zhiyin.data.derive import described
from zhiyin.data.findings import Findings
from zhiyin.data.guess import guess_tables
from zhiyin.data.schema import Manifest
from zhiyin.data.sources import data_root
from zhiyin.data.tables import Tables

DAY = 86_400
START = 1_700_000_000
NOW_US = 2_000_000_000_000_000


def _frame(n: int = 3_000, seed: int = 0) -> pl.DataFrame:
    """Healthy events: 100 users, 80 items of unequal popularity, a hundred days."""
    r = np.random.default_rng(seed)
    fame = 1 / np.arange(2, 82)
    item = r.choice(80, n, p=fame / fame.sum())
    return pl.DataFrame(
        {
            "user_id": [f"u{v}" for v in r.integers(0, 100, n)],
            "item_id": [f"p{v}" for v in item],
            "time": START + np.sort(r.choice(100 * DAY, n, replace=False)),
            "value": r.normal(10, 2, n).round(2),
            "device": r.choice(["phone", "desk"], n),
        }
    )


def _items(**columns: Any) -> pl.DataFrame:
    base = {"item_id": [f"p{i}" for i in range(80)], "title": [f"A lamp of kind {i}" for i in range(80)]}
    return pl.DataFrame({**base, **columns})


def _checked(events: pl.DataFrame, items: pl.DataFrame | None = None, unknown_share: Any = None, /, **manifest: Any) -> Findings:
    """Load and check; manifest keys may be given for events, items and the whole."""
    e = {"file": "events.csv", "time": "time", "time_unit": "s", **manifest.pop("events", {})}
    i = {"file": "items.csv", "title": "title", "columns": {"title": "text"}, **manifest.pop("items", {})}
    given: dict[str, Any] = {"name": "shop", "repeat": {"policy": "allow"}, "events": e, **manifest}
    if items is not None:
        given["items"] = i
    tables = Tables(Manifest.parse(given), events, items)
    data, report = build_with_report(tables, NOW_US)
    return check(data, report, tables=tables, unknown_share=unknown_share)


def _said(found: Findings, topic: str) -> tuple[str, str]:
    (one,) = found.of(topic)
    return one.severity, one.sentence


def test_healthy_data_gives_no_warning() -> None:
    found = _checked(_frame(), _items(), lambda _texts: 0.01, events={"value": "value", "context": ["device"]})
    assert found.worst == "info", found.to_text()
    facts = found.facts
    assert (facts["events"], facts["users"], facts["items"]) == (3_000, 100, 80)
    frame = _frame()
    pairs = frame.select("user_id", "item_id").n_unique()
    assert facts["filled share of the user-item matrix"] == pytest.approx(pairs / 8_000)
    assert facts["share of repeats"] == pytest.approx(1 - pairs / 3_000)
    assert facts["days"] == pytest.approx((frame["time"].max() - frame["time"].min()) / DAY, abs=0.1)  # type: ignore[operator]


def test_times_that_are_no_times() -> None:
    frame = _frame()
    one = frame.with_columns(time=pl.when(pl.int_range(pl.len()) < 2_000).then(START).otherwise("time"))
    severity, sentence = _said(_checked(one), "same time")
    assert severity == "bad" and "67% of the events carry the same time, 2023-11-14 22:13 UTC" in sentence
    dates = frame.with_columns(time=pl.col("time") // DAY * DAY)
    assert _said(_checked(dates), "dates") == ("warn", "All times are whole days: the order within a day is not known.")
    early = frame.with_columns(time=pl.when(pl.int_range(pl.len()) < 3).then(100_000_000 + pl.int_range(pl.len())).otherwise("time"))
    assert _said(_checked(early), "far times")[1].startswith("3 events lay 18,")


def test_ties_and_doubles_are_counted() -> None:
    frame = _frame()
    found = _checked(pl.concat([frame, frame.head(300)]))
    assert _said(found, "duplicates") == ("warn", "300 events (9.09%) repeated user, item, kind and time of another.")
    assert _said(found, "tied times")[1].startswith("18% of the events")  # 600 of 3,300
    assert not _checked(frame).of("duplicates")


def test_machines_are_found_and_baskets_are_none() -> None:
    frame = _frame()
    fast = pl.DataFrame({"user_id": ["bot"] * 50, "item_id": [f"p{i}" for i in range(50)], "time": [START + i for i in range(50)]})
    found = _checked(pl.concat([frame.select(fast.columns), fast]))
    assert _said(found, "bursts") == ("warn", "1 user acted more than 30 times within a minute (50 moments in such bursts).")
    basket = fast.with_columns(time=pl.lit(START, pl.Int64))
    assert not _checked(pl.concat([frame.select(fast.columns), basket])).of("bursts")
    many = pl.DataFrame({"user_id": ["shop"] * 2_000, "item_id": ["p1"] * 2_000, "time": [START + 500 * i for i in range(2_000)]})
    severity, sentence = _said(_checked(pl.concat([frame.select(fast.columns), many])), "heavy users")
    assert severity == "warn" and sentence == "1 user made 40% of all events; 'shop' has 2,000."


def test_the_repeat_policy_must_fit() -> None:
    severity, sentence = _said(_checked(_frame(), repeat={"policy": "never"}), "repeats")
    assert severity == "warn" and re.match(r"\d\d% of the events bring an item back to someone who had it, but repeat is never", sentence)


def test_numbers_far_out_and_constant() -> None:
    frame = _frame().with_columns(value=pl.when(pl.int_range(pl.len()) == 7).then(9e6).otherwise("value"), device=pl.lit(3))
    found = _checked(frame, events={"value": "value", "context": ["device"]})
    middle = frame["value"].median()
    said = f"events column 'value' has 1 value far from the others, such as 9e+06 (median {middle:g})."
    assert _said(found, "outliers") == ("warn", said)
    assert _said(found, "constant") == ("info", "events column 'device' is 3 in every row.")


def test_items_without_text_and_unknown_items() -> None:
    items = _items().with_columns(title=pl.when(pl.int_range(pl.len()) < 20).then(None).otherwise("title")).head(70)
    found = _checked(_frame(), items)
    silent = 20 + _frame()["item_id"].unique().is_in([f"p{i}" for i in range(70, 80)]).sum()
    total = found.facts["items"]
    assert _said(found, "no text")[1].startswith(f"{silent} of {total} items ({silent / total:.1%}) have no text, 'p0' for one.")
    acts = _frame()["item_id"].is_in([f"p{i}" for i in range(70, 80)]).sum()
    severity, sentence = _said(found, "unknown items")
    assert severity == "warn" and f"10 items of the events ({acts} events) had no row in the items table" in sentence
    assert _said(_checked(_frame()), "no text")[1].startswith("No column says what an item is in words")


def test_prices_places_and_titles() -> None:
    r = np.random.default_rng(0)
    items = _items(price=[0.0] * 5 + list(r.uniform(5, 10, 74)) + [1e9], lat=[0.0] * 2 + [30.5] * 78, lon=[0.0] * 2 + [120.5] * 78)
    items = items.with_columns(title=pl.when(pl.int_range(80) < 10).then(pl.lit("Lamp")).otherwise("title"))
    types = {"title": "text", "price": "price", "lat": "latitude", "lon": "longitude"}
    found = _checked(_frame(), items, items={"columns": types})
    assert _said(found, "prices") == ("warn", "5 items had a price of 0 or less in column 'price'.")
    assert "items column 'price' has 1 value far from the others, such as 1e+09" in _said(found, "outliers")[1]
    assert _said(found, "places")[1] == "2 items lay at latitude 0, longitude 0, in the sea."
    assert _said(found, "same titles")[1] == "9 items carried the title of another."


def test_one_code_for_several_things() -> None:
    frame = _frame().with_columns(title=pl.concat_str(pl.lit("Lamp "), "item_id"))
    frame = frame.with_columns(
        title=pl.when(pl.int_range(pl.len()) == pl.col("item_id").eq("p3").arg_max()).then(pl.lit("Chair")).otherwise("title")
    )
    manifest = Manifest.parse(
        {
            "name": "shop",
            "events": {"file": "a.csv", "time": "time"},
            "items": {"file": "a.csv", "title": "title", "columns": {"title": "text"}},
            "repeat": {"policy": "allow"},
        }
    )
    tables = Tables(manifest, frame, frame.unique("item_id", keep="last").select("item_id", "title"))
    data, _ = build_with_report(tables, NOW_US)
    found = check(data, tables=tables)
    assert _said(found, "several descriptions")[1] == "1 item had several values in column 'title'; 'p3' has 2: 'Lamp p3', 'Chair'."


def test_what_the_encoder_cannot_read() -> None:
    seen: list[str] = []

    def share(texts: Any) -> float:
        seen.extend(texts)
        return 0.75

    found = _checked(_frame(), _items(), share)
    assert _said(found, "unreadable text") == ("warn", "The text encoder does not know 75.0% of what the item texts say.")
    assert seen[5] == "A lamp of kind 5" and len(seen) == 80


def test_answers_hidden_in_columns() -> None:
    frame = _frame().with_columns(shelf=pl.concat_str(pl.lit("s"), "item_id"), page=pl.col("item_id").hash() % 7)
    found = _checked(frame, events={"context": ["shelf", "page", "device"]})
    assert _said(found, "telling column") == ("bad", "context column 'shelf' gives the item away in 100% of the events.")
    counts = dict(frame["item_id"].value_counts().iter_rows())
    r = np.random.default_rng(1)
    items = _items(n_sold=[counts.get(f"p{i}", 0) * 1.1 for i in range(80)], weight=list(r.uniform(0, 1, 80)))
    found = _checked(frame, items, items={"columns": {"title": "text", "n_sold": "number", "weight": "number"}})
    (one,) = found.of("counted column")
    assert "items column 'n_sold' follows how often items are met (rank correlation 1.00)" in one.sentence


def test_acts_outside_the_life_of_an_item() -> None:
    publish = ["2023-11-14T00:00:00"] * 79 + ["2030-01-01T00:00:00"]
    items = _items(published_at=publish)
    late = _frame()["item_id"].eq("p79").sum()
    found = _checked(_frame(), items, items={"publish": "published_at"})
    assert (
        _said(found, "life times")[1]
        == f"{late} events ({late / 3_000:.1%}) happened before the item was published (column 'published_at')."
    )


def test_splits_that_leak() -> None:
    r = np.random.default_rng(2)
    mixed = _frame().with_columns(split=pl.Series(r.choice(["train", "test"], 3_000, p=[0.8, 0.2])))
    found = _checked(mixed, events={"split": "split"}, repeat={"policy": "never"})
    assert [f.severity for f in found.of("split")] == ["bad", "warn"]
    assert "the split is not by time" in found.of("split")[1].sentence
    by_time = _frame().with_columns(split=pl.when(pl.int_range(pl.len()) < 2_400).then(pl.lit("train")).otherwise(pl.lit("test")))
    assert not _checked(by_time, events={"split": "split"}).of("split")


def test_the_worst_comes_first_in_text_json_and_page(tmp_path: Any) -> None:
    frame = _frame().with_columns(shelf=pl.concat_str(pl.lit("<b>&"), "item_id"), time=pl.col("time") // DAY * DAY)
    items = _items(note=[None] * 75 + ["x"] * 5)
    found = _checked(frame, items, events={"context": ["shelf"], "value": "value"}, items={"columns": {"title": "text", "note": "text"}})
    ranks = [{"bad": 0, "warn": 1, "info": 2}[f.severity] for f in found.findings]
    assert ranks == sorted(ranks) and found.worst == "bad"
    text = found.to_text()
    assert "[BAD] context column 'shelf' gives the item away" in text and re.search(r"events +3,000\n", text)
    said = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert said["findings"][0]["topic"] == "telling column"
    assert {"table": "items", "column": "note", "type": "text", "missing_share": 75 / 80, "n_distinct": 1} in said["columns"]
    page = found.to_page().save(tmp_path / "check.html").read_text(encoding="utf-8")
    titles = re.findall(r"<title>([^<]+)</title>", page)
    assert titles[1:] == ["Events per day", "Activity", "Popularity", "Through the week", "Values of 'value'", "Missing"]
    assert "gives the item away" in page and "93.80" in page


@pytest.mark.parametrize("order", ["position", "none"])
def test_without_time_nothing_is_said_of_time(order: str) -> None:
    frame = _frame().with_columns(pos=pl.int_range(pl.len()).over("user_id"))
    found = _checked(frame, _items(), order=order, events={"time": None, "position": "pos" if order == "position" else None})
    assert not {"from", "days"} & set(found.facts)
    assert not {f.topic for f in found.findings} & {"same time", "dates", "tied times", "duplicates", "bursts", "far times"}
    assert [p.title for p, _ in found.plots] == ["Activity", "Popularity"]


def test_loading_is_part_of_the_report() -> None:
    frame = _frame().with_columns(user_id=pl.when(pl.int_range(pl.len()) < 600).then(None).otherwise("user_id"))
    found = _checked(frame, clean={"missing": {"user_id": "drop"}})
    assert _said(found, "rows dropped") == ("warn", "events column 'user_id': 600 rows (20.0%) dropped: is empty.")


@pytest.mark.data
def test_what_is_known_of_online_retail_is_found() -> None:
    try:
        file = data_root() / "online_retail" / "transactions.parquet"
    except ZhiyinError as error:
        pytest.skip(error.message)
    if not file.is_file():
        pytest.skip("online_retail is not under ZHIYIN_DATA or ../shared/data")
    events = pl.read_parquet(file)
    manifest = guess_tables({file.name: events}, "shop").manifest
    assert manifest.items is not None
    tables = Tables(manifest.model_copy(update={"users": None}), events, described(events, "StockCode", manifest.items.columns))
    data, report = build_with_report(tables, NOW_US)
    found = check(data, report, tables=tables)
    assert (found.facts["events"], found.facts["items"]) == (541_909, 4_070)
    assert "135,080 rows (24.9%)" in _said(found, "rows noted")[1]  # published: customers missing
    assert _said(found, "amounts")[1].startswith("531,285 of 541,909")  # published: 10,624 cancellations
    assert "such as -80995" in found.of("outliers")[0].sentence
    assert "'20713' has 8: 'JUMBO BAG OWLS'" in _said(found, "several descriptions")[1]
    assert not found.of("bursts") and found.worst == "warn"
