"""Who is who: live events over the bundle's, sessions that become users, people who are forgotten."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
