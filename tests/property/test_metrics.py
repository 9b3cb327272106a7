"""Metrics against ir-measures (trec_eval) and against loops that say the definition out loud."""

from __future__ import annotations

from itertools import combinations

import ir_measures
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.base.arrays import Ragged, offsets_of
from zhiyin.base.errors import DataError
from zhiyin.data.catalog import Catalog, Vectors
from zhiyin.data.dataset import Dataset
from zhiyin.data.events import Events
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.schema import EventsTable, Manifest
from zhiyin.data.slates import Slates
from zhiyin.data.truth import Truth, hits_of, ndcg_at
from zhiyin.data.vocab import Vocabulary
from zhiyin.evaluate.facts import ItemFacts
from zhiyin.evaluate.metrics import Judged, measure, metric

N_ITEMS = 40


def random_case(rng: np.random.Generator, n: int, *, graded: bool) -> tuple[Slates, Truth]:
    """n lists of 0 to 30 distinct items, untied scores, 0 to 12 answers, some of gain 0."""
    lists = [rng.permutation(N_ITEMS)[: rng.integers(0, 31)] for _ in range(n)]
    answers = [rng.permutation(N_ITEMS)[: rng.integers(0, 13)] for _ in range(n)]
    lengths = np.array([len(row) for row in lists])
    score = np.concatenate([np.sort(rng.random(m))[::-1] for m in lengths]).astype(np.float32)
    slates = Slates(offsets_of(lengths), np.concatenate(lists).astype(np.int32), score)
    items = Ragged.of(answers)
    gain = rng.integers(0, 4, len(items.values)).astype(np.float32) if graded else None
    return slates, Truth(items, gain)


def reference(slates: Slates, truth: Truth, names: dict[str, str]) -> dict[str, dict[int, float]]:
    """What ir-measures says, by our name and request; requests it has no list for are absent."""
    gain = np.ones(len(truth.items.values)) if truth.gain is None else truth.gain
    qrels = [ir_measures.Qrel(str(r), str(i), int(g)) for r, i, g in zip(truth.items.rows, truth.items.values, gain, strict=True)]
    # Places instead of scores: float32 scores could tie in trec_eval's own rounding.
    rank = np.arange(len(slates.item_ix)) - np.repeat(slates.offsets[:-1], slates.lengths)
    run = [ir_measures.ScoredDoc(str(r), str(i), float(-p)) for r, i, p in zip(slates.items.rows, slates.item_ix, rank, strict=True)]
    parsed = {ir_measures.parse_measure(theirs): ours for ours, theirs in names.items()}
    out: dict[str, dict[int, float]] = {ours: {} for ours in names}
    for found in ir_measures.iter_calc(list(parsed), qrels, run):
        out[parsed[found.measure]][int(found.query_id)] = found.value
    return out


@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("k", [1, 3, 10, 20])
def test_equal_to_ir_measures(k: int, graded: bool) -> None:
    slates, truth = random_case(np.random.default_rng(k + 100 * graded), 700, graded=graded)
    names = {"ndcg": "nDCG", "precision": "P", "recall": "R", "map": "AP", "mrr": "RR", "hr": "Success"}
    theirs = reference(slates, truth, {f"{ours}@{k}": f"{name}@{k}" for ours, name in names.items()})
    ours = measure(slates, truth, theirs)
    relevant = np.bincount(truth.items.rows, weights=None if truth.gain is None else truth.gain > 0, minlength=len(truth)) > 0
    for name, values in ours.items():
        assert np.array_equal(np.isnan(values), ~relevant), name
        checked = [(row, value) for row, value in theirs[name].items() if relevant[row]]
        assert len(checked) > 500, name
        for row, value in checked:
            assert values[row] == pytest.approx(value, abs=1e-9), (name, row)
        empty = relevant & (slates.lengths == 0)
        assert (values[empty] == 0).all(), name


