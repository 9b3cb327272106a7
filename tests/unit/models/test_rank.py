"""Rankers that compute with columns: against references, and what only they promise. The contract suite checks the rest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import ndcg_score, roc_auc_score
from sklearn.tree import DecisionTreeClassifier

from zhiyin.base.errors import ConfigError, FitError, UnknownNameError
from zhiyin.data.run import Run
from zhiyin.data.slates import Slates
from zhiyin.models.rank.calibrate import CalibratedSpec, Isotonic, Platt, Reliability, log_loss
from zhiyin.models.rank.columns import Scaler, matrix_of
from zhiyin.models.rank.linear import LinearSpec, fit_logistic
from zhiyin.models.rank.quality import auc, ndcg_of_lists, quality
from zhiyin.models.rank.registry import ranker_of
from zhiyin.models.rank.tree import TreeSpec
from zhiyin.models.rank.trees import TreesSpec
from zhiyin.models.roles import RankingExamples
from zhiyin.testing.ranker_contracts import check_ranker, small_examples

RUN = Run(threads=1)
TRAIN, VALIDATION, TEST = small_examples(300, seed=1), small_examples(200, seed=2), small_examples(200, seed=3)


def found(examples: RankingExamples, score: np.ndarray) -> float:
    return auc(examples.labels, score)


def test_scaler_standardises_and_flags_gaps() -> None:
    values = np.array([[1, 5, np.nan], [3, 5, 2], [5, 5, 4]], np.float32)
    scaler = Scaler.of(values)
    assert scaler.names(["a", "b", "c"]) == ("a", "b", "c", "c missing")
    root = np.sqrt(1.5)
    np.testing.assert_allclose(scaler(values), [[-root, 0, 0, 1], [0, 0, -1, 0], [root, 0, 1, 0]], atol=1e-6)
    assert scaler(np.array([[1e9, np.nan, np.inf]], np.float32)).tolist() == [[8, 0, 0, 1]]


def test_logistic_regression_is_that_of_sklearn() -> None:
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((400, 3)), rng.random(400)
    y = (rng.random(400) < 1 / (1 + np.exp(-x @ [1, -2, 0.3] + 1))).astype(float)
    reference = LogisticRegression(C=1 / 2.0, tol=1e-8, max_iter=1000).fit(x, y, weight)
    weights, intercept = fit_logistic(x, y, weight, 2.0)
    np.testing.assert_allclose(weights, reference.coef_[0], atol=1e-4)
    assert intercept == pytest.approx(reference.intercept_[0], abs=1e-4)


def test_linear_tells_its_weights_strongest_first() -> None:
    ranker = LinearSpec().fit(TRAIN, RUN)
    lines = ranker.told().splitlines()
    assert lines[0].split()[0] == "liking" and float(lines[0].split()[1]) == pytest.approx(1.3, abs=0.3)
    assert any(line.startswith("price missing") for line in lines) and lines[-1].startswith("otherwise")
    assert LinearSpec(columns=("noise",)).fit(TRAIN, RUN).columns == ("noise",)


def test_tree_walks_as_sklearn_does() -> None:
    ranker = TreeSpec(leaves=8).fit(TRAIN, RUN)
    reference = DecisionTreeClassifier(criterion="log_loss", max_leaf_nodes=8, min_samples_leaf=30, random_state=0)
    reference.fit(matrix_of(TRAIN.slates, ranker.columns, "tree"), TRAIN.labels)
    values = matrix_of(TEST.slates, ranker.columns, "tree")
    assert np.isnan(values).any()
    np.testing.assert_array_equal(ranker.leaf_of(values), reference.apply(values))


def test_tree_of_one_column_walks_as_sklearn_does() -> None:
    ranker = TreeSpec(leaves=4, columns=("price",)).fit(TRAIN, RUN)
    values = matrix_of(TRAIN.slates, ("price",), "tree")
    reference = DecisionTreeClassifier(criterion="log_loss", max_leaf_nodes=4, min_samples_leaf=30, random_state=0).fit(
        values, TRAIN.labels
    )
    np.testing.assert_array_equal(ranker.leaf_of(values), reference.apply(values))


@pytest.mark.parametrize("kind", ["linear", "tree", "trees", "cross"])
def test_examples_without_columns_are_refused(kind: str) -> None:
    bare = replace(TRAIN, slates=replace(TRAIN.slates, columns={}))
    with pytest.raises(FitError, match=f"ranker '{kind}' got examples without columns"):
        ranker_of(kind).fit(bare, RUN)


def test_tree_tells_rules_on_one_page() -> None:
    told = TreeSpec(leaves=4, columns=("liking", "price")).fit(TRAIN, RUN).told()
    lines = told.splitlines()
    assert lines[0].startswith("liking <= ") and sum(" of " in line for line in lines) == 4
    total = sum(int(line.rsplit(" ", 1)[1].replace(",", "")) for line in lines if " of " in line)
    assert total == len(TRAIN.labels)


def test_trees_start_from_a_base_and_only_correct_it() -> None:
    few = TRAIN.take(np.arange(5))
    spec = TreesSpec(base="liking", columns=("noise",), n_trees=1, min_leaf=1000)
    ranker = spec.fit(few, RUN)
    liking = TEST.slates.columns["liking"]
    order = np.argsort(liking)
    assert (np.diff(ranker.score(TEST.requests, TEST.slates)[order]) >= 0).all()  # nothing to split on: the base alone
    assert ranker.told().startswith("starts from") and ranker.base is not None and ranker.base.slope > 0
    gap = TEST.slates.with_column("liking", np.full(len(liking), np.nan))
    assert ranker.score(TEST.requests, gap) == pytest.approx(float(ranker.base.slope * ranker.base.lowest + ranker.base.shift), rel=1e-3)


def test_a_base_that_misleads_is_left_alone() -> None:
    against = replace(TRAIN, slates=TRAIN.slates.with_column("bad", -TRAIN.slates.columns["liking"]))
    ranker = TreesSpec(base="bad", columns=("noise",), n_trees=1).fit(against, RUN)
    assert ranker.base is not None and ranker.base.slope == 0


@pytest.mark.parametrize("objective", ["lambdarank", "binary"])
def test_trees_stop_early_and_beat_a_line_on_products(objective: str) -> None:
    columns = ("liking", "price", "hour", "noise")
    rows = []
    spec = TreesSpec(objective=objective, base="liking", columns=columns, learning_rate=0.1, leaves=7)
    big = small_examples(2500, seed=5)
    ranker = spec.fit(big, Run(threads=1, report=rows.append), VALIDATION)
    assert rows[-1]["trees"] < 400
    linear = LinearSpec(columns=columns).fit(big, RUN)
    assert found(TEST, ranker.score(TEST.requests, TEST.slates)) > found(TEST, linear.score(TEST.requests, TEST.slates)) + 0.01
    assert sum(ranker.gains.values()) == pytest.approx(1)
    assert ranker.gains["noise"] < min(ranker.gains["price"], ranker.gains["hour"])


def test_trees_refuse_lists_that_are_too_long() -> None:
    n = 10_001
    slates = Slates(np.array([0, n]), np.arange(n, dtype=np.int32), np.zeros(n, np.float32), {"a": np.arange(n, dtype=np.float32)})
    examples = RankingExamples(TRAIN.requests.take(np.array([0])), slates, (np.arange(n) % 2).astype(np.float32), np.ones(n, np.float32))
    with pytest.raises(FitError, match=r"a list of 10,001 items is too long for LambdaRank .*objective = 'binary'"):
        TreesSpec().fit(examples, RUN)
    assert TreesSpec(objective="binary", n_trees=2).fit(examples, RUN).columns == ("a",)


def test_a_missing_column_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"ranker 'linear' reads column 'likng', which the slates do not have .* 'liking'"):
        LinearSpec(columns=("likng",)).fit(TRAIN, RUN)
    with pytest.raises(ConfigError, match=r"ranker 'trees' reads column 'bas'"):
        TreesSpec(base="bas").fit(TRAIN, RUN)


def test_rankers_by_name() -> None:
    assert ranker_of({"kind": "trees", "leaves": 7}) == TreesSpec(leaves=7)
    with pytest.raises(UnknownNameError, match=r"no ranker is named 'tres'.*Did you mean 'trees'"):
        ranker_of("tres")
    with pytest.raises(ConfigError, match="a ranker needs a 'kind' in place"):
        ranker_of({}, "place")


def test_one_call_checks_a_private_ranker(tmp_path) -> None:
    check_ranker(LinearSpec(), folder=tmp_path)


# --- quality


def test_ndcg_and_auc_are_those_of_sklearn() -> None:
    rng = np.random.default_rng(0)
    labels, score = rng.integers(0, 3, 60).astype(np.float32), rng.permutation(60).astype(np.float32)
    offsets = np.array([0, 20, 20, 45, 60])
    got = ndcg_of_lists(labels, score, offsets)
    spans = [(0, 20), (20, 45), (45, 60)]
    np.testing.assert_allclose(got, [ndcg_score([2 ** labels[a:b] - 1], [score[a:b]], k=10) for a, b in spans])
    tied = np.round(score / 10)
    assert auc(labels, tied) == pytest.approx(roc_auc_score(labels > 0, tied))


def test_quality_falls_back_to_auc_where_no_list_has_both_kinds() -> None:
    n = len(TEST.labels)
    single = replace(TEST, slates=replace(TEST.slates, offsets=np.arange(n + 1)))
    score = TEST.slates.columns["liking"]
    assert quality(single, score) == auc(TEST.labels, score) != quality(TEST, score)


# --- calibration


def test_platt_finds_the_line_probabilities_were_drawn_from() -> None:
    rng = np.random.default_rng(0)
    score = rng.standard_normal(40_000) * 3
    labels = (rng.random(len(score)) < 1 / (1 + np.exp(-(0.5 * score - 1)))).astype(np.float32)
    curve = Platt.of(score, labels, np.ones(len(score)))
    assert (curve.slope, curve.shift) == pytest.approx((0.5, -1), abs=0.04)
    assert Reliability.of(curve(score), labels).ece < 0.01
    with pytest.raises(FitError, match="higher scores do not mean more chosen"):
        Platt.of(-score, labels, np.ones(len(score)))


def test_isotonic_learns_what_no_line_can() -> None:
    rng = np.random.default_rng(0)
    score = rng.random(40_000)
    labels = (rng.random(len(score)) < np.where(score > 0.8, 0.9, 0.1)).astype(np.float32)
    one = np.ones(len(score))
    curve, line = Isotonic.of(score, labels, one), Platt.of(score, labels, one)
    assert Reliability.of(curve(score), labels).ece < 0.01 < Reliability.of(line(score), labels).ece
    assert log_loss(curve(score), labels) < log_loss(line(score), labels) - 0.02


@settings(max_examples=50, deadline=None)
@given(arrays(np.float32, st.integers(4, 40), elements=st.floats(-50, 50, width=32)), st.integers(0, 1000))
def test_isotonic_keeps_the_order_and_stays_a_probability(score: np.ndarray, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 2, len(score)).astype(np.float32)
    curve = Isotonic.of(score, labels, np.ones(len(score)))
    p = curve(np.sort(score))
    assert (np.diff(p) >= 0).all() and p.min() >= 0 and p.max() <= 1


def test_isotonic_takes_scores_that_hardly_differ_for_one() -> None:
    score = np.array([1.9e-29, 0.0, -1.0, -1.0], np.float32)
    for labels in ([1, 1, 1, 0], [0, 1, 1, 1], [1, 0, 0, 0]):
        p = Isotonic.of(score, np.array(labels, np.float32), np.ones(4))(score)
        assert np.isfinite(p).all() and p[0] == pytest.approx(p[1])


def test_calibrated_keeps_the_order_of_lists_and_says_probabilities() -> None:
    inner = {"kind": "trees", "n_trees": 40, "leaves": 7}
    plain = CalibratedSpec(ranker=inner, calibrate="none").fit(TRAIN, RUN, VALIDATION).score(TEST.requests, TEST.slates)
    assert plain.min() < 0
    for how in ("platt", "isotonic"):
        ranker = CalibratedSpec(ranker=inner, calibrate=how).fit(TRAIN, RUN, VALIDATION)
        raw, p = ranker.ranker.score(TEST.requests, TEST.slates), ranker.score(TEST.requests, TEST.slates)
        np.testing.assert_array_equal(TEST.slates.reordered(raw).item_ix, TEST.slates.reordered(p).item_ix)
        assert p.mean() == pytest.approx(TEST.labels.mean(), abs=0.04)
        constant = log_loss(np.full(len(p), TEST.labels.mean()), TEST.labels)
        assert Reliability.of(p, TEST.labels).ece < 0.06 and log_loss(p, TEST.labels) < constant - 0.03


def test_calibration_needs_validation() -> None:
    with pytest.raises(FitError, match=r"calibrated on validation examples, and there are none .*calibrate = 'none'"):
        CalibratedSpec(ranker={"kind": "linear"}).fit(TRAIN, RUN)
    nothing = replace(VALIDATION, labels=np.zeros_like(VALIDATION.labels))
    with pytest.raises(FitError, match="validation examples are of one kind only"):
        CalibratedSpec(ranker={"kind": "linear"}).fit(TRAIN, RUN, nothing)
    with pytest.raises(UnknownNameError, match="'liner'"):
        ranker_of({"kind": "calibrated", "ranker": {"kind": "liner"}})


def test_reliability_by_hand() -> None:
    got = Reliability.of(np.array([0.2, 0.2, 0.6, 0.8]), np.array([0, 1, 1, 1], np.float32), bins=2)
    assert got.said.tolist() == [0.2, 0.7] and got.seen.tolist() == [0.5, 1.0] and got.n.tolist() == [2, 2]
    assert got.ece == pytest.approx(0.3)
    assert got.told().splitlines()[1].split() == ["20.00%", "50.00%", "2"] and got.told().endswith("0.3000")
    assert "probability said" in got.plot().svg()
    with pytest.raises(FitError, match="between 0 and 1"):
        Reliability.of(np.array([1.5]), np.array([1], np.float32))
