"""Chinese words by their sound: "shouji", "shou ji", "sj" and the homophone 手鸡 all lead to 手机."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from zhiyin.base.arrays import AnyArray
from zhiyin.text.script import has_han

_LATIN = re.compile("[a-z]+")
_LONGEST = 36
"""Letters of the longest word by sound (six characters of six letters)."""


Counted = tuple[str, int]
"""A word and in how many rows it stands."""


def syllables_of(text: str) -> list[str]:
    """Toneless syllables of the Chinese characters, other runs as they stand: 手机壳 gives ["shou", "ji", "ke"]."""
    return [str(syllable) for syllable in _pypinyin().lazy_pinyin(text, v_to_u=False)]


def sound_of(text: str) -> str:
    """The whole sound as people type it: 手机 gives "shouji"."""
    return "".join(syllables_of(text))


def initials_of(text: str) -> str:
    """First letters: 手机 gives "sj"."""
    return "".join(syllable[0] for syllable in syllables_of(text) if syllable)


@dataclass(frozen=True, slots=True, eq=False)
class Sounds:
    """Sound -> words, made from the words of a catalogue. Words of one character answer only to their full sound."""

    by_sound: Mapping[str, tuple[Counted, ...]]  # the most common word first
    by_initials: Mapping[str, tuple[Counted, ...]]

    @classmethod
    def of(cls, words: Sequence[str], counts: AnyArray, spoken: Sequence[str] | None = None) -> Self:
        """From distinct words and their counts; ``spoken`` are their ``spelt`` sounds where those are known already."""
        sounds: dict[str, list[Counted]] = {}
        initials: dict[str, list[Counted]] = {}
        for word, count, said in zip(words, counts.tolist(), spelt(words) if spoken is None else spoken, strict=True):
            if not said:
                continue
            syllables = said.split(" ")
            sounds.setdefault("".join(syllables), []).append((word, count))
            if len(syllables) > 1:
                initials.setdefault("".join(s[0] for s in syllables), []).append((word, count))
        return cls(_ranked(sounds), _ranked(initials))

    def __len__(self) -> int:
        return len(self.by_sound)


def spelt(words: Iterable[str]) -> list[str]:
    """Syllables of each word with spaces between, "" for words without Chinese characters."""
    return [" ".join(filter(None, syllables_of(word))) if has_han(word) else "" for word in words]


def cut_by_sound(letters: str, commonest: Callable[[str], Counted | None]) -> list[str]:
    """Letters as sounds of known words, the likeliest way: "pingguoshouji" gives ["pingguo", "shouji"].

    ``commonest`` gives the most common word of a sound, None where no word sounds so. Dynamic programming: a word
    costs a constant, so that few long words win over many short ones, and a common word costs less. [] when the
    letters cannot be read as words that exist.
    """
    if not _LATIN.fullmatch(letters):
        return []
    best: list[tuple[float, int]] = [(0.0, 0)]  # value of the letters up to here, where the last word begins
    for end in range(1, len(letters) + 1):
        ways = []
        for start in range(max(0, end - _LONGEST), end):
            found = commonest(letters[start:end]) if best[start][0] > -math.inf else None
            if found is not None:
                word, count = found
                ways.append((best[start][0] + 0.3 * math.log(count) - (4.0 if len(word) == 1 else 3.0), start))
        best.append(max(ways, default=(-math.inf, 0)))
    if best[-1][0] == -math.inf:
        return []
    out, end = [], len(letters)
    while end:
        start = best[end][1]
        out.append(letters[start:end])
        end = start
    return out[::-1]


def _ranked(table: dict[str, list[Counted]]) -> dict[str, tuple[Counted, ...]]:
    return {key: tuple(sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:12]) for key, pairs in table.items()}


def _pypinyin() -> Any:
    import pypinyin  # its dictionaries take a while: only for catalogues with Chinese words

    return pypinyin