def test_capped_and_f1_follow_their_formula() -> None:
    slates, truth = random_case(np.random.default_rng(5), 500, graded=False)
    found = measure(slates, truth, ["recall@4", "recall-capped@4", "precision@4", "f1@4", "map@4", "map-capped@4"])
    n = truth.items.lengths
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = n / np.minimum(n, 4)
        p, r = found["precision@4"], found["recall@4"]
        f1 = np.where(p + r > 0, 2 * p * r / (p + r), np.where(n > 0, 0.0, np.nan))
    np.testing.assert_allclose(found["recall-capped@4"], r * ratio, atol=1e-12)
    np.testing.assert_allclose(found["map-capped@4"], found["map@4"] * ratio, atol=1e-12)
    np.testing.assert_allclose(found["f1@4"], f1, atol=1e-12)


def test_ndcg_is_the_one_models_stop_on() -> None:
    slates, truth = random_case(np.random.default_rng(6), 200, graded=True)
    np.testing.assert_array_equal(metric("ndcg@7")(slates, truth), ndcg_at(slates, truth, 7))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12))
def test_rank_metrics_stay_in_bounds_and_grow_with_k(seed: int, k: int) -> None:
    slates, truth = random_case(np.random.default_rng(seed), 25, graded=False)
    names = ["hr", "recall", "mrr", "map"]
    small, large = measure(slates, truth, names, k), measure(slates, truth, names, k + 3)
    for name in names:
        a, b = small[f"{name}@{k}"], large[f"{name}@{k + 3}"]
        real = ~np.isnan(a)
        assert (a[real] >= 0).all() and (b[real] <= 1).all() and (a[real] <= b[real] + 1e-12).all()


