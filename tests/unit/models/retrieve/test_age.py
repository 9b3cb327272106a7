"""How old an event of a history is, counted in instants."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from zhiyin.base.arrays import Ragged
from zhiyin.data.requests import Histories
from zhiyin.models.retrieve.profile import age_in_events


@given(st.lists(st.lists(st.integers(0, 3), max_size=7), max_size=5))
def test_age_is_the_number_of_later_instants(steps: list[list[int]]) -> None:
    times = [np.cumsum(row).tolist() for row in steps]  # step 0 = the same instant as the event before
    histories = Histories.of_items(Ragged.of([[0] * len(row) for row in steps]))
    histories = replace(histories, time_us=np.array([t for row in times for t in row], np.int64))
    expected = [len({later for later in row if later > t}) for row in times for t in row]
    assert age_in_events(histories).tolist() == expected


def test_data_without_order_has_no_age_and_positions_have() -> None:
    histories = Histories.of_items(Ragged.of([[4, 5, 6], [7]]))
    assert age_in_events(histories).tolist() == [2, 1, 0, 0]
    assert age_in_events(replace(histories, time_us=np.zeros(4, np.int64))).tolist() == [0, 0, 0, 0]
