"""Metric names, the full-ranking protocol, refusals, slices and comparisons on a small known world."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from zhiyin.base.arrays import Float32, Ragged
from zhiyin.base.errors import ConfigError, DataError, MissingDataError, UnknownNameError, ZhiyinError
from zhiyin.data.catalog import Catalog, Vectors
from zhiyin.data.dataset import Dataset
from zhiyin.data.events import Events
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.schema import EventsTable, ItemsTable, Manifest
from zhiyin.data.slates import Slates
from zhiyin.data.truth import Holdout, Truth, ndcg_at
from zhiyin.data.vocab import Vocabulary
from zhiyin.evaluate.bootstrap import difference, holm
from zhiyin.evaluate.compare import Comparison, compare
from zhiyin.evaluate.facts import ItemFacts
from zhiyin.evaluate.metrics import ACCURACY, BEYOND, TOTALS, metric, metrics_of
from zhiyin.evaluate.metrics.totals import coverage, gini
from zhiyin.evaluate.protocol import METRICS, evaluate
from zhiyin.evaluate.slices import slice_by
from zhiyin.evaluate.validate import refuse_broken
from zhiyin.models.retrieve.dense import DenseRetriever

N_USERS, N_ITEMS = 300, 24


@dataclass(frozen=True)
class Scored(DenseRetriever):
    """A table of scores per user as a model."""

    catalog: Catalog
    table: Float32  # (N_USERS, n_items)

    def scores(self, requests: Requests) -> Float32:
        return self.table[requests.user_ix].copy()


@dataclass(frozen=True)
class World:
    train: Dataset
    holdout: Holdout
    models: dict[str, Scored]


@pytest.fixture(scope="module")
def world() -> World:
    """300 people, one answer each; "good" sees it through noise, "copy" equals good, "noise" guesses."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(N_ITEMS, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    table = pl.DataFrame({"genre": [["a", "b"], ["b"], ["c"], []] * 6, "price": np.arange(N_ITEMS) * 1.5})
    catalog = Catalog(Vocabulary([f"i{j}" for j in range(N_ITEMS)]), table).with_vectors("text", Vectors(vectors, "test"))
    manifest = Manifest(name="little", events=EventsTable(time="t"), items=ItemsTable(columns={"price": "price", "genre": "list"}))
    # Items from 20 on have no training event.
    events = Events.of(rng.integers(0, N_USERS, 900), (20 * rng.random(900) ** 2).astype(int), np.arange(900))
    people = pl.DataFrame({"gender": ["f", "m", None] * (N_USERS // 3), "age": rng.integers(18, 80, N_USERS)})
    train = Dataset(manifest, Vocabulary([f"u{j}" for j in range(N_USERS)]), catalog, events, users_table=people)
    users = np.arange(N_USERS)
    history = train.history(users)
    answers = rng.integers(0, N_ITEMS, N_USERS)
    device = np.where(users % 2 == 0, "phone", "desk")
    requests = Requests.of(history, users, 1000, context={"device": device, "temperature": rng.random(N_USERS)})
    noise = rng.random((2, N_USERS, N_ITEMS)).astype(np.float32)
    noise[0, users, answers] += 0.6
    good = Scored(catalog, noise[0])
    models = {"noise": Scored(catalog, noise[1]), "good": good, "copy": good}
    return World(train, Holdout(requests, Truth(Ragged.of([[a] for a in answers]))), models)


def test_names_are_parsed() -> None:
    assert str(metric("NDCG@20 ")) == "ndcg@20"
    assert str(metric("hr", 5)) == "hr@5"
    assert metric("recall-capped@3").k == 3 and metric(metric("map@2")) == metric("map@2")
    assert [str(m) for m in metrics_of(["hr", "hr@10", "mrr@4"])] == ["hr@10", "mrr@4"]
    assert metric("gini").less_is_better and not metric("ndcg").less_is_better


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ngcd@10", "no metric is named 'ngcd@10' (E310). Did you mean 'ndcg'?"),
        ("recal", "Did you mean 'recall'?"),
        ("hr@0", "metric 'hr@0' must end in @ and a whole number above 0 (E300). Write 'hr@10'."),
        ("hr@", "must end in @ and a whole number"),
        ("hr@ten", "must end in @ and a whole number"),
    ],
)
def test_wrong_names_get_the_nearest(name: str, words: str) -> None:
    with pytest.raises(ZhiyinError) as caught:
        metric(name)
    assert words in str(caught.value)


def test_no_metric_and_no_length_are_refused() -> None:
    with pytest.raises(ConfigError, match="no metric was asked for"):
        metrics_of([])
    with pytest.raises(ConfigError, match="k = 0 is not a list length"):
        metric("hr", 0)
    with pytest.raises(ConfigError, match="one number for all lists together"):
        metric("gini")(Slates.concatenated([]), Truth(Ragged.empty(0)))


def test_totals_by_hand() -> None:
    exposure = np.array([0, 0, 3, 1])
    assert coverage(exposure, None) == 0.5
    # Mean absolute difference over twice the mean: pairs differ by 0,3,1,3,1,2 -> 20/16 / 2.
    assert gini(exposure, None) == pytest.approx(np.abs(np.subtract.outer(exposure, exposure)).sum() / (2 * 4 * 4 * 1))
    assert gini(np.full(5, 2), None) == pytest.approx(0)
    only = np.array([False, True, True, True])
    assert coverage(exposure, only) == pytest.approx(2 / 3)
    assert np.isnan(gini(np.zeros(3, np.int64), None))


def test_evaluate_equals_measuring_all_lists_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = ItemFacts.of(world.train, category="genre")
    every = [*ACCURACY, *BEYOND, *TOTALS]
    whole = evaluate(world.models["good"], world.holdout, every, 5, facts=facts)
    monkeypatch.setattr("zhiyin.evaluate.protocol.CELLS", 35)  # batches of 7 requests
    seen: list[tuple[int, int]] = []
    parts = evaluate(world.models["good"], world.holdout, every, 5, facts=facts, progress=lambda done, of: seen.append((done, of)))
    assert seen[0] == (7, 300) and seen[-1] == (300, 300)
    slates = world.models["good"].retrieve(world.holdout.requests, 5)
    for name in whole.values:
        np.testing.assert_allclose(whole[name], parts[name], atol=1e-6)
        np.testing.assert_allclose(whole[name], metric(name)(slates, world.holdout.truth, world.holdout.requests, facts), atol=1e-6)
    assert whole.totals == parts.totals == {"coverage@5": 1.0, "gini@5": pytest.approx(whole.totals["gini@5"])}
    np.testing.assert_array_equal(whole["ndcg@5"], ndcg_at(slates, world.holdout.truth, 5))
    assert set(whole.names) == {f"{name}@5" for name in every}


def test_the_default_leaves_out_what_cannot_be_known(world: World) -> None:
    model = world.models["good"]
    everything = evaluate(model, world.holdout, facts=ItemFacts.of(world.train))
    assert set(everything.names) == {f"{name}@10" for name in METRICS}
    plain = evaluate(model, world.holdout)
    assert "diversity@10" not in plain.names and "coverage@10" in plain.names and "ndcg@10" in plain.names
    with pytest.raises(ConfigError, match=r"metric 'novelty@10' needs what is not known of the items .* facts=ItemFacts.of\(train\)"):
        evaluate(model, world.holdout, ["novelty"])
    bare = replace(world.train, catalog=Catalog(world.train.catalog.items, pl.DataFrame({"x": range(N_ITEMS)})))
    with pytest.raises(ConfigError, match=r"metric 'diversity@10' needs .* items with text vectors or a category column"):
        evaluate(model, world.holdout, ["diversity"], facts=ItemFacts.of(bare))


def test_each_metric_keeps_its_own_k(world: World) -> None:
    scores = evaluate(world.models["good"], world.holdout, ["hr@1", "hr@24", "coverage@1"])
    assert scores.mean("hr@24") == 1.0 and 0 < scores.mean("hr@1") < 1
    assert scores.estimates["coverage@1"].value == scores.totals["coverage@1"]
    assert np.isnan(scores.estimates["coverage@1"].low)
    with pytest.raises(UnknownNameError, match="'hr@2' was not measured per request"):
        scores["hr@2"]
    assert scores.take(np.arange(4)).n == 4 and scores.take(np.arange(N_USERS) < 7).n == 7


def test_evaluate_refuses_what_would_mislead(world: World) -> None:
    with pytest.raises(DataError, match="the hold-out has no requests"):
        evaluate(world.models["good"], world.holdout.take(np.arange(0)))
    grown = world.train.catalog.with_rows(["new"], pl.DataFrame({"price": [1.0]}))
    wider = Scored(grown, np.zeros((N_USERS, N_ITEMS + 1), np.float32))
    with pytest.raises(ConfigError, match=r"facts are about 24 items, it knows 25 .* ItemFacts.of\(train, model.catalog\)"):
        evaluate(wider, world.holdout, ["novelty"], facts=ItemFacts.of(world.train), name="it")
    scores = evaluate(wider, world.holdout, ["novelty"], facts=ItemFacts.of(world.train, grown))
    assert np.isfinite(scores.mean("novelty@10"))


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([[0, 1]], "m gave 1 lists for 2 requests"),
        ([[0, 1], [2, 2]], "m gave item 2 twice in list 1"),
        ([[0, 1], [3, 99]], "m gave an item outside the catalogue of 9"),
        ([[0, 5], [3]], "m gave item 5 in list 0, which the request excludes (E200). The model breaks the retriever's contract"),
    ],
)
def test_broken_lists_are_refused(items: list[list[int]], words: str) -> None:
    flat = Ragged.of(items)
    slates = Slates(flat.offsets, flat.values, np.zeros(len(flat.values), np.float32))
    requests = Requests.of(Histories.empty(2), exclude=Ragged.of([[5], [1]]))
    with pytest.raises(DataError) as caught:
        refuse_broken(slates, requests, 9, "m")
    assert words in str(caught.value)
    refuse_broken(Slates(np.array([0, 1, 2]), np.array([1, 5], np.int32), np.zeros(2, np.float32)), requests, 9)


