"""Business rules as people write them: one TOML file, a table for each rule.

zone = "Asia/Shanghai"

[regions]
north = ["beijing", "tianjin"]

[pin.summer]                        # the name is what answers and reports call it
item = "sku-17"
position = 1
placements = ["home"]
from = 2026-06-01
until = 2026-08-31                  # a day is meant to its end

[boost.fresh]
filter = "published > 2026-05-01"
factor = 1.5                        # counts as that much more relevant; or: steps = 3

[bury.clearance]
filter = 'category = "clearance"'
places = 20                         # or: factor = 0.5; 0 sends it to the end

[quota.local]
filter = "local"
at_least = 2
at_most = 5
of = 10                             # of the first ten places; left out: of the whole list
regions = ["north"]
days = ["sat", "sun"]
hours = ["18:00-02:00"]             # belongs to the day on which it begins
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from zhiyin.base.errors import ConfigError, MissingDataError, nearest
from zhiyin.base.spec import Spec
from zhiyin.spacetime.calendar import zone

Kind = Literal["pin", "boost", "bury", "quota"]
KINDS: tuple[Kind, ...] = ("pin", "boost", "bury", "quota")
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_HOURS = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")


class Rule(Spec):
    """Where and when a rule holds; what is left out means everywhere and always.

    ``places`` are those of the events' place column, ``regions`` named lists of them. Times without an offset
    are on the clocks of ``zone`` (that of the file when left out).
    """

    placements: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    begins: datetime | date | None = Field(default=None, alias="from")
    ends: datetime | date | None = Field(default=None, alias="until")
    days: tuple[Day, ...] = ()
    hours: tuple[str, ...] = ()
    zone: str | None = None

    @field_validator("begins", "ends", mode="before")
    @classmethod
    def _a_time(cls, value: Any) -> Any:
        if value is not None and not isinstance(value, date):
            raise ValueError("write a date or a time without quotes, such as 2026-06-01 or 2026-06-01T18:00:00")
        return value

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, name: str | None) -> str | None:
        return None if name is None else checked_zone(name)

    @field_validator("hours")
    @classmethod
    def _readable(cls, hours: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for said in hours:
                minutes_of(said)
        except ConfigError as error:
            raise ValueError(f"{error.message}. {error.hint}") from None
        return hours


class Pin(Rule):
    """This item stands at this position (1 = first)."""

    item: str
    position: Annotated[int, Field(ge=1)]

    @field_validator("item", mode="before")
    @classmethod
    def _id(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Filtered(Rule):
    """A rule about the items that pass a filter (``zhiyin.data.filters``)."""

    filter: str | dict[str, Any]


class Boost(Filtered):
    """Items count as ``factor`` times as relevant, or stand ``steps`` further up."""

    factor: Annotated[float, Field(gt=1)] | None = None
    steps: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Boost:
        _one_way(self.factor, self.steps)
        return self


class Bury(Filtered):
    """Items count as ``factor`` times as relevant (0 = to the end), or stand ``steps`` further down."""

    factor: Annotated[float, Field(ge=0, lt=1)] | None = None
    steps: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Bury:
        _one_way(self.factor, self.steps)
        return self


class Quota(Filtered):
    """At least and at most so many of the first ``of`` places (None = the whole list) hold items of the filter."""

    at_least: Annotated[int, Field(ge=1)] | None = None
    at_most: Annotated[int, Field(ge=0)] | None = None
    of: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Quota:
        if self.at_least is None and self.at_most is None:
            raise ValueError("a quota needs 'at_least' or 'at_most'")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"at_least = {self.at_least} is more than at_most = {self.at_most}")
        if self.at_least is not None and self.of is not None and self.at_least > self.of:
            raise ValueError(f"at_least = {self.at_least} does not fit into the first {self.of}")
        return self


class Book(Spec):
    """All rules of a file by kind and name; within a kind the earlier rule goes first."""

    zone: str = "UTC"
    regions: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    pin: dict[str, Pin] = Field(default_factory=dict)
    boost: dict[str, Boost] = Field(default_factory=dict)
    bury: dict[str, Bury] = Field(default_factory=dict)
    quota: dict[str, Quota] = Field(default_factory=dict)

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        return checked_zone(name)

    @model_validator(mode="after")
    def _known_regions(self) -> Book:
        for kind, name, rule in self.rules():
            for region in rule.regions:
                if region not in self.regions:
                    hint = nearest(region, self.regions) or "Name its places under [regions]."
                    raise ValueError(f"{kind} '{name}' holds in a region '{region}' that is not there. {hint}")
        return self

    def rules(self) -> Iterator[tuple[Kind, str, Rule]]:
        """Every rule with its kind and name, kinds in the order of ``KINDS``."""
        for kind in KINDS:
            for name, rule in getattr(self, kind).items():
                yield kind, name, rule


@dataclass(frozen=True)
class RuleFile:
    """A book and where each of its rules stands: ``lines[kind, name]`` counts from 1, 0 where that is not known."""

    book: Book = field(default_factory=Book)
    name: str = "rules"
    lines: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def where(self, kind: str, name: str) -> str:
        """ "rules.toml line 12 [pin.summer]"."""
        line = self.lines.get((kind, name), 0)
        return f"{self.name} line {line} [{kind}.{name}]" if line else f"{self.name} [{kind}.{name}]"


def read_rules(path: str | Path) -> RuleFile:
    """The rules of a TOML file; raises ``MissingDataError`` or ``ConfigError`` with the place of the mistake."""
    file = Path(path)
    if not file.is_file():
        raise MissingDataError(f"there is no file '{path}'", "Give a TOML file with tables such as [pin.summer].")
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"'{path}' is not UTF-8 text: {error}", "Save it as UTF-8.") from None
    return parse_rules(text, file.name)


def parse_rules(text: str, name: str = "rules") -> RuleFile:
    """The rules in a text; ``name`` is what messages call it."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name} is not TOML: {error}", "Write a table for each rule, such as [pin.summer].") from None
    lines = _lines(text)
    made: dict[str, Any] = {key: value for key, value in tables.items() if key not in KINDS}
    for kind, form in (("pin", Pin), ("boost", Boost), ("bury", Bury), ("quota", Quota)):
        rules = tables.get(kind, {})
        if not isinstance(rules, dict) or not all(isinstance(rule, dict) for rule in rules.values()):
            raise ConfigError(f"'{kind}' in {name} is no table of rules", f"Write [{kind}.NAME] above the settings of a rule.")
        places = {rule: RuleFile(name=name, lines=lines).where(kind, rule) for rule in rules}
        made[kind] = {rule: form.parse(values, places[rule]) for rule, values in rules.items()}
    return RuleFile(Book.parse(made, name), name, lines)


