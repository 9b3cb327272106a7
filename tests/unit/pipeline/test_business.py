"""Business rules: what each does to a list, when and where it holds, and what it says of itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.base.arrays import Ragged
from zhiyin.base.errors import ConfigError, MissingDataError
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.events import Events
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.schema import ItemsTable, Manifest
from zhiyin.data.slates import Slates
from zhiyin.data.vocab import Vocabulary
from zhiyin.models.rerank.registry import reranker_of
from zhiyin.models.rerank.reranker import OWN
from zhiyin.models.rerank.traits import Traits
from zhiyin.pipeline.business import BusinessRules, appended, led_by
from zhiyin.pipeline.business_file import parse_rules, read_rules
from zhiyin.pipeline.business_quota import Limit, under_quotas

NOW = round(datetime(2026, 7, 1, 12, tzinfo=UTC).timestamp() * 1e6)
KINDS = ["tea", "tea", "cup", "cup", "pot", "pot", "tea", "tea", "cup", "pot"]


def shop() -> Dataset:
    """Ten items i0 to i9; i8 is not available, i9 is published in August; places north, south."""
    table = pl.DataFrame(
        {
            "item_id": [f"i{i}" for i in range(10)],
            "kind": KINDS,
            "price": [float(i) for i in range(10)],
            "from": pl.Series([None] * 9 + [datetime(2026, 8, 1)], dtype=pl.Datetime("us")),
        }
    )
    items = ItemsTable(id="item_id", columns={"kind": "category", "price": "price"}, publish="from")
    manifest = Manifest.parse({"name": "shop", "order": "none", "items": items.model_dump()})
    catalog = Catalog(Vocabulary(table["item_id"].to_list()), table, available=np.arange(10) != 8)
    none = np.zeros(0, np.int32)
    return Dataset(manifest, Vocabulary(["u"]), catalog, Events.of(none, none, none), places=Vocabulary(["north", "south"]))


def asked(n: int = 5, placements: list[str] | None = None, **rest: object) -> Requests:
    rows = len(placements) if placements else 1
    where = None if placements is None else np.array(placements, object)
    return Requests.of(Histories.empty(rows), now_us=NOW, n=n, placement=where, **rest)


def ranked(*lists: list[int]) -> Slates:
    given = lists or ([0, 1, 2, 3, 4, 5, 6, 7],)
    scores = [np.linspace(1, 0, len(items), dtype=np.float32) for items in given]
    items = Ragged.of(given)
    return Slates(items.offsets, items.values, np.concatenate(scores), {"item": items.values.astype(np.float32)})


def after(text: str, requests: Requests | None = None, slates: Slates | None = None, **how: object) -> list[int]:
    requests = requests or asked()
    found = BusinessRules.of(parse_rules(text), shop()).apply(requests, slates or ranked(), **how)  # type: ignore[arg-type]
    assert bool((np.diff(found.score)[found.items.rows[1:] == found.items.rows[:-1]] <= 0).all())
    known = found.columns["item"]
    assert np.array_equal(known[~np.isnan(known)], found.item_ix[~np.isnan(known)])
    return found.top(requests.n).item_ix.tolist()


def test_a_pin_takes_its_place_from_inside_and_outside_the_candidates() -> None:
    assert after('[pin.a]\nitem = "i6"\nposition = 1') == [6, 0, 1, 2, 3]
    assert after('[pin.a]\nitem = "i7"\nposition = 2', slates=ranked([0, 1, 2])) == [0, 7, 1, 2]
    assert after('[pin.a]\nitem = "i7"\nposition = 5', slates=ranked([0, 1])) == [0, 1, 7]
    assert after('[pin.a]\nitem = "i7"\nposition = 5', slates=ranked([])) == [7]
    assert after('[pin.a]\nitem = "i7"\nposition = 9') == [0, 1, 2, 3, 4]  # another page
    two = '[pin.a]\nitem = "i6"\nposition = 4\n[pin.b]\nitem = "i7"\nposition = 5'
    assert after(two, slates=ranked([0, 1])) == [0, 1, 6, 7]


def test_two_pins_on_a_place_stand_behind_each_other() -> None:
    text = '[pin.a]\nitem = "i6"\nposition = 1\n[pin.b]\nitem = "i7"\nposition = 1\n[pin.c]\nitem = "i6"\nposition = 3'
    assert after(text) == [6, 7, 0, 1, 2]
    blocked = reranker_of({"kind": "safety", "blocked": ["i6"]}).over(Traits.of(shop()))
    assert after(text, rerankers=[blocked]) == [7, 0, 1, 2, 3]  # what safety drops leaves its place to the next


@pytest.mark.parametrize(
    ("item", "rest"),
    [
        ("i6", {"exclude": Ragged.of([[6]])}),
        ("i6", {"allowed": np.arange(10) != 6}),
        ("i6", {"candidates": Ragged.of([[0, 1, 2, 3, 4, 5]])}),
        ("i8", {}),
        ("i9", {}),
        ("nobody", {}),
    ],
)
def test_a_pin_brings_back_nothing_that_must_not_stand_there(item: str, rest: dict[str, object]) -> None:
    text = f'[pin.a]\nitem = "{item}"\nposition = 1'
    assert after(text, asked(**rest), ranked([0, 1, 2])) == [0, 1, 2]
    assert after(text.replace(item, "i7"), asked(), ranked([0, 1, 2])) == [7, 0, 1, 2]


def test_an_item_is_pinned_from_the_day_it_is_published() -> None:
    text = '[pin.a]\nitem = "i9"\nposition = 1'
    august = round(datetime(2026, 8, 1, tzinfo=UTC).timestamp() * 1e6)
    assert after(text, now_us=august - 1)[0] == 0 and after(text, now_us=august)[0] == 9


def test_positions_count_over_pages() -> None:
    text = '[pin.a]\nitem = "i6"\nposition = 7\n[pin.b]\nitem = "i7"\nposition = 1'
    second = asked(exclude=Ragged.of([[7, 0, 1, 2, 3]]))
    assert after(text, second, ranked([4, 5, 6]), start=5) == [4, 6, 5]


def test_boost_and_bury_by_factor_and_by_steps() -> None:
    assert after("[boost.a]\nfilter = \"kind = 'pot'\"\nfactor = 3", slates=ranked([0, 1, 4, 2, 5, 3])) == [4, 0, 1, 5, 2]
    assert after("[boost.a]\nfilter = \"kind = 'pot'\"\nsteps = 3") == [0, 4, 1, 5, 2]
    assert after("[bury.a]\nfilter = \"kind = 'tea'\"\nsteps = 2") == [2, 0, 3, 1, 4]
    assert after("[bury.a]\nfilter = \"kind = 'tea'\"\nfactor = 0", asked(8)) == [2, 3, 4, 5, 0, 1, 6, 7]
    both = '[boost.a]\nfilter = "price < 1"\nfactor = 2\n[bury.b]\nfilter = "price < 1"\nfactor = 0.1'
    assert after(both, asked(8))[:7] == [1, 2, 3, 4, 5, 0, 6]  # .2 of what the best had


def test_quotas_choose_the_first_places() -> None:
    assert after("[quota.a]\nfilter = \"kind = 'pot'\"\nat_least = 2") == [0, 1, 2, 4, 5]
    assert after("[quota.a]\nfilter = \"kind = 'pot'\"\nat_least = 1\nof = 2") == [0, 4, 1, 2, 3]
    assert after("[quota.a]\nfilter = \"kind = 'tea'\"\nat_most = 1") == [0, 2, 3, 4, 5]
    assert after("[quota.a]\nfilter = \"kind = 'tea'\"\nat_most = 0", slates=ranked([0, 1, 2])) == [2]
    text = "[quota.a]\nfilter = \"kind = 'pot'\"\nat_least = 2\n[quota.b]\nfilter = \"kind = 'cup'\"\nat_most = 1\n"
    text += '[pin.p]\nitem = "i3"\nposition = 5'
    assert after(text) == [0, 1, 4, 5, 3]  # the pinned cup is the one cup


def test_a_quota_finds_what_the_candidates_lack() -> None:
    requests: list[Requests] = []

    def retrieve(given: Requests, k: int) -> Slates:
        requests.append(given)
        assert given.allowed is not None
        return ranked(*([np.flatnonzero(given.allowed)[:k].tolist()] * len(given)))

    text = '[quota.a]\nfilter = "kind = \'pot\'"\nat_least = 2\nplacements = ["cart"]'
    slates = ranked([0, 1, 2, 3, 6], [0, 1, 2, 3, 6], [0, 4, 5])
    both = asked(4, ["home", "cart", "cart"])
    assert after(text, both, slates, retrieve=retrieve) == [0, 1, 2, 3, 0, 1, 4, 5, 0, 4, 5]
    assert len(requests) == 1 and requests[0].placement is not None and requests[0].placement.tolist() == ["cart"]
    assert after(text, both, slates) == [0, 1, 2, 3, 0, 1, 2, 3, 0, 4, 5]  # nobody to ask


def test_rules_hold_where_and_when_they_say() -> None:
    text = """
        zone = "Asia/Shanghai"
        [regions]
        cold = ["north"]
        [pin.evening]
        item = "i7"
        position = 1
        placements = ["home", "cart"]
        regions = ["cold"]
        from = 2026-07-01
        until = 2026-07-03
        days = ["wed", "thu"]
        hours = ["22:00-02:00"]
    """
    rules = BusinessRules.of(parse_rules(text), shop())

    def holds(when: datetime, placement: str = "home", place: int = 0) -> bool:
        there = round(when.replace(tzinfo=ZoneInfo("Asia/Shanghai")).timestamp() * 1e6)
        request = replace(asked(placements=[placement]), place_ix=np.array([place], np.int32))
        return int(rules.apply(request, ranked(), there).item_ix[0]) == 7

    wednesday = datetime(2026, 7, 1, 22)
    assert holds(wednesday) and holds(datetime(2026, 7, 2, 1, 59)) and holds(datetime(2026, 7, 3, 1))
    assert not holds(datetime(2026, 7, 2, 2)) and not holds(datetime(2026, 7, 1, 21, 59)) and not holds(datetime(2026, 7, 3, 23))
    assert not holds(datetime(2026, 7, 8, 23)) and not holds(datetime(2026, 6, 30, 23, 59))  # a Wednesday after, a Tuesday before
    assert holds(wednesday, "cart") and not holds(wednesday, "push")
    assert not holds(wednesday, place=1) and not holds(wednesday, place=-1)


def test_a_place_nobody_knows_is_nowhere() -> None:
    text = '[pin.a]\nitem = "i7"\nposition = 1\nplaces = ["atlantis"]'
    assert after(text, asked(place_ix=np.array([0], np.int32)))[0] == 0
    assert after(text.replace("atlantis", "south"), asked(place_ix=np.array([1], np.int32)))[0] == 7


def test_the_last_day_counts_to_its_end_and_an_hour_to_its_minute() -> None:
    text = '[pin.a]\nitem = "i7"\nposition = 1\n'
    at = {day: round(datetime(2026, 7, day, tzinfo=UTC).timestamp() * 1e6) for day in (1, 2)}
    assert after(text + "until = 2026-07-01", now_us=at[2] - 1)[0] == 7 and after(text + "until = 2026-07-01", now_us=at[2])[0] == 0
    exact = text + "until = 2026-07-01T00:00:00Z"
    assert after(exact, now_us=at[1] - 1)[0] == 7 and after(exact, now_us=at[1])[0] == 0


def test_answers_can_say_which_rule_it_was() -> None:
    text = (
        '[pin.summer]\nitem = "i7"\nposition = 1\n[boost.pots]\nfilter = "kind = \'pot\'"\nsteps = 4\n'
        '[bury.dear]\nfilter = "price = 1"\nsteps = 1\n[quota.cups]\nfilter = "kind = \'cup\'"\nat_least = 2'
    )
    rules = BusinessRules.of(parse_rules(text), shop())
    found = rules.apply(asked(), ranked()).top(5)
    said = dict(zip(found.item_ix.tolist(), rules.reasons(found), strict=True))
    assert said[7] == ("pinned by rule summer",) and said[4] == ("raised by rule pots",) and said[0] == ()
    assert [item for item, why in said.items() if why == ("placed by quota cups",)]
    assert rules.reasons(found, "zh")[0] == ("由规则“summer”置顶",)
    assert OWN in found.columns and rules.reasons(ranked()) == [()] * 8


def test_without_rules_nothing_is_touched() -> None:
    slates = ranked()
    rules = BusinessRules.of(parse_rules(""), shop())
    assert rules.apply(asked(), slates) is slates
    late = BusinessRules.of(parse_rules('[pin.a]\nitem = "i7"\nposition = 1\nuntil = 2020-01-01'), shop())
    assert np.array_equal(late.apply(asked(), slates).item_ix, slates.item_ix)


def test_a_batch_is_its_requests_one_by_one() -> None:
    text = (
        '[pin.a]\nitem = "i7"\nposition = 2\nplacements = ["cart"]\n[boost.b]\nfilter = "kind = \'pot\'"\nfactor = 2\n'
        '[quota.c]\nfilter = "kind = \'cup\'"\nat_least = 1\nof = 2\n[bury.d]\nfilter = "price > 5"\nsteps = 2\nplacements = ["home"]'
    )
    rules = BusinessRules.of(parse_rules(text), shop())
    requests = asked(3, ["home", "cart", "push", "cart"])
    slates = ranked([0, 1, 2, 4, 6], [0, 1, 3], [], [5, 6, 7, 2])
    whole = rules.apply(requests, slates)
    alone = [rules.apply(requests.take(np.array([i])), slates.take(np.array([i]))) for i in range(4)]
    assert np.array_equal(whole.item_ix, np.concatenate([a.item_ix for a in alone]))
    assert np.array_equal(whole.columns["rule.pin"][~np.isnan(whole.columns["rule.pin"])], [0.0, 0.0])


def test_what_is_pinned_counts_for_re_rankers() -> None:
    text = '[pin.a]\nitem = "i7"\nposition = 3'
    one_tea = reranker_of({"kind": "safety", "category": "kind", "at_most": {"tea": 1}}).over(Traits.of(shop()))
    assert after(text, rerankers=[one_tea]) == [2, 3, 7, 4, 5]
    varied = reranker_of({"kind": "mmr", "category": "kind", "diversity": 0.5}).over(Traits.of(shop()))
    assert after(text, asked(3), rerankers=[varied]) == [2, 4, 7]
    ready = BusinessRules.of(parse_rules(text), shop()).prepare(asked(), ranked([0, 7, 1], [], [2]).take(np.array([0])))
    assert ready.item_ix.tolist() == [7, 0, 1] and ready.score.tolist() == [1, 1, 0] and ready.columns["item"].tolist() == [7, 0, 1]
    found = led_by(ranked([0, 1], []), [[5], [6, 7]])
    assert found.item_ix.tolist() == [5, 0, 1, 6, 7] and found.score.tolist() == [1, 1, 0, 0, 0]
    assert np.isnan(found.columns["item"][[0, 3, 4]]).all() and led_by(found, [[], []]) is found


def test_items_that_join_have_the_least_score() -> None:
    found = appended(ranked([0, 1], []), [[5], [6, 7]])
    assert found.item_ix.tolist() == [0, 1, 5, 6, 7] and found.score.tolist() == [1, 0, 0, 0, 0]
    assert np.isnan(found.columns["item"][[2, 3, 4]]).all() and appended(found, [[], []]) is found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[pin.a]\nitem = 'x'\nposition = 0", r"'position' in my.toml line 1 \[pin.a\]"),
        ("\n\n[boost.a]\nfilter = 'price < 1'\nfactor = 2\nsteps = 1", r"line 3 \[boost.a\].*either 'factor' or 'steps'"),
        ("[bury.a]\nfilter = 'price < 1'\nfactor = 2.0", r"less than 1, not 2.0"),
        ("[quota.a]\nfilter = 'price < 1'", r"a quota needs 'at_least' or 'at_most'"),
        ("[quota.a]\nfilter = 'price < 1'\nat_least = 3\nat_most = 2", r"at_least = 3 is more than at_most = 2"),
        ("[quota.a]\nfilter = 'price < 1'\nat_least = 3\nof = 2", r"does not fit into the first 2"),
        ("[pin.a]\nitem = 'x'\nposition = 1\nfrom = '2026-01-01'", r"write a date or a time without quotes"),
        ("[pin.a]\nitem = 'x'\nposition = 1\nhours = ['25:00-26:00']", r"line 1.*'25:00-26:00' is no part of a day"),
        ("[pin.a]\nitem = 'x'\nposition = 1\nzone = 'Asia/Shanghia'", r"line 1.*no time zone is named 'Asia/Shanghia'.*Asia/Shanghai"),
        ("[regions]\nnorth = ['n']\n[pin.a]\nitem = 'x'\nposition = 1\nregions = ['nort']", r"region 'nort' that is not there.*'north'"),
        ("[pin.a]\nitem = 'x'\nitm = 'x'\nposition = 1", r"unknown key 'itm' in my.toml line 1.*'item'"),
        ("[pins.a]\nitem = 'x'", r"unknown key 'pins' in my.toml.*'pin'"),
        ("pin = 3", r"'pin' in my.toml is no table of rules"),
        ("[pin", r"my.toml is not TOML"),
    ],
)  # fmt: skip
def test_mistakes_have_a_place_and_a_remedy(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_rules(text, "my.toml")


def test_a_filter_that_makes_no_sense_has_its_line(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text("# ours\n\n[boost.'new ones']\nfilter = \"prise < 3\"\nfactor = 2\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"rules.toml line 3 \[boost.new ones\].*no column 'prise'.*price"):
        BusinessRules.of(read_rules(file), shop())
    with pytest.raises(MissingDataError, match="there is no file"):
        read_rules(tmp_path / "none.toml")
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        read_rules(file)


@given(st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_upper_limits_are_never_broken_and_apart_lower_ones_are_met(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, n = int(rng.integers(0, 12)), int(rng.integers(1, 8))
    group = rng.integers(0, 4, m)  # quotas over distinct items
    limits = []
    for q in range(3):
        of = int(rng.integers(1, n + 1))
        most = int(rng.integers(0, of + 1))
        limits.append(Limit(q, group == q, int(rng.integers(0, most + 1)), most, of))
    front, raised = under_quotas(limits, {}, n, m)
    assert len(set(front.tolist())) == len(front) <= min(n, m)
    for limit in limits:
        held = int(limit.member[front[: limit.of]].sum())
        assert held <= limit.most
    needed = [min(limit.least, int(limit.member.sum())) for limit in limits]
    fits = all(sum(need for need, limit in zip(needed, limits, strict=True) if limit.of <= depth) <= depth for depth in range(1, n + 1))
    if fits and len(front) == min(n, m):
        for limit, need in zip(limits, needed, strict=True):
            assert int(limit.member[front[: limit.of]].sum()) >= need
    assert set(raised) <= set(front.tolist())
    free, none = under_quotas([], {}, n, m)
    assert free.tolist() == list(range(min(n, m))) and none == {}