def test_categories_split_an_item_evenly(world: World) -> None:
    facts = ItemFacts.of(world.train)
    assert facts.category_names == ("a", "b", "c") and facts.categories is not None
    assert facts.categories[:4].toarray().tolist() == [[0.5, 0.5, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]
    with pytest.raises(MissingDataError, match="the items have no column 'gener'"):
        ItemFacts.of(world.train, category="gener")


def test_slices(world: World) -> None:
    holdout, train = world.holdout, world.train
    cold = slice_by("items", holdout, train)
    unseen = train.item_counts[holdout.truth.items.values] == 0
    np.testing.assert_array_equal(cold.group, np.where(unseen, 2, 0))
    activity = slice_by("activity", holdout, train)
    assert activity.labels == ("0 events", "1-5 events", "6-20 events", "21-100 events", "101+ events")
    for label, low, high in ((0, 0, 0), (1, 1, 5), (2, 6, 20)):
        lengths = holdout.requests.history.lengths[activity.rows(label)]
        assert ((lengths >= low) & (lengths <= high)).all() and len(lengths)
    device = slice_by("context.device", holdout, train)
    assert device.labels == ("desk", "phone") and len(device.rows(0)) == N_USERS // 2
    gender = slice_by("users.gender", holdout, train)
    assert gender.labels == ("f", "m") and (gender.group == -1).sum() == N_USERS // 3
    age = slice_by("users.age", holdout, train)
    assert len(age.labels) == 4 and all(50 < len(age.rows(i)) < 100 for i in range(4))
    genre = slice_by("items.genre", holdout, train)
    assert set(genre.labels) == {"a", "b", "c"} and (genre.group == -1).sum() == (holdout.truth.items.values % 4 == 3).sum()
    mixed = Holdout(holdout.requests.take(np.arange(1)), Truth(Ragged.of([[0, 23]])))
    assert slice_by("items", mixed, train).labels[slice_by("items", mixed, train).group[0]] == "some answers cold"


def test_rare_values_go_together(world: World) -> None:
    words = np.array([f"v{min(i // 10, 11):02d}" for i in range(N_USERS)])
    holdout = Holdout(replace(world.holdout.requests, context={"word": words}), world.holdout.truth)
    found = slice_by("context.word", holdout, world.train)
    assert found.labels == ("v11", *(f"v{i:02d}" for i in range(7)), "other")
    assert [len(found.rows(i)) for i in (0, 1, 8)] == [190, 10, 40]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("itmes", "no slice is named 'itmes' (E310). Known: items, activity, context.COLUMN, users.COLUMN, items.COLUMN."),
        ("context.devise", "the requests have no context column 'devise' (E210). Did you mean 'device'?"),
        ("users.gendr", "the users table has no column 'gendr' (E210). Did you mean 'gender'?"),
        ("items.color", "the items have no column 'color'"),
    ],
)
def test_wrong_slices(world: World, name: str, words: str) -> None:
    with pytest.raises(ZhiyinError) as caught:
        slice_by(name, world.holdout, world.train)
    assert words in str(caught.value)


