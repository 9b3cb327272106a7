"""Cutting data into past and future, without letting the future leak.

Every function gives a Split: what a model may learn from, the validation requests it may look at
while fitting, and the test requests. Under a Split the *weights* of a model never see validation or
test answers; validation events are in the test histories, because they have happened by then.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zhiyin.base.arrays import AnyArray, Bool, Int64, Ragged, offsets_of
from zhiyin.base.errors import ConfigError, DataError
from zhiyin.base.units import US_PER_DAY
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


def _positions_from_end(data: Dataset) -> tuple[Int64, Int64, Int64]:
    """Rows grouped by user, the user of each, and its place counted from the newest (0)."""
    rows, offsets = data.by_user
    user = np.repeat(np.arange(data.n_users), np.diff(offsets))
    from_end = np.repeat(offsets[1:], np.diff(offsets)) - 1 - np.arange(len(rows))
    return rows, user, from_end


def leave_one_out(data: Dataset, repeat: Repeat | None = None) -> Split:
    """Test = each user's newest positive event, validation = the one before, train = the rest.

    It lets the future of one user meet the past of another: use it for published protocols and for
    data that knows only positions; ``global_time`` is the honest one.
    """
    return last_n(data, 1, repeat)


def last_n(data: Dataset, n: int, repeat: Repeat | None = None) -> Split:
    """Test = each user's newest n positive events, validation = the n before; users need 2n + 1."""
    if data.manifest.order == "none":
        raise ConfigError(f"data set '{data.manifest.name}' has no order, so no last event", 'Use split = "untimed".')
    data = data.positive
    policy = repeat or data.manifest.repeat
    rows, user, from_end = _positions_from_end(data)
    counts = np.diff(data.by_user[1])
    enough = (counts >= 2 * n + 1)[user]
    if not bool(enough.any()):
        raise DataError(f"no user has the {2 * n + 1} events that leaving out {n} for test and {n} for validation needs")
    in_test = np.zeros(len(rows), np.bool_)
    in_validation = np.zeros(len(rows), np.bool_)
    in_test[rows] = enough & (from_end < n)
    in_validation[rows] = enough & (from_end >= n) & (from_end < 2 * n)
    train = data.take(~(in_test | in_validation))
    till_test = data.take(~in_test)
    people = np.unique(user[enough])
    tied = _ties(data)
    how = "leave-one-out" if n == 1 else f"last {n}"
    return Split(
        train,
        _holdout(train, data.take(in_validation), people, policy),
        _holdout(till_test, data.take(in_test), people, policy),
        f"{how} (futures overlap); repeat {policy}; {len(people):,} requests{tied}",
        till_test,
    )


def _ties(data: Dataset) -> str:
    """How many events share user and time with the one before: their order is that of the file."""
    rows, user, _ = _positions_from_end(data)
    time = data.events.time_us[rows]
    n = int(((user[1:] == user[:-1]) & (time[1:] == time[:-1])).sum())
    return f"; {n:,} events tied in time, kept in file order" if n else ""


def _holdout(past: Dataset, future: Dataset, people: AnyArray, policy: Repeat) -> Holdout:
    """One request per person, at the time of his first future event, answered by all of them."""
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
    requests = Requests.of(history, people, now, exclude=exclude, place_ix=where, context=context)
    holdout = Holdout(requests, Truth(answers))
    return holdout if bool(kept.all()) else holdout.take(np.flatnonzero(kept))


def _context_at(data: Dataset, rows: AnyArray) -> dict[str, AnyArray]:
    table = data.events.context
    return {name: table[name].gather(rows).to_numpy() for name in table.columns}


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


def global_time(data: Dataset, test_from_us: int, validation_from_us: int, repeat: Repeat | None = None) -> Split:
    """Train before one instant, validate until the next, test after it: nothing from the future.

    One request per person active in the window, asked at his first event there; the answers are all
    his positive events of the window.
    """
    if data.manifest.order != "time":
        raise ConfigError(
            f'data set \'{data.manifest.name}\' has order = "{data.manifest.order}": a global time split needs order = "time"',
            "Use leave-one-out." if data.manifest.order == "position" else 'Use split = "untimed".',
        )
    if validation_from_us >= test_from_us:
        raise ConfigError("validation must start before test", "Give an earlier validation time.")
    data = data.positive
    policy = repeat or data.manifest.repeat
    train, till_test = data.before(validation_from_us), data.before(test_from_us)
    middle = till_test.take(slice(len(train.events), len(till_test.events)))
    future = data.take(slice(len(till_test.events), len(data.events)))
    for name, part in (("training", train), ("validation", middle), ("test", future)):
        if not len(part.events):
            raise DataError(f"the {name} period has no events", "Move the cut times.")
    people_valid, people_test = np.unique(middle.events.user_ix), np.unique(future.events.user_ix)
    test = _holdout(till_test, future, people_test, policy)
    validation = _holdout(train, middle, people_valid, policy)
    return Split(train, validation, test, f"global time; repeat {policy}; {len(test):,} requests{_ties(data)}", till_test)


def time_shares(data: Dataset, test_share: float = 0.1, validation_share: float = 0.1, repeat: Repeat | None = None) -> Split:
    """Global time with cuts where the newest shares of positive events begin."""
    time = data.positive.events.time_us
    n = len(time)
    if n < 10:
        raise DataError(f"{n} events are too few to cut by time")
    cut_test, cut_valid = time[int(n * (1 - test_share))], time[int(n * (1 - test_share - validation_share))]
    return global_time(data, int(cut_test), int(cut_valid), repeat)


def default_split(data: Dataset, repeat: Repeat | None = None) -> Split:
    """The honest split this data allows: by its own column, global time, leave-one-out, or untimed."""
    match data.manifest.order:
        case "time":
            return time_shares(data, repeat=repeat)
        case "position":
            return leave_one_out(data, repeat)
        case _:
            return untimed_items(data, repeat=repeat)


def untimed_items(data: Dataset, share: float = 0.2, seed: int = 0, repeat: Repeat | None = None) -> Split:
    """For data without order only: a seeded share of each user's items is hidden, half to validate."""
    data = data.positive
    policy = repeat or data.manifest.repeat
    draw = np.random.default_rng(seed).random(len(data.events))
    is_test, is_valid = draw < share / 2, (draw >= share / 2) & (draw < share)
    train = data.take(~(is_test | is_valid))
    known = np.zeros(data.n_users, np.bool_)
    known[np.unique(train.events.user_ix)] = True

    def part(mask: Bool, past: Dataset) -> Holdout:
        future = data.take(mask)
        people = np.unique(future.events.user_ix)
        return _holdout(past, future, people[known[people]], policy)

    before_test = data.take(~is_test)
    test = part(is_test, before_test)
    note = f"UNTIMED seeded hold-out (seed {seed}); repeat {policy}; {len(test):,} requests"
    return Split(train, part(is_valid, train), test, note, before_test)
