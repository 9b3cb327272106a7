"""What the roles themselves do."""

from __future__ import annotations

import numpy as np

from zhiyin.models.roles import State


def test_a_state_holds_others_and_gives_them_back() -> None:
    one, two = State({"a": np.arange(2)}, {"b": 1}), State({"a.c": np.arange(3)})
    whole = State({"own": np.arange(4)}, {"b": 2}).holding({"one": one, "two": two})
    assert set(whole.arrays) == {"own", "one.a", "two.a.c"} and whole.meta["b"] == 2
    for name, part in (("one", one), ("two", two)):
        back = whole.under(name)
        assert dict(back.meta) == dict(part.meta) and list(back.arrays) == list(part.arrays)
        assert all(back.arrays[key] is array for key, array in part.arrays.items())
