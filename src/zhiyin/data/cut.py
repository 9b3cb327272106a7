"""What every split is made of: the parts, what must not come back, requests with their answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zhiyin.base.arrays import AnyArray, Bool, Int64, Ragged, offsets_of
from zhiyin.base.errors import ConfigError, DataError
from zhiyin.base.units import US_PER_DAY
from zhiyin.data.context import as_array
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.schema import Repeat
from zhiyin.data.truth import Holdout, Truth


@dataclass(frozen=True)
class Split:
    """``note`` says what was done in one line; it stands in the header of every result.

    ``before_test`` is training and validation together: once the figures are taken, a model that is
    to be served may learn from it and stop early on the test answers.
    """

    train: Dataset
    validation: Holdout
    test: Holdout
    note: str
    before_test: Dataset


def excluded(history: Histories, repeat: Repeat, now_us: Int64) -> Ragged | None:
    """What must not come back under the repeat policy, per request."""
    if repeat.policy == "allow":
        return None
    if repeat.policy == "never" or repeat.days is None:
        return history.items
    young = history.time_us >= np.repeat(now_us, history.lengths) - int(repeat.days * US_PER_DAY)
    return history.where(young).items


def positions_from_end(data: Dataset) -> tuple[Int64, Int64, Int64]:
    """Rows grouped by user, the user of each, and its place counted from the newest (0)."""
    rows, offsets = data.by_user
    user = np.repeat(np.arange(data.n_users), np.diff(offsets))
    from_end = np.repeat(offsets[1:], np.diff(offsets)) - 1 - np.arange(len(rows))
    return rows, user, from_end


def ties_note(data: Dataset) -> str:
    """How many events share user and time with the one before: their order is that of the file."""
    if data.manifest.order == "none":
        return ""
    rows, user, _ = positions_from_end(data)
    time = data.events.time_us[rows]
    n = int(((user[1:] == user[:-1]) & (time[1:] == time[:-1])).sum())
    return f"; {n:,} events tied in time, kept in file order" if n else ""


def cut_times(data: Dataset, test_share: float, validation_share: float) -> tuple[int, int]:
    """When validation and test begin, so that the newest shares of positive events lie in them."""
    if data.manifest.order != "time":
        raise ConfigError(
            f"data set '{data.manifest.name}' has order = \"{data.manifest.order}\": there is no time to cut at",
            "Use leave-one-out." if data.manifest.order == "position" else 'Use split = "untimed".',
        )
    if test_share <= 0 or validation_share <= 0 or test_share + validation_share >= 1:
        raise ConfigError(
            f"shares {test_share:g} for test and {validation_share:g} for validation leave nothing to train on", "Give smaller shares."
        )
    time = data.positive.events.time_us
    n = len(time)
    if n < 10:
        raise DataError(f"{n} event{'s are' if n != 1 else ' is'} too few to cut by time", "Give at least ten that are a sign of liking.")
    return int(time[int(n * (1 - test_share - validation_share))]), int(time[int(n * (1 - test_share))])


def holdout_of(past: Dataset, future: Dataset, people: AnyArray, policy: Repeat, allowed: Bool | None = None) -> Holdout:
    """One request per person, at the time of his first future event, answered by all of them.

    ``people`` must each have an event in ``future``. An answer that the repeat policy excludes is
    dropped, and with its last answer the request. ``allowed`` (n_items,) restricts what is ranked.
    """
    rows, offsets = future.by_user
    first = rows[offsets[:-1][people]]
    now = future.events.time_us[first]
    history = past.history(people)
    exclude = excluded(history, policy, now)
    answers = _distinct(Ragged(offsets, future.events.item_ix[rows]).take(people), future.n_items)
    if policy.policy != "allow":
        answers = _without(answers, exclude, future.n_items)
    kept = answers.lengths > 0
    where, context = future.events.place_ix[first], _context_at(future, first)
    requests = Requests.of(history, people, now, exclude=exclude, place_ix=where, context=context, allowed=allowed)
    holdout = Holdout(requests, Truth(answers))
    return holdout if bool(kept.all()) else holdout.take(np.flatnonzero(kept))


def _context_at(data: Dataset, rows: AnyArray) -> dict[str, AnyArray]:
    table = data.events.context
    return {name: as_array(table[name].gather(rows)) for name in table.columns}


def _distinct(lists: Ragged, n_items: int) -> Ragged:
    """Each item once per list, in order of first appearance."""
    key = lists.rows * n_items + lists.values
    _, first = np.unique(key, return_index=True)
    first.sort()
    return Ragged(offsets_of(np.bincount(lists.rows[first], minlength=len(lists))), lists.values[first])


def _without(lists: Ragged, drop: Ragged | None, n_items: int) -> Ragged:
    if drop is None:
        return lists
    gone: Bool = np.isin(lists.rows * n_items + lists.values, drop.rows * n_items + drop.values)
    return Ragged(offsets_of(np.bincount(lists.rows[~gone], minlength=len(lists))), lists.values[~gone])