@pytest.fixture(scope="module")
def compared(world: World) -> Comparison:
    seen = {"noise": 0.0, "good": 12.5}
    return compare(
        world.models, world.holdout, world.train, k=5, slices=("items", "context.device"), note="toy split", train_cpu_s=seen
    )  # fmt: skip


def test_the_best_comes_first_and_differences_are_paired(world: World, compared: Comparison) -> None:
    assert compared.models[-1] == "noise" and compared.against == compared.models[0] in ("good", "copy")
    assert compared.primary == "ndcg@5" and compared.n == N_USERS
    copy = next(name for name in ("good", "copy") if name != compared.against)
    assert compared.differences[copy]["ndcg@5"].p_holm == 1.0 and compared.differences[copy]["ndcg@5"].low == 0
    lost = compared.differences["noise"]["ndcg@5"]
    alone = difference(compared.scores["noise"]["ndcg@5"], compared.scores[compared.against]["ndcg@5"])
    assert (lost.value, lost.low, lost.high, lost.p) == pytest.approx((alone.value, alone.low, alone.high, alone.p))
    family = [d["ndcg@5"] for d in compared.differences.values()]
    assert [d.p_holm for d in family] == pytest.approx(list(holm([d.p for d in family])))
    assert lost.significant and lost.high < 0
    assert "coverage@5" not in compared.differences["noise"]