def minutes_of(hours: str) -> tuple[int, int]:
    """ "18:00-02:00" -> minutes of the day (1080, 120); raises ``ConfigError``."""
    found = _HOURS.fullmatch(hours.strip())
    begin, end = (60 * int(found[1]) + int(found[2]), 60 * int(found[3]) + int(found[4])) if found else (-1, -1)
    if found is None or int(found[2]) > 59 or int(found[4]) > 59 or begin >= 1440 or end > 1440:
        raise ConfigError(f"'{hours}' is no part of a day", 'Write hours like "09:00-17:30", or "22:00-02:00" over midnight.')
    return begin, end


def checked_zone(name: str) -> str:
    """The name itself; for validators, so that the error gets its place in the file."""
    try:
        zone(name)
    except ConfigError as error:
        raise ValueError(f"{error.message}. {error.hint}") from None
    return name


def _one_way(factor: float | None, steps: int | None) -> None:
    if (factor is None) == (steps is None):
        raise ValueError("give either 'factor' or 'steps'")


def _lines(text: str) -> dict[tuple[str, str], int]:
    """Where each [kind.name] stands; tables written in another way are not found, and their line stays unknown."""
    out = {}
    header = re.compile(rf"""^\s*\[\s*({"|".join(KINDS)})\s*\.\s*(?:"([^"]+)"|'([^']+)'|([\w-]+))\s*\]""")
    for number, line in enumerate(text.splitlines(), 1):
        found = header.match(line)
        if found is not None:
            out[found[1], found[2] or found[3] or found[4]] = number
    return out
