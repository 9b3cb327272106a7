"""BM25 against the formula written out, growth against building at once, filters against brute force."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.base.arrays import Ragged
from zhiyin.base.errors import ConfigError
from zhiyin.index.lexical import Alternative, Field, Group, LexicalIndex, plain_query

FIELDS = (Field("title", 2.0, 0.5), Field("body"))
WORDS = "abcdefgh"

documents = st.lists(st.tuples(st.text(WORDS, max_size=4).map(list), st.text(WORDS, max_size=9).map(list)), min_size=1, max_size=14)


def by_hand(docs: list[tuple[list[str], list[str]]], term: str, averages: np.ndarray, live: list[int], k1: float = 1.5) -> np.ndarray:
    """The formula of the module's docstring, one row at a time."""
    out = np.zeros(len(docs))
    for i in live:
        x = 0.0
        for field, words, average in zip(FIELDS, docs[i], averages, strict=True):
            x += field.weight * Counter(words)[term] / (1 - field.b + field.b * len(words) / average)
        out[i] = x / (k1 + x)
    n_t = int((out > 0).sum())
    return out * math.log1p((len(live) - n_t + 0.5) / (n_t + 0.5))


def averages_of(docs: list[tuple[list[str], list[str]]]) -> np.ndarray:
    return np.maximum(np.array([[len(f) for f in d] for d in docs]).mean(axis=0), 1e-6)


@given(documents, st.text(WORDS, min_size=1, max_size=4), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_scores_are_those_of_the_formula(docs: list[tuple[list[str], list[str]]], asked: str, k: int) -> None:
    index = LexicalIndex.of(docs, FIELDS)
    expected = sum(by_hand(docs, term, averages_of(docs), list(range(len(docs)))) for term in dict.fromkeys(asked))
    found = index.search([plain_query(list(asked))], k)
    assert np.allclose(index.scores(plain_query(list(asked))).score, expected, atol=1e-5)
    assert set(found.item_ix.tolist()) <= set(np.flatnonzero(expected > 0).tolist())
    assert len(found.item_ix) == min(k, int((expected > 0).sum())), "n come back when n exist"


@given(documents, documents, st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_growing_row_by_row_equals_building_at_once(first: list, later: list, seed: int) -> None:
    rng = np.random.default_rng(seed)
    index = LexicalIndex.of(first, FIELDS)
    docs = list(first)
    for document in later:
        index = index.with_rows([document])
        docs.append(document)
    changed = int(rng.integers(len(docs)))
    docs[changed] = later[0]
    removed = int(rng.integers(len(docs)))
    index = index.replaced(np.array([changed]), [later[0]]).without(np.array([removed]))
    live = [i for i in range(len(docs)) if i != removed]
    expected = sum(by_hand(docs, term, averages_of(first), live) for term in WORDS)
    assert len(index) == len(live)
    assert np.allclose(index.scores(plain_query(WORDS)).score, expected, atol=1e-5)


@given(documents, st.integers(0, 10_000), st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_filters_are_brute_force_and_ties_go_by_row(docs: list, seed: int, k: int) -> None:
    rng, n = np.random.default_rng(seed), len(docs)
    allowed = rng.random(n) < 0.6
    exclude, candidates = Ragged.of([np.flatnonzero(rng.random(n) < 0.2)]), Ragged.of([np.flatnonzero(rng.random(n) < 0.8)])
    index, query = LexicalIndex.of(docs, FIELDS), plain_query("ab")
    score = index.scores(query).score
    may = set(np.flatnonzero(allowed & (score > 0)).tolist()) & set(candidates[0].tolist()) - set(exclude[0].tolist())
    found = index.search([query], k, allowed=allowed, exclude=exclude, candidates=candidates)
    assert found.item_ix.tolist() == sorted(may, key=lambda i: (-float(score[i]), i))[:k]


def test_a_group_counts_its_best_alternative_once_and_shares_the_commonest_idf() -> None:
    docs = [[["phone"]], [["phony"]], [["phone"]], [["cell", "phone"]], [["tea"]]]
    index = LexicalIndex.of(docs, (Field("text", 1.0, 0.0),))
    group = Group((Alternative(("phone",), 0.7), Alternative(("phony",), 0.7), Alternative(("cell", "phone"), 1.0)))
    scored = index.scores([group])
    assert scored.score[0] == scored.score[1] == scored.score[2], "the rare misspelling does not win by its idf"
    assert scored.score[3] > scored.score[0], "both words of an alternative"
    assert scored.n_had.tolist() == [1, 1, 1, 1, 0]


def test_having_all_means_every_required_group() -> None:
    index = LexicalIndex.of([[["red", "shoe"]], [["red"]], [["shoe"]]])
    assert index.search([plain_query(["red", "shoe"])], 5, have="all").item_ix.tolist() == [0]
    assert index.search([plain_query(["red", "hat"])], 5, have="all").item_ix.tolist() == []
    optional = [*plain_query(["red"]), Group((Alternative(("hat",)),), required=False)]
    assert index.search([optional], 5, have="all").item_ix.tolist() == [1, 0]


def test_one_row_more_touches_few_segments() -> None:
    index = LexicalIndex.of([[["a"]]] * 1000)
    sizes = []
    for _ in range(300):
        index = index.with_rows([[["a", "b"]]])
        sizes.append(len(index.segments))
    assert max(sizes) <= 10
    assert index.count("b") == 300 and len(index) == 1300


def test_an_empty_index_finds_nothing_and_grows() -> None:
    index = LexicalIndex.of([])
    assert len(index.search([plain_query(["a"])], 3).item_ix) == 0
    assert index.with_rows([[["a"]]]).search([plain_query(["a"])], 3).item_ix.tolist() == [0]


def test_documents_of_other_fields_are_refused() -> None:
    with pytest.raises(ConfigError, match="a document has 1 fields, the index 2"):
        LexicalIndex.of([[["a"]]], FIELDS)
