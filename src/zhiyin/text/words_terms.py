"""Text to the terms an index counts: stems for alphabets, words and pairs of characters for Chinese.

Chinese is cut twice: jieba's words (and the words within long ones) say what is meant, overlapping pairs of
characters find what was cut otherwise here and there. Compounds are kept whole and in parts, so that "wi-fi",
"wifi", "iphone15" and "iphone 15" meet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from zhiyin.text.script import HAN, folded, has_han
from zhiyin.text.words import chinese_words
from zhiyin.text.words_english import STOP_WORDS, stem

_CHINESE = """
的 了 着 是 在 和 与 或 及 也 都 就 还 很 我 你 他 她 它 我们 你们 他们 这 那 这个 那个 有 没有 给 把 被 对 从 到 于 以 为 之 等 吗 呢 吧
啊 呀 请 想 要 想要 有没有 什么 哪些 哪个 怎么 一个 一些
"""
_STOP = STOP_WORDS | frozenset(_CHINESE.split())

_TOKEN = re.compile(f"[{HAN}]+|[^\\W_{HAN}]+(?:['’.\\-‐-–+&/][^\\W_{HAN}]+)*")
_PART = re.compile(r"\d+(?:\.\d+)+[^\W_]*|[^\W_]+")
_NUMBER = re.compile(r"\d+(?:[.\-/]\d+)+")
_MIXED = re.compile(r"[^\W\d_]+|\d+(?:\.\d+)*")
_LONGEST = 64
"""Characters of a term; what is longer (a link, a code) is cut there."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a text says: ``terms`` to index, in order, and the ``words`` people would type for it."""

    terms: list[str]
    words: list[str]


def is_stop_word(word: str) -> bool:
    """Whether a folded word says nothing in a long text."""
    return word in _STOP


def said(text: str, *, in_title: bool = False) -> Said:
    """Terms and words of a text; stop words are kept ``in_title``, where they may be the name."""
    terms: list[str] = []
    words: list[str] = []
    for token in tokens_of(folded(text)):
        if has_han(token):
            cut = [word for word in chinese_words(token, parts=True) if in_title or word not in _STOP]
            words.extend(cut)
            terms.extend(cut)
            terms.extend(pair for pair in pairs_of(token) if len(pair) == 2 and pair not in cut)
            if in_title:  # people ask for 鞋 and mean the 运动鞋
                terms.extend(character for character in token if character not in cut)
        elif in_title or token not in _STOP:
            words.extend(parts_of(token))
            terms.extend(term for variant in variants(token) for term in variant)
    return Said(terms, words)


def tokens_of(text: str) -> Iterator[str]:
    """Runs of Chinese characters and words with their inner hyphens and points, of a folded text."""
    for token in _TOKEN.findall(text):
        plain = re.sub(r"['’]s$", "", token)
        yield plain if has_han(plain) else plain[:_LONGEST]


@lru_cache(maxsize=200_000)
def variants(token: str) -> tuple[tuple[str, ...], ...]:
    """The terms of a token, the most literal way first; each way is terms that stand together.

    "shoes" gives (("sho",),), "wi-fi" (("wifi",), ("wi", "fi")), "iphone15" (("iphone15",), ("iphon", "15")),
    手机壳 (("手机壳",), ("手机", "机壳")).
    """
    if has_han(token):
        return ((token,), tuple(pairs_of(token))) if len(token) > 2 else ((token,),)
    if _NUMBER.fullmatch(token):
        return ((token,),)
    parts = _PART.findall(token)
    if len(parts) > 1:
        return (("".join(parts),), tuple(stem(part) for part in parts))
    mixed = _MIXED.findall(token)
    if len(mixed) > 1 and any(len(part) > 1 for part in mixed):
        return ((token,), tuple(stem(part) for part in mixed))
    return ((stem(token),),)


def parts_of(token: str) -> list[str]:
    """A token as words people type: itself, or its parts and the whole without hyphens."""
    parts = _PART.findall(token)
    return parts if len(parts) == 1 else [*parts, "".join(parts)]


def pairs_of(run: str) -> list[str]:
    """Neighbouring characters, two by two; the character itself where there is one alone."""
    return [run[i : i + 2] for i in range(len(run) - 1)] or [run]


def spoken_words(text: str) -> list[str]:
    """Folded text as a row of words: how a query and a synonym are compared."""
    return [word for token in tokens_of(text) for word in (chinese_words(token) if has_han(token) else [token])]
