"""A placement: where a list stands, who fills it, what must not stand there, and what is written above it.

    [cart]
    about = "items"
    retrievers = [{ kind = "bought-together", popularity = 1.0 }]
    size = 6

    [cart.rules]
    max_text_similarity = 0.9

    [cart.title]
    en = "Goes with your cart"
    zh = "与购物车搭配"

One TOML file holds any number of them, each a table under its name.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from zhiyin.base.errors import ConfigError, MissingDataError
from zhiyin.base.spec import Spec
from zhiyin.data.schema import Repeat
from zhiyin.data.tables import toml_key, toml_value

Named = str | dict[str, Any]
"""A retriever or ranker: ``"model"`` is the recommender's own, ``"model.ease"`` its part of that kind,
another name or a table with a ``kind`` is a model of the placement's own."""

Language = Literal["en", "zh"]
_FIELDS = ("anchor", "verb", "place")


class Title(Spec):
    """What stands above the shelf. ``{anchor}``, ``{verb}`` and ``{place}`` are filled in; a part in square
    brackets with one of them is left out where it is unknown: "Trending[ in {place}]"."""

    en: str = ""
    zh: str = ""

    @field_validator("en", "zh")
    @classmethod
    def _known_fields(cls, text: str) -> str:
        for name in re.findall(r"\{([^{}]*)\}", text):
            if name not in _FIELDS:
                raise ValueError(f"the title '{text}' asks for {{{name}}}; known are {{anchor}}, {{verb}} and {{place}}")
        if re.search(r"[{}]", re.sub(r"\{\w+\}", "", text)):
            raise ValueError(f"the title '{text}' cannot be filled in: a brace stands alone")
        return text

    def told(self, language: Language, fields: dict[str, str]) -> str:
        """The title in a language (the other one where it is empty); "" where a field outside brackets is unknown."""
        text = (self.zh or self.en) if language == "zh" else (self.en or self.zh)
        text = re.sub(r"\[([^\[\]]*\{[^\[\]]*)\]", lambda part: part[1] if self._filled(part[1], fields) else "", text)
        return re.sub(r"\{(\w+)\}", lambda name: fields[name[1]], text) if self._filled(text, fields) else ""

    @staticmethod
    def _filled(text: str, fields: dict[str, str]) -> bool:
        return all(fields.get(name) for name in re.findall(r"\{(\w+)\}", text))


class Rules(Spec):
    """What may stand on the shelf. Rules about "the items" compare with what the shelf is about.

    ``category`` names the column (not set: the first of type category or domain). An item whose price is
    unknown passes no price rule; a price rule about items of unknown price is not applied.
    """

    category: str | None = None
    category_of_items: Literal["any", "same", "other"] = "any"
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_text_similarity: Annotated[float, Field(gt=0, le=1)] | None = None
    min_price_ratio: Annotated[float, Field(ge=0)] | None = None
    max_price_ratio: Annotated[float, Field(gt=0)] | None = None
    fresh_days: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _prices_in_order(self) -> Rules:
        if self.min_price_ratio is not None and self.max_price_ratio is not None and self.min_price_ratio > self.max_price_ratio:
            raise ValueError(f"'min_price_ratio' = {self.min_price_ratio:g} lies above 'max_price_ratio' = {self.max_price_ratio:g}")
        return self

    @property
    def about_items(self) -> bool:
        """True where a rule compares with the items of the shelf."""
        compared = (self.max_text_similarity, self.min_price_ratio, self.max_price_ratio)
        return self.category_of_items != "any" or any(value is not None for value in compared)


class Placement(Spec):
    """``retrievers`` answer in order, each filling what the ones before left; a ``ranker`` orders the first
    ``depth`` of them. ``fill`` lets popular items follow.

    ``about``: "person" (all he did), "last" (his newest item, or the last one given), "items" (those given, or
    his newest basket), "words" (a text); "last" and the newest basket need an order. Retrievers see only what the
    shelf is about, the ranker always sees the whole person; the items a shelf is about never stand on it.
    ``rerankers`` work on the list in their order (``zhiyin.models.rerank``): names, or tables with a ``kind`` and its settings.
    ``repeat`` not set is the policy of the data. A page leaves out a shelf with fewer than ``least`` items.
    """

    name: str
    retrievers: Annotated[tuple[Named, ...], Field(min_length=1)] = ("model",)
    ranker: Named | None = None
    about: Literal["person", "last", "items", "words"] = "person"
    rerankers: tuple[Named, ...] = ()
    repeat: Repeat | None = None
    rules: Rules = Field(default_factory=Rules)
    size: Annotated[int, Field(ge=1)] = 10
    least: Annotated[int, Field(ge=1)] = 1
    depth: Annotated[int, Field(ge=1)] = 100
    fill: bool = False
    title: Title = Field(default_factory=Title)

    @model_validator(mode="after")
    def _rules_have_items(self) -> Placement:
        if self.rules.about_items and self.about not in ("last", "items"):
            raise ValueError(f'rules that compare with items need about = "last" or "items", and \'{self.name}\' is about the {self.about}')
        return self

    @property
    def models(self) -> tuple[Named, ...]:
        """Every retriever and ranker it names."""
        return self.retrievers if self.ranker is None else (*self.retrievers, self.ranker)


def read_placements(file: str | Path) -> tuple[Placement, ...]:
    """The placements of a TOML file; raises ``MissingDataError`` or ``ConfigError`` with the place of the mistake."""
    path = Path(file)
    if not path.is_file():
        raise MissingDataError(f"there is no file '{file}'", "Give a TOML file with one table for each placement.")
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"'{file}' is not TOML: {error}", "Write one table for each placement, such as [cart].") from None
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise ConfigError(f"'{name}' in {file} is no placement", "Write one table for each placement, such as [cart].")
    if not tables:
        raise ConfigError(f"'{file}' holds no placement", "Write one table for each placement, such as [cart].")
    return tuple(Placement.parse({"name": name, **table}, f"placement '{name}'") for name, table in tables.items())


def placements_toml(placements: Iterable[Placement]) -> str:
    """Placements as ``read_placements`` reads them; what is at its default is left out."""
    lines: list[str] = []
    for placement in placements:
        values = placement.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
        values = {"retrievers": placement.retrievers, **values}
        if placement.repeat is not None:  # never = {} by its defaults, which says nothing to people
            values["repeat"] = placement.repeat.model_dump(mode="json", exclude_none=True)
        lines += [f"[{toml_key(placement.name)}]", *(f"{k} = {toml_value(v)}" for k, v in values.items() if k != "name"), ""]
    return "\n".join(lines).rstrip()