def world(rng: np.random.Generator, n: int) -> tuple[Slates, Truth, Requests, ItemFacts]:
    slates, truth = random_case(rng, n, graded=False)
    n_events = 200
    vectors = rng.normal(size=(N_ITEMS, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[rng.random(N_ITEMS) < 0.2] = 0
    tags = [[f"c{j}" for j in range(5) if rng.random() < 0.4] for _ in range(N_ITEMS)]
    catalog = Catalog(Vocabulary([f"i{j}" for j in range(N_ITEMS)]), pl.DataFrame({"tags": tags}, schema={"tags": pl.List(pl.String)}))
    catalog = catalog.with_vectors("text", Vectors(vectors, "test"))
    # Squared draws: few items get most events, some none.
    item = (rng.random(n_events) ** 2 * N_ITEMS).astype(int)
    events = Events.of(rng.integers(0, 20, n_events), item, np.arange(n_events))
    manifest = Manifest(name="test", events=EventsTable(time="t"))
    train = Dataset(manifest, Vocabulary([f"u{j}" for j in range(20)]), catalog, events)
    history = Histories.of_items(Ragged.of([rng.permutation(N_ITEMS)[: rng.integers(0, 8)] for _ in range(n)]))
    return slates, truth, Requests.of(history), ItemFacts.of(train, category="tags")


def shares(facts: ItemFacts, items: np.ndarray) -> np.ndarray | None:
    assert facts.categories is not None
    total = np.asarray(facts.categories.todense())[items].sum(axis=0)
    return total / total.sum() if total.sum() > 0 else None


def kl(p: np.ndarray, q: np.ndarray) -> float:
    return float(sum(a * np.log(a / b) for a, b in zip(p, q, strict=True) if a > 0))


@pytest.mark.parametrize("seed", range(4))
def test_beyond_accuracy_against_loops(seed: int) -> None:
    slates, truth, requests, facts = world(np.random.default_rng(seed), 60)
    k = 7
    judged = Judged(slates, truth, requests, facts)
    assert facts.vectors is not None
    order = np.lexsort((np.arange(N_ITEMS), -facts.events))
    till, tail = 0, set(range(N_ITEMS))
    for item in order:
        if till < 0.8 * facts.events.sum():
            tail.discard(int(item))
        till += facts.events[item]
    for name in ("novelty", "tail-share", "diversity", "serendipity", "calibration-kl", "calibration-js"):
        ours = metric(name, k).of(judged)
        for row in range(len(slates)):
            items, answers = slates.items[row][:k], set(truth.items[row].tolist())
            expected = float("nan")
            if name == "novelty" and len(items):
                expected = float(np.mean([-np.log2(max(facts.people[i], 1) / facts.n_users) for i in items]))
            elif name == "tail-share" and len(items):
                expected = float(np.mean([int(i) in tail for i in items]))
            elif name == "diversity":
                known = [i for i in items if facts.vectors[i].any()]
                pairs = [1 - float(facts.vectors[a] @ facts.vectors[b]) for a, b in combinations(known, 2)]
                expected = float(np.mean(pairs)) if pairs else float("nan")
            elif name == "serendipity" and answers:
                expected = 0.0
                for rank, i in enumerate(items):
                    more_popular = sum(e > facts.events[i] for e in facts.events)
                    gap = (1 - rank / (N_ITEMS - 1)) - (1 - more_popular / (N_ITEMS - 1))
                    expected += max(gap, 0.0) * (int(i) in answers) / k
            elif name.startswith("calibration"):
                p, q = shares(facts, requests.history.items[row]), shares(facts, items)
                if p is not None and q is not None:
                    middle = (p + q) / 2
                    js = (kl(p, middle) + kl(q, middle)) / (2 * np.log(2))
                    expected = js if name.endswith("js") else kl(p, 0.99 * q + 0.01 * p)
            assert ours[row] == pytest.approx(expected, abs=2e-6, nan_ok=True), (name, row)


@pytest.mark.parametrize("k", [3, N_ITEMS])
def test_auc_against_all_pairs(k: int) -> None:
    """Unlisted candidates are level; excluded items are no candidates."""
    rng = np.random.default_rng(k)
    _, truth, requests, facts = world(rng, 80)
    excluded = [set(requests.history.items[r].tolist()) - set(truth.items[r].tolist()) for r in range(80)]
    lists = [[i for i in rng.permutation(N_ITEMS) if i not in excluded[r]] for r in range(80)]
    items = Ragged.of(lists)
    slates = Slates(items.offsets, items.values, -np.arange(len(items.values), dtype=np.float32))
    requests = Requests.of(requests.history, exclude=Ragged.of([sorted(e) * 2 for e in excluded]))
    ours = metric("auc", k)(slates, truth, requests, facts)
    for row, ranking in enumerate(lists):
        place = {i: min(p, k) for p, i in enumerate(ranking)}
        good = set(truth.items[row].tolist())
        pairs = [(place[g] < place[b]) + 0.5 * (place[g] == place[b]) for g in good for b in ranking if b not in good]
        assert ours[row] == pytest.approx(np.mean(pairs) if pairs else float("nan"), abs=1e-12, nan_ok=True)


def test_auc_counts_candidates_and_filters() -> None:
    _, _, requests, facts = world(np.random.default_rng(3), 1)
    pool = Ragged.of([[0, 1, 2, 3, 3, 4]])
    allowed = np.ones(N_ITEMS, np.bool_)
    allowed[4] = False
    asked = Requests.of(requests.history, candidates=pool, exclude=Ragged.of([[0]]), allowed=allowed)
    slates = Slates(np.array([0, 2]), np.array([1, 2], np.int32), np.array([2.0, 1.0], np.float32))
    answers = Truth(Ragged.of([[2]]))
    # Candidates 1, 2, 3: item 2 stands below 1 and above 3.
    assert metric("auc")(slates, answers, asked, facts)[0] == pytest.approx(0.5)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.booleans())
def test_few_and_many_answers_are_matched_alike(seed: int, graded: bool) -> None:
    slates, truth = random_case(np.random.default_rng(seed), 30, graded=graded)
    few = hits_of(slates, truth)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zhiyin.data.truth.FEW_ANSWERS", 0)
        many = hits_of(slates, truth)
    for name in ("row", "rank", "gain", "n_relevant", "lengths"):
        np.testing.assert_array_equal(getattr(few, name), getattr(many, name))


def test_nothing_to_measure_is_no_error() -> None:
    none = Slates(np.zeros(3, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))
    found = measure(none, Truth(Ragged.of([[1], []])), ["ndcg", "hr", "map", "mrr"])
    for values in found.values():
        np.testing.assert_array_equal(values, [0.0, np.nan])
    assert len(metric("hr")(Slates(np.zeros(1, np.int64), none.item_ix, none.score), Truth(Ragged.empty(0)))) == 0


def test_lists_and_answers_must_pair() -> None:
    slates, truth = random_case(np.random.default_rng(0), 3, graded=False)
    with pytest.raises(DataError, match="3 lists cannot be measured against 2 answers"):
        metric("hr")(slates, truth.take(np.arange(2)))
