"""Typed columns to the text an encoder reads: English and Chinese, versioned, bounded.

The version enters every fingerprint: change a template, raise ``version``, and vectors made before
count as made by something else.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import Field

from zhiyin.base.errors import ConfigError, nearest
from zhiyin.base.spec import Spec
from zhiyin.data.catalog import Catalog
from zhiyin.data.schema import ColumnType, Manifest

Language = Literal["en", "zh"]

READABLE: tuple[ColumnType, ...] = ("category", "list", "price", "text")
"""Column types a template speaks, in the order it speaks them; bare numbers and places say nothing in words."""

_TAG = re.compile(r"<(script|style)\b[^>]*>.*?</\1\s*>|<!--.*?-->|</?[a-zA-Z][^<>]*>", re.DOTALL | re.IGNORECASE)
_SPACE = re.compile(r"\s+")
_ENDED = tuple(".!?;:。！？；：…")
_LIST_SEPARATOR = re.compile(r"\s*[|;\t]\s*")
_QUOTED = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")
_CJK = re.compile(r"[㐀-䶿一-鿿豈-﫿]")

_WORDS: dict[Language, dict[str, str]] = {
    "en": {"label": "{}: {}", "join": ", ", "stop": ".", "gap": " ", "price": "price", "liked": "liked", "now": "now"},
    "zh": {"label": "{}：{}", "join": "、", "stop": "。", "gap": "", "price": "价格", "liked": "喜欢", "now": "现在"},
}


def plain(value: Any) -> str:
    """One line of text without HTML, entities, control characters and doubled spaces; None gives ""."""
    if value is None or value != value:
        return ""
    text = str(value)
    if "<" in text:
        text = _TAG.sub(" ", text)
    if "&" in text:
        text = html.unescape(text)
    text = unicodedata.normalize("NFC", text).replace("\x00", " ")
    return _SPACE.sub(" ", text).strip()


def listed(value: Any) -> list[str]:
    """The parts of a list column: a real list, ``a|b|c``, or a printed Python or JSON list."""
    if value is None:
        return []
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("[") and text.endswith("]"):
            parts: Iterable[Any] = [a or b for a, b in _QUOTED.findall(text)] or text[1:-1].split(",")
        else:
            parts = _LIST_SEPARATOR.split(text)
    else:
        parts = value if isinstance(value, Iterable) else [value]
    return list(dict.fromkeys(p for p in (plain(part) for part in parts) if p))


def language_of(texts: Iterable[str]) -> Language:
    """``zh`` where at least a fifth of the letters are Chinese characters, else ``en``."""
    letters = chinese = 0
    for text in texts:
        letters += sum(c.isalpha() for c in text)
        chinese += len(_CJK.findall(text))
    return "zh" if letters and chinese >= 0.2 * letters else "en"


def shortened(text: str, limit: int) -> str:
    """At most ``limit`` characters, cut between words where there are any."""
    if len(text) <= limit:
        return text
    cut = text[:limit]
    space = cut.rfind(" ")
    return (cut[:space] if space > limit // 2 else cut).rstrip(" ,;:，；：、")


class ItemTemplate(Spec):
    """Says an item in words: title, categories, lists, price, then long text, each within its budget.

    Budgets are characters: an encoder reads about 256 tokens (some 1,000 English characters), so a
    long description must not push the rest out. English items read "Title. Brand: Acme. Text",
    Chinese ones 「标题。品牌：某某。正文」.
    """

    version: Literal[1] = 1
    language: Language = "en"
    title: str | None = None
    columns: dict[str, ColumnType] = Field(default_factory=dict)
    title_budget: Annotated[int, Field(ge=1)] = 200
    label_budget: Annotated[int, Field(ge=1)] = 120
    text_budget: Annotated[int, Field(ge=1)] = 600

    def texts(self, table: pl.DataFrame) -> list[str]:
        """One text per row; "" where a row says nothing. Absent columns are skipped."""
        spoken = self._spoken(table.columns)
        columns = [table[name].to_list() for name, _ in spoken]
        kinds = [kind for _, kind in spoken]
        names = [name for name, _ in spoken]
        if not columns:
            return [""] * table.height
        return [self._sentence(names, kinds, row) for row in zip(*columns, strict=True)]

    def _spoken(self, present: Sequence[str]) -> list[tuple[str, str]]:
        """Columns in speaking order with their kind; the title first."""
        spoken = [(self.title, "title")] if self.title is not None and self.title in present else []
        for kind in READABLE:
            spoken += [(name, kind) for name, k in self.columns.items() if k == kind and name != self.title and name in present]
        return spoken

    def _sentence(self, names: Sequence[str], kinds: Sequence[str], row: Sequence[Any]) -> str:
        parts = [self._segment(name, kind, value) for name, kind, value in zip(names, kinds, row, strict=True)]
        return joined(parts, self.language)

    def _segment(self, name: str, kind: str, value: Any) -> str:
        words = _WORDS[self.language]
        if kind == "title":
            return shortened(plain(value), self.title_budget)
        if kind == "text":
            text = " ".join(listed(value)) if _looks_listed(value) else plain(value)
            return shortened(text, self.text_budget)
        said = plain(value) if kind == "price" else words["join"].join(listed(value))
        label = words["price"] if kind == "price" else _label(name)
        return words["label"].format(label, shortened(said, self.label_budget)) if said else ""


def joined(parts: Iterable[str], language: Language) -> str:
    """Sentences one after another, each ended, empty ones left out."""
    words = _WORDS[language]
    said = [part for part in parts if part]
    ended = [part if part.endswith(_ENDED) else part + words["stop"] for part in said[:-1]]
    return words["gap"].join(ended + said[-1:])


def user_text(columns: Mapping[str, Any], liked: Sequence[str] = (), language: Language = "en", budget: int = 600) -> str:
    """A person in words: known columns, then the titles he liked, newest first, within the budget."""
    words = _WORDS[language]
    facts = [words["label"].format(_label(name), words["join"].join(listed(value))) for name, value in columns.items() if listed(value)]
    titles = words["join"].join(t for t in (plain(title) for title in liked) if t)
    return shortened(joined([*facts, words["label"].format(words["liked"], titles) if titles else ""], language), budget)


def context_text(columns: Mapping[str, Any], language: Language = "en", budget: int = 200) -> str:
    """The circumstances of a request in words: "Now: daytime evening, weather rainy"."""
    words = _WORDS[language]
    said = words["join"].join(f"{_label(name)} {' '.join(listed(value))}" for name, value in columns.items() if listed(value))
    return shortened(words["label"].format(words["now"], said), budget) if said else ""


def template_for(manifest: Manifest, catalog: Catalog, sample: int = 500) -> ItemTemplate:
    """The template a manifest asks for; ``auto`` picks the language from evenly spaced rows."""
    if manifest.template not in ("auto", "en", "zh"):
        raise ConfigError(f"no text template is named '{manifest.template}'", nearest(manifest.template, ["auto", "en", "zh"]))
    columns = dict(manifest.items.columns) if manifest.items else {}
    template = ItemTemplate(title=catalog.title_column, columns=columns)
    asked = manifest.template if manifest.template != "auto" else manifest.language
    if asked == "auto":
        step = max(1, catalog.table.height // sample)
        asked = language_of(template.texts(catalog.table.gather_every(step)))
    return template.model_copy(update={"language": asked})


def _label(name: str) -> str:
    return plain(name).replace("_", " ")


def _looks_listed(value: Any) -> bool:
    if isinstance(value, str):
        text = value.strip()
        return text.startswith(("['", '["')) and text.endswith(("']", '"]'))
    return value is not None and isinstance(value, Iterable)
