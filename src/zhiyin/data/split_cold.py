"""Splits that ask about the unknown: items nobody has touched yet, people never seen before."""

from __future__ import annotations

from typing import Literal

import numpy as np

from zhiyin.base.arrays import AnyArray, Bool, Int64
from zhiyin.base.errors import ConfigError, DataError
from zhiyin.data.cut import Split, cut_times, holdout_of
from zhiyin.data.dataset import Dataset
from zhiyin.data.schema import Repeat
from zhiyin.data.truth import Holdout

Among = Literal["cold", "all"]
"""What is ranked for a cold item: the other cold ones, or the whole catalogue."""

NEVER_US = np.iinfo(np.int64).max


def cold_items(
    data: Dataset,
    repeat: Repeat | None = None,
    *,
    test_share: float = 0.1,
    validation_share: float = 0.1,
    among: Among = "cold",
    min_history: int = 1,
    seed: int = 0,
) -> Split:
    """How well are items recommended that no event of training mentions?

    With time: cut as ``time_shares`` does; the answers of a period are its events on items first
    seen in it. Without: a seeded share of the items is hidden with all their events (UNTIMED), the
    test items even from validation. Requests need ``min_history`` earlier events.
    """
    data = data.positive
    policy = repeat or data.manifest.repeat
    time, item = data.events.time_us, data.events.item_ix
    if data.manifest.order == "time":
        cut_valid, cut_test = cut_times(data, test_share, validation_share)
        seen = _first_seen(item, time, data.n_items)
        cold_test = (seen >= cut_test) & (seen < NEVER_US)
        cold_valid = (seen >= cut_valid) & (seen < cut_test)
        train, before_test = data.before(cut_valid), data.before(cut_test)
        in_valid = cold_valid[item] & (time < cut_test)
        how = "cold items by time"
    else:
        cold_valid, cold_test = _drawn(data.item_counts, validation_share, test_share, seed)
        train, before_test = data.take(~(cold_test | cold_valid)[item]), data.take(~cold_test[item])
        in_valid = cold_valid[item]
        how = f"UNTIMED cold items (seed {seed})"
    validation = _asked(train, data.take(in_valid), policy, min_history, cold_valid if among == "cold" else None, "validation")
    test = _asked(before_test, data.take(cold_test[item]), policy, min_history, cold_test if among == "cold" else None, "test")
    note = f"{how}, {int(cold_test.sum()):,} cold, ranked among {among}; repeat {policy}; {len(test):,} requests"
    return Split(train, validation, test, note, before_test)


def cold_users(
    data: Dataset,
    repeat: Repeat | None = None,
    *,
    given: int = 5,
    test_share: float = 0.1,
    validation_share: float = 0.1,
    seed: int = 0,
) -> Split:
    """How well are people served whom the model has never learned from, ``given`` events in?

    With time: people first seen after the cut, asked at the instant of their event number
    ``given`` + 1; the history is what they did strictly before it, the answers the rest of the
    period. Without time: a seeded share of the people is withheld (UNTIMED); with positions the
    history is their first ``given`` events, without order any ``given``, drawn by the seed.
    """
    if given < 0:
        raise ConfigError(f"given = {given} events cannot be known", "Give 0 or more.")
    data = data.positive
    policy = repeat or data.manifest.repeat
    user, time = data.events.user_ix, data.events.time_us
    if data.manifest.order == "time":
        cut_valid, cut_test = cut_times(data, test_share, validation_share)
        seen = _first_seen(user, time, data.n_users)
        cold_test = (seen >= cut_test) & (seen < NEVER_US)
        cold_valid = (seen >= cut_valid) & (seen < cut_test)
        train, before_test = data.before(cut_valid), data.before(cut_test)
        earlier = time < _asked_at(data, given)[user]
        how = "cold users by time"
    else:
        cold_valid, cold_test = _drawn(np.bincount(user, minlength=data.n_users), validation_share, test_share, seed)
        train, before_test = data.take(~(cold_test | cold_valid)[user]), data.take(~cold_test[user])
        earlier = _nth_event(data, seed if data.manifest.order == "none" else None) < given
        how = f"UNTIMED cold users (seed {seed})"
    own_past = data.take(earlier)
    in_valid = cold_valid[user] & ~earlier
    if data.manifest.order == "time":
        in_valid &= time < cut_test
    validation = _asked(own_past, data.take(in_valid), policy, min(given, 1), None, "validation")
    test = _asked(own_past, data.take(cold_test[user] & ~earlier), policy, min(given, 1), None, "test")
    note = f"{how}, {given} events given; repeat {policy}; {len(test):,} requests"
    return Split(train, validation, test, note, before_test)


def _first_seen(ix: AnyArray, time_us: Int64, n: int) -> Int64:
    """Time of the first event of each of n users or items, far in the future where there is none: (n,)."""
    out = np.full(n, NEVER_US, np.int64)
    known, first = np.unique(ix, return_index=True)
    out[known] = time_us[first]
    return out


def _drawn(counts: Int64, validation_share: float, test_share: float, seed: int) -> tuple[Bool, Bool]:
    """Seeded shares of those that have events at all, for validation and for test: two (n,) masks."""
    if test_share <= 0 or validation_share <= 0 or test_share + validation_share >= 1:
        raise ConfigError(
            f"shares {test_share:g} for test and {validation_share:g} for validation leave nothing to train on", "Give smaller shares."
        )
    there = np.random.default_rng(seed).permutation(np.flatnonzero(counts > 0))
    n_test, n_valid = round(len(there) * test_share), round(len(there) * validation_share)
    for_test, for_valid = np.zeros(len(counts), np.bool_), np.zeros(len(counts), np.bool_)
    for_test[there[:n_test]] = True
    for_valid[there[n_test : n_test + n_valid]] = True
    return for_valid, for_test


def _asked_at(data: Dataset, given: int) -> Int64:
    """Instant of each person's event number ``given`` + 1, far in the future where there is none: (n_users,)."""
    rows, offsets = data.by_user
    out = np.full(data.n_users, NEVER_US, np.int64)
    enough = np.diff(offsets) > given
    out[enough] = data.events.time_us[rows[offsets[:-1][enough] + given]]
    return out


def _nth_event(data: Dataset, seed: int | None) -> Int64:
    """Which event of its user each one is, counted from 0 in order, or in a seeded order: (n_events,)."""
    user = data.events.user_ix
    shuffle = np.zeros(len(user)) if seed is None else np.random.default_rng(seed).random(len(user))
    rows = np.lexsort((shuffle, user))
    _, offsets = data.by_user
    out = np.empty(len(user), np.int64)
    out[rows] = np.arange(len(user)) - np.repeat(offsets[:-1], np.diff(offsets))
    return out


def _asked(past: Dataset, future: Dataset, policy: Repeat, min_history: int, allowed: Bool | None, name: str) -> Holdout:
    """Requests of the people who have answers and enough of a past."""
    people = np.unique(future.events.user_ix)
    known = np.diff(past.by_user[1])[people]
    people = people[known >= min_history]
    if not len(people):
        raise DataError(f"the {name} part of the cold split has no requests", "Give a larger share, or fewer events of history.")
    return holdout_of(past, future, people, policy, allowed)
