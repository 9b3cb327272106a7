"""Placements: what stands on which shelf, that a page has no doubles, and what is said about mistakes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.base.errors import ConfigError, MissingDataError, UnknownNameError, ZhiyinError
from zhiyin.base.units import US_PER_DAY
from zhiyin.data.build import build
from zhiyin.data.catalog import Vectors
from zhiyin.data.dataset import Dataset
from zhiyin.data.run import Run
from zhiyin.data.schema import Manifest
from zhiyin.data.slates import Slates
from zhiyin.data.tables import Tables
from zhiyin.models.registry import spec_of
from zhiyin.models.retrieve.popular import PopularSpec
from zhiyin.pipeline.placement import Placement, Title, placements_toml, read_placements
from zhiyin.pipeline.presets import presets
from zhiyin.pipeline.recommender import Recommender
from zhiyin.pipeline.told import told
from zhiyin.testing.small import small_world

DAY0 = 19_800 * US_PER_DAY
WARES = [  # id, category, price, direction of its text, published on day
    ("tea", "drink", 4.0, 0), ("chai", "drink", 5.0, 0), ("mug", "ware", 10.0, 90), ("pot", "ware", 30.0, 120),
    ("cake", "food", 6.0, 200), ("bun", "food", 2.0, 230), ("lamp", "home", None, 300), ("rug", "home", 90.0, 330),
]  # fmt: skip


def cafe(repeat: str = "allow") -> Dataset:
    """Baskets of tea, mug and cake, with chai only beside tea; bun is new on day 60; people come every ten days."""
    rows = []
    for user in range(12):
        for visit in range(5):
            day = 10 * visit + user % 10
            basket = [["tea", "chai", "mug"], ["tea", "mug", "cake"], ["pot", "cake"], ["lamp", "rug"]][(user + visit) % 4]
            rows += [(f"u{user}", item, "purchase", day) for item in basket]
    rows += [(f"u{user}", "bun", "purchase", 60) for user in range(3)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "kind", "day"], orient="row")
    events = events.with_columns(time=DAY0 + pl.col("day") * US_PER_DAY).drop("day")
    items = pl.DataFrame(
        {
            "item_id": [w[0] for w in WARES],
            "name": [w[0].title() for w in WARES],
            "sort": [w[1] for w in WARES],
            "price": [w[2] for w in WARES],
        }
    )
    said = {
        "name": "cafe", "events": {"time": "time", "time_unit": "us", "kind": "kind"}, "repeat": {"policy": repeat},
        "items": {"title": "name", "columns": {"name": "text", "sort": "category", "price": "price"}},
    }  # fmt: skip
    data = build(Tables(Manifest.parse(said, "the test"), events, items))
    angle = np.radians([w[3] for w in WARES])
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    return data.with_catalog(data.catalog.with_vectors("text", Vectors(vectors, "hand")))


def asker(data: Dataset, model: str = "item-neighbours") -> Recommender:
    return Recommender(spec_of(model).fit(data, Run()), PopularSpec().fit(data, Run()), data)


def placed(*tables: dict[str, object], data: Dataset | None = None) -> Recommender:
    return asker(data or cafe()).with_placements(Placement.parse(table) for table in tables)


@pytest.fixture(scope="module")
def wise() -> Recommender:
    return asker(cafe()).with_placements()


@pytest.fixture(scope="module")
def narrow() -> Recommender:
    """The presets with shelves of two, so that eight items make a page."""
    data = cafe()
    return asker(data).with_placements(p.model_copy(update={"size": 2, "least": 1}) for p in presets(data))


def test_presets_follow_the_data(wise: Recommender) -> None:
    assert wise.shelves.names == ["home", "push", "again", "recent", "because", "product", "cart", "search", "trending", "new"]
    assert {"again", "continue"} <= {p.name for p in presets(cafe("never"))}
    started = replace(cafe(), kinds=("play",))
    assert [p.retrievers for p in presets(started) if p.name == "continue"] == [({"kind": "going-on", "started": ["play"]},)]
    untimed = small_world("none")
    names = [p.name for p in presets(untimed)]
    assert not {"recent", "continue", "because", "trending", "new"} & set(names) and {"home", "again", "product", "cart"} <= set(names)


def test_home_is_what_it_was_before_there_were_placements(wise: Recommender) -> None:
    plain = replace(wise, placed=asker(cafe()).placed)
    for user in ("u0", "u5", "nobody"):
        assert wise.recommend(user, n=5).items == plain.recommend(user, n=5).items
        assert wise.recommend(user).served_by == plain.recommend(user).served_by
    assert wise.recommend("u0").title == "For you" and plain.recommend("u0").title == ""
    users = ["u1", "u2"]
    assert wise.recommend_users(users, 4).equals(plain.recommend_users(users, 4))


def test_a_product_and_a_cart_are_about_other_things(wise: Recommender) -> None:
    """Chai comes only beside tea, so it belongs to tea; in a cart with tea it is the same again, so the cart has it not."""
    product, cart = (wise.recommend(items=["tea"], placement=name) for name in ("product", "cart"))
    assert product.title == "Bought together with Tea" and cart.title == "Goes with your cart"
    assert {"chai", "mug"} == set(product.ids[:2])
    assert "chai" not in cart.ids and "mug" in cart.ids and "tea" not in product.ids + cart.ids


def test_because_names_its_item_and_its_verb(wise: Recommender, narrow: Recommender) -> None:
    page = narrow.page("u1", ["because", "because"])
    titles = [shelf.title for shelf in page]
    newest = wise.recommend("u1", placement="recent").ids
    names = wise.catalog.titles(np.array([wise.catalog.items.find(i) for i in newest]))
    assert titles == [f"Because you bought {names[0]}", f"Because you bought {names[1]}"]
    assert wise.recommend("u1", placement="because", language="zh").title == f"因为你买过{names[0]}"
    assert wise.recommend(history=["mug"], placement="because").title == "Because you chose Mug"  # of what kind, nobody said


def test_given_items_are_each_a_reason_once_and_stand_nowhere(narrow: Recommender) -> None:
    page = narrow.page(placements=["because", "because", "because"], items=["mug", "rug"])
    assert [shelf.title for shelf in page] == ["Because you chose Rug", "Because you chose Mug"]
    assert not {"mug", "rug"} & {item.item_id for shelf in page for item in shelf}


@pytest.mark.parametrize("user", ["u1", "u5", "u6"])
def test_a_cart_is_about_the_whole_basket_whatever_stands_above_it(narrow: Recommender, user: str) -> None:
    """u1's newest basket is a bun, with which nothing goes: the basket before it is no cart."""
    because, *rest = narrow.page(user, ["because", "cart"])
    alone = narrow.recommend(user, placement="cart", n=8)
    assert [i for cart in rest for i in cart.ids] == [i for i in alone.ids if i not in because.ids][:2]


