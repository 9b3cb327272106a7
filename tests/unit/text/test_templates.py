"""Columns to text: what is said, in which language, how long."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhiyin.base.errors import ConfigError
from zhiyin.data.catalog import Catalog
from zhiyin.data.schema import EventsTable, ItemsTable, Manifest
from zhiyin.data.vocab import Vocabulary
from zhiyin.text.templates import ItemTemplate, context_text, language_of, listed, plain, shortened, template_for, user_text

TABLE = pl.DataFrame(
    {
        "name": ["Cordless <b>drill</b> &amp; case", "Lamp!", None],
        "brand": ["Acme", None, None],
        "tags": ["tools|power", "['home', 'light']", ""],
        "price": [19.5, None, None],
        "about": ["['Two batteries.', 'One case.']", "<style>p {x}</style>Warm <!-- no --> light", None],
        "stock": [3, 4, 5],
    }
)
COLUMNS = {"brand": "category", "tags": "list", "price": "price", "about": "text", "stock": "number"}


def test_english_item() -> None:
    texts = ItemTemplate(title="name", columns=COLUMNS).texts(TABLE)
    assert texts == [
        "Cordless drill & case. brand: Acme. tags: tools, power. price: 19.5. Two batteries. One case.",
        "Lamp! tags: home, light. Warm light",
        "",
    ]


def test_chinese_item() -> None:
    table = pl.DataFrame({"name": ["无线电钻"], "brand": ["某某"], "tags": ["工具|电动"], "about": ["两块电池"]})
    columns = {"brand": "category", "tags": "list", "about": "text"}
    assert ItemTemplate(language="zh", title="name", columns=columns).texts(table) == ["无线电钻。brand：某某。tags：工具、电动。两块电池"]


def test_budget_per_segment_keeps_the_rest() -> None:
    table = pl.DataFrame({"name": ["word " * 100], "about": ["long " * 1000], "brand": ["Acme"]})
    text = ItemTemplate(title="name", columns={"about": "text", "brand": "category"}, title_budget=20, text_budget=30).texts(table)[0]
    assert text == "word word word word. brand: Acme. long long long long long long"


def test_language_is_picked_from_the_data_unless_said() -> None:
    def made(names: list[str], **said: str) -> str:
        items = ItemsTable(title="name", columns={})
        manifest = Manifest(name="t", events=EventsTable(time="t"), items=items, **said)
        catalog = Catalog(Vocabulary([str(i) for i in range(len(names))]), pl.DataFrame({"name": names}), "name")
        return template_for(manifest, catalog).language

    assert made(["红色毛衣", "蓝色 T恤"]) == "zh"
    assert made(["red jumper", "blue shirt"]) == "en"
    assert made(["red jumper"], language="zh") == "zh"
    assert made(["红色毛衣"], template="en") == "en"
    with pytest.raises(ConfigError, match="no text template is named 'zz'"):
        made(["a"], template="zz")


def test_user_and_context() -> None:
    assert user_text({"city": "Porto", "age": None}, ["Dune", ""]) == "city: Porto. liked: Dune"
    assert user_text({"城市": "北京"}, ["沙丘", "三体"], "zh") == "城市：北京。喜欢：沙丘、三体"
    assert user_text({}) == ""
    assert context_text({"time_of_day": "evening", "weather": None}) == "now: time of day evening"
    assert context_text({}, "zh") == ""


def test_a_new_template_has_a_new_digest() -> None:
    assert ItemTemplate(title="a").digest() != ItemTemplate(title="b").digest()
    assert ItemTemplate(title="a").digest() == ItemTemplate(title="a").digest()


def test_lists_in_every_dress() -> None:
    assert listed(["a", " b ", None, "a"]) == ["a", "b"]
    assert listed("a|b;c") == ["a", "b", "c"]
    assert listed('["it\'s", "x"]') == ["it's", "x"]
    assert listed(None) == [] and listed(float("nan")) == []


def test_language_of_mixed() -> None:
    assert language_of(["iPhone 15 手机壳 透明"]) == "zh"
    assert language_of(["A very long English description with one 字"]) == "en"
    assert language_of([]) == "en"


@given(st.text())
def test_plain_is_one_clean_line_and_stable(text: str) -> None:
    once = plain(text)
    assert once == once.strip() and "\n" not in once and "  " not in once


@given(st.text(alphabet="ab ,。字", max_size=60), st.integers(1, 40))
def test_shortened_is_a_prefix_within_the_limit(text: str, limit: int) -> None:
    cut = shortened(text, limit)
    assert len(cut) <= limit and text.startswith(cut)
