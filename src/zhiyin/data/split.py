"""Cutting data into past and future, without letting the future leak.

Every function gives a Split: what a model may learn from, the validation requests it may look at
while fitting, and the test requests. Under a Split the *weights* of a model never see validation or
test answers; validation events are in the test histories, because they have happened by then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from zhiyin.base.arrays import Bool
from zhiyin.base.errors import ConfigError, DataError, UnknownNameError, nearest
from zhiyin.data.cut import Split, cut_times, excluded, holdout_of, positions_from_end, ties_note
from zhiyin.data.dataset import Dataset
from zhiyin.data.schema import Repeat
from zhiyin.data.split_cold import cold_items, cold_users
from zhiyin.data.split_column import by_column
from zhiyin.data.truth import Holdout

__all__ = [
    "SPLITS",
    "Split",
    "by_column",
    "cold_items",
    "cold_users",
    "default_split",
    "excluded",
    "global_time",
    "last_n",
    "leave_one_out",
    "rolling",
    "split_by",
    "splits_by",
    "time_shares",
    "untimed_items",
]


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
    rows, user, from_end = positions_from_end(data)
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
    tied = ties_note(data)
    test = holdout_of(till_test, data.take(in_test), people, policy)
    how = "leave-one-out" if n == 1 else f"last {n}"
    return Split(
        train,
        holdout_of(train, data.take(in_validation), people, policy),
        test,
        f"{how} (futures overlap); repeat {policy}; {len(test):,} requests{tied}",
        till_test,
    )


def global_time(
    data: Dataset, test_from_us: int, validation_from_us: int, repeat: Repeat | None = None, until_us: int | None = None
) -> Split:
    """Train before one instant, validate until the next, test from then on: nothing from the future.

    One request per person active in the window, asked at his first event there; the answers are all
    his positive events of the window. An event at the very instant of a cut belongs to the later
    part, so ties cannot straddle it. ``until_us`` ends the test window (exclusive).
    """
    if data.manifest.order != "time":
        raise ConfigError(
            f'data set \'{data.manifest.name}\' has order = "{data.manifest.order}": a global time split needs order = "time"',
            "Use leave-one-out." if data.manifest.order == "position" else 'Use split = "untimed".',
        )
    if validation_from_us >= test_from_us:
        raise ConfigError("validation must start before test", "Give an earlier validation time.")
    data = data.positive if until_us is None else data.positive.before(until_us)
    policy = repeat or data.manifest.repeat
    train, till_test = data.before(validation_from_us), data.before(test_from_us)
    middle = till_test.take(slice(len(train.events), len(till_test.events)))
    future = data.take(slice(len(till_test.events), len(data.events)))
    for name, part in (("training", train), ("validation", middle), ("test", future)):
        if not len(part.events):
            raise DataError(f"the {name} period has no events", "Move the cut times.")
    people_valid, people_test = np.unique(middle.events.user_ix), np.unique(future.events.user_ix)
    test = holdout_of(till_test, future, people_test, policy)
    validation = holdout_of(train, middle, people_valid, policy)
    return Split(train, validation, test, f"global time; repeat {policy}; {len(test):,} requests{ties_note(data)}", till_test)


def time_shares(data: Dataset, test_share: float = 0.1, validation_share: float = 0.1, repeat: Repeat | None = None) -> Split:
    """Global time with cuts where the newest shares of positive events begin."""
    cut_valid, cut_test = cut_times(data, test_share, validation_share)
    return global_time(data, cut_test, cut_valid, repeat)


def rolling(data: Dataset, n: int = 3, share: float = 0.1, repeat: Repeat | None = None) -> Iterator[Split]:
    """n global time splits one after another, oldest first: does a result hold over time?

    Each test window holds ``share`` of all positive events (give or take ties), each validation
    window is the one before it; nothing after a window is seen. Train anew for each.
    """
    if n < 1 or share <= 0 or (n + 1) * share >= 1:
        raise ConfigError(f"{n} rolling windows of {share:.0%} leave nothing to train on", "Ask for fewer or smaller windows.")
    cuts = [cut_times(data, (n - at) * share, share) for at in range(n)]
    ends = [test_from for _, test_from in cuts[1:]] + [None]
    for at, ((validation_from, test_from), until) in enumerate(zip(cuts, ends, strict=True), start=1):
        split = global_time(data, test_from, validation_from, repeat, until)
        yield replace(split, note=f"rolling window {at} of {n}, {split.note}")


def default_split(data: Dataset, repeat: Repeat | None = None) -> Split:
    """The honest split this data allows: by its own column, global time, leave-one-out, or untimed."""
    if data.manifest.events.split is not None:
        return by_column(data, repeat)
    match data.manifest.order:
        case "time":
            return time_shares(data, repeat=repeat)
        case "position":
            return leave_one_out(data, repeat)
        case _:
            return untimed_items(data, repeat=repeat)


def untimed_items(data: Dataset, share: float = 0.2, seed: int = 0, repeat: Repeat | None = None) -> Split:
    """For data without order only: a seeded share of each user's items is hidden, half to validate.

    Drawn per user and item, so that a repeated pair is never on both sides.
    """
    data = data.positive
    policy = repeat or data.manifest.repeat
    pair = data.events.user_ix.astype(np.int64) * data.n_items + data.events.item_ix
    pairs, which = np.unique(pair, return_inverse=True)
    draw = np.random.default_rng(seed).random(len(pairs))[which]
    is_test, is_valid = draw < share / 2, (draw >= share / 2) & (draw < share)
    train = data.take(~(is_test | is_valid))
    known = np.zeros(data.n_users, np.bool_)
    known[np.unique(train.events.user_ix)] = True

    def part(mask: Bool, past: Dataset) -> Holdout:
        future = data.take(mask)
        people = np.unique(future.events.user_ix)
        return holdout_of(past, future, people[known[people]], policy)

    before_test = data.take(~is_test)
    test = part(is_test, before_test)
    note = f"UNTIMED seeded hold-out (seed {seed}); repeat {policy}; {len(test):,} requests"
    return Split(train, part(is_valid, train), test, note, before_test)


SPLITS = ("default", "column", "time", "leave-one-out", "last-n", "cold-items", "cold-users", "rolling", "untimed")
"""Names ``split_by`` knows. A colon gives the number that matters: ``last-n:3``, ``time:0.2``, ``rolling:4``, ``cold-users:10``."""


def splits_by(name: str, data: Dataset, repeat: Repeat | None = None, seed: int = 0) -> tuple[Split, ...]:
    """The splits a name asks for: one, or all windows of ``rolling``.

    The number after the colon is the test share of ``time``, ``cold-items`` and ``untimed``, n of
    ``last-n``, the windows of ``rolling``, the events known of ``cold-users``.
    """
    kind, colon, text = name.strip().lower().partition(":")
    if kind not in SPLITS:
        raise UnknownNameError(f"no split is named '{name}'", nearest(kind, SPLITS))
    if colon and kind in ("default", "column", "leave-one-out"):
        raise ConfigError(f"split '{kind}' takes no number", f"Write '{kind}'.")
    match kind:
        case "default":
            return (default_split(data, repeat),)
        case "column":
            return (by_column(data, repeat),)
        case "time":
            share = _share(name, text, 0.1)
            return (time_shares(data, share, share, repeat),)
        case "leave-one-out":
            return (leave_one_out(data, repeat),)
        case "last-n":
            return (last_n(data, _count(name, text, 1, least=1), repeat),)
        case "cold-items":
            share = _share(name, text, 0.1)
            return (cold_items(data, repeat, test_share=share, validation_share=share, seed=seed),)
        case "cold-users":
            return (cold_users(data, repeat, given=_count(name, text, 5, least=0), seed=seed),)
        case "rolling":
            return tuple(rolling(data, _count(name, text, 3, least=1), repeat=repeat))
        case _:
            return (untimed_items(data, 2 * _share(name, text, 0.1), seed, repeat),)


def split_by(name: str, data: Dataset, repeat: Repeat | None = None, seed: int = 0) -> Split:
    """The one split a name asks for; ``rolling`` has several: see ``splits_by``."""
    found = splits_by(name, data, repeat, seed)
    if len(found) > 1:
        raise ConfigError(
            f"split '{name}' has {len(found)} windows, and one split is asked for here", "Use 'time', or splits_by in Python."
        )
    return found[0]


def _share(name: str, text: str, default: float) -> float:
    try:
        share = float(text) if text else default
    except ValueError:
        share = 0.0
    if not 0 < share < 0.5:
        raise ConfigError(f"split '{name}' needs a test share between 0 and 0.5 after the colon", "Write 'time:0.1'.")
    return share


def _count(name: str, text: str, default: int, least: int) -> int:
    count = int(text) if text.isdecimal() else default if not text else -1
    if count < least:
        raise ConfigError(
            f"split '{name}' needs a whole number of at least {least} after the colon", f"Write '{name.partition(':')[0]}:{default}'."
        )
    return count
