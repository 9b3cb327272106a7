"""``zhiyin.toml``: what the tables of a folder mean. Every default is what an honest newcomer wants."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from zhiyin.base.errors import ConfigError
from zhiyin.base.spec import Spec

Order = Literal["time", "position", "none"]
ColumnType = Literal["text", "category", "list", "number", "time", "image", "place", "price", "language", "domain", "latitude", "longitude"]
TimeUnit = Literal["auto", "s", "ms", "us", "iso", "date"]


class Repeat(Spec):
    """May an item come back to someone who had it? ``allow``, ``never``, or ``after`` N days."""

    policy: Literal["allow", "never", "after"] = "never"
    days: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _days_with_after(self) -> Repeat:
        if (self.policy == "after") != (self.days is not None):
            raise ValueError("'days' goes with policy = \"after\" and only with it")
        return self

    def __str__(self) -> str:
        return f"after {self.days:g} days" if self.policy == "after" and self.days else self.policy


class EventsTable(Spec):
    """The table of behaviour: which column holds what. Only user and item are obligatory."""

    file: str = "events.parquet"
    user: str = "user_id"
    item: str = "item_id"
    kind: str | None = None
    value: str | None = None
    time: str | None = None
    time_unit: TimeUnit = "auto"
    position: str | None = None
    session: str | None = None
    place: str | None = None
    placement: str | None = None
    trace: str | None = None
    split: str | None = None
    context: tuple[str, ...] = ()


class ItemsTable(Spec):
    """The catalogue. ``columns`` gives each column its type; ``title`` is what people read."""

    file: str = "items.parquet"
    id: str = "item_id"
    title: str | None = None
    columns: dict[str, ColumnType] = Field(default_factory=dict)
    parent: str | None = None
    publish: str | None = None
    expire: str | None = None
    available: str | None = None


class UsersTable(Spec):
    file: str = "users.parquet"
    id: str = "user_id"
    columns: dict[str, ColumnType] = Field(default_factory=dict)
    sensitive: tuple[str, ...] = ()


class RelationsTable(Spec):
    """Triples of ids. An end that is a user is written ``user:ID``, so that nobody takes it for the item of that id."""

    file: str = "relations.parquet"
    head: str = "head"
    relation: str = "relation"
    tail: str = "tail"


class Cleaning(Spec):
    """What to repair on reading. Every dropped or changed row is counted and reported."""

    dedupe: Literal["none", "exact", "same-time"] = "none"
    missing: dict[str, Literal["flag", "drop"] | float | str] = Field(default_factory=dict)
    outlier: dict[str, Literal["clip", "drop"]] = Field(default_factory=dict)
    outlier_z: Annotated[float, Field(gt=0)] = 8.0
    burst_per_minute: Annotated[int, Field(ge=1)] | None = None
    min_user_events: Annotated[int, Field(ge=1)] = 1
    min_item_events: Annotated[int, Field(ge=1)] = 1


class Manifest(Spec):
    """A folder of tables. ``order`` says what the data knows of sequence:

    ``time`` = every event has an instant (global time splits); ``position`` = only the order within
    a user is known (leave-one-out and last-n alone); ``none`` = neither (seeded hold-outs, named
    ``untimed`` in every result).
    """

    schema_version: Literal[1] = 1
    name: str
    order: Order = "time"
    time_zone: str = "UTC"
    language: Literal["auto", "en", "zh"] = "auto"
    template: str = "auto"
    encoder: str = "minilm"
    events: EventsTable = Field(default_factory=EventsTable)
    items: ItemsTable | None = None
    users: UsersTable | None = None
    relations: RelationsTable | None = None
    weights: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    positive_from: float | None = None
    repeat: Repeat = Field(default_factory=Repeat)
    collapse_variants: bool = False
    clean: Cleaning = Field(default_factory=Cleaning)

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        from zhiyin.spacetime.calendar import zone

        try:
            zone(name)
        except ConfigError as error:
            raise ValueError(f"{error.message}. {error.hint}") from None
        return name

    @model_validator(mode="after")
    def _order_has_its_column(self) -> Manifest:
        if self.order == "time" and not self.events.time:
            raise ValueError('order = "time" needs events.time, the name of the time column; without one say order = "position" or "none"')
        if self.order == "position" and not self.events.position:
            raise ValueError('order = "position" needs events.position, the name of the column that orders a user\'s events')
        return self