def test_without_order_nothing_is_newest() -> None:
    shop = asker(small_world("none")).with_placements()
    assert shop.recommend(items=["i1"], placement="cart").ids
    for about in ({}, {"items": ["nobody knows this"]}):
        with pytest.raises(ConfigError, match=r"'cart' is about items, and there are none: without order nobody has a newest basket"):
            shop.recommend("u3", placement="cart", **about)
    with pytest.raises(ConfigError, match=r"placement 'x': it is about the newest item, and these events have no order"):
        shop.with_placements([Placement(name="x", about="last")])
    assert "because" not in [shelf.placement for shelf in shop.page("u3")]


def test_a_home_page_offers_nothing_again_where_nothing_comes_back() -> None:
    once = asker(cafe("never")).with_placements()
    assert "again" not in [shelf.placement for shelf in once.page("u2")]
    assert [shelf.placement for shelf in once.page("u2", ["again"])] == ["again"]  # who asks for it has it


def test_a_page_has_no_doubles_and_later_shelves_are_filled_further(narrow: Recommender) -> None:
    alone = narrow.recommend("u2", placement="home", n=8)
    page = narrow.page("u2", ["again", "home"])
    again, home = page
    assert len(again) == len(home) == 2 and not set(again.ids) & set(home.ids)
    assert home.ids == [i for i in alone.ids if i not in again.ids][:2]
    assert page.to_dict()["shelves"][0]["title"] == "Buy it again"


@settings(max_examples=25, deadline=None)
@given(user=st.sampled_from(["u0", "u3", "u11", "nobody"]), names=st.lists(st.sampled_from([p.name for p in presets(cafe())]), min_size=1))
def test_no_page_shows_an_item_twice(narrow: Recommender, user: str, names: list[str]) -> None:
    page = narrow.page(user, [name for name in names if name != "search"] or ["home"])
    ids = [item.item_id for shelf in page for item in shelf]
    assert len(ids) == len(set(ids))


def test_empty_shelves_are_left_out_and_named(wise: Recommender) -> None:
    page = wise.page("nobody")
    assert {shelf.placement for shelf in page} <= {"home", "trending", "new"}
    assert "user 'nobody' is unknown" in page.notes
    assert "shelf 'again' left out: 0 items, it needs 1" in page.notes
    assert "note: shelf 'again' left out" in str(page)


