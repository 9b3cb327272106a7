"""Words that mean the same in this catalogue, from a file people edit.

# synonyms.txt: one line each; "," = each finds the others, "=>" = the left finds the right as well
手机, 电话, mobile phone
laptop => notebook, ultrabook

# synonyms.toml
same = [["手机", "电话", "mobile phone"]]
[also]
laptop = ["notebook", "ultrabook"]
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from zhiyin.base.errors import ConfigError, MissingDataError, nearest
from zhiyin.text.script import folded
from zhiyin.text.words_terms import spoken_words, variants

Phrase = tuple[str, ...]
"""Terms in order, as the index has them: "mobile phones" is ("mobil", "phon")."""


@dataclass(frozen=True)
class Synonyms:
    """Phrase -> other phrases that find it too. Used when a query is read: the index needs no rebuilding."""

    others: Mapping[Phrase, tuple[tuple[Phrase, str], ...]] = field(default_factory=dict)  # with what people read

    def __len__(self) -> int:
        return len(self.others)

    @cached_property
    def longest(self) -> int:
        """Words of the longest phrase that has synonyms; 0 when there are none."""
        return max((len(phrase) for phrase in self.others), default=0)

    def of(self, phrase: Phrase) -> tuple[tuple[Phrase, str], ...]:
        """What else finds this phrase: terms, and the same as it was written."""
        return self.others.get(phrase, ())

    @classmethod
    def from_pairs(cls, same: Iterable[Sequence[str]], also: Mapping[str, Sequence[str]] | None = None) -> Self:
        """``same``: groups whose members find each other; ``also``: a phrase that finds others as well."""
        table: dict[Phrase, dict[Phrase, str]] = {}
        ways = [(text, [other for other in group if other != text]) for group in same for text in group]
        for text, others in [*ways, *(also or {}).items()]:
            phrase = _phrase(text)
            table.setdefault(phrase, {}).update({_phrase(other): other for other in others if _phrase(other) != phrase})
        return cls({phrase: tuple(others.items()) for phrase, others in table.items()})

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """From a .txt or .toml file; raises ``ConfigError`` that names the line or the key, and what to write."""
        file = Path(path)
        try:
            text = file.read_text("utf-8-sig")
        except FileNotFoundError:
            raise MissingDataError(f"there is no synonym file '{path}'", "Check the path.") from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"synonym file '{path}' cannot be read: {error}", "Save it as UTF-8 text.") from None
        return cls._of_toml(text, str(path)) if file.suffix.lower() == ".toml" else cls._of_lines(text, str(path))

    @classmethod
    def _of_lines(cls, text: str, where: str) -> Self:
        same: list[list[str]] = []
        also: dict[str, list[str]] = {}
        for number, line in enumerate(text.splitlines(), 1):
            said = line.partition("#")[0].strip()
            if not said:
                continue
            left, arrow, right = said.partition("=>")
            words = _listed(right if arrow else left)
            starts = _listed(left) if arrow else words
            if "=>" in right or not starts or len(words) < (1 if arrow else 2):
                raise ConfigError(f"line {number} of '{where}' says no synonyms: '{said}'", "Write 'a, b, c' or 'a => b, c'.")
            _need_words([*starts, *words], f"line {number} of '{where}'")
            if not arrow:
                same.append(words)
                continue
            for start in starts:
                also.setdefault(start, []).extend(words)
        return cls.from_pairs(same, also)

    @classmethod
    def _of_toml(cls, text: str, where: str) -> Self:
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"'{where}' is not TOML: {error}", 'Write same = [["a", "b"]].') from None
        unknown = next((key for key in values if key not in ("same", "also")), None)
        if unknown is not None:
            raise ConfigError(f"unknown key '{unknown}' in '{where}'", nearest(unknown, ("same", "also")))
        same, also = values.get("same", []), values.get("also", {})
        if not isinstance(same, list):
            raise ConfigError(f"'same' in '{where}' must be a list of lists of words", 'Write same = [["a", "b"]].')
        if not isinstance(also, dict):
            raise ConfigError(f"'also' in '{where}' must be a table", 'Write [also] and below it a = ["b"].')
        for i, group in enumerate(same, 1):
            _need_list(group, f"group {i} of 'same' in '{where}'", 2)
        for key, group in also.items():
            _need_words([key], f"'also' in '{where}'")
            _need_list(group, f"'also.{key}' in '{where}'", 1)
        return cls.from_pairs(same, also)


def _listed(text: str) -> list[str]:
    return [word for part in text.replace("，", ",").split(",") if (word := part.strip())]


def _need_list(group: Any, place: str, least: int) -> None:
    if not isinstance(group, list) or len(group) < least or not all(isinstance(word, str) for word in group):
        raise ConfigError(f"{place} must be a list of {least} or more words, not {group!r}", "")
    _need_words(group, place)


def _need_words(words: Sequence[str], place: str) -> None:
    empty = next((word for word in words if not _phrase(word)), None)
    if empty is not None:
        raise ConfigError(f"{place} holds '{empty}', which has no letters", "Leave it out.")


def _phrase(text: str) -> Phrase:
    return tuple(variants(word)[0][0] for word in spoken_words(folded(text)))
