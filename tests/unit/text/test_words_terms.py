"""Folding, stems and terms: what two spellings of the same thing share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhiyin.text.script import folded, simplified, traditional
from zhiyin.text.words_english import STOP_WORDS, stem
from zhiyin.text.words_terms import said, spoken_words, variants


@pytest.mark.parametrize(
    ("text", "same"),
    [("Café", "cafe"), ("ＵＳＢ", "usb"), ("手機", "手机"), ("STRASSE", "straße"), ("乾坤", "干坤"), ("L’Oréal", "l’oreal")],
)
def test_spellings_fold_into_one(text: str, same: str) -> None:
    assert folded(text) == folded(same)


@given(st.text(max_size=40))
def test_folding_is_stable_and_never_fails(text: str) -> None:
    assert folded(folded(text)) == folded(text)
    said(text)


def test_chinese_goes_both_ways() -> None:
    assert traditional("头发") == "頭髮"
    assert simplified("滑鼠") == "鼠标", "the mainland has another word, not only other characters"


@pytest.mark.parametrize(
    "words",
    [
        ("run", "runs", "running"),
        ("shoe", "shoes"),
        ("battery", "batteries"),
        ("box", "boxes"),
        ("glass", "glasses"),
        ("lens", "lenses"),
        ("organize", "organization", "organized"),
    ],
)
def test_forms_of_a_word_share_a_stem(words: tuple[str, ...]) -> None:
    assert len({stem(word) for word in words}) == 1


@pytest.mark.parametrize("word", ["string", "king", "bus", "gas", "red", "bed", "this", "x5s", "手机", "été"])
def test_what_only_looks_like_an_ending_stays(word: str) -> None:
    assert stem(word) == word


def test_compounds_meet_however_they_are_written() -> None:
    for one, other in (("wi-fi", "wifi"), ("iphone15", "iphone 15"), ("T-shirt", "tshirt"), ("U.S.A.", "USA")):
        assert set(said(one).terms) & set(said(other).terms), (one, other)
    assert variants("3.5") == (("3.5",),), "a number is no compound"


def test_stop_words_stay_in_titles_alone() -> None:
    assert said("The Who", in_title=True).terms == ["the", "who"]
    assert said("The Who").terms == []
    assert "的" not in said("新的手机").terms
    assert {"the", "who"} <= STOP_WORDS


def test_chinese_gives_words_and_pairs_and_characters_of_titles() -> None:
    terms = said("华为手机壳", in_title=True).terms
    assert {"华为", "手机", "机壳", "鞋"} & set(terms) == {"华为", "手机", "机壳"}
    assert "壳" in terms
    assert "为" not in said("华为手机壳").terms
    assert spoken_words("苹果手机 pro") == ["苹果", "手机", "pro"]
