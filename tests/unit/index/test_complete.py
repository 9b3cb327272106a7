"""Prefixes against a look at every key; growth against building at once."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.index.complete import KEY_BYTES, PrefixIndex
from zhiyin.text.words_keys import prefix_keys, prefix_of

entries = st.lists(st.lists(st.text("ab手机", max_size=6), max_size=3), max_size=20)


@given(entries, st.text("ab手机", max_size=4), st.integers(1, 5), st.integers(0, 1000))
@settings(max_examples=100, deadline=None)
def test_finds_what_a_look_at_every_key_finds(keys: list[list[str]], prefix: str, k: int, seed: int) -> None:
    weight = np.random.default_rng(seed).integers(0, 4, len(keys)).astype(np.float32)
    at_once, one_by_one = PrefixIndex().with_entries(keys), PrefixIndex()
    for own in keys:
        one_by_one = one_by_one.with_entries([own])
    fit = [i for i, own in enumerate(keys) if prefix and any(key.startswith(prefix) for key in own)]
    expected = sorted(fit, key=lambda i: (-weight[i], i))[:k]
    for index in (at_once, one_by_one, PrefixIndex.restore(at_once.state())):
        assert index.search(prefix, k, weight).tolist() == expected
        assert len(index) == len(keys)


def test_long_keys_count_as_far_as_they_are_kept() -> None:
    index = PrefixIndex().with_entries([["x" * 50], ["x" * 31 + "y"], ["机" * 20]])
    assert index.search("x" * KEY_BYTES, 5, np.ones(3)).tolist() == [0]
    assert index.search("x" * 60, 5, np.ones(3)).tolist() == [0]
    assert index.search("机" * 15, 5, np.ones(3)).tolist() == [2]


def test_titles_begin_at_their_words_and_by_their_sound() -> None:
    assert prefix_keys("The Lord of the Rings") == ["the lord of the rings", "lord of the rings", "rings"]
    assert prefix_keys("苹果手机") == ["苹果手机", "手机", "pingguoshouji", "shouji", "pgsj", "sj"]
    assert prefix_of("Lord of ") == "lord of " and prefix_of("手機") == "手机" and prefix_of("  ") == ""
