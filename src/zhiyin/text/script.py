"""One spelling for one word: full and half width, case, accents, traditional and simplified Chinese."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Any

HAN = "㐀-䶿一-鿿豈-﫿"
_HAN = re.compile(f"[{HAN}]")
_FIRST_LETTERS_WITH_MARKS = re.compile("[\u00c0-\u024f\u1e00-\u1eff]")
_MARK = re.compile("[\u0300-\u036f]")


def has_han(text: str) -> bool:
    """Whether a Chinese character stands in it."""
    return _HAN.search(text) is not None


def folded(text: str) -> str:
    """What two spellings of the same words share: "Café ＵＳＢ 手機" becomes "cafe usb 手机".

    NFKC, case folded, Latin letters without their marks, Chinese simplified character by character. Titles and
    queries are folded alike, so it need not be good Chinese: 乾坤 and 干坤 become the same, and find each other.
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    if text.isascii():
        return text
    if _FIRST_LETTERS_WITH_MARKS.search(text):
        text = unicodedata.normalize("NFC", _MARK.sub("", unicodedata.normalize("NFD", text)))
    return text.translate(_simple_of()) if has_han(text) else text


def simplified(text: str) -> str:
    """Simplified Chinese in the words of the mainland: 滑鼠 becomes 鼠标, 計程車 出租车."""
    return str(_converter("tw2sp").convert(text))


def traditional(text: str) -> str:
    """Traditional Chinese characters, phrase by phrase: 头发 becomes 頭髮, 发现 發現."""
    return str(_converter("s2t").convert(text))


@cache
def _simple_of() -> dict[int, str]:
    """Traditional character -> simplified one, for every character that has one."""
    convert = _converter("t2s").convert
    every = [chr(c) for start, end in ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF)) for c in range(start, end + 1)]
    return {ord(c): simple for c in every if (simple := str(convert(c))) != c and len(simple) == 1}


@cache
def _converter(name: str) -> Any:
    """An OpenCC conversion; its dictionaries are files of the package, read at the first use."""
    from opencc import OpenCC

    return OpenCC(name)