def test_slices_measure_their_part_alone(world: World, compared: Comparison) -> None:
    rows = {(r.slice, r.label): r for r in compared.slices}
    assert set(rows) == {
        ("items", "all answers warm"),
        ("items", "all answers cold"),
        ("context.device", "desk"),
        ("context.device", "phone"),
    }
    desk = rows["context.device", "desk"]
    assert desk.n == N_USERS // 2
    assert desk.estimates["good"]["hr@5"].value == pytest.approx(compared.scores["good"]["hr@5"][1::2].mean())


def test_a_named_baseline_and_one_model_alone(world: World) -> None:
    found = compare(world.models, world.holdout, world.train, metrics=["hr@3"], baseline="noise", slices=())
    assert found.against == "noise" and set(found.differences) == {"good", "copy"} and not found.slices
    assert found.differences["good"]["hr@3"].low > 0
    alone = compare({"good": world.models["good"]}, world.holdout, world.train, metrics=["gini", "hr"], slices=())
    assert alone.differences == {} and alone.primary == "gini@10"
    assert compare(world.models, world.holdout, world.train, metrics=["gini", "hr"]).to_page().html().count("hr@10 by") >= 2
    assert "good" in alone.to_text() and "Difference" not in alone.to_text()
    best = compare(world.models, world.holdout, world.train, metrics=["calibration-js"], slices=())
    values = [best.estimates[m]["calibration-js@10"].value for m in best.models]
    assert values == sorted(values), "less is better"


def test_what_cannot_be_compared(world: World) -> None:
    with pytest.raises(ConfigError, match="there is no model to compare"):
        compare({}, world.holdout, world.train)
    with pytest.raises(UnknownNameError, match=r"the baseline 'god' is not among the models .* Did you mean 'good'\?"):
        compare(world.models, world.holdout, world.train, baseline="god")


def test_the_text_says_what_was_done(compared: Comparison) -> None:
    text = compared.to_text(width=100)
    assert text.startswith("little: toy split; full ranking; n = 300; mean [95% interval]")
    assert max(map(len, text.splitlines())) <= 100
    best = compared.estimates["good"]["ndcg@5"]
    assert f"{best.value:.4f}" in text and f"[{best.low:.4f}, {best.high:.4f}]" in text
    assert f"Difference to {compared.against} on the same requests; p by Holm over 2 models" in text
    assert "* p <.001" in text and "all answers cold (n = " in text and "12.5" in text
    assert str(compared) == compared.to_text()


def test_json_has_plain_numbers(compared: Comparison) -> None:
    found = json.loads(compared.to_json())
    assert found["note"] == "toy split" and found["n"] == N_USERS
    first = found["models"][0]
    assert first["metrics"]["coverage@5"]["low"] is None and first["metrics"]["ndcg@5"]["low"] is not None
    assert {s["label"] for s in found["slices"]} >= {"desk", "phone"}
    by_name = {m["model"]: m for m in found["models"]}
    assert by_name["good"]["train_cpu_s"] == 12.5 and by_name["copy"]["train_cpu_s"] is None
    assert by_name["noise"]["difference"]["ndcg@5"]["p_holm"] < 0.05


def test_the_page_stands_alone(compared: Comparison, tmp_path: Path) -> None:
    path = compared.to_page().save(tmp_path / "compare.html")
    page = path.read_text(encoding="utf-8")
    assert page.count("<svg") == 5  # the metric, two slices, against time, against coverage
    assert "toy split" in page and "against training time" in page and "https://" not in page.replace("http://www.w3.org", "")
    notebook = compared._repr_html_()
    assert notebook.count("<tr>") == 4 and "ndcg@5" in notebook


def test_names_are_escaped(world: World) -> None:
    found = compare({"<b>x": world.models["good"]}, world.holdout, world.train, metrics=["hr"], slices=())
    assert "<b>x" not in found._repr_html_() and "<b>x" not in found.to_page().html()
    assert "[b]" in compare({"[b]": world.models["good"]}, world.holdout, world.train, metrics=["hr"], slices=()).to_text()
