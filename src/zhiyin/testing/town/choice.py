"""How people choose: an exact logit over all things, factored so that ten million choices take a minute.

P(thing i | person u, hour h, previous topic p, square s, week w)
    = (1 - noise) * taste[u, g] * routine[u, h, g] * habit[p, g] * pull[w, s, i] / sum + noise / n_published,
g the group of i. All terms but the last are equal within a group, so a group is drawn first and a
thing within it second: the same distribution, 288 terms instead of n_items.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zhiyin.base.arrays import AnyArray, Bool, Float32, Float64, Int32, Int64, offsets_of
from zhiyin.base.units import US_PER_HOUR
from zhiyin.spacetime.calendar import HOURS_PER_WEEK
from zhiyin.testing.town.layout import N_TOPICS, US_PER_WEEK, square_km
from zhiyin.testing.town.people import SHIFT_HOURS, People
from zhiyin.testing.town.spec import Causes, TownSpec
from zhiyin.testing.town.things import Things
from zhiyin.testing.town.words import DOMAINS, THEMES

DOMAIN_HOURS = {"shop": (12.5, 0.3), "film": (20.5, 0.6), "news": (7.5, -0.8), "course": (18.5, -0.5)}
"""Peak hour and liking of weekends (negative: working days)."""
ONLINE_KM = 2.0  # an online thing pulls like one this far away
WANDER = 0.1  # share of events away from the usual place
BLOCK = 256  # people per block: the block's tables stay in the processor's cache
FIRST = N_TOPICS  # previous topic of someone who has done nothing yet


@dataclass(frozen=True, slots=True)
class Factors:
    """The terms of the logit, already exponentiated (a factor of 1 changes nothing)."""

    taste: Float32  # (n_users, n_groups)
    routine: Float32  # (n_shifts * 168, n_groups)
    habit: Float32  # (n_topics + 1, n_groups); the last row is for the first event
    appeal: Float64  # (n_items,)
    distance: Float64  # (n_squares, n_items)

    @classmethod
    def of(cls, people: People, things: Things, causes: Causes, rng: np.random.Generator) -> Factors:
        g = things.groups
        liking = people.theme[:, g.theme] + people.mood[:, g.mood] + people.domain[:, g.domain]
        km = np.where(things.square < 0, ONLINE_KM, square_km()[:, things.square])
        return cls(
            np.exp(causes.taste * liking + people.language[:, g.language]).astype(np.float32),
            np.exp(causes.routine * _routine(things, rng)).astype(np.float32),
            np.exp(causes.habit * _habit(rng)[:, g.topic]).astype(np.float32),
            np.exp(causes.popularity * things.appeal),
            np.exp(-causes.distance * km),
        )

    def pull(self, things: Things, week: int) -> Float64:
        """Weight of every thing seen from every square in a week: (n_squares, n_items)."""
        return np.asarray(self.distance * (self.appeal * things.fresh(week))[None, :])


def _routine(things: Things, rng: np.random.Generator) -> Float64:
    """Liking by shift, hour of week and group: (n_shifts * 168, n_groups)."""
    slot = np.arange(HOURS_PER_WEEK)
    hour, weekend = slot % 24, (slot // 24 >= 5).astype(np.float64)
    domain = np.stack([_peak(hour, weekend, *DOMAIN_HOURS[d]) for d in DOMAINS], axis=1)
    peaks, ends = rng.uniform(7, 23, len(THEMES)), rng.uniform(-0.8, 0.8, len(THEMES))
    theme = np.stack([_peak(hour, weekend, p, e) for p, e in zip(peaks, ends, strict=True)], axis=1)
    week = (domain[:, things.groups.domain] + theme[:, things.groups.theme]).astype(np.float64)
    return np.concatenate([np.roll(week, shift, axis=0) for shift in SHIFT_HOURS])


def _peak(hour: AnyArray, weekend: AnyArray, peak: float, liking: float) -> Float64:
    """From about -1 (wrong hour) to 1 (right hour), plus the liking of weekends."""
    return np.asarray(np.cos((hour - peak) * np.pi / 12) + liking * (2 * weekend - 1))


def _habit(rng: np.random.Generator) -> Float64:
    """What follows what: each topic has three topics that often come next: (n_topics + 1, n_topics)."""
    follows = np.zeros((N_TOPICS + 1, N_TOPICS))
    for topic in range(N_TOPICS):
        follows[topic, rng.choice(N_TOPICS, 3, replace=False)] = (1.5, 1.2, 0.9)
    return follows


def hour_slot(people: People, user: AnyArray, hour_of_week: AnyArray) -> Int32:
    """Row of ``Factors.routine`` for a person at an hour of the week: (n,)."""
    return (people.shift[user] * HOURS_PER_WEEK + hour_of_week).astype(np.int32)


def choose(
    people: People, things: Things, factors: Factors, spec: TownSpec, user: Int32, time: Int64, rng: np.random.Generator
) -> tuple[Int32, Int32]:
    """The square each event happens in and the thing chosen: (n_events,), (n_events,).

    ``user`` in blocks, ``time`` microseconds since the start, ascending within each person.
    """
    n = len(user)
    hour = ((time % US_PER_WEEK) // US_PER_HOUR).astype(np.int32)
    week = (time // US_PER_WEEK).astype(np.int32)
    square = people.where(user, hour)
    wander = rng.random(n) < WANDER
    square[wander] = rng.integers(0, len(factors.distance), int(wander.sum()))
    item = np.full(n, -1, np.int32)
    strays = rng.random(n) < spec.causes.noise
    item[strays] = _anything(things, week[strays], rng)
    mass = _mass(things, factors, spec.weeks)
    slot, scene = hour_slot(people, user, hour), week * len(factors.distance) + square
    group = np.where(strays, things.group[item], -1).astype(np.int32)
    luck = 1.0 - rng.random(n, dtype=np.float32)  # in (0, 1]: a weight of zero is never drawn
    offsets = offsets_of(np.bincount(user, minlength=len(people)))
    for first in range(0, len(people), BLOCK):
        block = slice(int(offsets[first]), int(offsets[min(first + BLOCK, len(people))]))
        bounds = offsets[first : first + BLOCK + 1] - block.start
        _walk(bounds, first, factors, things, mass, slot[block], scene[block], luck[block], group[block])
    for w in range(spec.weeks):
        rows = np.flatnonzero((week == w) & ~strays)
        item[rows] = _within(factors.pull(things, w), things, square[rows], group[rows], 1.0 - rng.random(len(rows)))
    return square, item


def _walk(
    bounds: Int64, first: int, factors: Factors, things: Things, mass: Float32, slot: Int32, scene: Int32, luck: Float32, group: Int32
) -> None:
    """Fill ``group`` where it is -1, event after event, all people of a block at once."""
    topic = things.groups.topic
    order = np.argsort(bounds[:-1] - bounds[1:], kind="stable")  # the busiest first: those who go on are a prefix
    starts, lengths = bounds[:-1][order], np.diff(bounds)[order]
    taste = factors.taste[first + order]
    previous = np.full(len(order), FIRST)
    for step in range(int(lengths[0]) if len(lengths) else 0):
        n = int(np.searchsorted(-lengths, -step, side="left"))
        rows = starts[:n] + step
        weight = factors.routine[slot[rows]]
        weight *= taste[:n]
        weight *= factors.habit[previous[:n]]
        weight *= mass[scene[rows]]
        np.cumsum(weight, axis=1, out=weight)
        drawn = (weight < (luck[rows] * weight[:, -1])[:, None]).sum(axis=1)
        chosen = np.where(group[rows] >= 0, group[rows], drawn)
        group[rows] = chosen
        previous[:n] = topic[chosen]


def _mass(things: Things, factors: Factors, weeks: int) -> Float32:
    """Total pull of each group by week and square: (weeks * n_squares, n_groups)."""
    return np.concatenate([_group_sums(factors.pull(things, w), things) for w in range(weeks)]).astype(np.float32)


def _group_sums(pull: Float64, things: Things) -> Float64:
    sums = np.zeros((len(pull), len(things) + 1))
    np.cumsum(pull, axis=1, out=sums[:, 1:])
    # Equal ends must give exactly zero, which differences of one running sum do.
    return np.asarray(sums[:, things.starts[1:]] - sums[:, things.starts[:-1]])


def _within(pull: Float64, things: Things, square: Int32, group: Int32, luck: Float64) -> Int32:
    """A thing of the given group drawn by its pull on the given square: (n,)."""
    n_items = len(things)
    sums = np.zeros((len(pull), n_items + 1))
    np.cumsum(pull, axis=1, out=sums[:, 1:])
    sums /= sums[:, -1:]
    low, high = sums[square, things.starts[group]], sums[square, things.starts[group + 1]]
    # Row s of the running sums lies in [2 s, 2 s + 1]: one sorted line, one search for all events.
    line = (sums[:, 1:] + 2.0 * np.arange(len(pull))[:, None]).ravel()
    found = np.searchsorted(line, 2.0 * square + low + luck * (high - low), side="left") - square * np.int64(n_items)
    return np.clip(found, things.starts[group], things.starts[group + 1] - 1).astype(np.int32)


def _anything(things: Things, week: Int32, rng: np.random.Generator) -> Int32:
    """Any published thing, all alike: (n,)."""
    order = np.argsort(things.published_week, kind="stable")
    count = np.searchsorted(things.published_week[order], week, side="right")
    return order[(rng.random(len(week)) * count).astype(np.int64)].astype(np.int32)


def published(things: Things, week: int) -> Bool:
    """What exists in a week: (n_items,)."""
    return np.asarray(things.published_week <= week)
