"""Who is who: live events over the bundle's, sessions that become users, people who are forgotten."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhiyin.online.happened import Deeds
from zhiyin.online.people import People
from zhiyin.testing.small import small_world

STEP = st.tuples(st.sampled_from(["u1", "u2", "new", "s:a", "s:b", "a>u1", "b>new"]), st.integers(0, 20), st.integers(0, 500))


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, max_size=40), st.integers(0, 600))
def test_histories_are_what_a_naive_reader_would_say(steps: list[tuple[str, int, int]], offset: int) -> None:
    base = small_world("time")
    start = int(base.events.time_us[-1]) - 200
    people = People(base)
    naive: dict[str, list[tuple[int, int, int]]] = {}
    became: dict[str, str] = {}
    for arrival, (who, item, later) in enumerate(steps):
        if ">" in who:
            session, user = who.split(">")
            ix = people.number(user, session)
            if became.get(session) != user:
                naive.setdefault(user, []).extend(naive.pop("s:" + session, []) if session not in became else [])
                became[session] = user
            name = user
        else:
            user, session = (None, who[2:]) if who.startswith("s:") else (who, None)
            ix = people.number(user, session)
            name = became.get(who[2:], who) if session else who
        people.add(ix, item, 0, start + later)
        naive.setdefault(name, []).append((start + later, arrival, item))
    now = start + offset
    for name, events in naive.items():
        ix = people.find(None, name[2:]) if name.startswith("s:") else people.find(name)
        past = people.history(np.array([ix]), np.array([now]))
        known = base.history(np.array([base.users.find(name)]), np.array([now]))
        expected = [(int(t), -1, int(i)) for t, i in zip(known.time_us, known.item_ix, strict=True)]
        expected = sorted([*expected, *(e for e in events if e[0] < now)], key=lambda e: (e[0], e[1]))
        assert past.item_ix.tolist() == [item for _, _, item in expected]
        assert past.time_us.tolist() == [time for time, _, _ in expected]


DEED = st.tuples(
    st.sampled_from(["u1", "u2", "new", None]), st.sampled_from([None, None, "a", "b"]), st.integers(-1, 9), st.integers(0, 99)
)


def taken(deeds: list[tuple[str | None, str | None, int, int]], cuts: list[int]) -> People:
    """People after these deeds, handed in as batches that end at ``cuts``."""
    people = People(small_world("time"))
    for begin, end in pairwise([0, *sorted(min(cut, len(deeds)) for cut in cuts), len(deeds)]):
        users, sessions, items, times = zip(*deeds[begin:end], strict=True) if end > begin else ((), (), (), ())
        n = end - begin
        people.take(users, sessions, Deeds.of(items, [0] * n, times, [-1] * n, [float(item != 3) for item in items]))
    return people


@settings(max_examples=80, deadline=None)
@given(st.lists(DEED, max_size=30), st.lists(st.integers(0, 30), max_size=5))
def test_it_does_not_matter_where_batches_end(deeds: list[tuple[str | None, str | None, int, int]], cuts: list[int]) -> None:
    deeds = [(user, session or (None if user else "c"), item, time) for user, session, item, time in deeds]
    whole, cut, single = taken(deeds, []), taken(deeds, cuts), taken(deeds, list(range(len(deeds))))
    for one in (cut, single):
        assert (one._numbers, one._merged, one._live) == (whole._numbers, whole._merged, whole._live)
        everybody = np.arange(len(one))
        assert one.history(everybody).item_ix.tolist() == whole.history(everybody).item_ix.tolist()
        assert [one.together(item) for item in range(10)] == [whole.together(item) for item in range(10)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["u1", "u2", "new"]), st.none(), st.integers(0, 6), st.integers(0, 20)), max_size=40))
def test_what_is_together_is_what_a_naive_counter_says(deeds: list[tuple[str | None, str | None, int, int]]) -> None:
    people = taken(deeds, [])
    counts: dict[int, Counter[int]] = {item: Counter() for item in range(7)}
    for name in ("u1", "u2", "new"):
        did = sorted(((time, at, item) for at, (user, _, item, time) in enumerate(deeds) if user == name and item != 3))
        for i, (_, _, one) in enumerate(did):
            for _, _, other in did[max(i - 5, 0) : i]:
                if one != other:
                    counts[one][other] += 1
                    counts[other][one] += 1
    assert [people.together(item) for item in range(7)] == [dict(counts[item]) for item in range(7)]


def test_many_events_of_many_people_grow_the_columns_and_are_found() -> None:
    people = taken([(f"n{i % 70}", None, i % 9, i) for i in range(3_000)], [1_000, 1_030])
    for user in (0, 69):
        mine = people.live(people.find(f"n{user}"))
        assert mine.item_ix.tolist() == [i % 9 for i in range(user, 3_000, 70)]
        assert mine.time_us.tolist() == list(range(user, 3_000, 70))
    assert people.forget("n69", None) == 42
    assert people.find("n69") == -1
    people.take(["n69"], [None], Deeds.of([1], [0], [5], [-1], [1.0]))
    assert people.live(people.find("n69")).item_ix.tolist() == [1]


@pytest.mark.parametrize("order", ["position", "none"])
def test_without_time_what_came_since_follows_what_was_known(order: Literal["position", "none"]) -> None:
    base = small_world(order)
    people = People(base)
    people.add(people.number("u3", None), 7, 0, 5)
    known = base.history(np.array([3])).item_ix.tolist()
    assert people.history(np.array([3, -1]), np.array([1, 1])).item_ix.tolist() == [*known, 7]


def test_a_batch_is_its_rows() -> None:
    base = small_world("time")
    people = People(base)
    now = int(base.events.time_us[-1]) + 100
    for i, who in enumerate(["u1", "fresh", "u5", "fresh"]):
        people.add(people.number(who, None), i, 0, now - 50 + i)
    asked = np.array([1, people.find("fresh"), -1, 5, 2])
    whole = people.history(asked, np.full(5, now))
    for row, who in enumerate(asked):
        alone = people.history(np.array([who]), np.array([now]))
        assert whole.take(np.array([row])).item_ix.tolist() == alone.item_ix.tolist()


def test_somebody_forgotten_is_nobody_and_may_come_back_as_new() -> None:
    base = small_world("time")
    people = People(base)
    people.add(people.number("u1", "s"), 4, 0, 10)
    assert people.forget("u1", None) == 1
    assert people.find("u1") == -1
    assert people.find(None, "s") == -1
    again = people.number("u1", None)
    assert again >= base.n_users
    people.add(again, 6, 0, 20)
    assert people.history(np.array([again]), np.array([30])).item_ix.tolist() == [6]
