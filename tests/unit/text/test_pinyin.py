"""Words by their sound."""

from __future__ import annotations

import numpy as np
import pytest

from zhiyin.text.pinyin import Sounds, cut_by_sound, initials_of, sound_of, syllables_of
from zhiyin.text.words_lexicon import Lexicon

WORDS = {"手机": 50, "收集": 3, "苹果": 40, "西安": 5, "先": 30, "重庆": 4, "火锅": 6, "果": 2, "phone": 9}


def test_a_word_has_a_sound_and_initials() -> None:
    assert (sound_of("手机"), initials_of("手机"), syllables_of("重庆")) == ("shouji", "sj", ["chong", "qing"])


def test_words_of_a_sound_come_the_common_one_first() -> None:
    lexicon = Lexicon.of(WORDS)
    assert lexicon.heard("shouji") == [("手机", 50), ("收集", 3)]
    assert lexicon.abbreviated("sj") == [("手机", 50), ("收集", 3)]
    assert lexicon.heard("phone") == []


@pytest.mark.parametrize(
    ("letters", "cut"),
    [
        ("pingguoshouji", ["pingguo", "shouji"]),
        ("chongqinghuoguo", ["chongqing", "huoguo"]),
        ("shouji", ["shouji"]),
        ("shoujix", []),
        ("phone", []),
        ("Shouji", []),
        ("", []),
    ],
)
def test_letters_are_cut_into_words_that_exist(letters: str, cut: list[str]) -> None:
    assert Lexicon.of(WORDS).cut(letters) == cut


def test_few_long_words_win_over_many_short_ones() -> None:
    counted = {"xi": ("西", 9), "an": ("安", 9), "xian": ("西安", 2)}
    assert cut_by_sound("xian", counted.get) == ["xian"]


def test_words_without_chinese_have_no_sound() -> None:
    assert len(Sounds.of(["phone"], np.array([3]))) == 0
    assert Lexicon.of({"phone": 1}).cut("shouji") == []
