"""Why an item was found, and what was done when nothing was: in words."""

from __future__ import annotations

from collections.abc import Mapping

from zhiyin.base.arrays import AnyArray
from zhiyin.index.lexical import LexicalIndex
from zhiyin.pipeline.finding_found import Fallback
from zhiyin.pipeline.placement import Language
from zhiyin.text.words_query import Part, Reading, Way

_MOST = 6
"""Words a reason names."""

_HOW: Mapping[Language, Mapping[str, str]] = {
    "en": {"pinyin": "pinyin", "initials": "initials", "sound": "sounds alike", "typo": "spelling", "synonym": "synonym"},
    "zh": {"pinyin": "拼音", "initials": "拼音首字母", "sound": "同音", "typo": "拼写", "synonym": "同义词"},
}
_SAID: Mapping[Language, Mapping[str, str]] = {
    "en": {"matched": "matched: {}", "comma": ", ", "how": "{} ({})", "close": "close in meaning", "popular": "popular"},
    "zh": {"matched": "匹配：{}", "comma": "、", "how": "{}（{}）", "close": "意思相近", "popular": "热门"},
}
_NOTES: Mapping[Language, Mapping[Fallback, str]] = {
    "en": {
        "": "",
        "corrected": "no item has all the words as typed: showing '{understood}'",
        "some words": "no item has all the words{unknown}: showing items with some of them",
        "meaning": "no item has these words: showing what is closest in meaning",
        "popular": "nothing found: showing what is popular",
    },
    "zh": {
        "": "",
        "corrected": "没有商品包含全部输入的词，已为您搜索“{understood}”",
        "some words": "没有商品包含全部的词{unknown}，以下商品包含其中一部分",
        "meaning": "没有商品包含这些词，以下商品意思最接近",
        "popular": "没有找到，以下是热门商品",
    },
}
_UNKNOWN: Mapping[Language, str] = {"en": " ({} in none)", "zh": "（没有“{}”）"}


def note_of(fallback: Fallback, reading: Reading, language: Language = "en") -> str:
    """One sentence for people; "" where nothing was given up."""
    strange = [part.typed for part in reading.parts if part.required and not part.ways]
    unknown = _UNKNOWN[language].format(_SAID[language]["comma"].join(strange[:_MOST])) if strange else ""
    return _NOTES[language][fallback].format(understood=reading.understood, unknown=unknown)


def popular_in(language: Language) -> str:
    """The reason of an item that is shown for its popularity alone."""
    return _SAID[language]["popular"]


def reasons(index: LexicalIndex, reading: Reading, rows: AnyArray, language: Language = "en") -> list[str]:
    """For each row (n,) the words of the query it has and how they were read, such as "matched: 手机 (pinyin)"."""
    parts = [part for part in reading.parts if part.required and part.ways][: 3 * _MOST]
    terms = list(dict.fromkeys(term for part in parts for way in part.ways for term in way.terms))
    there = index.weights(terms, rows) > 0  # (n_terms, n)
    words, out = _SAID[language], []
    for row in range(len(rows)):
        had = {term for term, held in zip(terms, there[:, row], strict=True) if held}
        matched = [_said(way, language) for part in parts if (way := _best(part, had)) is not None]
        out.append(words["matched"].format(words["comma"].join(matched[:_MOST])) if matched else words["close"])
    return out


def _best(part: Part, had: set[str]) -> Way | None:
    """The reading of a part that a row with these terms matched best."""
    ways = [way for way in part.ways if had.issuperset(way.terms)]
    return max(ways, key=lambda way: way.weight, default=None)


def _said(way: Way, language: Language) -> str:
    how = _HOW[language].get(way.how)
    return _SAID[language]["how"].format(way.word, how) if how else way.word
