"""What somebody typed, as groups of terms to look for, each with the way it was read.

A word the catalogue has is taken literally. Any other is read, in this order, as the sound of Chinese words
("shou ji"), as a misspelling (one or two edits), as initials ("sj"); an unknown Chinese word as its homophones (手鸡),
its neighbours by one character, its pairs of characters. Weights fall with the liberty taken (``WORTH``). Neighbouring
characters count a little beside the words: they know the order, and survive a mistake that breaks the words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby

from zhiyin.index.lexical import Alternative, Group
from zhiyin.text.pinyin import Counted, sound_of
from zhiyin.text.script import folded, has_han, simplified
from zhiyin.text.synonyms import Phrase, Synonyms
from zhiyin.text.words_lexicon import Lexicon
from zhiyin.text.words_terms import is_stop_word, pairs_of, spoken_words, variants

WORTH = {"word": 1.0, "parts": 0.9, "pinyin": 0.9, "synonym": 0.8, "sound": 0.7, "typo": 0.7, "initials": 0.5}
"""How much a match counts beside the word itself; a typo counts ``typo ** edits``."""

OPTIONAL_WEIGHT = 0.3
"""Of a stop word, and of two characters side by side that belong to different words."""

MOST_WAYS = 6
MOST_PAIRS = 32
RARE = 0.1
"""Letters the catalogue has this much less often than the Chinese words they sound like are taken for pinyin."""

_LETTERS = re.compile("[a-z]+")


@dataclass(frozen=True, slots=True)
class Way:
    """One reading of a typed word: terms that must stand together, in words people read, and how it was got."""

    terms: tuple[str, ...]
    weight: float
    word: str
    how: str


@dataclass(frozen=True, slots=True)
class Part:
    """One thing typed and the ways to read it, the best first; without ways nobody has it."""

    typed: str
    ways: tuple[Way, ...]
    required: bool = True


@dataclass(frozen=True)
class Reading:
    """A query as understood; ``pairs`` are its neighbouring Chinese characters, however they were cut into words."""

    text: str
    parts: tuple[Part, ...]
    pairs: tuple[str, ...] = ()

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """For the index."""
        asked = [
            Group(tuple(Alternative(way.terms, way.weight) for way in part.ways), 1.0 if part.required else OPTIONAL_WEIGHT, part.required)
            for part in self.parts
        ]
        beside = [Group((Alternative((pair,)),), OPTIONAL_WEIGHT, required=False) for pair in self.pairs]
        return (*asked, *beside)

    def preferring(self, terms: Container[str]) -> Reading:
        """The same with the ways first whose terms are among these: how the item that has them was meant."""
        parts = [
            replace(part, ways=tuple(sorted(part.ways, key=lambda way: not all(term in terms for term in way.terms))))
            for part in self.parts
        ]
        return replace(self, parts=tuple(parts))

    @property
    def n_required(self) -> int:
        return sum(part.required for part in self.parts)

    @property
    def changed(self) -> bool:
        """Whether some word was not taken literally."""
        return any(part.ways and part.ways[0].how not in ("word", "parts") for part in self.parts)

    @cached_property
    def understood(self) -> str:
        """The words as they were read, for people and for encoders."""
        words = [part.ways[0].word if part.ways else part.typed for part in self.parts]
        out = ""
        for word in words:
            out += f" {word}" if out and not (has_han(out[-1]) and has_han(word[0])) else word
        return out


@dataclass(frozen=True)
class QueryReader:
    """Reads queries by the words of a catalogue; ``count`` says how many rows of the index hold a term."""

    lexicon: Lexicon
    count: Callable[[str], int]
    synonyms: Synonyms = field(default_factory=Synonyms)

    def read(self, text: str, *, lenient: bool = False) -> Reading:
        """The groups of a query; ``lenient`` also doubts words the catalogue has, for queries that found nothing."""
        words = self._words(text)
        parts: list[Part] = []
        at = 0
        while at < len(words):
            part, taken = self._part(words, at, lenient)
            parts += part
            at += taken
        distinct = list(dict.fromkeys(parts))
        if not any(part.required for part in distinct):
            distinct = [Part(part.typed, part.ways) for part in distinct]
        had = {term for part in distinct for way in part.ways for term in way.terms}
        pairs = [pair for run in _runs(words) for pair in pairs_of(run) if pair not in had and self.count(pair)]
        return Reading(text, tuple(distinct), tuple(dict.fromkeys(pairs))[:MOST_PAIRS])

    def _words(self, text: str) -> list[str]:
        """Folded words; in the mainland's vocabulary where the catalogue knows more of it (滑鼠, 鼠标)."""
        plain = spoken_words(folded(text))
        if not has_han(text):
            return plain
        other = spoken_words(folded(simplified(text)))
        unknown = [sum(has_han(word) and not self.count(word) for word in words) for words in (plain, other)]
        return other if unknown[1] < unknown[0] else plain

    def _part(self, words: Sequence[str], at: int, lenient: bool) -> tuple[list[Part], int]:
        """The part or parts that begin here, and how many words they take."""
        for n in range(min(self.synonyms.longest, len(words) - at), 1, -1):
            phrase = tuple(variants(word)[0][0] for word in words[at : at + n])
            others = self.synonyms.of(phrase)
            if others:
                typed = " ".join(words[at : at + n])
                return [Part(typed, (Way(phrase, 1.0, typed, "word"), *_synonym_ways(others)))], n
        stretch = self._foreign_letters(words, at)
        for n in range(len(stretch), 1, -1):
            sounds = self.lexicon.cut("".join(stretch[:n]))
            if sounds:
                return [self._sounding(sound) for sound in sounds], n
        singles = _single_characters(words, at)
        if len(singles) > 1:
            part = self._chinese("".join(singles))
            if part.ways:
                return [part], len(singles)
        return self._word(words[at], lenient), 1

    def _foreign_letters(self, words: Sequence[str], at: int) -> list[str]:
        """Words from here on that may be pinyin: the first one is, stop words ("he", "me") may be behind it."""
        out: list[str] = []
        for word in words[at:]:
            if not _LETTERS.fullmatch(word) or not (self._foreign(word) or (out and is_stop_word(word))):
                break
            out.append(word)
        return out

    def _foreign(self, word: str) -> bool:
        """Whether letters are unknown, or rare beside the Chinese words they sound like."""
        if not self._known(word):
            return True
        heard = self.lexicon.heard(word)
        return bool(heard) and self.lexicon.count(word) < RARE * heard[0][1]

    def _known(self, word: str) -> bool:
        return bool(self.lexicon.count(word)) or any(all(map(self.count, terms)) for terms in variants(word))

    def _word(self, word: str, lenient: bool) -> list[Part]:
        if has_han(word):
            return [self._chinese(word, lenient=lenient)]
        literal = [
            Way(terms, WORTH["word"] if i == 0 else WORTH["parts"], word, "word" if i == 0 else "parts")
            for i, terms in enumerate(variants(word))
            if all(map(self.count, terms))
        ]
        literal += _synonym_ways(self.synonyms.of(variants(word)[0][:1]))
        if literal and not lenient and self.lexicon.heard(word) and self._foreign(word):
            literal += self._sounding(word).ways
        if is_stop_word(word) or (literal and not lenient):
            return [Part(word, tuple(literal), not is_stop_word(word))]
        sounds = self.lexicon.cut(word)
        if len(sounds) > 1 and not literal:
            return [self._sounding(sound) for sound in sounds]
        ways = [*literal, *(self._sounding(word).ways if sounds else ()), *self._misspelt(word)]
        if not ways and 2 <= len(word) <= 6:
            ways = _by_share(self.lexicon.abbreviated(word), "initials", 0.5)
        return [Part(word, tuple(ways[: MOST_WAYS + len(literal)]))]

    def _sounding(self, sound: str) -> Part:
        return Part(sound, tuple(_by_share(self.lexicon.heard(sound), "pinyin", 0.25)[:MOST_WAYS]))

    def _misspelt(self, word: str, edits: int | None = None) -> list[Way]:
        if any(c.isdigit() for c in word):  # another number is another thing
            return []
        near = self.lexicon.near(word, edits)[:MOST_WAYS]
        most = max((n.count for n in near), default=1)
        # Of two words as near, the common one was meant.
        return [Way(variants(n.word)[0], WORTH["typo"] ** n.distance * (0.7 + 0.3 * n.count / most), n.word, "typo") for n in near]

    def _chinese(self, word: str, *, lenient: bool = False) -> Part:
        """A Chinese word: itself, its pairs of characters, its synonyms; what sounds or looks alike when it is unknown."""
        ways = [
            Way(terms, WORTH["word"] if i == 0 else WORTH["parts"], word, "word" if i == 0 else "parts")
            for i, terms in enumerate(variants(word))
            if all(map(self.count, terms))
        ]
        ways += _synonym_ways(self.synonyms.of((word,)))
        if (not ways or lenient) and len(word) > 1:
            alike = [pair for pair in self.lexicon.heard(sound_of(word)) if pair[0] != word]
            ways += _by_share(alike, "sound", 0.25)[:4]
            ways += self._misspelt(word, 1)[:4]
        return Part(word, tuple(ways), not is_stop_word(word))


def _synonym_ways(others: Sequence[tuple[Phrase, str]]) -> list[Way]:
    return [Way(terms, WORTH["synonym"], written, "synonym") for terms, written in others]


def _by_share(pairs: Sequence[Counted], how: str, power: float) -> list[Way]:
    """Words as ways, the more common ones worth more."""
    most = pairs[0][1] if pairs else 1
    return [Way(variants(word)[0], WORTH[how] * (count / most) ** power, word, how) for word, count in pairs[:MOST_WAYS]]


def _runs(words: Sequence[str]) -> Iterator[str]:
    """Chinese words that stand side by side, joined."""
    for chinese, run in groupby(words, has_han):
        if chinese:
            yield "".join(run)


def _single_characters(words: Sequence[str], at: int) -> list[str]:
    """Chinese characters from here on that are words of their own: a misspelt word falls apart into them."""
    out = []
    for word in words[at:]:
        if len(word) != 1 or not has_han(word) or is_stop_word(word):
            break
        out.append(word)
    return out
