"""A simulated town with known truth: who lives there, what there is, what happened, and why.

Use it where real data cannot say what the best possible answer is, or must not be used. It does
not imitate any real place, and a model that does well here has shown only that it finds planted
causes: taste told by text, hours and weekdays, distance, and what follows what.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from zhiyin.base.arrays import Float32, Int32, Int64
from zhiyin.base.errors import ConfigError, DataError
from zhiyin.data.dataset import Dataset
from zhiyin.data.tables import Tables
from zhiyin.testing.town.choice import Factors, choose
from zhiyin.testing.town.layout import START_US, US_PER_WEEK, square_names
from zhiyin.testing.town.people import People, visits
from zhiyin.testing.town.spec import Causes, TownSpec
from zhiyin.testing.town.tables import item_id, tables_of, user_id
from zhiyin.testing.town.things import Things
from zhiyin.testing.town.truth import Oracle, Truth


@dataclass(frozen=True, eq=False)
class Town:
    """A finished town. Events lie in blocks of one person each, ascending in time within a block."""

    spec: TownSpec
    people: People
    things: Things
    truth: Truth
    user: Int32  # (n_events,)
    time_us: Int64  # (n_events,)
    square: Int32  # (n_events,) where it happened
    thing: Int32  # (n_events,)

    def tables(self) -> Tables:
        """Manifest, events in time order, items and people with their texts, and the squares under ``extra``."""
        return tables_of(self.spec, self.people, self.things, self.user, self.time_us, self.square, self.thing)

    def oracle(self, data: Dataset, without: tuple[str, ...] = ()) -> Oracle:
        """A retriever over ``data`` (this town's) that ranks by the truth, some causes averaged away.

        Causes: taste, time, place, habit, popularity.
        """
        own_users = {user_id(i): i for i in range(len(self.people))}
        own_items = {item_id(n): i for i, n in enumerate(self.things.number)}
        squares = {name: i for i, name in enumerate(square_names())}
        return Oracle(
            data.catalog,
            self.truth.without(without),
            _numbers(data.users.ids.to_pylist(), own_users, "user"),
            _numbers(data.catalog.items.ids.to_pylist(), own_items, "item"),
            _numbers(data.places.ids.to_pylist(), squares, "place"),
        )

    def true_scores(self, user: int, now_us: int, without: tuple[str, ...] = ()) -> Float32:
        """The probability of each thing being person ``user``'s next choice: (n_items,), by public item number.

        The person is where he usually is at that hour; what he did before ``now_us`` counts as habit.
        """
        if not 0 <= user < len(self.people):
            raise ConfigError(f"person {user} does not live in a town of {len(self.people):,}", f"Give 0 .. {len(self.people) - 1}.")
        if not START_US <= now_us < START_US + self.spec.weeks * US_PER_WEEK:
            raise ConfigError(f"{now_us} us lies outside the town's {self.spec.weeks} weeks", "Ask within the span of its events.")
        first, last = np.searchsorted(self.user, [user, user + 1])
        at = first + int(np.searchsorted(self.time_us[first:last], now_us))
        before = self.thing[at - 1 : at] if at > first else np.array([-1])
        row = self.truth.without(without).probabilities(np.array([user]), np.array([now_us]), before, np.array([-1]))[0]
        out: Float32 = np.empty_like(row)
        out[self.things.number] = row
        return out

    def with_shuffled_times(self, seed: int = 0) -> Town:
        """The same choices at times of other choices: routine is destroyed, tastes and totals stay."""
        time = np.random.default_rng(seed).permutation(self.time_us)
        order = np.lexsort((time, self.user))
        return replace(self, time_us=time[order], square=self.square[order], thing=self.thing[order])


def town(
    n_users: int = 200,
    n_events: int | None = None,
    *,
    n_items: int | None = None,
    weeks: int = 12,
    new_share: float = 0.3,
    language: Literal["mixed", "en", "zh"] = "mixed",
    seed: int = 0,
    causes: Causes | None = None,
) -> Town:
    """A town of any size up to ten million events and more; equal arguments give an equal town.

    ``n_events`` defaults to 100 per person, ``n_items`` to 4 times the root of ``n_events``; ``new_share``
    of the items appear during the ``weeks``, on Mondays. Costs about a minute per ten million events.
    """
    events = 100 * n_users if n_events is None else n_events
    items = max(50, round(4 * float(max(events, 0)) ** 0.5)) if n_items is None else n_items
    values = {"n_users": n_users, "n_events": events, "n_items": items, "weeks": weeks}
    values |= {"new_share": new_share, "language": language, "seed": seed, "causes": causes or Causes()}
    return built(TownSpec.parse(values, "the town"))


def built(spec: TownSpec) -> Town:
    """The town that a spec asks for."""
    # One stream per part: another number of items leaves the people as they are.
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence(spec.seed).spawn(5)]
    people, things = People.born(spec, streams[0]), Things.made(spec, streams[1])
    factors = Factors.of(people, things, spec.causes, streams[2])
    user, time = visits(people, spec, streams[3])
    square, thing = choose(people, things, factors, spec, user, time, streams[4])
    usage = np.bincount(things.group[thing], minlength=len(things.groups)) / len(thing)
    truth = Truth(people, things, factors, spec.causes.noise, usage)
    return Town(spec, people, things, truth, user, time + START_US, square, thing)


def _numbers(ids: list[str], own: dict[str, int], what: str) -> Int32:
    strange = [i for i in ids if i not in own]
    if strange:
        raise DataError(f"{what} '{strange[0]}' is not of this town", "Ask the oracle about data made by the same town.")
    return np.array([own[i] for i in ids], np.int32)