def test_new_is_what_was_first_seen_within_the_window(wise: Recommender) -> None:
    """Only bun came within 28 days of day 60; the model has never seen it beside u7's things, so its text places it."""
    assert wise.recommend("u7", placement="new").ids == ["bun"]
    early = wise.recommend("u7", placement="new", now=DAY0 + 5 * US_PER_DAY)
    assert "bun" not in early.ids
    grown = wise.with_items([{"item_id": "scone", "name": "Scone", "sort": "food"}])
    vectors = grown.catalog.vectors["text"].matrix.copy()
    vectors[-1] = vectors[4]
    catalog = grown.catalog.with_vectors("text", Vectors(vectors, "hand"))
    grown = replace(grown, data=grown.data.with_catalog(catalog), placed=grown.placed.with_catalog(catalog))
    assert set(grown.recommend("u7", placement="new").ids) == {"bun", "scone"}


RULES = {
    "only": ({"only": ["food"]}, {"cake", "bun"}),
    "exclude": ({"exclude": ["food", "home"]}, {"chai", "mug", "pot"}),
    "same": ({"category_of_items": "same"}, {"chai"}),
    "other": ({"category_of_items": "other"}, {"mug", "pot", "cake", "bun", "lamp", "rug"}),
    "dearer": ({"min_price_ratio": 2.0}, {"mug", "pot", "rug"}),
    "cheaper": ({"max_price_ratio": 1.0}, {"bun"}),
    "unlike": ({"max_text_similarity": 0.9}, {"mug", "pot", "cake", "bun", "lamp", "rug"}),
}


@pytest.mark.parametrize("name", RULES)
def test_rules(name: str) -> None:
    """Everything popular but tea, as far as the rule about tea (a drink for 4) lets it."""
    rules, left = RULES[name]
    shop = placed({"name": "x", "about": "items", "retrievers": ["popular"], "rules": rules})
    assert set(shop.recommend(items=["tea"], placement="x").ids) == left


def test_rules_in_a_batch_are_those_of_each_row() -> None:
    shop = placed({"name": "x", "about": "last", "retrievers": ["popular"], "rules": {"category_of_items": "same"}})
    users = [f"u{u}" for u in range(12)]
    table = shop.recommend_users(users, placement="x")
    for user in users:
        assert table.filter(pl.col("user_id") == user)["item_id"].to_list() == shop.recommend(user, placement="x").ids


def test_retrievers_fill_in_order_and_a_ranker_orders_all() -> None:
    tables = {"about": "items", "retrievers": ["bought-together", "content"], "size": 7}
    shop = placed(
        {"name": "plain", **tables}, {"name": "ranked", **tables, "ranker": "popular"}, {"name": "popular", "retrievers": ["popular"]}
    )
    plain, ranked = (shop.recommend("u0", items=["lamp"], placement=name) for name in ("plain", "ranked"))
    assert plain.ids[0] == "rug" and plain.served_by == "bought-together, then content"
    assert set(plain.ids) == set(ranked.ids) and plain.ids != ranked.ids
    popular = shop.recommend("u0", placement="popular", n=8).ids
    assert ranked.ids == [item for item in popular if item in ranked.ids]
    assert [i.score for i in ranked] == sorted((i.score for i in ranked), reverse=True)


def test_a_part_of_the_model_may_fill_a_shelf() -> None:
    data = small_world()
    blend = asker(data, "popular")
    parts = {"kind": "zhiyin", "parts": [{"kind": "ease"}, {"kind": "popular"}]}
    blend = replace(blend, model=spec_of(parts).fit(data, Run()))
    part = blend.with_placements([Placement(name="x", retrievers=("model.ease",))])
    assert part.recommend("u1", placement="x").served_by == "ease" and not part.placed.models
    with pytest.raises(ConfigError, match="placement 'x': the model 'zhiyin' has the parts ease, popular, not 'factors'"):
        blend.with_placements([Placement(name="x", retrievers=("model.factors",))])


def test_saved_with_the_model(wise: Recommender, tmp_path: Path) -> None:
    back = Recommender.load(wise.save(tmp_path / "m"))
    assert back.placed.placements == wise.placed.placements
    for user in ("u0", "nobody"):
        assert back.page(user) == wise.page(user)
    assert back.recommend(items=["mug", "cake"], placement="cart") == wise.recommend(items=["mug", "cake"], placement="cart")


