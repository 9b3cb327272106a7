"""The blend: weights that beat the best part, items nobody touched, parts that come from the data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.base.arrays import Ragged, offsets_of
from zhiyin.base.errors import ConfigError, FitError
from zhiyin.data.run import Run
from zhiyin.data.slates import Slates
from zhiyin.data.split import default_split
from zhiyin.data.truth import Truth, ndcg_at
from zhiyin.models.registry import spec_of
from zhiyin.models.retrieve.blend import BlendSpec, default_parts, weights_by_part
from zhiyin.models.retrieve.blend_weights import _Judge, learn_weights
from zhiyin.testing.contracts import small_world

PARTS = ({"kind": "transitions"}, {"kind": "ease", "l2": 5.0}, {"kind": "popular"})


def candidates(seed: int, n: int = 60, columns: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(5, 40, n)
    features = rng.standard_normal((int(sizes.sum()), columns)).astype(np.float32)
    answers = rng.random(len(features)) < 0.1
    return features, sizes, answers


@given(st.integers(0, 10_000), st.sampled_from([0.0, 1.0, 100.0]))
@settings(max_examples=100, deadline=None)
def test_the_judge_is_ndcg(seed: int, steps: float) -> None:
    features, sizes, answers = candidates(seed)
    if steps < 100:  # many level scores, or nothing but level scores
        features = np.round(features * steps)
    offsets = offsets_of(sizes)
    row = np.repeat(np.arange(len(sizes)), sizes)
    relevant = np.bincount(row[answers], minlength=len(sizes))
    flat = np.arange(len(features), dtype=np.int32)
    slates = Slates(offsets, flat, features[:, 0]).reordered(features[:, 0])
    expected = np.nanmean(ndcg_at(slates, Truth(Ragged(offsets_of(relevant), flat[answers])), 10))
    assert _Judge(offsets, answers, relevant)(features[:, 0]) == pytest.approx(expected, abs=1e-9)


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_never_worse_than_the_best_column(seed: int) -> None:
    features, sizes, answers = candidates(seed)
    relevant = np.bincount(np.repeat(np.arange(len(sizes)), sizes)[answers], minlength=len(sizes))
    learned = learn_weights(features, sizes, answers, relevant)
    assert learned.validation >= max(learned.alone) - 1e-12
    assert (learned.weights >= 0).all()


def test_two_halves_of_the_truth_are_both_weighed_and_noise_is_not() -> None:
    rng = np.random.default_rng(0)
    n, k = 2_000, 30
    left, right, noise = rng.standard_normal((3, n * k)).astype(np.float32)
    best = (left + right).reshape(n, k).argmax(axis=1)
    answers = np.zeros(n * k, np.bool_)
    answers[np.arange(n) * k + best] = True
    learned = learn_weights(np.stack([left, right, noise], axis=1), np.full(n, k), answers, np.ones(n, np.int64))
    assert learned.weights[0] == pytest.approx(learned.weights[1], rel=0.2)
    assert learned.weights[2] < 0.05 * learned.weights[0]
    assert learned.validation > 0.95 > max(learned.alone)


@pytest.mark.parametrize("order", ["time", "position"])
def test_blend_is_not_worse_than_its_best_part_on_validation(order: str) -> None:
    split = default_split(small_world(order, n_users=120, n_events=3_000))
    run = Run(holdout=split.validation)
    blend = BlendSpec(parts=PARTS).fit(split.train, run)
    k = 10

    def quality(model: object) -> float:
        return float(np.nanmean(ndcg_at(model.retrieve(split.validation.requests, k), split.validation.truth, k)))  # type: ignore[attr-defined]

    assert quality(blend) >= max(quality(spec_of(part).fit(split.train, run)) for part in PARTS) - 1e-9
    assert set(weights_by_part(blend)) == {
        "transitions.log",
        "transitions.linear",
        "ease.log",
        "ease.linear",
        "popular.log",
        "popular.linear",
    }


def test_an_item_nobody_touched_is_placed_by_its_text() -> None:
    data = small_world("time")
    rare = int(np.argmin(np.where(data.item_counts > 0, data.item_counts, 10_000)))
    train = data.take(data.events.item_ix != rare)
    parts = (*PARTS, {"kind": "content"})
    blend = BlendSpec(parts=parts).fit(train, Run())
    requests = default_split(train).test.requests
    scores = blend.scores(replace(requests, exclude=None))
    assert blend.untouched[rare]
    text = train.catalog.vectors["text"].matrix
    others = np.flatnonzero(~blend.untouched)
    nearness = blend.parts[-1].scores(requests)  # type: ignore[attr-defined]
    for row in range(len(requests)):
        finite = others[np.isfinite(scores[row, others])]
        assert scores[row, finite].min() - 1.0 <= scores[row, rare] <= scores[row, finite].max() + 1.0
    order = np.argsort(nearness[:, rare])
    assert scores[order[-1], rare] - np.median(scores[order[-1]]) > scores[order[0], rare] - np.median(scores[order[0]])
    assert np.isfinite(text).all()


def test_parts_follow_from_the_data() -> None:
    timed, placed = small_world("time"), small_world("position")
    kinds = [part["kind"] for part in default_parts(timed)]
    assert {"sequence", "transitions", "ease", "text-ease", "text-neighbours"} <= set(kinds)
    assert ("buy-again" in kinds) == (timed.manifest.repeat.policy != "never")
    assert "sequence" in [part["kind"] for part in default_parts(placed)]


def test_refusals() -> None:
    data = small_world("time")
    with pytest.raises(ConfigError, match="a blend cannot be part of a blend"):
        BlendSpec(parts=({"kind": "zhiyin"},)).fit(data, Run())
    with pytest.raises(ConfigError, match=r"unknown key 'l3' in zhiyin.parts\[0\].*Did you mean 'l2'"):
        BlendSpec(parts=({"kind": "ease", "l3": 1},)).fit(data, Run())
    with pytest.raises(FitError, match="needs validation requests"):
        BlendSpec().of_parts(data, [], Run())
