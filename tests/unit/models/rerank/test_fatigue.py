"""What was shown too often steps back; a click forgives it, and so does time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zhiyin.base.arrays import Ragged
from zhiyin.base.units import US_PER_DAY, US_PER_HOUR
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.slates import Slates
from zhiyin.models.rerank.fatigue import Fatigue, FatigueSpec, Impressions, tired, weariness

NOW = 100 * US_PER_DAY
LISTS = Slates(np.array([0, 4, 8]), np.array([0, 1, 2, 3] * 2, np.int32), np.array([4, 3, 2, 1] * 2, np.float32))
SPEC = FatigueSpec(after=2, keep=0.5)


def shown(rows: list[tuple[int, int, float, bool]]) -> Impressions:
    """(person, item, hours ago, clicked)."""
    rows = sorted(rows, key=lambda row: row[0])
    counts = np.bincount([row[0] for row in rows], minlength=2)
    times = np.array([NOW - int(row[2] * US_PER_HOUR) for row in rows], np.int64)
    clicked = np.array([row[3] for row in rows], np.bool_)
    return Impressions(np.concatenate([[0], np.cumsum(counts)]), np.array([row[1] for row in rows], np.int32), times, clicked)


def order(rows: list[tuple[int, int, float, bool]], spec: FatigueSpec = SPEC) -> list[list[int]]:
    found = tired(LISTS, shown(rows), np.full(2, NOW), spec)
    return [found.items[0].tolist(), found.items[1].tolist()]


def test_shown_twice_steps_back_for_that_person_alone() -> None:
    assert order([(0, 0, 0.1, False)]) == [[0, 1, 2, 3]] * 2
    assert order([(0, 0, 0.0001, False), (0, 0, 0.0002, False)])[1] == [0, 1, 2, 3]
    assert order([(0, 0, 0.0001, False), (0, 0, 0.0002, False)], SPEC.model_copy(update={"after": 1.9})) == [[1, 0, 2, 3], [0, 1, 2, 3]]
    often = [(1, 0, 0.01 * i, False) for i in range(1, 9)]
    assert order(often)[1] == [1, 2, 0, 3]
    assert order(often, SPEC.model_copy(update={"keep": 0.0}))[1] == [1, 2, 3, 0]


def test_a_click_and_time_forgive() -> None:
    often = [(0, 0, float(h), False) for h in (1, 2, 3, 4)]
    assert order(often)[0][0] == 1
    assert order([*often, (0, 0, 0.5, True)])[0] == [0, 1, 2, 3]
    assert order([(0, 0, 24 * 7 + h, False) for h in (1.0, 2.0, 3.0, 4.0)])[0] == [0, 1, 2, 3]  # a week later


def test_the_count_is_what_it_says() -> None:
    rows = [(0, 1, 24, False), (0, 1, 48, False), (0, 1, -1, False), (1, 2, 30, True), (1, 2, 0, False), (1, 2, 12, False)]
    count = weariness(LISTS, shown(rows), np.full(2, NOW), 24)
    # What is shown at or after now is not yet shown; before a click nothing counts.
    assert np.allclose(count, [0, 0.75, 0, 0, 0, 0, 0.5**0.5, 0])


def test_whoever_remembers_is_asked_for_each_batch() -> None:
    rows = [(0, 0, 0.01 * i, False) for i in range(1, 9)]
    requests = Requests.of(Histories.of_items(Ragged.empty(2)), np.array([5, 6]), NOW)
    asked: list[int] = []

    def memory(given: Requests) -> Impressions:
        asked.extend(given.user_ix.tolist())
        return shown(rows)

    fresh = Fatigue(SPEC)
    assert fresh.rerank(requests, LISTS).item_ix.tolist() == LISTS.item_ix.tolist()
    found = fresh.seeing(memory).rerank(requests, LISTS)
    assert asked == [5, 6] and found.items[0].tolist() == [1, 2, 0, 3]
    both = fresh.seeing(shown(rows)).rerank(requests, LISTS)
    assert np.array_equal(both.item_ix, found.item_ix)
    alone = fresh.seeing(shown(rows).take(np.array([1]))).rerank(requests.take(np.array([1])), LISTS.take(np.array([1])))
    assert alone.item_ix.tolist() == [0, 1, 2, 3]
    assert replace(fresh).spec == SPEC and len(shown(rows).items) == 2
