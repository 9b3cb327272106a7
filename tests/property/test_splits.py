"""Nothing from the future: properties every split keeps, on small data full of ties and repeats."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from zhiyin.base.errors import ConfigError, DataError, UnknownNameError
from zhiyin.base.units import US_PER_DAY
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.events import Events
from zhiyin.data.schema import EventsTable, Manifest, Order, Repeat
from zhiyin.data.split import (
    SPLITS,
    Split,
    cold_items,
    cold_users,
    global_time,
    last_n,
    leave_one_out,
    rolling,
    split_by,
    splits_by,
    time_shares,
    untimed_items,
)
from zhiyin.data.truth import Holdout
from zhiyin.data.vocab import Vocabulary

N_USERS, N_ITEMS = 5, 7
ALLOW, NEVER = Repeat(policy="allow"), Repeat(policy="never")
Row = tuple[int, int, int]  # user, item, time


def dataset(rows: list[Row], order: Order = "time", n_users: int = N_USERS, n_items: int = N_ITEMS) -> Dataset:
    user, item, time = (np.array(column) for column in zip(*rows, strict=True))
    if order == "position":
        time = np.array([int((user[:at] == u).sum()) for at, u in enumerate(user)])
    if order == "none":
        time = np.zeros(len(user), np.int64)
    manifest = Manifest(name="toy", order=order, events=EventsTable(time="t", position="p"))
    catalog = Catalog(Vocabulary([f"i{j}" for j in range(n_items)]), pl.DataFrame({"x": list(range(n_items))}))
    # The row number as value: an event's identity survives sorting and splitting.
    events = Events.of(user, item, time, value=np.arange(len(user)))
    return Dataset(manifest, Vocabulary([f"u{j}" for j in range(n_users)]), catalog, events)


rows_of = st.lists(st.tuples(st.integers(0, N_USERS - 1), st.integers(0, N_ITEMS - 1), st.integers(0, 25)), min_size=15, max_size=60)
policies = st.sampled_from([ALLOW, NEVER, Repeat(policy="after", days=3 / US_PER_DAY)])


def identity(data: Dataset) -> set[int]:
    return {int(v) for v in data.events.value}


def asked(holdout: Holdout) -> set[tuple[int, int]]:
    """Every (user, answer)."""
    items = holdout.truth.items
    return set(zip(holdout.requests.user_ix[items.rows].tolist(), items.values.tolist(), strict=True))


def made(make: object, *given_: object, **named: object) -> Split:
    """The split, or discard the example where this data does not allow it."""
    try:
        return make(*given_, **named)  # type: ignore[operator]
    except DataError:
        assume(False)
        raise


def answers_are_legal(holdout: Holdout, policy: Repeat) -> None:
    """Answers are distinct, there is at least one, and the policy excludes none of them."""
    r = holdout.requests
    for row in range(len(holdout)):
        answers = holdout.truth.items[row].tolist()
        assert answers and len(set(answers)) == len(answers)
        if policy.policy == "allow":
            assert r.exclude is None
            continue
        assert r.exclude is not None
        barred = set(r.exclude[row].tolist())
        assert not barred & set(answers)
        start, end = r.history.offsets[row], r.history.offsets[row + 1]
        items, times = r.history.item_ix[start:end], r.history.time_us[start:end]
        if policy.policy == "never":
            assert barred == set(items.tolist())
        else:
            assert barred == set(items[times >= r.now_us[row] - 3].tolist())


@settings(max_examples=80, deadline=None)
@given(rows_of, policies, st.integers(5, 12), st.integers(13, 22))
def test_global_time_parts_the_past_from_the_future(rows: list[Row], policy: Repeat, cut_valid: int, cut_test: int) -> None:
    data = dataset(rows)
    split = made(global_time, data, cut_test, cut_valid, policy)
    assert (split.train.events.time_us < cut_valid).all()
    assert (split.before_test.events.time_us < cut_test).all()
    assert (split.validation.requests.history.time_us < cut_valid).all()
    assert (split.test.requests.history.time_us < cut_test).all()
    assert (split.test.requests.now_us >= cut_test).all()
    assert ((split.validation.requests.now_us >= cut_valid) & (split.validation.requests.now_us < cut_test)).all()
    for holdout in (split.validation, split.test):
        answers_are_legal(holdout, policy)
    if policy.policy == "allow":
        assert asked(split.test) == {(u, i) for u, i, t in rows if t >= cut_test}


@settings(max_examples=60, deadline=None)
@given(rows_of, st.integers(0, N_USERS - 1), st.integers(0, N_ITEMS - 1), st.integers(0, 3))
def test_one_event_at_or_after_the_cut_changes_no_past(rows: list[Row], user: int, item: int, late: int) -> None:
    cut_valid, cut_test = 8, 16
    before = made(global_time, dataset(rows), cut_test, cut_valid, ALLOW)
    after = global_time(dataset([*rows, (user, item, cut_test + late)]), cut_test, cut_valid, ALLOW)
    assert identity(before.train) == identity(after.train)
    assert identity(before.before_test) == identity(after.before_test)
    np.testing.assert_array_equal(before.validation.truth.items.values, after.validation.truth.items.values)
    for u, row in zip(before.test.requests.user_ix, range(len(before.test)), strict=True):
        other = int(np.flatnonzero(after.test.requests.user_ix == u)[0])
        np.testing.assert_array_equal(before.test.requests.history.items[row], after.test.requests.history.items[other])
    # The same event one microsecond before the cut is part of the past.
    early = global_time(dataset([*rows, (user, item, cut_test - 1)]), cut_test, cut_valid, ALLOW)
    assert len(identity(early.before_test)) == len(identity(before.before_test)) + 1


@settings(max_examples=80, deadline=None)
@given(rows_of, policies, st.integers(1, 3), st.sampled_from(["time", "position"]))
def test_last_n_partitions_and_never_shows_the_answer(rows: list[Row], policy: Repeat, n: int, order: Order) -> None:
    data = dataset(rows, order)
    split = made(last_n, data, n, policy)
    by_user: dict[int, list[tuple[int, int]]] = {u: [] for u in range(N_USERS)}
    for u, i, t in zip(data.events.user_ix, data.events.item_ix, data.events.time_us, strict=True):
        by_user[int(u)].append((int(t), int(i)))
    counts = {u: len(v) for u, v in by_user.items()}
    enough = {u for u, c in counts.items() if c >= 2 * n + 1}
    assert len(split.train.events) == sum(c - 2 * n * (u in enough) for u, c in counts.items())
    assert len(split.before_test.events) == sum(c - n * (u in enough) for u, c in counts.items())
    assert identity(split.train) <= identity(split.before_test) <= identity(data)
    for holdout, left_out in ((split.validation, 2 * n), (split.test, n)):
        answers_are_legal(holdout, policy)
        r = holdout.requests
        for row, u in enumerate(r.user_ix):
            past = by_user[int(u)][: counts[int(u)] - left_out]
            future = by_user[int(u)][counts[int(u)] - left_out :][:n]
            assert r.history.items[row].tolist() == [i for _, i in past]
            assert r.now_us[row] == future[0][0]
            assert set(holdout.truth.items[row].tolist()) <= {i for _, i in future}
        if policy.policy == "allow":
            assert set(r.user_ix.tolist()) == enough


def content(split: Split) -> list[object]:
    """Everything a split holds, but for the order of events within one instant."""
    columns = [[e.time_us.tolist(), e.user_ix.tolist(), e.item_ix.tolist()] for e in (split.train.events, split.before_test.events)]
    out: list[object] = [sorted(zip(*three, strict=True)) for three in columns]
    for holdout in (split.validation, split.test):
        r = holdout.requests
        out += [r.user_ix.tolist(), r.now_us.tolist(), sorted(asked(holdout)), [sorted(h.tolist()) for h in r.history.items]]
    return out


@settings(max_examples=40, deadline=None)
@given(rows_of, st.randoms(use_true_random=False))
def test_order_within_a_tie_touches_no_cut_by_time(rows: list[Row], random: Random) -> None:
    """Cuts by time keep or drop a whole instant: shuffling the file leaves every part the same."""
    mixed = list(rows)
    random.shuffle(mixed)
    assert content(made(global_time, dataset(rows), 16, 8, ALLOW)) == content(global_time(dataset(mixed), 16, 8, ALLOW))


@pytest.mark.parametrize("name", ["time", "cold-users:2", "cold-users:0", "cold-items"])
def test_order_within_a_tie_touches_no_timed_split(name: str) -> None:
    split = split_by(name, plenty(), ALLOW)
    assert len(split.test) and len(split.validation)
    for seed in range(5):
        assert content(split_by(name, plenty(shuffled=seed), ALLOW)) == content(split)


def test_ties_keep_file_order_and_are_told() -> None:
    rows = [(0, 1, 1), (0, 2, 2), (0, 3, 3), (0, 4, 3)]
    split = leave_one_out(dataset(rows), ALLOW)
    assert split.test.truth.items[0].tolist() == [4] and split.validation.truth.items[0].tolist() == [3]
    assert split.note.endswith("; 1 events tied in time, kept in file order")
    swapped = leave_one_out(dataset([*rows[:2], rows[3], rows[2]]), ALLOW)
    assert swapped.test.truth.items[0].tolist() == [3]
    assert "tied" not in leave_one_out(dataset([(0, 1, 1), (0, 2, 2), (0, 3, 3)]), ALLOW).note


@settings(max_examples=60, deadline=None)
@given(rows_of, policies, st.sampled_from(["time", "position", "none"]), st.integers(0, 3), st.sampled_from(["all", "cold"]))
def test_cold_items_are_unknown_to_training(rows: list[Row], policy: Repeat, order: Order, seed: int, among: str) -> None:
    data = dataset(rows, order)
    split = made(cold_items, data, policy, test_share=0.3, validation_share=0.3, seed=seed, among=among)
    known_before, known = set(split.before_test.events.item_ix.tolist()), set(split.train.events.item_ix.tolist())
    assert identity(split.train) <= identity(split.before_test)
    for holdout, past in ((split.validation, known), (split.test, known_before)):
        answers_are_legal(holdout, policy)
        assert not set(holdout.truth.items.values.tolist()) & past
        assert (holdout.requests.history.lengths >= 1).all()
        assert set(holdout.requests.history.item_ix.tolist()) <= past
        if among == "cold":
            assert holdout.requests.allowed is not None
            assert holdout.requests.allowed[holdout.truth.items.values].all()
            assert not holdout.requests.allowed[list(past)].any()
        else:
            assert holdout.requests.allowed is None
    if order == "time":
        assert len(split.test) == 0 or split.before_test.events.time_us.max() < split.test.requests.now_us.min()
    assert ("UNTIMED" in split.note) == (order != "time")


@settings(max_examples=60, deadline=None)
@given(rows_of, policies, st.sampled_from(["time", "position", "none"]), st.integers(0, 4))
def test_cold_users_are_unknown_to_training(rows: list[Row], policy: Repeat, order: Order, given_events: int) -> None:
    data = dataset(rows, order)
    split = made(cold_users, data, policy, given=given_events, test_share=0.3, validation_share=0.3)
    for holdout, past in ((split.validation, split.train), (split.test, split.before_test)):
        answers_are_legal(holdout, policy)
        r = holdout.requests
        assert not set(r.user_ix.tolist()) & set(past.events.user_ix.tolist())
        assert (r.history.lengths <= given_events).all()
        if order != "none":
            assert (r.history.time_us < np.repeat(r.now_us, r.history.lengths)).all()
        if given_events:
            assert (r.history.lengths >= 1).all()


@settings(max_examples=40, deadline=None)
@given(rows_of)
def test_rolling_windows_follow_one_another(rows: list[Row]) -> None:
    data = dataset(rows)
    try:
        splits = list(rolling(data, n=3, share=0.15, repeat=ALLOW))
    except (DataError, ConfigError):
        assume(False)
        raise
    for at, split in enumerate(splits, start=1):
        assert split.note.startswith(f"rolling window {at} of 3, global time")
    for one, following in pairwise(splits):
        assert identity(one.train) <= identity(following.train)
        # A window's answers end where the next one begins.
        assert one.test.requests.now_us.max() < following.test.requests.now_us.min()
        assert set(identity(one.before_test)) <= set(identity(following.before_test))


@settings(max_examples=40, deadline=None)
@given(rows_of, st.integers(0, 5))
def test_untimed_hides_pairs_not_events(rows: list[Row], seed: int) -> None:
    data = dataset(rows, "none")
    split = untimed_items(data, 0.5, seed, ALLOW)
    trained = set(zip(split.train.events.user_ix.tolist(), split.train.events.item_ix.tolist(), strict=True))
    for holdout in (split.validation, split.test):
        answers_are_legal(holdout, ALLOW)
        assert not asked(holdout) & trained
        trained |= asked(holdout)  # validation answers are none of the test's
    assert "UNTIMED" in split.note
    assert identity(untimed_items(data, 0.5, seed, ALLOW).train) == identity(split.train)


def plenty(order: Order = "time", shuffled: int | None = None) -> Dataset:
    """30 users and 40 items that come and go, two events at each instant."""
    rng = np.random.default_rng(0)
    at = np.arange(900)
    user, item = at // 45 + rng.integers(0, 11, 900), at // 30 + rng.integers(0, 11, 900)
    rows = list(zip(user.tolist(), item.tolist(), (at // 2).tolist(), strict=True))
    if shuffled is not None:
        Random(shuffled).shuffle(rows)
    return dataset(rows, order, n_users=30, n_items=40)


def test_splits_by_name() -> None:
    data = plenty()
    assert split_by("time", data, ALLOW).note == time_shares(data, repeat=ALLOW).note
    assert identity(split_by("time:0.2", data, ALLOW).before_test) == identity(time_shares(data, 0.2, 0.2, ALLOW).before_test)
    assert split_by("leave-one-out", data, ALLOW).note.startswith("leave-one-out")
    assert split_by("last-n:3", data, ALLOW).note.startswith("last 3")
    assert split_by("cold-users:0", plenty("position"), ALLOW).note.startswith("UNTIMED cold users (seed 0), 0 events given")
    assert split_by("cold-items:0.2", plenty("none"), ALLOW, seed=4).note.startswith("UNTIMED cold items (seed 4)")
    assert split_by("untimed", plenty("none"), ALLOW).note.startswith("UNTIMED")
    assert split_by("default", plenty("position"), ALLOW).note.startswith("leave-one-out")
    assert len(splits_by("rolling:2", data, ALLOW)) == 2
    assert "repeat allow" in split_by(" Time ", data, ALLOW).note


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tiem", "no split is named 'tiem' (E310). Did you mean 'time'?"),
        ("time:2", "split 'time:2' needs a test share between 0 and 0.5 after the colon"),
        ("time:x", "split 'time:x' needs a test share"),
        ("last-n:0", "split 'last-n:0' needs a whole number of at least 1 after the colon (E300). Write 'last-n:1'."),
        ("leave-one-out:3", "split 'leave-one-out' takes no number"),
        ("rolling", "split 'rolling' has 3 windows, and one split is asked for here"),
        ("rolling:12", "12 rolling windows of 10% leave nothing to train on"),
    ],
)
def test_a_wrong_name_gets_a_remedy(name: str, words: str) -> None:
    with pytest.raises((ConfigError, UnknownNameError)) as caught:
        split_by(name, plenty())
    assert words in str(caught.value)


def test_every_name_is_offered() -> None:
    for name in SPLITS:
        order: Order = "none" if name == "untimed" else "time"
        if name != "column":
            assert splits_by(name, plenty(order), ALLOW)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: leave_one_out(plenty("none")), "has no order, so no last event"),
        (lambda: global_time(plenty("position"), 2, 1), 'a global time split needs order = "time" (E300). Use leave-one-out.'),
        (lambda: time_shares(plenty("none")), 'there is no time to cut at (E300). Use split = "untimed".'),
        (lambda: global_time(plenty(), 5, 5), "validation must start before test"),
        (lambda: global_time(plenty(), 10**6, 5), "the test period has no events"),
        (lambda: last_n(plenty(), 99), "no user has the 199 events"),
        (lambda: time_shares(plenty(), 0.6, 0.5), "leave nothing to train on"),
        (lambda: cold_items(plenty("none"), test_share=0.6, validation_share=0.5), "leave nothing to train on"),
        (lambda: cold_users(plenty(), given=-1), "given = -1 events cannot be known"),
        (lambda: cold_users(plenty("none"), given=500), "part of the cold split has no requests"),
    ],
)
def test_what_cannot_be_split_says_why(make: object, words: str) -> None:
    with pytest.raises((ConfigError, DataError)) as caught:
        make()  # type: ignore[operator]
    assert words in str(caught.value)
