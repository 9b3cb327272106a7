"""Why an item was found, and what was done when nothing was: in words."""

from __future__ import annotations

from collections.abc import Mapping

from zhiyin.base.arrays import AnyArray
from zhiyin.index.lexical import LexicalIndex
from zhiyin.pipeline.finding_found import Fallback
from zhiyin.text.words_query import Part, Reading, Way

CLOSE = "close in meaning"
POPULAR = "popular"

_HOW = {"pinyin": "pinyin", "initials": "initials", "sound": "sounds alike", "typo": "spelling", "synonym": "synonym"}
_MOST = 6
"""Words a reason names."""

_NOTES: Mapping[Fallback, str] = {
    "": "",
    "corrected": "no item has all the words as typed: showing '{understood}'",
    "some words": "no item has all the words{unknown}: showing items with some of them",
    "meaning": "no item has these words: showing what is closest in meaning",
    "popular": "nothing found: showing what is popular",
}


def note_of(fallback: Fallback, reading: Reading) -> str:
    """One sentence for people; "" where nothing was given up."""
    strange = [part.typed for part in reading.parts if part.required and not part.ways]
    unknown = f" ({', '.join(strange[:_MOST])} in none)" if strange else ""
    return _NOTES[fallback].format(understood=reading.understood, unknown=unknown)


def reasons(index: LexicalIndex, reading: Reading, rows: AnyArray) -> list[str]:
    """For each row (n,) the words of the query it has and how they were read, such as "matched: 手机 (pinyin)"."""
    parts = [part for part in reading.parts if part.required and part.ways][: 3 * _MOST]
    terms = list(dict.fromkeys(term for part in parts for way in part.ways for term in way.terms))
    place = {term: i for i, term in enumerate(terms)}
    there = index.weights(terms, rows) > 0  # (n_terms, n)
    out = []
    for row in range(len(rows)):
        had = {term for term, i in place.items() if there[i, row]}
        said = [_said(way) for part in parts if (way := _best(part, had)) is not None]
        out.append(f"matched: {', '.join(said[:_MOST])}" if said else CLOSE)
    return out


def _best(part: Part, had: set[str]) -> Way | None:
    """The reading of a part that a row with these terms matched best."""
    ways = [way for way in part.ways if had.issuperset(way.terms)]
    return max(ways, key=lambda way: way.weight, default=None)


def _said(way: Way) -> str:
    return f"{way.word} ({_HOW[way.how]})" if way.how in _HOW else way.word
