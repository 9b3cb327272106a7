"""What a town is asked to be: its size, its span, and how strongly each cause acts on what people choose."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from zhiyin.base.spec import Spec


class Causes(Spec):
    """Weights of the utility terms (natural logarithm units); 0 switches a cause off.

    ``taste``: person x theme, mood, domain, language; ``routine``: hour and weekday; ``distance``:
    per kilometre from where the person is; ``habit``: what follows what; ``popularity``: spread of
    the items' general appeal; ``noise``: share of choices made at random.
    """

    taste: Annotated[float, Field(ge=0, le=10)] = 1.1
    routine: Annotated[float, Field(ge=0, le=10)] = 1.2
    distance: Annotated[float, Field(ge=0, le=10)] = 0.9
    habit: Annotated[float, Field(ge=0, le=10)] = 2.2
    popularity: Annotated[float, Field(ge=0, le=10)] = 0.5
    noise: Annotated[float, Field(ge=0, le=1)] = 0.03


class TownSpec(Spec):
    """Everything a town is made from: equal specs give equal towns, byte for byte."""

    n_users: Annotated[int, Field(ge=10, le=2_000_000)] = 200
    n_events: Annotated[int, Field(ge=100, le=20_000_000)] = 20_000
    n_items: Annotated[int, Field(ge=50, le=100_000)] = 560
    weeks: Annotated[int, Field(ge=2, le=520)] = 12
    new_share: Annotated[float, Field(ge=0, le=0.9)] = 0.3
    language: Literal["mixed", "en", "zh"] = "mixed"
    seed: Annotated[int, Field(ge=0)] = 0
    causes: Causes = Field(default_factory=Causes)

    @model_validator(mode="after")
    def _everyone_acts(self) -> TownSpec:
        if self.n_events < self.n_users:
            raise ValueError(f"n_events = {self.n_events:,} is fewer than one for each of {self.n_users:,} people; ask for more events")
        return self
