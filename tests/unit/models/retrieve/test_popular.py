from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from zhiyin.base.errors import ConfigError
from zhiyin.base.units import US_PER_DAY
from zhiyin.data.dataset import Dataset
from zhiyin.data.events import Events
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.run import Run
from zhiyin.models.retrieve.popular import PopularSpec
from zhiyin.testing.small import small_world


def world(user: list[int], item: list[int], day: list[int]) -> Dataset:
    base = small_world()
    events = Events.of(np.array(user), np.array(item), np.array(day) * US_PER_DAY)
    return Dataset(base.manifest, base.users, base.catalog, events, users_table=base.users_table)


def asked(*users: int) -> Requests:
    return Requests.of(Histories.empty(len(users)), np.array(users))


def test_half_life_and_window() -> None:
    data = world([0, 1, 2], [5, 6, 7], [0, 10, 20])
    assert PopularSpec(half_life_days=10).fit(data, Run()).counts[[5, 6, 7]].tolist() == [0.25, 0.5, 1.0]
    assert PopularSpec(window_days=10).fit(data, Run()).retrieve(asked(0), 9).item_ix.tolist() == [6, 7]


def test_segments_see_their_own_and_strangers_the_whole() -> None:
    """Even users live in the west: they like 5, the east likes 6; together 6 leads by one."""
    data = world([0, 2, 1, 3, 5], [5, 5, 6, 6, 6], [1, 2, 3, 4, 5])
    model = PopularSpec(segment="town", shrink=1).fit(data, Run())
    assert [model.retrieve(asked(u), 1).item_ix[0] for u in (0, 1, -1, 10_000)] == [5, 6, 6, 6]
    west = model.scores(asked(0))[0]
    # N (c_s + m c / N) / (N_s + m): 5 (2 + 2/5) / 3 and 5 (0 + 3/5) / 3
    np.testing.assert_allclose(west[[5, 6]], [4.0, 1.0], rtol=1e-6)


def test_strong_shrinking_gives_the_whole() -> None:
    data = small_world()
    whole = PopularSpec().fit(data, Run()).scores(asked(0))
    shrunk = PopularSpec(segment="town", shrink=1e9).fit(data, Run()).scores(asked(0))
    np.testing.assert_allclose(shrunk, whole, rtol=1e-4)


def test_people_without_a_segment_get_the_whole() -> None:
    data = small_world()
    table = data.users_table.with_columns(pl.when(pl.col("user_id") == "u0").then(None).otherwise(pl.col("town")).alias("town"))
    data = Dataset(data.manifest, data.users, data.catalog, data.events, users_table=table)
    model = PopularSpec(segment="town").fit(data, Run())
    np.testing.assert_array_equal(model.scores(asked(0)), model.scores(asked(-1)))


def test_a_wrong_column_is_named() -> None:
    with pytest.raises(ConfigError, match=r"users table of 'small-time' has no column 'twon' to segment by .*Did you mean 'town'\?"):
        PopularSpec(segment="twon").fit(small_world(), Run())
