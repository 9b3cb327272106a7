"""The beginnings people type for a title: of its words, and of its pinyin."""

from __future__ import annotations

from functools import lru_cache

from zhiyin.text.pinyin import syllables_of
from zhiyin.text.script import folded, has_han
from zhiyin.text.words_terms import is_stop_word, spoken_words

MOST_STARTS = 5
"""Words of a title a prefix may begin with: the first ones name the thing."""

LONGEST = 60
"""Characters of a title that are read."""


def prefix_keys(title: str) -> list[str]:
    """Folded beginnings at each of the first words, then the same by sound and by initials where there is Chinese.

    苹果手机 gives 苹果手机, 手机, "pingguoshouji", "shouji", "pgsj", "sj".
    """
    words = spoken_words(folded(title[:LONGEST]))
    starts = [i for i, word in enumerate(words) if i == 0 or not is_stop_word(word)][:MOST_STARTS]
    keys = [_joined(words[i:]) for i in starts]
    if has_han(title):
        spoken = [_spoken(word) for word in words]
        keys += ["".join(sound for sound, _ in spoken[i:]) for i in starts]
        keys += ["".join(initials for _, initials in spoken[i:]) for i in starts]
    return list(dict.fromkeys(keys))


def prefix_of(typed: str) -> str:
    """What was typed so far, as keys are written; an open space at the end stays one."""
    words = spoken_words(folded(typed))
    return _joined(words) + (" " if words and typed[-1:].isspace() and not has_han(words[-1]) else "")


@lru_cache(maxsize=100_000)
def _spoken(word: str) -> tuple[str, str]:
    """Sound and initials of a word; a word of letters is both."""
    if not has_han(word):
        return word, word
    syllables = syllables_of(word)
    return "".join(syllables), "".join(syllable[0] for syllable in syllables if syllable)


def _joined(words: list[str]) -> str:
    """Chinese words without a space between them, others with one."""
    out = ""
    for word in words:
        out += f" {word}" if out and not (has_han(out[-1]) and has_han(word[0])) else word
    return out
