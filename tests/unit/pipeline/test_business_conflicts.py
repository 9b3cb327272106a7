"""Every contradiction is one sentence with its line; rules that agree are not accused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import combinations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.base.arrays import Bool
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.events import Events
from zhiyin.data.schema import ItemsTable, Manifest
from zhiyin.data.vocab import Vocabulary
from zhiyin.pipeline.business_conflicts import Conflict, conflicts
from zhiyin.pipeline.business_feasible import feasible
from zhiyin.pipeline.business_file import parse_rules
from zhiyin.pipeline.placement import Placement

NOW = round(datetime(2026, 7, 1, 12, tzinfo=UTC).timestamp() * 1e6)
KINDS = ["tea"] * 6 + ["cup"] * 4 + ["pot"] * 2
HOME = Placement(name="home", size=5)
CART = Placement(name="cart", size=3)


def shop() -> Dataset:
    n = len(KINDS)
    expire = [None] * (n - 1) + [datetime(2026, 6, 1)]
    table = pl.DataFrame(
        {"item_id": [f"i{i}" for i in range(n)], "kind": KINDS, "price": [float(i) for i in range(n)]}
        | {"until": pl.Series(expire, dtype=pl.Datetime("us"))}
    )
    items = ItemsTable(id="item_id", columns={"kind": "category", "price": "price"}, expire="until")
    manifest = Manifest.parse({"name": "shop", "order": "none", "items": items.model_dump()})
    none = np.zeros(0, np.int32)
    catalog = Catalog(Vocabulary(table["item_id"].to_list()), table, available=np.arange(n) != 4)
    return Dataset(manifest, Vocabulary(["u"]), catalog, Events.of(none, none, none), places=Vocabulary(["north", "south"]))


def found(text: str, blocked: Bool | None = None, placements: tuple[Placement, ...] | None = (HOME, CART)) -> list[Conflict]:
    return list(conflicts(parse_rules(text, "r.toml"), shop(), now_us=NOW, placements=placements, blocked=blocked))


def pin(name: str, item: str, position: int, more: str = "") -> str:
    return f'[pin.{name}]\nitem = "{item}"\nposition = {position}\n{more}\n'


def quota(name: str, kind: str, more: str) -> str:
    return f"[quota.{name}]\nfilter = \"kind = '{kind}'\"\n{more}\n"


def topics(text: str, **how: object) -> list[tuple[str, str]]:
    return [(c.severity, c.topic) for c in found(text, **how)]  # type: ignore[arg-type]


def test_rules_that_agree_say_nothing() -> None:
    text = pin("a", "i0", 1) + pin("b", "i1", 2) + quota("c", "cup", "at_least = 2\nat_most = 3") + quota("d", "pot", "at_least = 1")
    assert found(text + '[boost.e]\nfilter = "price < 3"\nfactor = 2\n[bury.f]\nfilter = "price > 8"\nsteps = 5') == []
    assert found("") == []


def test_two_pins_on_one_place_in_windows_that_meet() -> None:
    first, second = pin("a", "i0", 1, "until = 2026-08-01"), pin("b", "i1", 1, "from = 2026-08-01")
    (said,) = found(first + second)
    assert (said.severity, said.topic, said.rules, said.line) == ("warn", "slot", ("pin.a", "pin.b"), 1)
    assert "r.toml line 1 [pin.a]: position 1 is also that of r.toml line 5 [pin.b]" in said.sentence and str(said).startswith("[look]")
    assert said.to_dict()["rules"] == ["pin.a", "pin.b"]
    assert found(first + second.replace("08-01", "08-02")) == []
    assert found(pin("a", "i0", 1, 'placements = ["home"]') + pin("b", "i1", 1, 'placements = ["cart"]')) == []
    assert found(pin("a", "i0", 1, 'places = ["north"]') + pin("b", "i1", 1, 'places = ["south"]')) == []
    assert topics(pin("a", "i0", 1, 'places = ["north"]') + pin("b", "i1", 1)) == [("warn", "slot")]
    assert topics(pin("a", "i0", 1) + pin("b", "i0", 2)) == [("warn", "twice")]


def test_hours_that_do_not_meet_are_no_conflict() -> None:
    morning, evening = 'hours = ["08:00-12:00"]', 'hours = ["12:00-20:00"]'
    assert found(pin("a", "i0", 1, morning) + pin("b", "i1", 1, evening)) == []
    assert topics(pin("a", "i0", 1, morning) + pin("b", "i1", 1, evening + '\nzone = "America/New_York"')) == []
    assert topics(pin("a", "i0", 1, morning) + pin("b", "i1", 1, 'hours = ["04:00-05:00"]\nzone = "America/New_York"')) == [
        ("warn", "slot")
    ]
    assert found(pin("a", "i0", 1, 'days = ["mon"]') + pin("b", "i1", 1, 'days = ["tue"]')) == []
    # the first of August 2026 is a Saturday
    assert found(pin("a", "i0", 1, 'days = ["mon"]') + pin("b", "i1", 1, "from = 2026-08-01\nuntil = 2026-08-02")) == []
    assert topics(pin("a", "i0", 1, 'days = ["sun"]') + pin("b", "i1", 1, "from = 2026-08-01\nuntil = 2026-08-02")) == [("warn", "slot")]


def test_pins_of_what_never_stands_there() -> None:
    assert topics(pin("a", "i44", 1)) == [("bad", "item")] and "Did you mean 'i4'" in found(pin("a", "i44", 1))[0].remedy
    assert topics(pin("a", "i4", 1)) == [("bad", "unavailable")] and topics(pin("a", "i11", 1)) == [("bad", "expired")]
    assert topics(pin("a", "i2", 1), blocked=np.arange(12) == 2) == [("bad", "safety")]
    assert topics(pin("a", "i0", 1) + "[bury.b]\nfilter = \"kind = 'tea'\"\nfactor = 0") == [("warn", "pin and bury")]
    assert topics(pin("a", "i0", 1) + quota("b", "tea", "at_most = 0")) == [("bad", "pin and quota")]
    assert topics(pin("a", "i0", 1) + pin("c", "i1", 2) + quota("b", "tea", "at_most = 1")) == [("bad", "pin and quota")]
    assert topics(pin("a", "i0", 1) + pin("c", "i1", 3) + quota("b", "tea", "at_most = 1\nof = 2")) == []
    assert topics(pin("a", "i0", 7)) == [("info", "position")]


def test_boost_and_bury_of_the_same_items() -> None:
    text = '[boost.a]\nfilter = "price < 3"\nfactor = 2\n[bury.b]\nfilter = "price > 1"\nsteps = 2\n'
    (said,) = found(text)
    assert said.topic == "boost and bury" and "1 item (such as 'i2') are also lowered by r.toml line 4 [bury.b]" in said.sentence
    assert found(text + 'placements = ["cart"]')[0].topic == "boost and bury"
    assert found(text.replace("factor = 2", 'factor = 2\nplacements = ["home"]') + 'placements = ["cart"]') == []


def test_windows_and_places_that_are_nowhere() -> None:
    assert topics(pin("a", "i0", 1, "until = 2026-06-30")) == [("info", "past")]
    assert topics(pin("a", "i0", 1, "from = 2026-09-01\nuntil = 2026-08-01")) == [("bad", "window")]
    assert topics(pin("a", "i0", 1, 'days = ["mon"]\nfrom = 2026-08-01\nuntil = 2026-08-02')) == [("bad", "window")]
    assert topics(pin("a", "i0", 1, 'placements = ["hme"]')) == [("bad", "placement")]
    assert found(pin("a", "i0", 1, 'placements = ["crat"]'))[0].remedy == "Did you mean 'cart'?"
    assert topics(pin("a", "i0", 1, 'placements = ["hme"]'), placements=None) == []
    assert topics(pin("a", "i0", 1, 'regions = ["cold"]') + '[regions]\ncold = ["nrth"]') == [("bad", "place")]


def test_filters_that_cannot_be_read_or_meet_nobody_come_first() -> None:
    text = pin("a", "i0", 1, "until = 2020-01-01") + '[boost.b]\nfilter = "prise < 3"\nfactor = 2\n' + quota("c", "soap", "at_least = 1")
    said = found(text + quota("d", "soap", "at_most = 1"))
    assert [(c.severity, c.topic) for c in said] == [
        ("bad", "filter"), ("bad", "empty"), ("bad", "quota"), ("warn", "empty"), ("info", "past"),
    ]  # fmt: skip
    assert "r.toml line 5 [boost.b]" in said[0].sentence and "'prise'" in said[0].sentence and "price" in said[0].remedy


def test_quotas_that_cannot_be_met() -> None:
    assert topics(quota("a", "pot", "at_least = 3")) == [("bad", "quota")]
    assert "2 items pass the filter" in found(quota("a", "pot", "at_least = 3"))[0].sentence
    assert topics(quota("a", "cup", "at_least = 4\nplacements = ['cart']")) == [("bad", "quota")]  # three places
    both = quota("a", "tea", "at_least = 3") + quota("b", "cup", "at_least = 3")
    (said,) = found(both.replace("at_least = 3", "at_least = 3\nplacements = ['home']"))
    assert said.rules == ("quota.a", "quota.b") and "cannot be met together with r.toml line 5 [quota.b] in a list of 5" in said.sentence
    assert found(quota("a", "tea", "at_least = 1\nof = 2") + quota("b", "cup", "at_least = 2\nplacements = ['cart']")) == []
    inner = quota("a", "tea", "at_least = 2") + '[quota.b]\nfilter = "price < 100"\nat_most = 1\n'
    assert [c.rules for c in found(inner)] == [("quota.a", "quota.b")]
    three = quota("a", "tea", "at_least = 1") + quota("b", "cup", "at_least = 1") + quota("c", "pot", "at_least = 2")
    assert [c.rules for c in found(three)] == [("quota.a", "quota.b", "quota.c")]
    apart = three.replace("at_least = 2", "at_least = 2\nplacements = ['home']")
    assert found(apart) == []


@given(st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_what_can_be_met_is_what_some_list_meets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    items, n, q = int(rng.integers(1, 7)), int(rng.integers(1, 4)), int(rng.integers(1, 4))
    live = rng.random(items) < 0.9
    limits = []
    for _ in range(q):
        most = int(rng.integers(0, n + 1))
        limits.append((rng.random(items) < 0.5, int(rng.integers(0, most + 1)), most, n))
    lists = [s for size in range(n + 1) for s in combinations(np.flatnonzero(live).tolist(), size)]
    can = any(all(least <= int(mask[list(s)].sum()) <= most for mask, least, most, _ in limits) for s in lists)
    assert feasible(limits, live, n) == can


@pytest.mark.parametrize(("of", "can"), [(1, False), (2, True)])
def test_what_can_be_met_within_a_depth(of: int, can: bool) -> None:
    tea, cup = np.array([True, False]), np.array([False, True])
    live = np.ones(2, np.bool_)
    assert feasible([(tea, 1, 2, of), (cup, 1, 2, of)], live, 2) == can
    assert feasible([(tea, 1, 2, 1), (cup, 1, 2, 2)], live, 2) and not feasible([(tea, 1, 2, 1)], ~live, 2)


def test_a_shop_without_dates_and_with_everything_there() -> None:
    data = shop()
    bare = replace(data, catalog=replace(data.catalog, available=None), manifest=data.manifest.model_copy(update={"items": None}))
    assert conflicts(parse_rules(pin("a", "i11", 1) + pin("b", "i4", 2)), bare, now_us=NOW) == ()
