"""Text to words: jieba for Chinese runs, letters and digits elsewhere."""

from __future__ import annotations

import logging
import re
import unicodedata
import warnings
from functools import cache
from typing import Any

_RUN = re.compile(r"[㐀-䶿一-鿿豈-﫿]+|[^\W_㐀-䶿一-鿿豈-﫿]+")
_HAN = re.compile(r"[㐀-䶿一-鿿豈-﫿]")


def words_of(text: str) -> list[str]:
    """Lower-case words in order; Chinese runs are cut by jieba, punctuation is dropped."""
    words: list[str] = []
    for run in _RUN.findall(unicodedata.normalize("NFKC", text).lower()):
        if _HAN.match(run):
            words.extend(_jieba().cut(run))
        else:
            words.append(run)
    return words


def chinese_words(run: str, *, parts: bool = False) -> list[str]:
    """The words of a run of Chinese characters, in order; ``parts`` also gives the words within long words."""
    return list(_jieba().cut_for_search(run) if parts else _jieba().cut(run))


@cache
def _jieba() -> Any:
    """jieba's default dictionary, loaded at the first Chinese word (about a second)."""
    with warnings.catch_warnings():
        # jieba's sources hold invalid escapes and import the deprecated pkg_resources where it exists.
        warnings.simplefilter("ignore")
        import jieba
    jieba.setLogLevel(logging.WARNING)
    tokenizer = jieba.Tokenizer()
    tokenizer.initialize()
    return tokenizer
