"""The encoder learned from the catalogue, and when it takes over."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from zhiyin.base.arrays import AnyArray
from zhiyin.base.errors import FitError, ModelFileError
from zhiyin.text.catalogue import fit_catalogue, terms_of
from zhiyin.text.choose import choose_encoder, open_encoder, restore_encoder
from zhiyin.text.encoder import EncoderState, TextEncoder
from zhiyin.text.joint import JointEncoder

CHINESE = ["红色羊毛毛衣 女款", "蓝色棉质衬衫 男款", "羊毛围巾 冬季保暖", "新鲜红富士苹果 五斤", "香甜苹果 水果礼盒", "进口香蕉 水果"] * 2


def test_terms_are_words_and_grams() -> None:
    terms = terms_of("羊毛围巾 Drill")
    assert {"w:羊毛", "w:围巾", "w:drill", "c:羊毛", "c:毛围", "c:^dri", "c:ill$"} <= set(terms)


def test_likeness_through_shared_words() -> None:
    encoder = fit_catalogue(CHINESE, dim=3)
    jumper, scarf, apple, fruit = encoder.encode(["羊毛毛衣", "羊毛围巾", "苹果", "水果礼盒"])
    assert jumper @ scarf > 0.5 and apple @ fruit > 0.5 and abs(jumper @ apple) < 0.3
    np.testing.assert_allclose(np.linalg.norm(encoder.encode(CHINESE), axis=1), 1, atol=1e-5)
    assert not encoder.encode(["", "xyzzy"]).any()


def test_deterministic_and_restored_without_sklearn() -> None:
    encoder, again = fit_catalogue(CHINESE, dim=5), fit_catalogue(CHINESE, dim=5)
    assert encoder.fingerprint == again.fingerprint
    assert fit_catalogue([*CHINESE, "另一件商品"], dim=5).fingerprint != encoder.fingerprint
    restored = restore_encoder(encoder.describe())
    np.testing.assert_array_equal(restored.encode(CHINESE), encoder.encode(CHINESE))
    broken = EncoderState(encoder.describe().arrays, {**encoder.describe().meta, "fingerprint": "0" * 16})
    with pytest.raises(ModelFileError, match="is not the one this model was trained with"):
        restore_encoder(broken)


def test_unknown_share_counts_words() -> None:
    encoder = fit_catalogue(CHINESE, dim=5)
    assert encoder.unknown_share(["羊毛 xyzzy"]) == 0.5 and encoder.unknown_share([""]) == 0.0


def test_nothing_to_learn_from() -> None:
    with pytest.raises(FitError, match="no words to learn a text encoder from"):
        fit_catalogue(["", "！！"])


def test_it_takes_over_by_itself_and_says_so() -> None:
    choice = choose_encoder(CHINESE)
    assert choice.encoder.name == "catalogue words" and choice.unknown_share > 0.3
    assert "cannot read" in choice.reason and "trained on the catalogue itself took over" in choice.reason
    english = choose_encoder(["a red woollen jumper", "fresh apples"])
    assert english.encoder.name == "minilm (int8)" and "0.0% of tokens unknown" in english.reason


def test_both_side_by_side() -> None:
    texts = ["SKF bearing 6204", "SKF bearing 6205", "garden hose 10 m", "garden hose 20 m"]
    joint = choose_encoder(texts, "minilm+catalogue").encoder
    assert isinstance(joint, JointEncoder)
    vectors = joint.encode(texts)
    parts = [part.encode(texts) for part in joint.parts]
    np.testing.assert_allclose(vectors @ vectors.T, (parts[0] @ parts[0].T + parts[1] @ parts[1].T) / 2, atol=1e-5)
    restored = restore_encoder(joint.describe())
    np.testing.assert_array_equal(restored.encode(texts), vectors)
    assert choose_encoder(texts, "catalogue").encoder.name == "catalogue words"


@pytest.mark.data
def test_chinese_reviews_category_retrieval() -> None:
    """Share of the 10 nearest reviews that are of the same shop category."""
    root = Path(os.environ.get("ZHIYIN_DATA", Path(__file__).parents[4] / "shared" / "data"))
    file = root / "chinese_reviews" / "online_shopping_10_cats.parquet"
    if not file.is_file():
        pytest.skip(f"needs {file.name} of chinese_reviews")
    table = pl.read_parquet(file).drop_nulls().sample(1000, seed=0)
    texts = [text[:80] for text in table["review"].to_list()]
    labels = table["cat"].to_numpy()
    choice = choose_encoder(texts)
    assert choice.encoder.name == "catalogue words" and choice.unknown_share > 0.3
    minilm, own = _precision(open_encoder().encoder, texts, labels), _precision(choice.encoder, texts, labels)
    print(f"unknown {choice.unknown_share:.3f}, precision@10: minilm {minilm:.3f}, catalogue words {own:.3f}")
    assert own > minilm + 0.1


def _precision(encoder: TextEncoder, texts: list[str], labels: AnyArray) -> float:
    vectors = encoder.encode(texts)
    near = vectors @ vectors.T
    np.fill_diagonal(near, -1)
    return float((labels[np.argsort(-near, axis=1)[:, :10]] == labels[:, None]).mean())