def test_toml_there_and_back(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text(placements_toml(presets(cafe())))
    assert read_placements(file) == presets(cafe())
    assert 'repeat = { policy = "never" }' in file.read_text()


BAD = {
    "[cart]\nsise = 3": "unknown key 'sise' in placement 'cart'.*Did you mean 'size'",
    "[cart]\nsize = 0": "'size' in placement 'cart': input should be greater than or equal to 1, not 0",
    "[cart.title]\nen = 'For {user}'": r"asks for \{user\}; known are \{anchor\}, \{verb\} and \{place\}",
    "[cart.title]\nen = 'For {'": "cannot be filled in: a brace stands alone",
    "[cart.title]\nen = 'For {anchor:>9}'": r"asks for \{anchor:>9\}; known are",
    "[cart]\nretrievers = []": "'retrievers' in placement 'cart'",
    "[cart.rules]\nmin_price_ratio = 2.0": "rules that compare with items need about",
    "[cart.rules]\nmin_price_ratio = 2.0\nmax_price_ratio = 1.0": "lies above 'max_price_ratio'",
    "cart = 3": "'cart' in .* is no placement",
    "": "holds no placement",
    "[cart": "is not TOML",
}


@pytest.mark.parametrize("text", BAD)
def test_bad_files(text: str, tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=BAD[text]):
        read_placements(file)


def test_placements_that_the_data_cannot_fill() -> None:
    def refused(sentence: str, kind: type[ZhiyinError] = ConfigError, data: Dataset | None = None, **table: object) -> None:
        with pytest.raises(kind, match=sentence):
            placed({"name": "x", **table}, data=data)

    refused("no model is named 'eese'.*Did you mean 'ease'", UnknownNameError, retrievers=["eese"])
    refused("placement 'x': the model 'item-neighbours' has no parts, not 'ease'", retrievers=["model.ease"])
    refused("placement 'x': no item has the category 'fod'.*Did you mean 'food'", rules={"only": ["fod"]})
    refused("rules.category names 'sorte', which is no column.*Did you mean 'sort'", rules={"category": "sorte", "only": ["food"]})
    refused("no column of the items has the type category", data=small_world(), rules={"only": ["food"]})
    refused("no column of the items has the type price", data=small_world(), about="last", rules={"min_price_ratio": 1})
    refused("these events have no time", data=small_world("position"), rules={"fresh_days": 3})
    with pytest.raises(ConfigError, match="two placements are named 'x'"):
        placed({"name": "x"}, {"name": "x"})
    with pytest.raises(MissingDataError, match=r"there is no file 'nowhere\.toml'"):
        read_placements("nowhere.toml")


def test_questions_that_make_no_sense(wise: Recommender) -> None:
    with pytest.raises(UnknownNameError, match=r"no placement is named 'crat'.*Did you mean 'cart'"):
        wise.recommend("u0", placement="crat")
    with pytest.raises(UnknownNameError, match=r"no placement is named 'cart', and this model has none.*zhiyin placements MODEL --fit"):
        asker(cafe()).recommend("u0", placement="cart")
    with pytest.raises(UnknownNameError, match="a page needs placements, and this model has none"):
        asker(cafe()).page("u0")
    with pytest.raises(ConfigError, match="placement 'search' answers words, and none were given"):
        wise.recommend("u0", placement="search")
    with pytest.raises(ConfigError, match="items were given, and placement 'home' is about the person"):
        wise.recommend(items=["tea"])
    with pytest.raises(ConfigError, match="a page needs placements, and none are named"):
        wise.page("u0", [])
    with pytest.raises(ConfigError, match="items were given, and no placement is about them"):
        asker(cafe()).recommend(items=["tea"])
    answer = wise.recommend(items=["tea", "coffee"], placement="cart", place="north")
    assert answer.notes == ("place 'north' is unknown", "given item 'coffee' unknown, left out")


@pytest.mark.parametrize(
    ("fields", "en", "zh"),
    [
        ({"place": "Ha{verb}rbin", "anchor": "a [b]", "verb": "saw"}, "Trending in Ha{verb}rbin", "Ha{verb}rbin正在流行"),
        ({}, "Trending", "正在流行"),
    ],
)
def test_titles_leave_out_what_is_unknown(fields: dict[str, str], en: str, zh: str) -> None:
    title = Title(en="Trending[ in {place}]", zh="[{place}]正在流行")
    assert (title.told("en", fields), title.told("zh", fields)) == (en, zh)
    assert Title(en="About {anchor}").told("zh", {}) == ""
    assert Title(en="New [beta]").told("en", {}) == "New [beta]"


def test_a_line_about_an_item_has_no_gaps() -> None:
    data = cafe()
    columns = pl.DataFrame(
        {"name": data.catalog.titles(np.arange(8)), "tags": [[], ["a", "b"], None, *[["c"]] * 5], "price": [4.0, None] * 4}
    )
    items = data.manifest.items.model_copy(update={"columns": {"name": "text", "tags": "list", "price": "price"}})
    data = replace(data, manifest=data.manifest.model_copy(update={"items": items}), catalog=replace(data.catalog, table=columns))
    slates = Slates(np.array([0, 4]), np.arange(4, dtype=np.int32), np.zeros(4, np.float32))
    assert [item.text for item in told(slates, data)] == ["4.0", "a, b", "4.0", "c"]


def test_a_time_of_asking_without_times_is_noted() -> None:
    untimed = asker(small_world("none"))
    assert untimed.recommend("u1", now=5).notes == ("these events have no time, so the time of asking changes nothing",)
    assert untimed.recommend("u1", now=5).ids == untimed.recommend("u1").ids
