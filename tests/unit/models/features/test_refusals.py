"""What a feature source says when the data cannot give what it reads."""

from __future__ import annotations

import pytest

from zhiyin.base.errors import ConfigError
from zhiyin.models.features.registry import source_of
from zhiyin.testing.small import small_world


def test_the_last_time_of_others_is_not_kept() -> None:
    with pytest.raises(ConfigError, match=r"'recency' of by = \['item'\] cannot leave out the asker"):
        source_of({"kind": "counts", "tables": [{"by": ["item"], "others": True, "recency": True}]})


def test_a_half_life_stands_once() -> None:
    with pytest.raises(ConfigError, match="'half_lives_days' names a value twice, and each is one column"):
        source_of({"kind": "history", "half_lives_days": [7, 7.0]})


def test_distances_need_coordinates() -> None:
    with pytest.raises(ConfigError, match=r"'nearby' needs the coordinates of items.*types latitude and longitude"):
        source_of("nearby").fit(small_world())


def test_a_history_without_order_knows_the_answer() -> None:
    with pytest.raises(ConfigError, match=r"'history' would know the answer: data set 'small-none' has order = \"none\".*Use 'companions'"):
        source_of("history").fit(small_world("none"))
    assert source_of("history").fit(small_world("position")).names


def test_a_share_is_of_what_is_counted() -> None:
    with pytest.raises(ConfigError, match=r"'of' names 'user', which is not in by = \['item', 'hour'\]"):
        source_of({"kind": "counts", "tables": [{"by": ["item", "hour"], "of": ["user"]}]})
