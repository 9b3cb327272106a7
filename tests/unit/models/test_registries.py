"""A table becomes a spec in the same way for models, rankers, re-rankers and feature sources."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from zhiyin.base.errors import ConfigError, UnknownNameError
from zhiyin.models.features.registry import source_of
from zhiyin.models.rank.registry import ranker_of
from zhiyin.models.registry import spec_of
from zhiyin.models.rerank.registry import reranker_of


@pytest.mark.parametrize(
    ("made", "what", "name", "wrong"),
    [
        (spec_of, "model", "ease", "l3"),
        (ranker_of, "ranker", "trees", "laeves"),
        (source_of, "feature source", "history", "hour_width"),
        (reranker_of, "re-ranker", "mmr", "divrsity"),
    ],
)
def test_a_name_a_table_and_what_is_wrong_with_them(made: Callable[..., Any], what: str, name: str, wrong: str) -> None:
    assert made(name) == made({"kind": name}) == made(made(name).described())
    with pytest.raises(UnknownNameError, match=f"no {what} is named '{name}x'.*Did you mean '{name}'"):
        made(f"{name}x")
    with pytest.raises(ConfigError, match=f"a {what} needs a 'kind' in a file .*Known: .*{name}"):
        made({wrong: 1}, "a file")
    with pytest.raises(ConfigError, match=f"unknown key '{wrong}' in {what} '{name}'"):
        made({"kind": name, wrong: 1})
