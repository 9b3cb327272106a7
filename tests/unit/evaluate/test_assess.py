"""Is it worth it here? Verdicts on worlds whose answer is known, what adds how much, cost, and bad input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from zhiyin.base.errors import ConfigError, DataError
from zhiyin.base.units import US_PER_DAY, US_PER_HOUR
from zhiyin.data.catalog import Catalog
from zhiyin.data.cut import Split
from zhiyin.data.dataset import Dataset
from zhiyin.data.events import Events
from zhiyin.data.run import Run
from zhiyin.data.schema import Manifest, Repeat
from zhiyin.data.split import default_split
from zhiyin.data.truth import ndcg_at
from zhiyin.data.vocab import Vocabulary
from zhiyin.evaluate.assess.context import ContextGain, context_gains
from zhiyin.evaluate.assess.cost import STEPS, cost_of
from zhiyin.evaluate.assess.measure import METRIC, NEW, OURS, Assessment, Gain, assess, verdict_of
from zhiyin.evaluate.assess.quick import only_new, quick_models, quick_parts
from zhiyin.evaluate.assess.without import additions, shuffled
from zhiyin.evaluate.bootstrap import Difference, Estimate
from zhiyin.testing.small import small_world


def allowed(data: Dataset, policy: str = "allow") -> Dataset:
    return replace(data, manifest=data.manifest.model_copy(update={"repeat": Repeat(policy=policy)}))


def world(seed: int, n_users: int = 150, n_items: int = 40, context: bool = False) -> Dataset:
    """Events at random. With ``context`` half of them are decided by the weather, and the moon has no say."""
    rng = np.random.default_rng(seed)
    n = n_users * 20
    user, item = rng.integers(0, n_users, n), rng.integers(0, n_items, n)
    weather, moon = rng.integers(0, 4, n), rng.integers(0, 4, n)
    if context:
        item = np.where(rng.random(n) < 0.5, weather * 10 + rng.integers(0, 3, n), item)
    time = np.sort(rng.integers(0, 200 * 24, n)) * US_PER_HOUR + 20_000 * US_PER_DAY
    said = pl.DataFrame({"weather": [f"w{w}" for w in weather], "moon": moon}) if context else pl.DataFrame()
    manifest = Manifest.parse({"name": "random", "events": {"time": "time"}})
    ids = [f"i{i}" for i in range(n_items)]
    catalog = Catalog(Vocabulary(ids), pl.DataFrame({"item_id": ids}))
    return Dataset(manifest, Vocabulary([f"u{u}" for u in range(n_users)]), catalog, Events.of(user, item, time, context=said))


@pytest.fixture(scope="module")
def taste() -> Dataset:
    return small_world(n_users=150, n_events=4000)


@pytest.fixture(scope="module")
def found(taste: Dataset) -> Assessment:
    return assess(taste)


@pytest.mark.parametrize(("seed", "policy"), [(0, "never"), (1, "never"), (2, "allow"), (3, "allow")])
def test_random_events_are_not_worth_it(seed: int, policy: str) -> None:
    found = assess(allowed(world(seed), policy))
    assert found.verdict.answer == "not worth it here"
    assert found.verdict.sentence.startswith("Not worth it here: the gain over 'popular")
    assert "will do." in found.verdict.sentence and found.verdict.sentence in " ".join(found.to_text().split())
    assert [a.why for a in found.additions if a.what == "text"] == ["the items have no text columns"]


def test_chains_and_tastes_are(found: Assessment) -> None:
    assert found.verdict.answer == "worth it" and not found.verdict.reasons
    assert "of 100 people" in found.verdict.sentence and "'popular" in found.verdict.sentence
    whole = found.gains[0]
    assert whole.difference.low > 0 and whole.slice == "" and whole.n == found.n
    assert whole.difference.value == pytest.approx(whole.ours.value - whole.of_rule.value)
    assert whole.relative == pytest.approx(whole.difference.value / whole.of_rule.value)
    assert {g.slice for g in found.gains} == {"", "activity"}  # never: nothing to buy again; no cold items


def test_what_a_gain_is_worth_is_up_to_the_asker(taste: Dataset, found: Assessment) -> None:
    assert verdict_of(found.gains, 9.0, found.hits).answer == "not worth it here"
    assert "is real but below the 900% that make it worth the trouble" in verdict_of(found.gains, 9.0, found.hits).sentence


def gain(rule: str, of_rule: float, value: float, half: float, slice_: str = "") -> Gain:
    estimate = Estimate(of_rule, of_rule, of_rule, 100)
    ours = Estimate(of_rule + value, 0.0, 1.0, 100)
    return Gain(rule, slice_, "some", 100, estimate, ours, Difference(value, value - half, value + half, 100, 0.0, 0.0))


@pytest.mark.parametrize(
    ("gains", "answer", "words"),
    [
        ([gain("popular", 0.1, 0.05, 0.01)], "worth it", "with 'popular', the best simple rule; the gain is +50.0% [+40.0%, +60.0%]"),
        ([gain("popular", 0.1, 0.05, 0.06)], "not worth it here", "cannot be told from zero on 100 requests"),
        ([gain("popular", 0.1, -0.05, 0.01)], "not worth it here", "is not above zero. The simple rule 'popular' will do."),
        ([gain("popular", 0.1, 0.004, 0.001)], "not worth it here", "is real but below the 5%"),
        ([gain("popular", 0.0, 0.2, 0.1)], "worth it", "the gain is +0.2000 ndcg@10"),
        (
            [gain("popular", 0.1, 0.05, 0.01), gain("again", 0.3, 0.001, 0.002), gain("popular", 0.04, 0.02, 0.01, NEW)],
            "worth it for new things",
            "there the ranking gains +50.0% [+25.0%, +75.0%] ndcg@10 over 'popular'. For everything together the gain over 'again'",
        ),
        (
            [gain("popular", 0.1, 0.05, 0.01), gain("again", 0.3, 0.001, 0.002), gain("popular", 0.04, 0.02, 0.03, NEW)],
            "not worth it here",
            "The simple rule 'again' will do.",
        ),
    ],
)
def test_verdicts(gains: list[Gain], answer: str, words: str) -> None:
    hits = {name: Estimate(0.5, 0.4, 0.6, 100) for name in (OURS, "popular", "again")}
    verdict = verdict_of(gains, 0.05, hits)
    assert verdict.answer == answer and words in verdict.sentence


def added(found: Assessment) -> Mapping[str, Difference | None]:
    return {f"{a.what} {a.where}".strip(): a.difference for a in found.additions}


def test_order_matters_where_items_follow_each_other(found: Assessment) -> None:
    order = added(found)["order and recency all requests"]
    assert order is not None and order.low > 0
    position = assess(small_world("position", n_users=150, n_events=4000))
    assert added(position)["order and recency all requests"].low > 0  # type: ignore[union-attr]
    assert not {"hour of day all requests", "day of the week all requests"} & set(added(position))


def test_untimed_data_says_so() -> None:
    found = assess(small_world("none", n_users=100, n_events=2500))
    assert added(found)["order and recency"] is None
    assert "the data have no order" in found.to_text() and "sequence model" not in found.cost.how


def test_shuffling_moves_events_but_neither_people_nor_times(taste: Dataset) -> None:
    mixed = shuffled(taste, np.random.default_rng(0))
    old, new = taste.events, mixed.events
    assert np.array_equal(old.time_us, new.time_us) and np.array_equal(old.user_ix, new.user_ix)
    assert not np.array_equal(old.item_ix, new.item_ix)
    for events in (old, new):
        assert len(events.item_ix) == len(old)
    pairs = [np.sort(e.user_ix.astype(np.int64) * 1000 + e.item_ix * 10 + (e.weight > 0)) for e in (old, new)]
    assert np.array_equal(*pairs)


def test_context_helps_exactly_where_it_decides() -> None:
    data = world(5, n_users=300, context=True)
    split = default_split(data)
    quick = quick_models(split, Run())
    found = {a.what: a for a in additions(quick, Run())}
    assert found["weather"].difference is not None and found["weather"].difference.low > 0
    assert found["weather"].without == pytest.approx(
        float(np.nanmean(ndcg_at(quick.blend.retrieve(split.test.requests, 10), split.test.truth)))
    )
    moon = found["moon"].difference
    assert moon is not None and moon.low <= 0


def test_buying_again_comes_first_then_what_is_popular() -> None:
    data = allowed(small_world(n_users=60, n_events=1500))
    quick = quick_models(default_split(data), Run())
    requests = quick.split.test.requests
    assert list(quick.rules)[1] == "buy again, then popular"
    slates = quick.rules["buy again, then popular"].retrieve(requests, 20)
    again = next(p for p in quick.parts if p.spec.kind == "buy-again").retrieve(requests, 20)
    for i in range(len(requests)):
        own = again.items.values[again.offsets[i] : again.offsets[i + 1]]
        given = slates.items.values[slates.offsets[i] : slates.offsets[i + 1]]
        assert np.array_equal(given[: len(own)], own) and len(given) == 20


def test_new_things_are_things_not_had_before() -> None:
    data = allowed(small_world(n_users=60, n_events=1500))
    test = default_split(data).test
    fresh = only_new(test, data.n_items)
    assert 0 < len(fresh) <= len(test)
    for i in range(len(fresh)):
        had = set(fresh.requests.history.take(np.array([i])).item_ix.tolist())
        wanted = fresh.truth.items.take(np.array([i])).values.tolist()
        assert wanted and not had & set(wanted)
        assert set(fresh.requests.exclude.take(np.array([i])).values.tolist()) == had  # type: ignore[union-attr]
    found = assess(data)
    assert [g.slice for g in found.gains].count(NEW) == 1
    assert next(a for a in found.additions if a.what == "seen items again").why.endswith("of what people chose, they had had before")


def test_the_cost_is_counted_from_steps_that_were_made(taste: Dataset) -> None:
    threads = torch.get_num_threads()
    quick = quick_models(default_split(taste), Run())
    cost = cost_of(quick, Run())
    assert torch.get_num_threads() == threads
    assert cost.cpu_minutes > 0 and cost.peak_gb > 0.1
    assert f"of which {STEPS} were made here" in cost.how
    assert [p["kind"] for p in quick_parts(taste)].count("text-ease") == 1
    once = taste.take(np.sort(np.unique(taste.events.user_ix, return_index=True)[1]))
    lonely = replace(quick, split=replace(quick.split, train=once))
    assert "nobody has two events one after the other" in cost_of(lonely, Run()).how


def test_page_and_json(found: Assessment) -> None:
    page = found.to_page().html()
    assert found.verdict.sentence.replace("'", "&#39;") in page and page.count("<svg") == 2
    assert not [word for word in ("http://", "https://") if word in page.replace("http://www.w3.org", "")]
    told = found.to_dict()
    assert told["metric"] == METRIC and told["verdict"]["answer"] == "worth it"
    assert told["gains"][0]["relative_interval"][0] > 0
    assert "only an experiment with real people says what they would buy" in found.to_text()


def test_equal_seeds_give_equal_figures(taste: Dataset, found: Assessment) -> None:
    again = assess(taste)
    assert again.gains == found.gains and repr(again.additions) == repr(found.additions)  # NaN where nothing was asked


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda d: d.take(slice(0, 0)), DataError, "data set 'small-time' has no events to learn from"),
        (lambda d: d.take(slice(0, 8)), DataError, "8 events are too few to cut by time"),
    ],
)
def test_too_little_data(taste: Dataset, change: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        assess(change(taste))  # type: ignore[operator]


def test_nobody_to_ask_and_no_threshold(taste: Dataset) -> None:
    def empty(data: Dataset) -> Split:
        cut = default_split(data)
        return replace(cut, test=cut.test.take(np.zeros(0, np.int64)))

    with pytest.raises(DataError, match=r"nobody in the test period of 'small-time' chose anything new \(E200\)\. Say --repeat allow"):
        assess(taste, split=empty)
    with pytest.raises(ConfigError, match=r"-1 is no threshold for a gain \(E300\)"):
        assess(taste, worth=-1)


def test_context_and_people_with_gaps_are_read_like_those_without() -> None:
    data = world(1, context=True)
    n = len(data.events)
    rainy = data.events.context["weather"].is_in(["w0", "w1"])
    gap = pl.Series(np.arange(n) % 50 == 0)
    said = pl.DataFrame({"weather": data.events.context["weather"].set(gap, None), "rainy": rainy.set(gap, None)})
    numbered = data.events.context["weather"].str.slice(1).cast(pl.Int64).set(gap, None)
    people = pl.DataFrame({"town": [None if u % 3 == 0 else f"t{u % 3}" for u in range(data.n_users)]})
    events = replace(data.events, context=said.with_columns(number=numbered))
    data = replace(data, events=events, users_table=people)
    gains = {g.column: g for g in gains_of(data)}
    assert {"weather", "rainy", "number", "person: town"} <= set(gains)
    assert gains["weather"].strength > 0
    np.testing.assert_array_equal(gains["number"].values, gains["weather"].values)


def gains_of(data: Dataset) -> list[ContextGain]:
    quick = quick_models(default_split(data), Run())
    return list(context_gains(quick.blend, quick.split, Run()))
