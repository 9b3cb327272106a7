"""The speller finds exactly what a look at every word finds."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import OSA

from zhiyin.text.typos import Speller
from zhiyin.text.words_lexicon import Lexicon

words = st.lists(st.text("abcd", min_size=1, max_size=9), min_size=1, max_size=40, unique=True)


def allowed(one: str, other: str) -> int:
    longer = max(len(one), len(other))
    return 0 if min(len(other), longer) < 3 else 1 if longer < 6 else 2


@given(words, st.text("abcd", min_size=2, max_size=9))
@settings(max_examples=150, deadline=None)
def test_finds_every_word_within_the_edits_and_none_beyond(known: list[str], typed: str) -> None:
    found = {near.word: near.distance for near in Speller.of(known, np.ones(len(known))).near(typed)}
    every = {word: OSA.distance(typed, word) for word in known}
    inside = {w: d for w, d in every.items() if 0 < d <= allowed(typed, w)}
    # A word of 3 to 5 letters was shortened once: two edits away are found only where the longer one was shortened twice.
    assert {w: d for w, d in inside.items() if d == 1 or len(w) >= 6} == {w: d for w, d in found.items() if d == 1 or len(w) >= 6}
    assert set(found) <= set(inside)


def test_the_nearest_come_first_then_the_same_letter_then_the_common() -> None:
    speller = Speller.of(["potter", "porter", "otter", "totter"], np.array([9, 50, 99, 1]))
    assert [near.word for near in speller.near("poter")] == ["porter", "potter", "totter"]
    assert next(near.word for near in speller.near("hpotter")) == "potter", "one edit before two"


def test_short_and_endless_words_are_left_alone() -> None:
    speller = Speller.of(["tv", "a" * 40], np.array([1, 1]))
    assert speller.near("tc") == [] and speller.near("a" * 41) == [] and speller.near("") == []
    assert Speller.of([], np.zeros(0)).near("word") == []


def test_a_swap_is_one_edit_also_in_chinese() -> None:
    assert Speller.of(["from"], np.array([1])).near("form")[0].distance == 1
    assert Speller.of(["羽绒服"], np.array([1])).near("羽容服")[0].word == "羽绒服"


def test_a_lexicon_that_grew_knows_old_and_new_words() -> None:
    lexicon = Lexicon.of({"harry": 9, "手机": 5})
    for i in range(20):
        lexicon = lexicon.with_words(["hairy", f"word{i}", "收集"])
    assert [near.word for near in lexicon.near("haury")] == ["harry", "hairy"]
    assert lexicon.heard("shouji") == [("手机", 5), ("收集", 1)]
    assert len(lexicon) == 2 + 20 + 2 and len(lexicon.layers) < 7
    again = Lexicon.restore(lexicon.state())
    assert again.heard("shouji") == lexicon.heard("shouji") and again.near("hary") == lexicon.near("hary")
    assert len(Lexicon.restore(Lexicon().state())) == 0
