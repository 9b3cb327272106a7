"""A simulated town with known truth: see ``world``."""

from zhiyin.testing.town.questions import next_events
from zhiyin.testing.town.spec import Causes, TownSpec
from zhiyin.testing.town.truth import Oracle, Truth
from zhiyin.testing.town.world import Town, built, town

__all__ = ["Causes", "Oracle", "Town", "TownSpec", "Truth", "built", "next_events", "town"]
